"""A comparison as a page to look at: comparison.html, one self-contained file."""

import math
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from mnistry.data.dataset import Dataset
from mnistry.reports import figures
from mnistry.reports.statistics import Comparison

PICTURES = {
    "parameters": "parameters",
    "fit_seconds": "seconds to fit",
    "microseconds": "microseconds an image, one thread",
}
SHOWN = 120  # of the mistakes that all share


def draw(comparison: Comparison) -> dict[str, Figure]:
    """Accuracy against parameters, seconds to fit and microseconds an image, by the key of a row."""
    return {key: figures.accuracy_against(comparison.rows, key, label) for key, label in PICTURES.items()}


def render(comparison: Comparison, data: Dataset, pictures: Mapping[str, Figure]) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("mnistry", "reports/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"points": points, "size": size, "number": number, "strength": strength}
    shared = [
        digit
        | {"picture": figures.digit_png(data.test_images[digit["index"]]), "answers": _by_answer(digit["read_as"])}
        for digit in comparison.shared[:SHOWN]
    ]
    most = max((n for row in comparison.rows for n in _mistakes(row["confusion"])), default=1)
    return environment.get_template("comparison.html.jinja").render(
        comparison=comparison,
        rows=comparison.rows,
        against=[*comparison.pairs, None],
        svg={key: figures.to_svg(figure) for key, figure in pictures.items()},
        shared=shared,
        most=max(most, 1),
    )


def points(share: float) -> str:
    """A share as percent, or a difference as points."""
    return f"{100 * share:.2f}"


def size(n: int) -> str:
    """A file's bytes for people."""
    return f"{n / 1000:.0f} KB" if n < 1e6 else f"{n / 1e6:.1f} MB"


def number(value: float) -> str:
    """A duration or another positive figure with the digits that mean something."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def strength(n: float, most: float) -> float:
    """How strongly n > 0 mistakes are coloured, from 0.15 for one in a run or less to 1 for the most."""
    return 0.15 + 0.85 * max(math.log(n), 0.0) / max(math.log(most), 1.0)


def _by_answer(read_as: Mapping[str, int]) -> list[dict[str, Any]]:
    """Which recipes read what, the answer of most first."""
    answers: dict[int, list[str]] = {}
    for name, digit in read_as.items():
        answers.setdefault(digit, []).append(name)
    return [{"digit": d, "recipes": r} for d, r in sorted(answers.items(), key=lambda pair: -len(pair[1]))]


def _mistakes(confusion: list[list[float]]) -> list[float]:
    return [n for truth, row in enumerate(confusion) for read, n in enumerate(row) if truth != read]
