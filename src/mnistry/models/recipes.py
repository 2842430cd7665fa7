"""The recipes: which network or estimator to build, and with which settings to fit it. A light table to import."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mnistry.models.neural_settings import NEURAL
from mnistry.models.setting import Choice, Domain, Interval, Range, Setting, read_domain
from mnistry.settings import MnistryError, shown


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
    declared: Mapping[str, Setting] = field(default_factory=dict, repr=False)  # type, range, unit, doc of each

    def build(self, seed: int | None = None) -> Any:
        """A new classifier with these settings."""
        return self.make(**self.settings, random_state=seed)

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """The recipe with some settings changed; text is read as the setting's type. Raises MnistryError."""
        if not isinstance(changes, Mapping):
            raise MnistryError(f"Changes are settings by name, such as {{'epochs': 3}}, not {shown(changes)}.")
        read = {key: self._setting(key).read(key, value) for key, value in changes.items()}
        return replace(self, settings=MappingProxyType({**self.settings, **read}))

    def searched(self, domains: Mapping[str, str], fixed: Mapping[str, Any]) -> "Recipe":
        """The recipe with some settings fixed and the search space of others as written. Raises MnistryError."""
        changed = self.changed(fixed)
        space = {key: domain for key, domain in self.space.items() if key not in fixed}
        for key, text in domains.items():
            setting = self._setting(key)
            if key in fixed:
                raise MnistryError(f"The setting {key} is both fixed and searched: leave out its --set or its --space.")
            space[key] = read_domain(key, text, partial(setting.read, key))
        if not space:
            raise MnistryError(f"Recipe {self.name} has nothing to search: name settings, as in --space C=0.01:10:log.")
        return replace(changed, space=MappingProxyType(space))

    def explained(self) -> dict[str, Setting]:
        """The declaration of each setting that does something beside the others as they are."""
        return {key: self.declared[key] for key in self.settings if self.declared[key].when(self.settings)}

    def _setting(self, key: Any) -> Setting:
        if key not in self.settings:
            raise MnistryError(
                f"Recipe {self.name} has no setting {shown(key)}{_nearest(key, self.settings)}. It has: "
                f"{', '.join(self.settings)}."
            )
        return self.declared[key]


def _pixels(name: str, random_state: int | None, **settings: Any) -> Any:
    """A classifier over one of the estimators; only here scikit-learn is imported."""
    from mnistry.models.classical import ESTIMATORS, PixelClassifier

    return PixelClassifier(ESTIMATORS[name](**settings), random_state)


def _network(network: str, **settings: Any) -> Any:
    """A classifier over one of the networks; only here Keras is imported."""
    from mnistry.models import networks
    from mnistry.models.neural import NeuralClassifier

    return NeuralClassifier(getattr(networks, network), **settings)


def _ensemble(members: str, epochs: int, random_state: int | None) -> Any:
    from mnistry.models.ensemble import EnsembleClassifier

    built = [recipe.build(seed) for recipe, seed in ensemble_members(members, epochs)]
    return EnsembleClassifier(built, random_state)


def ensemble_members(members: str, epochs: int = 0) -> list[tuple[Recipe, int]]:
    """Recipes and seeds from their text, such as "deep:0 deep:1"; `epochs`, if any, for each. Raises MnistryError."""
    read: dict[str, tuple[Recipe, int]] = {}
    for word in members.split():
        name, _, seed = word.partition(":")
        recipe = find_recipe(name)
        alone = "members" in recipe.settings or recipe.settings.get("outliers")  # other answers than ten probabilities
        if not seed.isdecimal() or int(seed) >= 2**32 or recipe.family != "neural" or alone:
            raise MnistryError(
                f"A member of an ensemble is a neural recipe with a seed below 2**32, such as cnn:0, not {word!r}; "
                "neither an ensemble nor a recipe with a second output, such as reader."
            )
        if f"{name}:{int(seed)}" in read:
            raise MnistryError(f"The ensemble names {name}:{int(seed)} twice: each member is a run of its own.")
        read[f"{name}:{int(seed)}"] = recipe.changed({"epochs": epochs} if epochs else {}), int(seed)
    if not read:
        raise MnistryError("An ensemble has at least one member, such as cnn:0; none was named.")
    return list(read.values())


