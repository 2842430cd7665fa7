"""The contract: every recipe goes through the same checks."""

import pickle
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ShuffleSplit, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.utils import estimator_checks

from mnistry.models.base import InputError
from mnistry.models.neural import NeuralClassifier
from mnistry.models.recipes import RECIPES, ensemble_members, find_recipe, load_classifier
from mnistry.reading.reader import Reader
from mnistry.settings import MnistryError
from mnistry.training.export import check_parity, to_onnx

# 300 digits are few: more steps than the recipe's own, and each learns for itself; convolutions as narrow as will do
NARROW = 8
NEURAL = {"epochs": 8, "batch_size": 32, "teacher": "", "members": "dense:0 dense:1"}
QUICK = {
    "forest": {"n_estimators": 20},
    "boosting": {"max_iter": 4, "max_leaf_nodes": 8, "learning_rate": 0.3},
}


def build(name: str, seed: int | None = 0, **changes: object):
    recipe = RECIPES[name]
    quick = NEURAL if recipe.family == "neural" else QUICK.get(name, {})
    if recipe.family == "neural" and name in LARGE:
        quick = quick | {"width": NARROW}
    return recipe.changed({key: value for key, value in quick.items() if key in recipe.settings} | changes).build(seed)


LARGE = (
    "forest",
    "boosting",
    "cnn",
    "fast",
    "small",
    "deep",
    "wide",
    "strided",
    "kernels",
    "ensemble",
    "student",
    "best",
    "reader",
)  # minutes of `make test-all`


def marked(names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in names]


# One of each kind of classifier: what takes another training of 10 seconds is the same for all networks.
KINDS = marked([*(name for name in RECIPES if name not in LARGE), "forest", "boosting", "fast", "ensemble", "reader"])


@pytest.fixture(scope="module", params=marked(RECIPES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def fitted(name: str, few_digits):
    """Fitted once for many tests, with the user's random generator watched meanwhile."""
    np.random.seed(3)
    classifier = build(name).fit(*few_digits, validation=few_digits)
    classifier.seen_random_ = np.random.random()
    return classifier


def test_probabilities_are_float32_rows_that_sum_to_1(fitted, few_digits):
    proba = fitted.predict_proba(few_digits[0])
    assert (proba.dtype, proba.shape) == (np.float32, (300, 10))
    assert np.allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert (proba >= 0).all()
    assert fitted.predict_proba(few_digits[0][:0]).shape == (0, 10)


def test_it_beats_chance_by_far_on_300_images(fitted, few_digits):
    assert fitted.score(*few_digits) > 0.9
    assert (fitted.predict(few_digits[0]) == fitted.predict_proba(few_digits[0]).argmax(axis=1)).all()
    assert fitted.classes_.tolist() == list(range(10))


@pytest.mark.parametrize("name", KINDS)
def test_the_same_seed_gives_the_same_answers_and_another_does_not(name, few_digits):
    images = np.roll(few_digits[0], 2, axis=2)  # not those it was trained on, which every forest knows by heart
    one, same, other = (build(name, seed).fit(*few_digits).predict_proba(images) for seed in (0, 0, 1))
    assert (one == same).all()
    if RECIPES[name].family == "neural" or name in ("forest", "boosting"):
        assert (other != one).any()


def test_fitting_leaves_the_users_random_generators_alone(fitted):
    np.random.seed(3)
    assert fitted.seen_random_ == np.random.random()


def test_a_batch_of_one_equals_a_batch_of_many(fitted, few_digits):
    images = few_digits[0][:20]
    single = np.concatenate([fitted.predict_proba(image[None]) for image in images])
    assert np.allclose(single, fitted.predict_proba(images), atol=1e-5)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 28, 28)),
        np.zeros((2, 784), np.uint8),
        np.zeros((28, 28), np.uint8),
        np.zeros((2, 14, 14), np.uint8),
    ],
    ids=["float", "flat", "single", "small"],
)
def test_wrong_images_are_refused_with_a_sentence(name, fitted, images):
    with pytest.raises(InputError, match=r"Images are uint8 \(n, 28, 28\)"):
        build(name).fit(images, np.zeros(len(images), int))
    with pytest.raises(InputError, match=r"Images are uint8 \(n, 28, 28\)"):
        fitted.predict_proba(images)


@pytest.mark.parametrize(
    "labels", [[0, 10], [-1, 2], [0.5, 1.0], ["3", "4"], [1], [[1, 0], [0, 1]], [None, 1]], ids=repr
)
def test_labels_that_are_no_digits_are_refused_with_a_sentence(name, labels):
    with pytest.raises(InputError, match=r"Labels are"):
        build(name).fit(np.zeros((2, 28, 28), np.uint8), labels)


