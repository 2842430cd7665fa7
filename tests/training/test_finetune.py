"""Teaching the bundled recogniser: equal answers in Keras, what is learnt from, what is refused, and the way back."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import draw_seven
from mnistry import MnistryError, Reader
from mnistry.data.dataset import Dataset
from mnistry.models.backend import Checkpoint
from mnistry.reading.recognizer import bundled, keep_taught, taught, undo_taught
from mnistry.training import finetune as teaching
from mnistry.training.export import with_metadata
from mnistry.training.onnx_weights import from_keras, to_keras, whole
from writing import paper, write


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def number(text: str) -> bytes:
    picture = paper()
    write(picture, text, 60, 140, 110, 10)
    return png(picture)


def card_of(model: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(model).hexdigest(), "summary": "a test", "taught": {"n": 1}}


def other_model(word: str) -> bytes:
    return with_metadata(bundled(), {"word": word})


def shown_digits(n: int = 200) -> np.ndarray:
    """Images of all kinds of grey, to compare two models' answers on."""
    return np.random.default_rng(0).integers(0, 256, (n, 28, 28)).astype(np.uint8)


# --- Between ONNX and Keras -------------------------------------------------------------------------------


def test_the_bundled_model_rebuilt_in_keras_answers_alike_and_goes_back_unchanged(few_digits: Any):
    images = np.concatenate([few_digits[0], shown_digits()])
    proba, is_digit = Reader(bundled()).answers(images)
    model = to_keras(bundled())
    answers = model.predict(images, verbose=0)
    assert np.abs(answers[0] - proba).max() < 1e-4
    assert np.abs(answers[1][:, 0] - is_digit).max() < 1e-4
    assert from_keras(bundled(), model) == whole(bundled())
    for layer in ("conv2d", "digit"):  # the last of each; a name may carry a number
        found = [each for each in model.layers if each.name.startswith(layer)][-1]
        found.set_weights([0.9 * array for array in found.get_weights()])
    changed = Reader(from_keras(bundled(), model)).answers(images)
    again = model.predict(images, verbose=0)
    assert np.abs(again[0] - changed[0]).max() < 1e-4
    assert np.abs(again[1][:, 0] - changed[1]).max() < 1e-4
    assert np.abs(changed[0] - proba).max() > 0.01


def test_another_network_cannot_be_taught(dense_run: Any):
    with pytest.raises(MnistryError, match="Only a model of the recipe reader"):
        to_keras(dense_run.model.read_bytes())


# --- What is learnt from ----------------------------------------------------------------------------------


def test_the_digits_of_a_correction_are_those_that_the_reader_sees():
    reader, picture = Reader(), number("74")
    (found,) = teaching.located(reader, [(picture, "14")])
    seen = reader.read(picture).digits
    assert found.labels.tolist() == [1, 4]
    assert (found.images == np.stack([digit.image for digit in seen])).all()


def test_what_cannot_be_matched_is_left_out():
    star = (Path(teaching.__file__).parents[1] / "web" / "static" / "examples" / "star.png").read_bytes()
    seven = png(draw_seven())
    found = teaching.located(Reader(), [(seven, "77"), (b"no picture", "7"), (seven, "7"), (star, "?")])
    assert [each.labels.tolist() for each in found] == [[7], [teaching.NO_DIGIT]]


def test_rows_count_as_one_after_the_other():
    picture = paper(600, 600)
    write(picture, "74", 60, 60, 110, 10)
    write(picture, "17", 60, 330, 110, 10)
    assert [each.labels.tolist() for each in teaching.located(Reader(), [(png(picture), "74\n17")])] == [[7, 4, 1, 7]]


# --- Teaching ---------------------------------------------------------------------------------------------