# Changes that leave a digit what it is; chosen on the validation split by writers.
INK_SAFE: dict[str, Any] = {"rotation": 8.0, "shift": 2.0, "zoom": 0.1, "shear": 0.1, "elastic": 1.0}
BOLD: dict[str, Any] = {"rotation": 15.0, "shift": 3.0, "zoom": 0.15, "shear": 0.2, "elastic": 1.5}  # for 60 epochs
TAUGHT: dict[str, Any] = BOLD | {"epochs": 60, "teacher": "ensemble", "views": 16}

# What a search may try for a convolutional recipe, and for one that bends and turns its digits.
NEURAL_SPACE: dict[str, Domain] = {
    "learning_rate": Range(0.001, 0.05, log=True), "batch_size": Choice((64, 128, 256)), "warm_up": Range(0.0, 0.5),
    "weight_decay": Range(0.0001, 0.1, log=True), "shift": Range(0.0, 3.0),
}  # fmt: skip
INK_SPACE: dict[str, Domain] = NEURAL_SPACE | {
    "rotation": Range(0.0, 30.0), "zoom": Range(0.0, 0.3), "shear": Range(0.0, 0.5), "elastic": Range(0.0, 4.0),
    "erase": Range(0, 6),
}  # fmt: skip

TAUGHT_SPACE: dict[str, Domain] = INK_SPACE | {"temperature": Range(1.0, 8.0, log=True)}

# The settings of the classical recipes; scikit-learn and our own estimators check their values.
CLASSICAL = {
    "C": Setting(1.0, "how closely the training digits are fitted; smaller keeps the model simpler"),
    "max_iter": Setting(100, "the most steps of the solver, or the rounds of boosting"),
    "tol": Setting(1e-4, "how small a step ends the fit"),
    "n_components": Setting(40, "principal components that are kept of the 784 pixels"),
    "n_neighbors": Setting(12, "training digits that vote"),
    "smoothing": Setting(0.001, "vote that every class has beforehand, so that no probability is 0"),
    "n_estimators": Setting(200, "trees"),
    "max_features": Setting(0.1, "share of the features that are tried for each split"),
    "learning_rate": Setting(0.2, "share of each tree's answer that is added"),
    "max_leaf_nodes": Setting(31, "the most leaves of a tree"),
    "l2_regularization": Setting(1.0, "how much the leaves' answers shrink towards 0"),
    "gamma": Setting(0.02, "how narrow the RBF kernel is"),
}
ENSEMBLE = {
    "members": Setting("", "recipes with their seeds, such as deep:0 deep:1"),
    "epochs": Setting(0, "epochs of each member; 0: each recipe's own", Interval(0, 10**6)),
}


def _classical_recipe(name: str, summary: str, settings: Mapping[str, Any], **more: Any) -> Recipe:
    more = {"parameters": None, "declared": CLASSICAL, **more}
    return Recipe(
        name, f"{summary} (scikit-learn)", "classical", make=partial(_pixels, name), settings=settings, **more
    )


