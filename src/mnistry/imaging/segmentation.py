"""Group ink into digits in reading order: join broken strokes, drop specks, find rows, propose cuts between digits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.imaging.connected_components import Components, union_find

MOST_COMPONENTS = 400  # the largest that are looked at; more of them are a texture
SPECK = 0.12  # of the usual height: an isolated component smaller than this in both directions is a speck
SLIGHT = 0.06  # of the usual ink: a component with less is a scrap; even a 1 has more
FEW = 4  # components: the most that one broken digit has
SMALL = 0.4  # of the usual height: a lower component is a part of a digit, never a digit
APART = 1.5  # stroke widths: components nearer to each other than this belong together
TOUCHING = 0.5  # stroke widths: the same for specks
STROKES_APART = 0.25  # of the height: strokes of one digit, such as a 4's, are no further apart
WIDEST = 1.0  # times its height: the greatest width of a digit of two strokes
FLAT = 3  # times its height: a wider component is a dash or a line

Ink = NDArray[np.float32]
MOST_CUTS = 7
NARROW = 0.7  # of its height: a narrower segment is one digit
HALF = 0.3  # of full ink: pixels above this count as ink on a cut
SLOPES = (-0.5, -0.25, 0.0, 0.25, 0.5)  # pixels to the left for one down


@dataclass(frozen=True)
class ComponentGroup:
    """One digit, or several that touch: its box (left, top, right, bottom) in pixels, its components by index."""

    box: tuple[int, int, int, int]
    components: NDArray[np.intp]


def group_components(components: Components, stroke: float) -> list[list[ComponentGroup]]:
    """Group components into rows of digits in reading order; `stroke` is the usual stroke width in pixels."""
    if components.n == 1:
        box = int(components.left[0]), int(components.top[0]), int(components.right[0]), int(components.bottom[0])
        return [[ComponentGroup(box, np.zeros(1, np.intp))]]
    chosen = np.argsort(-components.area, kind="stable")[:MOST_COMPONENTS]
    boxes = np.stack([components.left, components.top, components.right, components.bottom], axis=1)[chosen]
    usual = usual_height(boxes, components.area[chosen])
    labels, n = union_find(len(chosen), np.argwhere(_together(boxes, usual, stroke)))
    joined = np.stack([_outer(boxes[labels == k]) for k in range(n)])
    height = joined[:, 3] - joined[:, 1]
    area = np.bincount(labels, components.area[chosen], n)
    usual = usual_height(joined, area)
    order = np.argsort(area)
    usual_area = area[order[np.searchsorted(np.cumsum(area[order]), area.sum() / 2)]]  # median over the ink
    kept = (height >= SMALL * usual) & (area >= SLIGHT * usual_area)
    digits = [ComponentGroup(_as_box(joined[k]), chosen[labels == k]) for k in np.flatnonzero(kept)]
    return _rows(digits)


def near(a: ComponentGroup, b: ComponentGroup) -> bool:
    """Whether two neighbours in a row might be strokes of one digit."""
    left, top, right, bottom = around(a, b)
    return b.box[0] - a.box[2] <= STROKES_APART * (bottom - top) and right - left <= WIDEST * (bottom - top)


def around(a: ComponentGroup, b: ComponentGroup) -> tuple[int, int, int, int]:
    """The smallest box (left, top, right, bottom) around both."""
    return _as_box(_outer(np.array([a.box, b.box])))


def _as_box(box: NDArray[np.intp]) -> tuple[int, int, int, int]:
    left, top, right, bottom = map(int, box)
    return left, top, right, bottom


def usual_height(boxes: NDArray[np.intp], area: NDArray[Any]) -> float:
    """The median height of the components in pixels, weighted by ink `area` (n,); without dashes."""
    height = (boxes[:, 3] - boxes[:, 1]).astype(float)
    flat = boxes[:, 2] - boxes[:, 0] > FLAT * height
    if not flat.all():
        height, area = height[~flat], area[~flat]
    order = np.argsort(height)
    mass = np.cumsum(area[order])
    return float(height[order[np.searchsorted(mass, mass[-1] / 2)]])


def _together(boxes: NDArray[np.intp], usual: float, stroke: float) -> NDArray[np.bool_]:
    """Which components belong to one digit: (n, n)."""
    left, top, right, bottom = (boxes[:, k].astype(np.float64) for k in range(4))
    width, height = right - left, bottom - top
    gap_x = np.maximum(left[:, None], left) - np.minimum(right[:, None], right)
    gap_y = np.maximum(top[:, None], top) - np.minimum(bottom[:, None], bottom)
    over_x = -gap_x / np.minimum(width[:, None], width)
    over_y = -gap_y / np.minimum(height[:, None], height)
    low = np.minimum(height[:, None], height)
    tall = np.maximum(bottom[:, None], bottom) - np.minimum(top[:, None], top)
    inside = (over_x > 0.6) & (over_y > 0.6)
    stacked = (over_x > 0.5) & (gap_y < 0.25 * usual) & (tall < 1.6 * usual)
    near = (np.maximum(gap_x, gap_y) < APART * stroke) & (low < SMALL * usual) & (tall < 1.6 * usual)
    # The bar of a 5: low, flat, at the top, to the right of what it belongs to.
    bar = (height < 0.3 * usual)[None] & ((top + bottom) / 2 < (top + 0.35 * height)[:, None])
    bar &= (gap_x < 0.15 * usual) & (left[None] > left[:, None]) & (gap_y < 0.2 * usual)
    speck = np.maximum(width, height) < SPECK * usual
    pairs = inside | stacked | near | (bar & (height > SMALL * usual)[:, None])
    if len(boxes) <= FEW:
        pairs |= _one_broken_digit(boxes)
    lone = speck[:, None] | speck  # a speck joins only what it nearly touches
    return pairs & (~lone | (np.maximum(gap_x, gap_y) < TOUCHING * stroke))


def _one_broken_digit(boxes: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Pairs (n, n) in which a flat component is the top or the foot of the other; for pictures with little ink."""
    left, top, right, bottom = (boxes[:, k].astype(np.float64) for k in range(4))
    wide = np.maximum(right[:, None], right) - np.minimum(left[:, None], left)
    tall = np.maximum(bottom[:, None], bottom) - np.minimum(top[:, None], top)
    gap_x = np.maximum(left[:, None], left) - np.minimum(right[:, None], right)
    gap_y = np.maximum(top[:, None], top) - np.minimum(bottom[:, None], bottom)
    flat = right - left > 1.1 * (bottom - top)
    middle, eighth = (top + bottom) / 2, (bottom - top) / 8
    a_dash = flat & (abs(middle[:, None] - middle) < eighth[:, None])  # beside the middle of the other
    near = np.maximum(gap_x, 0) + np.maximum(gap_y, 0) <= 0.25 * tall
    return flat & ~a_dash & near & (wide <= 1.3 * tall)