def test_no_images_at_all_are_refused(name):
    with pytest.raises(InputError, match="Labels are one for each image"):
        build(name).fit(np.zeros((0, 28, 28), np.uint8), np.zeros(0, int))


def test_save_and_load_give_the_same_answers(fitted, few_digits, tmp_path: Path):
    loaded = load_classifier(fitted.save(tmp_path))
    assert np.allclose(loaded.predict_proba(few_digits[0]), fitted.predict_proba(few_digits[0]), atol=1e-6)


def test_a_classifier_of_version_0_1_0_is_loaded(few_digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its modules had other names then."""
    from mnistry.models import classical

    fitted = build("logistic").fit(*few_digits)
    with monkeypatch.context() as then:
        then.setitem(sys.modules, "mnistry.classical", classical)
        then.setattr(classical.PixelClassifier, "__module__", "mnistry.classical")
        fitted.save(tmp_path)
    assert b"mnistry.classical" in zlib.decompress((tmp_path / "model.joblib").read_bytes())
    loaded = load_classifier(tmp_path / "model.joblib")
    assert (loaded.predict_proba(few_digits[0]) == fitted.predict_proba(few_digits[0])).all()


def test_pickle_gives_the_same_answers(fitted, few_digits):
    loaded = pickle.loads(pickle.dumps(fitted))
    assert np.allclose(loaded.predict_proba(few_digits[0]), fitted.predict_proba(few_digits[0]), atol=1e-6)


def test_the_onnx_file_gives_the_same_answers_and_keeps_the_contract(fitted, few_digits):
    onnx_file = to_onnx(fitted, {"recipe": "test"})
    images = few_digits[0]
    assert check_parity(onnx_file, images, fitted.predict_proba(images))["largest_difference"] < 1e-4
    noise = np.random.default_rng(0).integers(0, 256, (64, 28, 28)).astype(np.uint8)
    check_parity(onnx_file, noise, fitted.predict_proba(noise))
    assert Reader(onnx_file).metadata == {"recipe": "test"}


def test_it_clones_with_every_setting(name):
    classifier = build(name)
    assert repr(clone(classifier).get_params()) == repr(classifier.get_params())


@pytest.mark.parametrize("name", KINDS)
def test_it_works_in_a_pipeline_and_in_cross_validation(name, few_digits):
    pipeline = Pipeline([("digits", build(name))])
    scores = cross_val_score(pipeline, *few_digits, cv=2)
    assert scores.min() > 0.6


def test_the_recipe_tells_its_parameters_truly(name, fitted, few_digits):
    """None stands for: the training digits decide."""
    recipe, own = RECIPES[name], sum(layer["parameters"] for layer in fitted.layers_)
    if recipe.parameters is None:
        fewer = build(name).fit(*(part[::2] for part in few_digits))
        assert own > sum(layer["parameters"] for layer in fewer.layers_) > 0
    elif name == "ensemble":  # the one above has members of its own
        members = [member.parameters for member, _ in ensemble_members(recipe.settings["members"])]
        assert recipe.parameters == sum(members)
        assert own == 2 * RECIPES["dense"].parameters
    elif recipe.family == "neural":
        assert recipe.build()._build().count_params() == recipe.parameters
    else:
        assert own == recipe.parameters


def test_history_has_training_and_validation_figures(name, fitted, few_digits):
    for row in fitted.history_:
        assert {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"} <= set(row)
    if name != "ensemble":  # whose history is that of its members
        assert fitted.history_[-1]["val_accuracy"] == pytest.approx(fitted.score(*few_digits), abs=1e-6)


@pytest.mark.slow
def test_grid_search_reaches_the_settings(few_digits):
    once = ShuffleSplit(1, random_state=0)
    search = GridSearchCV(build("dense", epochs=1), {"width": [8, 16]}, cv=once, refit=False).fit(*few_digits)
    assert search.best_params_["width"] in (8, 16)
    search = GridSearchCV(build("logistic"), {"estimator__C": [0.01, 0.1]}, cv=once, refit=False).fit(*few_digits)
    assert search.best_params_["estimator__C"] in (0.01, 0.1)
    search = GridSearchCV(build("knn"), {"estimator__votes__n_neighbors": [3, 140]}, cv=once, refit=False).fit(
        *few_digits
    )
    assert search.best_params_["estimator__votes__n_neighbors"] == 3


# scikit-learn's whole suite feeds tables of floats and passes over estimators that take images; these need no data.
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_mixin_order,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_set_params,
        estimator_checks.check_valid_tag_types,
    ],
    ids=lambda check: check.__name__,
)
def test_scikit_learns_own_checks_hold(name, check):
    classifier = build(name)
    check(type(classifier).__name__, classifier)


# --- Recipes and their settings


@pytest.mark.parametrize("name", [n for n, r in RECIPES.items() if r.family == "neural" and n != "ensemble"])
@pytest.mark.parametrize("key", ["spoilt", "neighbours"])
def test_every_neural_recipe_can_spoil_its_digits_and_hang_pieces_of_others_on_them(name, key):
    assert find_recipe(name).changed({key: "0.1"}).build().get_params()[key] == 0.1


def test_settings_are_read_as_the_types_they_have():
    recipe = find_recipe("dense").changed(
        {"epochs": "3", "learning_rate": "1e-2", "best_epoch": "true", "schedule": "constant"}
    )
    assert (recipe.settings["epochs"], recipe.settings["learning_rate"]) == (3, 0.01)
    assert recipe.settings["best_epoch"] is True
    assert find_recipe("dense").settings["epochs"] == 5  # the table itself is never changed


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epoch": 3}, r"no setting 'epoch' \(did you mean epochs\?\)"),
        ({"zzz": 3}, r"no setting 'zzz'\. It has: width, epochs"),
        ({"epochs": "many"}, "epochs takes a whole number, not 'many'"),
        ({"epochs": "2.5"}, "epochs takes a whole number"),
        ({"learning_rate": "fast"}, "learning_rate takes a number"),
        ({"best_epoch": "perhaps"}, "best_epoch takes true or false"),
    ],
)
def test_wrong_settings_are_told_with_the_nearest(changes, sentence):
    with pytest.raises(MnistryError, match=sentence):
        find_recipe("dense").changed(changes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0), ("batch_size", 0), ("batch_size", -5), ("width", 0), ("width", 10**18), ("learning_rate", -1.0),
        ("learning_rate", float("nan")), ("schedule", "linear"), ("label_smoothing", 1.0), ("shift", 99),
        ("weight_decay", -0.1), ("patience", -1),
    ],
)  # fmt: skip
def test_impossible_settings_are_told_before_anything_is_built(few_digits, key, value):
    with pytest.raises(MnistryError, match=f"The setting {key} (is|takes)"):
        build("dense", **{key: value}).fit(*few_digits)


def test_too_little_memory_is_a_sentence(few_digits):
    class ResourceExhaustedError(Exception):
        """As TensorFlow names it."""

    def greedy(_):
        raise ResourceExhaustedError("OOM when allocating tensor")

    with pytest.raises(MnistryError, match="not enough memory for width 24 and batch_size 128: lower them"):
        NeuralClassifier(greedy).fit(*few_digits)


@pytest.mark.parametrize(
    ("name", "key", "value", "sentence"),
    [
        ("logistic", "C", -1.0, "'C' parameter"),
        ("knn", "n_neighbors", 0, "n_neighbors is from 1 to 299"),
        ("knn", "n_neighbors", 300, "n_neighbors is from 1 to 299"),
        ("knn", "smoothing", 0.0, "smoothing is above 0"),
        ("knn", "n_components", 785, "n_components=785 must be between 0 and"),
        ("svm", "C", 0.0, "'C' parameter"),
        ("svm", "gamma", 0.0, "gamma is above 0"),
        ("pca-svm", "n_components", -1, "'n_components' parameter"),
        ("forest", "n_estimators", 0, "'n_estimators' parameter"),
        ("forest", "max_features", 1.5, "'max_features' parameter"),
        ("boosting", "max_leaf_nodes", 1, "'max_leaf_nodes' parameter"),
        ("boosting", "l2_regularization", -1.0, "'l2_regularization' parameter"),
    ],
)
def test_an_impossible_classical_setting_is_told(few_digits, name, key, value, sentence):
    with pytest.raises(MnistryError, match=sentence):
        build(name, **{key: value}).fit(*few_digits)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(MnistryError, match=r"no recipe 'dens' \(did you mean dense\?\)"):
        find_recipe("dens")


def test_choosing_an_epoch_wants_validation_digits(few_digits):
    with pytest.raises(InputError, match="there are none"):
        build("dense", patience=1).fit(*few_digits)


def test_patience_stops_early_and_best_epoch_keeps_the_lowest_loss(few_digits):
    images, labels = few_digits
    changes = {"epochs": 30, "patience": 2, "best_epoch": True, "learning_rate": 0.05, "schedule": "constant"}
    classifier = build("dense", **changes).fit(images[::2], labels[::2], validation=(images[1::2], labels[1::2]))
    losses = [row["val_loss"] for row in classifier.history_]
    assert len(losses) < 30
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 2
    assert classifier.score(images[1::2], labels[1::2]) == pytest.approx(
        classifier.history_[best]["val_accuracy"], abs=1e-6
    )


def test_a_loss_that_is_no_number_stops_with_a_sentence(few_digits):
    with pytest.raises(MnistryError, match=r"NaN or infinite in epoch .*Lower learning_rate"):
        build("dense", learning_rate=1e30, schedule="constant").fit(*few_digits)
