"""Keras networks as scikit-learn classifiers; written against Keras alone, so that any of its back ends will do."""

import math
import os
import random
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from mnistry.contract import DigitClassifier, Images, InputError, Labels, Pair, Progress, check_images, check_labels
from mnistry.quiet import quiet_stderr
from mnistry.settings import MnistryError

BACKENDS = ("tensorflow", "jax", "torch")
OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError")


class NeuralClassifier(DigitClassifier):
    """A Keras network as a scikit-learn classifier.

    `network` builds it from `width`. `schedule` is "constant" or "cosine": up to `learning_rate` in the first fifth of
    the steps, then down to 0. `shift` moves every training image by up to so many pixels. `patience` > 0 stops when the
    validation loss has not fallen for so many epochs, `best_epoch` keeps the weights of its lowest; both
    want validation digits. The same `random_state` gives the same weights on the same machine.
    """

    def __init__(
        self,
        network: Callable[[int], Any] | None = None,
        width: int = 128,
        epochs: int = 5,
        batch_size: int = 32,
        learning_rate: float = 0.001,
        schedule: str = "constant",
        weight_decay: float = 0.0,
        label_smoothing: float = 0.0,
        shift: int = 0,
        patience: int = 0,
        best_epoch: bool = False,
        random_state: int | None = None,
    ) -> None:
        self.network = network
        self.width = width
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.shift = shift
        self.patience = patience
        self.best_epoch = best_epoch
        self.random_state = random_state

    def fit(self, X: Images, y: Labels, validation: Pair | None = None, progress: Progress | None = None) -> Self:
        """Train from scratch; sets `model_`, `history_` (a row an epoch) and `classes_`. Raises InputError."""
        X, y = check_images(X), check_labels(y, len(X))
        self._check_settings(validation)
        keras = load_keras()
        with _seeded(keras, self.random_state), self._enough_memory():
            self.model_ = self._build()
            batches = -(-len(X) // self.batch_size)
            self._compile(keras, batches)
            self._fit(keras, _batches(keras, X, y, self.batch_size, self.shift), batches, validation, progress)
        self.classes_ = np.arange(10)
        return self

    def _proba(self, X: Images) -> NDArray[np.float32]:
        proba: NDArray[np.float32] = self.model_.predict(X, batch_size=256, verbose=0)
        return proba

    def save(self, folder: Path) -> Path:
        """Write `model.keras` into the folder and return its path."""
        check_is_fitted(self)
        self.model_.save(folder / "model.keras")
        return folder / "model.keras"

    @property
    def layers_(self) -> list[dict[str, Any]]:
        """Name, kind, output shape and number of parameters of each layer."""
        return [
            {
                "name": layer.name,
                "kind": type(layer).__name__,
                "output": list(layer.output.shape[1:]),
                "parameters": int(layer.count_params()),
            }
            for layer in self.model_.layers
        ]

    def _check_settings(self, validation: Pair | None) -> None:
        _require(1 <= self.epochs <= 10**6, "epochs", "from 1 to 1000000", self.epochs)
        _require(1 <= self.batch_size <= 10**9, "batch_size", "from 1 to 1000000000", self.batch_size)
        _require(1 <= self.width <= 10**6, "width", "from 1 to 1000000", self.width)
        _require(0 < self.learning_rate < math.inf, "learning_rate", "more than 0", self.learning_rate)
        _require(self.schedule in ("constant", "cosine"), "schedule", "constant or cosine", self.schedule)
        _require(0 <= self.weight_decay < math.inf, "weight_decay", "0 or more", self.weight_decay)
        _require(0 <= self.label_smoothing < 1, "label_smoothing", "from 0 to below 1", self.label_smoothing)
        _require(0 <= self.shift <= 14, "shift", "from 0 to 14 pixels", self.shift)
        _require(self.patience >= 0, "patience", "0 or more", self.patience)
        if (self.patience or self.best_epoch) and validation is None:
            raise InputError("patience and best_epoch choose by validation digits, and there are none: hold some back.")

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        """Tell of too little memory in a sentence; each back end has an exception of its own for it."""
        try:
            yield
        except Exception as problem:
            if type(problem).__name__ not in OUT_OF_MEMORY and "RESOURCE_EXHAUSTED" not in str(problem):
                raise
            raise MnistryError(
                f"There is not enough memory for width {self.width} and batch_size {self.batch_size}: lower them."
            ) from problem

    def _build(self) -> Any:
        if self.network is None:
            raise InputError("NeuralClassifier builds a `network`: pass a function from width to a Keras model.")
        return self.network(self.width)

    def _compile(self, keras: ModuleType, batches: int) -> None:
        rate: Any = self.learning_rate
        if self.schedule == "cosine":
            steps = self.epochs * batches
            rate = keras.optimizers.schedules.CosineDecay(
                0.0, steps - steps // 5, warmup_target=self.learning_rate, warmup_steps=steps // 5
            )
        self.model_.compile(
            keras.optimizers.Adam(rate, weight_decay=self.weight_decay or None),
            keras.losses.CategoricalCrossentropy(label_smoothing=self.label_smoothing),
            metrics=["accuracy"],
        )

    def _fit(
        self, keras: ModuleType, data: Any, batches: int, validation: Pair | None, progress: Progress | None
    ) -> None:
        """Run the epochs; the rows of `history_` carry Keras' own names and the seconds."""
        watch = _watch(keras, self.epochs, batches, progress)
        callbacks = [watch, keras.callbacks.TerminateOnNaN(raise_error=True)]
        if self.patience or self.best_epoch:
            patience = self.patience or self.epochs
            callbacks.append(keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=self.best_epoch))
        if validation is not None:
            images, labels = check_images(validation[0]), check_labels(validation[1], len(validation[0]))
            validation = images, keras.utils.to_categorical(labels, 10)
        fitting = {"epochs": self.epochs, "callbacks": callbacks, "validation_data": validation, "verbose": 0}
        try:
            history = self.model_.fit(data, validation_batch_size=256, **fitting).history
        except RuntimeError as problem:
            if "NaN" not in str(problem):
                raise
            raise MnistryError(
                f"The loss became NaN or infinite in epoch {watch.epoch + 1}: the steps are too large. "
                f"Lower learning_rate (it is {self.learning_rate:g})."
            ) from problem
        self.history_ = [
            {"epoch": k + 1, **{key: float(values[k]) for key, values in history.items()}, "seconds": seconds}
            for k, seconds in enumerate(watch.seconds)
        ]


