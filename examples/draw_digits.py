"""Draws the example pictures in examples/pictures: ten digits as people write them, on ten kinds of ground.

    python examples/draw_digits.py

Every run draws the same files. The file's name begins with the digit.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

FOLDER = Path(__file__).parent / "pictures"
FINE = 4  # drawn so many times larger, then averaged: smooth strokes
Points = list[tuple[float, float]]  # x to the right, y down, from 0 to 1

STROKES: dict[int, list[Points]] = {
    0: [[(0.55, 0.02), (0.2, 0.22), (0.12, 0.6), (0.32, 0.95), (0.68, 0.92), (0.88, 0.5), (0.75, 0.12), (0.5, 0.03)]],
    1: [[(0.28, 0.28), (0.45, 0.16), (0.6, 0.0), (0.57, 0.5), (0.53, 1.0)]],
    2: [[(0.12, 0.25), (0.3, 0.04), (0.62, 0.03), (0.78, 0.25), (0.6, 0.55), (0.12, 0.96)],
        [(0.12, 0.96), (0.5, 0.93), (0.9, 0.95)]],
    3: [[(0.15, 0.1), (0.5, 0.0), (0.78, 0.18), (0.66, 0.4), (0.36, 0.47)],
        [(0.36, 0.47), (0.74, 0.53), (0.85, 0.76), (0.58, 0.98), (0.12, 0.9)]],
    4: [[(0.42, 0.02), (0.3, 0.3), (0.1, 0.6), (0.5, 0.6), (0.92, 0.57)], [(0.68, 0.28), (0.65, 0.6), (0.6, 1.0)]],
    5: [[(0.26, 0.04), (0.23, 0.22), (0.2, 0.44), (0.5, 0.38), (0.8, 0.52), (0.82, 0.8), (0.5, 0.99), (0.12, 0.9)],
        [(0.26, 0.04), (0.55, 0.05), (0.84, 0.02)]],
    6: [[(0.7, 0.0), (0.38, 0.25), (0.18, 0.6), (0.24, 0.92), (0.58, 0.98), (0.78, 0.75), (0.58, 0.54), (0.22, 0.7)]],
    7: [[(0.1, 0.08), (0.45, 0.09), (0.86, 0.04)], [(0.86, 0.04), (0.62, 0.4), (0.42, 1.0)],
        [(0.34, 0.52), (0.56, 0.5), (0.76, 0.5)]],
    8: [[(0.72, 0.14), (0.45, 0.01), (0.24, 0.2), (0.48, 0.45), (0.78, 0.72), (0.55, 0.98), (0.22, 0.8), (0.46, 0.5),
         (0.74, 0.25), (0.7, 0.1)]],
    9: [[(0.76, 0.2), (0.48, 0.02), (0.2, 0.2), (0.28, 0.46), (0.58, 0.46), (0.77, 0.2), (0.72, 0.6), (0.58, 1.0)]],
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How a digit is drawn: canvas in pixels, where the digit stands, pen, colours, slant, noise, file format."""

    digit: int
    name: str
    size: tuple[int, int] = (240, 240)
    place: tuple[float, float, float] = (0.25, 0.15, 0.7)  # left, top, height as shares of the canvas's height
    pen: float = 9
    ink: tuple[int, ...] = (25, 30, 60)
    paper: tuple[int, ...] = (255, 255, 255)
    slant: float = 0.0
    noise: float = 0.0
    ending: str = "png"


STYLES = (
    Style(0, "ballpoint", pen=5, ink=(20, 40, 140)),
    Style(1, "pencil", size=(300, 400), pen=5, ink=(120, 120, 120), paper=(250, 249, 244), noise=4, ending="jpg"),
    Style(2, "marker", size=(400, 300), pen=30, ink=(10, 10, 10), slant=0.15),
    Style(3, "chalk", pen=12, ink=(235, 235, 225), paper=(35, 60, 48), noise=6),
    Style(4, "corner", size=(600, 500), place=(0.72, 0.08, 0.25), pen=7),
    Style(5, "yellow_paper", size=(1200, 900), pen=40, ink=(60, 45, 40), paper=(238, 222, 160), noise=5, ending="jpg"),
    Style(6, "mouse", size=(28, 28), place=(0.22, 0.1, 0.8), pen=1.6, ink=(0, 0, 0)),
    Style(7, "crossed", pen=10, slant=0.2),
    Style(8, "transparent", pen=12, ink=(0, 0, 0), paper=(0, 0, 0, 0)),
    Style(9, "purple", pen=11, ink=(150, 90, 200), paper=(245, 240, 252)),
)


def main() -> None:
    """Draw every style into the folder."""
    FOLDER.mkdir(exist_ok=True)
    for style in STYLES:
        path = FOLDER / f"{style.digit}_{style.name}.{style.ending}"
        draw(style).save(path, **({"quality": 85} if style.ending == "jpg" else {"optimize": True}))
        print(path.relative_to(FOLDER.parent.parent))


def draw(style: Style) -> Image.Image:
    """One picture of one digit."""
    mode = "RGBA" if len(style.paper) == 4 else "RGB"
    width, height = style.size
    mask = Image.new("L", (width * FINE, height * FINE))
    for stroke in STROKES[style.digit]:
        _line(ImageDraw.Draw(mask), [_place(point, style) for point in _smooth(stroke)], style.pen * FINE)
    mask = mask.resize(style.size, Image.Resampling.BOX)
    picture = Image.composite(
        Image.new(mode, style.size, (*style.ink, 255)[: len(mode)]), Image.new(mode, style.size, style.paper), mask
    )
    return _noisy(picture, style.noise)


def _smooth(points: Points, steps: int = 16) -> Points:
    """A curve through the points (Catmull and Rom, 1974)."""
    whole = np.array([points[0], *points, points[-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(whole, whole[1:], whole[2:], whole[3:], strict=False)
    ]
    return [(float(x), float(y)) for x, y in (*np.concatenate(curve), points[-1])]


def _place(point: tuple[float, float], style: Style) -> tuple[float, float]:
    left, top, scale = style.place
    unit = style.size[1] * FINE
    x, y = point[0] * 0.72 + style.slant * (0.5 - point[1]), point[1]
    return (left + x * scale) * unit, (top + y * scale) * unit


def _line(pen: ImageDraw.ImageDraw, points: Points, width: float) -> None:
    pen.line(points, 255, round(width), "curve")
    for x, y in points:
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), 255)


def _noisy(picture: Image.Image, amount: float) -> Image.Image:
    if not amount:
        return picture
    grain = np.random.default_rng(0).normal(0, amount, (picture.height, picture.width, 1))
    return Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
