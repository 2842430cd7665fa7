"""Training, export, evaluation and report from end to end, on the bundled digits and on the real ones."""

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mnistry.data.dataset import load
from mnistry.reading.reader import Reader
from mnistry.reports.report import write_report
from mnistry.settings import MnistryError
from mnistry.training.export import check_parity, export_elsewhere, export_run
from mnistry.training.metrics import evaluate as measure
from mnistry.training.runs import Run, check_manifest, open_run, writing
from mnistry.training.train import evaluate, metrics, train

PICTURES = {
    "samples", "class_counts", "accuracy", "loss", "confusion", "first_five", "predictions", "mistakes", "reliability",
}  # fmt: skip


def test_a_run_says_what_was_done(dense_run: Run):
    info = dense_run.info
    assert (info["recipe"], info["dataset"], info["seed"], info["status"]) == ("dense", "digits", 0, "finished")
    assert info["n"] == {"train": 1149, "validation": 288, "test": 360}
    assert info["parameters"] == 101_770 == sum(layer["parameters"] for layer in info["layers"])
    assert info["parity"]["labels_equal"] == 360
    assert set(info["seconds"]) == {"fit", "export", "evaluate"}
    assert dense_run.metrics["n"] == 360
    assert dense_run.metrics["accuracy"] > 0.85
    assert dense_run.metrics["validation"]["n"] == 288


def test_the_metrics_are_those_of_the_saved_probabilities(dense_run: Run):
    data = load("digits")
    proba = np.load(dense_run.folder / "test_probabilities.npy")
    expected = json.loads(json.dumps(measure(proba, data.test_labels)))
    assert {key: dense_run.metrics[key] for key in expected} == expected


