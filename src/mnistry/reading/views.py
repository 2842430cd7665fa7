"""A picture at several sizes, coarse to fine, on a margin of its own paper, as the locator wants to see it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]  # (h, w, 3), RGB

STRIDE = 16  # pixels: the locator's sides are multiples of this
MARGIN = 8  # pixels of paper around a view at least
COARSEST = 48  # pixels: about the height of the coarsest view, so that a digit that fills the picture is found
LARGER = 8.0  # times: a lower picture is enlarged no further, for nobody could read it
WIDEST = 100  # times its height: a row that is wider is seen smaller
FINEST = 2.0  # a picture is enlarged no further, unless it is smaller than the coarsest view


@dataclass(frozen=True)
class View:
    """A part of a picture at one size: `pixels` (h, w, 3).

    A place p of the picture is at (p - corner) * scale + MARGIN; `corner` is x, y of its upper left corner in the
    picture, `end` of its lower right one.
    """

    pixels: Pixels
    scale: float
    corner: tuple[float, float]
    end: tuple[float, float]

    def to_picture(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points x, y (..., 2) of the view as places in the picture."""
        return np.asarray((points - MARGIN) / self.scale + np.array(self.corner), np.float32)

    def to_view(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Places x, y (..., 2) of the picture as points of the view."""
        return np.asarray((points - np.array(self.corner)) * self.scale + MARGIN, np.float32)


def scales(width: int, height: int) -> list[float]:
    """The sizes at which a picture is seen, coarsest first, each twice the one before."""
    if height <= COARSEST:
        first = min(COARSEST / height, LARGER, (WIDEST * COARSEST**2 / (width * height)) ** 0.5)
        return [first, 2 * first]
    steps = round(np.log2(height / COARSEST))
    return [2.0**-k for k in range(steps, 0, -1)] + [1.0, FINEST]


def view(picture: Image.Image, scale: float, box: tuple[float, float, float, float] | None = None) -> View:
    """The part left, top, right, bottom of an RGB picture, or all of it, at one size."""
    left, top, right, bottom = box or (0, 0, *picture.size)
    left, top = max(int(left), 0), max(int(top), 0)
    right, bottom = min(int(np.ceil(right)), picture.width), min(int(np.ceil(bottom)), picture.height)
    width, height = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    whole = (left, top, right, bottom) == (0, 0, *picture.size)
    part = picture if whole else picture.crop((left, top, right, bottom))
    seen = np.asarray(part if part.size == (width, height) else part.resize((width, height), how))
    return View(_on_paper(seen), scale, (left, top), (right, bottom))


def _on_paper(seen: Pixels) -> Pixels:
    """With a margin of the colour that most of the border has."""
    height, width = seen.shape[:2]
    down, across = (-(-(side + 2 * MARGIN) // STRIDE) * STRIDE for side in (height, width))
    border = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
    whole = np.empty((down, across, 3), np.uint8)
    whole[:] = np.median(border, axis=0)
    whole[MARGIN : MARGIN + height, MARGIN : MARGIN + width] = seen
    return whole
