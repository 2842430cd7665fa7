"""Estimators that scikit-learn lacks, in its style: they take X (n, d), and an ONNX graph can repeat their answers."""

from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax, softmax
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

BLOCK = 500  # rows at a time: the kernel to 10 000 support vectors then takes 20 MB
HELD_BACK = 6000  # digits: enough to fit one number, the slope
SLOPES = (0.05, 50.0)  # between which the slope is searched


class _Probable(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    def predict(self, X: Floats) -> NDArray[np.int64]:
        """The most probable class of each row: (n,)."""
        proba: NDArray[np.float64] = self.predict_proba(X)
        return proba.argmax(axis=1)


class DistanceVotes(_Probable):
    """k nearest neighbours, each with the weight 1 - d^2 / D^2, where D is the distance of neighbour k + 1.

    The weight falls to 0 at the edge of the neighbourhood, so the probabilities have no jumps that rounding could
    trigger (S. A. Dudani, "The distance-weighted k-nearest-neighbor rule", 1976, with squared distances).
    `n_neighbors` is k, from 1 to n - 1; `smoothing`, above 0, is added to the votes of every class, so that no
    probability is 0.
    """

    def __init__(self, n_neighbors: int = 12, smoothing: float = 0.001) -> None:
        self.n_neighbors = n_neighbors
        self.smoothing = smoothing

    def fit(self, X: Floats, y: Labels) -> Self:
        """Keep the digits as `points_` (n, d) and `labels_` (n,). Raises ValueError where a setting is out of range."""
        if not 1 <= self.n_neighbors < len(X):
            raise ValueError(
                f"The setting n_neighbors is from 1 to {len(X) - 1}, one less than the training digits, "
                f"not {self.n_neighbors}."
            )
        if not self.smoothing > 0:
            raise ValueError(f"The setting smoothing is above 0, not {self.smoothing}.")
        self.points_, self.labels_ = np.ascontiguousarray(X, np.float32), np.asarray(y)
        self.classes_, self.n_features_in_ = np.arange(10), X.shape[1]
        return self

    def predict_proba(self, X: Floats) -> NDArray[np.float64]:
        """Probabilities (n, 10)."""
        with config_context(assume_finite=True):  # nothing is copied, so that a search need not be kept
            search = NearestNeighbors(n_neighbors=self.n_neighbors + 1, algorithm="brute").fit(self.points_)
        distances, nearest = search.kneighbors(X)
        squares = distances**2
        weights = 1 - squares[:, :-1] / squares[:, -1:].clip(1e-12)
        votes = (weights[:, :, None] * np.eye(10)[self.labels_[nearest[:, :-1]]]).sum(axis=1) + self.smoothing
        proba: NDArray[np.float64] = votes / votes.sum(axis=1, keepdims=True)
        return proba


class PairwiseSVC(_Probable):
    """scikit-learn's SVC with an RBF kernel, one binary machine for each pair of classes, with probabilities.

    A machine with margin m gives the first class of its pair the probability 1 / (1 + exp(-slope m)). The probability
    of a class is the product over its nine machines, scaled so that all ten sum to 1 (a product of experts). All
    machines share one slope, which is fitted on digits that a smaller SVC, trained on the first third of each class,
    has not seen. This takes a fifth of the time of one fit; SVC(probability=True) took five fits, and is being removed.
    Margins are computed as matrix products over all support vectors, about thirty times faster than libsvm's loop.
    `C` and `gamma` are above 0.
    """

    def __init__(self, C: float = 1.0, gamma: float = 0.02) -> None:
        self.C = C
        self.gamma = gamma

    def fit(self, X: Floats, y: Labels) -> Self:
        """Fit; sets `support_vectors_` (m, d), `weights_` (m, 45), `intercept_` (45,), `slope_`. Raises ValueError."""
        if not self.gamma > 0:
            raise ValueError(f"The setting gamma is above 0, not {self.gamma}.")
        X, y = np.asarray(X, np.float32), np.asarray(y)
        part, held_back = _first_third(y)
        self.slope_ = 1.0
        if len(held_back):
            self._fit_margins(X[part], y[part])
            self.slope_ = _best_slope(self.margins(X[held_back]), y[held_back])
        self._fit_margins(X, y)
        self.classes_, self.n_features_in_ = np.arange(10), X.shape[1]
        return self

    def _fit_margins(self, X: Floats, y: Labels) -> None:
        machine = SVC(C=self.C, gamma=self.gamma, decision_function_shape="ovo", cache_size=1000, random_state=0).fit(
            X, y
        )
        self.support_vectors_ = machine.support_vectors_.astype(np.float32)
        self.weights_ = _pair_weights(machine).astype(np.float32).astype(np.float64)  # ONNX keeps them as float32
        self.intercept_ = machine.intercept_

    def margins(self, X: Floats) -> NDArray[np.float64]:
        """The margin of each pair's machine for X (n, d): (n, 45), above 0 for the first class of the pair."""
        lengths = (self.support_vectors_**2).sum(axis=1)
        found = np.empty((len(X), len(PAIRS)))
        for start in range(0, len(X), BLOCK):
            rows = np.asarray(X[start : start + BLOCK], np.float32)
            squares = (rows**2).sum(axis=1, keepdims=True) - 2 * (rows @ self.support_vectors_.T) + lengths
            kernel = np.exp(np.float32(-self.gamma) * squares.clip(0))
            found[start : start + BLOCK] = kernel.astype(np.float64) @ self.weights_ + self.intercept_
        return found

    def predict_proba(self, X: Floats) -> NDArray[np.float64]:
        """Probabilities (n, 10)."""
        proba: NDArray[np.float64] = softmax(_coupled(self.margins(X), self.slope_), axis=1)
        return proba


class GreyLevels(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn pixels from 0 to 1 back into whole grey levels from 0 to 255.

    Whole numbers are exact in float32, so a tree's threshold between two of them splits alike on every machine.
    """

    def fit(self, X: Floats, y: Labels | None = None) -> Self:  # noqa: ARG002 - scikit-learn passes y
        """Nothing is learnt; keeps the number of features."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Floats) -> NDArray[np.float32]:
        """Pixels (n, 784) from 0 to 1 -> whole numbers float32 (n, 784) from 0 to 255."""
        levels: NDArray[np.float32] = np.rint(np.asarray(X, np.float32) * 255)
        return levels


class BlockSums(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Sums of grey levels: of each block of 2x2 and of 4x4 pixels, of each row and of each column.

    Boosting examines every feature for every tree: these 301 sums carry nearly all the information of the 784 pixels,
    with less noise.
    """

    def fit(self, X: Floats, y: Labels | None = None) -> Self:  # noqa: ARG002 - scikit-learn passes y
        """Set `matrix_` (784, 301) of zeros and ones."""
        self.matrix_ = _block_matrix()
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Floats) -> NDArray[np.float32]:
        """Grey levels (n, 784) -> sums float32 (n, 301): exact, because whole numbers."""
        return np.asarray(X, np.float32) @ self.matrix_


def steps_of(estimator: Any) -> list[Any]:
    """The steps of a pipeline, or the estimator alone."""
    return [step for _, step in estimator.steps] if isinstance(estimator, Pipeline) else [estimator]


PAIRS = tuple(combinations(range(10), 2))  # in the order of libsvm's machines


def pair_signs() -> NDArray[np.float64]:
    """1 where a machine votes for a class, -1 where it votes against it, else 0: (45, 10)."""
    signs = np.zeros((len(PAIRS), 10))
    for machine, (first, second) in enumerate(PAIRS):
        signs[machine, first], signs[machine, second] = 1, -1
    return signs


def _coupled(margins: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
    """The logarithm of the product over the machines, up to a constant: (n, 10)."""
    signs = pair_signs()
    return log_expit(slope * margins) @ (signs > 0) + log_expit(-slope * margins) @ (signs < 0)


def _best_slope(margins: NDArray[np.float64], y: Labels) -> float:
    """The slope with the lowest log loss on digits that the machines were not trained on."""

    def loss(log_slope: float) -> float:
        return -float(log_softmax(_coupled(margins, np.exp(log_slope)), axis=1)[np.arange(len(y)), y].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(SLOPES[0]), np.log(SLOPES[1])), method="bounded").x))


def _first_third(y: Labels) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the first third of each class and of the rest: MNIST mostly lists the digits of a writer together."""
    order = np.argsort(y, kind="stable")
    counts = np.bincount(y, minlength=10)
    rank = np.empty(len(y), int)
    rank[order] = np.concatenate([np.arange(count) for count in counts])
    part = rank < -(-counts[y] // 3)
    return np.flatnonzero(part), np.flatnonzero(~part)[:HELD_BACK]


def _pair_weights(machine: SVC) -> NDArray[np.float64]:
    """libsvm's coefficients as a matrix (support vectors, 45): a vector takes part in its class's nine machines."""
    classes = np.repeat(np.arange(10), machine.n_support_)
    weights = np.zeros((len(classes), len(PAIRS)))
    for pair, (first, second) in enumerate(PAIRS):
        weights[classes == first, pair] = machine.dual_coef_[second - 1, classes == first]
        weights[classes == second, pair] = machine.dual_coef_[first, classes == second]
    return weights


def _block_matrix() -> NDArray[np.float32]:
    pixels = np.eye(784, dtype=np.float32).reshape(784, 28, 28)
    blocks = [pixels.reshape(784, 28 // side, side, 28 // side, side).sum(axis=(2, 4)) for side in (2, 4)]
    sums = [*blocks, pixels.sum(axis=2), pixels.sum(axis=1)]
    return np.hstack([each.reshape(784, -1) for each in sums])
