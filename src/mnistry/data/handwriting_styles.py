"""Handwriting styles that MNIST lacks, and digits as a segmentation leaves them: with a neighbour's ink, or cut off."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.imaging.normalization import SIDE, normalize

Images = NDArray[np.uint8]  # (n, 28, 28), 0 = paper, 255 = ink
Labels = NDArray[np.integer[Any]]  # (n,)
Point = tuple[float, float]  # x, y in pixels
Generator = np.random.Generator

FINE = 8  # lines are drawn so much larger, for a soft edge of any width
REST = 0.35  # of a digit's width: how much of it may hang on a neighbour, or be cut off
WIDE = 8  # pixels: narrower digits are 1s, and overlap no other


def european(images: Images, labels: Labels, share: float, generator: Generator) -> Images:
    """A copy of the images in which a share of the 0s, 1s, 4s, 7s and 9s is written in European ways.

    A 0 is round or has a tail, a 1 has a flag, a 4 is a flash of lightning with a short stem, a 7 has a bar or a barb,
    a 9 a hook like a g's.
    """
    ways = {0: _round_or_tailed, 1: _flagged, 4: _lightning, 7: _crossed, 9: _hooked}
    images = images.copy()
    for k in np.flatnonzero(np.isin(labels, list(ways)) & (generator.random(len(labels)) < share)):
        if images[k].max() > 127:
            images[k] = normalize(ways[int(labels[k])](images[k], generator))
    return images


def with_neighbours(images: Images, share: float, generator: Generator) -> Images:
    """A copy of the images in which a share of the digits looks as if cut out of touching writing.

    A slice of another digit hangs on one side, or a slice of its own is missing there, or both: they overlapped.
    """
    others, images = images, images.copy()
    for k in np.flatnonzero(generator.random(len(images)) < share):
        digit, other = tight(others[k]), tight(others[generator.integers(len(others))])
        if digit.size and other.size:
            way = int(generator.choice((-1, 1)))  # on the left or on the right
            digit, other = digit[:, ::way], other[:, ::way]
            images[k] = normalize(_cut_out(digit, other, generator)[:, ::way])
    return images


def tight(image: Images) -> Images:
    """The image cropped to its ink; empty where there is no ink."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else image[:0, :0]


def _flagged(image: Images, generator: Generator) -> Images:
    """A 1 with a stroke from its top down to the left, and sometimes a foot."""
    rows = np.flatnonzero(image.max(axis=1) > 127)
    top, bottom = int(rows[0]), int(rows[-1])
    x = _middle(image[top])
    angle, length = np.radians(generator.uniform(35, 70)), generator.uniform(3, 0.7 * (bottom - top) + 4)
    bend = generator.uniform(-1, 1, 2)
    start, end = (x, top + 0.5), (x - length * np.cos(angle), top + length * np.sin(angle))
    half = (start[0] + end[0]) / 2 + bend[0], (start[1] + end[1]) / 2 + bend[1]
    image = _with_line(image, (start, half, end), generator)
    if generator.random() < 0.25:
        x, wide, rise = _middle(image[bottom]), generator.uniform(2, 6), generator.uniform(-1, 1)
        image = _with_line(image, ((x - wide, bottom - rise), (x + wide, bottom + rise)), generator)
    return image


def _crossed(image: Images, generator: Generator) -> Images:
    """A 7 with a bar through its stem, straight or hanging down on its left, or with a barb, or with both."""
    way = generator.random()
    if way < 0.4:
        image = _barbed(image, generator)
    if way < 0.15:
        return image
    rows = np.flatnonzero(image.max(axis=1) > 127)
    y = int(rows[0] + (rows[-1] - rows[0]) * generator.uniform(0.45, 0.75))
    x = _middle(image[y])
    left, right, rise = generator.uniform(2.5, 6), generator.uniform(0, 5.5), generator.uniform(-1.5, 1.5)
    hook = generator.uniform(0, 3.5) * (generator.random() < 0.5)
    bar = ((x - left, y + rise + hook), (x - 0.6 * left, y + rise), (x + right, y - rise))
    return _with_line(image, bar, generator)


