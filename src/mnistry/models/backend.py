"""Keras on one of its back ends: started quietly, seeded, and with its exceptions as sentences."""

import importlib
import os
import random
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from mnistry.settings import MnistryError, quiet_stderr

BACKENDS = ("tensorflow", "jax", "torch")
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
