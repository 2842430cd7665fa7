"""What a run is made from: an ensemble's members, a student's teacher; put in order before anything is trained."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from mnistry.data.dataset import Dataset
from mnistry.models.recipes import RECIPES, Recipe, ensemble_members, find_recipe
from mnistry.settings import MnistryError, Settings
from mnistry.training.runs import Run, find_finished

Needed = tuple[Recipe, int]  # a recipe and its seed


@dataclass(frozen=True)
class PlannedRun:
    """A recipe with a seed, and its run once that is finished."""

    recipe: Recipe
    seed: int
    run: Run | None = None

    def __str__(self) -> str:
        return f"{self.recipe.name}, seed {self.seed}"


def needs(recipe: Recipe, seed: int) -> dict[str, list[Needed]]:
    """What this run is made from: the `members` of an ensemble, the `teacher` of a student. Raises MnistryError."""
    if "members" in recipe.settings:
        members = ensemble_members(recipe.settings["members"], recipe.settings["epochs"])
        return {"members": [(member, (own + seed) % 2**32) for member, own in members]}
    teacher = recipe.settings.get("teacher", "")
    if teacher == recipe.name:
        raise MnistryError(f"{teacher} cannot be its own teacher: name another recipe, or an ONNX file.")
    return {"teacher": [(find_recipe(teacher), 0)]} if teacher in RECIPES else {}


def plan(
    wanted: Iterable[Needed], data: Dataset, settings: Settings, callback: Callable[[str], None] | None = None
) -> list[PlannedRun]:
    """The wanted runs and those that they are made from: each once, and each after what it is made from.

    A run that is finished under MNISTRY_HOME is found there, and what it was made from is left out. `callback` is told
    of damaged runs, which are passed over. Raises MnistryError.
    """
    planned: list[PlannedRun] = []
    for recipe, seed in wanted:
        run = find_finished(settings.runs, identity(recipe, seed, data), callback)
        first = [] if run else plan(chain(*needs(recipe, seed).values()), data, settings, callback)
        planned += [one for one in [*first, PlannedRun(recipe, seed, run)] if one not in planned]
    return planned


def announcement(planned: Sequence[PlannedRun]) -> str:
    """What a person should know before the last of these runs is trained; empty if it needs no other."""
    *others, last = planned
    missing = [str(one) for one in others if one.run is None]
    finished = [str(one) for one in others if one.run is not None]
    words = f"{last.recipe.name} is made from other runs."
    words += f" Finished already: {'; '.join(finished)}." if finished else ""
    words += f" To be trained first: {'; '.join(missing)}." if missing else ""
    return words if others else ""


def identity(recipe: Recipe, seed: int, data: Dataset) -> dict[str, Any]:
    """What two runs have in common when they are the same work, as run.json names it: for `runs.find_finished`."""
    same = {
        "recipe": recipe.name,
        "family": recipe.family,
        "settings": dict(recipe.settings),
        "seed": seed,
        "dataset_sha256": data.sha256,
        "n": counts(data),
    }
    return same | ({"split": data.split, "split_seed": data.seed} if len(data.validation_labels) else {})


def counts(data: Dataset) -> dict[str, int]:
    """How many digits there are to train on, to validate on and to test on."""
    parts = {"train": data.train_labels, "validation": data.validation_labels, "test": data.test_labels}
    return {name: len(labels) for name, labels in parts.items()}
