"""Where digits that touch may be parted: straight cuts through little ink, or between notches above and below."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ink = NDArray[np.float32]
MOST_CUTS = 7
NARROW = 0.7  # of its height: what is narrower is one digit
HALF = 0.3  # of full ink: what a cut counts
SLOPES = (-0.5, -0.25, 0.0, 0.25, 0.5)  # pixels to the left for one down


@dataclass(frozen=True)
class Cut:
    """A straight cut: the pixels with x + slope * (y - middle) >= place are on its right; within a digit's box."""

    place: float
    slope: float


def propose_cuts(ink: Ink, stroke: float) -> list[Cut]:
    """Where digits that touch may be parted, from left to right: lines with little ink on them.

    `ink` is one segment, cut out tightly. Empty where it is too narrow for two digits.
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
    """Places that have the least ink of their surroundings."""
    margin, reach = max(1, round(0.08 * height)), max(1, round(0.06 * height))
    return [
        x for x in range(margin, len(profile) - margin)
        if profile[x] <= profile[max(0, x - reach) : x + reach + 1].min() and profile[x] <= profile[x - 1]
    ]  # fmt: skip


def crossed_strokes(mask: NDArray[np.bool_], cut: Cut) -> int:
    """How many strokes of a segment a cut goes through."""
    y = np.arange(len(mask))
    x = np.floor(cut.place - cut.slope * (y - len(mask) / 2)).astype(np.intp).clip(0, mask.shape[1] - 1)
    return int((np.diff(mask[y, x].astype(np.int8), prepend=0) > 0).sum())


def side_of_cuts(shape: tuple[int, int], cuts: list[Cut]) -> NDArray[np.intp]:
    """For each pixel of a segment, how many cuts lie to its left: (height, width)."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    sides = np.zeros(shape, np.intp)
    for cut in cuts:
        sides += x + 0.5 + cut.slope * (y - shape[0] / 2) >= cut.place
    return sides
