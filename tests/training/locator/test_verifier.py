"""The verifier: what it learns from, its ONNX file, and what its answers count."""

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from mnistry.data.scenes import Scene, SceneMaker
from mnistry.models.locator.verifier import verifier_network
from mnistry.reading.context import context
from mnistry.reading.learned import Opinions, Trust, combined
from mnistry.reading.recognizer import bundled, model_card
from mnistry.reading.verifier import MARK, NOTHING, SIGN, Verifier
from mnistry.reading.views import view
from mnistry.settings import MnistryError, Settings
from mnistry.training.locator import trust
from mnistry.training.locator.cards import card, told
from mnistry.training.locator.crops import UNHEARD, Cropper, joined, labelled, standardised
from mnistry.training.locator.onnx import crops_onnx, metadata, verifier_onnx
from mnistry.training.locator.run import BUNDLED, CandidateScenes, LocatorRun, _on_the_way, _start, train_all
from mnistry.training.locator.trust import _exponents, _logistic
from mnistry.training.locator.unfold import _convolutions, load_between, load_file


def scene(**parts: list[tuple[float, float, float, float]]) -> Scene:
    boxes = {name: np.array(values, np.float32).reshape(-1, 4) for name, values in parts.items()}
    empty = np.zeros((0, 4), np.float32)
    return Scene(
        np.full((100, 100, 3), 255, np.uint8), np.arange(len(boxes.get("boxes", empty))) + 3, boxes.get("boxes", empty),
        np.zeros((100, 100), np.uint8), np.zeros(1, np.int64), boxes.get("ignore", empty), boxes.get("signs", empty),
        boxes.get("marks", empty),
    )  # fmt: skip


def test_candidates_are_named_by_what_they_lie_on():
    known_answers = scene(
        boxes=[(10, 10, 20, 30)], signs=[(50, 10, 20, 30)], marks=[(75, 10, 15, 30)], ignore=[(10, 60, 20, 30)]
    )
    boxes = np.array([
        (11, 9, 31, 40), (50, 10, 70, 40), (75, 10, 90, 40), (12, 62, 28, 88), (60, 60, 80, 90), (10, 10, 30, 32),
    ], np.float32)  # fmt: skip
    labels, known = labelled(boxes, known_answers)
    assert labels[known].tolist() == [3, SIGN, MARK, NOTHING]
    assert known.tolist() == [True, True, True, False, True, False]  # a struck-out digit; half a digit


def test_a_thin_1_that_is_a_pixel_off_is_a_1():
    labels, known = labelled(np.array([(21, 10, 26, 40)], np.float32), scene(boxes=[(20, 10, 3, 30)]))
    assert known.all()
    assert labels.tolist() == [3]


def test_the_trust_is_the_most_probable_but_for_some_caution(monkeypatch: pytest.MonkeyPatch):
    random, labels = np.random.default_rng(0), np.repeat([3, SIGN, NOTHING], 40)
    verified = np.full((120, 13), 0.02, np.float32)
    verified[np.arange(120), random.permutation(labels)] = 0.7
    heard = Opinions(
        random.random((120, 3), np.float32), random.random(120, np.float32),
        random.dirichlet(np.ones(11), 120).astype(np.float32), verified,
        random.dirichlet(np.ones(10), 120).astype(np.float32), random.random(120, np.float32),
    )  # fmt: skip
    monkeypatch.setattr(trust, "answers", lambda *_: (heard, labels))
    caution, careful = trust.CAUTION, trust.fit_trust(None, [])
    monkeypatch.setattr(trust, "CAUTION", 0.0)
    likely = trust.fit_trust(None, [])
    assert careful.stands[0] == pytest.approx(likely.stands[0] - trust.SURER * caution, abs=1e-3)
    assert careful.stands[1:] == likely.stands[1:]
    surely = trust.SURER
    monkeypatch.setattr(trust, "SURER", 1.0)
    as_in_scenes = trust.fit_trust(None, [])
    for surer, fitted in zip(vars(likely).values(), vars(as_in_scenes).values(), strict=True):
        assert np.allclose(surer, np.multiply(surely, fitted) if isinstance(fitted, tuple) else fitted, atol=2e-3)


