"""A finished run as a page to look at: report.html, one self-contained file, and its pictures as PNG files."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mnistry.data.dataset import Dataset, load
from mnistry.data.mnist_c import corrupted
from mnistry.reading.reader import Reader
from mnistry.reading.saliency import occlusion, overlay
from mnistry.reports import figures, pages
from mnistry.settings import MnistryError, Settings
from mnistry.training import robustness
from mnistry.training.runs import Run, check_data, writing

RANDOM = 15  # predictions in the grid
WORST = 25  # mistakes in the PNG; the page shows every one
WORST_WRITERS, BEST_WRITERS = 5, 3  # who are named; the digits of the worst are shown
EXPLAINED = 60  # mistakes with a picture that says why: each takes a twentieth of a second


def write_report(run: Run, data: Dataset | None = None) -> Path:
    """Write report.html and the PNG files into the run's folder and return the page's path.

    The data set of the run is loaded for the digits that are shown. Raises MnistryError.
    """
    data = data or load(run.info["dataset"], _split(run), run.info["split_seed"])
    check_data(run, data)
    proba, spoilt, writers = run.test_probabilities, robustness.kept(run), _writers(run, data)
    pictures = draw(run, data, proba)
    if spoilt:
        accuracies = {row["name"]: row["accuracy"] for row in spoilt["corruptions"]}
        pictures["corruptions"] = figures.robustness(accuracies, spoilt["clean"])
    if writers:
        pictures["writers"] = figures.writers(writers["writers"])
    svg = {name: figures.to_svg(figure) for name, figure in pictures.items()}
    page = render(run, data, proba, svg, spoilt, writers)
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


def render(
    run: Run,
    data: Dataset,
    proba: NDArray[np.float32],
    svg: Mapping[str, str],
    spoilt: Mapping[str, Any] | None = None,
    writers: Mapping[str, Any] | None = None,
) -> str:
    """The page as HTML; `spoilt` and `writers` are what `training.robustness` has found, where that is known."""
    return pages.render(
        "report",
        info=run.info,
        metrics=run.metrics,
        history=run.history,
        svg=svg,
        mistakes=_mistakes(run, data, proba),
        spoilt=spoilt and {**spoilt, "corruptions": _with_pictures(spoilt["corruptions"], data)},
        writers=writers,
        worst=_worst(writers["writers"], data, proba) if writers else [],
        best=writers["writers"][::-1][:BEST_WRITERS] if writers else [],
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


def _with_pictures(corruptions: list[dict[str, Any]], data: Dataset) -> list[dict[str, Any]]:
    """Each corruption, the one read best first, with a picture of what it does to some digits."""
    some = data.test_images[[int(np.argmax(data.test_labels == k)) for k in (0, 1, 2)]]
    rows = [row | {"picture": figures.digit_png(np.hstack(list(corrupted(some, row["name"]))))} for row in corruptions]
    return sorted(rows, key=lambda row: -row["accuracy"])


def _writers(run: Run, data: Dataset) -> dict[str, Any] | None:
    """How each writer's digits were read, where the table of writers is on this machine already."""
    with suppress(MnistryError):
        return robustness.by_writer(run, data, replace(Settings.from_environment(), offline=True))
    return None


def _worst(rows: list[dict[str, Any]], data: Dataset, proba: NDArray[np.float32]) -> list[dict[str, Any]]:
    """The writers who are read worst, with all their digits: picture, truth and what was read."""
    read = proba.argmax(axis=1)
    return [
        row | {"digits": [(figures.digit_png(data.test_images[i]), int(data.test_labels[i]), int(read[i]))
                          for i in row["indices"]]}
        for row in rows[:WORST_WRITERS] if row["errors"]
    ]  # fmt: skip


def _predictions(data: Dataset, proba: NDArray[np.float32], index: NDArray[np.integer[Any]]) -> Figure:
    return figures.predictions(data.test_images[index], data.test_labels[index], proba[index])


def _split(run: Run) -> float | str:
    split: str = run.info["split"]
    try:
        return split if split == "writers" else float(split)
    except ValueError as problem:
        raise MnistryError(f"{run.folder} names an unknown split: {split!r}. Train it again.") from problem
