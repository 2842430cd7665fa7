"""Published figures, kept in published.json: what our own table says of each recipe, and what others have reached."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnistry.models.recipes import RECIPES

FILE = Path(__file__).with_name("published.json")
ERRORS = 2  # standard errors that two figures may lie apart and still agree
ROUNDING = 0.005  # points by which a figure of two decimals may be off


def measured(path: Path = FILE) -> dict[str, Any]:
    """Our table: `dataset`, `date`, `machine`, `conditions` and `rows`, the columns of which `mnistry compare` prints.

    Accuracies and their standard deviations over `runs` seeds are in percent.
    """
    table: dict[str, Any] = json.loads(path.read_text("utf-8"))["measured"]
    return table


def others() -> list[dict[str, Any]]:
    """What others have reached on MNIST: name, what it is, accuracy and deviation in percent, protocol and source.

    `honest` is false where the figure was chosen by the test digits, and `short` is the name in a drawing.
    """
    rows: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))["others"]
    return rows


def fit_seconds(rows: Sequence[Mapping[str, Any]]) -> float:
    """How long the fits of all runs of these rows took together; an ensemble's are those of its members."""
    return sum(row["fit_seconds"] * row["runs"] for row in rows if "members" not in RECIPES[row["recipe"]].settings)


def agreement(row: Mapping[str, Any], published: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Whether a row of a new comparison agrees with the published one, on `n` test digits; figures in percent.

    They agree when they differ by no more than two standard errors of their difference, and the rounding of the
    published figure. Each recipe's deviation over its seeds, divided by the root of their number, is its standard
    error; of a single run nothing is known but the binomial one, which is larger.
    """
    accuracy, spread = 100 * row["accuracy"], row["accuracy_std"]
    deviations = [(published["accuracy"], published["std"], published["runs"])]
    deviations.append((accuracy, None if spread is None else 100 * spread, row["runs"]))
    error = math.hypot(*(_standard_error(*one, n) for one in deviations))
    difference = accuracy - published["accuracy"]
    return {
        "recipe": row["recipe"],
        "published": published["accuracy"],
        "measured": round(accuracy, 3),
        "difference": round(difference, 3),
        "standard_error": round(error, 3),
        "agrees": abs(difference) <= ERRORS * error + ROUNDING,
    }


def _standard_error(accuracy: float, deviation: float | None, runs: int, n: int) -> float:
    if deviation is None:
        return 100 * math.sqrt(accuracy / 100 * (1 - accuracy / 100) / n)
    return deviation / math.sqrt(runs)
