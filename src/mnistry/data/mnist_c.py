"""The fifteen corruptions of MNIST-C, written anew from their description: how well does a model read spoilt digits?

Mu and Gilmer (2019), "MNIST-C: A robustness benchmark for computer vision"; their strengths, our seeded numbers.
No recipe is trained on them.
"""

import itertools
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mnistry.settings import MnistryError

Pixels = NDArray[np.float64]  # (n, 28, 28) from 0 to 1
Generator = np.random.Generator
MIDDLE = 13.5
GRID = np.indices((28, 28)).astype(float)


def corrupted(images: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """A copy of images (n, 28, 28) that is spoilt in one of the ways of CORRUPTIONS, the same way each time.

    Raises MnistryError if there is no such way.
    """
    if name not in CORRUPTIONS:
        raise MnistryError(f"There is no corruption {name!r}: expected one of {', '.join(CORRUPTIONS)}.")
    generator = np.random.default_rng(1 + list(CORRUPTIONS).index(name))
    spoilt = CORRUPTIONS[name](images / 255, generator).clip(0, 1)
    return np.rint(255 * spoilt).astype(np.uint8)


def shot_noise(x: Pixels, rng: Generator) -> Pixels:
    """Few photons: Poisson counts of which 3 are white."""
    return rng.poisson(3 * x) / 3


def impulse_noise(x: Pixels, rng: Generator) -> Pixels:
    """Salt and pepper on 17 % of the pixels."""
    hit = rng.random(x.shape) < 0.17
    return np.where(hit, rng.integers(0, 2, x.shape), x)


def glass_blur(x: Pixels, rng: Generator) -> Pixels:
    """Neighbours exchanged, between two blurs."""
    x = np.floor(_blurred(x, 0.7) * 255) / 255
    places = np.arange(len(x))
    for _ in range(2):
        for row in range(27, 1, -1):
            for column in range(27, 1, -1):
                chosen = places[rng.random(len(x)) < 0.5]
                down, right = rng.integers(-1, 1, (2, len(chosen)))
                here, there = (chosen, row, column), (chosen, row + down, column + right)
                x[here], x[there] = x[there], x[here].copy()
    return _blurred(x, 0.7)


def motion_blur(x: Pixels, rng: Generator) -> Pixels:
    """Smeared in one direction, fading with a deviation of 3 pixels, at up to 45 degrees."""
    fade = np.exp(-(np.arange(21.0) ** 2) / 18)
    return np.stack(
        [_smeared(image, angle, fade / fade.sum()) for image, angle in zip(x, _angles(x, rng), strict=True)]
    )


def _angles(x: Pixels, rng: Generator) -> Pixels:
    return np.radians(rng.uniform(-45, 45, len(x)))


def _smeared(image: Pixels, angle: float, fade: Pixels) -> Pixels:
    steps = np.arange(len(fade))
    kernel = np.zeros((2 * len(fade) - 1, 2 * len(fade) - 1))
    middle = len(fade) - 1
    rows, columns = np.rint(middle + steps * np.sin(angle)), np.rint(middle + steps * np.cos(angle))
    np.add.at(kernel, (rows.astype(int), columns.astype(int)), fade)
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE))


def shear(x: Pixels, rng: Generator) -> Pixels:
    """Slanted by 0.4 to either side."""
    return _mapped(x, [[[1, -np.sin(c)], [0, np.cos(c)]] for c in 0.4 * _sides(len(x), rng)])


def rotate(x: Pixels, rng: Generator) -> Pixels:
    """Turned by 0.4 (23 degrees) to either side."""
    return _mapped(x, [[[np.cos(c), -np.sin(c)], [np.sin(c), np.cos(c)]] for c in 0.4 * _sides(len(x), rng)])


def scale(x: Pixels, _: Generator) -> Pixels:
    """Shrunk to 0.7."""
    return _mapped(x, [np.eye(2) / 0.7] * len(x))


def translate(x: Pixels, rng: Generator) -> Pixels:
    """Moved by 3 pixels in both directions."""
    return np.stack([ndimage.shift(image, -3 * _sides(2, rng), order=0) for image in x])


def _sides(n: int, rng: Generator) -> Pixels:
    return rng.choice([-1.0, 1.0], n)


def _mapped(x: Pixels, matrices: list[object]) -> Pixels:
    """Each image with the pixel at p taken from M p, both from the middle; linear between pixels."""
    rows, columns = GRID - MIDDLE
    mapped = []
    for image, (first, second) in zip(x, np.array(matrices), strict=True):
        places = [second[0] * columns + second[1] * rows, first[0] * columns + first[1] * rows]
        mapped.append(ndimage.map_coordinates(image, np.array(places) + MIDDLE, order=1))
    return np.stack(mapped)


def brightness(x: Pixels, _: Generator) -> Pixels:
    """Half of white added to all."""
    return x + 0.5


