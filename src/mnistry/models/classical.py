"""Classifiers on the pixels: scikit-learn's own, and pipelines of them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from mnistry.models.base import DigitClassifier, Images, InputError, Labels, Pair, Progress, check_images, check_labels
from mnistry.models.estimators import BlockSums, DistanceVotes, GreyLevels, PairwiseSVC, steps_of

MEASURED = 10_000  # of the training digits, for the history: neighbours and support vectors are slow to ask
LEARNT = ("coef_", "intercept_", "mean_", "components_", "points_", "labels_", "support_vectors_", "weights_", "slope_")


class PixelClassifier(DigitClassifier):
    """A scikit-learn classifier on the pixels: images become X float32 (n, 784) from 0 to 1."""

    def __init__(self, estimator: Any = None, random_state: int | None = None) -> None:
        self.estimator = estimator
        self.random_state = random_state

    def fit(self, X: Images, y: Labels, validation: Pair | None = None, progress: Progress | None = None) -> Self:
        """Fit a copy of `estimator`; sets `estimator_`, `history_` (one row) and `classes_`. Raises InputError.

        The history's figures are of at most 10 000 of the training digits, evenly taken.
        """
        X, y = check_images(X), check_labels(y, len(X))
        missing = sorted(set(range(10)) - set(np.unique(y).tolist()))
        if missing:
            raise InputError(f"Training wants digits of all ten classes: there is no {missing[0]}.")
        self.estimator_ = clone(self.estimator if self.estimator is not None else LogisticRegression())
        try:
            for step in steps_of(self.estimator_):
                if hasattr(step, "_parameter_constraints"):  # scikit-learn's own: they name the setting and its range
                    step._validate_params()
        except ValueError as problem:
            raise InputError(str(problem)) from problem
        if progress:
            progress(0, 1, 0, 1, {})
        start = time.perf_counter()
        seeds = [key for key in self.estimator_.get_params() if f"__{key}".endswith("__random_state")]
        self.estimator_.set_params(**dict.fromkeys(seeds, self.random_state))
        try:
            # Forests grow on all cores, with the same result. Sums in linear algebra change in the last digit with the
            # number of threads, so there is one: two were not faster.
            with joblib.parallel_config("threading", n_jobs=-1), threadpool_limits(1, user_api="blas"):
                self.estimator_.fit(flat(X), y)
        except ValueError as problem:  # scikit-learn names the setting and its range itself
            raise InputError(str(problem)) from problem
        self.classes_ = np.arange(10)
        seconds = time.perf_counter() - start
        some = slice(None, None, -(-len(X) // MEASURED))
        self.history_ = [{"epoch": 1.0, **self._figures(X[some], y[some]), "seconds": seconds}]
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
        """The estimator's steps as if they were the layers of a network.

        `parameters` are the numbers that were learnt, kept digits among them; in trees each split and each leaf is one.
        """
        steps = steps_of(self.estimator_)
        widths = [*(step.n_features_in_ for step in steps[1:]), 10]
        return [
            {"name": kind.lower(), "kind": kind, "output": [int(width)], "parameters": _learnt(step)}
            for step, width in zip(steps, widths, strict=True)
            for kind in [type(step).__name__]
        ]

    def _figures(self, X: Images, y: Labels) -> dict[str, float]:
        proba = self.predict_proba(X)
        likelihood = proba[np.arange(len(y)), y].astype(np.float64).clip(1e-12)
        return {
            "accuracy": float((proba.argmax(axis=1) == y).mean()),
            "loss": float(-np.log(likelihood).mean()) + 0.0,  # not -0
        }


def _pca(n_components: int) -> tuple[str, PCA]:
    return "pca", PCA(n_components, svd_solver="covariance_eigh")  # exact: no seed is needed


def _boosting(**settings: Any) -> Any:
    # 64 bins are as good as 255, and a quarter of the memory to go through for every node
    trees = HistGradientBoostingClassifier(**settings, early_stopping=False, max_bins=64)
    return Pipeline([("levels", GreyLevels()), ("sums", BlockSums()), ("trees", trees)])


# The estimator of each classical recipe, from its settings.
ESTIMATORS: dict[str, Callable[..., Any]] = {
    "logistic": LogisticRegression,
    "knn": lambda n_components, **votes: Pipeline([_pca(n_components), ("votes", DistanceVotes(**votes))]),
    "svm": PairwiseSVC,
    "pca-svm": lambda n_components, **svm: Pipeline([_pca(n_components), ("svm", PairwiseSVC(**svm))]),
    "forest": lambda **trees: Pipeline([("levels", GreyLevels()), ("trees", ExtraTreesClassifier(**trees))]),
    "boosting": _boosting,
}


def _learnt(step: Any) -> int:
    forest = sum(tree.tree_.node_count for tree in getattr(step, "estimators_", ()))
    boosted = sum(len(tree.nodes) for trees in getattr(step, "_predictors", ()) for tree in trees)
    return int(sum(np.size(getattr(step, name, ())) for name in LEARNT)) + forest + boosted


def flat(images: Images) -> NDArray[np.float32]:
    """Images as a feature matrix: uint8 (n, 28, 28) -> float32 (n, 784) from 0 to 1."""
    return images.reshape(len(images), -1) * np.float32(1 / 255)
