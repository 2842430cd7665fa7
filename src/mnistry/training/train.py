"""A recipe and a data set in, a finished run out: load, split, build, fit, export, evaluate, save."""

import os
import platform
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.data.dataset import Dataset, load
from mnistry.models.base import Progress
from mnistry.models.recipes import RECIPES, Recipe, ensemble_members, find_recipe, load_classifier
from mnistry.reading.reader import THRESHOLD, Reader
from mnistry.settings import MnistryError, Settings
from mnistry.training import metrics
from mnistry.training.export import check_parity, to_onnx, with_metadata
from mnistry.training.runs import Run, find_finished, find_run, free_name, open_run, write_history, write_json, writing

PACKAGES = ("mnistry", "numpy", "scikit-learn", "keras", "tensorflow", "tensorflow-cpu", "onnx", "onnxruntime")


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
) -> Run:
    """Train a recipe and return its finished run.

    `validation` is a fraction of the training digits, 0 for none, or "writers" (see `load`); None takes the
    recipe's own. `changes` are settings of the recipe by name; `origin` is what run.json
    says of where they come from. The test digits are read once, after the last epoch. The run stands at `out`,
    by default under MNISTRY_HOME, when everything is done, or not at all. Raises MnistryError.
    """
    settings = settings or Settings.from_environment()
    recipe = (recipe if isinstance(recipe, Recipe) else find_recipe(recipe)).changed(changes or {})
    if isinstance(dataset, Dataset) and validation is not None:
        raise MnistryError(
            "This data set is split already: pass its name together with validation, or split it in load."
        )
    validation = recipe.validation if validation is None else validation
    data = dataset if isinstance(dataset, Dataset) else load(dataset, validation, seed, settings)
    folder = free_name(f"{recipe.name}-seed{seed}", settings.runs) if out is None else Path(out)
    with writing(folder) as draft:
        runs = _stands_on(recipe, seed, data, settings, progress)
        clock = _Clock()
        classifier = _trained(recipe, seed, data, runs, progress)
        clock.lap("fit")
        if "members" in runs:  # which may have been trained long before
            clock.seconds["fit"] = sum(run.info["seconds"]["fit"] for run in runs["members"])
        model = to_onnx(classifier)
        proba = classifier.predict_proba(data.test_images)
        is_digit = classifier.is_digit(data.test_images) if Reader(model).refuses else None
        parity = check_parity(model, data.test_images, proba, is_digit)
        clock.lap("export")
        figures = _measure(classifier, data, proba)
        if is_digit is not None:
            figures["kept"] = _kept(proba, is_digit)
        clock.lap("evaluate")
        info = _info(recipe, seed, data, classifier, clock.seconds) | _mentions(runs) | {"parity": parity}
        if origin:
            info["settings_from"] = dict(origin)
        classifier.save(draft.path)
        (draft.path / "model.onnx").write_bytes(with_metadata(model, _card(info, figures)))
        np.save(draft.path / "test_probabilities.npy", proba)
        write_history(draft.path / "history.csv", classifier.history_)
        write_json(draft.path / "metrics.json", figures)
        write_json(draft.path / "run.json", info)
    return open_run(draft.folder)


def _stands_on(
    recipe: Recipe, seed: int, data: Dataset, settings: Settings, progress: Progress | None
) -> dict[str, list[Run]]:
    """The runs that this one is made of: an ensemble's `members`, a student's `teacher`; those missing are trained."""
    if "members" in recipe.settings:
        changes = {"epochs": recipe.settings["epochs"]} if recipe.settings["epochs"] else {}
        members = [
            (find_recipe(name).changed(changes), own) for name, own in ensemble_members(recipe.settings["members"])
        ]
        return {"members": [_finished(one, (own + seed) % 2**32, data, settings, progress) for one, own in members]}
    teacher = recipe.settings.get("teacher", "")
    if teacher not in RECIPES:
        return {}
    if teacher == recipe.name:
        raise MnistryError(f"{teacher} cannot be its own teacher: name another recipe, or an ONNX file.")
    return {"teacher": [_finished(find_recipe(teacher), 0, data, settings, progress)]}


def _trained(recipe: Recipe, seed: int, data: Dataset, runs: Mapping[str, list[Run]], progress: Progress | None) -> Any:
    """The fitted classifier, given the runs that it stands on."""
    if "members" in runs:
        return recipe.build(seed).join([_as_classifier(run) for run in runs["members"]])
    for run in runs.get("teacher", ()):
        recipe = recipe.changed({"teacher": str(run.model)})
    return recipe.build(seed).fit(data.train_images, data.train_labels, _held_back(data), progress)


