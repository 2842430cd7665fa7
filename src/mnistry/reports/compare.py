"""The honest protocol: which runs a comparison wants, training those that are missing, and setting all side by side."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnistry.data.dataset import Dataset, load
from mnistry.data.sources import TEST_WRITERS, writers_table
from mnistry.models.recipes import RECIPES, Recipe, find_recipe
from mnistry.reports.comparison_page import PICTURES, draw, render
from mnistry.reports.figures import save_png
from mnistry.reports.statistics import Comparison, measure
from mnistry.settings import MnistryError, Settings
from mnistry.training.plan import PlannedRun, identity
from mnistry.training.processes import PATIENCE, Child
from mnistry.training.runs import Run, find_finished, open_run, write_json, writing

Callback = Callable[[str], None]
MOST_SEEDS = 1000


class TrainingFailedError(MnistryError):
    """A training that ended without a run; the text says why."""


def compare(
    recipes: Sequence[str] = (),
    seeds: int | Sequence[int] | None = None,
    dataset: str | Dataset = "auto",
    settings: Settings | None = None,
    callback: Callback | None = None,
) -> Comparison:
    """Train what is missing, and set the recipes side by side.

    `recipes` are names from the table, all of them when there are none. Every run learns from all training digits for
    the recipe's own number of epochs, and its test digits are read once. `seeds` is how many runs of each recipe, or
    which; None takes each recipe's own number. A recipe whose own number is 1 is always run once. Runs under
    MNISTRY_HOME are taken as they are, so that after an interruption it goes on where it stopped; one recipe's failure
    leaves the others alone. `callback` gets what happens, line by line. Raises MnistryError if none could be trained.
    """
    settings = settings or Settings.from_environment()
    data = dataset if isinstance(dataset, Dataset) else load(dataset, settings=settings)
    if len(data.validation_labels):
        raise MnistryError(
            "A comparison learns from all training digits: load the data set without a validation split."
        )
    runs, failed = train_missing(plan(recipes, seeds, data, settings, callback), data, settings, callback)
    if not runs:
        reasons = "; ".join(f"{failure['recipe']}: {failure['reason']}" for failure in failed)
        raise MnistryError(f"No recipe could be trained, so there is nothing to compare. {reasons}")
    return measure(runs, data, failed, _writers(data, settings))


def _writers(data: Dataset, settings: Settings) -> Any:
    """Who wrote the test digits, where the table of writers is on this machine already."""
    with suppress(MnistryError):
        if data.name == "mnist":
            return writers_table(replace(settings, offline=True), None, TEST_WRITERS)[: len(data.test_labels)]
    return None


def plan(
    recipes: Sequence[str],
    seeds: int | Sequence[int] | None,
    data: Dataset,
    settings: Settings,
    callback: Callback | None = None,
) -> list[PlannedRun]:
    """Every run that the comparison wants, in the table's order: what builds on other recipes comes after them.

    Raises MnistryError.
    """
    names = {find_recipe(name).name for name in recipes} or set(RECIPES)
    return [
        PlannedRun(recipe, seed, find_finished(settings.runs, identity(recipe, seed, data), callback))
        for recipe in RECIPES.values()
        if recipe.name in names
        for seed in _seeds(recipe, seeds)
    ]


def train_missing(
    planned: Sequence[PlannedRun], data: Dataset, settings: Settings, callback: Callback | None = None
) -> tuple[dict[str, list[Run]], list[dict[str, str]]]:
    """Train what is missing; the runs of each recipe, and of those that failed the reason."""
    tell_all = callback or (lambda _: None)
    runs: dict[str, list[Run]] = {}
    failed: dict[str, str] = {}
    missing = [one for one in planned if one.run is None]
    tell_all(_outlook(len(planned), missing))
    try:
        for one in planned:
            if one.recipe.name in failed:  # its other seeds would fail alike
                continue
            try:
                if one.run is None:
                    number = missing.index(one) + 1
                    tell_all(f"Training {one} ({number} of {len(missing)})")
                run = one.run or train_apart(one.recipe, one.seed, data.name, settings, callback is not None)
                runs.setdefault(one.recipe.name, []).append(run)
            except TrainingFailedError as problem:
                failed[one.recipe.name] = str(problem)
                tell_all(f"{one}, failed: {problem}")
    except (KeyboardInterrupt, SystemExit):
        kept = {(run.info["recipe"], run.info["seed"]) for theirs in runs.values() for run in theirs}
        kept |= {(one.recipe.name, one.seed) for one in planned if one.run}
        tell_all(f"{len(kept)} of {len(planned)} runs are finished and kept: the same command goes on from there.")
        raise
    return runs, [{"recipe": name, "reason": reason} for name, reason in failed.items()]


def train_apart(recipe: Recipe, seed: int, dataset: str, settings: Settings, show: bool) -> Run:
    """Train in a process of its own, which gives its memory back and cannot take this one down.

    `show` passes its progress on to stderr. Raises TrainingFailedError with the reason.
    """
    command = [
        "train",
        recipe.name,
        "--dataset",
        dataset,
        "--validation",
        "0",
        "--seed",
        str(seed),
        "--json",
        "--resume",
    ]
    child = Child(
        "mnistry.training.processes", ["mnistry.cli", *command, *([] if show else ["--quiet"])],
        _environment(settings), _show if show else None,
    )  # fmt: skip
    try:
        printed = list(child.lines())
        reason = child.wait()
    finally:
        child.end(PATIENCE)
    if reason:
        raise TrainingFailedError(reason)
    return open_run(Path(json.loads(printed[-1])["run"]))


def save(comparison: Comparison, data: Dataset, folder: Path) -> Path:
    """Write comparison.html, .json and .csv and the PNG files; return the page's path. Raises MnistryError."""
    _check_place(folder)
    pictures = draw(comparison)
    page = render(comparison, data, pictures)
    with writing(folder, replace=folder.exists()) as draft:
        for name, figure in pictures.items():
            save_png(figure, draft.path / f"{name}.png")
        (draft.path / "comparison.html").write_text(page, "utf-8")
        (draft.path / "comparison.csv").write_text(comparison.to_csv(), "utf-8")
        write_json(draft.path / "comparison.json", comparison.to_dict())
    return draft.folder / "comparison.html"


