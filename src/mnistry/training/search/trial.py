"""One trial of a search, in a process of its own: fit a recipe, report every epoch, measure on the validation digits.

The search starts `python -m mnistry.training.search.trial`, sends the task and its answers as JSON lines, and gets
events. A neural fit is kept in a checkpoint, so that a trial that was killed goes on where it was when it is tried
again. An event has a `kind`. "epoch" waits for an answer: go on or not. The last event is "done", "pruned", "failed"
(by its own settings), "refused" (settings that can never work) or "broken" (a cause that would stop every trial).
"""

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistry.data.dataset import load
from mnistry.models.backend import Checkpoint
from mnistry.models.base import InputError, Pair
from mnistry.models.recipes import Recipe, find_recipe
from mnistry.settings import MnistryError
from mnistry.training import metrics
from mnistry.training.processes import follow_parent

REHEARSED = 1000  # digits that a rehearsal fits
Event = dict[str, Any]
Digits = tuple[Pair, Pair]  # to train on, to validate on; a search never sees the test digits


@dataclass(frozen=True)
class Task:
    """A trial to run; with `rehearse`, only try whether each of these settings can be fitted at all.

    `number` is the trial's in its study; its checkpoint is kept under `home`, if there is one.
    """

    recipe: str
    settings: Mapping[str, Any]
    dataset: str
    validation: float | str
    seed: int
    rehearse: Sequence[Mapping[str, Any]] = ()
    number: int = -1
    home: str = ""


class _TrialCheckpoint(Checkpoint):
    """Where it cannot be written, on a full disk for example, the trial goes on without it."""

    def write(self, arrays: dict[str, Any], plain: dict[str, Any]) -> None:
        with suppress(MnistryError):
            super().write(arrays, plain)


class _HopelessError(Exception):
    """The search has answered that the trial is not worth going on with."""


class _EnoughError(Exception):
    """The rehearsal has seen that the fit begins."""


def run_trial(task: Task, digits: Callable[[], Digits], go_on: Callable[[int, float], bool]) -> Event:
    """Fit and measure, and return the last event; `go_on(epoch, accuracy)` is asked after each epoch but the last."""
    try:
        recipe = find_recipe(task.recipe).changed(task.settings)
        training, held_back = digits()
    except MnistryError as problem:
        return {"kind": "refused" if isinstance(problem, InputError) else "broken", "reason": str(problem)}
    try:
        if task.rehearse:
            return _rehearse(recipe, task, training)
        with _kept(task, recipe) as checkpoint:
            return _fit(recipe, task.seed, training, held_back, go_on, checkpoint)
    except _HopelessError:
        return {"kind": "pruned"}
    except InputError as problem:
        return {"kind": "refused", "reason": str(problem)}
    except MnistryError as problem:
        return {"kind": "failed", "reason": str(problem)}
    except MemoryError:
        return {"kind": "failed", "reason": "There is not enough memory for these settings."}
    except ModuleNotFoundError as problem:
        return {"kind": "broken", "reason": f"This recipe needs {problem.name}, which is not installed."}
    except Exception as problem:  # noqa: BLE001 - one trial's accident must not end the others
        first, _, _ = str(problem).strip().partition("\n")
        return {"kind": "failed", "reason": f"{type(problem).__name__}: {first[:300]}"}


@contextmanager
def _kept(task: Task, recipe: Recipe) -> Iterator[Checkpoint | None]:
    """Where the fit is kept, by everything that its weights depend on; forgotten when the trial ends, but by a kill."""
    if not task.home or recipe.family != "neural" or "members" in recipe.settings:
        yield None
        return
    depends = [recipe.name, dict(recipe.settings), task.dataset, task.validation, task.seed]
    checkpoint = _TrialCheckpoint.under(Path(task.home), f"tune-{recipe.name}", depends)
    try:
        yield checkpoint
    except Exception:
        checkpoint.remove()
        raise
    checkpoint.remove()


def digits_of(task: Task) -> Digits:
    """The training and validation digits of the task's split."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the search itself has said that the data are a stand-in
        data = load(task.dataset, task.validation, task.seed)
    return (data.train_images, data.train_labels), (data.validation_images, data.validation_labels)


def _fit(
    recipe: Recipe,
    seed: int,
    training: Pair,
    held_back: Pair,
    go_on: Callable[[int, float], bool],
    checkpoint: Checkpoint | None,
) -> Event:
    def ask(epoch: int, epochs: int, figures: Mapping[str, float]) -> None:
        if epoch + 1 < epochs and not go_on(epoch, float(figures["val_accuracy"])):
            raise _HopelessError

    def progress(epoch: int, epochs: int, batch: int, batches: int, figures: dict[str, float]) -> None:  # noqa: ARG001
        if "seconds" in figures:
            ask(epoch, epochs, figures)

    kept = checkpoint.read() if checkpoint else None
    for row in kept["rows"] if kept else ():  # told again: the search may know them under another number
        ask(row["epoch"] - 1, recipe.settings["epochs"], row)
    more = {"checkpoint": checkpoint} if checkpoint else {}
    classifier = recipe.build(seed).fit(*training, validation=held_back, progress=progress, **more)
    figures = metrics.evaluate(classifier.predict_proba(held_back[0]), held_back[1])
    return {
        "kind": "done",
        "accuracy": figures["accuracy"],
        "nll": figures["nll"],
        "ece": figures["ece"],
        "parameters": sum(layer["parameters"] for layer in classifier.layers_),
        "epochs": len(classifier.history_),
    }


def _rehearse(recipe: Recipe, task: Task, training: Pair) -> Event:
    """Begin to fit each of the settings on few digits, to find what could never work before any trial is lost."""

    def progress(*_: Any) -> None:
        raise _EnoughError

    few = training[0][:REHEARSED], training[1][:REHEARSED]
    for settings in task.rehearse:
        try:
            recipe.changed(settings).build(task.seed).fit(*few, validation=few, progress=progress)
        except _EnoughError:
            continue
    return {"kind": "done"}


# --- The process ------------------------------------------------------------------------------------------


def main() -> None:
    """Read a task from stdin, run it, and write the events to stdout."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not come between
    told = follow_parent()
    task = Task(**json.loads(told.get()))

    def say(event: Event) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    def go_on(epoch: int, accuracy: float) -> bool:
        say({"kind": "epoch", "epoch": epoch, "accuracy": accuracy})
        return bool(json.loads(told.get()))

    say(run_trial(task, lambda: digits_of(task), go_on))
    os._exit(0)  # at once: TensorFlow's own end takes seconds


if __name__ == "__main__":
    main()
