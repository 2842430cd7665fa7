"""Boxes in a picture -> rows in reading order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BESIDE = 0.4  # of the lower one's height: two boxes that share so much of it stand in one row
FAR = 5.0  # median heights: what is farther to the right begins a row of its own


def rows(boxes: NDArray[np.float32]) -> list[list[int]]:
    """Which boxes (n, 4), left, top, right, bottom, stand in one row: rows from top to bottom, each from left to right.

    A row may slant: a box belongs to the row of the nearest one to its right that stands beside it.
    """
    if not len(boxes):
        return []
    left, top, right, bottom = boxes.astype(np.float64).T
    height, x = bottom - top, (left + right) / 2
    shared = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    beside = (shared >= BESIDE * np.minimum(height[:, None], height)) & (x[None] > x[:, None])
    far = np.where(beside, x[None] - x[:, None], np.inf)
    nearest = far.argmin(axis=1)
    linked = far[np.arange(len(boxes)), nearest] < FAR * float(np.median(height))
    row = np.arange(len(boxes))
    for k in np.argsort(-x, kind="stable"):  # from the right, so that the neighbour's row is known
        if linked[k]:
            row[k] = row[nearest[k]]
    found = [sorted(np.flatnonzero(row == name).tolist(), key=x.__getitem__) for name in np.unique(row)]
    return sorted(found, key=lambda members: float(np.mean((top + bottom)[members])))


def low(boxes: NDArray[np.float32], row: Sequence[int], among: Sequence[int], share: float) -> set[int]:
    """Those of a row that are lower than a share of the tallest of `among`."""
    height = boxes[:, 3] - boxes[:, 1]
    tallest = max((float(height[k]) for k in among), default=0.0)
    return {k for k in row if height[k] < share * tallest}