def _finished(recipe: Recipe, seed: int, data: Dataset, settings: Settings, progress: Progress | None) -> Run:
    """The run that has done this work already, or a new one."""
    run = find_finished(settings.runs, identity(recipe, seed, data))
    return run or train(recipe, data, seed=seed, settings=settings, progress=progress)


def _as_classifier(run: Run) -> Any:
    classifier = load_classifier(run.folder / "model.keras")
    classifier.history_ = run.history
    return classifier


def _mentions(runs: Mapping[str, list[Run]]) -> dict[str, Any]:
    """What run.json says of the runs that this one stands on: a list of members, one teacher."""
    told = {
        role: [
            {
                "recipe": run.info["recipe"], "seed": run.info["seed"], "run": run.folder.name,
                "fit_seconds": run.info["seconds"]["fit"],
            }
            for run in theirs
        ]
        for role, theirs in runs.items()
    }  # fmt: skip
    return {role: theirs if role == "members" else theirs[0] for role, theirs in told.items()}


def identity(recipe: Recipe, seed: int, data: Dataset) -> dict[str, Any]:
    """What two runs have in common when they are the same work, as run.json names it: for `runs.find_finished`."""
    same = {
        "recipe": recipe.name,
        "family": recipe.family,
        "settings": dict(recipe.settings),
        "seed": seed,
        "dataset_sha256": data.sha256,
        "n": _counts(data),
    }
    return same | ({"split": data.split, "split_seed": data.seed} if len(data.validation_labels) else {})


def evaluate(run: Run | Path | str, data: Dataset | None = None) -> dict[str, Any]:
    """Measure a run's ONNX file anew on the test digits; `run` may be its folder or name.

    Raises MnistryError if there is no such run, or the test digits are not of the run's own data.
    """
    run = run if isinstance(run, Run) else find_run(str(run), Settings.from_environment().runs)
    data = data or load(run.info["dataset"])
    if data.sha256 != run.info["dataset_sha256"]:
        raise MnistryError(f"{run.folder} was trained on another version of {data.name}: train it again.")
    reader = Reader(run.model)
    proba = reader.predict_proba(data.test_images)
    figures = {"dataset": data.name, **metrics.evaluate(proba, data.test_labels, data.test_parts)}
    if reader.refuses:
        figures["kept"] = _kept(proba, reader.is_digit(data.test_images))
    return figures


def _kept(proba: NDArray[np.float32], is_digit: NDArray[np.float32]) -> float:
    """The share of digits that a reader does not refuse."""
    return float(np.mean(proba.max(axis=1) * is_digit >= THRESHOLD))


def _held_back(data: Dataset) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    return (data.validation_images, data.validation_labels) if len(data.validation_labels) else None


def _measure(classifier: Any, data: Dataset, proba: NDArray[np.float32]) -> dict[str, Any]:
    """metrics.json: the test digits in full, the validation digits in short."""
    figures = {"dataset": data.name, **metrics.evaluate(proba, data.test_labels, data.test_parts)}
    if len(data.validation_labels):
        held_back = metrics.evaluate(classifier.predict_proba(data.validation_images), data.validation_labels)
        figures["validation"] = {key: held_back[key] for key in ("n", "accuracy", "accuracy_interval", "nll", "ece")}
    return figures


def _info(recipe: Recipe, seed: int, data: Dataset, classifier: Any, seconds: Mapping[str, float]) -> dict[str, Any]:
    """run.json: what was done with what, where and when."""
    layers = classifier.layers_
    return {
        "status": "finished",
        "recipe": recipe.name,
        "summary": recipe.summary,
        "family": recipe.family,
        "settings": dict(recipe.settings),
        "seed": seed,
        "dataset": data.name,
        "dataset_sha256": data.sha256,
        "split": data.split,
        "split_seed": data.seed,
        "n": _counts(data),
        "parameters": sum(layer["parameters"] for layer in layers),
        "layers": layers,
        "seconds": dict(seconds),
        "peak_memory_mb": _peak_memory(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def _counts(data: Dataset) -> dict[str, int]:
    parts = {"train": data.train_labels, "validation": data.validation_labels, "test": data.test_labels}
    return {name: len(labels) for name, labels in parts.items()}


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


def _versions() -> dict[str, str]:
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def _peak_memory() -> float | None:
    """The most memory that this process has held, in MB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


class _Clock:
    """Seconds of each part of the work, one after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now
