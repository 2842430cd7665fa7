"""A finished run as a page to look at: report.html, one self-contained file, and its pictures as PNG files."""

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mnistry.data.dataset import Dataset, load
from mnistry.reading.reader import Reader
from mnistry.reading.saliency import occlusion, overlay
from mnistry.reports import figures, pages
from mnistry.settings import MnistryError
from mnistry.training.runs import Run, writing

RANDOM = 15  # predictions in the grid
WORST = 25  # mistakes in the PNG; the page shows every one
EXPLAINED = 60  # mistakes with a picture that says why: each takes a twentieth of a second


def write_report(run: Run, data: Dataset | None = None) -> Path:
    """Write report.html and the PNG files into the run's folder and return the page's path.

    The data set of the run is loaded for the digits that are shown. Raises MnistryError.
    """
    data = data or load(run.info["dataset"], _split(run), run.info["split_seed"])
    if data.sha256 != run.info["dataset_sha256"]:
        raise MnistryError(f"{run.folder} was trained on another version of {data.name}: train it again.")
    proba = run.test_probabilities
    pictures = draw(run, data, proba)
    page = render(run, data, proba, {name: figures.to_svg(figure) for name, figure in pictures.items()})
    with writing(run.folder, replace=True) as draft:
        for name, figure in pictures.items():
            figures.save_png(figure, draft.path / f"{name}.png")
        (draft.path / "report.html").write_text(page, "utf-8")
    return run.folder / "report.html"


def draw(run: Run, data: Dataset, proba: NDArray[np.float32]) -> dict[str, Figure]:
    """The pictures of the report by name."""
    labels = {"training": data.train_labels, "validation": data.validation_labels, "test": data.test_labels}
    some = np.random.default_rng(run.info["seed"]).choice(len(data.test_labels), RANDOM, replace=False)
    worst = [mistake["index"] for mistake in run.metrics["mistakes"][:WORST]]
    drawn = {
        "samples": figures.samples(data.train_images, data.train_labels),
        "class_counts": figures.class_counts({name: y for name, y in labels.items() if len(y)}),
        "confusion": figures.confusion(run.metrics["confusion"]),
        "first_five": _predictions(data, proba, np.arange(5)),
        "predictions": _predictions(data, proba, some),
        "reliability": figures.reliability(run.metrics["reliability"]),
    }
    if len(run.history) > 1:
        drawn |= {key: figures.curve(run.history, key) for key in ("accuracy", "loss")}
    if worst:
        drawn["mistakes"] = _predictions(data, proba, np.array(worst))
    return drawn


def render(run: Run, data: Dataset, proba: NDArray[np.float32], svg: Mapping[str, str]) -> str:
    """The page as HTML."""
    return pages.render(
        "report",
        info=run.info,
        metrics=run.metrics,
        history=run.history,
        svg=svg,
        mistakes=_mistakes(run, data, proba),
        explained=EXPLAINED,
    )


def _mistakes(run: Run, data: Dataset, proba: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Every mistake with its picture, its probabilities and, for the first, a picture that says why."""
    mistakes, wrong_labels = run.metrics["mistakes"], set(data.wrong_test_labels)
    first = [mistake["index"] for mistake in mistakes[:EXPLAINED]]
    drops = occlusion(Reader(run.model), data.test_images[first], proba[first].argmax(axis=1))
    reasons = [figures.png(overlay(data.test_images[i], drop)) for i, drop in zip(first, drops, strict=True)]
    return [
        mistake
        | {
            "picture": figures.digit_png(data.test_images[mistake["index"]]),
            "why": why,
            "proba": proba[mistake["index"]].tolist(),
            "label_is_wrong": mistake["index"] in wrong_labels,
        }
        for mistake, why in zip_longest(mistakes, reasons)
    ]


def _predictions(data: Dataset, proba: NDArray[np.float32], index: NDArray[np.integer[Any]]) -> Figure:
    return figures.predictions(data.test_images[index], data.test_labels[index], proba[index])


def _split(run: Run) -> float | str:
    split: str = run.info["split"]
    try:
        return split if split == "writers" else float(split)
    except ValueError as problem:
        raise MnistryError(f"{run.folder} names an unknown split: {split!r}. Train it again.") from problem
