"""Shapes of ink and how a pen draws them at any size, slant and width with soft edges.

A shape stands on the point (0, 0): x to the right, y downwards, so that its top is at y = -1 where it is as high as a
digit. There are two kinds: `Field` (a picture of ink, kept as distances to its outline) and `Strokes` (ways of a pen).
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Generator = np.random.Generator

FAR = -50.0  # distance to ink where a field ends, pixels of the field
DETAIL = 84  # pixels that the longer side of a small picture of a digit is enlarged to
THINNEST = 0.45  # of the half width of written strokes that a finer pen takes away; with more they break everywhere
SHIFT = 4  # bits of a pixel's fraction that OpenCV draws with


@dataclass(frozen=True)
class Field:
    """Distances to the outline of ink, positive inside, float32 (height, width), in its own pixels.

    `box` is left, top, right, bottom of the ink; `half` is about half the width of its strokes, 0 where
    they are lines without a width for a pen to draw.
    """

    distances: Floats
    box: tuple[float, float, float, float]
    half: float

    @property
    def scale(self) -> float:
        """Pixels of the field in one unit of height."""
        left, top, right, bottom = self.box
        return max(bottom - top, 0.75 * (right - left), 1.0)

    @property
    def reach(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the ink in units of height; its foot is at 0."""
        left, top, right, bottom = self.box
        wide, high = (right - left) / self.scale / 2, (bottom - top) / self.scale
        return -wide, -high, wide, 0.0


