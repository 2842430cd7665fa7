"""How much each answer counts in a reading: fitted on scenes with known answers, by maximum likelihood."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.models.locator.targets import SceneLike
from mnistry.reading.learned import LearnedReader, Opinions, Trust, digit_logits, label_logits, stands_logits
from mnistry.reading.verifier import NOTHING, SIGN
from mnistry.training.locator.crops import labelled

Floats = NDArray[np.float32]

CAUTION = 0.5  # taken off the logit that something stands somewhere; with 1 more plain 1s were lost in pictures
SURER = 1.25  # times as sure as in scenes, which are harder to read than what people show


def fit_trust(reader: LearnedReader, scenes: Iterable[SceneLike]) -> Trust:
    """The trust that makes the answers to what `reader` finds in scenes most probable, but for CAUTION and SURER."""
    heard, labels = answers(reader, scenes)
    features = stands_logits(heard.context, heard.sure, heard.verified)
    bias, *weights = _logistic(features, labels != NOTHING)
    there, digits = np.flatnonzero(labels != NOTHING), np.flatnonzero(labels < SIGN)
    digit = _logistic([one[there] for one in digit_logits(heard)], labels[there] < SIGN)
    exponents = _exponents(label_logits(heard)[digits], labels[digits])
    fits = (bias - CAUTION, *weights), digit, exponents
    stands, digit, exponents = (tuple(round(SURER * one, 3) for one in fit) for fit in fits)
    return replace(Trust(), stands=stands, digit=digit, labels=exponents)


def answers(reader: LearnedReader, scenes: Iterable[SceneLike]) -> tuple[Opinions, NDArray[np.int64]]:
    """What is said of all that `reader` finds in scenes, and what it is, (n,), 0 to 12; what nobody can name is not."""
    heard: list[Opinions] = []
    labels: list[NDArray[np.int64]] = []
    for scene in scenes:
        found = reader.find(Image.fromarray(scene.image))
        true, known = labelled(found.candidates.boxes, scene)
        heard.append(Opinions(**{name: values[known] for name, values in vars(found.heard).items()}))
        labels.append(true[known])
    together = {name: np.concatenate([vars(one)[name] for one in heard]) for name in vars(heard[0])}
    return Opinions(**together), np.concatenate(labels)


def _logistic(logits: Iterable[Floats], true: NDArray[np.bool_]) -> tuple[float, ...]:
    """Bias and weights, none of them below 0: no answer counts against itself."""
    features = np.stack([np.ones(len(true), np.float32), *logits], axis=1).astype(np.float64)

    def loss(weights: NDArray[np.float64]) -> tuple[float, Any]:
        total = features @ weights
        wrong = 1 / (1 + np.exp(-total)) - true
        return float(np.mean(np.logaddexp(0, total) - true * total)), features.T @ wrong / len(true)

    return _least(loss, features.shape[1], [(None, None)] + [(0, None)] * (features.shape[1] - 1))


def _exponents(logits: Floats, labels: NDArray[np.int64]) -> tuple[float, ...]:
    values, rows = logits.astype(np.float64), np.arange(len(labels))

    def loss(weights: NDArray[np.float64]) -> tuple[float, Any]:
        mixed = values @ weights
        mixed -= mixed.max(axis=1, keepdims=True)
        proba = np.exp(mixed)
        proba /= proba.sum(axis=1, keepdims=True)
        gradient = (proba[:, :, None] * values).sum(axis=1) - values[rows, labels]
        return float(-np.log(proba[rows, labels] + 1e-12).mean()), gradient.mean(axis=0)

    return _least(loss, values.shape[2], [(0, None)] * values.shape[2])


def _least(loss: Any, n: int, bounds: list[tuple[float | None, float | None]]) -> tuple[float, ...]:
    from scipy.optimize import minimize

    found = minimize(loss, np.full(n, 0.3), jac=True, bounds=bounds, method="L-BFGS-B")
    return tuple(round(float(weight), 3) for weight in found.x)
