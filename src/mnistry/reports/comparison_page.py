"""A comparison as a page to look at: comparison.html, one self-contained file."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from mnistry.data.dataset import Dataset
from mnistry.reports import figures, pages, published
from mnistry.reports.statistics import Comparison

PICTURES = {
    "parameters": "parameters",
    "fit_seconds": "seconds to fit",
    "microseconds": "microseconds an image, one thread",
}
SHOWN = 120  # of the mistakes that all share
WORST_WRITERS, BEST_WRITERS = 12, 5
WITH_DIGITS = 4  # of the worst writers, whose digits are shown


def draw(comparison: Comparison) -> dict[str, Figure]:
    """Accuracy against parameters, seconds to fit and microseconds an image, by the key of a row."""
    rows, anchors = comparison.rows, _anchors(comparison)
    return {key: figures.accuracy_against(rows, key, label, anchors) for key, label in PICTURES.items()}


def _anchors(comparison: Comparison) -> list[dict[str, Any]]:
    """What others have published, as rows of a drawing; nothing where the comparison is not on MNIST."""
    unknown: dict[str, Any] = dict.fromkeys(PICTURES)
    return [
        unknown | {"recipe": row["short"], "family": "published", "parameters": row["parameters"],
                   "accuracy": row["accuracy"] / 100, "accuracy_std": row["std"] and row["std"] / 100}
        for row in published.others() if row["honest"] and comparison.about["dataset"] == "mnist"
    ]  # fmt: skip


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
        beside=_beside(comparison),
        writers=_writers(comparison.writers, data) if comparison.writers else None,
    )


def _beside(comparison: Comparison) -> list[dict[str, Any]]:
    """Published figures and those of our networks in one table, the highest first; in percent."""
    if comparison.about["dataset"] != "mnist":
        return []
    ours = [
        {"name": row["recipe"], "what": row["summary"], "accuracy": 100 * row["accuracy"],
         "std": row["accuracy_std"] and 100 * row["accuracy_std"], "parameters": row["parameters"], "honest": True,
         "protocol": "one run" if row["runs"] == 1 else f"mean of {row['runs']} seeds, each after its last epoch",
         "source": None}
        for row in comparison.rows if row["family"] == "neural"
    ]  # fmt: skip
    return sorted([*ours, *published.others()], key=lambda row: (not row["honest"], -row["accuracy"]))


def _writers(found: Mapping[str, Any], data: Dataset) -> dict[str, Any]:
    """The writers who are read worst, the first of them with their digits, and those who are read best."""
    worst = [row for row in found["writers"][:WORST_WRITERS] if any(row["errors"].values())]
    digits = [
        row | {"digits": [(figures.digit_png(data.test_images[i]), int(data.test_labels[i]), i in row["missed"])
                          for i in row["indices"]]}
        for row in worst[:WITH_DIGITS]
    ]  # fmt: skip
    return {**found, "worst": worst, "digits": digits, "best": found["writers"][::-1][:BEST_WRITERS]}


def _by_answer(read_as: Mapping[str, int]) -> list[dict[str, Any]]:
    """Which recipes read what, the answer of most first."""
    answers: dict[int, list[str]] = {}
    for name, digit in read_as.items():
        answers.setdefault(digit, []).append(name)
    return [{"digit": d, "recipes": r} for d, r in sorted(answers.items(), key=lambda pair: -len(pair[1]))]


def _mistakes(confusion: list[list[float]]) -> list[float]:
    return [n for truth, row in enumerate(confusion) for read, n in enumerate(row) if truth != read]