def place(out: str | None, recipes: Sequence[str], data: Dataset, settings: Settings) -> Path:
    """The folder to save to: `out`, or one under MNISTRY_HOME, where a later comparison of the same takes its place.

    Raises MnistryError if nothing can be written there: before hours are spent on a comparison.
    """
    names = "-".join(dict.fromkeys(recipes)) or "all"
    folder = Path(out) if out else settings.home / "comparisons" / f"{data.name}-{names[:100]}"
    _check_place(folder)
    return folder


def _check_place(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and _is_comparison(folder)):
        raise MnistryError(f"{folder} holds something else than a comparison: choose another --out.")
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise MnistryError(
            f"{folder} cannot be written, because {above} lets nobody write there: choose another --out."
        )


def _is_comparison(folder: Path) -> bool:
    """Whether there is nothing in the folder but what `save` writes: only then it may be replaced."""
    return {path.name for path in folder.iterdir()} <= {
        "manifest.json", "comparison.html", "comparison.json", "comparison.csv", *(f"{name}.png" for name in PICTURES)
    }  # fmt: skip


def _seeds(recipe: Recipe, seeds: int | Sequence[int] | None) -> list[int]:
    if seeds is None:
        return list(range(recipe.seeds))
    many = isinstance(seeds, int) and seeds > MOST_SEEDS
    listed = [] if many else list(range(seeds)) if isinstance(seeds, int) else list(dict.fromkeys(seeds))
    if isinstance(seeds, bool) or not listed or not all(isinstance(s, int) and 0 <= s < 2**32 for s in listed):
        raise MnistryError(
            f"A comparison takes a number of seeds from 1 to {MOST_SEEDS}, or a list of seeds such as 0,1,2, "
            f"not {seeds!r}."
        )
    return listed[:1] if recipe.seeds == 1 else listed


def _outlook(n: int, missing: Sequence[PlannedRun]) -> str:
    if not missing:
        return "Every run is finished already."
    seeds: dict[str, list[int]] = {}
    for one in missing:
        seeds.setdefault(one.recipe.name, []).append(one.seed)
    words = "; ".join(f"{name} (seed {', '.join(map(str, theirs))})" for name, theirs in seeds.items())
    return f"Runs wanted: {n}; finished already: {n - len(missing)}; to train: {len(missing)}, {words}."


def _environment(settings: Settings) -> Mapping[str, str]:
    """Of the training's process: the same folders, and the progress drawn as this process would draw it."""
    own: dict[str, Any] = {"MNISTRY_HOME": settings.home, "MNISTRY_DATA": settings.data or ""}
    own["MNISTRY_OFFLINE"] = "1" if settings.offline else "0"
    with suppress(OSError, ValueError):
        if sys.stderr.isatty():
            own |= {"FORCE_COLOR": "1", "COLUMNS": os.get_terminal_size(sys.stderr.fileno()).columns or 80}
    return os.environ | {name: str(value) for name, value in own.items()}


def _show(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads our stderr any more; the work goes on
        sys.stderr.write(text)
        sys.stderr.flush()
