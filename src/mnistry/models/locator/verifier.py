"""The verifier: looks again at each candidate of the locator, near and with its surroundings, and says what it is.

The locator decides at a quarter of the picture's size; the verifier sees one candidate at a time in full, and around
it whether the stroke goes on as a line, is part of a larger digit, or stands alone (the second stage of Ren et al.
2015, "Faster R-CNN").
"""

from typing import Any

from mnistry.models.backend import load_keras
from mnistry.models.locator.network import block, residual
from mnistry.reading.verifier import CLASSES

SIDE = 32  # pixels of a crop
NEAR, FAR = 1.4, 4.5  # times the candidate's longer side: what the two crops show
SPREAD = 0.02  # of the range from black to white: added to a crop's spread, so that empty paper stays empty


def verifier_network() -> Any:
    """A Keras model: `near` and `far` float32 (n, 32, 32, 3), standardised crops -> logits (n, 1, 1, 13)."""
    keras = load_keras()
    layers = keras.layers
    near = keras.Input((SIDE, SIDE, 3), name="near")
    far = keras.Input((SIDE, SIDE, 3), name="far")
    x = block(near, 24)
    x = _residuals(block(x, 48, strides=2), 48, 2)
    x = _residuals(block(x, 72, strides=2), 72, 4)
    y = block(far, 24, size=4, strides=2)
    y = _residuals(block(block(y, 40, strides=2), 40), 40, 2)
    z = _residuals(block(layers.Concatenate()([x, y]), 80, strides=2), 80, 3)
    logits = layers.Conv2D(CLASSES, SIDE // 8, dtype="float32", name="classes")(z)
    return keras.Model([near, far], logits, name="verifier")


def _residuals(x: Any, filters: int, many: int) -> Any:
    for _ in range(many):
        x = residual(x, filters)
    return x
