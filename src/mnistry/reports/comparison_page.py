"""A comparison as a page to look at: comparison.html, one self-contained file."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from mnistry.data.dataset import Dataset
from mnistry.reports import figures, pages
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
    shared = [
        digit
        | {"picture": figures.digit_png(data.test_images[digit["index"]]), "answers": _by_answer(digit["read_as"])}
        for digit in comparison.shared[:SHOWN]
    ]
    most = max((n for row in comparison.rows for n in _mistakes(row["confusion"])), default=1)
    return pages.render(
        "comparison",
        comparison=comparison,
        rows=comparison.rows,
        against=[*comparison.pairs, None],
        svg={key: figures.to_svg(figure) for key, figure in pictures.items()},
        shared=shared,
        most=max(most, 1),
    )


def _by_answer(read_as: Mapping[str, int]) -> list[dict[str, Any]]:
    """Which recipes read what, the answer of most first."""
    answers: dict[int, list[str]] = {}
    for name, digit in read_as.items():
        answers.setdefault(digit, []).append(name)
    return [{"digit": d, "recipes": r} for d, r in sorted(answers.items(), key=lambda pair: -len(pair[1]))]


def _mistakes(confusion: list[list[float]]) -> list[float]:
    return [n for truth, row in enumerate(confusion) for read, n in enumerate(row) if truth != read]
