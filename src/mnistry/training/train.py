"""A recipe and a data set in, a finished run out: plan, load, build, fit, export, check, evaluate, save."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.checks import check_function, check_kind, check_path, check_plain, check_seed, check_settings
from mnistry.data.dataset import Dataset, load
from mnistry.models.backend import Checkpoint
from mnistry.models.base import Progress
from mnistry.models.recipes import Recipe, find_recipe, load_classifier
from mnistry.reading.reader import THRESHOLD, Reader
from mnistry.settings import MnistryError, Settings
from mnistry.training import metrics
from mnistry.training.circumstances import Clock, EnergyMeter, circumstances
from mnistry.training.export import check_parity, to_onnx, with_metadata
from mnistry.training.plan import PlannedRun, announcement, counts, needs, plan
from mnistry.training.plan import identity as identity
from mnistry.training.runs import Run, check_data, find_run, free_name, open_run, write_history, write_json, writing

Made = Mapping[str, Sequence[Run]]  # what a run is made from: its `members` or its `teacher`


def train(
    recipe: str | Recipe,
    dataset: str | Dataset = "auto",
    validation: float | str | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    changes: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    origin: Mapping[str, Any] | None = None,
    callbacks: Sequence[Any] = (),
    message: Callable[[str], None] | None = None,
    resume: bool = False,
) -> Run:
    """Train a recipe and return its finished run.

    `validation` is a fraction of the training digits, 0 for none, or "writers" (see `load`); None takes the recipe's
    own. `changes` are settings of the recipe by name; `origin` is what run.json says of where they come from.
    `callbacks` are Keras callbacks that watch the fit of a neural recipe. An ensemble needs its members' runs and a
    student its teacher's: those that are missing are trained first, and `message` is told so before anything is
    trained. The test digits are read once, after the last epoch.

    A neural training is kept under MNISTRY_HOME after its epochs; `resume` goes on with one of the same recipe, seed,
    data and versions that was interrupted, and ends as it would have ended. Callbacks of yours see the rest of it.

    The same seed gives the same answers on the same machine, to the last digit: for classical recipes with any number
    of threads, for neural ones with the number that run.json tells. The run is in the folder `out`, by default under
    MNISTRY_HOME, when everything is done, or not at all. Raises MnistryError.
    """
    seed, settings, out = check_seed(seed), check_settings(settings), None if out is None else check_path("out", out)
    origin = None if origin is None else check_plain("origin", origin)
    check_function("progress", progress, ("epoch", "epochs", "batch", "batches", "figures"))
    check_function("message", message, ("text",))
    check_kind("resume", resume, bool, "True or False")
    recipe = (recipe if isinstance(recipe, Recipe) else find_recipe(recipe)).changed({} if changes is None else changes)
    _check_callbacks(recipe, callbacks)
    data = _load(recipe, dataset, validation, seed, settings)
    planned = [*plan(chain(*needs(recipe, seed).values()), data, settings), PlannedRun(recipe, seed)]
    tell = message or (lambda _: None)
    if words := announcement(planned):
        tell(words)
    folder = free_name(f"{recipe.name}-seed{seed}", settings.runs) if out is None else out
    with writing(folder) as draft:  # begun here, so that a folder that cannot be written is told before hours are spent
        done: list[PlannedRun] = []
        for one in planned[:-1]:
            if one.run is None:
                tell(f"Training {one}")
            done.append(replace(one, run=one.run or _train_needed(one, data, done, settings, progress, resume)))
        checkpoint = _checkpoint(planned[-1], data, settings, resume)
        _fill(draft.path, planned[-1], data, done, progress, callbacks, origin, checkpoint)
    return _finished(draft.folder, checkpoint)


def _checkpoint(one: PlannedRun, data: Dataset, settings: Settings, resume: bool) -> Checkpoint | None:
    """Where this training is kept while it runs: by everything that its weights depend on."""
    if one.recipe.family != "neural" or "members" in one.recipe.settings:
        return None
    depends = identity(one.recipe, one.seed, data)
    return Checkpoint.under(settings.home, f"{one.recipe.name}-seed{one.seed}", depends, resume)


def _finished(folder: Path, checkpoint: Checkpoint | None) -> Run:
    if checkpoint:
        checkpoint.remove()
    return open_run(folder)


def _check_callbacks(recipe: Recipe, callbacks: Sequence[Any]) -> None:
    check_kind("callbacks", callbacks, (list, tuple), "a list of Keras callbacks")
    if not callbacks:
        return
    if recipe.family != "neural":
        raise MnistryError(f"Callbacks are for Keras networks, and {recipe.name} is none: leave out callbacks.")
    if "members" in recipe.settings:
        raise MnistryError(f"{recipe.name} joins runs that are trained: pass callbacks when you train a member.")


def _load(
    recipe: Recipe, dataset: str | Dataset, validation: float | str | None, seed: int, settings: Settings
) -> Dataset:
    if not isinstance(dataset, Dataset):
        return load(dataset, recipe.validation if validation is None else validation, seed, settings)
    if validation is not None:
        raise MnistryError(
            "This data set is split already: pass its name together with validation, or split it in load."
        )
    return dataset


def _train_needed(
    one: PlannedRun,
    data: Dataset,
    done: Sequence[PlannedRun],
    settings: Settings,
    progress: Progress | None,
    resume: bool,
) -> Run:
    """Train a run that another one is made from; it is kept under MNISTRY_HOME."""
    with writing(free_name(f"{one.recipe.name}-seed{one.seed}", settings.runs)) as draft:
        checkpoint = _checkpoint(one, data, settings, resume)
        _fill(draft.path, one, data, done, progress, checkpoint=checkpoint)
    return _finished(draft.folder, checkpoint)


def _fill(
    folder: Path,
    one: PlannedRun,
    data: Dataset,
    done: Sequence[PlannedRun],
    progress: Progress | None = None,
    callbacks: Sequence[Any] = (),
    origin: Mapping[str, Any] | None = None,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Make one run, given those that it is made from, and write its files into the folder."""
    made_from = _made_from(one, done)
    clock = Clock()
    with EnergyMeter() as meter:
        classifier = _fit(one, data, made_from, progress, callbacks, checkpoint)
    clock.lap("fit")
    model = to_onnx(classifier)
    proba = classifier.predict_proba(data.test_images)
    is_digit = classifier.is_digit(data.test_images) if Reader(model).refuses else None
    parity = check_parity(model, data.test_images, proba, is_digit)
    clock.lap("export")
    figures = _evaluate(classifier, data, proba, is_digit)
    clock.lap("evaluate")
    info = _info(one, data, classifier, clock.seconds, meter.joules)
    info |= _with_members(made_from, info) | {"parity": parity} | ({"settings_from": dict(origin)} if origin else {})
    _save(folder, classifier, model, proba, figures, info)