def test_the_history_has_a_row_an_epoch(dense_run: Run):
    with (dense_run.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert float(rows[-1]["val_accuracy"]) == pytest.approx(dense_run.metrics["validation"]["accuracy"], abs=1e-6)


def test_the_same_seed_repeats_to_the_same_weights(dense_run: Run, tmp_path: Path):
    again = train("dense", "digits", out=tmp_path / "again")
    first, second = (np.load(run.folder / "test_probabilities.npy") for run in (dense_run, again))
    assert (first == second).all()
    assert again.metrics == dense_run.metrics


def test_evaluating_the_onnx_file_anew_gives_the_same_figures(dense_run: Run):
    figures = evaluate(dense_run)
    assert figures["confusion"] == dense_run.metrics["confusion"]
    assert figures["nll"] == pytest.approx(dense_run.metrics["nll"], rel=1e-4)


def test_the_test_labels_are_read_once_and_after_the_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    events: list[str] = []
    real = metrics.evaluate

    def watch(proba, y, parts=None):
        events.append(f"measured {len(y)}")
        return real(proba, y, parts)

    monkeypatch.setattr(metrics, "evaluate", watch)
    train(
        "dense", "digits", out=tmp_path / "run", changes={"epochs": 2},
        progress=lambda epoch, epochs, batch, batches, figures: events.append(f"epoch {epoch}"),
    )  # fmt: skip
    assert events.count("measured 360") == 1
    last_epoch = max(k for k, event in enumerate(events) if event.startswith("epoch"))
    assert events.index("measured 360") > last_epoch


def test_an_interrupted_training_leaves_nothing(tmp_path: Path):
    def interrupt(epoch: int, *_: object) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("dense", "digits", out=tmp_path / "run", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_no_validation_digits_is_a_choice_too(tmp_path: Path):
    run = train("logistic", "digits", validation=0, out=tmp_path / "run")
    assert run.info["n"]["train"] == 1437
    assert "validation" not in run.metrics
    assert "val_accuracy" not in run.history[0]
    assert "fitted in one go" in write_report(run).read_text("utf-8")


@pytest.mark.slow
def test_the_report_tells_of_one_epoch_as_one(tmp_path: Path):
    run = train("dense", "digits", changes={"epochs": 1}, out=tmp_path / "run")
    assert "fitted in one epoch: training accuracy" in write_report(run).read_text("utf-8")


def test_a_run_on_other_data_is_not_evaluated(dense_run: Run):
    import dataclasses

    other = dataclasses.replace(load("digits"), sha256="0" * 64)
    with pytest.raises(MnistryError, match="another version of digits"):
        evaluate(dense_run, other)


def test_a_split_data_set_takes_no_other_split(tmp_path: Path):
    with pytest.raises(MnistryError, match="split already"):
        train("logistic", load("digits", 0.1), validation=0.5, out=tmp_path / "run")
    run = train("logistic", load("digits", 0.1, seed=5), out=tmp_path / "run")
    assert (run.info["split_seed"], run.info["seed"]) == (5, 0)


@pytest.mark.parametrize("recipe", [None, 5, "dens"])
def test_a_recipe_that_is_none_is_told(recipe: object):
    with pytest.raises(MnistryError, match="no recipe"):
        train(recipe, "digits")  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [[1], "C=1", {3: 1}, {"C": float("inf")}, {"C": 10**400}])
def test_changes_that_are_none_are_told(changes: object):
    with pytest.raises(MnistryError, match=r"Changes are|no setting|takes a number"):
        train("logistic", "digits", changes=changes)  # type: ignore[arg-type]


def test_a_run_is_evaluated_by_its_folder_too(dense_run: Run):
    assert evaluate(str(dense_run.folder))["n"] == 360


def test_answers_of_another_shape_are_refused(dense_run: Run, tmp_path: Path):
    shutil.copytree(dense_run.folder, tmp_path / "run")
    np.save(tmp_path / "run" / "test_probabilities.npy", np.zeros((3, 10), np.float32))
    (tmp_path / "run" / "manifest.json").unlink()
    with writing(tmp_path / "run", replace=True):
        pass
    with pytest.raises(MnistryError, match=r"shape \(3, 10\)"):
        write_report(open_run(tmp_path / "run"))


# --- Export


def test_an_export_is_the_runs_model_with_its_card(dense_run: Run, tmp_path: Path):
    target, parity = export_run(dense_run, tmp_path / "my.onnx")
    card = json.loads((tmp_path / "my.json").read_text())
    assert hashlib.sha256(target.read_bytes()).hexdigest() == card["sha256"]
    assert card["test"]["accuracy"] == dense_run.metrics["accuracy"]
    assert parity["labels_equal"] == 360
    assert Reader(target).metadata["dataset"] == "digits"


def test_an_export_in_half_precision_takes_half_the_space_and_answers_alike(dense_run: Run, tmp_path: Path):
    target, parity = export_run(dense_run, tmp_path / "half.onnx", half=True)
    assert target.stat().st_size < 0.51 * dense_run.model.stat().st_size
    assert 0 < parity["largest_difference"] < 5e-3
    assert parity["labels_equal"] == 360


def test_parity_is_a_check_that_can_fail(dense_run: Run):
    images, proba = load("digits").test_images, np.load(dense_run.folder / "test_probabilities.npy")
    model = dense_run.model.read_bytes()
    with pytest.raises(MnistryError, match="1 of 360 labels differ"):
        check_parity(model, images, np.concatenate([np.roll(proba[:1], 1, axis=1), proba[1:]]))
    with pytest.raises(MnistryError, match="0 of 360 labels differ, probabilities by up to"):
        check_parity(model, images, proba * np.float32(0.99))


@pytest.mark.slow
def test_a_model_of_another_back_end_is_exported_in_a_process_of_its_own(dense_run: Run, tmp_path: Path):
    export_elsewhere(dense_run.folder / "model.keras", tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size > 400_000
    with pytest.raises(MnistryError, match="export to ONNX needs TensorFlow, and failed"):
        export_elsewhere(tmp_path / "none.keras", tmp_path / "none.onnx")


def test_an_export_goes_to_an_onnx_file(dense_run: Run, tmp_path: Path):
    with pytest.raises(MnistryError, match=r"ends in \.onnx, or to a folder, not 'model\.bin'"):
        export_run(dense_run, tmp_path / "model.bin")


# --- Report


@pytest.fixture(scope="module")
def reported(dense_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(dense_run.folder, folder)
    write_report(open_run(folder))
    return open_run(folder)


def test_the_report_is_one_self_contained_page(reported: Run):
    page = (reported.folder / "report.html").read_text("utf-8")
    outside = re.findall(r'(?:src|href)\s*=\s*"(?!data:|#)([^"]+)"', page)
    assert outside == []
    assert "<script" not in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_the_report_shows_every_mistake_and_says_that_it_is_not_mnist(reported: Run):
    page = (reported.folder / "report.html").read_text("utf-8")
    assert page.count("<figure") == len(reported.metrics["mistakes"]) > 0
    assert all(f"no. {mistake['index']}<" in page for mistake in reported.metrics["mistakes"])
    assert "This is not MNIST" in page
    assert f"{100 * reported.metrics['accuracy']:.2f} %" in page


def test_every_text_of_the_drawings_takes_the_pages_colour(reported: Run):
    page = (reported.folder / "report.html").read_text("utf-8")
    texts = re.findall(r"<text ([^>]*)>([^<]*)</text>", page)
    assert {"training", "validation", "perfectly calibrated", "epoch"} <= {text for _, text in texts}
    own = ("var(--warn)", "#ffffff", "#010101")  # the colour of mistakes, and what stands on the heat map's own ground
    assert [text for style, text in texts if "currentColor" not in style and not any(c in style for c in own)] == []


def test_the_pictures_are_png_files_and_in_the_manifest(reported: Run):
    from PIL import Image

    assert {f"{name}.png" for name in PICTURES} | {"report.html"} <= set(check_manifest(reported.folder))
    for name in PICTURES:
        with Image.open(reported.folder / f"{name}.png") as picture:
            assert picture.width > 500
            assert np.asarray(picture.convert("L")).std() > 5  # something is drawn


@pytest.mark.slow
def test_a_second_report_replaces_the_first(reported: Run):
    before = set(check_manifest(reported.folder))
    write_report(reported)
    assert set(check_manifest(reported.folder)) == before


# --- The real thing; what the README promises, with room for an unlucky seed


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_a_recipe_reaches_its_accuracy_on_mnist(tmp_path: Path):
    run = train("fast", "mnist", seed=7, out=tmp_path / "fast")
    assert run.metrics["accuracy"] >= 0.991
    assert run.info["parity"]["labels_equal"] == 10_000
    assert run.metrics["parts"]["hsf4"]["accuracy"] < run.metrics["parts"]["hsf0"]["accuracy"]
    assert run.metrics["parts"]["without_wrong_labels"]["n"] == 9985
    write_report(run)
    wrong_labels = load("mnist").wrong_test_labels
    flagged = [m for m in run.metrics["mistakes"] if m["index"] in wrong_labels]
    page = (run.folder / "report.html").read_text("utf-8")
    assert page.count("label known wrong") == len(flagged) > 0
