"""What run.json says of the machine, the back end and the energy of a run."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import mnistry
from conftest import ROOT
from mnistry.data.dataset import load
from mnistry.models.recipes import find_recipe
from mnistry.training import circumstances as about
from mnistry.training.runs import Run


def test_a_run_tells_its_back_end_threads_commit_processor_and_energy(dense_run: Run):
    import keras

    info = dense_run.info
    assert info["backend"]["name"] == keras.backend.backend()
    assert info["backend"]["version"] in info["versions"].values()
    assert info["threads"][info["backend"]["name"]] >= 1
    assert info["machine"]["processor_name"]
    assert info["peak_memory_mb"] > 50
    assert {"commit", "energy_joules"} <= set(info)


def test_a_classical_run_has_no_back_end():
    found = about.circumstances(neural=False)
    assert found["backend"] is None
    assert found["threads"]["blas"] == 1


def test_the_commit_is_that_of_our_own_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True)
    own = about.circumstances(neural=False)["commit"]
    assert own is None if asked.returncode else own.removesuffix("-dirty") == asked.stdout.strip()
    subprocess.run(["git", "init", "-q", tmp_path], check=True)  # somebody else's, in which mnistry is installed
    (tmp_path / "__init__.py").touch()
    monkeypatch.setattr(mnistry, "__file__", str(tmp_path / "__init__.py"))
    assert about.circumstances(neural=False)["commit"] is None


def zone(root: Path, name: str, value: int) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "energy_uj").write_text(str(value))
    (folder / "max_energy_range_uj").write_text("10000000")
    return folder / "energy_uj"


def test_energy_is_the_sum_over_the_packages_and_counters_begin_anew(tmp_path: Path):
    first, second = zone(tmp_path, "intel-rapl:0", 4_000_000), zone(tmp_path, "intel-rapl:1", 9_000_000)
    core = zone(tmp_path, "intel-rapl:0:0", 0)  # a part of the first package
    with about.EnergyMeter(tmp_path) as meter:
        first.write_text("6000000")
        second.write_text("1000000")
        core.write_text("1000000")
    assert meter.joules == pytest.approx(2 + 2)


def test_energy_that_cannot_be_read_is_none(tmp_path: Path):
    with about.EnergyMeter(tmp_path) as meter:
        pass
    assert meter.joules is None
    counter = zone(tmp_path, "intel-rapl:0", 1)
    with about.EnergyMeter(tmp_path) as meter:
        counter.unlink()
    assert meter.joules is None


def test_a_classical_fit_is_the_same_with_any_number_of_threads():
    data = load("digits")
    weights = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            model = find_recipe("logistic").build(0).fit(data.train_images, data.train_labels)
        weights.append(model.estimator_.coef_)
    assert np.array_equal(*weights)
