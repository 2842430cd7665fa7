"""The run folder: written whole or not at all, finished by its manifest, read only when every hash is right."""

import csv
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.models.neural_settings import NEURAL
from mnistry.settings import MnistryError, draft, not_written, resolved, shown, uninterrupted

MANIFEST = "manifest.json"
PARTS = {"run.json", "history.csv", "metrics.json", "model.onnx", "test_probabilities.npy"}
INFO = ("recipe", "summary", "settings", "seed", "dataset", "dataset_sha256", "split", "split_seed", "n", "parameters")
REMADE = (".html", ".png")  # endings of what `report` and `compare` draw


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, `info` (run.json), `history` (a row an epoch) and `metrics` (metrics.json)."""

    folder: Path
    info: dict[str, Any]
    history: list[dict[str, float]]
    metrics: dict[str, Any]

    @property
    def model(self) -> Path:
        """The ONNX file."""
        return self.folder / "model.onnx"

    def history_frame(self) -> Any:
        """The history as a pandas DataFrame, a row an epoch; raises MnistryError if pandas is not installed."""
        return data_frame(self.history)

    @property
    def test_probabilities(self) -> NDArray[np.float32]:
        """The trained model's own answers on the test digits: (n, 10)."""
        try:
            proba: NDArray[np.float32] = np.load(self.folder / "test_probabilities.npy", allow_pickle=False)
        except Exception as problem:  # NumPy raises many classes on a file whose header lies
            raise _foreign(self.folder, f"test_probabilities.npy: {shown(problem)}") from problem
        if not isinstance(proba, np.ndarray) or proba.shape != (self.metrics["n"], 10):
            raise _foreign(self.folder, f"test_probabilities.npy has the shape {getattr(proba, 'shape', None)}")
        return proba


