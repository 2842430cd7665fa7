"""How good probabilities are against the truth, as a plain dictionary that JSON can hold."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.settings import MnistryError

CLASSES = 10
Z95 = 1.959963984540054  # 97.5 % point of the normal distribution
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
    confusion = confusion_matrix(y, predicted)
    bins = reliability(proba, y)
    return {
        "n": len(y),
        **_accuracy(predicted == y),
        "nll": float(-np.log(proba[np.arange(len(y)), y].clip(FLOOR)).mean()),
        "brier": float(((proba - np.eye(CLASSES)[y]) ** 2).sum(axis=1).mean()),
        "ece": sum(b["n"] * abs(b["accuracy"] - b["confidence"]) for b in bins) / len(y),
        "confusion": confusion.tolist(),
        "per_class": _per_class(confusion),
        "reliability": bins,
        "parts": {name: _accuracy((predicted == y)[index]) for name, index in (parts or {}).items()},
        "mistakes": _mistakes(proba, predicted, y),
    }


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion; holds near 1, where the usual one does not (Wilson, 1927)."""
    share, extra = right / n, Z95**2 / n
    centre = (share + extra / 2) / (1 + extra)
    half = Z95 * math.sqrt(share * (1 - share) / n + extra / (4 * n)) / (1 + extra)
    return max(0.0, centre - half), min(1.0, centre + half)


def accuracy_difference(first: NDArray[np.bool_], second: NDArray[np.bool_], seed: int = 0) -> dict[str, Any]:
    """By how much one model is the more accurate on the same digits, with a 95 % interval.

    `first` (runs, n) and `second` (other runs, n) say which digits each run read right. Digits and runs are both drawn
    anew with replacement, the same digits for both models, so that the interval speaks of other digits and other seeds
    (the pigeonhole bootstrap of Owen, 2007, which errs on the side of caution; with one run a model it agrees with
    McNemar's test). `distinguishable`: the interval leaves out 0. Raises MnistryError if the shapes do not fit.
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
    """The share of right runs for each digit, with the runs drawn anew each time: (bootstraps, digits)."""
    runs = len(right)
    return generator.multinomial(runs, [1 / runs] * runs, BOOTSTRAPS) @ right / runs


def confusion_matrix(y: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """How often each truth (row) was read as each digit (column): (10, 10)."""
    return np.bincount(y * CLASSES + predicted, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


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


def _accuracy(right: NDArray[np.bool_]) -> dict[str, Any]:
    n, hits = len(right), int(np.count_nonzero(right))
    return {"n": n, "accuracy": hits / n, "accuracy_interval": list(wilson_interval(hits, n)), "errors": n - hits}


def _per_class(confusion: NDArray[np.int64]) -> list[dict[str, Any]]:
    rows = []
    for k in range(CLASSES):
        hits, read, true = (int(x) for x in (confusion[k, k], confusion[:, k].sum(), confusion[k].sum()))
        precision, recall = hits / read if read else 0.0, hits / true if true else 0.0
        f1 = 2 * hits / (read + true) if read + true else 0.0
        rows.append({"digit": k, "precision": precision, "recall": recall, "f1": f1, "support": true})
    return rows


def _mistakes(
    proba: NDArray[np.floating[Any]], predicted: NDArray[np.int64], y: NDArray[np.integer[Any]]
) -> list[dict[str, Any]]:
    """Every wrong answer, the surest first."""
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