def test_crops_show_the_box_in_the_middle_and_what_is_around_it():
    pixels = np.full((96, 96, 3), 200, np.uint8)
    pixels[40:60, 40:60] = (255, 0, 0)
    session = onnxruntime.InferenceSession(crops_onnx(), providers=["CPUExecutionProvider"])
    near, far = session.run(None, {"images": pixels[None], "boxes": np.array([(40, 40, 60, 60)], np.float32)})
    assert near.shape == far.shape == (1, 3, 32, 32)
    assert np.allclose(near[0, :, 16, 16], (1, 0, 0), atol=0.02)
    assert np.allclose(near[0, :, 1, 1], 200 / 255, atol=0.02)
    middle = far[0, 1, 12:20, 12:20].mean()  # 20 of 90 pixels: 7 of 32
    assert middle < 0.4
    assert np.allclose(far[0, 1, :8], 200 / 255, atol=0.02)


def test_half_of_a_target_is_what_the_teachers_say(mnist: Path):
    maker, generator = SceneMaker.validation(Settings(mnist, data=mnist, offline=True)), np.random.default_rng(5)
    scenes = [maker.scene(generator, kind="row") for _ in range(8)]
    taught, untaught = (
        joined([Cropper(bundled("locator"), told).crops(scene, np.random.default_rng(0)) for scene in scenes])
        for told in ([bundled("verifier")] * 2, [])
    )
    assert np.array_equal(taught.near, untaught.near)
    assert set(untaught.targets.ravel()) == {0, 1}
    assert np.allclose(taught.targets.sum(axis=1), 1, atol=1e-5)
    heard = np.abs(taught.targets - untaught.targets).max(axis=1) > 1e-6  # a network is never wholly sure
    assert heard.mean() > 0.7  # and knows most of these scenes
    said = (2 * taught.targets - untaught.targets)[heard]
    assert (said[untaught.targets[heard] == 1] >= UNHEARD - 1e-6).all()
    assert (said.argmax(axis=1) == untaught.targets[heard].argmax(axis=1)).mean() > 0.7


def test_teachers_are_not_heard_on_what_they_have_never_learnt(mnist: Path, monkeypatch):
    sure = np.eye(13, dtype=np.float32)[1]  # that everything is a 1
    monkeypatch.setattr(Verifier, "answers", lambda self, looks, boxes, here: np.tile(sure, (len(boxes), 1)))
    maker, generator = SceneMaker.validation(Settings(mnist, data=mnist, offline=True)), np.random.default_rng(5)
    cropper = Cropper(bundled("locator"), [bundled("verifier")])
    crops = joined([cropper.crops(maker.scene(generator, kind="row"), generator) for _ in range(8)])
    assert set(crops.targets.ravel()) == {0, 1}
    assert crops.targets[:, 1].mean() < 0.5


def test_a_teacher_is_heard_where_another_has_never_learnt_it(mnist: Path):
    maker, generator = SceneMaker.validation(Settings(mnist, data=mnist, offline=True)), np.random.default_rng(5)
    scenes = [maker.scene(generator, kind="row") for _ in range(8)]
    sure = np.eye(13, dtype=np.float32)[1]  # that everything is a 1
    alone, both = (Cropper(bundled("locator"), [bundled("verifier")]) for _ in range(2))
    both.teachers.append(SimpleNamespace(answers=lambda looks, boxes, here: np.tile(sure, (len(boxes), 1))))
    nobody = Cropper(bundled("locator"))
    labels, one, two = (
        joined([cropper.crops(scene, np.random.default_rng(0)) for scene in scenes]).targets
        for cropper in (nobody, alone, both)
    )
    ones = labels[:, 1] == 1
    assert 0 < ones.mean() < 1
    assert np.allclose(two[~ones], (one[~ones] + labels[~ones]) / 2, atol=1e-5)
    assert np.allclose(two[ones], (one[ones] + sure) / 2, atol=1e-5)


