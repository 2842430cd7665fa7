"""How a camera, a scanner or a screen shows a page: light, shadows, stains, blur, noise, stripes, JPEG.

Each effect changes a picture float32 (height, width, 3) from 0 to 255; none of them moves anything.
"""

import cv2
import numpy as np

from mnistry.data.drawing.grounds import axes, blend, texture
from mnistry.data.drawing.marks import Floats, Generator


def light(picture: Floats, random: Generator) -> Floats:
    """Lighter on one side than on the other, or in the middle."""
    height, width = picture.shape[:2]
    x, y = axes(height, width)
    angle, dark = random.uniform(0, 6.3), random.uniform(0.1, 0.65)
    along = np.float32(np.cos(angle) / width) * x + np.float32(np.sin(angle) / height) * y
    if random.random() < 0.3:
        along = 2 * np.abs(along)
    along = (along - along.min()) / max(float(np.ptp(along)), 1e-6)
    return picture * (1 - np.float32(dark) * along)[:, :, None]


def shadow(picture: Floats, random: Generator) -> Floats:
    """The shadow of a hand, a head or a telephone, with a hard or a soft edge."""
    height, width = picture.shape[:2]
    x, y = axes(height, width)
    angle, softness = (
        random.uniform(0, 6.3),
        float(np.exp(random.uniform(np.log(0.4), np.log(0.15 * max(height, width))))),
    )
    from_x, from_y = random.uniform(0.05, 0.95, 2) * (width, height)
    depth = np.float32(np.cos(angle)) * (x - np.float32(from_x)) + np.float32(np.sin(angle)) * (y - np.float32(from_y))
    if random.random() < 0.4:  # a corner
        other = np.float32(-np.sin(angle)) * (x - np.float32(from_x)) + np.float32(np.cos(angle)) * (
            y - np.float32(from_y)
        )
        depth = np.minimum(depth, other)
    if random.random() < 0.3:
        depth = depth + np.float32(0.05 * width) * np.sin(np.float32(random.uniform(4, 12) / width) * (x + y))
    dark = np.float32(random.uniform(0.2, 0.75)) * (0.5 + depth / np.float32(2 * softness)).clip(0, 1)
    tint = np.asarray(1 + random.normal(0, 0.04, 3), np.float32)
    return picture * (1 - dark[:, :, None] * tint)


def stains(picture: Floats, random: Generator) -> Floats:
    """Large soft spots."""
    field = texture(picture.shape[0], picture.shape[1], 10.0, random)
    alpha = ((field - random.uniform(0.8, 1.6)) * random.uniform(0.3, 2)).clip(0, 1) * random.uniform(0.1, 0.6)
    blend(picture, np.asarray(alpha, np.float32), random.uniform(60, 230, 3).astype(np.float32))
    return picture


def spatter(picture: Floats, random: Generator) -> Floats:
    """Drops and specks of any colour that hide what is below them."""
    field = texture(picture.shape[0], picture.shape[1], float(random.choice((1.0, 3.0))), random)
    alpha = ((field - random.uniform(2.0, 2.8)) * random.uniform(1, 6)).clip(0, 1)
    blend(picture, np.asarray(alpha, np.float32), random.uniform(0, 255, 3).astype(np.float32))
    return picture


def fog(picture: Floats, random: Generator) -> Floats:
    """A veil, thicker here and thinner there."""
    field = texture(picture.shape[0], picture.shape[1], 40.0 if random.random() < 0.5 else 10.0, random)
    alpha = (random.uniform(0.2, 0.6) + 0.15 * field).clip(0, 0.8)
    blend(picture, np.asarray(alpha, np.float32), np.full(3, random.uniform(120, 255), np.float32))
    return picture


def stripes(picture: Floats, random: Generator) -> Floats:
    """Bands of another brightness over all, as of a screen or a bad scanner; some turn dark and light round."""
    height, width = picture.shape[:2]
    x, y = axes(height, width)
    way = x if random.random() < 0.5 else y
    long = random.uniform(0.03, 0.6) * max(height, width)
    wave = np.sin(way * np.float32(6.28 / long) + np.float32(random.uniform(0, 6.3)))
    if random.random() < 0.2:
        return np.where((wave > random.uniform(0.2, 0.8))[:, :, None], 255 - picture, picture)
    if random.random() < 0.5:
        wave = (6 * wave).clip(-1, 1)
    return np.asarray(picture + np.float32(random.uniform(3, 30)) * np.broadcast_to(wave, (height, width))[:, :, None])


