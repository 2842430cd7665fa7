"""The exact form of an MNIST digit: a 20x20 box, centred by mass in 28x28, 0 = paper, 255 = ink."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIDE = 28  # of the finished picture
BOX = 20  # of the digit inside it
SMALLEST = 10  # a smaller digit is padded, not blown up


def mnist_form(ink: ArrayLike) -> NDArray[np.uint8]:
    """Bring one digit to the form in which MNIST keeps it.

    `ink` is (height, width), any range, 0 where there is paper. Returns uint8 (28, 28); a picture without
    ink stays empty. Source: `qmnist.c` of facebookresearch/qmnist, which rebuilt NIST's lost procedure:
    tight box, pad to a square of side max(height, width, 10), resample by area, divide by the maximum,
    shift the centre of mass to (14, 14).
    """
    digit: NDArray[np.float32] = np.asarray(ink, np.float32)
    form = np.zeros((SIDE, SIDE), np.uint8)
    if not digit.any():
        return form
    resized = _area_resize(_square(_crop(digit)), BOX)
    small = np.rint(resized * (255 / resized.max())).astype(np.uint8)
    top, left = _corner(small)
    form[top : top + BOX, left : left + BOX] = small
    return form


def _crop(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut away the paper around the ink."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _square(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put the ink in the middle of a square of paper."""
    height, width = ink.shape
    side = max(height, width, SMALLEST)
    top, left = (side - height) // 2, (side - width) // 2
    return np.pad(ink, ((top, side - height - top), (left, side - width - left)))


def _area_resize(square: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Resample by area: a new pixel is the mean of what it covers, fractions counted."""
    weights = _area_weights(len(square), side)
    small: NDArray[np.float32] = weights @ square @ weights.T
    return small


def _area_weights(old: int, new: int) -> NDArray[np.float32]:
    """Share of each old pixel in each new one: (new, old), rows sum to 1."""
    edges: NDArray[np.float64] = np.arange(new + 1) * (old / new)
    starts, ends = edges[:-1, None], edges[1:, None]
    pixels = np.arange(old)
    overlap = np.minimum(ends, pixels + 1) - np.maximum(starts, pixels)
    weights: NDArray[np.float32] = (overlap.clip(0) * (new / old)).astype(np.float32)
    return weights


def _corner(small: NDArray[np.uint8]) -> tuple[int, int]:
    """Top left place of the box that puts its centre of mass at pixel (14, 14), kept inside the picture."""
    mass = small.astype(np.float64)
    total = mass.sum()
    centre = (
        mass.sum(axis=1) @ np.arange(BOX) / total,
        mass.sum(axis=0) @ np.arange(BOX) / total,
    )
    top, left = (min(max(math.floor(SIDE / 2 - c + 0.5), 0), SIDE - BOX) for c in centre)
    return top, left