def test_the_file_answers_as_the_keras_model(mnist: Path):
    network = verifier_network()
    generator = np.random.default_rng(0)
    for weight in network.weights:  # batch norms that do something
        if "gamma" in weight.path or "variance" in weight.path:
            weight.assign(generator.uniform(0.5, 1.5, weight.shape))
        elif "kernel" in weight.path:  # in steps that a file keeps
            step = np.abs(weight).max(axis=(0, 1, 2)) / 127
            weight.assign(np.rint(weight / step) * step)
    made = SceneMaker.validation(Settings(mnist, data=mnist, offline=True)).scene(generator, kind="row")
    look = view(Image.fromarray(made.image), 1.0)
    boxes = np.array([(20, 20, 50, 60), (0, 0, 128, 128), (60, 60, 70, 90)], np.float32)
    near, far = Cropper(bundled("locator"))._cut(look, boxes)
    logits = network.predict([standardised(near), standardised(far)], verbose=0).reshape(-1, 13)
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    answers = Verifier(verifier_onnx(network)).answers([look], boxes, np.zeros(3, np.intp))
    assert np.abs(proba / proba.sum(axis=1, keepdims=True) - answers).max() < 2e-3  # crops are kept in 256 levels


def test_a_network_goes_on_from_its_file_or_another_training(mnist: Path, tmp_path: Path):
    maker, generator = SceneMaker.validation(Settings(mnist, data=mnist, offline=True)), np.random.default_rng(0)
    scenes = [maker.scene(generator, kind="row") for _ in range(8)]
    crops = joined([Cropper(bundled("locator")).crops(scene, generator) for scene in scenes])
    seen = [standardised(crops.near), standardised(crops.far)]
    network = verifier_network()
    _start(LocatorRun(start=BUNDLED), "verifier", lambda: seen)(network)
    norms = [layer for layer in network.layers if type(layer).__name__ == "BatchNormalization"]
    look, boxes = (
        view(Image.fromarray(scenes[0].image), 1.0),
        np.array([(20, 20, 50, 60), (60, 60, 70, 90)], np.float32),
    )
    here = np.zeros(2, np.intp)
    said = [Verifier(file).answers([look], boxes, here) for file in (bundled("verifier"), verifier_onnx(network))]
    assert np.abs(said[0] - said[1]).max() < 1e-3
    taught = keras.Model(network.inputs, norms[-1].output)  # in training a norm sees what it saw here
    assert np.allclose(taught(seen, training=True), taught(seen, training=False), atol=1e-2)
    for layer in norms:
        assert not np.allclose(layer.moving_variance, 1)
    with pytest.raises(MnistryError, match="other layers than verifier"):
        load_file(network, bundled("locator"), seen)
    np.savez(tmp_path / "verifier.npz", step=9, **{f"weight{k}": w.numpy() for k, w in enumerate(network.weights)})
    other = verifier_network()
    _start(LocatorRun(start=tmp_path), "verifier", lambda: None)(other)
    assert all(np.array_equal(one, same) for one, same in zip(network.weights, other.weights, strict=True))


def test_no_candidate_is_no_answer():
    none = Verifier(bundled("verifier")).answers([], np.zeros((0, 4), np.float32), np.zeros(0, np.intp))
    assert none.shape == (0, 13)


