"""What ink stands on: paper, lines and squares, printed security grounds, desks; and colours for paper and ink.

A ground is float32 (height, width, 3) from 0 to 255. `PATTERNS` are for training, `HELD_BACK_PATTERNS` for validation.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistry.data.drawing.marks import Floats, Generator

BANK = 512  # pixels of a side of the noise that all textures are cut from
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # how bright red, green and blue are; ITU-R BT.601
Colour = NDArray[np.float32]  # (3,), 0 to 255


# --- Textures ----------------------------------------------------------------------------------------------------


@cache
def _bank(smooth: float) -> Floats:
    """Noise of mean 0 and deviation 1 whose opposite borders fit together, the same in every run."""
    noise = np.random.default_rng(round(1000 * smooth)).standard_normal((BANK, BANK)).astype(np.float32)
    if smooth:
        pad = min(BANK, int(4 * smooth) + 1)
        wide = cv2.copyMakeBorder(noise, pad, pad, pad, pad, cv2.BORDER_WRAP)
        noise = np.asarray(cv2.GaussianBlur(wide, (0, 0), smooth), np.float32)[pad:-pad, pad:-pad]
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)


def texture(height: int, width: int, smooth: float, random: Generator) -> Floats:
    """Noise (height, width) of deviation 1; `smooth` (0, 1, 3, 10 or 40 pixels) is how large its grains are."""
    noise = _bank(smooth)
    top, left, flips = (int(v) for v in random.integers(0, (BANK, BANK, 4)))
    noise = noise[:: 1 - 2 * (flips & 1), :: 1 - (flips & 2)]
    if top + height <= BANK and left + width <= BANK:
        return noise[top : top + height, left : left + width]
    rows, columns = np.arange(top, top + height) % BANK, np.arange(left, left + width) % BANK
    return np.ascontiguousarray(noise[rows][:, columns])


def axes(height: int, width: int) -> tuple[Floats, Floats]:
    """x (1, width) and y (height, 1) of the pixels."""
    return np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]


def blend(picture: Floats, alpha: Floats, colour: Colour) -> None:
    """Cover a picture (height, width, 3) with a colour, in place, where alpha (height, width) is above 0."""
    way = cv2.subtract(np.array((*colour, 0.0)), picture)
    cv2.add(picture, cv2.multiply(way, cv2.merge([alpha, alpha, alpha]), dst=way), dst=picture)


def lighten(picture: Floats, levels: Floats) -> None:
    """Add levels (height, width) to all three colours of a picture, in place."""
    cv2.add(picture, cv2.merge([levels, levels, levels]), dst=picture)


# --- Printed patterns: how dark each pixel is printed, 0 to 1 ---------------------------------------------------

Pattern = Callable[[int, int, float, Generator], Floats]  # height, width, size of a digit


def _lines(phase: Floats, distance: float, width: float) -> Floats:
    """Lines where the phase is a whole number; `distance` is that of the lines and `width` theirs, in pixels."""
    return (0.5 + width / 2 - distance * np.abs(phase - np.rint(phase))).clip(0, min(1.0, width + 0.2))


def _turned(height: int, width: int, random: Generator) -> tuple[Floats, Floats]:
    x, y = axes(height, width)
    angle = random.uniform(0, np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x + sin * y, cos * y - sin * x


def _spacing(size: float, random: Generator) -> tuple[float, float]:
    """Distance of fine lines and their width in pixels."""
    distance = max(3.0, size * float(np.exp(random.uniform(np.log(0.06), np.log(0.4)))))
    return distance, min(float(random.uniform(0.5, 1.6)), distance / 3)


def _waves(height: int, width: int, size: float, random: Generator) -> Floats:
    """A family of curves side by side, or two."""
    out = np.zeros((height, width), np.float32)
    for _ in range(int(random.integers(1, 3))):
        u, v = _turned(height, width, random)
        distance, line = _spacing(size, random)
        swing, long = size * random.uniform(0.1, 1.2), size * random.uniform(0.5, 3)
        wave = np.sin(u * np.float32(6.28 / long)) + 0.4 * np.sin(u * np.float32(14 / long) + 1)
        out = np.maximum(out, _lines((v + np.float32(swing) * wave) / np.float32(distance), distance, line))
    return out


def _rings(height: int, width: int, size: float, random: Generator) -> Floats:
    """Rings around some points, or a field of small circles."""
    distance, line = _spacing(size, random)
    if random.random() < 0.5:
        u, v = _turned(height, width, random)
        cell = np.float32(size * random.uniform(0.3, 1.2))
        u, v = u / cell, v / cell
        apart = np.hypot(u - np.rint(u), v - np.rint(v)) * cell
        radius = cell * random.uniform(0.25, 0.5)
        return (0.5 + line / 2 - np.abs(apart - radius)).clip(0, 1)
    x, y = axes(height, width)
    out = np.zeros((height, width), np.float32)
    for _ in range(int(random.integers(1, 4))):
        from_x, from_y = random.uniform(-0.5, 1.5, 2) * (width, height)
        out = np.maximum(
            out, _lines(np.hypot(x - np.float32(from_x), y - np.float32(from_y)) / distance, distance, line)
        )
    return out


def _dots(height: int, width: int, size: float, random: Generator) -> Floats:
    """Dots as a printer sets them."""
    u, v = _turned(height, width, random)
    cell = np.float32(max(2.5, size * random.uniform(0.05, 0.3)))
    radius = cell * random.uniform(0.15, 0.45)
    u, v = u / cell, v / cell
    return (0.5 + radius - np.hypot(u - np.rint(u), v - np.rint(v)) * cell).clip(0, 1)


def _hatch(height: int, width: int, size: float, random: Generator) -> Floats:
    """Straight fine lines of one direction or two."""
    out = np.zeros((height, width), np.float32)
    for _ in range(int(random.integers(1, 3))):
        _, v = _turned(height, width, random)
        distance, line = _spacing(size, random)
        out = np.maximum(out, _lines(v / np.float32(distance), distance, line))
    return out


def _rays(height: int, width: int, size: float, random: Generator) -> Floats:
    """Rays from a point, bent to a whirl."""
    x, y = axes(height, width)
    from_x, from_y = random.uniform(-0.3, 1.3, 2) * (width, height)
    x, y = x - np.float32(from_x), y - np.float32(from_y)
    apart = np.hypot(x, y)
    many, whirl = int(random.integers(30, 120)), random.normal(0, 2) / size
    phase = np.arctan2(y, x) * np.float32(many / 6.2832) + np.float32(whirl) * apart
    distance = np.maximum(apart * np.float32(6.2832 / many), 1)
    return (0.5 + random.uniform(0.2, 0.6) - distance * np.abs(phase - np.rint(phase))).clip(0, 1)


def _ribbons(height: int, width: int, size: float, random: Generator) -> Floats:
    """Bundles of curves that swing together, with plain paper between them."""
    u, v = _turned(height, width, random)
    band, long = np.float32(size * random.uniform(0.6, 2)), size * random.uniform(1, 4)
    distance, line = _spacing(0.6 * size, random)
    middle = v / band + np.float32(random.uniform(0.1, 0.4)) * np.sin(u * np.float32(6.28 / long))
    inside = middle - np.rint(middle)
    phase = (
        inside * band * (1 + np.float32(0.7) * np.sin(u * np.float32(6.28 / long * random.uniform(0.5, 2)))) / distance
    )
    return np.asarray(_lines(phase, distance, line) * (np.abs(inside) < random.uniform(0.2, 0.45)), np.float32)


def _clouds(height: int, width: int, size: float, random: Generator) -> Floats:
    """Soft patches, as a watermark leaves."""
    smooth = 10.0 if size < 50 else 40.0
    return (0.5 + 0.4 * texture(height, width, smooth, random)).clip(0, 1)


def _guilloche(height: int, width: int, size: float, random: Generator) -> Floats:
    """Rosettes: rings whose radius swings."""
    x, y = axes(height, width)
    out = np.zeros((height, width), np.float32)
    for _ in range(int(random.integers(1, 4))):
        from_x, from_y = random.uniform(-0.2, 1.2, 2) * (width, height)
        dx, dy = x - np.float32(from_x), y - np.float32(from_y)
        apart, around = np.hypot(dx, dy), np.arctan2(dy, dx)
        distance, line = _spacing(size, random)
        swing = size * random.uniform(0.1, 0.5)
        for phase in (0, 3.14):
            wave = np.float32(swing) * np.sin(int(random.integers(6, 24)) * around + np.float32(phase))
            phases = np.asarray((apart + wave) / (2 * distance), np.float32)
            out = np.maximum(out, _lines(phases, 2 * distance, line))
    return out


def _honeycomb(height: int, width: int, size: float, random: Generator) -> Floats:
    """Lines of three directions, whole or in pieces."""
    u, v = _turned(height, width, random)
    distance, line = _spacing(1.5 * size, random)
    out = np.zeros((height, width), np.float32)
    for angle in (0, np.pi / 3, 2 * np.pi / 3):
        along = np.float32(np.cos(angle)) * u + np.float32(np.sin(angle)) * v
        out = np.maximum(out, _lines(np.asarray(along / distance, np.float32), distance, line))
    return out


def _braid(height: int, width: int, size: float, random: Generator) -> Floats:
    """Curves that cross one another like a plait."""
    u, v = _turned(height, width, random)
    band, long = np.float32(size * random.uniform(0.3, 0.8)), size * random.uniform(0.6, 2.5)
    distance, line = float(band), float(random.uniform(0.5, 1.6))
    out = np.zeros((height, width), np.float32)
    for phase in np.arange(int(random.integers(2, 5))) * 1.7:
        wave = np.float32(random.uniform(0.3, 0.8)) * np.sin(u * np.float32(6.28 / long) + np.float32(phase))
        out = np.maximum(out, _lines(v / band + wave, distance, line))
    return out


def _small_print(height: int, width: int, size: float, random: Generator) -> Floats:
    """Rows of text too small to read."""
    canvas = np.zeros((height, width), np.uint8)
    step = max(5, int(size * random.uniform(0.12, 0.3)))
    for y in range(int(random.integers(0, step)), height + step, step):
        text = "".join(random.choice(list("BANKCHEQUEVALIDPAYMENT"), max(4, width * 2 // step)))
        cv2.putText(
            canvas, text, (-int(random.integers(0, step)), y), cv2.FONT_HERSHEY_PLAIN, step / 16, 255, 1, cv2.LINE_AA
        )
    return canvas.astype(np.float32) / np.float32(255)


PATTERNS: dict[str, Pattern] = {
    "waves": _waves, "rings": _rings, "dots": _dots, "hatch": _hatch, "rays": _rays, "ribbons": _ribbons,
    "clouds": _clouds,
}  # fmt: skip
HELD_BACK_PATTERNS: dict[str, Pattern] = {
    "guilloche": _guilloche, "honeycomb": _honeycomb, "braid": _braid, "small print": _small_print,
}  # fmt: skip


# --- Whole grounds -----------------------------------------------------------------------------------------------


def paper(height: int, width: int, colour: Colour, random: Generator) -> Floats:
    """One colour with the grain of paper, smooth or coarse."""
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = colour
    if random.random() < 0.6:
        grain = texture(height, width, float(random.choice((1.0, 3.0, 10.0))), random)
        lighten(picture, np.float32(0.6 * random.uniform(0.3, 5) ** 1.3) * grain)
    return picture


def security(
    height: int,
    width: int,
    colour: Colour,
    size: float,
    contrast: float,
    random: Generator,
    patterns: dict[str, Pattern],
) -> Floats:
    """Paper with one or two printed patterns, weaker than ink, which is `contrast` levels from the paper."""
    picture = paper(height, width, colour, random)
    names = list(patterns)
    for _ in range(1 + (random.random() < 0.35)):
        alpha = patterns[names[int(random.integers(len(names)))]](height, width, size, random)
        other = near(colour, float(random.uniform(8, 20 + 0.45 * contrast)), random)
        blend(picture, alpha * np.float32(random.uniform(0.5, 1)), other)
    return picture


def ruled(picture: Floats, size: float, random: Generator, upright: bool) -> None:
    """Lines of writing paper over all, in place; with `upright` ones as well, squares."""
    height, width = picture.shape[:2]
    x, y = axes(height, width)
    slope = np.float32(random.normal(0, 0.015))
    distance = size * random.uniform(*((0.25, 0.8) if upright else (0.6, 2.0)))
    distance = max(4.0, distance)
    thick = float(min(np.exp(random.uniform(np.log(0.4), np.log(max(0.5, 0.05 * size)))), distance / 4))
    first = random.uniform(0, distance)
    colour = line_colour(picture.mean(axis=(0, 1)), random)
    alpha = _lines((y + slope * x + np.float32(first)) / np.float32(distance), distance, thick)
    if not upright and random.random() < 0.2:  # the margin
        beside = np.abs(x + slope * y - np.float32(width * random.uniform(0, 1)))
        blend(picture, (0.5 + thick - beside).clip(0, 1), line_colour(picture.mean(axis=(0, 1)), random))
    if upright:
        alpha = np.maximum(alpha, _lines((x - slope * y + np.float32(first)) / np.float32(distance), distance, thick))
    blend(picture, alpha, colour)


def dotted(picture: Floats, size: float, random: Generator) -> None:
    """A grid of dots, as notebooks have it, in place."""
    x, y = axes(*picture.shape[:2])
    cell = np.float32(max(6.0, size * random.uniform(0.3, 0.9)))
    u, v = x / cell + np.float32(random.random()), y / cell + np.float32(random.random())
    apart = np.hypot(u - np.rint(u), v - np.rint(v)) * cell
    alpha = (0.5 + random.uniform(0.5, 1.5) - apart).clip(0, 1)
    blend(picture, alpha, line_colour(picture.mean(axis=(0, 1)), random))


def desk(picture: Floats, random: Generator, wood: bool) -> None:
    """What lies beyond a sheet's edge on one side or two, with its shadow, in place."""
    height, width = picture.shape[:2]
    x, y = axes(height, width)
    for _ in range(1 + (random.random() < 0.4)):
        angle = random.choice((0, np.pi / 2, np.pi, -np.pi / 2)) + random.normal(0, 0.1)
        reach = (abs(np.cos(angle)) * width + abs(np.sin(angle)) * height) / 2
        edge = np.float32(reach * (1 - 2 * random.uniform(0.02, 0.25)))
        depth = np.float32(np.cos(angle)) * (x - width / 2) + np.float32(np.sin(angle)) * (y - height / 2) - edge
        table = np.empty_like(picture)
        table[:] = random.uniform(20, 200, 3).astype(np.float32) * random.uniform(0.4, 1) * 0.4 + random.uniform(0, 140)
        grain = texture(height, width, 3.0 if wood else 1.0, random)
        if wood:
            grain = np.asarray(cv2.blur(grain, (min(width, 31), 1)), np.float32)
        lighten(table, np.float32(random.uniform(1, 12)) * grain)
        if random.random() < 0.5:
            soft = np.float32(random.uniform(1.5, 8))
            table *= 1 - np.float32(random.uniform(0.2, 0.6)) * np.exp(-np.maximum(depth, 0) / soft)[:, :, None]
        alpha = (depth + 0.5).clip(0, 1)[:, :, None]
        picture += alpha * (table - picture)


