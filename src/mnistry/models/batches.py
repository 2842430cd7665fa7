"""What a network learns from: the labels of digits that change each time, a teacher's answers, or what is no digit."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.data.augmentation import Augmentation
from mnistry.data.outliers import outliers, pairs
from mnistry.models.base import Images, InputError, Labels
from mnistry.reading.reader import Reader

PASSED = 0.5  # the probability from which what is no digit passes for one
PAIRS = 0.2  # of what is no digit: digits that touch, which every model takes for one at first
FLOOR = 1e-20  # of a probability whose logarithm is taken


class Digits:
    """Images and their labels; every batch is changed anew."""

    def __init__(self, X: Images, y: Labels, augmentation: Augmentation, generator: np.random.Generator) -> None:
        self.images, self.augmentation, self.generator = X, augmentation, generator
        self.targets = np.eye(10, dtype=np.float32)[y]

    def __len__(self) -> int:
        return len(self.images)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What has changed since the beginning, for `restore`: arrays, and what JSON can hold."""
        return {}, {"generator": self.generator.bit_generator.state}

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on from this state."""
        self.generator.bit_generator.state = kept["generator"]

    def batch(self, chosen: NDArray[np.int64]) -> tuple[Any, ...]:
        """The images at these places, changed, and their targets (n, 10)."""
        return self.augmentation.batch(self.images[chosen], self.generator), self.targets[chosen]


class Distilled(Digits):
    """The same with a teacher's probabilities: `views` changed copies of every image, which it sees once beforehand.

    A student learns most from a teacher that has seen the very same picture (Beyer et al. 2022, "Knowledge
    distillation: a good teacher is patient and consistent"). Raises InputError if there is no such teacher.
    """

    def __init__(
        self,
        X: Images,
        y: Labels,
        teacher: Path,
        augmentation: Augmentation,
        views: int,
        generator: np.random.Generator,
    ) -> None:
        super().__init__(X, y, augmentation, generator)
        if not teacher.is_file():
            raise InputError(
                f"The teacher is the ONNX file of a trained model, and there is none at {str(teacher)!r}: "
                "mnistry train trains the teacher that a recipe names, and --set teacher= learns from the labels."
            )
        model = Reader(teacher)
        self.views = [augmentation.batch(X, generator) for _ in range(views)]
        self.answers = [model.predict_proba(images) for images in self.views]

    def batch(self, chosen: NDArray[np.int64]) -> tuple[Any, ...]:
        """One of the views of each image, and what the teacher says of it."""
        drawn = self.generator.integers(0, len(self.views), len(chosen))
        images = np.stack([self.views[view][place] for view, place in zip(drawn, chosen, strict=True)])
        return images, np.stack([self.answers[view][place] for view, place in zip(drawn, chosen, strict=True)])


class Mixed(Digits):
    """Digits among pictures of what is no digit, `share` of them for each digit; for a network with two outputs.

    Digits that a teacher has seen are `distilled`: half of a target is then what it says, and half the label.
    """

    def __init__(
        self,
        X: Images,
        y: Labels,
        augmentation: Augmentation,
        share: float,
        generator: np.random.Generator,
        distilled: Distilled | None = None,
    ) -> None:
        super().__init__(X, y, augmentation, generator)
        self.distilled = distilled
        self.share = share
        n = max(1, round(share * len(X)))
        self.pairs = pairs(round(PAIRS * n), X, y, generator) if round(PAIRS * n) else X[:0]
        self.others = np.concatenate([self.pairs, outliers(n - len(self.pairs), X, y, generator)])
        self.kept = np.ones(len(self.others), bool)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Also which of the others are left."""
        arrays, plain = super().state()
        return arrays | {"kept_others": self.kept}, plain

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on from this state."""
        super().restore(kept)
        self.kept = kept["kept_others"]
        self.others = self.others[self.kept]

    def review(self, answers: Callable[[Images], tuple[NDArray[np.float32], NDArray[np.float32]]]) -> None:
        """Leave out what a network takes for a digit though it was taught otherwise: some drawings are digits.

        What a network learns last is most often labelled wrong (Han et al. 2018, "Co-teaching"). `answers` gives its
        probabilities (n, 10) and of being a digit (n,).
        """
        proba, is_digit = answers(self.others)
        kept = proba.max(axis=1) * is_digit < PASSED
        kept[: len(self.pairs)] = True  # these are two digits, whatever they look like
        if kept.any():
            self.others, self.kept = self.others[kept], kept

    def batch(self, chosen: NDArray[np.int64]) -> tuple[Any, ...]:
        """Images, the targets of both outputs (n, 10) and (n, 1), and their weights: no class is asked of others."""
        n = max(1, round(self.share * len(chosen)))
        others = self.others[self.generator.integers(len(self.others), size=n)]
        classes = self.targets[chosen]
        if self.distilled is None:
            images = self.augmentation.batch(np.concatenate([self.images[chosen], others]), self.generator)
        else:
            seen, said = self.distilled.batch(chosen)
            images = np.concatenate([seen, self.augmentation.batch(others, self.generator)])
            classes = (classes + said) / 2
        classes = np.concatenate([classes, np.full((n, 10), 0.1, np.float32)])
        is_digit = np.repeat(np.array([1, 0], np.float32), [len(chosen), n])
        return images, (classes, is_digit[:, None]), (is_digit, np.ones_like(is_digit))


def divergence(keras: ModuleType, temperature: float) -> Any:
    """How far a student's probabilities are from its teacher's, both softened (Hinton et al. 2015): KL times T^2."""
    ops = keras.ops

    def soft(proba: Any) -> Any:
        return ops.log_softmax(ops.log(ops.maximum(proba, FLOOR)) / temperature)

    def loss(teacher: Any, student: Any) -> Any:
        said, heard = soft(teacher), soft(student)
        return temperature**2 * ops.sum(ops.exp(said) * (said - heard), axis=-1)

    return loss
