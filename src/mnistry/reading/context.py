"""How a candidate fits what else stands in its picture: its size, its neighbours, whether it is alone."""

import numpy as np
from numpy.typing import NDArray

from mnistry.reading.locate import overlaps

Floats = NDArray[np.float32]

NEAR = 2.0  # times the higher one's height: so far apart are two that stand in one row
OTHER = 0.1  # overlap from which on two candidates may be one digit found twice
FEATURES = 3


def context(boxes: Floats, likely: Floats) -> Floats:
    """Of boxes (n, 4), left, top, right, bottom, that are each so `likely` (n,) something: three numbers (n, 3).

    How many times it is half or twice as large as what stands in the picture for the most part, less than 0; from 0 to
    1, how surely something of its height stands beside it; from 0 to 1, how surely nothing else stands there at all.
    """
    if not len(boxes):
        return np.zeros((0, FEATURES), np.float32)
    same, inside = overlaps(boxes, boxes)
    others = np.where((same < OTHER) & (inside < 0.5), likely[None], 0)
    return np.stack([-_octaves(boxes, likely), _beside(boxes, others), 1 - others.max(axis=1)], axis=1)


def _octaves(boxes: Floats, likely: Floats) -> Floats:
    """How many octaves each is away from the usual size, the median in which each counts as much as it is long."""
    sizes = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    order = np.argsort(sizes)
    weight = np.cumsum((sizes * likely)[order])
    usual = sizes[order][np.searchsorted(weight, weight[-1] / 2)]
    return np.asarray(np.abs(np.log2(sizes / usual)), np.float32)


def _beside(boxes: Floats, others: Floats) -> Floats:
    """The surest of the others that stands beside it, each by the share of both heights that is common."""
    left, top, right, bottom = boxes.T
    common = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    height = bottom - top
    share = common.clip(0) / (height[:, None] + height - common)
    gap = np.maximum(left[:, None], left) - np.minimum(right[:, None], right)
    near = gap < NEAR * np.maximum(height[:, None], height)
    return np.asarray((others * share * near).max(axis=1), np.float32)
