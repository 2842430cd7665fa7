"""Large pictures take little memory, and what is too large is told in our words."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnistry.imaging import decode
from mnistry.imaging.decode import PictureError, open_picture

MOST = 400  # MB
MEASURE = (
    "import re, sys; from mnistry.imaging.decode import open_picture; open_picture(sys.argv[1]);"
    "print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)"
)
LARGE = {
    "grey of 16 bits": lambda file: Image.fromarray(np.zeros((7740, 7740), np.uint16)).save(file, "PNG"),
    "WebP": lambda file: Image.new("RGB", (4090, 4090), "white").save(file, "WEBP", quality=1),
    "progressive": lambda file: Image.new("RGB", (7470, 7470)).save(file, "JPEG", progressive=True, subsampling=0),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGE)
def test_no_picture_within_the_limits_takes_much_memory(tmp_path: Path, kind: str):
    with (tmp_path / "picture").open("wb") as file:
        LARGE[kind](file)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "picture"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= MOST


@pytest.mark.parametrize("kind", ["WEBP", "TIFF"])
def test_what_would_take_too_much_is_refused_before_it_is_decoded(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decode, "MEMORY", 20_000)
    file = io.BytesIO()
    Image.new("RGB", (70, 70)).save(file, kind)
    with pytest.raises(PictureError, match="70 x 70 pixels: expected at most 0 million"):
        open_picture(file.getvalue())


def test_our_limit_speaks_and_not_pillows():
    file = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(file, "PNG", compress_level=1)
    with pytest.raises(PictureError, match="too many pixels: expected at most 60 million"):
        open_picture(file.getvalue())


def test_too_little_memory_is_told_as_that(monkeypatch: pytest.MonkeyPatch):
    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decode, "_rgb", none_left)
    with pytest.raises(PictureError, match="not enough memory"):
        open_picture(np.zeros((9, 9), np.uint8))
