"""A disk that fills, a home that is read-only, a clock that jumps back: one sentence, and nothing half written."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conftest import REAL, ROOT
from mnistry.data import sources
from mnistry.data.dataset import load
from mnistry.models.recipes import RECIPES
from mnistry.reading.reader import Reader
from mnistry.reading.recognizer import bundled, keep_taught, taught
from mnistry.settings import MnistryError, Settings
from mnistry.training.plan import identity
from mnistry.training.runs import Run, check_manifest, open_run, writing

pytestmark = pytest.mark.slow
DIGITS = ("--dataset", "digits", "--quiet")
SIZE = 24 * 2**20  # bytes of the disk
Outcome = tuple[int, str, str]


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, kilobytes: int) -> None:
        """Fill it up to so much."""
        (self.path / "filler").unlink(missing_ok=True)
        free = shutil.disk_usage(self.path).free
        with (self.path / "filler").open("wb") as file:
            file.write(bytes(max(0, free - 1024 * kilobytes)))

    def read_only(self) -> None:
        """Forbid all writing."""
        subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)

    def files(self) -> dict[str, int]:
        """What is there, with its size; not the checkpoint of a training, which is whole and meant to stay."""
        return {path.relative_to(self.path).as_posix(): path.stat().st_size for path in self.path.rglob("*")
                if path.is_file() and path.name != "filler" and path.parent.name != "checkpoints"}  # fmt: skip


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 24 MB; skips where none can be mounted."""
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", tmp_path / "disk"]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here: this needs root")
    yield Disk(tmp_path / "disk")
    subprocess.run(["umount", "-l", tmp_path / "disk"], check=True)


