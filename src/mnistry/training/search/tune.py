"""`tune`: Optuna proposes settings, a pool of processes tries them, and the study keeps what came out.

The value of a trial is its accuracy on the validation digits; on MNIST these are by writers whose digits it was not
trained on. Among equal accuracies the lower loss is better. The loss itself is not searched for: one confident mistake
outweighs many right answers in it, and Keras' loss after each epoch changes with label smoothing. No test digit is
read.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from mnistry.data.dataset import load
from mnistry.models.recipes import RECIPES, Recipe, find_recipe
from mnistry.settings import MnistryError, Settings, missing_extra
from mnistry.training.search import study as studies
from mnistry.training.search.trial import Event, Task, digits_of
from mnistry.training.search.worker_pool import LocalPool, WorkerPool

MOST_TRIALS = 100_000
MOST_WORKERS = 1024
LOSSES = 3  # times that a trial's process may die before its settings are blamed
POLL = 1.0  # seconds between two looks at the storage


@dataclass(frozen=True)
class Progress:
    """How far a search is: `message` is a line about a trial that has just ended or begins again."""

    done: int
    trials: int
    running: int
    best: float | None
    message: str = ""


@dataclass(frozen=True)
class Tuned:
    """What a search has found."""

    store: studies.Store
    info: Mapping[str, Any]
    trials: list[FrozenTrial] = field(repr=False)

    @property
    def best(self) -> FrozenTrial | None:
        """The best trial."""
        return studies.best(self.trials)

    def summary(self) -> dict[str, Any]:
        """The result as plain values."""
        winner = self.best
        return {
            "study": self.store.name,
            "storage": str(self.store),
            **{key: self.info[key] for key in ("recipe", "dataset", "validation", "seed", "space", "fixed")},
            "trials": studies.counts(self.trials),
            "best": winner
            and {
                "trial": winner.number,
                "accuracy": winner.value,
                "nll": winner.user_attrs["nll"],
                "settings": {**self.info["fixed"], **winner.params},
            },
        }


def tune(
    recipe: str | Recipe,
    trials: int,
    dataset: str = "auto",
    validation: float | str | None = None,
    seed: int = 0,
    study: str | None = None,
    storage: str | None = None,
    workers: int | None = None,
    ray: str | None = None,
    space: Mapping[str, str] | None = None,
    fixed: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
    download: Callable[[str, int, int], None] | None = None,
) -> Tuned:
    """Search a recipe's space until the study has so many finished trials, and return what was found.

    `validation` is "writers" on MNIST and the recipe's share elsewhere, unless it is given. `space` and `fixed` are
    settings by name as on the command line; `workers` processes run on this machine, or on the Ray cluster at `ray`.
    If a study of that name exists, the search goes on with it, even if it was killed. Raises MnistryError, and
    KeyboardInterrupt with a sentence.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    recipe = recipe.searched(space or {}, fixed or {})
    _check_counts(trials, workers)
    if recipe.settings.get("teacher") in RECIPES:
        raise MnistryError(
            f"{recipe.name} learns from a teacher, which a search does not train: name an ONNX file, such as "
            "--set teacher=runs/mine/model.onnx, or learn from the labels with --set teacher=."
        )
    store = studies.find_store(study or recipe.name, storage, settings)
    task = _task(recipe, dataset, validation, seed, settings, download)
    info = {
        "recipe": recipe.name,
        "dataset": task.dataset,
        "validation": task.validation,
        "seed": seed,
        "fixed": {key: recipe.settings[key] for key in fixed or {}},
    }
    opened, watch = studies.create_study(store, recipe, info)
    with studies.reaching(store):
        if len(studies.finished(opened.get_trials(deepcopy=False))) < trials:
            pool = _pool(task, workers, ray)
            try:
                _rehearse(pool, task, recipe)
                tried = studies.distributions(recipe.space)
                _Search(opened, watch, pool, task, tried, trials, progress).run()
            except KeyboardInterrupt:
                done = len(studies.finished(opened.get_trials(deepcopy=False)))
                raise KeyboardInterrupt(
                    f"interrupted; {done} finished trials are kept in {store}, and the same command goes on."
                ) from None
            finally:
                pool.close()
        return Tuned(store, opened.user_attrs[studies.KEY], opened.get_trials(deepcopy=False))


def _check_counts(trials: int, workers: int | None) -> None:
    if not 1 <= trials <= MOST_TRIALS:
        raise MnistryError(f"A search has from 1 to {MOST_TRIALS} trials, not {trials}.")
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise MnistryError(f"The workers are from 1 to {MOST_WORKERS}, not {workers}.")


def _task(
    recipe: Recipe,
    dataset: str,
    validation: float | str | None,
    seed: int,
    settings: Settings | None,
    download: Callable[[str, int, int], None] | None,
) -> Task:
    """What every trial has in common; the data set is looked up once, so that a stand-in is announced once."""
    data = load(dataset, 0.0, seed, settings, download)
    if validation is None:
        validation = "writers" if data.name == "mnist" else recipe.validation
    if validation == 0:
        raise MnistryError("A search chooses by validation digits: hold some back, such as --validation 0.1.")
    load(data.name, validation, seed, settings)  # an impossible split is an error before anything begins
    home = (settings or Settings.from_environment()).home.absolute()
    return Task(recipe.name, dict(recipe.settings), data.name, validation, seed, home=str(home))


