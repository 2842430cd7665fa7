"""Draws the example pictures of the page, and stores what the bundled model answers to them, for the self-test.

    python examples/draw_page_pictures.py

Every run draws the same files. The answers are stored anew: run it after the bundled model has changed, and look at
what it prints before you commit.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from draw_digits import STROKES, Points, _line, _smooth
from PIL import Image, ImageDraw, ImageFilter

from mnistry import Reader
from mnistry.reading.recognizer import bundled
from mnistry.web.engine import FOLDER, STORED, store_answers

FINE = 3  # drawn so many times larger, then averaged: smooth strokes
Colour = tuple[int, int, int]

STAR: Points = [(0.5, 0.0), (0.2, 0.95), (0.98, 0.36), (0.02, 0.36), (0.8, 0.95), (0.5, 0.0)]


def main() -> None:
    """Draw the pictures, read them and store the answers."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures().items():
        file = io.BytesIO()
        kind = {"quality": 82} if name.endswith("jpg") else {"optimize": True}
        picture.save(file, "JPEG" if name.endswith("jpg") else "PNG", **kind)
        (FOLDER / name).write_bytes(file.getvalue())
    for name, answer in store_answers(Reader(bundled())).items():
        print(f"{name}: {answer['text']!r}, {Path(FOLDER / name).stat().st_size} bytes")
    print(STORED)


def pictures() -> dict[str, Image.Image]:
    """File name -> picture."""
    return {
        "seven.png": writing(["7"], (320, 240), 150, 11, ink=(24, 40, 110)),
        "number.png": writing(["2026"], (440, 330), 105, 7, ink=(20, 24, 40), seed=3),
        "paper.jpg": lit(writing(["4815"], (560, 420), 125, 11, ink=(52, 46, 58), paper=(236, 222, 178), seed=5)),
        "board.jpg": lit(writing(["90"], (400, 300), 150, 12, ink=(232, 234, 224), paper=(38, 66, 54), seed=2), 5),
        "rows.png": writing(["314", "159"], (420, 320), 105, 8, ink=(120, 40, 70), seed=8),
        "pencil.jpg": lit(writing(["63"], (400, 300), 150, 7, ink=(128, 128, 132), paper=(247, 246, 240), seed=4), 4),
        "star.png": star(),
    }


def writing(
    rows: Sequence[str], size: tuple[int, int], height: int, pen: float, ink: Colour, paper: Colour = (255, 255, 255),
    seed: int = 0,
) -> Image.Image:  # fmt: skip
    """Rows of digits in the middle of a picture of `size`, each digit `height` pixels high and a little different."""
    random = np.random.default_rng(seed)
    mask = Image.new("L", (size[0] * FINE, size[1] * FINE))
    brush = ImageDraw.Draw(mask)
    for number, row in enumerate(rows):
        step, top = height * 0.86, size[1] / 2 + (number - len(rows) / 2) * height * 1.3 + height * 0.15
        left = size[0] / 2 - (step * len(row) - height * 0.16) / 2
        for place, digit in enumerate(row):
            x, y = left + step * place + random.normal(0, 2), top + random.normal(0, 3)
            _draw(brush, STROKES[int(digit)], x, y, height * random.uniform(0.93, 1.05), random.normal(0.08, 0.05), pen)
    return _inked(mask, size, ink, paper)


def star() -> Image.Image:
    """No digit."""
    mask = Image.new("L", (320 * FINE, 240 * FINE))
    points = [((70 + 180 * x) * FINE, (32 + 180 * y) * FINE) for x, y in STAR]
    _line(ImageDraw.Draw(mask), points, 9 * FINE)
    return _inked(mask, (320, 240), (190, 40, 60), (255, 255, 255))


def lit(picture: Image.Image, grain: float = 3.0) -> Image.Image:
    """As a photo: light from the upper left, grain, a little soft."""
    down, across = np.mgrid[0 : picture.height, 0 : picture.width]
    light = 1.06 - 0.28 * (down / picture.height + across / picture.width) / 2
    noise = np.random.default_rng(0).normal(0, grain, (picture.height, picture.width, 1))
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.8))) * light[:, :, None] + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _draw(
    brush: ImageDraw.ImageDraw, strokes: list[Points], left: float, top: float, height: float, slant: float, pen: float
) -> None:
    for stroke in strokes:
        curve = _smooth(stroke)
        points = [(left + (x * 0.7 + slant * (0.5 - y)) * height, top + y * height) for x, y in curve]
        points = [(x * FINE, y * FINE) for x, y in points]
        _line(brush, points, pen * FINE)


def _inked(mask: Image.Image, size: tuple[int, int], ink: Colour, paper: Colour) -> Image.Image:
    mask = mask.resize(size, Image.Resampling.BOX)
    return Image.composite(Image.new("RGB", size, ink), Image.new("RGB", size, paper), mask)


if __name__ == "__main__":
    main()