@pytest.fixture
def home(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MNISTRY_HOME on that disk."""
    monkeypatch.setenv("MNISTRY_HOME", str(disk.path / "home"))
    return disk.path / "home"


def filling(disk: Disk, work: Callable[[], Outcome], room: tuple[int, ...]) -> None:
    """Do the work with ever more room, until it is done: before that it is told in a sentence, and leaves nothing."""
    for kilobytes in room:
        disk.leave(kilobytes)
        before = disk.files()
        code, out, err = work()
        if code == 0:
            assert kilobytes != room[0], "there was enough room from the beginning: this tests nothing"
            return
        assert (code, out) == (2, ""), (kilobytes, code, out, err)
        assert err.count("\n") == 1, err
        assert "No space left on device" in err or "disk is full" in err, err
        assert "Free some space" in err, err
        assert disk.files() == before, kilobytes
    pytest.fail(f"{room[-1]} kB were not enough")


def test_a_training_that_fills_the_disk(disk: Disk, command: Any):
    run = disk.path / "run"
    filling(disk, lambda: command("train", "knn", *DIGITS, "--out", run), (0, 4, 40, 400, 1200, 20_000))
    open_run(run)


def test_a_neural_training_that_fills_the_disk(disk: Disk, home: Path, command: Any):
    filling(disk, lambda: command("train", "dense", *DIGITS), (0, 4, 300, 1300, 20_000))
    assert check_manifest(home / "runs" / "dense-seed0")


def test_a_report_that_fills_the_disk_leaves_the_run_as_it_was(disk: Disk, dense_run: Run, command: Any):
    shutil.copytree(dense_run.folder, disk.path / "run")
    filling(disk, lambda: command("report", disk.path / "run"), (0, 100, 2200, 3000, 20_000))
    assert "report.html" in check_manifest(disk.path / "run")


def test_an_export_that_fills_the_disk(disk: Disk, dense_run: Run, command: Any):
    filling(disk, lambda: command("export", dense_run.folder, "--out", disk.path / "x.onnx"), (0, 40, 404, 412, 2000))
    assert {"x.onnx", "x.json", "x.md"} <= set(disk.files())


def test_a_comparison_that_fills_the_disk(disk: Disk, dense_run: Run, command: Any, tmp_path: Path):
    data = load("digits", settings=Settings(tmp_path, offline=True))
    folder = Settings.from_environment().runs / "dense-seed0"
    shutil.copytree(dense_run.folder, folder)
    with writing(folder, replace=True) as draft:
        (draft.path / "run.json").unlink()
        (draft.path / "run.json").write_text(json.dumps(dense_run.info | identity(RECIPES["dense"], 0, data)))
    out = disk.path / "comparison"
    filling(disk, lambda: command("compare", "dense", "--seeds", 1, *DIGITS, "--out", out), (0, 60, 200, 20_000))
    assert "comparison.html" in check_manifest(out)


def test_a_search_that_fills_the_disk(disk: Disk, home: Path, command: Any):
    work = partial(command, "tune", "knn", "--trials", 2, "--space", "n_neighbors=3:9", *DIGITS)
    for kilobytes in (0, 8, 120):
        disk.leave(kilobytes)
        code, _, err = work()
        assert code in (0, 2), err
        assert err.count("\n") == (code == 2), err
    disk.leave(20_000)
    assert work()[0] == 0  # what was found before is no obstacle
    assert (home / "studies").is_dir()


def test_a_taught_model_that_fills_the_disk(disk: Disk, home: Path):
    model, card = bundled(), Reader(bundled()).card
    for kilobytes in (0, 100, *range(len(model) // 1024 - 4, len(model) // 1024 + 12, 4)):  # a page more each time
        disk.leave(kilobytes)
        told = ""
        try:
            keep_taught(home, model, card)
        except MnistryError as problem:
            told = str(problem)
        if not told:
            break
        assert "No space left on device. Free some space" in told
        assert disk.files() == {}
        assert taught(home) is None
    assert kilobytes > 100
    assert taught(home) is not None


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """The examples with a labels.csv."""
    folder = tmp_path / "labelled"
    shutil.copytree(ROOT / "examples" / "pictures", folder)
    lines = [f"{path.name},{path.name[0]}" for path in sorted(folder.iterdir())]
    (folder / "labels.csv").write_text("\n".join(["file,label", *lines, ""]))
    return folder


def test_corrections_that_fill_the_disk(disk: Disk, home: Path, command: Any, labelled: Path):
    for kilobytes in (0, 16, 60):
        disk.leave(kilobytes)
        code, out, err = command("corrections", "--import", labelled)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert "space left" in err
    disk.leave(8000)
    assert command("corrections", "--import", labelled)[0] == 0
    assert home.is_dir()


@pytest.fixture
def mirror(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mirror on this machine, the only one."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(mnist))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(sources, "MIRRORS", (url,))
    monkeypatch.setattr(sources, "KERAS_MIRRORS", (url,))
    monkeypatch.delenv("MNISTRY_DATA")
    monkeypatch.setenv("MNISTRY_OFFLINE", "0")
    yield url
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("mirror")
def test_a_download_that_fills_the_disk(disk: Disk, home: Path, command: Any):
    for kilobytes in (0, 40, 5000, 10_000):
        disk.leave(kilobytes)
        code, out, err = command("fetch", "--quiet")
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert "No space left on device. Free some space" in err
        for name, size in disk.files().items():  # what is there is whole
            assert size == (REAL / Path(name).name).stat().st_size
    disk.leave(20_000)
    assert command("fetch", "--quiet")[0] == 0
    assert len(disk.files()) == 4
    assert home.is_dir()


# --- A home that is read-only


@pytest.mark.usefixtures("home")
def test_a_read_only_home_is_told_before_the_work_and_reading_works(
    disk: Disk, dense_run: Run, command: Any, labelled: Path
):
    shutil.copytree(dense_run.folder, disk.path / "home" / "runs" / "dense")
    disk.read_only()
    begun = time.monotonic()
    for arguments in (
        ("train", "dense", *DIGITS), ("train", "svm", *DIGITS), ("compare", "svm", *DIGITS),
        ("tune", "logistic", "--trials", 1, *DIGITS), ("report", "dense"),
        ("export", "dense", "--out", disk.path / "x.onnx"),
        ("corrections", "--import", labelled),
    ):  # fmt: skip
        code, out, err = command(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), (arguments, err)
        assert "Free some space" not in err
        assert "writ" in err, err  # that it cannot be written, or what one may write to
    assert time.monotonic() - begun < 120
    code, out, _ = command("read", ROOT / "examples" / "pictures" / "7_crossed.png")
    assert (code, out[: len(f"{EXAMPLE}: 7 (")]) == (0, f"{EXAMPLE}: 7 (")
    assert command("evaluate", "dense")[0] == 0
    assert command("models")[0] == 0


EXAMPLE = ROOT / "examples" / "pictures" / "7_crossed.png"


@pytest.mark.usefixtures("mirror", "home")
def test_a_download_into_a_read_only_home_is_told(disk: Disk, command: Any):
    disk.read_only()
    code, out, err = command("fetch", "--quiet")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert "may write to" in err


# --- A clock that jumps back


def test_a_clock_that_jumps_back_disturbs_nothing(command: Any, monkeypatch: pytest.MonkeyPatch):
    now = [time.time() + 10**7]

    def backwards() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", backwards)
    for arguments in (
        ("train", "dense", *DIGITS), ("train", "knn", *DIGITS), ("report", "dense-seed0"),
        ("tune", "knn", "--trials", 2, "--space", "n_neighbors=3:9", *DIGITS),
    ):  # fmt: skip
        code, _, err = command(*arguments)
        assert (code, err) == (0, ""), arguments
    runs = Settings.from_environment().runs
    for path in runs.rglob("*"):
        os.utime(path, (time.time() + 10**8,) * 2)  # written before the clock was put right
    assert command("train", "knn", *DIGITS)[0] == 0
    assert {path.name for path in runs.iterdir()} == {"dense-seed0", "knn-seed0", "knn-seed0-2"}
    assert [path for path in runs.rglob("*") if path.name.endswith(".mnistry-part")] == []


def test_a_draft_from_the_future_is_swept(tmp_path: Path):
    code = "import sys\nfrom pathlib import Path\nfrom mnistry.settings import draft\nimport os\n" \
           "with draft(Path(sys.argv[1])) as path:\n    os.kill(os.getpid(), 9)\n"  # fmt: skip
    subprocess.run([sys.executable, "-c", code, tmp_path / "a"], check=False)
    (left,) = tmp_path.iterdir()
    os.utime(left, (time.time() + 10**8,) * 2)
    with writing(tmp_path / "run") as draft:
        (draft.path / "x").write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
