"""Pixels -> ink: how far each pixel stands out from its own paper, from 0 (paper) to 1 (full ink)."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mnistry.imaging.connected_components import find_components, opening, otsu, quantile, rank_filter

Pixels = NDArray[np.uint8]  # (height, width, 3)
Ink = NDArray[np.float32]  # (height, width)

FAINTEST = 10.0  # of 255: less contrast than this is no ink
MOST_WIDE = 0.3  # of the ink: what may be wider than any stroke
EDGE = 0.2  # of full ink: where a stroke begins
FILLED = 0.9  # of its box: a patch
SMALLEST_PATCH = 20  # pixels
HALO = 0.1  # of full ink: what JPEG leaves around a stroke
WIDEST_STROKE = 0.35  # of the shorter side of an uneven picture
EVEN = 0.1  # of the largest distance from the border's colour: a border that varies less is even paper
ALIKE = 0.15  # of full ink: noises that differ less are alike
NOISE = 5  # standard deviations that noise reaches
SMALLEST_PHOTO = 50  # pixels: what is smaller is a drawing on even ground


def binarize(pixels: Pixels) -> Ink:
    """How much ink each pixel holds: uint8 (height, width, 3) -> float32 (height, width) from 0 (paper) by way of
    1 (usual full ink) to what the strongest strokes have.

    Even paper has the colour of the border; ink is distance from it, so any two colours will do. Where the paper is
    uneven (photos, shadows, a picture on a picture) ink is what is thin and stands out from its own neighbourhood.
    What noise reaches counts as paper.
    """
    distance, unevenness = _distance(pixels)
    if min(pixels.shape[:2]) < SMALLEST_PHOTO:
        return _scaled(distance)
    ink = _scaled(distance)
    full = float(distance.max())
    if unevenness > EVEN * full or not _is_thin(ink):
        return _uneven_ink(pixels)
    patch = _patch(ink >= EDGE)
    if patch is None:
        return ink
    inner = binarize(pixels[patch])  # a picture pasted on a larger ground
    if inner.any():
        ink[:] = 0
        ink[patch] = inner
    return ink


def _patch(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The inside of the largest shape, where that is a filled rectangle, about as wide as high: no digit is."""
    if not mask.any():
        return None
    components = find_components(mask)
    k = int(components.area.argmax())
    height, width = int(components.bottom[k] - components.top[k]), int(components.right[k] - components.left[k])
    filled = components.area[k] >= FILLED * height * width
    if not filled or min(height, width) < max(SMALLEST_PATCH, 0.4 * max(height, width)):
        return None
    rim = 1 + min(height, width) // 50
    return (
        slice(int(components.top[k]) + rim, int(components.bottom[k]) - rim),
        slice(int(components.left[k]) + rim, int(components.right[k]) - rim),
    )


def _is_thin(ink: Ink) -> bool:
    """Whether ink is made of strokes: a patch of another colour is ground for ink of its own."""
    mask = (ink >= EDGE).astype(np.uint8)
    wide = opening(mask, 2 * round(WIDEST_STROKE * min(ink.shape) / 2) + 1)
    return int(wide.sum()) <= MOST_WIDE * int(mask.sum())


def _distance(pixels: Pixels) -> tuple[NDArray[np.float32], float]:
    """Distance of each pixel from the colour of most of the border, and how far nearly all of the border is."""
    height, width = pixels.shape[:2]
    rim = max(1, min(height, width) // 50)
    strips = (pixels[:rim], pixels[-rim:], pixels[:, :rim], pixels[:, -rim:])
    border = np.concatenate([strip.reshape(-1, 3) for strip in strips]).astype(np.float32)
    paper = quantile(border, 0.5)
    unevenness = float(np.sqrt(quantile(((border - paper) ** 2).mean(axis=1), 0.9)))
    rest = pixels - paper
    return np.sqrt(np.einsum("ijk,ijk->ij", rest, rest) / np.float32(3)), unevenness


def _scaled(distance: NDArray[np.float32]) -> Ink:
    """Distances from the paper, from 0 where noise reaches to 1 at full ink; all 0 where nothing stands out."""
    threshold = otsu(distance)
    stroke = distance > threshold
    if not stroke.any():
        return np.zeros_like(distance)
    noise = 3 * float(quantile(distance[~stroke], 0.5))
    full = float(quantile(distance[stroke], 0.9))
    if full < max(FAINTEST, 1.5 * noise):
        return np.zeros_like(distance)
    ink: Ink = ((distance - noise) / (full - noise)).clip(0)
    ink[ink < HALO] = 0
    return ink


def _uneven_ink(pixels: Pixels) -> Ink:
    """Ink on uneven paper: what an opening by a square wider than any stroke takes away."""
    size = 2 * round(WIDEST_STROKE * min(pixels.shape[:2]) / 2) + 1
    values, bright, scale = _contrast(pixels, size)
    hats = [_hat(values, size), _hat(255 - values, size)]
    noises = [noise / max(full, 1) for _, noise, full in hats]
    # Between ruled lines the paper itself looks like strokes of the other kind, and there is more of it. Where most of
    # the picture is flat either way, ink is what is rarer.
    alike = abs(noises[0] - noises[1]) < ALIKE
    chosen = int(not bright) if alike else int(noises[0] > noises[1])
    hat, noise, full = hats[chosen]
    if full < max(FAINTEST / 2 * scale, 1.5 * noise):
        return np.zeros(hat.shape, np.float32)
    ink: Ink = ((hat - np.float32(noise)) / np.float32(full - noise)).clip(0)
    ink[ink < HALO] = 0
    return ink


def _hat(values: NDArray[np.uint8], size: int) -> tuple[NDArray[np.uint8], float, float]:
    """What is thin and bright, where its noise ends, and its full strength."""
    ground = opening(values, size)
    reach = size // 8 * 2 + 1  # the square does not fit into the round corners of a shadow or a thing
    ground = np.minimum(values, rank_filter(rank_filter(ground, reach, np.maximum, 0), reach, np.maximum, 1))
    hat = values - ground
    levels = np.cumsum(np.bincount(hat.ravel(), minlength=256)) / hat.size
    middle = int(np.searchsorted(levels, 0.5))
    spread = 1.4826 * float(np.median(abs(hat[::2, ::2].astype(np.int16) - middle)))
    noise = middle + NOISE * max(spread, 0.5)
    above = 1 - (1 - levels[min(int(noise), 255)]) / 10  # the strongest tenth of what is above the noise
    return hat, noise, float(np.searchsorted(levels, above))


def _contrast(pixels: Pixels, size: int) -> tuple[NDArray[np.uint8], bool, float]:
    """The picture along the colour axis in which neighbours differ most, whether the rarer ones are
    bright in it, and its scale.

    The axis is the first principal component of the differences from the local mean.
    """
    image = Image.fromarray(pixels)
    smooth = np.asarray(image.filter(ImageFilter.BoxBlur(1)))
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / 40_000) ** 0.5))
    around = np.asarray(image.filter(ImageFilter.BoxBlur(size // 2)))[::step, ::step].astype(np.float32)
    rest = (smooth[::step, ::step] - around).reshape(-1, 3)
    axis = np.linalg.eigh(rest.T @ rest)[1][:, -1]
    values = smooth @ axis.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    bright = bool(((rest @ axis) ** 3).mean() > 0)
    scale = 255 / max(high - low, 1)
    return ((values - low) * np.float32(scale)).astype(np.uint8), bright, scale