def stripe(x: Pixels, _: Generator) -> Pixels:
    """The outer quarters inverted."""
    x = x.copy()
    for outer in (slice(0, 7), slice(21, 28)):
        x[:, :, outer] = 1 - x[:, :, outer]
    return x


def fog(x: Pixels, rng: Generator) -> Pixels:
    """Clouds three times as strong as the ink."""
    return np.stack([(image + 3 * _cloud(rng)) * image.max() / (image.max() + 3) for image in x])


def _cloud(rng: Generator, side: int = 256, decay: float = 1.4) -> Pixels:
    """A corner of a plasma: the diamond-square algorithm on a torus, from 0 to 1."""
    field, step, rough = np.zeros((side, side)), side, 100.0
    while step >= 2:
        half = step // 2
        corners = field[::step, ::step]
        total = corners + np.roll(corners, -1, 0)
        field[half::step, half::step] = _wobbled(total + np.roll(total, -1, 1), rough, rng)
        centres = field[half::step, half::step]
        beside = centres + np.roll(centres, 1, 0) + corners + np.roll(corners, -1, 1)
        field[::step, half::step] = _wobbled(beside, rough, rng)
        above = centres + np.roll(centres, 1, 1) + corners + np.roll(corners, -1, 0)
        field[half::step, ::step] = _wobbled(above, rough, rng)
        step, rough = half, rough / decay
    field -= field.min()
    return field[:28, :28] / field.max()


def _wobbled(total: Pixels, rough: float, rng: Generator) -> Pixels:
    return total / 4 + rough * rng.uniform(-rough, rough, total.shape)


def spatter(x: Pixels, rng: Generator) -> Pixels:
    """Drops of mud, a quarter of white."""
    liquid = _blurred(rng.normal(0.65, 0.3, x.shape), 1)
    mud = _blurred((liquid > 0.65).astype(float), 1.5)
    mud[mud < 0.8] = 0
    return x * (1 - mud) + 63 / 255 * mud


def dotted_line(x: Pixels, rng: Generator) -> Pixels:
    """A line of dots from the left to the right border."""
    x = x.copy()
    dots = np.arange(28) // 2 % 2 == 1
    for image in x:
        first, last = rng.integers(0, 27, 2)
        image += _line(0, first, 27, last) * dots
    return x


def zigzag(x: Pixels, rng: Generator) -> Pixels:
    """A zigzag from left to right, 2 pixels to either side."""
    x = x.copy()
    for image in x:
        start = rng.integers(0, 27)
        rise = rng.integers(-5, 5)
        along, length = np.arctan(rise / 23), np.hypot(rise, 23)
        ways = (
            [(0.0, 0.0)] + [(4 * i + 2.0, 2.0 * (-1) ** i) for i in range(int((length - 2) // 4) + 1)] + [(length, 0.0)]
        )
        turn = np.array([[np.cos(along), -np.sin(along)], [np.sin(along), np.cos(along)]])
        points = np.array(ways) @ turn.T + (2, start)
        for (left, top), (right, bottom) in itertools.pairwise(points):
            image += _line(left, top, right, bottom)
            np.clip(image, 0, 1, out=image)
    return x


def _line(left: float, top: float, right: float, bottom: float) -> Pixels:
    """A soft line: 1 in its middle, gone at a distance of 1.5 pixels along a column."""
    if left == right:
        return np.zeros((28, 28))
    rows, columns = GRID
    distance = np.abs(rows - top - (bottom - top) / (right - left) * (columns - left)).clip(0, 2.299)
    drawn: Pixels = (np.log(1 - distance / 2.3) + 1).clip(0, 1)
    return drawn * ((columns >= np.floor(left)) & (columns < np.ceil(right)))


def canny_edges(x: Pixels, _: Generator) -> Pixels:
    """The edges alone, after Canny (1986): blurred by 1 pixel, thresholds 0.1 and 0.2."""
    edges = []
    for image in _blurred(x, 1):
        gradients = [np.rint(2000 * ndimage.sobel(image, axis)).astype(np.int16) for axis in (1, 0)]
        edges.append(cv2.Canny(gradients[0], gradients[1], 200, 400, L2gradient=True) / 255)
    return np.stack(edges)


def _blurred(x: Pixels, deviation: float) -> Pixels:
    return ndimage.gaussian_filter(x, (0, deviation, deviation), mode="nearest")


CORRUPTIONS: dict[str, Callable[[Pixels, Generator], Pixels]] = {
    "shot noise": shot_noise, "impulse noise": impulse_noise, "glass blur": glass_blur, "motion blur": motion_blur,
    "shear": shear, "scale": scale, "rotate": rotate, "brightness": brightness, "translate": translate,
    "stripe": stripe, "fog": fog, "spatter": spatter, "dotted line": dotted_line, "zigzag": zigzag,
    "canny edges": canny_edges,
}  # fmt: skip
