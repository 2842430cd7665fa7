"""Keras networks as scikit-learn classifiers; written against Keras alone, so that any of its back ends will do."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from mnistry.data.augmentation import Augmentation
from mnistry.data.corruptions import corrupt
from mnistry.data.handwriting_styles import european, with_neighbours
from mnistry.models.backend import Checkpoint, enough_memory, keeper, load_keras, precision, seeded
from mnistry.models.base import DigitClassifier, Images, InputError, Labels, Pair, Progress, check_images, check_labels
from mnistry.models.batches import Digits, Distilled, Mixed, divergence
from mnistry.models.muon import muon
from mnistry.models.neural_settings import NEURAL, NeuralSettings
from mnistry.settings import MnistryError

SETTLING = 100  # batches from which batch norm's statistics are measured again
DIGITS = 0.95  # share of digits among the shapes in people's pictures; training shows fewer, so the output is adjusted
REVIEW = 3  # the epoch (from 0) before which outliers that look like digits are left out, once
STEPS = 8  # batches that Keras runs in one go: a tenth to a fifth faster than one by one


@dataclass(eq=False, repr=False)
class NeuralClassifier(DigitClassifier, NeuralSettings):
    """A Keras network as a scikit-learn classifier: `network` builds it from `width`, `NeuralSettings` has the rest.

    With `outliers` the network has a second output, the probability that an image is a digit at all. A `teacher` gives
    probabilities to learn from; with `outliers` half of each target is the teacher's answer and half the label.
    `patience` and `best_epoch` need validation digits. The same `random_state` gives the same weights on the same
    machine, back end and number of threads.
    """

    network: Callable[[int], Any] | None = None
    random_state: int | None = None

    def fit(
        self,
        X: Images,
        y: Labels,
        validation: Pair | None = None,
        progress: Progress | None = None,
        callbacks: Sequence[Any] = (),
        checkpoint: Checkpoint | None = None,
    ) -> Self:
        """Train from scratch; sets `model_`, `history_` (a row an epoch) and `classes_`.

        `callbacks` are Keras callbacks of your own, such as `keras.callbacks.TensorBoard`. A `checkpoint` keeps the
        training while it runs, for one with the same settings and digits to go on. Raises InputError.
        """
        X, y = check_images(X), check_labels(y, len(X))
        self._check_settings(validation)
        keras = load_keras()
        for callback in callbacks:
            if not isinstance(callback, keras.callbacks.Callback):
                raise InputError(f"Callbacks are instances of keras.callbacks.Callback, not {callback!r}.")
        advice = f"for width {self.width} and batch_size {self.batch_size}: lower them."
        with seeded(keras, self.random_state), enough_memory(advice):
            digits = self._digits(X, y)
            data = _batches(keras, digits, self.batch_size, self.spoilt)
            with precision(keras, self.bfloat16):
                self.model_ = self._build()
            if (len(self.model_.outputs) == 2) != (self.outliers > 0):
                raise InputError(
                    "The setting outliers is more than 0 for a network with a second output, and 0 for every other, "
                    f"not {self.outliers!r}."
                )
            self._compile(keras, len(data))
            self._fit(keras, data, validation, progress, [*self._reviews(keras, digits), *callbacks], checkpoint)
            if self.ema:
                _settle_batch_norm(keras, self.model_, data)
            if self.outliers:
                _expect_digits(self.model_, max(1, round(self.outliers * self.batch_size)) / self.batch_size)
            if self.bfloat16 or self.ema or self.optimizer == "muon":  # JAX keeps the mean of the weights in it, and
                trained, self.model_ = self.model_, self._build()  # Keras alone cannot load Muon: float32, without it
                self.model_.set_weights(trained.get_weights())
        self.classes_ = np.arange(10)
        return self

    def _digits(self, X: Images, y: Labels) -> Digits:
        """What the batches are taken from: digits that change each time, or those that a teacher has seen."""
        generator = np.random.default_rng(np.random.randint(2**31))  # from the seeded global state
        augmentation = Augmentation.of(vars(self))
        if self.european:
            X = european(X, y, self.european, generator)
        if self.neighbours:
            X = with_neighbours(X, self.neighbours, generator)
        distilled = Distilled(X, y, Path(self.teacher), augmentation, self.views, generator) if self.teacher else None
        if self.outliers:
            return Mixed(X, y, augmentation, self.outliers, generator, distilled)
        return distilled or Digits(X, y, augmentation, generator)

    def _proba(self, X: Images) -> NDArray[np.float32]:
        return self._answers(X)[0]

    def is_digit(self, X: Images) -> NDArray[np.float32]:
        """The probability (n,) that each image is a digit at all; 1 where the network has no output for it."""
        check_is_fitted(self)
        X = check_images(X)
        return self._answers(X)[1] if len(X) else np.empty(0, np.float32)

    def _answers(self, X: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both of the above."""
        answers = self.model_.predict(X, batch_size=256, verbose=0)
        return (answers[0], answers[1][:, 0]) if isinstance(answers, list) else (answers, np.ones(len(X), np.float32))

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
        for key, setting in NEURAL.items():
            setting.check(key, getattr(self, key))
        if (self.patience or self.best_epoch) and validation is None:
            raise InputError("patience and best_epoch choose by validation digits, and there are none: hold some back.")
        if self.best_epoch and self.ema:
            raise InputError("best_epoch keeps one epoch's weights and ema the mean of many: choose one of them.")

    def _build(self) -> Any:
        if self.network is None:
            raise InputError("NeuralClassifier builds a `network`: pass a function from width to a Keras model.")
        return self.network(self.width)

    def _compile(self, keras: ModuleType, batches: int) -> None:
        rate: Any = self.learning_rate
        if self.schedule == "cosine":
            steps = self.epochs * batches
            up = int(steps * self.warm_up)
            rate = keras.optimizers.schedules.CosineDecay(
                0.0 if up else self.learning_rate, steps - up, warmup_target=self.learning_rate if up else None,
                warmup_steps=up,
            )  # fmt: skip
        mean = {"use_ema": True, "ema_momentum": self.ema} if self.ema else {}
        loss: Any = keras.losses.CategoricalCrossentropy(label_smoothing=self.label_smoothing)
        two = len(self.model_.outputs) == 2
        if self.teacher and not two:
            loss = divergence(keras, self.temperature)
        optimizer = partial(muon, keras) if self.optimizer == "muon" else keras.optimizers.Adam
        self.model_.compile(
            optimizer(rate, beta_2=self.beta_2, weight_decay=self.weight_decay or None, **mean),
            [loss, "binary_crossentropy"] if two else loss,
            weighted_metrics=[["accuracy"], []] if two else ["accuracy"],
            steps_per_execution=1 if keras.backend.backend() == "torch" else STEPS,  # PyTorch's takes no other
        )

    def _reviews(self, keras: ModuleType, digits: Digits) -> list[Any]:
        """A callback that lets the network leave out what is wrong among the outliers, when it knows something."""
        if not isinstance(digits, Mixed):
            return []

        def review(epoch: int, _: Any) -> None:
            if epoch == REVIEW:
                digits.review(self._answers)

        return [keras.callbacks.LambdaCallback(on_epoch_begin=review)]

    def _fit(
        self,
        keras: ModuleType,
        data: Any,
        validation: Pair | None,
        progress: Progress | None,
        others: list[Any],
        checkpoint: Checkpoint | None,
    ) -> None:
        """Run the epochs; the rows of `history_` carry Keras' own names and the seconds."""
        watch = _watch(keras, self.epochs, len(data), progress)
        callbacks = [watch, keras.callbacks.TerminateOnNaN(raise_error=True), *others]
        stopping = None
        if self.patience or self.best_epoch:
            patience = self.patience or self.epochs
            stopping = keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=self.best_epoch)
            callbacks.append(stopping)
        fitting: dict[str, Any] = {"epochs": self.epochs, "callbacks": callbacks, "verbose": 0}
        if validation is not None:
            images, labels = check_images(validation[0]), check_labels(validation[1], len(validation[0]))
            targets = keras.utils.to_categorical(labels, 10)
            two = len(self.model_.outputs) == 2
            fitting["validation_data"] = images, (targets, np.ones((len(labels), 1))) if two else targets
        if checkpoint:
            if kept := checkpoint.read():
                fitting["initial_epoch"] = self.epochs if kept["stop"] else kept["epoch"]
            callbacks.append(keeper(keras, checkpoint, kept, data, watch.rows, stopping))
        try:
            self.model_.fit(data, validation_batch_size=256, **fitting)
        except RuntimeError as problem:
            if "NaN" not in str(problem):
                raise
            raise MnistryError(
                f"The loss became NaN or infinite in epoch {watch.epoch + 1}: the steps are too large. "
                f"Lower learning_rate (it is {self.learning_rate:g})."
            ) from problem
        self.history_ = watch.rows


