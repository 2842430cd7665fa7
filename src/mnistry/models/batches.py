"""Training batches: augmented digits with their labels, with a teacher's answers, or mixed with what is no digit."""

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

PASSED = 0.5  # an outlier that the network takes for a digit with at least this probability is left out
PAIRS = 0.2  # share of the outliers that are two digits which touch: an untaught model takes them for one digit
FLOOR = 1e-20  # least probability whose logarithm is taken


class Digits:
    """Images uint8 (n, 28, 28) and labels (n,); each batch is augmented when it is drawn."""

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
        """The images at the indices `chosen` (n,), augmented: (n, 28, 28); and their one-hot targets (n, 10)."""
        return self.augmentation.batch(self.images[chosen], self.generator), self.targets[chosen]


class Distilled(Digits):
    """Digits whose targets are a teacher's probabilities, computed once for `views` augmented copies of every image.

    A student learns most when the teacher has seen exactly the same augmented image (Beyer et al. 2022, "Knowledge
    distillation: a good teacher is patient and consistent"). `teacher` is an ONNX file; raises InputError if it does
    not exist.
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
        """A random view of each image at `chosen` (n,): (n, 28, 28); and the teacher's answers to it: (n, 10)."""
        drawn = self.generator.integers(0, len(self.views), len(chosen))
        images = np.stack([self.views[view][place] for view, place in zip(drawn, chosen, strict=True)])
        return images, np.stack([self.answers[view][place] for view, place in zip(drawn, chosen, strict=True)])


class Mixed(Digits):
    """Digits mixed with outliers, pictures that are no digit; for a network with the outputs digit class and `digit`.

    `share` is the number of outliers for each digit, above 0. With `distilled`, a digit's target is the mean of its
    label and the teacher's probabilities.
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
        """Remove outliers that the network takes for digits although it was trained not to: some drawings are digits.

        What a network learns last is most often labelled wrong (Han et al. 2018, "Co-teaching"). `answers` maps images
        (n, 28, 28) to the network's class probabilities (n, 10) and its probabilities of being a digit (n,). If all
        outliers would go, all stay.
        """
        proba, is_digit = answers(self.others)
        kept = proba.max(axis=1) * is_digit < PASSED
        kept[: len(self.pairs)] = True  # known to be two digits, whatever the network says
        if kept.any():
            self.others, self.kept = self.others[kept], kept

    def batch(self, chosen: NDArray[np.int64]) -> tuple[Any, ...]:
        """Images, the targets of both outputs (n, 10) and (n, 1), and their weights (n,): outliers have no class."""
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
    """A loss (n,) in nats: KL of the student from the teacher at temperature T > 0, times T^2 (Hinton et al. 2015)."""
    ops = keras.ops

    def soft(proba: Any) -> Any:
        return ops.log_softmax(ops.log(ops.maximum(proba, FLOOR)) / temperature)

    def loss(teacher: Any, student: Any) -> Any:
        said, heard = soft(teacher), soft(student)
        return temperature**2 * ops.sum(ops.exp(said) * (said - heard), axis=-1)

    return loss
