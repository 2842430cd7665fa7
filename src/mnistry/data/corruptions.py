"""Corruptions that bad pictures show: uneven light, noise, drops, lines across, outlines, a background of two tones.

A model that has seen some of it keeps to the strokes. A changed picture is of the same class as before.
"""

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (n, 28, 28), 0 = paper, 255 = ink
Image = NDArray[np.float32]  # (28, 28) from 0 to 1
Generator = np.random.Generator

SIDE = 28
CORRUPTED_TWICE = 0.3  # of the spoilt images: spoilt in two ways
FINE = 4  # lines are drawn so much larger, for a soft edge


def corrupt(images: Images, share: float, generator: Generator) -> Images:
    """A copy of the images in which a share is corrupted in one way or two."""
    images = images.copy()
    for k in np.flatnonzero(generator.random(len(images)) < share):
        image = images[k].astype(np.float32) / np.float32(255)
        for _ in range(1 + (generator.random() < CORRUPTED_TWICE)):
            image = CORRUPTIONS[int(generator.integers(len(CORRUPTIONS)))](image, generator).clip(0, 1)
        images[k] = np.rint(255 * image)
    return images


def _unevenly_lit(image: Image, generator: Generator) -> Image:
    """Uneven light: paper that is nowhere white, and fainter ink."""
    import cv2

    points = int(generator.integers(2, 7))
    field = cv2.resize(
        generator.random((points, points)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )
    contrast = np.float32(generator.uniform(0.15, 1))
    dark, uneven = generator.uniform(0, 1 - 0.6 * contrast), generator.uniform(0, 1)
    paper = np.float32(dark) * (1 - np.float32(uneven) * field)
    return np.asarray(paper + contrast * image, np.float32)


def _grained(image: Image, generator: Generator) -> Image:
    """Camera noise, of single pixels or of groups of pixels."""
    import cv2

    noise = generator.normal(0, generator.uniform(0.05, 0.4), (SIDE, SIDE)).astype(np.float32)
    if generator.random() < 0.3:
        return np.asarray(image + 2 * cv2.GaussianBlur(noise, (3, 3), 0), np.float32)
    return image + noise


def _dropped_on(image: Image, generator: Generator) -> Image:
    """Drops of any grey that hide what is under them."""
    import cv2

    image = image.copy()
    for _ in range(int(generator.integers(1, 9))):
        drop = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
        x, y = generator.integers(0, SIDE * FINE, 2)
        cv2.circle(drop, (int(x), int(y)), int(FINE * generator.uniform(0.6, 3)), 255, -1)
        cover = cv2.resize(drop, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        image += cover * (np.float32(generator.random()) - image)
    return image


def _crossed_out(image: Image, generator: Generator) -> Image:
    """Lines across the whole picture, straight or bent, solid or dashed."""
    import cv2

    canvas = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    for _ in range(int(generator.choice((1, 2, 3), p=(0.6, 0.25, 0.15)))):
        along = np.linspace(-2, SIDE + 2, 60)
        across = generator.uniform(0, SIDE) + np.cumsum(np.cumsum(generator.normal(0, 0.02, 60)))
        across += generator.uniform(-0.5, 0.5) * (along - SIDE / 2)
        points = np.stack([along, across], axis=1)
        if generator.random() < 0.2:  # upright lines are rare: beside a digit they are a 1
            points = points[:, ::-1]
        places = np.rint(points * FINE).astype(np.int32)
        pieces = [places] if generator.random() < 0.6 else np.array_split(places, int(generator.integers(4, 12)))[::2]
        cv2.polylines(canvas, [p[:, None] for p in pieces], False, 255, round(FINE * generator.uniform(0.5, 2)))
    lines = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.maximum(image, np.float32(generator.uniform(0.4, 1)) * lines)


def _outlined(image: Image, generator: Generator) -> Image:
    """Hollow digits: the outline of a stroke instead of the stroke."""
    import cv2

    wide = cv2.dilate(image, np.ones((3, 3), np.uint8))
    outline: Image = wide - image * np.float32(generator.uniform(0.8, 1))
    return outline / max(float(outline.max()), 1e-3)


def _on_two_tones(image: Image, generator: Generator) -> Image:
    """A darker background on one side of a line."""
    angle = generator.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    dark = x * np.cos(angle) + y * np.sin(angle) > generator.uniform(-14, 10)
    return np.where(dark, 1 - image * np.float32(generator.uniform(0.5, 1)), image)


CORRUPTIONS = (_unevenly_lit, _unevenly_lit, _grained, _dropped_on, _crossed_out, _outlined, _on_two_tones)
