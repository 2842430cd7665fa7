"""Shared fixtures: no network, no home folder of the user, real data only where it is."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LONG = 600  # seconds after which a process that a test waits for hangs, even on a busy machine
ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
REAL = Path(os.environ.get("MNISTRY_DATA") or SHARED / "mnist")


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_works() -> "Iterator[None]":
    """Tests may send Ctrl-C to the processes that they start, also where a shell started the tests with `&`.

    Such a shell has SIGINT ignored, and every child inherits that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has an empty MNISTRY_HOME, no data and no network beyond this machine."""
    monkeypatch.setenv("MNISTRY_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("MNISTRY_DATA", raising=False)
    monkeypatch.setenv("MNISTRY_OFFLINE", "1")
    real_connect = socket.socket.connect

    def connect(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        real_connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real MNIST, with MNISTRY_DATA set to it; skips where it is not."""
    if not (REAL / "t10k-images-idx3-ubyte.gz").is_file():
        pytest.skip("the real MNIST is not here: set MNISTRY_DATA to its folder")
    monkeypatch.setenv("MNISTRY_DATA", str(REAL))
    return REAL


@pytest.fixture
def shared() -> Path:
    """The project's shared pictures; skips where they are not."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not here: it stands beside the repository on the project's own machines")
    return SHARED


@pytest.fixture
def seven() -> Image.Image:
    """A 7 drawn with thick dark strokes on white, 100 x 120."""
    return draw_seven()


def draw_seven(ink: str = "#101010", paper: str = "white", size: tuple[int, int] = (100, 120)) -> Image.Image:
    """A 7 of two strokes in the middle of a picture."""
    from PIL import ImageDraw

    width, height = size
    picture = Image.new("RGB", (width * 4, height * 4), paper)
    pen = ImageDraw.Draw(picture)
    x, y = (lambda s: s * width * 4), (lambda s: s * height * 4)
    stroke = round(width * 4 * 0.07)
    points = [(x(0.28), y(0.22)), (x(0.74), y(0.2)), (x(0.48), y(0.8))]
    pen.line(points, ink, stroke, joint="curve")
    for px, py in points:
        pen.ellipse((px - stroke / 2, py - stroke / 2, px + stroke / 2, py + stroke / 2), ink)
    return picture.resize(size, Image.Resampling.BOX)


@pytest.fixture(scope="session")
def few_digits() -> tuple[np.ndarray, np.ndarray]:
    """300 real 8x8 digits in MNIST form, 30 a class, and their labels."""
    from mnistry.data.dataset import load
    from mnistry.settings import Settings

    data = load("digits", settings=Settings(Path("unused"), offline=True))
    index = np.concatenate([np.flatnonzero(data.train_labels == k)[:30] for k in range(10)])
    return data.train_images[index], data.train_labels[index]


@pytest.fixture(scope="session")
def dense_run(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[object]":
    """A finished run of `dense` on the bundled digits, shared by the tests that only read it."""
    from mnistry.settings import Settings
    from mnistry.training.train import train

    home = tmp_path_factory.mktemp("runs")
    return train("dense", "digits", out=home / "dense", settings=Settings(home, offline=True))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> "Callable[..., tuple[int, str, str]]":
    """Run one command in this process: its exit code, stdout and stderr."""
    from mnistry.cli.main import main

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
