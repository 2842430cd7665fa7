"""The recipes: which network or estimator to build, and with which settings to fit it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

from mnistry.classical import PixelClassifier
from mnistry.neural import NeuralClassifier, load_keras
from mnistry.settings import MnistryError


def dense_network(width: int) -> Any:
    """784-128-10: the network of every first lesson."""
    keras = load_keras()
    images = keras.Input((28, 28), dtype="uint8", name="images")
    x = keras.layers.Rescaling(1 / 255)(images)  # 0 to 1
    x = keras.layers.Flatten()(x)  # (n, 784)
    x = keras.layers.Dense(width, activation="relu")(x)  # (n, 128)
    proba = keras.layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(images, proba, name="dense")


def cnn_network(width: int) -> Any:
    """Three 3x3 convolutions with batch norm, two poolings and one dense layer."""
    keras = load_keras()
    layers = keras.layers
    images = keras.Input((28, 28), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Reshape((28, 28, 1))(x)
    for block, filters in enumerate((width, 2 * width, 4 * width)):
        x = layers.Conv2D(filters, 3, use_bias=False)(x)  # 26, 11, 3
        if block < 2:
            x = layers.MaxPooling2D()(x)  # 13, 5; pooling first quarters the work of what follows
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.Flatten()(x)  # (n, 864)
    x = layers.Dropout(0.4)(x)
    proba = layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(images, proba, name="cnn")


@dataclass(frozen=True)
class Recipe:
    """A classifier to build and how to fit it; `settings` are what --set changes, with the types they have."""

    name: str
    summary: str
    family: str  # "classical" or "neural"
    parameters: int  # of the model as the recipe stands
    make: Callable[..., Any]
    settings: Mapping[str, Any]
    validation: float = 0.1  # share of the training digits that are held back

    def build(self, seed: int | None = None) -> Any:
        """A new classifier with these settings."""
        return self.make(**self.settings, random_state=seed)

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """The recipe with some settings changed; text is read as the setting's type. Raises MnistryError."""
        settings = dict(self.settings)
        for key, value in changes.items():
            if key not in settings:
                raise MnistryError(
                    f"Recipe {self.name} has no setting {key!r}{_nearest(key, settings)}. It has: "
                    f"{', '.join(settings)}."
                )
            settings[key] = _as_type(key, value, type(settings[key]))
        return replace(self, settings=MappingProxyType(settings))


def _logistic(C: float, max_iter: int, tol: float, random_state: int | None) -> PixelClassifier:
    return PixelClassifier(LogisticRegression(C=C, max_iter=max_iter, tol=tol), random_state)


def _dense(**settings: Any) -> NeuralClassifier:
    return NeuralClassifier(dense_network, **settings)


def _cnn(**settings: Any) -> NeuralClassifier:
    return NeuralClassifier(cnn_network, **settings)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "logistic", "logistic regression on the pixels (scikit-learn)", "classical", 7_850, _logistic,
            {"C": 0.1, "max_iter": 1000, "tol": 1e-4},
        ),
        Recipe(
            "dense", "784-128-10, the network of every first lesson", "neural", 101_770, _dense,
            {"width": 128, "epochs": 5, "batch_size": 32, "learning_rate": 0.004, "schedule": "cosine",
             "weight_decay": 0.0, "label_smoothing": 0.0, "shift": 0, "patience": 0, "best_epoch": False},
            validation=0.2,
        ),
        Recipe(
            "cnn", "three convolutions with batch norm, shifted digits", "neural", 61_378, _cnn,
            {"width": 24, "epochs": 8, "batch_size": 128, "learning_rate": 0.01, "schedule": "cosine",
             "weight_decay": 0.01, "label_smoothing": 0.0, "shift": 2, "patience": 0, "best_epoch": False},
        ),
    )
}  # fmt: skip


def find_recipe(name: str) -> Recipe:
    """The recipe of this name; raises MnistryError and names the nearest."""
    if name not in RECIPES:
        raise MnistryError(f"There is no recipe {name!r}{_nearest(name, RECIPES)}. There are: {', '.join(RECIPES)}.")
    return RECIPES[name]


def load_classifier(path: Path) -> Any:
    """Load what `save` wrote. Both formats can run code when they are loaded: only for runs of your own."""
    if path.suffix == ".keras":
        classifier = NeuralClassifier()
        classifier.model_, classifier.classes_ = load_keras().models.load_model(path), np.arange(10)
        return classifier
    return joblib.load(path)


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _as_type(key: str, value: Any, kind: type) -> Any:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    try:
        if kind is bool and isinstance(value, str):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[value.lower()]
        if kind is int and isinstance(value, float) and not value.is_integer():
            raise ValueError(value)
        return kind(value)
    except (KeyError, TypeError, ValueError) as problem:
        raise MnistryError(f"The setting {key} takes {words[kind]}, not {value!r}.") from problem
