"""A comparison as rows, CSV, LaTeX and a DataFrame, and the difference of any two of its recipes."""

import csv
import io
import sys
import types
from pathlib import Path

import pytest

from mnistry.reports.statistics import Comparison
from mnistry.settings import MnistryError
from mnistry.training.runs import Run


def row(name: str, accuracy: float, std: float | None) -> dict[str, object]:
    return {
        "recipe": name, "family": "neural", "runs": 1 if std is None else 3, "accuracy": accuracy, "accuracy_std": std,
        "nll": 0.123456, "ece": 0.0123456, "parameters": None if std is None else 101_770, "model_bytes": 40_123,
        "fit_seconds": 12.3456, "energy_joules": None if std is None else 812.3, "peak_memory_mb": 901.5,
        "microseconds": 1.23456,
    }  # fmt: skip


def pair(better: str, worse: str, difference: float) -> dict[str, object]:
    interval = [difference - 0.01, difference + 0.02]
    return {
        "better": better, "worse": worse, "difference": difference, "interval": interval, "distinguishable": False
    }  # fmt: skip


@pytest.fixture
def comparison() -> Comparison:
    pairs = [pair("a", "b_2", 0.004), pair("b_2", "c", 0.003)]
    rows = [row("a", 0.98765, 0.00123), row("b_2", 0.98365, None), row("c", 0.98065, None)]
    return Comparison({}, rows, pairs, [], [], [], [], [*pairs, pair("a", "c", 0.007)])


def test_any_two_recipes_have_a_difference_with_an_interval_in_either_order(comparison: Comparison):
    found = {"difference": 0.007, "interval": [pytest.approx(-0.003), pytest.approx(0.027)], "distinguishable": False}
    assert comparison.between("a", "c") == found
    assert comparison.between("c", "a")["difference"] == -0.007
    assert comparison.between("c", "a")["interval"] == pytest.approx([-0.027, 0.003])
    with pytest.raises(MnistryError, match="no pair of 'a' and 'x': expected two of a, b_2, c"):
        comparison.between("a", "x")


def test_csv_is_exact_or_rounded_to_what_means_something(comparison: Comparison):
    exact, rounded = (list(csv.DictReader(io.StringIO(comparison.to_csv(r)))) for r in (False, True))
    assert (exact[0]["nll"], rounded[0]["nll"]) == ("0.123456", "0.1235")
    assert (rounded[0]["accuracy"], rounded[0]["accuracy_std"], rounded[1]["accuracy_std"]) == ("0.9877", "0.0012", "")
    assert (rounded[0]["fit_seconds"], rounded[0]["microseconds"]) == ("12.3", "1.23")
    assert (rounded[0]["next_low"], rounded[2]["next_low"]) == ("-0.006", "")
    assert exact[0].keys() == rounded[0].keys()
    assert (rounded[0]["energy_joules"], rounded[1]["energy_joules"], rounded[0]["peak_memory_mb"]) == (
        "812.0", "", "902.0"
    )  # fmt: skip


def test_latex_has_a_line_a_recipe_and_no_bare_sign_of_latex(comparison: Comparison):
    lines = comparison.to_latex().splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrr}"
    assert r"a & 98.77 $\pm$ 0.12 & 3 & 0.1235 & 0.0123 & 101,770 & 1.2 \\" in lines
    assert any(line.startswith(r"b\_2 & 98.36 & 1 &") or line.startswith(r"b\_2 & 98.37 & 1 &") for line in lines)
    assert all(line.count("&") in (0, 6) for line in lines)


def test_a_data_frame_is_made_of_the_same_rows(comparison: Comparison, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=lambda rows: ("frame", rows)))
    assert comparison.to_frame() == ("frame", comparison.to_rows())
    history = [{"epoch": 1.0, "loss": 0.5}]
    assert Run(Path(), {}, history, {}).history_frame() == ("frame", history)


def test_without_pandas_a_sentence_says_what_to_install(comparison: Comparison, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MnistryError, match="pip install pandas"):
        comparison.to_frame()
