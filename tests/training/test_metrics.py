"""Metrics against scikit-learn and against cases worked by hand."""

import json
import math

import numpy as np
import pytest

from mnistry.settings import MnistryError
from mnistry.training.metrics import evaluate, wilson_interval


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 10, 500)
    logits = generator.normal(size=(500, 10)) + 2.5 * np.eye(10)[y]
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32), y


def test_the_figures_are_scikit_learns(answers):
    from sklearn import metrics as oracle

    proba, y = answers
    figures, predicted = evaluate(proba, y), proba.argmax(axis=1)
    assert figures["accuracy"] == oracle.accuracy_score(y, predicted)
    assert figures["nll"] == pytest.approx(oracle.log_loss(y, proba), rel=1e-5)
    assert figures["confusion"] == oracle.confusion_matrix(y, predicted).tolist()
    assert figures["brier"] == pytest.approx(oracle.brier_score_loss(y, proba, scale_by_half=False), rel=1e-5)
    report = oracle.classification_report(y, predicted, output_dict=True)
    for row in figures["per_class"]:
        expected = report[str(row["digit"])]
        assert (row["precision"], row["recall"], row["support"]) == (
            pytest.approx(expected["precision"]), pytest.approx(expected["recall"]), expected["support"],
        )  # fmt: skip
        assert row["f1"] == pytest.approx(expected["f1-score"])


def test_the_interval_is_wilsons():
    low, high = wilson_interval(99, 100)  # by hand: centre (0.99 + 0.01921) / 1.03842
    assert (low, high) == (pytest.approx(0.9455, abs=5e-4), pytest.approx(0.9982, abs=5e-4))
    assert wilson_interval(10, 10)[1] == pytest.approx(1.0)
    assert wilson_interval(0, 10)[0] == 0.0


def test_calibration_error_worked_by_hand():
    proba = np.full((4, 10), 0.0)
    proba[:, 0], proba[:, 1] = 0.75, 0.25
    figures = evaluate(proba, np.array([0, 0, 0, 1]))  # three of four right at 0.75
    assert figures["ece"] == pytest.approx(0.0)
    assert evaluate(proba, np.array([0, 0, 0, 0]))["ece"] == pytest.approx(0.25)
    assert figures["reliability"] == [{"low": 11 / 15, "high": 12 / 15, "n": 4, "confidence": 0.75, "accuracy": 0.75}]


def test_mistakes_come_with_the_surest_first():
    proba = np.array([[0.9] + [0.1] + [0] * 8, [0.6] + [0.4] + [0] * 8, [0.7] + [0.3] + [0] * 8])
    mistakes = evaluate(proba, np.array([1, 1, 0]))["mistakes"]
    assert [m["index"] for m in mistakes] == [0, 1]
    assert mistakes[0] == {
        "index": 0, "truth": 1, "predicted": 0, "probability": 0.9, "probability_of_truth": 0.1,
    }  # fmt: skip


def test_parts_are_measured_by_their_indices(answers):
    proba, y = answers
    right = proba.argmax(axis=1) == y
    part = evaluate(proba, y, {"tail": np.arange(400, 500)})["parts"]["tail"]
    assert (part["n"], part["accuracy"], part["errors"]) == (100, right[400:].mean(), int((~right[400:]).sum()))


def test_everything_is_strict_json_even_with_a_probability_of_zero():
    figures = evaluate(np.eye(10)[[0, 1]], np.array([0, 2]))
    assert math.isfinite(figures["nll"])
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


@pytest.mark.parametrize(
    ("proba", "y"),
    [
        (np.ones((2, 9)), np.zeros(2, int)),
        (np.ones((2, 10)), np.zeros(3, int)),
        (np.ones((0, 10)), np.zeros(0, int)),
        (np.ones((1, 10)), np.array([10])),
    ],
)
def test_what_does_not_fit_is_refused(proba, y):
    with pytest.raises(MnistryError, match=r"Metrics take|Labels are 0 to 9"):
        evaluate(proba, y)