def _watch(keras: ModuleType, epochs: int, batches: int, progress: Progress | None) -> Any:
    """A callback that keeps the seconds of each epoch and tells of the progress."""

    class Watch(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.epoch = 0
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras passes it
            self.epoch, self.start = epoch, time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if progress:
                progress(self.epoch, epochs, batch + 1, batches, logs)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seconds.append(time.perf_counter() - self.start)
            if progress:
                progress(epoch, epochs, batches, batches, {**logs, "seconds": self.seconds[-1]})

    return Watch()


def _batches(keras: ModuleType, X: Images, y: Labels, size: int, shift: int) -> Any:
    """Shuffled batches of (images, one-hot labels), moved a little where asked; anew in every epoch."""

    class Batches(keras.utils.PyDataset):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.generator = np.random.default_rng(np.random.randint(2**31))  # from the seeded global state
            self.one_hot = np.eye(10, dtype=np.float32)[y]
            self.on_epoch_end()

        def on_epoch_end(self) -> None:
            self.order = self.generator.permutation(len(X))

        def __len__(self) -> int:
            return -(-len(X) // size)

        def __getitem__(self, index: int) -> tuple[Images, NDArray[np.float32]]:
            chosen = self.order[index * size : (index + 1) * size]
            return shifted(X[chosen], shift, self.generator), self.one_hot[chosen]

    return Batches()


def shifted(images: Images, most: int, generator: np.random.Generator) -> Images:
    """Move each image by up to `most` pixels in both directions; paper comes in from the border."""
    if not most:
        return images
    padded = np.pad(images, ((0, 0), (most, most), (most, most)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, images.shape[1:], axis=(1, 2))
    top, left = generator.integers(0, 2 * most + 1, (2, len(images)))
    moved: Images = windows[np.arange(len(images)), top, left]
    return moved


def load_neural(path: Path) -> NeuralClassifier:
    """A classifier over a saved Keras model; only for files of your own, as loading can run code."""
    classifier = NeuralClassifier()
    classifier.model_, classifier.classes_ = load_keras().models.load_model(path), np.arange(10)
    return classifier


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


@contextmanager
def _seeded(keras: ModuleType, seed: int | None) -> Iterator[None]:
    """Seed Keras (at random if `seed` is None), and give Python's and NumPy's own generators back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(secrets.randbits(32) if seed is None else seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _require(holds: bool, name: str, expected: str, value: Any) -> None:
    if not holds:
        raise InputError(f"The setting {name} is {expected}, not {value!r}.")
