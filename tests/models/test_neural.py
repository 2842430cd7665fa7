"""The training craft: mean weights, bfloat16, teachers and ensembles leave a clean and better model behind."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mnistry.data.augmentation import Augmentation
from mnistry.data.dataset import load
from mnistry.data.outliers import outliers
from mnistry.models import neural
from mnistry.models.backend import load_keras
from mnistry.models.base import InputError
from mnistry.models.batches import Distilled, Mixed, divergence
from mnistry.models.ensemble import EnsembleClassifier
from mnistry.models.neural import NeuralClassifier
from mnistry.models.recipes import RECIPES, ensemble_members, find_recipe
from mnistry.reading.reader import THRESHOLD, Reader
from mnistry.settings import MnistryError, Settings
from mnistry.training.export import check_parity, export_run, to_onnx
from mnistry.training.runs import Run
from mnistry.training.train import train


def build(recipe: str, **changes: object):
    return find_recipe(recipe).changed({"epochs": 4, "batch_size": 32, "width": 8, "teacher": ""} | changes).build(0)


@pytest.mark.slow
def test_the_mean_of_the_weights_brings_its_own_batch_norm(few_digits):
    images, labels = few_digits
    classifier = build("cnn", ema=0.9).fit(images, labels)
    assert classifier.score(images, labels) > 0.9
    norm = next(layer for layer in classifier.model_.layers if type(layer).__name__ == "BatchNormalization")
    convolution = classifier.model_.layers[classifier.model_.layers.index(norm) - 2]
    keras = load_keras()
    x = keras.ops.cast(images[..., None], "float32") / 255
    pooled = keras.ops.convert_to_numpy(keras.ops.max_pool(convolution(x), 2, 2))
    assert norm.moving_mean.numpy() == pytest.approx(pooled.mean(axis=(0, 1, 2)), abs=0.02)
    assert norm.momentum == 0.9


@pytest.mark.slow
def test_bfloat16_leaves_a_float32_model(few_digits):
    images, labels = few_digits
    classifier = build("cnn", bfloat16=True).fit(images, labels)
    assert {str(weight.dtype) for weight in classifier.model_.weights} == {"float32"}
    assert {layer.compute_dtype for layer in classifier.model_.layers} <= {"float32", "uint8"}
    assert load_keras().config.dtype_policy().name == "float32"
    assert classifier.score(images, labels) > 0.8
    assert check_parity(to_onnx(classifier), images, classifier.predict_proba(images))["labels_equal"] == 300


def test_mean_weights_and_the_best_epoch_exclude_each_other(few_digits):
    with pytest.raises(InputError, match="choose one of them"):
        build("cnn", ema=0.9, best_epoch=True).fit(*few_digits, validation=few_digits)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rotation", 181.0), ("zoom", -0.1), ("shear", 2.0), ("elastic", 15.0), ("erase", 15), ("ema", 1.0),
        ("warm_up", 1.0), ("temperature", 0.0), ("views", 0),
    ],
)  # fmt: skip
def test_impossible_craft_is_told(few_digits, key, value):
    with pytest.raises(MnistryError, match=f"The setting {key} is"):
        build("cnn", **{key: value}).fit(*few_digits)


# --- Teachers


def test_divergence_is_what_a_hand_works_out():
    keras = load_keras()
    teacher, student = np.array([[0.8, 0.2]], "float32"), np.array([[0.5, 0.5]], "float32")
    plain = float(divergence(keras, 1.0)(teacher, student)[0])
    assert plain == pytest.approx(0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5), abs=1e-6)
    # temperature 2 takes square roots: 0.8 : 0.2 becomes 2 : 1
    soft = float(divergence(keras, 2.0)(teacher, student)[0])
    assert soft == pytest.approx(4 * (2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)), abs=1e-6)
    assert float(divergence(keras, 2.0)(teacher, teacher)[0]) == pytest.approx(0, abs=1e-6)


def test_the_teacher_says_what_it_sees_in_the_very_same_picture(few_digits, dense_run: Run):
    images, labels = few_digits
    digits = Distilled(images, labels, dense_run.model, Augmentation(rotation=10), 3, np.random.default_rng(0))
    from mnistry.reading.reader import Reader

    shown, answers = digits.batch(np.arange(50))
    assert answers == pytest.approx(Reader(dense_run.model).predict_proba(shown), abs=1e-6)
    assert (shown != images[:50]).any()


@pytest.mark.slow
def test_a_student_learns_from_a_teacher_alone(few_digits, dense_run: Run):
    images, labels = few_digits
    student = build("student", epochs=24, teacher=str(dense_run.model), views=2)
    wrong = np.roll(labels, 30)  # every label is wrong: what it knows, it knows from its teacher
    assert student.fit(images, wrong).score(images, labels) > 0.9


def test_a_missing_teacher_is_told(few_digits):
    with pytest.raises(InputError, match=r"ONNX file of a trained model, and there is none at 'ensemble'"):
        build("student", teacher="ensemble").fit(*few_digits)


# --- Ensembles


@pytest.fixture(scope="module")
def little_reader(few_digits) -> NeuralClassifier:
    """A reader after one epoch."""
    images, labels = few_digits
    recipe = RECIPES["reader"].changed({"width": 4, "epochs": 1, "teacher": ""})
    return recipe.build(0).fit(images, labels, validation=(images[:20], labels[:20]))


@pytest.fixture(scope="module")
def knows_digits(few_digits) -> NeuralClassifier:
    """A little reader, and what it is to refuse."""
    return (
        RECIPES["reader"].changed({"width": 8, "epochs": 12, "outliers": 1.0, "teacher": ""}).build(0).fit(*few_digits)
    )


@pytest.mark.slow
def test_a_reader_tells_digits_from_letters(knows_digits, few_digits):
    reader = Reader(to_onnx(knows_digits))
    images, labels = few_digits
    others = outliers(200, images, labels, np.random.default_rng(7))
    assert reader.refuses
    digits_are, others_are = reader.is_digit(images), reader.is_digit(others)
    pairs = np.concatenate([digits_are, others_are]), np.repeat([1, 0], [len(images), len(others)])
    assert roc_auc_score(pairs[1], pairs[0]) > 0.8
    assert np.mean(knows_digits.predict(images) == labels) > 0.8


def test_the_exported_digit_output_is_the_models_own(little_reader, few_digits):
    images, model = few_digits[0], to_onnx(little_reader)
    proba, is_digit = little_reader.predict_proba(images), little_reader.is_digit(images)
    assert check_parity(model, images, proba, is_digit)["largest_difference"] < 1e-4
    with pytest.raises(MnistryError, match="does not answer as the model does"):
        check_parity(model, images, proba, is_digit + np.float32(0.01))


@pytest.mark.slow
def test_a_run_of_a_reader_tells_how_many_digits_it_keeps(tmp_path: Path):
    run = train("reader", "digits", changes={"epochs": 1, "width": 4, "teacher": ""}, out=tmp_path / "run")
    reader = Reader(run.model)
    images = load("digits", 0.1).test_images
    kept = np.mean(reader.predict_proba(images).max(axis=1) * reader.is_digit(images) >= THRESHOLD)
    assert run.metrics["kept"] == pytest.approx(kept, abs=0.01)
    export_run(run, tmp_path / "reader.onnx")
    card = json.loads((tmp_path / "reader.json").read_text())
    assert "no digit" in card["limits"]
    assert "digit float32 [n, 1]" in card["output"]
    assert card["test"]["kept"] == pytest.approx(kept, abs=0.01)


def test_the_history_of_two_outputs_is_that_of_the_digits(little_reader):
    assert set(little_reader.history_[0]) == {"epoch", "accuracy", "loss", "val_accuracy", "val_loss", "seconds"}


@pytest.mark.slow
def test_the_second_output_expects_that_nearly_all_are_digits(few_digits, monkeypatch):
    """Learnt with one outlier for two digits; people show one for nineteen."""
    recipe = RECIPES["reader"].changed({"width": 4, "epochs": 1, "outliers": 0.5, "teacher": ""})
    moved = recipe.build(0).fit(*few_digits).is_digit(few_digits[0])
    monkeypatch.setattr(neural, "DIGITS", 2 / 3)
    learnt = recipe.build(0).fit(*few_digits).is_digit(few_digits[0])
    assert moved / (1 - moved) == pytest.approx(learnt / (1 - learnt) * 19 / 2, rel=1e-3)


@pytest.mark.parametrize(("recipe", "outliers"), [("reader", 0.0), ("cnn", 0.5)])
def test_outliers_are_for_networks_that_know_them(few_digits, recipe, outliers):
    with pytest.raises(InputError, match="setting outliers is"):
        RECIPES[recipe].changed({"outliers": outliers, "width": 4, "teacher": ""}).build(0).fit(*few_digits)


@pytest.mark.slow
def test_a_reader_learns_half_of_what_its_teacher_says_and_half_of_the_labels(few_digits, tmp_path: Path):
    images, labels = few_digits
    teacher = tmp_path / "teacher.onnx"
    teacher.write_bytes(to_onnx(RECIPES["dense"].changed({"epochs": 1, "width": 4}).build(0).fit(*few_digits)))
    generator = np.random.default_rng(0)
    distilled = Distilled(images, labels, teacher, Augmentation(), 2, generator)
    lesson = Mixed(images, labels, Augmentation(), 0.5, generator, distilled)
    chosen = np.arange(20)
    shown, (classes, is_digit), _ = lesson.batch(chosen)
    said = Reader(teacher).predict_proba(images[chosen])
    assert (shown[:20] == images[chosen]).all()
    assert np.allclose(classes[:20], (np.eye(10)[labels[chosen]] + said) / 2, atol=1e-6)
    assert (is_digit[:, 0] == np.repeat([1, 0], [20, 10])).all()
    changes = {"teacher": str(teacher), "views": 1, "width": 4, "epochs": 1}
    assert RECIPES["reader"].changed(changes).build(0).fit(*few_digits).predict(images).shape == labels.shape


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("home")
    return train(
        "ensemble", "digits", changes={"members": "dense:0 dense:1", "epochs": 2}, settings=Settings(home, offline=True)
    )


@pytest.mark.slow
def test_an_ensemble_is_the_mean_of_its_members_runs(ensemble: Run):
    from mnistry.training.runs import open_run

    runs = [open_run(ensemble.folder.parent / member["run"]) for member in ensemble.info["members"]]
    assert [(run.info["recipe"], run.info["seed"]) for run in runs] == [("dense", 0), ("dense", 1)]
    mean = np.mean([run.test_probabilities for run in runs], axis=0)
    assert ensemble.test_probabilities == pytest.approx(mean, abs=1e-6)
    assert ensemble.info["seconds"]["fit"] == pytest.approx(sum(run.info["seconds"]["fit"] for run in runs))
    assert ensemble.info["parameters"] == 2 * 101_770
    assert len(ensemble.history) == 4


@pytest.mark.slow
def test_a_second_ensemble_takes_the_members_that_are_there(ensemble: Run):
    home = ensemble.folder.parent.parent
    changes = {"members": "dense:1 dense:0", "epochs": 2}
    again = train("ensemble", "digits", changes=changes, settings=Settings(home, offline=True))
    assert [m["run"] for m in again.info["members"]] == [m["run"] for m in ensemble.info["members"]][::-1]
    assert len(list((home / "runs").glob("dense-*"))) == 2


@pytest.mark.slow
def test_a_student_is_trained_with_its_teachers_run(ensemble: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(RECIPES, "ensemble", RECIPES["ensemble"].changed(ensemble.info["settings"]))
    home = ensemble.folder.parent.parent
    run = train(
        "student", "digits", changes={"epochs": 1, "width": 4, "views": 1}, settings=Settings(home, offline=True)
    )
    assert run.info["teacher"]["run"] == ensemble.folder.name
    assert run.info["settings"]["teacher"] == "ensemble"
    assert Path(run.info["teacher"]["run"]).name == run.info["teacher"]["run"]  # no path of this machine


@pytest.mark.parametrize(
    "members", ["", "logistic:0", "ensemble:0", "reader:0", "cnn", "cnn:x", "cnn:99999999999", "cnn:0 cnn:0"]
)
def test_wrong_members_are_told(members):
    with pytest.raises(MnistryError, match=r"member|twice"):
        ensemble_members(members)


def test_an_unknown_member_names_the_nearest():
    with pytest.raises(MnistryError, match="did you mean cnn"):
        ensemble_members("cn:0")


def test_an_ensemble_of_none_is_refused(few_digits):
    with pytest.raises(InputError, match="at least one member"):
        EnsembleClassifier().fit(*few_digits)


def test_nobody_is_his_own_teacher():
    with pytest.raises(MnistryError, match="its own teacher"):
        train("student", "digits", changes={"teacher": "student"})


def test_what_the_network_takes_for_a_digit_is_left_out(few_digits):
    images, labels = few_digits
    lesson = Mixed(images, labels, Augmentation(), 0.5, np.random.default_rng(0))
    before = lesson.others

    def answers(others):  # every third is taken for a digit
        return np.full((len(others), 10), 0.1) + 0.9 * np.eye(10)[0], (np.arange(len(others)) % 3 == 0) * 0.9

    lesson.review(answers)
    kept = np.arange(len(before)) % 3 != 0
    kept[: len(lesson.pairs)] = True  # two digits are never one, whatever the network says
    assert 0 < len(lesson.pairs) < len(before)
    assert (lesson.others == before[kept]).all()
    lesson.review(lambda others: (np.ones((len(others), 10)), np.ones(len(others))))
    assert len(lesson.others)  # never all of them


@pytest.mark.slow
def test_a_member_of_the_last_seed_and_the_next_is_one_of_the_first(tmp_path: Path):
    run = train(
        "ensemble", "digits", seed=2**32 - 1, changes={"members": "dense:1", "epochs": 1},
        settings=Settings(tmp_path, offline=True),
    )  # fmt: skip
    assert run.info["members"][0]["seed"] == 0


@pytest.mark.slow
def test_a_students_seconds_are_its_own_and_its_teachers_are_told_beforehand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setitem(RECIPES, "ensemble", RECIPES["ensemble"].changed({"members": "dense:0", "epochs": 1}))
    events: list[tuple[str, float]] = []

    def progress(epoch: int, epochs: int, *_: object) -> None:  # noqa: ARG001
        events.append(("member" if epochs == 1 else "student", time.perf_counter()))

    run = train(
        "student", "digits", changes={"epochs": 2, "width": 2, "views": 1}, settings=Settings(tmp_path, offline=True),
        progress=progress, message=lambda text: events.append((text, 0.0)),
    )  # fmt: skip
    end = time.perf_counter()
    assert events[0][0] == "student is made from other runs. To be trained first: dense, seed 0; ensemble, seed 0."
    assert [words for words, at in events if not at][1:] == ["Training dense, seed 0", "Training ensemble, seed 0"]
    members_end = max(at for words, at in events if words == "member")
    assert sum(run.info["seconds"].values()) <= end - members_end
    again: list[str] = []
    train(
        "student", "digits", changes={"epochs": 1, "width": 2, "views": 1}, settings=Settings(tmp_path, offline=True),
        message=again.append,
    )  # fmt: skip
    assert again == ["student is made from other runs. Finished already: ensemble, seed 0."]


def test_a_folder_that_cannot_be_written_is_told_before_members_are_trained(dense_run: Run, tmp_path: Path):
    with pytest.raises(MnistryError, match="exists already"):
        train(
            "ensemble", "digits", changes={"members": "dense:0"}, out=dense_run.folder,
            settings=Settings(tmp_path, offline=True),
        )  # fmt: skip
    assert not (tmp_path / "runs").exists()


def test_keras_callbacks_watch_the_fit(tmp_path: Path):
    class Watch(load_keras().callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.losses: list[float] = []

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:  # noqa: ARG002
            self.losses.append(logs["loss"])

    watch = Watch()
    run = train("dense", "digits", changes={"epochs": 2, "width": 4}, out=tmp_path / "run", callbacks=[watch])
    assert watch.losses == pytest.approx([row["loss"] for row in run.history])
    with pytest.raises(MnistryError, match=r"instances of keras\.callbacks\.Callback, not 'loud'"):
        train("dense", "digits", out=tmp_path / "other", callbacks=["loud"])


@pytest.mark.parametrize(("recipe", "sentence"), [("logistic", "for Keras networks"), ("ensemble", "train a member")])
def test_callbacks_without_a_network_to_fit_are_told(recipe, sentence):
    with pytest.raises(MnistryError, match=sentence):
        train(recipe, "digits", callbacks=[object()])


def test_a_search_does_not_train_teachers():
    from mnistry.training.search.tune import tune

    with pytest.raises(MnistryError, match="learns from a teacher"):
        tune("student", 1, "digits")
