"""Lines of the paper, ruled or squared, taken out of a mask of ink without taking the strokes that cross them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistry.imaging.connected_components import Components, Mask, find_components, rank_filter, union_find

STEEPEST = 0.25  # of a line: pixels down for one across
FLAT_LENGTH = 12  # times its thickness: the shortest line across
UPRIGHT_LENGTH = 20  # and from top to bottom, where strokes of digits are long as well
THICKER = 1.6  # times the thickness of the line: where a stroke lies on it
SEEN = 0.3  # of the picture's width: what must be seen of a line between the strokes on it
REACH = 0.2  # of the picture's width: a gap that a line bridges where strokes cross it
STRONGER = 1.25  # times the ink of a line: a stroke on it
COVERED = 0.93  # of its way through the picture: a line with the strokes on it; what is shorter may be a stroke


@dataclass(frozen=True)
class Pieces:
    """Pieces of thin flat strokes: their ends, height at both ends, and pixels."""

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    y_left: NDArray[np.float64]
    y_right: NDArray[np.float64]
    area: NDArray[np.intp]


def remove_rule_lines(mask: Mask, ink: NDArray[np.float32]) -> Mask:
    """The mask (height, width) without long thin lines, horizontal or vertical, that run out of the picture.

    `ink` tells how strong the ink is in each pixel: a stroke that is stronger than the line stays where it lies on it.
    """
    flat = _remove_flat_lines(mask, ink, FLAT_LENGTH)
    return np.ascontiguousarray(
        _remove_flat_lines(np.ascontiguousarray(flat.T), np.ascontiguousarray(ink.T), UPRIGHT_LENGTH).T
    )


def _remove_flat_lines(mask: Mask, ink: NDArray[np.float32], shortest: float) -> Mask:
    height, width = mask.shape
    thick = _thickness(mask)
    if not thick:
        return mask
    thin = _not_higher(mask, thick)  # no more than about `thick` pixels high
    pieces = _pieces(find_components(_opening(thin, 2 * thick | 1, 1)), thick)
    kept, columns, band = mask, np.arange(width), np.arange(-thick, thick + 1)[:, None]
    chains = _chains(pieces, thick, mask.shape)
    if not chains:
        return mask
    found = np.concatenate(chains)
    line = float(np.median(pieces.area[found] / (pieces.right - pieces.left + 1)[found]))  # thickness
    if width < shortest * line:
        return mask
    thin = _not_higher(mask, int(THICKER * line))
    for chain in chains:
        rows = np.rint(np.polyval(_curve(pieces, chain), columns)).astype(np.intp) + band
        inside = (rows >= 0) & (rows < height)
        x, y = np.broadcast_to(columns, inside.shape), rows.clip(0, height - 1)
        seen = ((ink[y, x] > 0) & inside).any(axis=0)  # the line may fade in a shadow
        passed = inside[thick]  # where its middle is in the picture
        if not passed.any() or seen[passed].mean() < COVERED:
            continue
        on_line = thin[y, x] & inside
        if not on_line.any():
            continue
        strength = float(np.percentile(np.where(on_line, ink[y, x], 0).max(axis=0)[on_line.any(axis=0)], 60))
        gone = on_line & (ink[y, x] <= STRONGER * strength)
        kept = kept.copy() if kept is mask else kept
        kept[y[gone], x[gone]] = False
    return kept


def _curve(pieces: Pieces, chain: NDArray[np.intp]) -> NDArray[np.float64]:
    """A parabola through the pieces, the long ones first of all; paper is seldom flat."""
    x = np.concatenate([pieces.left[chain], pieces.right[chain]])
    y = np.concatenate([pieces.y_left[chain], pieces.y_right[chain]])
    weights = np.tile((pieces.right - pieces.left)[chain].astype(float), 2)
    return np.polyfit(x, y, 2 if len(chain) > 2 else 1, w=weights)


def _thickness(mask: Mask) -> int:
    """About the most pixels that a stroke of usual width measures from top to bottom where it runs flat."""
    steps = np.diff(np.pad(mask, ((1, 1), (0, 0))).T.astype(np.int8), axis=1).ravel()
    lengths = np.flatnonzero(steps < 0) - np.flatnonzero(steps > 0)
    return int(1.5 * np.median(lengths)) + 1 if len(lengths) else 0


def _not_higher(mask: Mask, most: int) -> Mask:
    """The parts of the mask that are at most about so many pixels from top to bottom; beyond the border is paper."""
    size = (most + 1) | 1
    padded = np.pad(mask, ((size, size), (0, 0)))
    low: Mask = mask & ~_opening(padded, size, 0)[size:-size]
    return low


def _opening(mask: Mask, size: int, axis: int) -> Mask:
    """The parts of the mask that are at least `size` (odd) pixels long along the axis."""
    opening: Mask = rank_filter(rank_filter(mask, size, np.minimum, axis), size, np.maximum, axis)
    return opening


def _pieces(components: Components, thick: int) -> Pieces:
    """Straight lines through the pieces that are flat and long enough to have a direction."""
    n, lengths = components.n, components.ends - components.starts
    weight = np.maximum(components.area, 1)
    middle = (components.starts + components.ends - 1) / 2
    x = np.bincount(components.labels, middle * lengths, n) / weight
    y = np.bincount(components.labels, components.rows * lengths, n) / weight
    across = middle - x[components.labels]
    xx = np.bincount(components.labels, (across**2 + lengths**2 / 12) * lengths, n)
    xy = np.bincount(components.labels, across * (components.rows - y[components.labels]) * lengths, n)
    slope = xy / np.maximum(xx, 1)
    size = components.right - components.left
    flat = (
        (abs(slope) <= STEEPEST) & (components.bottom - components.top <= STEEPEST * size + thick) & (size >= 2 * thick)
    )
    return Pieces(
        components.left[flat], components.right[flat] - 1,
        (y - slope * (x - components.left))[flat], (y + slope * (components.right - 1 - x))[flat],
        components.area[flat],
    )  # fmt: skip


def _chains(pieces: Pieces, thick: int, shape: tuple[int, int]) -> list[NDArray[np.intp]]:
    """Pieces that continue each other, where together they are long enough to be a line of the paper.

    Where there are lines, those that leave the picture above or below are shorter.
    """
    height, width = shape
    n = len(pieces.left)
    if not 0 < n <= 600:  # so many pieces are no lines, but a texture
        return []
    slope = (pieces.y_right - pieces.y_left) / np.maximum(pieces.right - pieces.left, 1)
    gap = pieces.left[None] - pieces.right[:, None]
    expected = pieces.y_right[:, None] + gap * np.where(
        (pieces.area[:, None] > pieces.area[None]), slope[:, None], slope[None]
    )
    near = (gap > -thick) & (gap <= REACH * width) & (abs(pieces.y_left[None] - expected) <= thick)
    labels, groups = union_find(n, np.argwhere(near))
    chains = [np.flatnonzero(labels == group) for group in range(groups)]
    long = [(pieces.right - pieces.left)[chain].sum() >= SEEN * width for chain in chains]
    nearest = np.minimum(np.minimum(pieces.y_left, pieces.y_right), height - np.maximum(pieces.y_left, pieces.y_right))
    return [
        chain for chain, is_long in zip(chains, long, strict=True)
        if is_long or (any(long) and nearest[chain].min() <= thick)
    ]  # fmt: skip
