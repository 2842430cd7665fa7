"""The recipes: which network or estimator to build, and with which settings to fit it. A light table to import."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mnistry.settings import MnistryError
from mnistry.space import Choice, Domain, Range, read_domain


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
    space: Mapping[str, Domain] = field(default_factory=dict)  # what `tune` may try, by setting

    def build(self, seed: int | None = None) -> Any:
        """A new classifier with these settings."""
        return self.make(**self.settings, random_state=seed)

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """The recipe with some settings changed; text is read as the setting's type. Raises MnistryError."""
        if not isinstance(changes, Mapping):
            raise MnistryError(f"Changes are settings by name, such as {{'epochs': 3}}, not {changes!r}.")
        settings = dict(self.settings)
        for key, value in changes.items():
            self._check_setting(key)
            settings[key] = _as_type(key, value, type(settings[key]))
        return replace(self, settings=MappingProxyType(settings))

    def searched(self, domains: Mapping[str, str], fixed: Mapping[str, Any]) -> "Recipe":
        """The recipe with some settings fixed and the search space of others as written. Raises MnistryError."""
        changed = self.changed(fixed)
        space = {key: domain for key, domain in self.space.items() if key not in fixed}
        for key, text in domains.items():
            self._check_setting(key)
            if key in fixed:
                raise MnistryError(f"The setting {key} is both fixed and searched: leave out its --set or its --space.")
            kind = type(self.settings[key])
            space[key] = read_domain(key, text, partial(_as_type, key, kind=kind))
        if not space:
            raise MnistryError(f"Recipe {self.name} has nothing to search: name settings, as in --space C=0.01:10:log.")
        return replace(changed, space=MappingProxyType(space))

    def _check_setting(self, key: Any) -> None:
        if key not in self.settings:
            raise MnistryError(
                f"Recipe {self.name} has no setting {key!r}{_nearest(str(key), self.settings)}. It has: "
                f"{', '.join(self.settings)}."
            )


def _logistic(C: float, max_iter: int, tol: float, random_state: int | None) -> Any:
    from sklearn.linear_model import LogisticRegression

    from mnistry.classical import PixelClassifier

    return PixelClassifier(LogisticRegression(C=C, max_iter=max_iter, tol=tol), random_state)


def _neural(network: str) -> Callable[..., Any]:
    """A maker of classifiers over one of the networks; Keras is imported when one is made."""

    def make(**settings: Any) -> Any:
        from mnistry import networks
        from mnistry.neural import NeuralClassifier

        return NeuralClassifier(getattr(networks, network), **settings)

    return make


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "logistic", "logistic regression on the pixels (scikit-learn)", "classical", 7_850, _logistic,
            {"C": 0.1, "max_iter": 1000, "tol": 1e-4},
            space={"C": Range(0.001, 10.0, log=True)},
        ),
        Recipe(
            "dense", "784-128-10, the network of every first lesson", "neural", 101_770, _neural("dense_network"),
            {"width": 128, "epochs": 5, "batch_size": 32, "learning_rate": 0.004, "schedule": "cosine",
             "weight_decay": 0.0, "label_smoothing": 0.0, "shift": 0, "patience": 0, "best_epoch": False},
            validation=0.2,
            space={"width": Range(32, 512, log=True), "learning_rate": Range(0.0003, 0.03, log=True),
                   "batch_size": Choice((32, 64, 128, 256)), "schedule": Choice(("constant", "cosine")),
                   "shift": Range(0, 2)},
        ),
        Recipe(
            "cnn", "three convolutions with batch norm, shifted digits", "neural", 61_378, _neural("cnn_network"),
            {"width": 24, "epochs": 8, "batch_size": 128, "learning_rate": 0.01, "schedule": "cosine",
             "weight_decay": 0.01, "label_smoothing": 0.0, "shift": 2, "patience": 0, "best_epoch": False},
            space={"width": Range(12, 32), "learning_rate": Range(0.001, 0.05, log=True),
                   "batch_size": Choice((64, 128, 256)), "weight_decay": Range(0.0001, 0.1, log=True),
                   "shift": Range(0, 3)},
        ),
    )
}  # fmt: skip


def find_recipe(name: str) -> Recipe:
    """The recipe of this name; raises MnistryError and names the nearest."""
    if not isinstance(name, str) or name not in RECIPES:
        raise MnistryError(
            f"There is no recipe {name!r}{_nearest(str(name), RECIPES)}. There are: {', '.join(RECIPES)}."
        )
    return RECIPES[name]


def load_classifier(path: Path) -> Any:
    """Load what `save` wrote. Both formats can run code when they are loaded: only for runs of your own."""
    if path.suffix == ".keras":
        from mnistry.neural import load_neural

        return load_neural(path)
    import joblib

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
        read = kind(value)
        if isinstance(read, float) and not math.isfinite(read):
            raise ValueError(value)
        return read
    except (KeyError, TypeError, ValueError, OverflowError) as problem:
        raise MnistryError(f"The setting {key} takes {words[kind]}, not {value!r}.") from problem
