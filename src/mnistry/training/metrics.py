"""How good probabilities are against the truth, as a plain dictionary that JSON can hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import sklearn.metrics
from numpy.typing import NDArray
from scipy.stats import binomtest

from mnistry.settings import MnistryError

CLASSES = 10
ECE_BINS = 15
BOOTSTRAPS = 4000
FLOOR = 1e-12  # a probability of exactly 0 would make the loss infinite


def evaluate(
    proba: NDArray[np.floating[Any]],
    y: NDArray[np.integer[Any]],
    parts: Mapping[str, NDArray[np.integer[Any]]] | None = None,
) -> dict[str, Any]:
    """Measure probabilities (n, 10) against labels (n,).

    Returns n, accuracy with its 95 % interval, nll (the cross-entropy loss, nats), brier, ece, the confusion matrix
    (row = truth), per_class (precision, recall, f1, support), reliability (the bins behind ece), mistakes
    (worst first) and, for each named part of the indices, its n, accuracy, interval and errors.
    Raises MnistryError if the shapes do not fit or n is 0.
    """
    proba, y = np.asarray(proba, np.float64), np.asarray(y)
    if proba.ndim != 2 or proba.shape[1] != CLASSES or y.shape != (len(proba),) or not len(y):
        raise MnistryError(
            f"Metrics take probabilities (n, 10) and labels (n,) with n > 0, not {proba.shape} and {y.shape}."
        )
    if y.min() < 0 or y.max() >= CLASSES:
        raise MnistryError(f"Labels are 0 to 9, not {y.min()} to {y.max()}.")
    predicted = proba.argmax(axis=1)
    bins = reliability(proba, y)
    return {
        "n": len(y),
        **accuracy_of(predicted == y),
        # Not by log_loss, which cuts at another number and refuses float32 rows that sum to 1 within its rounding.
        "nll": float(-np.log(proba[np.arange(len(y)), y].clip(FLOOR)).mean()),
        "brier": float(((proba - np.eye(CLASSES)[y]) ** 2).sum(axis=1).mean()),
        "ece": sum(b["n"] * abs(b["accuracy"] - b["confidence"]) for b in bins) / len(y),
        "confusion": confusion_matrix(y, predicted).tolist(),
        "per_class": _per_class(y, predicted),
        "reliability": bins,
        "parts": {name: accuracy_of((predicted == y)[index]) for name, index in (parts or {}).items()},
        "mistakes": _mistakes(proba, predicted, y),
    }


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a share; holds near 1 too, where the usual interval does not (Wilson, 1927)."""
    interval = binomtest(right, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def accuracy_difference(first: NDArray[np.bool_], second: NDArray[np.bool_], seed: int = 0) -> dict[str, Any]:
    """How much more accurate the first model is than the second on the same digits, with a 95 % interval.

    `first` (runs, n) and `second` (other runs, n) say which digits each run read right. Digits and runs are both drawn
    with replacement, the same digits for both models, so that the interval covers other digits and other seeds (the
    pigeonhole bootstrap of Owen, 2007, which is rather too wide than too narrow; with one run of each model it agrees
    with McNemar's test). `distinguishable`: 0 is not in the interval. Raises MnistryError if the shapes do not fit.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or not first.size or not second.size:
        raise MnistryError(f"Two models are compared on the same digits, not {first.shape} and {second.shape}.")
    n, generator = first.shape[1], np.random.default_rng(seed)
    rights = np.vstack([first, second]).sum(axis=0)
    disputed = (rights > 0) & (rights < len(first) + len(second))  # on the others there is never a difference
    share = np.full(np.count_nonzero(disputed), 1 / n)
    times = generator.multinomial(n, [*share, 1 - share.sum()], BOOTSTRAPS)[:, :-1]  # (bootstraps, disputed)
    drawn = _redrawn(first[:, disputed], generator) - _redrawn(second[:, disputed], generator)
    low, high = np.quantile((drawn * times).sum(axis=1) / n, (0.025, 0.975)).tolist()
    difference = (int(first.sum()) * len(second) - int(second.sum()) * len(first)) / (len(first) * len(second) * n)
    return {"difference": difference, "interval": [low, high], "distinguishable": low > 0 or high < 0}


def _redrawn(right: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.float64]:
    """The share of runs that read each digit right, for runs drawn with replacement: (bootstraps, digits)."""
    runs = len(right)
    return generator.multinomial(runs, [1 / runs] * runs, BOOTSTRAPS) @ right / runs


def confusion_matrix(y: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """How often each truth (row) was read as each digit (column): (10, 10)."""
    return sklearn.metrics.confusion_matrix(y, predicted, labels=range(CLASSES))


def reliability(proba: NDArray[np.floating[Any]], y: NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
    """Filled bins of equal width of the highest probability: n, mean confidence and accuracy of each.

    The mean gap between the two, weighted by n, is the expected calibration error (Guo et al., 2017).
    """
    confidence, right = proba.max(axis=1), proba.argmax(axis=1) == y
    place = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return [
        {
            "low": k / ECE_BINS,
            "high": (k + 1) / ECE_BINS,
            "n": int(np.count_nonzero(place == k)),
            "confidence": float(confidence[place == k].mean()),
            "accuracy": float(right[place == k].mean()),
        }
        for k in np.unique(place).tolist()
    ]


def accuracy_of(right: NDArray[np.bool_]) -> dict[str, Any]:
    """n, accuracy with its 95 % interval, and errors of answers (n,) that are right or not; n > 0."""
    n, hits = len(right), int(np.count_nonzero(right))
    return {"n": n, "accuracy": hits / n, "accuracy_interval": list(wilson_interval(hits, n)), "errors": n - hits}


def by_writer(right: NDArray[np.bool_], writers: NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
    """What `accuracy_of` says of each writer's answers, with their `indices`, the worst read first.

    Of equals the one who wrote more comes first; those who are read without a mistake end with the one who wrote most.
    """
    places = {int(name): np.flatnonzero(writers == name) for name in np.unique(writers)}
    rows = [{"writer": name, **accuracy_of(right[i]), "indices": i.tolist()} for name, i in places.items()]
    return sorted(rows, key=lambda row: (row["accuracy"], row["n"] if not row["errors"] else -row["n"]))


def _per_class(y: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
    columns = sklearn.metrics.precision_recall_fscore_support(y, predicted, labels=range(CLASSES), zero_division=0)
    names = ("digit", "precision", "recall", "f1", "support")
    rows = zip(range(CLASSES), *(column.tolist() for column in columns), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _mistakes(
    proba: NDArray[np.floating[Any]], predicted: NDArray[np.int64], y: NDArray[np.integer[Any]]
) -> list[dict[str, Any]]:
    """Every wrong answer, the most confident first."""
    wrong = np.flatnonzero(predicted != y)
    order = wrong[np.argsort(-proba[wrong, predicted[wrong]], kind="stable")]
    return [
        {
            "index": int(i),
            "truth": int(y[i]),
            "predicted": int(predicted[i]),
            "probability": float(proba[i, predicted[i]]),
            "probability_of_truth": float(proba[i, y[i]]),
        }
        for i in order
    ]
