"""The published figures, and the command that makes them anew."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import LONG, ROOT
from mnistry.models.recipes import RECIPES
from mnistry.reports import published


def test_every_recipe_has_a_row_with_as_many_runs_as_a_comparison_makes():
    rows = published.measured()["rows"]
    assert {row["recipe"]: row["runs"] for row in rows} == {name: recipe.seeds for name, recipe in RECIPES.items()}
    assert {row["recipe"]: row["parameters"] for row in rows if RECIPES[row["recipe"]].parameters} == {
        name: recipe.parameters for name, recipe in RECIPES.items() if recipe.parameters
    }


def test_what_others_have_reached_names_its_protocol_and_source():
    for row in published.others():
        assert row["name"]
        assert row["protocol"]
        assert row["source"].startswith("https://")
        assert 90 < row["accuracy"] < 100


def test_two_standard_errors_are_worked_by_hand():
    row = {"recipe": "cnn", "accuracy": 0.9950, "accuracy_std": 0.0004, "runs": 4}
    published_row = {"accuracy": 99.48, "std": 0.03, "runs": 9}
    told = published.agreement(row, published_row, 10_000)
    assert told["standard_error"] == pytest.approx(math.sqrt(0.02**2 + 0.01**2), abs=0.001)  # 0.0224
    assert told["difference"] == pytest.approx(0.02)
    assert told["agrees"]
    assert published.agreement(row | {"accuracy": 0.9952}, published_row, 10_000)["agrees"]  # 0.04 < 0.0447 + 0.005
    assert not published.agreement(row | {"accuracy": 0.9954}, published_row, 10_000)["agrees"]  # 0.06
    assert not published.agreement(row | {"accuracy": 0.9942}, published_row, 10_000)["agrees"]  # -0.06


def test_of_a_single_run_only_the_binomial_error_is_known():
    row = {"recipe": "ensemble", "accuracy": 0.9970, "accuracy_std": None, "runs": 1}
    told = published.agreement(row, {"accuracy": 99.70, "std": None, "runs": 1}, 10_000)
    assert told["standard_error"] == pytest.approx(100 * math.sqrt(2 * 0.997 * 0.003 / 10_000), abs=0.001)


def test_an_ensemble_costs_what_its_members_cost():
    rows = [{"recipe": "best", "runs": 3, "fit_seconds": 10}, {"recipe": "ensemble", "runs": 1, "fit_seconds": 99}]
    assert published.fit_seconds(rows) == 30


def reproduce(folder: Path, *recipes: str) -> "subprocess.CompletedProcess[str]":
    """The command, on the stand-in, with its own table."""
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "reproduce.py", *recipes, "--out", folder / "runs", "--published",
         folder / "table.json"],
        capture_output=True, text=True, timeout=LONG, check=False, env=os.environ,
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_trains_anew_and_says_which_rows_agree(tmp_path: Path):
    row = {"std": None, "runs": 1, "fit_seconds": 300}
    table = {
        "dataset": "digits", "date": "2026-11-24", "machine": "2 cores", "conditions": "alone",
        "rows": [{"recipe": "knn", "accuracy": 50.0, **row}, {"recipe": "pca-svm", "accuracy": 50.0, **row}],
    }  # fmt: skip
    (tmp_path / "table.json").write_text(json.dumps({"measured": table}))
    first = reproduce(tmp_path)
    assert first.returncode == 1, first.stderr
    assert first.stdout.startswith("2 runs of 2 recipes. One after the other their fits took 10 minutes")
    told = json.loads(first.stdout.splitlines()[-1])
    assert [row["agrees"] for row in told["rows"]] == [False, False]
    assert first.stderr.count("Training ") == 2
    for row in table["rows"]:
        row["accuracy"] = next(r["measured"] for r in told["rows"] if r["recipe"] == row["recipe"])
    (tmp_path / "table.json").write_text(json.dumps({"measured": table}))
    again = reproduce(tmp_path, "knn")
    assert again.returncode == 0, again.stderr
    assert "1 of 1 rows agree" in again.stdout
    assert "Every run is finished already" in again.stderr
    none = reproduce(tmp_path, "svm")
    assert none.returncode == 1
    assert none.stderr == "reproduce: The published table has no row svm.\n"