def _pool(task: Task, workers: int | None, ray: str | None) -> WorkerPool:
    if ray is None:
        return LocalPool(workers or 1)
    try:
        from mnistry.training.search.ray_pool import RayPool
    except ModuleNotFoundError as problem:
        raise missing_extra("--ray", problem) from problem
    return RayPool(ray, digits_of(task), workers)


def _rehearse(pool: WorkerPool, task: Task, recipe: Recipe) -> None:
    """Begin a fit at both ends of the space, so that what can never work is an error before any trial is lost."""
    ends = [{key: domain.ends[side] for key, domain in recipe.space.items()} for side in (0, 1)]
    event = pool.run(replace(task, rehearse=ends), lambda *_: True)
    if event["kind"] == "lost":
        raise MnistryError(f"The largest settings of the search space cannot be tried: {event['reason']}")
    if event["kind"] != "done":
        raise MnistryError(f"Nothing was tried, because the ends of the search space fail: {event['reason']}")


@dataclass
class _Search:
    """Asks Optuna for settings, tries each in a process that a thread waits for, until enough trials are finished."""

    study: optuna.Study
    watch: studies.Watch
    pool: WorkerPool
    task: Task
    distributions: dict[str, BaseDistribution]
    wanted: int
    progress: Callable[[Progress], None] | None
    running: dict[Future[Event], optuna.Trial] = field(default_factory=dict)
    messages: SimpleQueue[str] = field(default_factory=SimpleQueue)

    def run(self) -> None:
        """Search; if this ends early, for whatever reason, the settings of the running trials are put in line again."""
        with ThreadPoolExecutor(MOST_WORKERS) as threads:
            try:
                while self._start(threads):
                    self._finish()
            finally:
                self.pool.stop()
                for trial in self.running.values():
                    with suppress(*studies.STORAGE_PROBLEMS):
                        studies.interrupt(self.study, trial.number)

    def _start(self, threads: ThreadPoolExecutor) -> bool:
        """Start as many trials as are wanted and there is room for; False when enough are finished."""
        trials = self.study.get_trials(deepcopy=False)
        self.watch.look(trials, [trial.number for trial in self.running.values()])
        done = len(studies.finished(trials))
        claimed = done + sum(trial.state == TrialState.RUNNING for trial in trials)
        for _ in range(min(self.wanted - claimed, self.pool.size - len(self.running))):
            trial = self.study.ask(self.distributions)
            self.running[threads.submit(self._try, trial)] = trial
        self._tell(trials)
        return done < self.wanted or bool(self.running)

    def _finish(self) -> None:
        """Wait a moment for trials to end, and keep what came out."""
        if not self.running:  # another search has the last trials, or it had when it was killed
            time.sleep(POLL)
        for future in wait(self.running, POLL, FIRST_COMPLETED).done:
            with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another search took it: we were too silent
                self._keep(self.running[future], future.result())
            del self.running[future]
        while not self.messages.empty():
            self._tell(message=self.messages.get())

    def _try(self, trial: optuna.Trial) -> Event:
        """Run a trial, again if its process dies, unless it seems to kill its processes itself."""
        task = replace(self.task, settings={**self.task.settings, **trial.params}, number=trial.number)
        for loss in range(1, LOSSES + 1):
            event = self.pool.run(task, partial(self._go_on, trial))
            if event["kind"] != "lost":
                return event
            trial.set_user_attr("losses", loss)
            if loss < LOSSES:
                self.messages.put(f"trial {trial.number} begins again: {event['reason']}")
        return {"kind": "failed", "reason": f"It was tried {LOSSES} times: {event['reason']}"}

    @staticmethod
    def _go_on(trial: optuna.Trial, epoch: int, accuracy: float) -> bool:
        trial.report(accuracy, epoch)  # Optuna ignores the epochs that a trial which began again reports twice
        return not trial.should_prune()

    def _keep(self, trial: optuna.Trial, event: Event) -> None:
        kind, value = event["kind"], None
        if kind == "broken":
            raise MnistryError(f"The search has stopped, its finished trials are kept: {event['reason']}")
        if kind == "done":
            value = event["accuracy"]
            for name in ("nll", "ece", "parameters", "epochs"):
                trial.set_user_attr(name, event[name])
        elif kind != "pruned":
            trial.set_user_attr("reason", event["reason"])
        state = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED}.get(kind, TrialState.FAIL)
        self._tell(message=describe(self.study.tell(trial, value, state, skip_if_finished=True)))

    def _tell(self, trials: list[FrozenTrial] | None = None, message: str = "") -> None:
        if self.progress:
            trials = self.study.get_trials(deepcopy=False) if trials is None else trials
            winner = studies.best(trials)
            done = len(studies.finished(trials))
            self.progress(Progress(done, self.wanted, len(self.running), winner.value if winner else None, message))


def describe(trial: FrozenTrial) -> str:
    """A trial in a line."""
    words = "  ".join(f"{key} {shown(value)}" for key, value in trial.params.items())
    if trial.state == TrialState.COMPLETE:
        return f"trial {trial.number}  accuracy {trial.value:.4f}  loss {trial.user_attrs['nll']:.4f}  {words}"
    if trial.state == TrialState.PRUNED:
        epoch = max(trial.intermediate_values, default=0)
        return f"trial {trial.number}  pruned after epoch {epoch + 1}  {words}"
    return f"trial {trial.number}  failed: {trial.user_attrs.get('reason', 'interrupted')}  {words}"


def shown(value: Any) -> str:
    """A setting's value, short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
