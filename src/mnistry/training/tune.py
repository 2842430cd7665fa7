"""`tune`: Optuna proposes settings, a crew of processes tries them, and the study keeps what came out.

The value of a trial is its accuracy on the validation digits, on MNIST those of writers whom it was not trained on;
among equals the lower loss is better. The loss itself is not searched for: a single sure mistake outweighs many right
answers in it, and the one that Keras tells after each epoch moves with label smoothing. No test digit is read.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mnistry.data.dataset import load
from mnistry.models.recipes import RECIPES, Recipe, find_recipe
from mnistry.settings import MnistryError, Settings
from mnistry.training import study as studies
from mnistry.training.trial import Event, Task, digits_of
from mnistry.training.worker_pool import LocalPool, WorkerPool

MOST_TRIALS = 100_000
MOST_WORKERS = 1024
LOSSES = 3  # times that a trial's process may die before its settings are blamed
POLL = 1.0  # seconds between two looks at what others do


@dataclass(frozen=True)
class Progress:
    """How far a search is: `message` is a line on a trial that has just ended."""

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
    A study of that name goes on, whoever was killed before. Raises MnistryError, and KeyboardInterrupt with a sentence.
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
    opened = studies.create_study(store, recipe, info)
    with studies.reaching(store):
        if len(studies.finished(opened.get_trials(deepcopy=False))) < trials:
            pool = _pool(task, workers, ray)
            try:
                _rehearse(pool, task, recipe)
                with studies.Coordinator(opened) as coordinator:
                    _Search(opened, pool, task, recipe, coordinator, trials, progress).run()
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
    """What every trial has in common; the data set is looked up once, so that a stand-in is told of once."""
    data = load(dataset, 0.0, seed, settings, download)
    if validation is None:
        validation = "writers" if data.name == "mnist" else recipe.validation
    if validation == 0:
        raise MnistryError("A search chooses by validation digits: hold some back, such as --validation 0.1.")
    load(data.name, validation, seed, settings)  # a split that cannot be is told before anything begins
    return Task(recipe.name, dict(recipe.settings), data.name, validation, seed)


def _pool(task: Task, workers: int | None, ray: str | None) -> WorkerPool:
    if ray is None:
        return LocalPool(workers or 1)
    try:
        from mnistry.training.ray_pool import RayPool
    except ModuleNotFoundError as problem:
        if problem.name != "ray":
            raise
        raise MnistryError("--ray needs Ray, which is not installed: pip install 'mnistry[ray]'.") from problem
    return RayPool(ray, digits_of(task), workers)


def _rehearse(pool: WorkerPool, task: Task, recipe: Recipe) -> None:
    """Begin a fit at both ends of the space: what can never work is told before any trial."""
    ends = [{key: domain.ends[side] for key, domain in recipe.space.items()} for side in (0, 1)]
    pool.start(-1, replace(task, rehearse=ends))
    while not (come := pool.events(POLL)):
        pass
    ((_, event),) = come
    if event["kind"] == "lost":
        raise MnistryError(f"The largest settings of the search space cannot be tried: {event['reason']}.")
    if event["kind"] != "done":
        raise MnistryError(f"Nothing was tried, as the ends of the search space show: {event['reason']}")


class _Search:
    """The leader's loop: ask Optuna, start trials, pass on what they tell, until enough are finished."""

    def __init__(
        self,
        study: optuna.Study,
        pool: WorkerPool,
        task: Task,
        recipe: Recipe,
        coordinator: studies.Coordinator,
        wanted: int,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.study = study
        self.pool = pool
        self.task = task
        self.distributions = studies.distributions(recipe.space)
        self.coordinator = coordinator
        self.wanted = wanted
        self.progress = progress
        self.running: dict[int, optuna.Trial] = {}
        self.reported: dict[int, set[int]] = {}
        self.losses: dict[int, int] = {}

    def run(self) -> None:
        """Search; whatever ends this early, the running trials are put in line again."""
        try:
            while self._hire():
                for number, event in self.pool.events(POLL):
                    try:
                        self._hear(number, event)
                    except optuna.exceptions.UpdateFinishedTrialError:
                        self._taken(number, event)
        finally:
            for number in list(self.running):
                with suppress(*studies.STORAGE_PROBLEMS):
                    studies.interrupt(self.study, self._frozen(number))

    def _hire(self) -> bool:
        """Start as many trials as are wanted and there is room for; False when enough are finished."""
        trials = self.study.get_trials(deepcopy=False)
        self.coordinator.clear(trials)
        done = len(studies.finished(trials))
        claimed = done + sum(trial.state == TrialState.RUNNING for trial in trials)
        for _ in range(min(self.wanted - claimed, self.pool.size - len(self.running))):
            trial = self.study.ask(self.distributions)
            trial.set_user_attr("leader", self.coordinator.name)
            self.running[trial.number], self.reported[trial.number] = trial, set()
            self._start(trial)
        self._tell(trials)
        return done < self.wanted or bool(self.running)

    def _start(self, trial: optuna.Trial) -> None:
        self.pool.start(trial.number, replace(self.task, settings={**self.task.settings, **trial.params}))

    def _hear(self, number: int, event: Event) -> None:
        kind = event["kind"]
        if kind == "broken":
            raise MnistryError(f"The search has stopped, its finished trials are kept: {event['reason']}")
        if number not in self.running:  # another leader took it
            return
        if kind == "epoch":
            self._epoch(number, event["epoch"], event["accuracy"])
        elif kind == "lost":
            self._lost(number, event["reason"])
        elif kind == "done":
            trial = self.running[number]
            for name in ("nll", "ece", "parameters", "epochs"):
                trial.set_user_attr(name, event[name])
            self._end(number, TrialState.COMPLETE, event["accuracy"])
        elif kind == "pruned":
            self._end(number, TrialState.PRUNED)
        else:
            self._fail(number, event["reason"])

    def _epoch(self, number: int, epoch: int, accuracy: float) -> None:
        trial = self.running[number]
        if epoch not in self.reported[number]:  # a trial that was lost tells its epochs again
            self.reported[number].add(epoch)
            trial.report(accuracy, epoch)
        self.pool.answer(number, not trial.should_prune())

    def _taken(self, number: int, event: Event) -> None:
        """Give up a trial that another leader has put in line again, because we were silent for too long."""
        self.running.pop(number, None)
        if event["kind"] == "epoch":
            self.pool.answer(number, False)

    def _lost(self, number: int, reason: str) -> None:
        """Run the trial again, unless it seems to kill its processes itself."""
        self.losses[number] = self.losses.get(number, 0) + 1
        if self.losses[number] == LOSSES:
            self._fail(number, f"It was tried {LOSSES} times: {reason}.")
            return
        self.running[number].set_user_attr("losses", self.losses[number])
        self._start(self.running[number])
        self._tell(message=f"trial {number} begins again: {reason}")

    def _fail(self, number: int, reason: str) -> None:
        self.running[number].set_user_attr("reason", reason)
        self._end(number, TrialState.FAIL)

    def _end(self, number: int, state: TrialState, value: float | None = None) -> None:
        told = self.study.tell(self.running.pop(number), value, state, skip_if_finished=True)
        self._tell(message=describe(told))

    def _frozen(self, number: int) -> FrozenTrial:
        return next(trial for trial in self.study.get_trials(deepcopy=False) if trial.number == number)

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