def _barbed(image: Images, generator: Generator) -> Images:
    """A 7 with a short upward stroke at the left end of its top."""
    rows = np.flatnonzero(image.max(axis=1) > 127)
    top, height = int(rows[0]), int(rows[-1] - rows[0]) + 1
    columns = np.flatnonzero(image[top : top + height // 3 + 1].max(axis=0) > 127)
    x = float(columns[0])
    y = top + float(np.argmax(image[top : top + height // 3 + 1, columns[0]]))
    length, lean = generator.uniform(2, max(2.0, 0.3 * height)), generator.uniform(-1.5, 1.5)
    return _with_line(image, ((x + 0.5, y), (x + 0.5 - lean, y + length)), generator)


def _lightning(image: Images, generator: Generator) -> Images:
    """A 4 redrawn with the same pen: a slanted stroke down, a bar, and a stem that begins far below the top."""
    around = generator.uniform
    elbow, rise = np.array((around(0, 2), around(10, 15))), around(-2, 2)
    top, end = np.array((around(5, 12), 0)), np.array((around(13, 19), elbow[1] - rise))
    stem = np.array((around(9, 14), around(3, 9))), np.array((around(7, 13), around(18, 21)))
    bends = around(-1, 1, (3, 2))
    strokes: list[tuple[Any, ...]] = [(top, (top + elbow) / 2 + bends[0], elbow, (elbow + end) / 2 + bends[1], end)]
    strokes += [(stem[0], (stem[0] + stem[1]) / 2 + bends[2], stem[1])]
    drawn, pen = np.zeros_like(image), _pen(image)
    for points in strokes:
        drawn = _with_line(drawn, tuple((float(x) + 4, float(y) + 3) for x, y in points), generator, pen)
    return drawn


def _hooked(image: Images, generator: Generator) -> Images:
    """A 9 whose stem curves to the left at its foot."""
    rows = np.flatnonzero(image.max(axis=1) > 127)
    bottom = int(rows[-1])
    x, length, drop, rise = (
        _middle(image[bottom]), generator.uniform(3, 10), generator.uniform(0, 2), generator.uniform(-1, 4)
    )  # fmt: skip
    hook = ((x, bottom - 0.5), (x - 0.3 * length, bottom + drop), (x - 0.7 * length, bottom + drop - 0.3 * rise))
    return _with_line(image, (*hook, (x - length, bottom + drop - rise)), generator)


def _round_or_tailed(image: Images, generator: Generator) -> Images:
    """A 0 about as wide as it is high, or with a tail."""
    import cv2

    if generator.random() < 0.5:
        return _tailed(image, generator)
    digit = tight(image)
    width = max(1, round(len(digit) * generator.uniform(0.8, 1.1)))
    return np.asarray(cv2.resize(digit, (width, len(digit)), interpolation=cv2.INTER_LINEAR))


def _tailed(image: Images, generator: Generator) -> Images:
    """A 0 whose stroke begins or ends beyond its top."""
    rows = np.flatnonzero(image.max(axis=1) > 127)
    top = int(rows[0])
    x, way = _middle(image[top]), generator.choice((-1, 1))
    length, rise = generator.uniform(3, 8), generator.uniform(-2, 3)
    return _with_line(image, ((x, top + 0.5), (x + way * length, top - rise + 0.5)), generator)


def _middle(line: Images) -> float:
    """The centre of the ink of one row of pixels."""
    return float(np.average(np.arange(SIDE), weights=line + 1e-6))


def _pen(image: Images) -> float:
    """About the width of the strokes in pixels."""
    ink = image.astype(int)
    outline = np.abs(np.diff(ink, axis=0)).sum() + np.abs(np.diff(ink, axis=1)).sum()
    return float(2.4 * ink.sum() / max(outline, 1))


def _with_line(image: Images, points: tuple[Point, ...], generator: Generator, pen: float = 0) -> Images:
    """The image with a further line, about as thick as its strokes."""
    import cv2

    pen = pen or _pen(image)
    canvas = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    places = np.rint((np.array(points) + 0.5) * FINE).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [places], False, 255, max(FINE, round(pen * FINE * generator.uniform(0.7, 1.1))))
    return np.maximum(image, cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA))


def _cut_out(digit: Images, other: Images, generator: Generator) -> Images:
    way = generator.random()
    if way < 0.25:
        return _clipped(digit, generator)
    return _overlapped(digit, other, generator) if way < 0.5 else _hung_on(digit, other, generator)


def _clipped(digit: Images, generator: Generator) -> Images:
    """A digit without a slice of its right side, at most a tenth of its ink."""
    kept = _left_of(generator.uniform(0, REST) * digit.shape[1], digit, digit.shape[1], generator)
    return kept if kept.sum() > 0.9 * digit.sum() else digit


def _hung_on(digit: Images, other: Images, generator: Generator) -> Images:
    """A digit with the left edge of another one at its right."""
    narrower = min(digit.shape[1], other.shape[1])  # all of a 1 beside a digit would make it two
    reach = max(1, round(generator.uniform(0, REST) * narrower))
    return _beside(digit, other[:, :reach], int(generator.integers(0, 3)), generator)


def _overlapped(digit: Images, other: Images, generator: Generator) -> Images:
    """A digit cut off at its right, where another digit overlaps it; narrow digits are left whole."""
    narrower = min(digit.shape[1], other.shape[1])
    if narrower < WIDE:
        return _hung_on(digit, other, generator)
    overlap = max(1, round(generator.uniform(0.1, 0.4) * narrower))
    both = _beside(digit, other, overlap, generator)
    return _left_of(generator.uniform(0.3, 0.7) * overlap, both, digit.shape[1], generator)


def _beside(digit: Images, piece: Images, overlap: int, generator: Generator) -> Images:
    """A digit with a piece of another one at its right, overlapping by some pixels and shifted up or down."""
    drop = int(generator.integers(-4, 5))
    height = max(len(digit), len(piece)) + 2 * abs(drop)
    left = max(digit.shape[1] - overlap, 0)
    canvas = np.zeros((height, max(digit.shape[1], left + piece.shape[1])), np.uint8)
    top = (height - len(digit)) // 2
    canvas[top : top + len(digit), : digit.shape[1]] = digit
    place = canvas[(height - len(piece)) // 2 + drop :][: len(piece), left : left + piece.shape[1]]
    np.maximum(place, piece[: len(place)], out=place)
    return canvas


def _left_of(missing: float, ink: Images, end: int, generator: Generator) -> Images:
    """The part to the left of a slanted cut, `missing` pixels before the end."""
    height, width = ink.shape
    cut = end - missing + np.linspace(-1, 1, height) * generator.uniform(-2, 2)
    kept: Images = np.where(np.arange(width) < cut[:, None], ink, 0).astype(np.uint8)
    return kept
