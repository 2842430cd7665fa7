"""What a network learns from: the labels of digits that change each time, or a teacher's probabilities for them."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.augment import Augmentation
from mnistry.contract import Images, InputError, Labels
from mnistry.reader import Reader

FLOOR = 1e-20  # of a probability whose logarithm is taken


class Digits:
    """Images and their labels; every batch is changed anew."""

    def __init__(self, X: Images, y: Labels, craft: Augmentation, generator: np.random.Generator) -> None:
        self.images, self.craft, self.generator = X, craft, generator
        self.targets = np.eye(10, dtype=np.float32)[y]

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, chosen: NDArray[np.int64]) -> tuple[Images, NDArray[np.float32]]:
        """The images at these places, changed, and their targets (n, 10)."""
        return self.craft.batch(self.images[chosen], self.generator), self.targets[chosen]


class Taught(Digits):
    """The same with a teacher's probabilities: `views` changed copies of every image, which it sees once beforehand.

    A student learns most from a teacher that has seen the very same picture (Beyer et al. 2022, "Knowledge
    distillation: a good teacher is patient and consistent"). Raises InputError if there is no such teacher.
    """

    def __init__(
        self, X: Images, y: Labels, teacher: Path, craft: Augmentation, views: int, generator: np.random.Generator
    ) -> None:
        super().__init__(X, y, craft, generator)
        if not teacher.is_file():
            raise InputError(
                f"The teacher is the ONNX file of a trained model, and there is none at {str(teacher)!r}: "
                "mnistry train trains the teacher that a recipe names, and --set teacher= learns from the labels."
            )
        model = Reader(teacher)
        self.views = [craft.batch(X, generator) for _ in range(views)]
        self.answers = [model.predict_proba(images) for images in self.views]

    def batch(self, chosen: NDArray[np.int64]) -> tuple[Images, NDArray[np.float32]]:
        """One of the views of each image, and what the teacher says of it."""
        drawn = self.generator.integers(0, len(self.views), len(chosen))
        images = np.stack([self.views[view][place] for view, place in zip(drawn, chosen, strict=True)])
        return images, np.stack([self.answers[view][place] for view, place in zip(drawn, chosen, strict=True)])


def divergence(keras: ModuleType, temperature: float) -> Any:
    """How far a student's probabilities are from its teacher's, both softened (Hinton et al. 2015): KL times T^2."""
    ops = keras.ops

    def soft(proba: Any) -> Any:
        return ops.log_softmax(ops.log(ops.maximum(proba, FLOOR)) / temperature)

    def loss(teacher: Any, student: Any) -> Any:
        said, heard = soft(teacher), soft(student)
        return temperature**2 * ops.sum(ops.exp(said) * (said - heard), axis=-1)

    return loss
