"""Folders and permissions from the environment, the errors of mnistry, safe writing of files, quiet C libraries."""

import errno
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

LOCKS: ModuleType | None = None
with suppress(ImportError):  # Windows has none
    import fcntl

    LOCKS = fcntl

INSTALL_FROM = "."  # what pip installs, a clone: on the day of publishing this becomes "mnistry"
EXTRAS = {  # which extra of pyproject.toml brings a library; `train` brings all others
    "optuna": "tune", "sqlalchemy": "tune", "psycopg": "tune", "ray": "ray",
    "fastapi": "serve", "starlette": "serve", "uvicorn": "serve", "h11": "serve", "prometheus_client": "serve",
    "anywidget": "notebook", "traitlets": "notebook",
}  # fmt: skip


DRAFT = ".mnistry-part"  # how the names of unfinished files and folders end
SHOWN = 60  # characters of a value in a sentence
DRAFTS: set[Path] = set()  # those that this process is writing
STALE = 24 * 3600  # seconds after which a draft is swept away where the system has no locks


class MnistryError(Exception):
    """A mistake that its user can mend; its text says what was expected, what came and what to do."""


class MissingExtraError(MnistryError, ImportError):
    """A library is not installed that one of mnistry's extras brings; the text says how to install it."""


def missing_extra(what: str, problem: ModuleNotFoundError) -> MissingExtraError:
    """The error to raise when `what` needs a library that is not there; raises `problem` itself if it is our module."""
    library = (problem.name or "").split(".")[0]
    if library == "mnistry":
        raise problem
    return MissingExtraError(
        f"{what} needs {library}, which is not installed: {install_hint(EXTRAS.get(library, 'train'))}."
    )


@dataclass(frozen=True)
class Settings:
    """The folders that mnistry uses, and whether it may use the network: all that it asks the environment for itself.

    `home` holds what mnistry keeps: data, runs, comparisons, studies, checkpoints, corrections, taught models. `data`
    is your own folder with the data files, which is never written to, or None. `offline` forbids every network
    connection.
    """

    home: Path
    data: Path | None = None
    offline: bool = False

    def __post_init__(self) -> None:
        """Raise MnistryError unless these are folders that a file system can have; text counts as a path."""
        for name in ("home", "data"):
            value = getattr(self, name)
            if value is None and name == "data":
                continue
            if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
                raise MnistryError(f"The {name} of the settings is the path of a folder, not {shown(value)}.")
            object.__setattr__(self, name, Path(value))
        if not isinstance(self.offline, bool):
            raise MnistryError(f"offline of the settings is True or False, not {shown(self.offline)}.")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read MNISTRY_HOME, MNISTRY_DATA and MNISTRY_OFFLINE; raises MnistryError on a wrong value."""
        environ = os.environ if environ is None else environ
        home, data = environ.get("MNISTRY_HOME"), environ.get("MNISTRY_DATA")
        return cls(
            home=_folder("MNISTRY_HOME", home) if home else _default_home(),
            data=_folder("MNISTRY_DATA", data) if data else None,
            offline=_truth("MNISTRY_OFFLINE", environ.get("MNISTRY_OFFLINE", "")),
        )

    @property
    def cache(self) -> Path:
        """The folder of the downloaded data files."""
        return self.home / "mnist"

    @property
    def runs(self) -> Path:
        """The folder of the finished runs."""
        return self.home / "runs"


def shown(value: object) -> str:
    """A value as a sentence shows it: short, on one line, and never an error of its own."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - an integer of thousands of digits, or an object that cannot say what it is
        return f"a value of the type {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 20]}...{text[-17:]}"


def _default_home() -> Path:
    from platformdirs import user_data_path  # only where the user has not chosen a folder

    return user_data_path("mnistry", appauthor=False)