def _neural_recipe(
    name: str, summary: str, parameters: int, network: str, changes: Mapping[str, Any], **more: Any
) -> Recipe:
    """A recipe over one of the networks; `changes` are the settings that are not at their default."""
    settings = {key: setting.default for key, setting in NEURAL.items()} | dict(changes)
    return Recipe(name, summary, "neural", parameters, partial(_network, network), settings, declared=NEURAL, **more)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _classical_recipe(
            "logistic", "logistic regression on the pixels", {"C": 0.1, "max_iter": 1000, "tol": 1e-4},
            parameters=7_850, seeds=1, space={"C": Range(0.001, 10.0, log=True)},
        ),
        _classical_recipe(
            "knn", "nearest neighbours on 40 principal components",
            {"n_components": 40, "n_neighbors": 12, "smoothing": 0.001}, seeds=1,
        ),
        _classical_recipe(
            "forest", "extremely randomised trees on the pixels", {"n_estimators": 200, "max_features": 0.1}
        ),
        _classical_recipe(
            "boosting", "boosted trees on sums of pixels",
            {"max_iter": 250, "learning_rate": 0.2, "max_leaf_nodes": 31, "max_features": 0.1,
             "l2_regularization": 1.0},
        ),
        _classical_recipe(
            "pca-svm", "RBF support vectors on 50 principal components",
            {"n_components": 50, "C": 10.0, "gamma": 0.02}, seeds=1,
        ),
        _classical_recipe("svm", "RBF support vectors on the pixels", {"C": 5.0, "gamma": 0.03}, seeds=1),
        _neural_recipe(
            "dense", "784-128-10, the network of every first lesson", 101_770, "dense_network",
            {"width": 128, "epochs": 5, "batch_size": 32, "learning_rate": 0.004, "weight_decay": 0.0},
            validation=0.2,
            space={"width": Range(32, 512, log=True), "learning_rate": Range(0.0003, 0.03, log=True),
                   "batch_size": Choice((32, 64, 128, 256)), "schedule": Choice(("constant", "cosine")),
                   "shift": Range(0.0, 2.0)},
        ),
        _neural_recipe(
            "cnn", "three convolutions with batch norm, shifted digits", 61_378, "cnn_network", {"shift": 2.0},
            space=NEURAL_SPACE | {"width": Range(12, 32)},
        ),
        _neural_recipe(
            "fast", "three convolutions in one epoch, for seconds", 48_208, "fast_network",
            {"width": 16, "epochs": 1, "optimizer": "muon", "learning_rate": 0.02, "beta_2": 0.99, "weight_decay": 0.0,
             "shift": 1.0},
            seeds=5, space={key: NEURAL_SPACE[key] for key in ("learning_rate", "batch_size", "warm_up", "shift")},
        ),
        _neural_recipe(
            "small", "four narrow convolutions, under 10 000 parameters", 8_754, "small_network",
            INK_SAFE | {"width": 16, "epochs": 40}, seeds=5, space=INK_SPACE,
        ),
        _neural_recipe(
            "deep", "five convolutions, digits that bend and turn", 222_850, "deep_network", INK_SAFE | {"epochs": 12},
            space=INK_SPACE,
        ),
        _neural_recipe(
            "wide", "the deep network, wider and longer, for the ensemble", 394_922, "deep_network",
            BOLD | {"width": 32, "epochs": 60}, seeds=5, space=INK_SPACE,
        ),
        _neural_recipe(
            "strided", "five convolutions without pooling, for the ensemble", 602_794, "strided_network",
            INK_SAFE | {"rotation": 12.0, "shift": 3.0, "stroke": 0.5, "width": 32, "epochs": 60},
            seeds=2, space=INK_SPACE,
        ),
        _neural_recipe(
            "kernels", "four convolutions with large kernels, for the ensemble", 319_530, "kernels_network",
            BOLD | {"erase": 5, "width": 32, "epochs": 60}, seeds=2, space=INK_SPACE,
        ),
        Recipe(
            "ensemble", "six networks of three kinds declared beforehand, averaged", "neural", 2_634_492, _ensemble,
            {"members": "wide:0 wide:1 strided:0 strided:1 kernels:0 kernels:1", "epochs": 0}, seeds=1,
            declared=ENSEMBLE,
        ),
        _neural_recipe(
            "student", "the deep network, narrow, taught by the ensemble", 99_674, "deep_network",
            TAUGHT | {"width": 16}, seeds=5, space=TAUGHT_SPACE,
        ),
        _neural_recipe(
            "best", "the deep network, wide, taught by the ensemble", 394_922, "deep_network",
            TAUGHT | {"width": 32}, seeds=5, space=TAUGHT_SPACE,
        ),
        _neural_recipe(
            "reader", "the deep network that knows what is no digit, for people's pictures", 289_691, "reader_network",
            INK_SAFE | {"width": 16, "epochs": 32, "rotation": 12.0, "zoom": 0.15, "shear": 0.2, "stroke": 0.6,
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
            f"There is no recipe {shown(name)}{_nearest(name, RECIPES)}. There are: {', '.join(RECIPES)}."
        )
    return RECIPES[name]


def load_classifier(path: Path) -> Any:
    """Load what `save` wrote. Both formats can run code when they are loaded: only for runs of your own."""
    if path.suffix == ".keras":
        from mnistry.models.neural import load_neural

        return load_neural(path)
    import joblib

    from mnistry.models import classical, estimators

    for name, module in (("classical", classical), ("estimators", estimators)):
        sys.modules.setdefault(f"mnistry.{name}", module)  # what the runs of version 0.1.0 call them
    return joblib.load(path)


def _nearest(name: Any, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, known, 1) if isinstance(name, str) else []
    return f" (did you mean {close[0]}?)" if close else ""
