"""How far a run's accuracy holds: on spoilt digits, which are kept in the run, and from writer to writer."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnistry.data.dataset import load
from mnistry.data.mnist_c import corrupted
from mnistry.reading.reader import Reader
from mnistry.settings import MnistryError, Settings
from mnistry.training import metrics, robustness
from mnistry.training.runs import Run, open_run


def test_what_is_measured_is_what_the_model_answers(dense_run: Run):
    data, told = load("digits"), []
    found = robustness.measure(dense_run, data, lambda *step: told.append(step))
    assert told[0] == (0, 15, "shot noise")
    assert len(told) == len(found["corruptions"]) == 15
    reader = Reader(dense_run.model)
    fog = next(row for row in found["corruptions"] if row["name"] == "fog")
    assert fog["accuracy"] == np.mean(reader.predict(corrupted(data.test_images, "fog")) == data.test_labels)
    assert found["mean"] == pytest.approx(np.mean([row["accuracy"] for row in found["corruptions"]]))
    assert found["clean"] == dense_run.metrics["accuracy"] > found["mean"]


def test_it_is_kept_in_the_run_which_stays_whole(dense_run: Run, tmp_path: Path):
    shutil.copytree(dense_run.folder, tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert robustness.kept(run) is None
    for mean in (0.5, 0.6):
        robustness.keep(run, {"mean": mean})
        assert robustness.kept(open_run(run.folder)) == {"mean": mean}
    assert '"corruptions.json"' in (run.folder / "manifest.json").read_text()
    assert open_run(run.folder).metrics == run.metrics


def test_a_run_on_other_data_is_refused(dense_run: Run):
    with pytest.raises(MnistryError, match="trained on another version of digits"):
        robustness.measure(dense_run, replace(load("digits"), sha256="0"))


def test_the_worst_writer_comes_first_and_the_best_last():
    right = np.array([1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1], bool)
    writers = np.array([7, 7, 7, 4, 4, 9, 9, 2, 2, 5, 5])
    rows = metrics.by_writer(right[:-1], writers[:-1])
    assert [(row["writer"], row["n"], row["errors"]) for row in rows] == [
        (2, 2, 1), (4, 2, 1), (7, 3, 1), (5, 1, 0), (9, 2, 0)
    ]  # fmt: skip
    assert rows[2]["indices"] == [0, 1, 2]
    assert rows[2]["accuracy"] == pytest.approx(2 / 3)


def test_every_test_digit_has_one_writer(mnist: Path, tmp_path: Path):
    data = load("mnist")
    wrong = np.eye(10, dtype=np.float32)[data.test_labels]
    wrong[0] = np.roll(wrong[0], 1)
    np.save(tmp_path / "test_probabilities.npy", wrong)
    run = Run(tmp_path, {"dataset_sha256": data.sha256}, [], {"n": 10000})
    found = robustness.by_writer(run, data, Settings(tmp_path, mnist, offline=True))
    assert (found["n"], found["without_mistake"]) == (297, 296)
    assert sorted(index for row in found["writers"] for index in row["indices"]) == list(range(10000))
    assert found["writers"][0]["errors"] == 1
    assert 0 in found["writers"][0]["indices"]
    assert {row["group"] for row in found["writers"]} == {"student", "employee"}
    with pytest.raises(MnistryError, match=r"qmnist-test-labels-idx2-int.gz.*MNISTRY_OFFLINE"):
        robustness.by_writer(run, data, Settings(tmp_path, offline=True))
