"""Keras networks as scikit-learn classifiers; written against Keras alone, so that any of its back ends will do."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from mnistry.data.augmentation import Augmentation
from mnistry.data.corruptions import corrupt
from mnistry.data.handwriting_styles import european, with_neighbours
from mnistry.models.backend import enough_memory, load_keras, precision, seeded
from mnistry.models.base import DigitClassifier, Images, InputError, Labels, Pair, Progress, check_images, check_labels
from mnistry.models.batches import Digits, Distilled, Mixed, divergence
from mnistry.settings import MnistryError

SETTLING = 100  # batches from which batch norm's statistics are taken anew
DIGITS = 0.95  # of the shapes in people's pictures are digits: what a network that has learnt more others is moved to
REVIEW = 3  # the epoch (from 0) before which a network leaves out outliers, once: each time more would pass for digits
STEPS = 8  # batches that Keras runs in one go: a tenth to a fifth faster than one by one


class NeuralClassifier(DigitClassifier):
    """A Keras network as a scikit-learn classifier.

    `network` builds it from `width`. `schedule` is "constant" or "cosine": up to `learning_rate` in the first share
    `warm_up` of the steps, then down to 0; `beta_2` is Adam's. `rotation` (degrees), `shift` (pixels), `zoom`,
    `shear` (fractions), `elastic` (pixels), `erase` (side in pixels), `stroke` and `blur` change every training
    image a little, see `Augmentation`; `european` is the share of 0s, 1s, 4s, 7s and 9s that are as Europeans write
    them; `neighbours` the share of digits on which a piece of another one hangs, as cuts through touching writing
    leave it; `spoilt` the share of all images that are spoilt as bad pictures are. `outliers` adds so many pictures
    of what is no digit for each digit: for a network whose second output is the probability that it is a digit at
    all. `ema` > 0 keeps the running mean of the weights with that momentum and takes batch norm's statistics anew
    for it. `bfloat16` computes in it and keeps float32 weights. `teacher` is the ONNX file of a model to learn
    from: its probabilities for `views` changed copies of every image, softened by `temperature`; with `outliers`,
    half of a target is what it says and half the label. `patience` > 0 stops when the validation loss has not
    fallen for so many epochs, `best_epoch` keeps the weights of its lowest; both want validation digits. The same
    `random_state` gives the same weights on the same machine.
    """

    def __init__(
        self,
        network: Callable[[int], Any] | None = None,
        width: int = 128,
        epochs: int = 5,
        batch_size: int = 32,
        learning_rate: float = 0.001,
        schedule: str = "constant",
        warm_up: float = 0.2,
        weight_decay: float = 0.0,
        beta_2: float = 0.999,
        label_smoothing: float = 0.0,
        rotation: float = 0.0,
        shift: float = 0.0,
        zoom: float = 0.0,
        shear: float = 0.0,
        elastic: float = 0.0,
        erase: int = 0,
        stroke: float = 0.0,
        blur: float = 0.0,
        european: float = 0.0,
        neighbours: float = 0.0,
        spoilt: float = 0.0,
        outliers: float = 0.0,
        ema: float = 0.0,
        bfloat16: bool = False,
        teacher: str = "",
        temperature: float = 2.0,
        views: int = 8,
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
        self.warm_up = warm_up
        self.weight_decay = weight_decay
        self.beta_2 = beta_2
        self.label_smoothing = label_smoothing
        self.rotation = rotation
        self.shift = shift
        self.zoom = zoom
        self.shear = shear
        self.elastic = elastic
        self.erase = erase
        self.stroke = stroke
        self.blur = blur
        self.european = european
        self.neighbours = neighbours
        self.spoilt = spoilt
        self.outliers = outliers
        self.ema = ema
        self.bfloat16 = bfloat16
        self.teacher = teacher
        self.temperature = temperature
        self.views = views
        self.patience = patience
        self.best_epoch = best_epoch
        self.random_state = random_state

    def fit(self, X: Images, y: Labels, validation: Pair | None = None, progress: Progress | None = None) -> Self:
        """Train from scratch; sets `model_`, `history_` (a row an epoch) and `classes_`. Raises InputError."""
        X, y = check_images(X), check_labels(y, len(X))
        self._check_settings(validation)
        keras = load_keras()
        advice = f"for width {self.width} and batch_size {self.batch_size}: lower them."
        with seeded(keras, self.random_state), enough_memory(advice):
            digits = self._digits(X, y)
            data = _batches(keras, digits, self.batch_size, self.spoilt)
            with precision(keras, self.bfloat16):
                self.model_ = self._build()
            _require(
                (len(self.model_.outputs) == 2) == (self.outliers > 0), "outliers",
                "more than 0 for a network that knows what is no digit, and 0 for every other", self.outliers,
            )  # fmt: skip
            self._compile(keras, len(data))
            self._fit(keras, data, validation, progress, self._reviews(keras, digits))
            if self.ema:
                _settle_batch_norm(keras, self.model_, data)
            if self.outliers:
                _expect_digits(self.model_, max(1, round(self.outliers * self.batch_size)) / self.batch_size)
            if self.bfloat16 or self.ema:  # on JAX the mean of the weights lives in the optimizer's own memory
                self.model_ = _clean(self.model_, self._build())
        self.classes_ = np.arange(10)
        return self

    def _digits(self, X: Images, y: Labels) -> Digits:
        """What the batches are taken from: digits that change each time, or those that a teacher has seen."""
        generator = np.random.default_rng(np.random.randint(2**31))  # from the seeded global state
        augmentation = Augmentation(
            self.rotation, self.shift, self.zoom, self.shear, self.elastic, self.erase, self.stroke, self.blur
        )
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
        _require(1 <= self.epochs <= 10**6, "epochs", "from 1 to 1000000", self.epochs)
        _require(1 <= self.batch_size <= 10**9, "batch_size", "from 1 to 1000000000", self.batch_size)
        _require(1 <= self.width <= 10**6, "width", "from 1 to 1000000", self.width)
        _require(0 < self.learning_rate < math.inf, "learning_rate", "more than 0", self.learning_rate)
        _require(self.schedule in ("constant", "cosine"), "schedule", "constant or cosine", self.schedule)
        _require(0 <= self.warm_up < 1, "warm_up", "from 0 to below 1", self.warm_up)
        _require(0 <= self.weight_decay < math.inf, "weight_decay", "0 or more", self.weight_decay)
        _require(0 <= self.beta_2 < 1, "beta_2", "from 0 to below 1", self.beta_2)
        _require(0 <= self.label_smoothing < 1, "label_smoothing", "from 0 to below 1", self.label_smoothing)
        _require(0 <= self.rotation <= 180, "rotation", "from 0 to 180 degrees", self.rotation)
        _require(0 <= self.shift <= 14, "shift", "from 0 to 14 pixels", self.shift)
        _require(0 <= self.zoom <= 1, "zoom", "from 0 to 1", self.zoom)
        _require(0 <= self.shear <= 1, "shear", "from 0 to 1", self.shear)
        _require(0 <= self.elastic <= 14, "elastic", "from 0 to 14 pixels", self.elastic)
        _require(0 <= self.erase <= 14, "erase", "from 0 to 14 pixels", self.erase)
        _require(0 <= self.stroke <= 1, "stroke", "from 0 to 1", self.stroke)
        _require(0 <= self.blur <= 1, "blur", "from 0 to 1", self.blur)
        _require(0 <= self.european <= 1, "european", "from 0 to 1", self.european)
        _require(0 <= self.neighbours <= 1, "neighbours", "from 0 to 1", self.neighbours)
        _require(0 <= self.spoilt <= 1, "spoilt", "from 0 to 1", self.spoilt)
        _require(0 <= self.outliers <= 10, "outliers", "from 0 to 10 for each digit", self.outliers)
        _require(0 <= self.ema < 1, "ema", "from 0 to below 1", self.ema)
        _require(0 < self.temperature <= 100, "temperature", "more than 0 and at most 100", self.temperature)
        _require(1 <= self.views <= 1000, "views", "from 1 to 1000", self.views)
        _require(self.patience >= 0, "patience", "0 or more", self.patience)
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
        self.model_.compile(
            keras.optimizers.Adam(rate, beta_2=self.beta_2, weight_decay=self.weight_decay or None, **mean),
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
    ) -> None:
        """Run the epochs; the rows of `history_` carry Keras' own names and the seconds."""
        watch = _watch(keras, self.epochs, len(data), progress)
        callbacks = [watch, keras.callbacks.TerminateOnNaN(raise_error=True), *others]
        if self.patience or self.best_epoch:
            patience = self.patience or self.epochs
            callbacks.append(keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=self.best_epoch))
        fitting: dict[str, Any] = {"epochs": self.epochs, "callbacks": callbacks, "verbose": 0}
        if validation is not None:
            images, labels = check_images(validation[0]), check_labels(validation[1], len(validation[0]))
            targets = keras.utils.to_categorical(labels, 10)
            two = len(self.model_.outputs) == 2
            fitting["validation_data"] = images, (targets, np.ones((len(labels), 1))) if two else targets
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
            {"epoch": k + 1, **_plain({key: float(values[k]) for key, values in history.items()}), "seconds": seconds}
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
                progress(self.epoch, epochs, batch + 1, batches, _plain(logs))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seconds.append(time.perf_counter() - self.start)
            if progress:
                progress(epoch, epochs, batches, batches, {**_plain(logs), "seconds": self.seconds[-1]})

    return Watch()


