"""Keras on one of its back ends: started quietly, seeded, its exceptions as sentences, trainings that go on."""

import hashlib
import importlib
import io
import json
import os
import random
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np

from mnistry import __version__
from mnistry.settings import MnistryError, quiet_stderr, write_atomic

BACKENDS = ("tensorflow", "jax", "torch")
SHARE = 0.02  # of a training's time that its checkpoints may take
STOPPING = ("wait", "stopped_epoch", "best", "best_epoch")  # what EarlyStopping remembers, beside the best weights
OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError")


def load_keras() -> ModuleType:
    """Keras, on TensorFlow unless KERAS_BACKEND says otherwise, without TensorFlow's chatter at start-up."""
    if "keras" not in sys.modules:
        backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if backend not in BACKENDS:
            raise MnistryError(f"KERAS_BACKEND is {', '.join(BACKENDS)}, not {backend!r}.")
        try:
            with quiet_stderr():
                _start_keras()
        except ModuleNotFoundError as problem:
            if problem.name == backend:
                raise MnistryError(f"KERAS_BACKEND={backend} wants {backend}, which is not installed.") from problem
            raise
        except ValueError as problem:  # of the user's own ~/.keras/keras.json
            raise MnistryError(f"Keras does not start: {problem}") from problem
    import keras

    return keras


def _start_keras() -> None:
    """Import Keras as our networks want it, whatever ~/.keras/keras.json says, and start its devices."""
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.ops.zeros(1)  # the first operation starts the devices, which chatter too


def backend_info() -> dict[str, Any]:
    """The back end that Keras runs on: its name, its version, and how many threads one operation may use."""
    name = load_keras().backend.backend()
    module = importlib.import_module(name)
    threads = 0
    if name == "tensorflow":
        threads = module.config.threading.get_intra_op_parallelism_threads()
    elif name == "torch":
        threads = module.get_num_threads()
    return {"name": name, "version": module.__version__, "threads": threads or os.cpu_count()}


@contextmanager
def seeded(keras: ModuleType, seed: int | None) -> Iterator[None]:
    """Seed Keras (at random if `seed` is None), and give Python's and NumPy's own generators back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(secrets.randbits(32) if seed is None else seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Tell of too little memory in a sentence; each back end has an exception of its own for it."""
    try:
        yield
    except Exception as problem:
        if type(problem).__name__ not in OUT_OF_MEMORY and "RESOURCE_EXHAUSTED" not in str(problem):
            raise
        raise MnistryError(f"There is not enough memory {advice}") from problem


@contextmanager
def precision(keras: ModuleType, mixed: bool) -> Iterator[None]:
    """Layers made in here compute in bfloat16 where `mixed`, with float32 weights."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else before)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@dataclass
class Checkpoint:
    """The file that keeps a training while it runs, whole or not at all; with `resume` it goes on from there.

    It ends as it would have without an interruption, to the last bit, on the same machine. `pause` are the seconds at
    least between two, 0 for every time that it is due; it is written as often as 2 % of the time allow.
    """

    path: Path
    resume: bool = False
    pause: float = 5.0
    seconds: float = 0.0  # that its writing has taken so far

    def __post_init__(self) -> None:
        """Count from now to the first one."""
        self._asked = self._last = time.perf_counter()
        self._cost = 0.0

    @classmethod
    def under(cls, home: Path, name: str, depends: Any, resume: bool = True) -> Self:
        """That of a training under MNISTRY_HOME, which depends on all this (what JSON can hold) and on the versions."""
        known = json.dumps([depends, backend_info(), __version__], sort_keys=True)
        return cls(home / "checkpoints" / f"{name}-{hashlib.sha256(known.encode()).hexdigest()[:16]}.npz", resume)

    def due(self) -> bool:
        """Whether one is to be written now; its cost is the time from here to the end of `write`."""
        self._asked = time.perf_counter()
        return self._asked - self._last >= (self.pause and max(self.pause, self._cost / SHARE))

    def read(self) -> dict[str, Any] | None:
        """What is kept, or None; a damaged file counts as none."""
        try:
            with self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return {key: file[key] for key in file.files} | json.loads(str(file["plain"])) if self.resume else None
        except Exception:  # noqa: BLE001 - zipfile, zlib and NumPy raise many classes on a damaged file
            return None

    def write(self, arrays: dict[str, Any], plain: dict[str, Any]) -> None:
        """Keep arrays, and what JSON can hold."""
        file = io.BytesIO()
        np.savez(file, **arrays, plain=np.array(json.dumps(plain)))
        write_atomic(self.path, file.getvalue())
        self._last = time.perf_counter()
        self._cost = self._last - self._asked
        self.seconds += self._cost

    def remove(self) -> None:
        """Forget it, when the training has ended."""
        with suppress(OSError):  # one that stays does no harm
            self.path.unlink()


def keeper(
    keras: ModuleType, checkpoint: Checkpoint, kept: dict[str, Any] | None, data: Any, rows: list[Any], stopping: Any
) -> Any:
    """The Keras callback, the last of all, that restores what is `kept` and writes the checkpoint after epochs.

    `data` has `state()`, arrays and what JSON can hold, and `restore(kept)`; `rows` is the history so far, and
    `stopping` an EarlyStopping or None.
    """

    class Keeper(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras passes it
            if not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
            if kept is None:
                return
            for name, variables in self._variables().items():
                for k, variable in enumerate(variables):
                    variable.assign(kept[f"{name}{k}"])
            data.restore(kept)
            version, words, gauss = kept["python"]
            random.setstate((version, tuple(words), gauss))
            rows[:] = kept["rows"]
            if stopping is not None:
                for name, value in kept["stopping"].items():
                    setattr(stopping, name, value)
                stopping.best_weights = [kept[f"best{k}"] for k in range(kept["bests"])] or None

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            if not checkpoint.due():
                return
            arrays = {f"{name}{k}": np.asarray(v) for name, vs in self._variables().items() for k, v in enumerate(vs)}
            best = (stopping and stopping.best_weights) or []
            plain: dict[str, Any] = {
                "epoch": epoch + 1,
                "rows": rows,
                "bests": len(best),
                "stop": bool(self.model.stop_training),
            }
            if stopping is not None:
                plain["stopping"] = {name: _number(getattr(stopping, name)) for name in STOPPING}
            plain["python"] = random.getstate()  # Keras shuffles the order of the batches with it
            more, told = data.state()
            checkpoint.write(arrays | {f"best{k}": w for k, w in enumerate(best)} | more, plain | told)

        def _variables(self) -> dict[str, list[Any]]:
            return {"weight": self.model.variables, "optimizer": self.model.optimizer.variables}

    return Keeper()


def _number(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else float(value)
