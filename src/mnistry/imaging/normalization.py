"""The exact form of an MNIST digit: a 20x20 box, centred by mass in 28x28, 0 = paper, 255 = ink."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIDE = 28  # of the finished picture
BOX = 20  # of the digit inside it
SMALLEST = 10  # a smaller digit is padded, not blown up


def normalize(ink: ArrayLike) -> NDArray[np.uint8]:
    """Bring one digit to the form in which MNIST keeps it.

    `ink` is (height, width), any range, 0 where there is paper. Returns uint8 (28, 28); a picture without
    ink stays empty. Source: `qmnist.c` of facebookresearch/qmnist, which rebuilt NIST's lost procedure:
    tight box, pad to a square of side max(height, width, 10), resample by area, divide by the maximum,
    shift the centre of mass to (14, 14).
    """
    digit: NDArray[np.float32] = np.asarray(ink, np.float32)
    if not digit.any():
        return np.zeros((SIDE, SIDE), np.uint8)
    resized = _area_resize(_square(_crop(digit)), BOX)
    return _centred(np.rint(resized * (255 / resized.max())).astype(np.uint8))


def _crop(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut away the paper around the ink."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _square(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put the ink in the middle of a square of paper."""
    height, width = ink.shape
    side = max(height, width, SMALLEST)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), np.float32)  # by hand: np.pad takes longer than all the rest on small pictures
    square[top : top + height, left : left + width] = ink
    return square


def _area_resize(square: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Resample by area: a new pixel is the mean of what it covers, fractions counted."""
    return _shares(_shares(square, side).T, side).T


def _shares(values: NDArray[Any], n: int) -> NDArray[np.float64]:
    """Means over n equal shares of the rows, from the sums up to each border; no product of matrices, which threads."""
    old = len(values)
    sums = np.zeros((old + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    borders = np.arange(n + 1) * (old / n)
    whole = np.minimum(borders.astype(np.intp), old - 1)
    until = sums[whole] + values[whole] * (borders - whole)[:, None]
    means: NDArray[np.float64] = (until[1:] - until[:-1]) * (n / old)
    return means


def _centred(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put the box into 28x28 so that its centre of mass is at pixel (14, 14)."""
    top, left = (BOX + _offset(small.sum(axis=axis, dtype=np.float64)) for axis in (1, 0))
    wide = np.zeros((SIDE + 2 * BOX, SIDE + 2 * BOX), np.uint8)
    wide[top : top + BOX, left : left + BOX] = small
    return wide[BOX : BOX + SIDE, BOX : BOX + SIDE].copy()


def _offset(mass: NDArray[np.float64]) -> int:
    """Where the box begins along one axis, given its ink in each place; no ink is pushed out of the picture."""
    places = np.flatnonzero(mass)
    wanted = math.floor(SIDE / 2 - mass @ np.arange(BOX) / mass.sum() + 0.5)
    return min(max(wanted, -int(places[0])), SIDE - 1 - int(places[-1]))