def _plain(logs: Any) -> dict[str, Any]:
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

        def __len__(self) -> int:
            return -(-len(digits) // size)

        def __getitem__(self, index: int) -> tuple[Any, ...]:
            images, *rest = digits.batch(self.order[index * size : (index + 1) * size])
            return (corrupt(images, share, digits.generator) if share else images, *rest)

    return Batches()


def _settle_batch_norm(keras: ModuleType, model: Any, data: Any) -> None:
    """Take batch norm's statistics anew for these weights, as the plain mean over some batches."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for k in range(min(SETTLING, len(data)) if norms else 0):
        for layer in norms:
            layer.momentum = k / (k + 1)
        model(data[k][0], training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def _expect_digits(model: Any, outliers: float) -> None:
    """Move the second output to DIGITS from the share that it has learnt, one digit to so many outliers.

    The odds of a probability change as those beforehand do (Saerens et al. 2002, "Adjusting the outputs of a classifier
    to new a priori probabilities").
    """
    layer = model.get_layer("digit")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + np.float32(math.log(DIGITS / (1 - DIGITS) * outliers))])


def _clean(trained: Any, clean: Any) -> Any:
    """The same weights in a new network: in float32, without an optimizer."""
    clean.set_weights(trained.get_weights())
    return clean


def load_neural(path: Path) -> NeuralClassifier:
    """A classifier over a saved Keras model; only for files of your own, as loading can run code."""
    classifier = NeuralClassifier()
    classifier.model_, classifier.classes_ = load_keras().models.load_model(path), np.arange(10)
    return classifier


def _require(holds: bool, name: str, expected: str, value: Any) -> None:
    if not holds:
        raise InputError(f"The setting {name} is {expected}, not {value!r}.")