def _outer(boxes: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _rows(digits: list[ComponentGroup]) -> list[list[ComponentGroup]]:
    """Rows from top to bottom, each from left to right, linked from neighbour to neighbour: they may slant."""
    n = len(digits)
    if n < 2:
        return [digits] if digits else []
    left, top, right, bottom = np.array([digit.box for digit in digits], np.float64).T
    height, x = bottom - top, (left + right) / 2
    overlap = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    beside = (overlap >= 0.4 * np.minimum(height[:, None], height)) & (x[None] > x[:, None])
    far = np.where(beside, x[None] - x[:, None], np.inf)
    nearest = far.argmin(axis=1)
    linked = far[np.arange(n), nearest] < 5 * float(np.median(height))
    labels, rows = union_find(n, np.stack([np.arange(n), nearest], axis=1)[linked])
    found = [sorted(np.flatnonzero(labels == row), key=lambda k: x[k]) for row in range(rows)]
    found.sort(key=lambda row: float(np.mean([top[k] + bottom[k] for k in row])))
    return [[digits[k] for k in row] for row in found]


# --- Digits that touch ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """A straight cut through a segment: pixels with x + slope * (y - height / 2) >= place are to its right."""

    place: float
    slope: float


def propose_cuts(ink: Ink, stroke: float) -> list[Cut]:
    """Cuts that may separate touching digits, from left to right: lines that cross little ink, at most 7.

    `ink` (height, width), from 0 to 1, is one segment, cropped tightly; none if it is too narrow for two digits.
    """
    height, width = ink.shape
    if width < NARROW * height:
        return []
    rows, columns = np.nonzero(ink > HALF)
    weights = ink[rows, columns]
    found: list[tuple[float, Cut]] = []
    for slope in SLOPES:
        places = (columns + slope * (rows - height / 2)).clip(0, width - 1).astype(np.intp)
        profile = np.bincount(places, weights, width)
        low, high = np.full(width, height), np.zeros(width, int)
        np.minimum.at(low, places, rows)
        np.maximum.at(high, places, rows + 1)
        for depth in (profile, np.maximum(high - low, 0)):  # little ink, or notches above and below
            smooth = np.convolve(depth, np.ones(3) / 3, "same")
            found += [(smooth[x] * (1 + 0.1 * abs(slope)), Cut(x + 0.5, slope)) for x in _minima(smooth, height)]
    found.sort(key=lambda pair: pair[0])
    chosen: list[Cut] = []
    for ink_on_it, cut in found:
        crowded = any(abs(cut.place - other.place) < max(0.12 * height, stroke) for other in chosen)
        if not crowded and ink_on_it < 0.85 * height and len(chosen) < MOST_CUTS:
            chosen.append(cut)
    return sorted(chosen, key=lambda cut: cut.place)


def _minima(profile: NDArray[np.float64], height: int) -> list[int]:
    """Local minima of the profile, away from both ends."""
    margin, reach = max(1, round(0.08 * height)), max(1, round(0.06 * height))
    return [
        x for x in range(margin, len(profile) - margin)
        if profile[x] <= profile[max(0, x - reach) : x + reach + 1].min() and profile[x] <= profile[x - 1]
    ]  # fmt: skip


def crossed_strokes(mask: NDArray[np.bool_], cut: Cut) -> int:
    """How many strokes of a segment, bool (height, width), a cut crosses."""
    y = np.arange(len(mask))
    x = np.floor(cut.place - cut.slope * (y - len(mask) / 2)).astype(np.intp).clip(0, mask.shape[1] - 1)
    return int((np.diff(mask[y, x].astype(np.int8), prepend=0) > 0).sum())


def side_of_cuts(shape: tuple[int, int], cuts: list[Cut]) -> NDArray[np.intp]:
    """The number of cuts to the left of each pixel: (height, width)."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    sides = np.zeros(shape, np.intp)
    for cut in cuts:
        sides += x + 0.5 + cut.slope * (y - shape[0] / 2) >= cut.place
    return sides
