"""Augmentation: training digits are rotated, shifted, bent and redrawn with other pens, a little and anew each time."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (n, 28, 28), 0 = paper, 255 = ink
SIDE = 28
MIDDLE = (SIDE - 1) / 2
GRID = 4  # elastic: the bends are drawn at GRID x GRID points and are smooth between them
MOST_ROWS = 32_000  # OpenCV's remap counts rows in 16 bits


@dataclass(frozen=True)
class Augmentation:
    """How much a digit may be changed; 0 turns a change off. `batch` changes every image differently.

    `rotation` is in degrees, `shift` in pixels, `zoom` and `shear` are fractions, `elastic` is in pixels, `erase` the
    side in pixels of a square of paper. `stroke` (0 to 1) widens or thins the strokes, 1 by a pixel on either side;
    `blur` (0 to 1) softens them. Strengths are |N(0, 1/3)| cut at 1, times these: many small changes and few
    large ones (Byerly et al. 2021, "No routing needed between capsules"). Paper comes in from the border.
    """

    rotation: float = 0
    shift: float = 0
    zoom: float = 0
    shear: float = 0
    elastic: float = 0
    erase: int = 0
    stroke: float = 0
    blur: float = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Augmentation":
        """What a recipe's settings say of it."""
        return cls(**{one.name: settings[one.name] for one in fields(cls)})

    def batch(self, images: Images, generator: np.random.Generator) -> Images:
        """Changed copies of uint8 images (n, 28, 28)."""
        if self.rotation or self.zoom or self.shear or self.elastic or self.shift != int(self.shift):
            images = _resampled(images, self._places(len(images), generator))
        elif self.shift:
            images = shifted(images, int(self.shift), generator)
        if self.stroke or self.blur:
            images = _other_pens(images, self.stroke, self.blur, generator)
        return _erased(images, self.erase, generator) if self.erase else images

    def _places(self, n: int, generator: np.random.Generator) -> NDArray[np.float32]:
        """The source position of each new pixel: x, y as (n, 2, 28, 28)."""

        def drawn(most: float) -> NDArray[np.float64]:
            return most * _strengths(generator, n)

        angle = np.radians(drawn(self.rotation))
        wide, high = np.exp(drawn(self.zoom)), np.exp(drawn(self.zoom))
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])  # (2, 2, n)
        slant = np.array([[np.ones(n), drawn(self.shear)], [np.zeros(n), np.ones(n)]])
        matrix = np.einsum("ijn,jkn->nik", turn, slant) * np.stack([wide, high], axis=1)[:, None, :]  # (n, 2, 2)
        bends = self.elastic * np.clip(generator.normal(0, 1 / 3, (n, 2, GRID * GRID)), -1, 1)
        moves = generator.uniform(-self.shift, self.shift, (n, 2, 1)) + MIDDLE
        places: NDArray[np.float32] = np.concatenate([matrix, bends, moves], axis=2).astype(np.float32) @ _basis()
        return places.reshape(n, 2, SIDE, SIDE)


def shifted(images: Images, most: int, generator: np.random.Generator) -> Images:
    """Move each image by up to `most` whole pixels in both directions; paper comes in from the border."""
    padded = np.pad(images, ((0, 0), (most, most), (most, most)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, images.shape[1:], axis=(1, 2))
    top, left = generator.integers(0, 2 * most + 1, (2, len(images)))
    moved: Images = windows[np.arange(len(images)), top, left]
    return moved


def _resampled(images: Images, places: NDArray[np.float32]) -> Images:
    """Sample the images at these positions, linearly; one call for a tall stack of images is 5 times faster."""
    import cv2

    high = SIDE + 2  # a line of paper above and below, which no place passes
    many = MOST_ROWS // high
    parts = []
    for start in range(0, len(images), many):
        stack = np.pad(images[start : start + many], ((0, 0), (1, 1), (0, 0)))
        x, y = places[start : start + many, 0], places[start : start + many, 1].clip(-1, SIDE)
        y += 1 + high * np.arange(len(stack), dtype=np.float32)[:, None, None]
        taken = cv2.remap(stack.reshape(-1, SIDE), x.reshape(-1, SIDE), y.reshape(-1, SIDE), cv2.INTER_LINEAR)
        parts.append(taken.reshape(-1, SIDE, SIDE))
    return np.concatenate(parts).astype(np.uint8, copy=False)


def _other_pens(images: Images, stroke: float, blur: float, generator: np.random.Generator) -> Images:
    """Blend each image with its widened, thinned or blurred form; one tall stack for OpenCV, as above."""
    import cv2

    n, high = len(images), SIDE + 2
    flat = np.pad(images, ((0, 0), (1, 1), (0, 0))).reshape(-1, SIDE)
    pen = (stroke * _strengths(generator, n)).astype(np.float32)[:, None, None]
    soft = (blur * np.abs(_strengths(generator, n))).astype(np.float32)[:, None, None]
    square = np.ones((3, 3), np.uint8)
    wide, thin = cv2.dilate(flat, square), cv2.erode(flat, square)
    same, wide, thin, blurred = (
        stack.reshape(n, high, SIDE)[:, 1:-1].astype(np.float32)
        for stack in (flat, wide, thin, cv2.GaussianBlur(flat, (3, 3), 0))
    )
    changed = same + pen.clip(0) * (wide - same) + (-pen).clip(0) * (thin - same) + soft * (blurred - same)
    return np.rint(changed.clip(0, 255)).astype(np.uint8)


def _strengths(generator: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Random strengths from -1 to 1, most of them small."""
    return np.clip(generator.normal(0, 1 / 3, n), -1, 1)


def _erased(images: Images, side: int, generator: np.random.Generator) -> Images:
    """Erase a square at a random place of each image."""
    images = images.copy()
    top, left = generator.integers(0, SIDE - side + 1, (2, len(images)))
    rows = top[:, None] + np.arange(side)
    columns = left[:, None] + np.arange(side)
    images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]] = 0
    return images


@cache
def _basis() -> NDArray[np.float32]:
    """The basis of all changes, for each of the 784 pixels: x and y from the middle, bends at the grid points, 1."""
    line = np.arange(SIDE) - MIDDLE
    x, y = np.meshgrid(line, line)
    points = np.linspace(-MIDDLE, MIDDLE, GRID)
    near = np.exp(-2 * ((line[:, None] - points) / (SIDE / GRID)) ** 2)
    near /= near.sum(axis=1, keepdims=True)  # (28, GRID): how much each point bends a line
    bends = np.einsum("yg,xh->ghyx", near, near).reshape(GRID * GRID, -1)
    return np.concatenate([[x.ravel(), y.ravel()], bends, np.ones((1, SIDE * SIDE))]).astype(np.float32)