def _made_from(one: PlannedRun, done: Sequence[PlannedRun]) -> Made:
    """The finished runs of what this one needs, by their role."""
    runs = {(other.recipe.name, other.seed, str(other.recipe.settings)): other.run for other in done}
    return {
        role: [run for recipe, seed in needed if (run := runs[recipe.name, seed, str(recipe.settings)])]
        for role, needed in needs(one.recipe, one.seed).items()
    }


def _fit(
    one: PlannedRun,
    data: Dataset,
    made_from: Made,
    progress: Progress | None,
    callbacks: Sequence[Any],
    checkpoint: Checkpoint | None,
) -> Any:
    """The fitted classifier; an ensemble's members are fitted already."""
    if "members" in made_from:
        return one.recipe.build(one.seed).join([_as_classifier(run) for run in made_from["members"]])
    recipe = one.recipe
    for teacher in made_from.get("teacher", ()):
        recipe = recipe.changed({"teacher": str(teacher.model)})
    held_back = (data.validation_images, data.validation_labels) if len(data.validation_labels) else None
    more: dict[str, Any] = {"callbacks": callbacks} if callbacks else {}
    more |= {"checkpoint": checkpoint} if checkpoint else {}
    return recipe.build(one.seed).fit(data.train_images, data.train_labels, held_back, progress, **more)


def _as_classifier(run: Run) -> Any:
    classifier = load_classifier(run.folder / "model.keras")
    classifier.history_ = run.history
    return classifier