def data_frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as a pandas DataFrame; raises MnistryError if pandas, which nothing else here needs, is not installed."""
    with suppress(ModuleNotFoundError):
        import pandas

        return pandas.DataFrame(list(rows))
    raise MnistryError("A DataFrame needs pandas, which is not installed: pip install pandas.")


def open_run(folder: Path) -> Run:
    """Read a finished run; raises MnistryError if it is none, half written or damaged."""
    folder = resolved(folder)
    names = check_manifest(folder)
    try:
        missing = PARTS - set(names)
        if missing:
            raise ValueError(f"its manifest lacks {', '.join(sorted(missing))}")
        info, metrics = read_json(folder / "run.json"), read_json(folder / "metrics.json")
        history = _read_history(folder / "history.csv")
        for key in INFO:
            info[key]
        json.dumps([metrics["accuracy"], metrics["n"], metrics["mistakes"], metrics["parts"]], allow_nan=False)
    except (OSError, ValueError, TypeError, LookupError, RecursionError, csv.Error) as problem:
        raise _foreign(folder, problem) from problem
    return Run(folder, info, history, metrics)


def _read_history(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        history = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    if not history or not all({"epoch", "loss", "accuracy"} <= set(row) for row in history):
        raise ValueError("history.csv has no epochs")
    return history


def _foreign(folder: Path, problem: object) -> MnistryError:
    return MnistryError(f"{folder} is no run of this version of mnistry ({problem}). Train it again.")


def check_data(run: Run, data: Any) -> None:
    """Raise MnistryError unless the run has learnt from this very data set."""
    if data.sha256 != run.info["dataset_sha256"]:
        raise MnistryError(f"{run.folder} was trained on another version of {data.name}: train it again.")


def find_run(name: str, root: Path) -> Run:
    """The run at a path, by its name under `root`, or "latest"; raises MnistryError."""
    if name == "latest":
        finished = [path.parent for path in root.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")]
        if not finished:
            raise MnistryError(f"There is no finished run in {root} yet: mnistry train cnn makes one.")
        finished.sort(key=lambda path: (path / MANIFEST).stat().st_mtime_ns)
        return open_run(next((path for path in reversed(finished) if (path / "run.json").is_file()), finished[-1]))
    for folder in (Path(name), root / name) if name else ():
        if os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises where a name is too long or a folder locked
            return open_run(folder)
    known = sorted(path.parent.name for path in root.glob(f"*/{MANIFEST}") if not path.parent.name.startswith("."))
    raise MnistryError(
        f"No run {shown(name)}: expected the folder of a finished run, or one of those in {root}: "
        f"{', '.join(known) or 'none yet'}."
    )


def find_finished(root: Path, wanted: Mapping[str, Any], tell: Callable[[str], None] | None = None) -> Run | None:
    """The run under `root` whose run.json has all that is wanted (see `training.plan.identity`), or None.

    If there are several, it is the one that finished first, so that a comparison cannot pick the best of them. A run
    from before a setting existed counts as having its default. A damaged run is skipped, and `tell` gets the reason.
    """
    wanted = json.loads(json.dumps(dict(wanted)))  # as run.json would hold it
    later = {key: NEURAL[key].default for key in NEURAL.keys() & wanted.get("settings", {})}
    found = []
    for path in root.glob("*/run.json"):
        with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
            info = read_json(path)
            info["settings"] = later | info["settings"]
            if all(info.get(key) == value for key, value in wanted.items()):
                found.append((str(info.get("finished")), path.parent))
    for _, folder in sorted(found):
        if folder.name.startswith("."):  # another process is still writing it
            continue
        try:
            return open_run(folder)
        except MnistryError as problem:
            if tell:
                tell(str(problem))
    return None


def free_name(name: str, root: Path) -> Path:
    """A folder under `root` that does not exist yet: `name`, or `name-2`, `name-3` and so on."""
    folder, number = root / name, 2
    while folder.exists():
        folder, number = root / f"{name}-{number}", number + 1
    return folder


@dataclass
class Draft:
    """A run that is being written: fill the folder `path`, which becomes `folder` when it is complete."""

    path: Path
    folder: Path


@contextmanager
def writing(folder: Path, replace: bool = False) -> Iterator[Draft]:
    """Yield an empty folder to fill; when the block ends without an error, it gets its manifest and moves to `folder`.

    With `replace`, `folder` may exist: the draft then begins with its files and replaces it at the end. Write a file
    anew, never change it in place. Without `replace`, if another process has taken the name meanwhile, the draft
    moves to the next free name. When the block fails, nothing is left behind.
    Raises MnistryError.
    """
    folder = resolved(folder)
    try:
        if not replace and folder.exists() and not _is_empty(folder):
            raise MnistryError(f"{folder} exists already: choose another folder, or delete it first.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with draft(folder, folder=True) as path:
            if replace:
                for one in folder.iterdir():
                    (shutil.copytree if one.is_dir() else shutil.copy2)(one, path / one.name)
            filled = Draft(path, folder)
            yield filled
            _write_manifest(path)
            if replace:
                _swap(path, folder)
            else:
                filled.folder = _place(path, folder)
    except OSError as problem:
        raise not_written(folder, problem) from problem


def check_manifest(folder: Path) -> dict[str, str]:
    """The sha256 of each file by name; raises MnistryError unless every file is there and has its own.

    Pages and figures may be missing: they can be made anew.
    """
    if not folder.is_dir():
        raise MnistryError(f"{folder} is no folder: expected the folder of a finished run.")
    if not (folder / MANIFEST).is_file():
        raise MnistryError(f"{folder} is not a finished run (it has no {MANIFEST}). Train it again.")
    try:
        hashes = dict(read_json(folder / MANIFEST)["sha256"])
        if any(Path(name).name != name for name in hashes):
            raise ValueError("it names files outside")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise MnistryError(f"{folder / MANIFEST} is damaged ({problem}). Train the run again.") from problem
    for name, expected in hashes.items():
        path = folder / name
        if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises where a name is too long
            if path.suffix in REMADE:
                continue
            raise MnistryError(f"{folder} is damaged: {name} is missing. Train the run again.")
        try:
            whole = sha256(path) == expected
        except OSError as problem:
            raise MnistryError(f"{path} cannot be read ({problem.strerror}).") from problem
        if not whole:
            raise MnistryError(f"{path} is damaged: its sha256 is not the manifest's. Train the run again.")
    return hashes


def sha256(path: Path) -> str:
    """The hash of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """What a JSON file holds; raises OSError or ValueError."""
    return json.loads(path.read_text("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON (no NaN), indented for reading."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", "utf-8")


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write one row an epoch as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in history for key in row)))
        writer.writeheader()
        writer.writerows(history)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is None


def _place(new: Path, folder: Path) -> Path:
    """Move the new folder to its name or, if that was taken meanwhile, to the next free one."""
    while True:
        target = folder if not folder.exists() or _is_empty(folder) else free_name(folder.name, folder.parent)
        try:
            new.rename(target)
        except OSError as problem:
            if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            return target


def _write_manifest(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    for name in names:
        _sync(folder / name)
    (folder / MANIFEST).unlink(missing_ok=True)
    write_json(folder / MANIFEST, {"sha256": {name: sha256(folder / name) for name in names}})
    _sync(folder / MANIFEST)


def _swap(new: Path, folder: Path) -> None:
    """Replace the old folder by the new one, and only then delete the old one."""
    old = new.with_suffix(".old")
    with uninterrupted():
        folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            old.rename(folder)
            raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)  # Windows syncs only what is open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