@pytest.fixture
def small(few_digits: Any) -> Dataset:
    """300 digits that stand in for MNIST."""
    images, labels = few_digits
    return Dataset("mnist", "none", 0, "x", images, labels, images[:0], labels[:0], images, labels)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "STEPS", 2)
    monkeypatch.setattr(teaching, "LEARNING_RATE", 1e-5)
    monkeypatch.setattr(teaching, "KNOWN_OUTLIERS", 20)


def test_nothing_to_learn_from_is_told(small: Dataset):
    with pytest.raises(MnistryError, match="no corrections to learn from"):
        teaching.finetune([], small)
    with pytest.raises(MnistryError, match="None of the 1 corrections"):
        teaching.finetune([(png(draw_seven()), "777")], small)


@pytest.mark.usefixtures("short")
@pytest.mark.slow
def test_a_teaching_tells_its_figures_and_is_kept_under_the_home(small: Dataset, tmp_path: Path):
    corrections = [(number(text), text) for text in ("74", "17", "45", "51")]
    told: list[tuple[float, str]] = []
    done = teaching.finetune(corrections, small, progress=lambda *state: told.append(state))
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    of = done.figures["corrections"]
    assert (of["n"], of["used"], of["digits"], of["held_back"]["n"], of["all"]["n"]) == (4, 4, 8, 1, 4)
    assert set(done.figures["mnist"]) == {"n", "before", "after"}
    file = done.keep(tmp_path)
    card = Reader(file).card
    assert card["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest() == done.card["sha256"]
    assert card["taught"]["from_sha256"] == Reader(bundled()).card["sha256"]
    assert (Reader(file).predict_proba(shown_digits()) != Reader(bundled()).predict_proba(shown_digits())).any()


@pytest.mark.slow
def test_a_teaching_that_was_interrupted_ends_with_the_same_model(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(teaching, "STEPS", 4)
    monkeypatch.setattr(teaching, "KNOWN_OUTLIERS", 20)
    monkeypatch.setattr(Checkpoint, "due", lambda _: True)  # after each step
    corrections = [(number(text), text) for text in ("74", "17", "45", "51")]
    whole = teaching.finetune(corrections, small)
    told: list[float] = []

    def progress(share: float, what: str) -> None:
        told.extend([share] if what == "learning" else [])
        if len(told) and told[-1] > 0.6:  # in the second of its two trainings
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teaching.finetune(corrections, small, progress=progress, home=tmp_path)
    (kept,) = (tmp_path / "checkpoints").iterdir()
    assert kept.name.startswith("finetune-seed0-")
    steps: list[str] = []
    resumed = teaching.finetune(corrections, small, progress=lambda _, what: steps.append(what), home=tmp_path)
    assert steps.count("learning") == 8 - (len(told) - 1)  # it does not begin anew
    assert resumed.model == whole.model
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.usefixtures("short")
def test_a_model_that_has_forgotten_mnist_is_refused(small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(teaching, "LEARNING_RATE", 0.5)
    done = teaching.finetune([(png(draw_seven()), "1")], small)
    assert done.figures["mnist"]["after"] < 0.9
    assert done.refused.startswith("Not taught: the accuracy on mnist's test digits would fall from")
    with pytest.raises(MnistryError, match="Not taught"):
        done.keep(tmp_path)
    assert taught(tmp_path) is None


@pytest.mark.slow
def test_a_hand_is_taught_from_the_command_line_on_mnist(command: Any, tmp_path: Path, mnist: Path):  # noqa: ARG001
    """A `1` with a flag so large that it is read as a 7; afterwards it is a 1, and MNIST has lost nothing."""
    (tmp_path / "own").mkdir()
    rows = ["file,label"]
    for k in range(8):
        picture = Image.new("RGB", (300, 300), "white")
        write(picture, "7", 90 + 4 * k, 70 + 5 * (k % 3), 150 - 6 * k, 12 + k % 4)
        picture.save(tmp_path / "own" / f"{k}.png")
        rows.append(f"{k}.png,1")
    (tmp_path / "own" / "labels.csv").write_text("\n".join(rows))
    assert command("read", tmp_path / "own" / "3.png")[1].split(": ")[1].startswith("7")
    code, out, _ = command("finetune", "--corrections", tmp_path / "own", "--quiet")
    assert code in (0, 1), out
    assert "MNIST's 10000 test digits" in out
    if code == 0:
        assert command("read", tmp_path / "own" / "3.png")[1].split(": ")[1].startswith("1")
        assert command("finetune", "--undo")[0] == 0
    assert command("read", tmp_path / "own" / "3.png")[1].split(": ")[1].startswith("7")


# --- The model in use -------------------------------------------------------------------------------------


def test_a_reader_opens_the_newest_taught_model_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("MNISTRY_HOME", str(tmp_path))
    assert "taught" not in Reader().card
    for word in ("one", "two"):
        model = other_model(word)
        keep_taught(tmp_path, model, card_of(model))
        assert Reader().metadata["word"] == word
    assert Reader().card["taught"] == {"n": 1}
    assert Reader(bundled()).card["test"]["accuracy"] > 0.99
    assert "taught" not in Reader(bundled()).card
    assert undo_taught(tmp_path)["sha256"] == card_of(other_model("one"))["sha256"]
    assert Reader().metadata["word"] == "one"
    assert undo_taught(tmp_path) == Reader(bundled()).card
    assert list((tmp_path / "taught").iterdir()) == []
    with pytest.raises(MnistryError, match="nothing to undo"):
        undo_taught(tmp_path)


def test_only_the_last_taught_models_are_kept(tmp_path: Path):
    for k in range(8):
        keep_taught(tmp_path, other_model(str(k)), card_of(other_model(str(k))))
    assert sorted(path.name for path in (tmp_path / "taught").glob("*.onnx")) == [f"{k:06}.onnx" for k in range(4, 9)]


def test_a_model_whose_card_was_not_written_does_not_count(tmp_path: Path):
    keep_taught(tmp_path, other_model("one"), card_of(other_model("one")))
    (tmp_path / "taught" / "000002.onnx").write_bytes(b"half")
    assert taught(tmp_path).name == "000001.onnx"
    assert keep_taught(tmp_path, other_model("two"), card_of(other_model("two"))).name == "000003.onnx"


def test_a_damaged_taught_model_is_told_and_undone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: Any):
    monkeypatch.setenv("MNISTRY_HOME", str(tmp_path))
    keep_taught(tmp_path, other_model("one"), card_of(other_model("one"))).write_bytes(b"torn")
    with pytest.raises(MnistryError, match="is damaged: mnistry finetune --undo"):
        Reader()
    assert command("finetune", "--undo")[0] == 0
    assert "taught" not in Reader().card


# --- The command line -------------------------------------------------------------------------------------


def test_corrections_are_listed_exported_imported_shown_and_deleted(command: Any, tmp_path: Path):
    assert "no corrections" in command("corrections")[1]
    from mnistry.settings import Settings
    from mnistry.web.corrections import Corrections

    Corrections(Settings.from_environment().home).add(png(draw_seven()), "7", "1")
    assert command("corrections")[1].startswith("1: 7 (was read as 1), 20")
    assert '"label": "7"' in command("corrections", "--json")[1]
    assert command("corrections", "--export", tmp_path / "c.zip")[0] == 0
    assert command("corrections", "--show", tmp_path / "c.html")[0] == 0
    assert "correction 1" in (tmp_path / "c.html").read_text()
    assert command("corrections", "--delete", "1")[0] == 0
    assert command("corrections", "--delete", "1")[0] == 2
    assert '{"added": 1, "known": 0}' in command("corrections", "--import", tmp_path / "c.zip", "--json")[1]
    assert command("corrections", "--import", tmp_path / "missing.zip")[0] == 2


def test_without_corrections_the_command_says_so_at_once(command: Any):
    code, _, err = command("finetune")
    assert (code, err.count("\n")) == (2, 1)
    assert "no corrections to learn from" in err
