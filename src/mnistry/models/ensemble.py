"""Several networks as one: the mean of their probabilities, in one Keras model and one ONNX file."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import clone

from mnistry.models.backend import Checkpoint
from mnistry.models.base import Images, InputError, Labels, Pair, Progress
from mnistry.models.networks import averaged
from mnistry.models.neural import NeuralClassifier


class EnsembleClassifier(NeuralClassifier):
    """The mean of the probabilities of several neural classifiers, each with settings and a seed of its own.

    `random_state` is added to the members' seeds, so that another one gives another ensemble.
    """

    def __init__(self, members: Sequence[NeuralClassifier] = (), random_state: int | None = None) -> None:
        self.members = members
        self.random_state = random_state

    def fit(
        self,
        X: Images,
        y: Labels,
        validation: Pair | None = None,
        progress: Progress | None = None,
        callbacks: Sequence[Any] = (),
        checkpoint: Checkpoint | None = None,  # noqa: ARG002 - `train` keeps each member as a run instead
    ) -> Self:
        """Train a copy of each member, one after the other; `history_` has their epochs in a row. Raises InputError."""
        fitted = []
        for member in self.members:
            member = clone(member)
            if self.random_state is not None and member.random_state is not None:
                member.random_state += self.random_state
            fitted.append(member.fit(X, y, validation, progress, callbacks))
        return self.join(fitted)

    def join(self, fitted: Sequence[NeuralClassifier]) -> Self:
        """Take the mean of classifiers that are trained already. Raises InputError if there are none."""
        if not fitted:
            raise InputError("An ensemble has at least one member; none was given.")
        self.model_ = averaged([member.model_ for member in fitted])
        rows = [row for member in fitted for row in getattr(member, "history_", [])]
        self.history_ = [row | {"epoch": float(k + 1)} for k, row in enumerate(rows)]
        self.classes_ = np.arange(10)
        return self

    @property
    def layers_(self) -> list[dict[str, Any]]:
        """Each member as one layer."""
        return [layer for layer in super().layers_ if layer["parameters"]]