@dataclass(frozen=True)
class Strokes:
    """Ways of a pen, each float32 (n, 2) of x, y in units of height; see the module."""

    ways: tuple[Floats, ...]

    @property
    def reach(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the ways in units of height; a comma goes below its foot."""
        points = np.concatenate(self.ways)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), max(float(bottom), 0.0)


Shape = Field | Strokes


@dataclass(frozen=True)
class Pen:
    """How ink gets on paper: `width` of strokes in pixels (0: as the shape has it), `grow` pixels more or less.

    `natural` leaves pictures of written ink as wide as they are; `hollow` draws only the outline, with lines of so many
    pixels; `hard` has no soft edge; `pressure` from 0 to 1 lets the width vary along a stroke.
    """

    width: float = 0.0
    grow: float = 0.0
    natural: bool = False
    hollow: float = 0.0
    hard: bool = False
    pressure: float = 0.0


@dataclass(frozen=True)
class Tile:
    """Ink of one mark: alpha float32 (height, width) from 0 to 1, and where its left top pixel is on the page."""

    alpha: Floats
    left: int
    top: int


def field(picture: NDArray[np.uint8], box_of: int = 128, smooth: float = 0.9) -> Field:
    """The field of a picture of ink (0 = paper, 255 = ink), enlarged where it is small; some ink is needed.

    `box_of` is the grey from which on ink counts, `smooth` rounds the outline, in pixels of the picture's own.
    """
    factor = max(1, round(DETAIL / max(picture.shape)))
    if factor > 1:
        large = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        picture = np.asarray(cv2.GaussianBlur(large, (0, 0), smooth * factor * 0.35) if smooth else large, np.uint8)
    pad = max(2, picture.shape[0] // 12)
    picture = np.pad(picture, pad)
    ink = (picture >= min(box_of, int(picture.max()))).astype(np.uint8)
    inside = cv2.distanceTransform(ink, cv2.DIST_L2, 3)
    distances = inside - cv2.distanceTransform(1 - ink, cv2.DIST_L2, 3)
    soft = cv2.GaussianBlur(distances, (0, 0), max(0.8, 0.4 * factor))
    return Field(np.asarray(soft, np.float32), _box(ink), float(inside.sum() / max(int(ink.sum()), 1)) * 2)


def skeleton_field(picture: NDArray[np.uint8]) -> Field:
    """The field of the middle line of printed ink, for a pen to draw it."""
    ink = cv2.copyMakeBorder(picture, 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=0)
    thin = thinned(ink > 127).astype(np.uint8)
    distances = -cv2.distanceTransform(1 - thin, cv2.DIST_L2, 5)
    soft = cv2.GaussianBlur(distances, (0, 0), 1.2)
    return Field(np.asarray(soft + 0.8, np.float32), _box(thin), 0.0)  # 0.8 is what the blur takes from the line


def thinned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask brought to lines of one pixel. Source: Zhang and Suen, CACM 27 (1984), 236-239."""
    ink = np.pad(mask, 1).astype(np.uint8)
    while True:
        gone = 0
        for first in (True, False):
            around = [
                ink[:-2, 1:-1], ink[:-2, 2:], ink[1:-1, 2:], ink[2:, 2:],
                ink[2:, 1:-1], ink[2:, :-2], ink[1:-1, :-2], ink[:-2, :-2],
            ]  # fmt: skip
            many = sum(part.astype(np.int16) for part in around)
            turns = sum((a == 0) & (b == 1) for a, b in zip(around, around[1:] + around[:1], strict=True))
            up, right, down, left = around[0], around[2], around[4], around[6]
            if first:
                free = (up & right & down == 0) & (right & down & left == 0)
            else:
                free = (up & right & left == 0) & (up & down & left == 0)
            off = (ink[1:-1, 1:-1] == 1) & (many >= 2) & (many <= 6) & (turns == 1) & free
            ink[1:-1, 1:-1][off] = 0
            gone += int(off.sum())
        if not gone:
            return ink[1:-1, 1:-1].astype(bool)


def strokes(lines: list[Floats]) -> Strokes:
    """Pen strokes moved and scaled to stand on (0, 0), one unit high."""
    points = np.concatenate(lines)
    low, high = points.min(axis=0), points.max(axis=0)
    size = max(high[1] - low[1], 0.75 * (high[0] - low[0]), 1e-3)
    foot = np.array([(low[0] + high[0]) / 2, high[1]], np.float32)
    return Strokes(tuple(((line - foot) / size).astype(np.float32) for line in lines))


def draw(
    shape: Shape,
    matrix: NDArray[np.float64],
    place: tuple[float, float],
    pen: Pen,
    random: Generator,
    bend: float = 0.0,
) -> Tile:
    """Draw a shape: `matrix` (2, 2) brings units of height to pixels, `place` is x, y of its foot on the page.

    `bend` is how far smooth waves push the ink about, in units of height.
    """
    left, top, right, bottom = shape.reach
    (a, b), (c, d) = matrix.tolist()
    xs = [a * x + b * y for x in (left, right) for y in (top, bottom)]
    ys = [c * x + d * y for x in (left, right) for y in (top, bottom)]
    size = float(abs(a * d - b * c) ** 0.5)
    extra = 2 + bend * size + (pen.width / 2 if isinstance(shape, Strokes) or shape.half < 1 else max(pen.grow, 0) + 2)
    extra += pen.hollow + (pen.width / 2 if isinstance(shape, Field) else 0)
    low_x, low_y = math.floor(min(xs) + place[0] - extra), math.floor(min(ys) + place[1] - extra)
    width, height = math.ceil(max(xs) + place[0] + extra) - low_x, math.ceil(max(ys) + place[1] + extra) - low_y
    foot = np.array([place[0] - low_x, place[1] - low_y])
    waves = _waves(bend, random) if bend else None
    if isinstance(shape, Field):
        alpha = _field_drawn(shape, matrix, foot, (height, width), pen, size, waves)
    else:
        alpha = _strokes_drawn(shape, matrix, foot, (height, width), pen, random, waves)
    if pen.hard:
        alpha = (alpha > min(0.4, 0.6 * float(alpha.max()))).astype(np.float32)
    return Tile(alpha, low_x, low_y)


Waves = tuple[float, float, float, float, float, float]


def _waves(bend: float, random: Generator) -> Waves:
    """Strength, frequency and phase of a wave along x and one along y."""
    strong, often, phase = random.normal(0, bend / 2, 2), random.uniform(2, 7, 2), random.uniform(0, 6.3, 2)
    strong = strong.clip(-bend, bend)
    return tuple(float(value) for value in (*strong, *often, *phase))  # type: ignore[return-value]


def _field_drawn(
    shape: Field, matrix: NDArray[np.float64], foot: NDArray[np.float64], size: tuple[int, int], pen: Pen,
    pixels: float, waves: Waves | None,
) -> Floats:  # fmt: skip
    left, _, right, bottom = shape.box
    back = np.linalg.inv(matrix) * shape.scale
    start = np.array([(left + right) / 2, bottom]) - back @ (foot - 0.5)
    x = np.arange(size[1], dtype=np.float32)
    y = np.arange(size[0], dtype=np.float32)[:, None]
    u = np.float32(back[0, 0]) * x + (np.float32(back[0, 1]) * y + np.float32(start[0] - 0.5))
    v = np.float32(back[1, 0]) * x + (np.float32(back[1, 1]) * y + np.float32(start[1] - 0.5))
    if waves:
        across, down, often_x, often_y, phase_x, phase_y = waves
        u += np.float32(across * shape.scale) * np.sin(np.float32(often_y / size[0]) * y + np.float32(phase_y))
        v += np.float32(down * shape.scale) * np.sin(np.float32(often_x / size[1]) * x + np.float32(phase_x))
    far = cv2.remap(shape.distances, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=FAR)
    ratio = pixels / shape.scale
    half, grow = shape.half * ratio, pen.grow
    if pen.width and not (pen.natural and shape.half >= 1):
        grow = pen.width / 2 - half
    grow = max(grow, -(THINNEST if shape.half >= 1 else 1) * half)
    far = far * np.float32(ratio) + np.float32(grow)
    if pen.hollow:
        return np.asarray((np.float32(0.5 + pen.hollow / 2) - np.abs(far)).clip(0, 1), np.float32)
    return np.asarray((far + np.float32(0.5)).clip(0, 1), np.float32)


def _strokes_drawn(
    shape: Strokes, matrix: NDArray[np.float64], foot: NDArray[np.float64], size: tuple[int, int], pen: Pen,
    random: Generator, waves: Waves | None,
) -> Floats:  # fmt: skip
    width = max(pen.width, 0.5)
    fine = 4 if width < 4 else 2 if width < 10 else 1
    canvas: NDArray[np.uint8] = np.zeros((size[0] * fine, size[1] * fine), np.uint8)
    for way in shape.ways:
        points = way
        if waves:
            across, down, often_x, often_y, phase_x, phase_y = waves
            shift = across * np.sin(often_y * way[:, 1] + phase_y), down * np.sin(often_x * way[:, 0] + phase_x)
            points = way + np.stack(shift, axis=1).astype(np.float32)
        pixels = (points @ matrix.T.astype(np.float32) + foot.astype(np.float32)) * fine - 0.5
        _polyline(canvas, pixels, width * fine, pen.pressure, random, cv2.LINE_AA if fine == 1 else cv2.LINE_8)
    if pen.hollow:
        inner = cv2.erode(
            canvas, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, round(pen.hollow * fine)) + 1,) * 2)
        )
        canvas = np.asarray(cv2.subtract(canvas, inner), np.uint8)
    if fine > 1:
        canvas = np.asarray(cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(canvas, np.float32) * np.float32(1 / 255)


def _polyline(
    canvas: NDArray[np.uint8], pixels: Floats, width: float, pressure: float, random: Generator, line: int
) -> None:
    places = np.rint(pixels * (1 << SHIFT)).astype(np.int32).reshape(-1, 1, 2)
    if len(places) == 1:
        places = np.concatenate([places, places + 1])
    if not pressure or len(places) < 4:
        cv2.polylines(canvas, [places], False, 255, max(1, round(width)), line, SHIFT)
        return
    steps = np.linspace(0, len(places) - 1, min(len(places), 14)).astype(int)
    wide = width * (1 + pressure * np.sin(random.uniform(0, 6.3) + np.cumsum(random.uniform(0.2, 0.9, len(steps)))))
    for start, end, thick in zip(steps[:-1], steps[1:], wide[1:], strict=True):
        cv2.polylines(canvas, [places[start : end + 1]], False, 255, max(1, round(float(thick))), line, SHIFT)


def _box(ink: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    left, top, width, height = cv2.boundingRect(ink)
    return float(left), float(top), float(left + width), float(top + height)
