"""A study: the trials of a search in Optuna's storage, which is still there when the search has been killed.

The storage is a database that SQLAlchemy knows: a SQLite file by default, PostgreSQL for several machines. A trial is
finished when it is complete, pruned, or failed with a reason of its own. One whose search was ended is failed without
a reason, and its settings wait to be tried again.
"""

import re
import sqlite3
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from mnistry.models.recipes import Recipe
from mnistry.models.setting import Choice, Domain
from mnistry.settings import MnistryError, Settings

KEY = "mnistry"  # the study's attribute that holds what it searches
BEAT = 5  # seconds between two heartbeats of a running trial
GRACE = 30  # seconds without one after which its settings are tried again
WAIT = 20  # seconds to wait for a locked SQLite file or a server
DRIVERS = {"postgresql": "postgresql+psycopg"}
STORAGE_PROBLEMS = (SQLAlchemyError, sqlite3.Error, optuna.exceptions.StorageInternalError, ImportError)
RETRY = optuna.storages.RetryHeartbeatStaleTrialCallback


@dataclass(frozen=True)
class Store:
    """Where a study is kept."""

    name: str
    url: URL
    is_default: bool = False

    def __str__(self) -> str:
        return (self.url.database or "") if self.is_file else self.address

    @property
    def address(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @property
    def is_file(self) -> bool:
        """Whether it is a SQLite file."""
        return self.url.get_backend_name() == "sqlite"


def find_store(name: str, storage: str | None = None, settings: Settings | None = None) -> Store:
    """The storage of a study: an SQLAlchemy URL, or by default a file under MNISTRY_HOME. Raises MnistryError."""
    if not re.fullmatch(r"[\w-][\w.-]{0,99}", name):
        raise MnistryError(f"A study's name is of letters, digits, dots, dashes and underscores, not {name!r}.")
    if storage is None:
        path = (settings or Settings.from_environment()).home / "studies" / f"{name}.db"
        return Store(name, URL.create("sqlite", database=str(path)), is_default=True)
    try:
        url = make_url(storage)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as problem:
        missing = f" ({problem})" if isinstance(problem, ImportError) else ""
        raise MnistryError(
            "A storage is an address such as sqlite:///study.db or postgresql://USER:PASSWORD@HOST/DATABASE, "
            f"not {_without_password(storage)!r}{missing}."
        ) from problem
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise MnistryError("A study in memory would not outlive the search: name a file, as in sqlite:///study.db.")
    return Store(name, url.set(drivername=DRIVERS.get(url.drivername, url.drivername)))


@contextmanager
def reaching(store: Store) -> Iterator[None]:
    """Turn the errors of a storage that is locked, torn, gone or out of reach into one sentence, a MnistryError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's about experiments
            yield
    except optuna.exceptions.DuplicatedStudyError:
        raise
    except STORAGE_PROBLEMS as problem:
        raise MnistryError(_sentence(store, problem)) from problem


def create_study(store: Store, recipe: Recipe, info: Mapping[str, Any]) -> "tuple[optuna.Study, Watch]":
    """Open the study for a search, or make it, with the watch over its trials.

    `info` says what is searched and on which digits.

    The recipe's own settings are the first trial, so that the best is never worse than they are. Raises MnistryError
    if the study searches anything else, or its storage cannot be used.
    """
    info = {**info, "space": {key: str(domain) for key, domain in recipe.space.items()}}
    with reaching(store):
        storage = _open(store, create=True)
        try:
            study = optuna.create_study(storage=storage, study_name=store.name, direction="maximize")
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(storage=storage, study_name=store.name)
        known = study.user_attrs.get(KEY)
        if known is None:
            if study.get_trials(deepcopy=False):
                raise MnistryError(f"The study {store.name} in {store} is not mnistry's: take another --study.")
            study.set_user_attr(KEY, info)
        elif difference := next((key for key in info if info[key] != known.get(key)), None):
            raise MnistryError(
                f"The study {store.name} has {difference} {_words(known.get(difference))}, not "
                f"{_words(info[difference])}: give the same options, or another name with --study."
            )
        start = {key: recipe.settings[key] for key in recipe.space}
        if not study.get_trials(deepcopy=False) and all(value in recipe.space[key] for key, value in start.items()):
            study.enqueue_trial(start, skip_if_exists=True)
        # By number, so that a search that goes on does not draw the same settings again.
        study.sampler = optuna.samplers.TPESampler(
            seed=info["seed"] + len(study.get_trials(deepcopy=False)), constant_liar=True
        )
        if not store.is_file:
            study.sampler.reseed_rng()  # searches on several machines must not draw the same settings
        # The first epoch says little: the learning rate of the recipes still rises in it.
        study.pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
        return study, Watch(study, storage)


def open_study(store: Store) -> optuna.Study:
    """Open a study that exists, to read it; raises MnistryError."""
    with reaching(store):
        if store.is_file and not Path(store.url.database or "").is_file():
            raise MnistryError(f"There is no study in {store}: mnistry tune RECIPE makes one.")
        storage = _open(store)
        names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
        if store.name not in names:
            raise MnistryError(
                f"There is no study {store.name!r} in {store}; there are: {', '.join(names) or 'none yet'}."
            )
        study = optuna.load_study(storage=storage, study_name=store.name)
        if KEY not in study.user_attrs:
            raise MnistryError(f"The study {store.name} in {store} is not mnistry's.")
    return study


def _open(store: Store, create: bool = False) -> optuna.storages.RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options: dict[str, Any] = {"pool_pre_ping": True}
    if store.is_file:
        path = Path(store.url.database or "")
        if create:
            _make_folder(path.parent)
        _check_file(store, path)
        options = {"connect_args": {"timeout": WAIT}}
    elif store.url.get_backend_name() in ("postgresql", "mysql"):
        options["connect_args"] = {"connect_timeout": WAIT}
    try:
        return optuna.storages.RDBStorage(
            store.url.render_as_string(hide_password=False), engine_kwargs=options,
            heartbeat_interval=BEAT if create else None, grace_period=GRACE, heartbeat_stale_trial_callback=RETRY(),
        )  # fmt: skip
    except RuntimeError as problem:  # tables of another Optuna
        raise MnistryError(f"{store} was written by another version of Optuna: take another --storage.") from problem


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise MnistryError(
            f"{folder} cannot be written to ({problem.strerror}): choose another folder with MNISTRY_HOME or --storage."
        ) from problem


def _check_file(store: Store, path: Path) -> None:
    """Let SQLite check a file that exists: a torn one may well answer the first questions."""
    if not path.exists():
        return
    if not path.is_file():
        raise MnistryError(f"{store} is not a file: a study's SQLite storage is one.")
    connection = sqlite3.connect(path, timeout=WAIT)
    try:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    finally:
        connection.close()
    if answer != "ok":
        raise sqlite3.DatabaseError(f"malformed: {answer}")


def _sentence(store: Store, problem: BaseException) -> str:
    text = str(getattr(problem, "orig", None) or problem.__cause__ or problem)
    first = text.strip().partition("\n")[0][:200]
    if isinstance(problem, ImportError):
        return f"The storage {store} needs a driver that is not installed ({first})."
    if not store.is_file:
        return f"The storage {store} cannot be used ({first}); finished trials are kept there. Is the server running?"
    if "locked" in text:
        return f"{store} is locked by another program for more than {WAIT} s: end that, and give the command again."
    if "not a database" in text or "malformed" in text:
        return f"{store} is no whole SQLite database ({first}): restore it, move it away, or take another --storage."
    return f"{store} cannot be used ({first}): mend that, or take another --storage."


def _without_password(address: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", address)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={part}" for key, part in value.items()) or "nothing"
    return str(value)


# --- Trials -----------------------------------------------------------------------------------------------


def distributions(space: Mapping[str, Domain]) -> dict[str, BaseDistribution]:
    """The search space as Optuna's."""
    return {key: _distribution(domain) for key, domain in space.items()}


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if isinstance(domain.low, int) and isinstance(domain.high, int):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def finished(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count: complete, pruned, or failed by their own settings."""
    return [
        trial
        for trial in trials
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (trial.state == TrialState.FAIL and "reason" in trial.user_attrs)
    ]


def best(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The complete trial of the highest accuracy; among equals, which are frequent, that of the lowest loss."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return max(complete, key=lambda trial: (trial.value or 0.0, -trial.user_attrs["nll"]), default=None)


def counts(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """How many trials there are of each kind."""
    done = finished(trials)
    kinds = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    table = {name: sum(trial.state == state for trial in done) for name, state in kinds.items()}
    return table | {"interrupted": sum(trial.state == TrialState.FAIL for trial in trials) - table["failed"]}


def best_settings(store: Store) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A study's recipe, the settings of its best trial, and where they come from. Raises MnistryError."""
    study = open_study(store)
    with reaching(store):
        info, winner = study.user_attrs[KEY], best(study.get_trials(deepcopy=False))
    if winner is None:
        raise MnistryError(
            f"The study {store.name} has no complete trial yet: mnistry tune {info['recipe']} goes on with it."
        )
    origin = {"study": store.name, "trial": winner.number, "validation_accuracy": winner.value}
    return info["recipe"], {**info["fixed"], **winner.params}, origin


def interrupt(study: optuna.Study, number: int) -> None:
    """Fail a running trial of ours without a reason, and put its settings in line to be tried again."""
    with suppress(ValueError):  # another search has done so already
        RETRY()(study, study.tell(number, state=TrialState.FAIL))


class Watch:
    """Optuna's heartbeat: says that our trials are alive, and finds those whose search has died.

    Optuna itself beats inside `Study.optimize` only, which would keep us from saying when a trial begins and from
    ending one; so our loop calls `look`.
    """

    def __init__(self, study: optuna.Study, storage: optuna.storages.RDBStorage) -> None:
        self._study = study
        self._storage = storage
        self._id = storage.get_study_id_from_name(study.study_name)
        self._known: set[int] = set()
        self._next = 0.0

    def look(self, trials: Sequence[FrozenTrial], own: Iterable[int]) -> None:
        """Every few seconds: beat for our `own` trials, and put those that nobody has beaten for in line again."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + BEAT
        self._beat(own)
        optuna.storages.fail_stale_trials(self._study)
        running = {trial.number for trial in trials if trial.state == TrialState.RUNNING}
        self._beat(running - self._known)  # Optuna would never miss one that died before its first heartbeat
        self._known |= running

    def _beat(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._storage.record_heartbeat(self._storage.get_trial_id_from_study_id_trial_number(self._id, number))
