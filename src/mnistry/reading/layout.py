"""What a picture says: the digits, where they are and how probable each is; boxes in reading order."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]  # x, y, width, height in the picture's own pixels, as it is seen upright
BESIDE = 0.4  # of the lower one's height: two boxes that share so much of it stand in one row
FAR = 5.0  # heights of the higher one: what is farther away stands in the row only if it is alike
ALIKE = 0.5  # of the higher one's height, shared: boxes of about one size on one line


@dataclass(frozen=True)
class Digit:
    """One digit of a picture.

    `digit` is 0 to 9, or None for a shape that the model refuses. `probability`, 0 to 1, is that of this digit, and of
    being a digit at all. `box` is (x, y, width, height) in pixels of the picture itself, seen upright: (x, y) is the
    upper left corner. `image` is what the recogniser saw, uint8 (28, 28), 0 = paper: the digit's own ink.
    `probabilities`, float32 (10,), are those of all ten digits; their sum is below 1 where it may be no digit.
    """

    digit: int | None
    probability: float
    box: Box
    image: NDArray[np.uint8] = field(repr=False, compare=False)
    probabilities: NDArray[np.float32] = field(repr=False, compare=False)

    @property
    def sign(self) -> str:
        """How it stands in the text of a reading: ? where it was refused."""
        return "?" if self.digit is None else str(self.digit)


@dataclass(frozen=True)
class Reading:
    """What was read in one picture.

    `text` has a line for each row of writing and `?` for a shape that is no digit, `digits` are the same one by one,
    and `reason` says why no digit was read ("" where one was).
    """

    text: str
    digits: tuple[Digit, ...]
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, as `mnistry read --json` prints them after the name of the file.

        `{"text": "7", "digits": [{"digit": 7, "probability": 0.998, "box": [x, y, width, height]}]}`, and "reason"
        where no digit was read.
        """
        digits = [{"digit": d.digit, "probability": round(d.probability, 6), "box": list(d.box)} for d in self.digits]
        return {"text": self.text, "digits": digits} | ({"reason": self.reason} if self.reason else {})


def rows(boxes: NDArray[np.float32]) -> list[list[int]]:
    """Which boxes (n, 4), left, top, right, bottom, stand in one row: rows from top to bottom, each from left to right.

    A row may slant: two boxes are neighbours in it if neither has a nearer one beside it, on that side.
    """
    if not len(boxes):
        return []
    left, top, right, bottom = boxes.T
    height, x = bottom - top, (left + right) / 2
    shared = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    higher, away = np.maximum(height[:, None], height), x[None] - x[:, None]
    beside = (away > 0) & (shared >= BESIDE * np.minimum(height[:, None], height))
    beside &= (away < FAR * higher) | (shared >= ALIKE * higher)
    away[~beside] = np.inf
    following, before = away.argmin(axis=1), away.argmin(axis=0)
    row = np.arange(len(boxes))
    for k in np.argsort(-x, kind="stable"):  # from the right, so that the neighbour's row is known
        if beside[k, following[k]] and before[following[k]] == k:
            row[k] = row[following[k]]
    found = [sorted(np.flatnonzero(row == name).tolist(), key=x.__getitem__) for name in np.unique(row)]
    return sorted(found, key=lambda members: float(np.mean((top + bottom)[members])))
