"""A finished run as a page to look at: report.html, one self-contained file, and its pictures as PNG files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mnistry.data.dataset import Dataset, load
from mnistry.reports import figures
from mnistry.settings import MnistryError
from mnistry.training.runs import Run, writing

RANDOM = 15  # predictions in the grid
WORST = 25  # mistakes in the PNG; the page shows every one


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
    environment = Environment(
        loader=PackageLoader("mnistry", "reports/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.2f} %"
    wrong_labels = set(data.wrong_test_labels)
    mistakes = [
        mistake
        | {
            "picture": figures.digit_png(data.test_images[mistake["index"]]),
            "proba": [float(p) for p in proba[mistake["index"]]],
            "label_is_wrong": mistake["index"] in wrong_labels,
        }
        for mistake in run.metrics["mistakes"]
    ]
    return environment.get_template("report.html.jinja").render(
        run=run, info=run.info, metrics=run.metrics, history=run.history, svg=svg, mistakes=mistakes
    )


def _predictions(data: Dataset, proba: NDArray[np.float32], index: NDArray[np.integer[Any]]) -> Figure:
    return figures.predictions(data.test_images[index], data.test_labels[index], proba[index])


def _split(run: Run) -> float | str:
    split: str = run.info["split"]
    try:
        return split if split == "writers" else float(split)
    except ValueError as problem:
        raise MnistryError(
            f"{run.folder} tells of a split that does not exist: {split!r}. Train it again."
        ) from problem
