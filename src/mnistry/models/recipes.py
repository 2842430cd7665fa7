"""The recipes: which network or estimator to build, and with which settings to fit it. A light table to import."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mnistry.models.search_space import Choice, Domain, Range, read_domain
from mnistry.settings import MnistryError


@dataclass(frozen=True)
class Recipe:
    """A classifier to build and how to fit it; `settings` are what --set changes, with the types they have."""

    name: str
    summary: str
    family: str  # "classical" or "neural"
    parameters: int | None  # of the model as the recipe stands; None where the training digits decide
    make: Callable[..., Any]
    settings: Mapping[str, Any]
    validation: float = 0.1  # share of the training digits that are held back
    seeds: int = 3  # runs that a comparison makes; 1 where chance has no part in the fit, or one run costs many
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


def _classical(pipeline: str) -> Callable[..., Any]:
    """A maker of classifiers over one of the pipelines; scikit-learn is imported when one is made."""

    def make(random_state: int | None, **settings: Any) -> Any:
        from mnistry.models import classical

        return classical.PixelClassifier(getattr(classical, pipeline)(**settings), random_state)

    return make


def _neural(network: str) -> Callable[..., Any]:
    """A maker of classifiers over one of the networks; Keras is imported when one is made."""

    def make(**settings: Any) -> Any:
        from mnistry.models import networks
        from mnistry.models.neural import NeuralClassifier

        return NeuralClassifier(getattr(networks, network), **settings)

    return make


def _ensemble(members: str, epochs: int, random_state: int | None) -> Any:
    from mnistry.models.ensemble import EnsembleClassifier

    changes = {"epochs": epochs} if epochs else {}
    built = [find_recipe(name).changed(changes).build(seed) for name, seed in ensemble_members(members)]
    return EnsembleClassifier(built, random_state)


def ensemble_members(members: str) -> list[tuple[str, int]]:
    """Recipes and seeds from their text, such as "deep:0 deep:1 best:0". Raises MnistryError."""
    read = []
    for word in members.split():
        name, _, seed = word.partition(":")
        recipe = find_recipe(name)
        alone = "members" in recipe.settings or recipe.settings.get("outliers")  # other answers than ten probabilities
        if not seed.isdecimal() or int(seed) >= 2**32 or recipe.family != "neural" or alone:
            raise MnistryError(
                f"A member of an ensemble is a neural recipe with a seed below 2**32, such as cnn:0, not {word!r}; "
                "neither an ensemble nor one that answers more than ten probabilities, such as reader."
            )
        if (name, int(seed)) in read:
            raise MnistryError(f"The ensemble names {name}:{int(seed)} twice: each member is a run of its own.")
        read.append((name, int(seed)))
    if not read:
        raise MnistryError("An ensemble has at least one member, such as cnn:0; none was named.")
    return read


# What a neural recipe can set; a row below names what it sets otherwise.
NEURAL: dict[str, Any] = {
    "width": 24, "epochs": 8, "batch_size": 128, "learning_rate": 0.01, "schedule": "cosine", "warm_up": 0.2,
    "weight_decay": 0.01, "beta_2": 0.999, "label_smoothing": 0.0, "rotation": 0.0, "shift": 0.0, "zoom": 0.0,
    "shear": 0.0, "elastic": 0.0, "erase": 0, "stroke": 0.0, "blur": 0.0, "european": 0.0, "outliers": 0.0, "ema": 0.0,
    "bfloat16": False, "teacher": "", "temperature": 2.0, "views": 8, "patience": 0, "best_epoch": False,
}  # fmt: skip
# Changes that leave a digit what it is; chosen on the validation split by writers.
INK_SAFE: dict[str, Any] = {"rotation": 8.0, "shift": 2.0, "zoom": 0.1, "shear": 0.1, "elastic": 1.0}

# What a search may try for a convolutional recipe, and for one that bends and turns its digits.
NEURAL_SPACE: dict[str, Domain] = {
    "learning_rate": Range(0.001, 0.05, log=True), "batch_size": Choice((64, 128, 256)), "warm_up": Range(0.0, 0.5),
    "weight_decay": Range(0.0001, 0.1, log=True), "shift": Range(0.0, 3.0),
}  # fmt: skip
INK_SPACE: dict[str, Domain] = NEURAL_SPACE | {
    "rotation": Range(0.0, 30.0), "zoom": Range(0.0, 0.3), "shear": Range(0.0, 0.5), "elastic": Range(0.0, 4.0),
    "erase": Range(0, 6),
}  # fmt: skip

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "logistic", "logistic regression on the pixels (scikit-learn)", "classical", 7_850, _classical("logistic"),
            {"C": 0.1, "max_iter": 1000, "tol": 1e-4}, seeds=1,
            space={"C": Range(0.001, 10.0, log=True)},
        ),
        Recipe(
            "knn", "nearest neighbours on 40 principal components (scikit-learn)", "classical", None,
            _classical("knn"), {"n_components": 40, "n_neighbors": 12, "smoothing": 0.001}, seeds=1,
        ),
        Recipe(
            "forest", "extremely randomised trees on the pixels (scikit-learn)", "classical", None,
            _classical("forest"), {"n_estimators": 200, "max_features": 0.1},
        ),
        Recipe(
            "boosting", "boosted trees on sums of pixels (scikit-learn)", "classical", None, _classical("boosting"),
            {"max_iter": 250, "learning_rate": 0.2, "max_leaf_nodes": 31, "max_features": 0.1,
             "l2_regularization": 1.0},
        ),
        Recipe(
            "pca-svm", "RBF support vectors on 50 principal components (scikit-learn)", "classical", None,
            _classical("pca_svm"), {"n_components": 50, "C": 10.0, "gamma": 0.02}, seeds=1,
        ),
        Recipe(
            "svm", "RBF support vectors on the pixels (scikit-learn)", "classical", None, _classical("svm"),
            {"C": 5.0, "gamma": 0.03}, seeds=1,
        ),
        Recipe(
            "dense", "784-128-10, the network of every first lesson", "neural", 101_770, _neural("dense_network"),
            NEURAL | {"width": 128, "epochs": 5, "batch_size": 32, "learning_rate": 0.004, "weight_decay": 0.0},
            validation=0.2,
            space={"width": Range(32, 512, log=True), "learning_rate": Range(0.0003, 0.03, log=True),
                   "batch_size": Choice((32, 64, 128, 256)), "schedule": Choice(("constant", "cosine")),
                   "shift": Range(0.0, 2.0)},
        ),
        Recipe(
            "cnn", "three convolutions with batch norm, shifted digits", "neural", 61_378, _neural("cnn_network"),
            NEURAL | {"shift": 2.0}, space=NEURAL_SPACE | {"width": Range(12, 32)},
        ),
        Recipe(
            "fast", "three convolutions in one epoch, for seconds", "neural", 26_488, _neural("fast_network"),
            NEURAL | {"width": 16, "epochs": 1, "batch_size": 64, "beta_2": 0.99}, seeds=5, space=NEURAL_SPACE,
        ),
        Recipe(
            "small", "four narrow convolutions, under 10 000 parameters", "neural", 8_754, _neural("small_network"),
            NEURAL | INK_SAFE | {"width": 16, "epochs": 40}, seeds=5, space=INK_SPACE,
        ),
        Recipe(
            "deep", "five convolutions, digits that bend and turn", "neural", 222_850, _neural("deep_network"),
            NEURAL | INK_SAFE | {"epochs": 12}, space=INK_SPACE,
        ),
        Recipe(
            "best", "the deep network, wider and longer", "neural", 394_922, _neural("deep_network"),
            NEURAL | INK_SAFE | {"width": 32, "epochs": 20}, space=INK_SPACE,
        ),
        Recipe(
            "ensemble", "five networks declared beforehand, probabilities averaged", "neural", 1_630_466, _ensemble,
            {"members": "best:0 best:1 best:2 deep:0 deep:1", "epochs": 0}, seeds=1,
        ),
        Recipe(
            "student", "the deep network, taught by the ensemble", "neural", 99_674, _neural("deep_network"),
            NEURAL | INK_SAFE | {"width": 16, "epochs": 25, "teacher": "ensemble"},
            space=INK_SPACE | {"temperature": Range(1.0, 8.0, log=True)},
        ),
        Recipe(
            "reader", "the deep network that knows what is no digit, for people's pictures", "neural", 289_691,
            _neural("reader_network"),
            NEURAL | INK_SAFE | {"width": 16, "epochs": 32, "rotation": 12.0, "zoom": 0.15, "shear": 0.2, "stroke": 0.6,
                                "blur": 1.0, "european": 0.25, "neighbours": 0.2, "spoilt": 0.1, "outliers": 0.5,
                                "teacher": "ensemble"},
            seeds=1,
            space=INK_SPACE | {"stroke": Range(0.0, 1.0), "blur": Range(0.0, 1.0), "outliers": Range(0.1, 1.0)},
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
        from mnistry.models.neural import load_neural

        return load_neural(path)
    import joblib

    with _old_names():
        return joblib.load(path)


@contextmanager
def _old_names() -> Iterator[None]:
    """Let runs of version 0.1.0 be loaded, whose classifiers name the modules as they were then."""
    from mnistry.models import classical, estimators

    old = {"mnistry.classical": classical, "mnistry.estimators": estimators}
    sys.modules.update(old)
    try:
        yield
    finally:
        for name in old:
            del sys.modules[name]


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