def crumpled(picture: Floats, random: Generator, deep: float) -> None:
    """Paper or cloth that was folded or lies in waves: light and shadow of its slopes, up to `deep`, in place."""
    height, width = picture.shape[:2]
    slopes = texture(height, width, float(random.choice((10.0, 40.0))), random)
    if random.random() < 0.5:  # sharp folds
        slopes = np.asarray(np.abs(slopes) - 0.8, np.float32)
    picture *= cv2.merge([np.asarray(1 + random.uniform(0.02, deep) * slopes, np.float32)] * 3)


def patch(picture: Floats, random: Generator) -> None:
    """A rectangle of another colour with hard edges, as something pasted on, in place."""
    height, width = picture.shape[:2]
    left, right = np.sort(random.integers(-width // 4, width + width // 4, 2)).tolist()
    top, bottom = np.sort(random.integers(-height // 4, height + height // 4, 2)).tolist()
    part = picture[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    part += random.uniform(-25, 25) + random.normal(0, 8, 3).astype(np.float32)


# --- Colours -----------------------------------------------------------------------------------------------------


def near(colour: Colour, apart: float, random: Generator) -> Colour:
    """A colour so far from another, towards the side with more room."""
    way = random.normal(0, 1, 3) + (2.0 if colour.mean() < 110 else -2.0)
    return np.asarray((colour + apart * way / max(np.abs(way).max(), 1e-3)).clip(0, 255), np.float32)


def line_colour(on: NDArray[Any], random: Generator) -> Colour:
    """Of a printed line: blue, grey, red or dark."""
    return near(np.asarray(on, np.float32), float(random.uniform(20, 170)), random)


def colours(random: Generator) -> tuple[Colour, Colour]:
    """Of paper and of ink: mostly dark on light, sometimes light on dark, faint, or any two that differ."""
    way = random.random()
    if way < 0.58:
        paper_colour = random.uniform(150, 255) + random.normal(0, 8, 3)
        ink = random.uniform(0, 0.45) * paper_colour.mean() + random.normal(0, 10, 3)
        if random.random() < 0.4:  # a coloured pen
            ink += random.uniform(20, 110) * np.eye(3)[random.choice(3, p=(0.25, 0.15, 0.6))]
    elif way < 0.75:
        paper_colour = random.uniform(0, 70) + random.normal(0, 8, 3)
        ink = paper_colour + random.uniform(80, 250) + random.normal(0, 15, 3)
    elif way < 0.88:  # faint: 5 to 20 % of the range
        paper_colour = random.uniform(30, 250) + random.normal(0, 10, 3)
        ink = near(paper_colour.astype(np.float32), float(random.uniform(14, 55)), random)
        if random.random() < 0.3:
            ink = 2 * paper_colour - ink
    else:
        paper_colour, ink = _two(random)
    return np.asarray(paper_colour, np.float32).clip(0, 255), np.asarray(ink, np.float32).clip(0, 255)


def black_on_white(random: Generator) -> tuple[Colour, Colour]:
    """Of paper and of ink on a screen, or of ink and of paper."""
    paper, ink = np.full(3, 255, np.float32), np.full(3, random.uniform(0, 60), np.float32)
    return (paper, ink) if random.random() < 0.8 else (ink, paper)


def _two(random: Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """Any two colours that a person tells apart, some of them equally bright."""
    while True:
        one, other = random.uniform(0, 255, (2, 3))
        if random.random() < 0.3:
            other = (other + (one - other) @ LUMA).clip(0, 255)
        if np.abs(one - other).max() > 60:
            return one, other