def blur(picture: Floats, random: Generator, most: float) -> Floats:
    """Out of focus, or moved; by up to so many pixels."""
    if random.random() < 0.7:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(0.3, float(random.uniform(0.2, most)))))
    long = max(2, round(2.5 * random.uniform(0.3, most)))
    kernel = np.zeros((long, long), np.float32)
    ends = ((0, int(random.integers(long))), (long - 1, int(random.integers(long))))
    cv2.line(kernel, *(ends if random.random() < 0.5 else (ends[0][::-1], ends[1][::-1])), 1.0)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()))


def noise(picture: Floats, random: Generator, most: float) -> Floats:
    """Of a sensor: grey or coloured, of single pixels or of some together."""
    height, width = picture.shape[:2]
    strong = np.float32(most * random.uniform(0.1, 1) ** 2)
    smooth = 1.0 if random.random() < 0.3 else 0.0
    if random.random() < 0.5:
        return picture + strong * texture(height, width, smooth, random)[:, :, None]
    return picture + strong * np.stack([texture(height, width, smooth, random) for _ in range(3)], axis=2)


def impulses(picture: Floats, random: Generator) -> Floats:
    """Single pixels that are black or white."""
    field, level = texture(picture.shape[0], picture.shape[1], 0.0, random), np.float32(random.uniform(1.6, 3))
    picture[field > level] = 255
    picture[field < -level] = 0
    return picture


def glass(picture: Floats, random: Generator, most: float) -> Floats:
    """Through rough glass: each pixel from somewhere near."""
    height, width = picture.shape[:2]
    x, y = axes(height, width)
    reach = np.float32(random.uniform(0.2, most))
    u, v = x + reach * texture(height, width, 0.0, random), y + reach * texture(height, width, 0.0, random)
    return np.asarray(cv2.remap(picture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def jpeg(picture: Floats, random: Generator) -> Floats:
    """Through a JPEG file of middling to bad quality."""
    quality = int(random.uniform(12, 92))
    _, packed = cv2.imencode(".jpg", picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.float32)


def shrunk(picture: Floats, random: Generator, least: float) -> Floats:
    """Made smaller, down to this share, and larger again."""
    height, width = picture.shape[:2]
    share = random.uniform(least, 0.95)
    small = cv2.resize(
        picture, (max(4, round(width * share)), max(4, round(height * share))), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def seen(picture: Floats, size: float, stroke: float, contrast: float, random: Generator) -> Floats:
    """A page as some picture shows it: clean, or with some of the above.

    `size` is a digit's height and `stroke` the width of its strokes in pixels, `contrast` is how far ink and paper are
    apart, 0 to 255: noise and blur stay below what would hide the ink.
    """
    chance = random.random
    if chance() < 0.25:
        return picture
    calm = min(1.0, contrast / 60) * min(1.0, size / 24)
    if chance() < 0.3:
        picture = light(picture, random)
    if chance() < 0.16:
        picture = shadow(picture, random)
    if chance() < 0.08:
        picture = stains(picture, random)
    if chance() < 0.05 * calm:
        picture = fog(picture, random)
    if chance() < 0.3:
        picture = blur(picture, random, 0.35 + min(0.03 * size, 0.6 * stroke))
    if chance() < 0.03:
        picture = glass(picture, random, 0.3 + 0.2 * stroke)
    if chance() < 0.05 * calm:
        picture = spatter(picture, random)
    if chance() < 0.06 * calm:
        picture = stripes(picture, random)
    if chance() < 0.45:
        picture = noise(picture, random, min(contrast, 130) * min(0.3, 0.06 + 0.05 * stroke))
    if chance() < 0.04 * calm:
        picture = impulses(picture, random)
    if chance() < 0.1 and size > 18:
        picture = shrunk(picture, random, max(0.3, 14 / size))
    if chance() < 0.3:
        picture = jpeg(picture, random)
    if contrast > 90 and chance() < 0.3:
        grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
        picture = np.repeat(grey[:, :, None], 3, axis=2)
    return picture