def heard(label: int, sure: float, agreed: float) -> Opinions:
    """All say `label`, with probability `agreed`."""
    verified = np.full((1, 13), (1 - agreed) / 12, np.float32)
    verified[0, label] = agreed
    classes = np.full((1, 11), (1 - agreed) / 10, np.float32)
    classes[0, min(label, 10)] = agreed
    proba = np.full((1, 10), 0.1, np.float32) if label > 9 else classes[:, :10] / classes[:, :10].sum()
    is_digit = np.array([agreed if label < 10 else 1 - agreed], np.float32)
    return Opinions(np.zeros((1, 3), np.float32), np.array([sure], np.float32), classes, verified, proba, is_digit)


@pytest.mark.parametrize(
    ("label", "told", "shown"), [(7, True, True), (SIGN, False, True), (MARK, False, False), (NOTHING, False, False)]
)
def test_digits_are_told_signs_shown_marks_and_nothing_left_out(label: int, told: bool, shown: bool):
    trust = Trust()
    joint, other = combined(trust, heard(label, 0.9 if label < NOTHING else 0.1, 0.98))
    assert bool(joint.max() >= trust.told) == told
    assert bool(joint.max() + other[0] >= trust.shown) == shown
    assert 0 <= joint.sum() <= 1
    assert joint.max() + other[0] <= 1 + 1e-6


def test_a_candidate_is_seen_among_the_others():
    boxes = np.array([(0, 0, 100, 200), (250, 10, 260, 35), (120, 0, 200, 190)], np.float32)
    octaves, beside, alone = context(boxes, np.array([0.9, 0.6, 0.8], np.float32)).T
    assert np.allclose(octaves, (0, -3, 0), atol=0.1)  # a speck is small beside large digits
    assert np.allclose(beside, (0.8 * 0.95, 0.9 * 25 / 200, 0.9 * 0.95), atol=0.02)  # both large ones stand in a row
    assert np.allclose(alone, (0.2, 0.1, 0.1))
    assert context(boxes[1:2], np.ones(1, np.float32)).tolist() == [[0, 0, 1]]
    assert context(boxes[:0], np.ones(0, np.float32)).shape == (0, 3)


def test_the_fit_finds_the_weights_that_made_the_answers():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (2, 4000)).astype(np.float32)
    true = generator.random(4000) < 1 / (1 + np.exp(-(0.5 + 1.5 * logits[0])))
    assert np.abs(np.array(_logistic(list(logits), true)) - (0.5, 1.5, 0)).max() < 0.15
    votes = generator.normal(0, 1, (4000, 10, 2)).astype(np.float32)
    labels = (2 * votes[:, :, 0] + generator.gumbel(size=(4000, 10))).argmax(axis=1)
    assert np.abs(np.array(_exponents(votes, labels)) - (2, 0)).max() < 0.15


def test_a_card_says_what_was_learnt_from_and_where_it_began(tmp_path: Path):
    (tmp_path / "teacher.onnx").write_bytes(b"a teacher")
    run = LocatorRun(strokes=tmp_path / "strokes.gz", teachers=(tmp_path / "teacher.onnx",), steps=7)
    first = card("verifier", b"a file", 12, told(vars(run)), {})
    assert (first["bytes"], first["parameters"], first["settings"]["steps"]) == (6, 12, 7)
    assert first["settings"]["strokes"] == "strokes.gz"
    assert first["settings"]["teachers"] == [hashlib.sha256(b"a teacher").hexdigest()]
    assert "begun_with" not in first["settings"]
    assert first["limits"] == model_card("verifier")["limits"]
    assert [line.split()[0] for line in first["data"]] == ["MNIST", "Pen-Based", "scenes,"]
    then = card("verifier", b"another", 12, told(vars(LocatorRun(writers=tmp_path))), first)
    assert then["settings"]["begun_with"] == {"sha256": first["sha256"], **first["settings"]}
    assert {line.split()[0] for line in then["data"]} == {"MNIST", "Pen-Based", "Semeion", "Optical", "scenes,"}
    assert str(tmp_path) not in json.dumps([first, then])


