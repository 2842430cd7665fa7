"""What is built and how it is installed: hints, lock files, the source archive, the wheel in an empty environment."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mnistry
from conftest import ROOT
from mnistry import settings

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
LOCKS = ("requirements.lock", "requirements-run.lock")
NOT_TO_RUN = {"ray", "optuna", "pytest", "mypy", "ruff", "pre-commit"}  # what `make run` does without


def pins(lock: str) -> dict[str, set[str]]:
    """The versions of each package in a lock file, with their markers."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(.*) \\$", (ROOT / lock).read_text("utf-8"), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def run(*command: object, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run a command and return its output; fails the test where it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


# --- Hints, lock files, addresses -------------------------------------------------------------------------


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_an_install_hint_says_what_works_today(extra: str):
    assert settings.install_hint(extra).startswith(f"pip install '.[{extra}]' in a clone of mnistry")


def test_the_day_of_publishing_changes_one_constant(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settings, "INSTALL_FROM", "mnistry")
    assert settings.install_hint("train") == "pip install 'mnistry[train]'"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_has_hashes_and_no_index_address(name: str):
    lock = (ROOT / name).read_text("utf-8")
    assert "://" not in lock
    entries = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert len(entries) > 30
    assert all("--hash=sha256:" in entry for entry in entries)


def test_make_run_installs_less_and_the_same_versions():
    everything, to_run = pins("requirements.lock"), pins("requirements-run.lock")
    assert set(everything) >= NOT_TO_RUN
    assert not NOT_TO_RUN & set(to_run)
    assert {name: everything.get(name) for name in to_run} == to_run
    assert {"jupyterlab", "notebook", "keras", "hatchling"} <= set(to_run)


def test_versions_and_addresses_are_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert PROJECT["version"] == mnistry.__version__
    assert f"\nversion: {mnistry.__version__}\n" in citation
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb"), ROOT / "CITATION.cff"]
    ours = {url for path in files for url in re.findall(r"github\.com/[\w-]+/mnistry\b", path.read_text("utf-8"))}
    assert ours == {PROJECT["urls"]["Repository"].removeprefix("https://")}
    assert all(url.startswith(PROJECT["urls"]["Repository"]) for url in PROJECT["urls"].values())


def test_the_workflow_tests_every_python_that_is_promised():
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    promised = [line.split(" :: ")[-1] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert f"python: {json.dumps(promised)}" in workflow
    assert PROJECT["requires-python"] == f">={promised[0]}"


# --- The source archive and the wheel ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source archive and a wheel, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--directory", folder, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def unpacked(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that comes out of the source archive."""
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        archive.extractall(place := tmp_path_factory.mktemp("unpacked"), filter="data")
    return next(place.iterdir())


def tree(folder: Path) -> set[str]:
    """The files below a folder that belong to the project."""
    return {
        path.relative_to(folder).as_posix() for top in ("src", "tests", "benchmarks", "docs", "examples", "notebooks",
                                                        ".ci", ".github")
        for path in (folder / top).rglob("*")
        if path.is_file() and not {"__pycache__", ".ipynb_checkpoints", "mnist_pictures"} & set(path.parts)
        and ".egg-info" not in path.as_posix()
    }  # fmt: skip


def test_the_source_archive_holds_what_make_needs(unpacked: Path):
    assert tree(unpacked) == tree(ROOT)
    for name in (*LOCKS, "requirements.txt", "Makefile", "LICENSE", "README.md", "CITATION.cff", "LOG.md"):
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()


def test_an_unpacked_archive_builds_the_same_wheel(dist: Path, unpacked: Path, tmp_path: Path):
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, cwd=unpacked)
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as one, zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as other:
        assert one.namelist() == other.namelist()
        assert {"mnistry/py.typed", "mnistry/reading/bundled/reader.onnx"} <= set(one.namelist())
        assert not any(name.startswith(("tests", "src", "examples")) for name in one.namelist())


@pytest.mark.slow
def test_make_run_works_in_an_unpacked_archive(unpacked: Path):
    """With this environment in place of the one that `make` would install, and the stand-in in place of MNIST."""
    programs = unpacked / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "mnistry").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mnistry.cli "$@"\n')
    (programs / "mnistry").chmod(0o755)
    (unpacked / ".venv" / "ready").touch()
    done = run("make", "run", cwd=unpacked, env=os.environ | {"PYTHONPATH": str(unpacked / "src")})
    assert "examples/pictures/7_crossed.png: " in done.stdout
    assert "test digits of digits are right" in done.stdout
    assert (unpacked / "runs" / "cnn" / "report.html").is_file()


def needed(names: list[str]) -> set[str]:
    """These distributions and all that they need, as far as it is installed here."""
    seen: set[str] = set()
    while names:
        wanted = Requirement(names.pop())
        if wanted.name in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        seen.add(wanted.name)
        names += metadata.requires(wanted.name) or []
    return seen


@pytest.fixture(scope="module")
def empty(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel and what it declares to need (links into this one), and nothing more."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=True, symlinks=True)
    run(folder / "bin" / "pip", "install", "--no-index", "--no-deps", next(dist.glob("*.whl")))
    site = next((folder / "lib").glob("python3*")) / "site-packages"
    for name in needed(list(PROJECT["dependencies"])):
        for file in metadata.files(name) or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(Path(str(metadata.distribution(name).locate_file(top))).resolve())
    return folder


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that has nothing to do with the repository, and no PYTHONPATH that leads there."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_wheel_reads_a_picture_in_an_empty_environment(empty: Path, clean: Path):
    picture = shutil.copy(ROOT / "examples" / "pictures" / "7_crossed.png", clean)
    done = run(empty / "bin" / "mnistry", "read", picture, "--json")
    assert json.loads(done.stdout)["text"] == "7"
    assert done.stderr == ""
    code = "import mnistry.settings as s; print(s.__file__)"
    assert run(empty / "bin" / "python", "-c", code).stdout.startswith(str(empty))


@pytest.mark.slow
@pytest.mark.usefixtures("clean")
def test_what_the_wheel_lacks_is_said_in_one_sentence(empty: Path):
    done = subprocess.run([empty / "bin" / "mnistry", "train", "logistic"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert settings.install_hint("train") in done.stderr


CLIENT = """\
from mnistry import MnistryError, Reader, evaluate, load, train


def boxes(path: str) -> list[int]:
    return [digit.box[2] for digit in Reader().read(path).digits]


def wrong(path: str) -> int:
    return Reader().read(path).text
"""


@pytest.mark.slow
def test_the_wheel_is_typed_for_those_who_use_it(empty: Path, clean: Path):
    (clean / "client.py").write_text(CLIENT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", empty / "bin" / "python", "client.py"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, done.stdout
    assert errors[0].startswith("client.py:9: error: Incompatible return value type")