def _folder(name: str, value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError as problem:
        raise MnistryError(f"{name} must be a folder, but {value!r} is the home of an unknown user.") from problem


def _truth(name: str, value: str) -> bool:
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("", "0", "false", "no", "off"):
        return False
    raise MnistryError(f"{name} must be 1 or 0, not {value!r}.")


def resolved(path: Path) -> Path:
    """The path with its symbolic links followed; raises MnistryError if they lead back to themselves."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as problem:  # RuntimeError before Python 3.13
        raise MnistryError(f"The symbolic links at {path} form a circle: choose another place.") from problem


def write_atomic(target: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it; raises MnistryError if it cannot be written.

    What killed processes have left of such files in the same folder is cleared away.
    """
    write_together({target: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: none is put in its place, the first one first, before all are on the disk.

    Raises MnistryError if one of them cannot be written.
    """
    drafts: dict[Path, Path] = {}
    with ExitStack() as stack:
        try:
            for target, data in files.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                drafts[target] = stack.enter_context(draft(target))
                with drafts[target].open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                drafts[target].chmod(0o644)
            for target, path in drafts.items():
                path.replace(target)
        except OSError as problem:
            raise not_written(target, problem) from problem


@contextmanager
def draft(target: Path, folder: bool = False) -> Iterator[Path]:
    """An empty file (or folder) beside `target` to be filled and renamed to it; what then still stands there goes.

    It is locked while this process lives: so the next draft in this folder can tell what a killed process has left,
    and clears it away. Raises OSError.
    """
    _sweep(target.parent)
    path, lock = _locked(target, folder)
    try:
        yield path
    finally:
        _remove(path)
        DRAFTS.discard(path)
        os.close(lock)


def remove_drafts() -> None:
    """Clear away what this process has begun to write: called when it ends at once."""
    for path in list(DRAFTS):
        _remove(path)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)
        if held:
            signal.raise_signal(signal.SIGINT)


def not_written(target: Path, problem: OSError) -> MnistryError:
    """The error to raise where a file or folder could not be written: why, and the advice that fits."""
    advice = "Choose another place"
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "Free some space there"
    elif problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = "Choose a folder that you may write to"
    why = f"{target} could not be written: {problem.strerror or problem}."
    return MnistryError(f"{why} {advice} (MNISTRY_HOME says where data and runs are kept).")


def _locked(target: Path, folder: bool) -> tuple[Path, int]:
    while True:
        if folder:
            path = Path(tempfile.mkdtemp(DRAFT, f".{target.name}.", target.parent))
            path.chmod(0o755)
            lock = os.open(path if LOCKS else os.devnull, os.O_RDONLY)
        else:
            lock, name = tempfile.mkstemp(DRAFT, f".{target.name}.", target.parent)
            path = Path(name)
        DRAFTS.add(path)
        if LOCKS:
            with suppress(OSError):  # a file system without locks: nothing is swept there
                LOCKS.flock(lock, LOCKS.LOCK_EX)
        if path.exists():
            return path, lock
        os.close(lock)  # somebody has swept it between its birth and its lock
        DRAFTS.discard(path)


def _sweep(folder: Path) -> None:
    """Clear away the drafts of processes that are gone."""
    for left in folder.glob(f".*{DRAFT}"):
        with suppress(OSError):
            if not LOCKS and time.time() - left.stat().st_mtime < STALE:
                continue
            lock = os.open(left if LOCKS else os.devnull, os.O_RDONLY)
            try:
                if LOCKS:
                    LOCKS.flock(lock, LOCKS.LOCK_EX | LOCKS.LOCK_NB)
                _remove(left)
            finally:
                os.close(lock)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def install_hint(extra: str) -> str:
    """Say what installs one extra of pyproject.toml, in the words that end a sentence: `... is missing: {hint}.`"""
    if INSTALL_FROM != ".":
        return f"pip install '{INSTALL_FROM}[{extra}]'"
    return f"pip install '.[{extra}]' in a clone of mnistry, or pip install 'FILE.whl[{extra}]' with its wheel"


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hide what C code writes to stderr inside the block; if the block raises, print it after all."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(saved, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