@pytest.mark.slow
def test_training_makes_both_files_and_goes_on_where_it_was(mnist: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MNISTRY_DATA", str(mnist))
    monkeypatch.setattr("mnistry.training.locator.run.SCENES", 8)
    told = list[tuple[int, int, str]]()
    begun = LocatorRun(start=BUNDLED, steps=4, verifier_steps=4, learning_rate=1e-4)  # so that it finds something
    cards = train_all(begun, tmp_path, False, lambda *step: told.append(step))
    for name in ("locator", "verifier"):  # four small steps away from where it began
        old, new = (_convolutions(file)[1][0] for file in (bundled(name), (tmp_path / f"{name}.onnx").read_bytes()))
        assert 0 < np.abs(old - new).max() < 0.1 * np.abs(old).max()
    assert [card["bytes"] for card in cards.values()] == [
        (tmp_path / f"{name}.onnx").stat().st_size for name in ("locator", "verifier")
    ]
    assert {what for _, _, what in told} == {"locator", "verifier", "trust"}
    again = list[tuple[int, int, str]]()
    (tmp_path / "teacher.onnx").write_bytes(bundled("verifier"))
    taught = replace(begun, verifier_steps=6, teachers=(tmp_path / "teacher.onnx",), shares=(0.5, 1.0))
    train_all(taught, tmp_path, False, lambda *step: again.append(step))
    assert [step for step in again if step[2] != "trust"] == [(6, 6, "verifier")]
    kept, old = json.loads((tmp_path / "verifier.json").read_text("utf-8")), model_card("verifier")
    assert kept["settings"]["shares"] == [0.5, 1.0]
    assert kept["settings"]["teachers"] == [old["sha256"]]
    assert kept["settings"]["begun_with"] == {"sha256": old["sha256"], **old["settings"]}
    assert (kept["parameters"], kept["data"], kept["limits"]) == (old["parameters"], old["data"], old["limits"])
    assert str(tmp_path) not in json.dumps(kept)


FEED = """
import multiprocessing, time
from functools import partial
from mnistry.training.locator.learn import LocatorSettings, _feed, _make_scenes
if __name__ == "__main__":
    with _feed(_make_scenes, (partial(time.sleep, 600), 1), LocatorSettings(processes=2), 0):
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(600)
"""


@pytest.mark.slow
def test_a_killed_training_leaves_no_process(tmp_path: Path):
    (tmp_path / "feed.py").write_text(FEED)
    with subprocess.Popen([sys.executable, tmp_path / "feed.py"], stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout
        children = [Path("/proc", pid) for pid in training.stdout.readline().split()]
        time.sleep(20)  # until they have imported what they need
        assert len(children) == 2
        assert all(child.exists() for child in children)
        training.kill()
    for _ in range(100):
        if not any(child.exists() for child in children):
            break
        time.sleep(0.1)
    assert not any(child.exists() for child in children)


@pytest.mark.slow
def test_a_locator_that_finds_nothing_is_told(mnist: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MNISTRY_DATA", str(mnist))
    monkeypatch.setattr("mnistry.training.locator.learn.NONE", 1)
    with pytest.raises(MnistryError, match="found nothing in 50 scenes: train it with more steps"):
        train_all(LocatorRun(steps=1, verifier_steps=2), tmp_path, False)
    assert (tmp_path / "locator.npz").is_file()


def test_wrong_settings_are_told():
    with pytest.raises(MnistryError, match="has the settings strokes, writers, start, teachers, shares, steps, "):
        LocatorRun.changed({"width": "3"}, 0)
    with pytest.raises(MnistryError, match="number of steps"):
        LocatorRun.changed({"steps": "many"}, 0)
    with pytest.raises(MnistryError, match="is not there"):
        LocatorRun.changed({"strokes": "nowhere.gz"}, 0)
    with pytest.raises(MnistryError, match=r"nowhere.onnx is no teacher: expected the file of a verifier"):
        LocatorRun.changed({"teachers": "nowhere.onnx"}, 0)
    with pytest.raises(MnistryError, match=r"nowhere has no training: expected `bundled`, or a folder with"):
        LocatorRun.changed({"start": "nowhere"}, 0)
    for rate in ("0", "2", "fast", "nan"):
        with pytest.raises(MnistryError, match="Expected a learning rate above 0 and up to 1"):
            LocatorRun.changed({"learning_rate": rate}, 0)
    for shares in ("0.5", "0,1", "0.5,2", "half,half", "nan,1", "1,nan"):
        with pytest.raises(MnistryError, match=r"Expected two shares above 0 and up to 1, such as 0\.5,0\.3"):
            LocatorRun.changed({"shares": shares}, 0)
    with pytest.raises(MnistryError, match="add --set start=bundled"):
        LocatorRun.changed({"shares": "0.5,0.3"}, 0)


@pytest.mark.parametrize(("shares", "share"), [(None, 1.0), ((0.6, 0.25), 0.25)])
def test_a_training_takes_its_share_of_the_way(shares: tuple[float, float] | None, share: float):
    model, run = verifier_network(), LocatorRun(start=BUNDLED, shares=shares)
    learnt = verifier_onnx(model, {"trust": "{}"})
    _, file = _on_the_way("verifier", model, learnt, run)
    taken, old, new = (_convolutions(one)[0][0] for one in (file, bundled("verifier"), learnt))
    assert np.allclose(taken, (1 - share) * old + share * new, atol=0.01 * np.abs(taken).max())  # kept in 8 bits
    assert metadata(file) == {"trust": "{}"}


def test_between_two_files_lies_the_mean_of_their_weights():
    model = verifier_network()
    load_between(model, bundled("verifier"), bundled("verifier"), 0.3)
    other = verifier_onnx(model, {"steps": "7"})
    assert metadata(other) == {"steps": "7"}
    for (old, _), (new, _) in zip(_convolutions(bundled("verifier")), _convolutions(other), strict=True):
        assert np.allclose(old, new, atol=1e-6)  # of one file, nothing changes
    fresh = verifier_onnx(verifier_network())
    load_between(model, bundled("verifier"), fresh, 0.25)
    mixed, old, new = (_convolutions(file)[0][0] for file in (verifier_onnx(model), bundled("verifier"), fresh))
    assert np.allclose(mixed, 0.75 * old + 0.25 * new, atol=0.01 * np.abs(mixed).max())  # kept in 8 bits
    with pytest.raises(MnistryError, match="other layers than"):
        load_between(model, bundled("locator"), bundled("locator"), 0.5)


def test_options_that_do_nothing_are_refused(command: Any):
    for more in (["--dataset", "digits"], ["--validation", "0.2"], ["--from", "study"]):
        code, _, err = command("train", "locator", *more)
        assert code == 2
        assert "train locator takes --set, --seed, --out and --resume alone" in err


def test_a_teacher_is_a_verifier(tmp_path: Path):
    for name in ("verifier", "reader"):
        (tmp_path / f"{name}.onnx").write_bytes(bundled(name))
    both = LocatorRun.changed({"teachers": f"{tmp_path}/verifier.onnx, {tmp_path}/verifier.onnx"}, 0)
    assert both.teachers == (tmp_path / "verifier.onnx",) * 2
    with pytest.raises(MnistryError, match=r"reader.onnx is no teacher"):
        LocatorRun.changed({"teachers": f"{tmp_path}/verifier.onnx,{tmp_path}/reader.onnx"}, 0)


def test_some_scenes_are_larger(mnist: Path):
    maker = SceneMaker.validation(Settings(mnist, data=mnist, offline=True))
    for larger, sides in ((0.0, {128}), (1.0, {256, 384})):
        scenes, generator = CandidateScenes(maker, larger=larger), np.random.default_rng(1)
        assert {scenes.scene(generator).image.shape[0] for _ in range(12)} == sides