def _watch(keras: ModuleType, epochs: int, batches: int, progress: Progress | None) -> Any:
    """A callback that keeps the figures and seconds of each epoch and passes the progress on."""

    class Watch(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.epoch = 0
            self.rows: list[dict[str, float]] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras passes it
            self.epoch, self.start = epoch, time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if progress:
                progress(self.epoch, epochs, batch + 1, batches, plain(logs))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            figures = {key: float(value) for key, value in plain(logs).items()}
            figures["seconds"] = time.perf_counter() - self.start
            self.rows.append({"epoch": epoch + 1, **figures})
            if progress:
                progress(epoch, epochs, batches, batches, figures)

    return Watch()


def plain(logs: Any) -> dict[str, Any]:
    """Keras' figures without those of single outputs; the accuracy is that of the digits."""
    named = {key.replace("probabilities_accuracy", "accuracy"): value for key, value in (logs or {}).items()}
    return {key: value for key, value in named.items() if not key.endswith(("probabilities_loss", "digit_loss"))}


def _batches(keras: ModuleType, digits: Digits, size: int, share: float) -> Any:
    """Shuffled batches of (images, probabilities of the classes), anew in every epoch; a share is spoilt."""

    class Batches(keras.utils.PyDataset):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.on_epoch_end()

        def on_epoch_end(self) -> None:
            self.order = digits.generator.permutation(len(digits))

        def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
            arrays, plain = digits.state()
            return arrays | {"order": self.order}, plain

        def restore(self, kept: dict[str, Any]) -> None:
            digits.restore(kept)
            self.order = kept["order"]

        def __len__(self) -> int:
            return -(-len(digits) // size)

        def __getitem__(self, index: int) -> tuple[Any, ...]:
            images, *rest = digits.batch(self.order[index * size : (index + 1) * size])
            return (corrupt(images, share, digits.generator) if share else images, *rest)

    return Batches()


def _settle_batch_norm(keras: ModuleType, model: Any, data: Any) -> None:
    """Measure batch norm's statistics again for these weights, as the plain mean over some batches."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for k in range(min(SETTLING, len(data)) if norms else 0):
        for layer in norms:
            layer.momentum = k / (k + 1)
        model(data[k][0], training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def _expect_digits(model: Any, outliers: float) -> None:
    """Adjust the second output to a share DIGITS of digits; it has learnt from `outliers` pictures for each digit.

    The odds are multiplied by the change of the prior odds (Saerens et al. 2002, "Adjusting the outputs of a classifier
    to new a priori probabilities").
    """
    layer = model.get_layer("digit")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + np.float32(math.log(DIGITS / (1 - DIGITS) * outliers))])


def load_neural(path: Path) -> NeuralClassifier:
    """A classifier with a saved Keras model. Loading can run code: only for files of your own."""
    classifier = NeuralClassifier()
    classifier.model_, classifier.classes_ = load_keras().models.load_model(path), np.arange(10)
    return classifier
