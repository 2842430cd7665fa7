"""Where digits that touch may be parted: straight cuts through little ink, between notches, along a shared stroke."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ink = NDArray[np.float32]
MOST_CUTS = 7
MOST_SHARED = 4
LONG = 0.35  # of the height: a stroke along a cut that two digits may share, such as two 0s side by side
ALONE = 0.8  # of the ink on the cut is that stroke's
NARROW = 0.7  # of its height: what is narrower is one digit
HALF = 0.3  # of full ink: what a cut counts
SLOPES = (-0.5, -0.25, 0.0, 0.25, 0.5)  # pixels to the left for one down


@dataclass(frozen=True)
class Cut:
    """A straight cut: the pixels with x + slope * (y - middle) >= place are on its right; within a digit's box.

    Where it is `shared` it runs along a stroke that belongs to the digits on both sides.
    """

    place: float
    slope: float
    shared: bool = False


def propose_cuts(ink: Ink, stroke: float) -> list[Cut]:
    """Where digits that touch may be parted, from left to right: lines with little ink on them, or with one
    stroke along them.

    `ink` is one segment, cut out tightly. Empty where it is too narrow for two digits.
    """
    height, width = ink.shape
    if width < NARROW * height:
        return []
    rows, columns = np.nonzero(ink > HALF)
    weights = ink[rows, columns]
    found: list[tuple[float, Cut]] = []
    shared: list[tuple[float, Cut]] = []
    for slope in SLOPES:
        places = (columns + slope * (rows - height / 2)).clip(0, width - 1).astype(np.intp)
        profile = np.bincount(places, weights, width)
        low, high = np.full(width, height), np.zeros(width, int)
        np.minimum.at(low, places, rows)
        np.maximum.at(high, places, rows + 1)
        for depth in (profile, np.maximum(high - low, 0)):  # little ink, or notches above and below
            smooth = np.convolve(depth, np.ones(3) / 3, "same")
            found += [(smooth[x] * (1 + 0.1 * abs(slope)), Cut(x + 0.5, slope)) for x in _minima(smooth, height)]
        smooth = np.convolve(profile, np.ones(3) / 3, "same")
        shared += [(-smooth[x], Cut(x + 0.5, slope, shared=True)) for x in _minima(-smooth, height)]
    mask = ink > HALF
    shared = [(ink_on_it, cut) for ink_on_it, cut in shared if _is_one_stroke(mask, cut)]
    apart = max(0.12 * height, stroke)
    chosen = _best(shared, [], MOST_SHARED, apart)
    little = [(ink_on_it, cut) for ink_on_it, cut in found if ink_on_it < 0.85 * height]
    return sorted(_best(little, chosen, MOST_CUTS + len(chosen), apart), key=lambda cut: cut.place)


def _best(found: list[tuple[float, Cut]], chosen: list[Cut], most: int, apart: float) -> list[Cut]:
    """The chosen and the best of those found, not nearer to each other than `apart`."""
    chosen = list(chosen)
    for _, cut in sorted(found, key=lambda pair: pair[0]):
        if len(chosen) < most and all(abs(cut.place - other.place) >= apart for other in chosen):
            chosen.append(cut)
    return chosen


def _is_one_stroke(mask: NDArray[np.bool_], cut: Cut) -> bool:
    """Whether nearly all the ink on a cut is one long stroke along it."""
    on_cut = _along(mask, cut)
    steps = np.diff(on_cut.astype(np.int8), prepend=0, append=0)
    lengths = np.flatnonzero(steps < 0) - np.flatnonzero(steps > 0)
    return bool(len(lengths)) and lengths.max() >= max(LONG * len(mask), ALONE * lengths.sum())


def _along(mask: NDArray[np.bool_], cut: Cut) -> NDArray[np.bool_]:
    """The pixels on a cut, from top to bottom."""
    y = np.arange(len(mask))
    x = np.floor(cut.place - cut.slope * (y - len(mask) / 2)).astype(np.intp).clip(0, mask.shape[1] - 1)
    return mask[y, x]


def _minima(profile: NDArray[np.float64], height: int) -> list[int]:
    """Places that have the least ink of their surroundings."""
    margin, reach = max(1, round(0.08 * height)), max(1, round(0.06 * height))
    return [
        x for x in range(margin, len(profile) - margin)
        if profile[x] <= profile[max(0, x - reach) : x + reach + 1].min() and profile[x] <= profile[x - 1]
    ]  # fmt: skip


def crossed_strokes(mask: NDArray[np.bool_], cut: Cut) -> int:
    """How many strokes of a segment a cut goes through."""
    return int((np.diff(_along(mask, cut).astype(np.int8), prepend=0) > 0).sum())


def right_of(shape: tuple[int, int], cut: Cut, by: float = 0.0) -> NDArray[np.bool_]:
    """Which pixels of a segment lie on a cut's right, the cut moved to the right `by` pixels: (height, width)."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    right: NDArray[np.bool_] = x + 0.5 + cut.slope * (y - shape[0] / 2) >= cut.place + by
    return right