def _evaluate(
    classifier: Any, data: Dataset, proba: NDArray[np.float32], is_digit: NDArray[np.float32] | None
) -> dict[str, Any]:
    """metrics.json: the test digits in full, the validation digits in short."""
    figures = _figures(data, proba, is_digit)
    if len(data.validation_labels):
        held_back = metrics.evaluate(classifier.predict_proba(data.validation_images), data.validation_labels)
        figures["validation"] = {key: held_back[key] for key in ("n", "accuracy", "accuracy_interval", "nll", "ece")}
    return figures


def _figures(data: Dataset, proba: NDArray[np.float32], is_digit: NDArray[np.float32] | None) -> dict[str, Any]:
    """How good the answers on the test digits are; `kept` is the share that is not refused, where there is that."""
    figures = {"dataset": data.name, **metrics.evaluate(proba, data.test_labels, data.test_parts)}
    if is_digit is not None:
        figures["kept"] = float(np.mean(proba.max(axis=1) * is_digit >= THRESHOLD))
    return figures


def _info(
    one: PlannedRun, data: Dataset, classifier: Any, seconds: Mapping[str, float], joules: float | None
) -> dict[str, Any]:
    """run.json: what was done with what, where and when."""
    layers = classifier.layers_
    return {
        "status": "finished",
        "recipe": one.recipe.name,
        "summary": one.recipe.summary,
        "family": one.recipe.family,
        "settings": dict(one.recipe.settings),
        "seed": one.seed,
        "dataset": data.name,
        "dataset_sha256": data.sha256,
        "split": data.split,
        "split_seed": data.seed,
        "n": counts(data),
        "parameters": sum(layer["parameters"] for layer in layers),
        "layers": layers,
        "seconds": dict(seconds),
        "energy_joules": joules,  # of the fit
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **circumstances(one.recipe.family == "neural"),
    }


def _with_members(made_from: Made, info: Mapping[str, Any]) -> dict[str, Any]:
    """What run.json says of the runs that this one is made from; an ensemble's fit is that of its members."""
    told = {role: [_mention(run) for run in runs] for role, runs in made_from.items()}
    if "members" not in told:
        return {role: mentions[0] for role, mentions in told.items()}
    joules = [run.info.get("energy_joules") for run in made_from["members"]]
    fit = sum(run.info["seconds"]["fit"] for run in made_from["members"])
    return {
        **told, "seconds": {**info["seconds"], "fit": fit},
        "energy_joules": None if None in joules else sum(joules),
    }  # fmt: skip


def _mention(run: Run) -> dict[str, Any]:
    return {
        "recipe": run.info["recipe"], "seed": run.info["seed"], "run": run.folder.name,
        "fit_seconds": run.info["seconds"]["fit"],
    }  # fmt: skip


def _save(
    folder: Path,
    classifier: Any,
    model: bytes,
    proba: NDArray[np.float32],
    figures: Mapping[str, Any],
    info: Mapping[str, Any],
) -> None:
    classifier.save(folder)
    (folder / "model.onnx").write_bytes(with_metadata(model, _card(info, figures)))
    np.save(folder / "test_probabilities.npy", proba)
    write_history(folder / "history.csv", classifier.history_)
    write_json(folder / "metrics.json", figures)
    write_json(folder / "run.json", info)


def _card(info: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, str]:
    """What the ONNX file says of itself."""
    return {
        "recipe": info["recipe"],
        "seed": str(info["seed"]),
        "dataset": info["dataset"],
        "dataset_sha256": info["dataset_sha256"],
        "test_accuracy": f"{figures['accuracy']:.4f}",
        "versions": ", ".join(f"{name} {version}" for name, version in info["versions"].items()),
    }


def evaluate(run: Run | Path | str, data: Dataset | None = None) -> dict[str, Any]:
    """Measure a run's ONNX file again on the test digits; `run` may be its folder or name.

    Raises MnistryError if there is no such run, or the test digits are not those of the run's own data.
    """
    check_kind("run", run, (Run, str, Path), "a run, its folder or its name")
    check_kind("data", data, (Dataset, type(None)), "a data set that mnistry.load has made, or None for the run's own")
    run = run if isinstance(run, Run) else find_run(str(check_path("run", run)), Settings.from_environment().runs)
    data = data or load(run.info["dataset"])
    check_data(run, data)
    reader = Reader(run.model)
    is_digit = reader.is_digit(data.test_images) if reader.refuses else None
    return _figures(data, reader.predict_proba(data.test_images), is_digit)
