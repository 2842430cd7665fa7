"""Which ink an answer rests on: how its probability changes where a small square of paper hides the digit."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

SIDE = 5  # pixels of the square: larger ones hide whole strokes, smaller ones hardly change an answer
STEP = 2  # pixels from one place of the square to the next
LEAST_SCALE = 0.05  # the change of a probability below which colours stay faint
MOST_EXPLAINED = 16  # digits of one picture: each takes some hundred answers of the model
FOR, AGAINST = (217, 100, 20), (40, 110, 190)  # the colours of ink that speaks for the answer and against it


class Model(Protocol):
    """Anything that gives probabilities (n, 10) for digits in MNIST form, uint8 (n, 28, 28)."""

    def predict_proba(self, images: NDArray[np.uint8], /) -> NDArray[np.floating[Any]]:
        """Probabilities (n, 10)."""


def occlusion(
    model: Model, images: NDArray[np.uint8], answers: NDArray[np.integer[Any]] | None = None
) -> NDArray[np.float32]:
    """How much the probability of the answer drops where a square of paper hides the digit: float32 (n, 28, 28), -1..1.

    `images` uint8 (n, 28, 28), 0 = paper. `answers` (n,) are the digits to explain, by default what the model reads.
    A pixel's value is the mean over the squares that hide it; above 0 the ink there speaks for the answer, below 0
    against it; far from all ink it is 0. Source: Zeiler and Fergus, 2014.
    """
    drops, times = np.zeros((len(images), 28, 28), np.float32), np.zeros((28, 28), np.float32)
    squares = [(y, x) for y in range(1 - SIDE, 28, STEP) for x in range(1 - SIDE, 28, STEP)]  # beyond the edges too
    for y, x in squares:
        _square(times, y, x)[:] += 1
    for number, (image, drop) in enumerate(zip(images, drops, strict=True)):
        places = [(y, x) for y, x in squares if _square(image, y, x).any()]  # to hide blank paper changes nothing
        hidden = np.repeat(image[None], len(places) + 1, axis=0)  # the last stays as it is
        for copy, (y, x) in zip(hidden, places, strict=False):
            _square(copy, y, x)[:] = 0
        proba = model.predict_proba(hidden)
        answer = proba[-1].argmax() if answers is None else answers[number]
        for p, (y, x) in zip(proba, places, strict=False):
            _square(drop, y, x)[:] += proba[-1, answer] - p[answer]
    return drops / times


def overlay(image: NDArray[np.uint8], drop: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """The digit on light paper, its ink coloured by its `occlusion`: orange for the answer, blue against it.

    `image` uint8 (28, 28), the result uint8 (28, 28, 3). Colours are strongest at the digit's own largest change, but
    faint where that is below `LEAST_SCALE`.
    """
    strength = np.abs(drop) / max(float(np.abs(drop).max()), LEAST_SCALE) * np.sqrt(image / 255)
    colours = np.where((drop > 0)[..., None], np.array(FOR), np.array(AGAINST))
    paper = np.repeat(255 - 0.7 * image[..., None], 3, axis=2)
    return np.round(paper + strength[..., None] * (colours - paper)).astype(np.uint8)


def _square(image: NDArray[Any], y: int, x: int) -> NDArray[Any]:
    return image[max(y, 0) : y + SIDE, max(x, 0) : x + SIDE]
