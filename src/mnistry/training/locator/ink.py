"""Teach a recogniser the ink that a locator gives it, of writers and papers that MNIST has not, beside MNIST's own.

What it knew it keeps: to MNIST's digits and to what is no digit, its targets are its old answers (learning without
forgetting, Li and Hoiem 2016).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.data.augmentation import Augmentation
from mnistry.data.dataset import Dataset
from mnistry.data.handwriting_styles import european, with_neighbours
from mnistry.data.outliers import outliers
from mnistry.models.backend import load_keras, seeded
from mnistry.models.locator.targets import SceneLike
from mnistry.models.locator.verifier import SIGN
from mnistry.reading.learned import LearnedReader
from mnistry.reading.recognizer import Recognizer
from mnistry.training.locator.crops import labelled
from mnistry.training.onnx_weights import from_keras, to_keras

Images = NDArray[np.uint8]  # (n, 28, 28), 0 = paper, 255 = ink
Labels = NDArray[np.int64]  # (n,)

NO_DIGIT = -1  # the label of a shape that is none
MOST = 12  # shapes of one scene, so that a page full of digits counts no more than another
LEARNING_RATE = 1e-3  # the highest; it falls to 0 along a cosine
OLD_DIGITS, OLD_OUTLIERS, INKED = 64, 16, 80  # pictures of each kind in one step
OUTLIERS = 6000  # of the old kind that the steps draw from
OLD_CHANGES = Augmentation(rotation=12, shift=2, zoom=0.15, shear=0.2, elastic=1, stroke=0.6, blur=1)  # the recipe's
CHANGES = Augmentation(rotation=8, shift=1, zoom=0.1, shear=0.1, elastic=0.5, stroke=0.3, blur=0.5)


@dataclass(frozen=True)
class Ink:
    """What a reader sees of the shapes of scenes: `images` (n, 28, 28) and `labels` (n,), 0 to 9 or NO_DIGIT."""

    images: Images
    labels: Labels


def inks(reader: LearnedReader, scenes: Iterator[SceneLike], n: int, random: np.random.Generator) -> Ink:
    """n shapes that `reader` finds in these scenes and that can be named; what is no digit is rarer than in scenes."""
    images, labels = np.zeros((n, 28, 28), np.uint8), np.zeros(n, np.int64)
    done = 0
    while done < n:
        scene = next(scenes)
        found = reader.find(Image.fromarray(scene.image))
        named, known = labelled(found.candidates.boxes, scene)
        kept = random.permutation(np.flatnonzero(known))[: min(MOST, n - done)]
        part = slice(done, done + len(kept))
        images[part], labels[part] = found.images[kept], np.where(named[kept] < SIGN, named[kept], NO_DIGIT)
        done += len(kept)
    return Ink(images, labels)


def teach(
    model: bytes, ink: Ink, data: Dataset, steps: int, seed: int, tell: Callable[[int], None] = lambda _: None
) -> bytes:
    """The ONNX file of a recogniser of the recipe `reader` after so many steps with this ink and MNIST's digits."""
    keras, generator = load_keras(), np.random.default_rng(seed)
    network, old = to_keras(model), Recognizer(model)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    network.compile(keras.optimizers.Adam(rate), ["categorical_crossentropy", "binary_crossentropy"])
    digits = with_neighbours(
        european(data.train_images, data.train_labels, 0.25, generator), 0.2, generator
    )  # as the recipe has them
    others = outliers(OUTLIERS, data.train_images, data.train_labels, generator)
    with seeded(keras, seed):
        for step in range(steps):
            pictures, targets, weights = _batch(old, digits, others, ink, generator)
            network.train_on_batch(pictures, targets, weights)
            tell(step + 1)
    return from_keras(model, network)


def _batch(
    old: Recognizer, digits: Images, others: Images, ink: Ink, generator: np.random.Generator
) -> tuple[Any, ...]:
    """Pictures (n, 28, 28), the targets of both outputs, and the weights of each: what is no digit has no class."""
    known = np.concatenate([_some(digits, OLD_DIGITS, generator), _some(others, OLD_OUTLIERS, generator)])
    known = OLD_CHANGES.batch(known, generator)
    chosen = generator.integers(len(ink.labels), size=INKED)
    labels = ink.labels[chosen]
    pictures = np.concatenate([known, CHANGES.batch(ink.images[chosen], generator)])
    proba, is_digit = old.answers(known)
    classes = np.concatenate([proba, np.eye(10, dtype=np.float32)[labels]])
    there = np.concatenate([is_digit, labels != NO_DIGIT]).astype(np.float32)
    return pictures, [classes, there[:, None]], [there, np.ones_like(there)]


def _some(images: Images, n: int, generator: np.random.Generator) -> Images:
    return images[generator.integers(len(images), size=n)]
