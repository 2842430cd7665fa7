"""scikit-learn's own classifiers on the pixels."""

import time
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from mnistry.contract import DigitClassifier, Images, InputError, Labels, Pair, Progress, check_images, check_labels


class PixelClassifier(DigitClassifier):
    """A scikit-learn classifier on the pixels: images become X float32 (n, 784) from 0 to 1."""

    def __init__(self, estimator: Any = None, random_state: int | None = None) -> None:
        self.estimator = estimator
        self.random_state = random_state

    def fit(self, X: Images, y: Labels, validation: Pair | None = None, progress: Progress | None = None) -> Self:
        """Fit a copy of `estimator`; sets `estimator_`, `history_` (one row) and `classes_`. Raises InputError."""
        X, y = check_images(X), check_labels(y, len(X))
        missing = sorted(set(range(10)) - set(np.unique(y).tolist()))
        if missing:
            raise InputError(f"Training wants digits of all ten classes: there is no {missing[0]}.")
        start = time.perf_counter()
        self.estimator_ = clone(self.estimator if self.estimator is not None else LogisticRegression())
        if "random_state" in self.estimator_.get_params():
            self.estimator_.set_params(random_state=self.random_state)
        try:
            self.estimator_.fit(flat(X), y)
        except ValueError as problem:  # scikit-learn names the setting and its range itself
            raise InputError(str(problem)) from problem
        self.classes_ = np.arange(10)
        self.history_ = [{"epoch": 1.0, **self._figures(X, y), "seconds": time.perf_counter() - start}]
        if validation is not None:
            figures = self._figures(check_images(validation[0]), check_labels(validation[1], len(validation[0])))
            self.history_[0] |= {f"val_{key}": value for key, value in figures.items()}
        if progress:
            progress(0, 1, 1, 1, self.history_[0])
        return self

    def _proba(self, X: Images) -> NDArray[np.floating[Any]]:
        proba: NDArray[np.floating[Any]] = self.estimator_.predict_proba(flat(X))
        return proba

    def save(self, folder: Path) -> Path:
        """Write `model.joblib` into the folder and return its path."""
        joblib.dump(self, folder / "model.joblib", compress=3)
        return folder / "model.joblib"

    @property
    def layers_(self) -> list[dict[str, Any]]:
        """The estimator as if it were a network of one layer."""
        kind = type(self.estimator_).__name__
        parameters = sum(np.size(getattr(self.estimator_, name, ())) for name in ("coef_", "intercept_"))
        return [{"name": kind.lower(), "kind": kind, "output": [10], "parameters": int(parameters)}]

    def _figures(self, X: Images, y: Labels) -> dict[str, float]:
        proba = self.predict_proba(X)
        likelihood = proba[np.arange(len(y)), y].astype(np.float64).clip(1e-12)
        return {"accuracy": float((proba.argmax(axis=1) == y).mean()), "loss": float(-np.log(likelihood).mean())}


def flat(images: Images) -> NDArray[np.float32]:
    """Images as a feature matrix: uint8 (n, 28, 28) -> float32 (n, 784) from 0 to 1."""
    return images.reshape(len(images), -1) * np.float32(1 / 255)
