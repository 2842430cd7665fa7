"""Find the digits of a picture in reading order, in MNIST form, with alternative ways to split those that touch."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.imaging.binarization import EDGE, SMALLEST_PHOTO, Ink, binarize
from mnistry.imaging.connected_components import Components, Mask, find_components, quantile, rank_filter
from mnistry.imaging.decode import PictureError, Source, open_picture
from mnistry.imaging.normalization import BOX, normalize
from mnistry.imaging.page_detection import find_pages, remove_frames
from mnistry.imaging.rule_lines import remove_rule_lines
from mnistry.imaging.segmentation import (
    ComponentGroup,
    around,
    crossed_strokes,
    group_components,
    near,
    propose_cuts,
    side_of_cuts,
)
from mnistry.reading.layout import Box

__all__ = [
    "Box",
    "Crop",
    "PictureError",
    "Segment",
    "SegmentationGraph",
    "Source",
    "find_digits",
    "find_segments",
    "open_picture",
    "views",
]

ALONG = 0.7  # of its height or width: a shape that lies along the border so far is the edge of an object
FAINT = 0.5  # of the usual mean darkness: a fainter shape is a stain, a shadow or a line
LONGEST = 1200  # pixels of the longer side: enough for large digits, and it bounds the time that noise takes
FINE = 100  # pixels of height: enough to split and to read; a taller segment is scaled down
LEAST = 0.1  # of the largest component of a slice: a smaller one is a remnant of a neighbour
SCRAP = 0.4  # of a segment's height: a lower slice may be left out
THIN_STROKE = 1.3  # pixels in the 20x20 box; hardly any of MNIST's training digits has thinner ones (1 % below 1.5)
SLANTED = 1.25  # outline length in steps along the axes divided by true length: 4/pi on average over directions


@dataclass(frozen=True)
class Crop:
    """One digit: its box in the picture, (left, top, width, height) in pixels, and its MNIST form, uint8 (28, 28)."""

    box: Box
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class SegmentationGraph:
    """A segment cut into `parts` slices from left to right, and the digits that runs of slices could be.

    `crops[i, j]` is the crop of the slices from i up to j (exclusive), and is missing where that cannot be a digit.
    `crossed[k]` is the number of strokes that the cut between slices k and k + 1 crosses. `scraps` are the slices too
    low to be a digit, such as a dash.
    """

    parts: int
    crops: Mapping[tuple[int, int], Crop]
    crossed: tuple[int, ...]
    scraps: frozenset[int]


@dataclass(frozen=True)
class Segment:
    """A connected piece of writing: one digit, `whole`, or several that touch.

    `ink` (height, width), from 0 to 1, is its own ink; `stroke` is its usual stroke width in pixels; `crop` turns a
    part of the ink, in an array of the same shape, into MNIST form. `joined` is this segment and the next in the row as
    one digit, such as a 4 of two strokes, if they are near enough.
    """

    whole: Crop
    ink: Ink
    stroke: float
    crop: Callable[[Ink], Crop]
    joined: "Segment | None" = None

    def slices(self) -> SegmentationGraph | None:
        """The ways to split it, or None if it is too narrow for two digits."""
        cuts = propose_cuts(self.ink, self.stroke)
        if not cuts:
            return None
        sides, n = side_of_cuts(self.ink.shape, cuts), len(cuts) + 1
        marked = self.ink >= EDGE
        crops = {}
        for i, j in itertools.combinations(range(n + 1), 2):
            if j - i == n:
                continue
            inside = _without_scraps(marked & (sides >= i) & (sides < j))
            if _may_be_digit(inside, len(marked)):
                soft = inside | (~marked & (sides >= i) & (sides < j))
                crops[i, j] = self.crop(np.where(soft, self.ink, np.float32(0)))
        scraps = frozenset(i for i in range(n) if _height((sides == i) & marked) < SCRAP * len(marked))
        return SegmentationGraph(n, crops, tuple(crossed_strokes(marked, cut) for cut in cuts), scraps)


def find_digits(source: Source) -> list[Crop]:
    """Find the digits of a picture, in reading order, without splitting those that touch; empty if there is no ink.

    `source` is a path, the bytes of a file, a Pillow image or an array: (height, width) or (height, width, 3 or 4),
    bool, uint8, uint16 or float from 0 to 1. Raises PictureError.
    """
    return [segment.whole for row in find_segments(source) for segment in row]


def find_segments(source: Source) -> list[list[Segment]]:
    """Find the rows of writing in a picture, each from left to right; see `find_digits`. Raises PictureError."""
    return next(views(*open_picture(source)))


def views(picture: Image.Image, size: tuple[int, int]) -> Iterator[list[list[Segment]]]:
    """The rows of writing in an RGB picture that was `size` pixels wide and high, and then in each sheet in it."""
    if max(picture.size) > LONGEST:
        picture = picture.copy()
        picture.thumbnail((LONGEST, LONGEST), Image.Resampling.BOX)
    pixels = np.asarray(picture)
    yield _rows(pixels, size)
    if min(pixels.shape[:2]) >= SMALLEST_PHOTO:
        yield from (_rows(page, size) for page in find_pages(pixels))


def _rows(pixels: NDArray[np.uint8], size: tuple[int, int]) -> list[list[Segment]]:
    ink = binarize(pixels)
    mask = ink >= EDGE
    if not mask.any():
        return []
    if min(mask.shape) >= SMALLEST_PHOTO:
        mask = remove_rule_lines(remove_frames(mask), ink)
    return _Page(ink, find_components(mask), size).rows()


class _Page:
    """The ink of a picture and the components in it."""

    def __init__(self, ink: Ink, components: Components, size: tuple[int, int]) -> None:
        self.ink, self.size, self.stroke = ink, size, 1.0
        self.components = components
        if components.n:
            self.components = components.chosen(_of_strokes(components, ink)) if components.n > 1 else components
            self.stroke = _usual_stroke(self.components)

    def rows(self) -> list[list[Segment]]:
        if not self.components.n:
            return []
        rows = group_components(self.components, self.stroke)
        numbers = np.zeros(self.components.n, np.int32)  # 0: ink that belongs to no digit
        segments = [segment for row in rows for segment in row]
        for number, segment in enumerate(segments, 1):
            numbers[segment.components] = number
        painted = self.components.paint(np.where(numbers > 0, numbers, -1))
        found, number = [], 0
        for row in rows:
            found.append([self._with_next(row[k : k + 2], painted, number + k + 1) for k in range(len(row))])
            number += len(row)
        return found

    def _with_next(self, segments: list[ComponentGroup], painted: NDArray[np.int32], number: int) -> Segment:
        """A segment's segment, and where the next one is near both in one."""
        segment = self._segment(segments[0], painted, number)
        if len(segments) == 1 or not near(*segments):
            return segment
        both = ComponentGroup(around(*segments), np.concatenate([segment.components for segment in segments]))
        pair = np.where(painted == number + 1, np.int32(number), painted)
        return replace(segment, joined=self._segment(both, pair, number))

    def _segment(self, segment: ComponentGroup, painted: NDArray[np.int32], number: int) -> Segment:
        """Cut a segment out, with the soft edge of its strokes and without its neighbours' ink."""
        reach = max(1, round(self.stroke / 3))
        left, top = max(segment.box[0] - reach, 0), max(segment.box[1] - reach, 0)
        window = (slice(top, segment.box[3] + reach), slice(left, segment.box[2] + reach))
        own = painted[window] == number
        own = rank_filter(rank_filter(own, 2 * reach + 1, np.maximum, 0), 2 * reach + 1, np.maximum, 1)
        own &= (painted[window] == 0) | (painted[window] == number)
        full = quantile(self.ink[window][painted[window] == number], 0.9)  # what most of the stroke has
        ink = np.where(own, (self.ink[window] / np.float32(full)).clip(0, 1), np.float32(0))
        scale = max(1, min(len(ink) // FINE, int(self.stroke / 2)))
        crop = partial(self._crop, left, top, scale)
        ink = _reduced(ink, scale)
        height, width = self.ink.shape
        down = slice(max(segment.box[1] - 1, 0), min(segment.box[3] + 1, height))
        across = slice(max(segment.box[0] - 1, 0), min(segment.box[2] + 1, width))
        whole = Crop(_box(down, across, self.ink.shape, self.size), crop(ink).image)  # finer than the reduced ink
        return Segment(whole, ink, self.stroke / scale, crop)

    def _crop(self, left: int, top: int, scale: int, ink: Ink) -> Crop:
        edge: Mask = ink >= EDGE
        rows, columns = _reach(edge.any(axis=1)), _reach(edge.any(axis=0))
        image = normalize(thickened(ink[rows, columns]))
        height, width = self.ink.shape
        down = slice(rows.start * scale + top, min(rows.stop * scale + top, height))
        across = slice(columns.start * scale + left, min(columns.stop * scale + left, width))
        return Crop(_box(down, across, self.ink.shape, self.size), image)


def _of_strokes(components: Components, ink: Ink) -> Mask:
    """Mark the components (n,) that are not faint and, in photos, not the edge of an object at the border."""
    means = components.means(ink)
    kept: Mask = means >= FAINT * np.average(means, weights=components.area)
    if min(ink.shape) >= SMALLEST_PHOTO:
        inside = kept & (components.along_border() < ALONG)
        return inside if inside.any() else kept
    return kept


def _reduced(ink: Ink, scale: int) -> Ink:
    """Means over squares of `scale` pixels."""
    if scale == 1:
        return ink
    height, width = ink.shape
    whole = np.pad(ink, ((0, -height % scale), (0, -width % scale)))
    return whole.reshape(len(whole) // scale, scale, -1, scale).mean(axis=(1, 3))


def _height(mask: Mask) -> int:
    rows = np.flatnonzero(mask.any(axis=1))
    return int(rows[-1] - rows[0]) + 1 if len(rows) else 0


def _without_scraps(mask: Mask) -> Mask:
    """A part of a segment without the remnants of its neighbours that a cut left."""
    components = find_components(mask)
    if components.n < 2:
        return mask
    kept: Mask = components.paint((components.area >= LEAST * components.area.max()).astype(np.int32)) > 0
    return kept


def _may_be_digit(mask: Mask, height: int) -> bool:
    """Whether a part of a segment of this height is tall enough and not too wide."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return False
    tall, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    return tall >= 0.5 * height and wide <= 1.6 * tall


def _usual_stroke(components: Components) -> float:
    """Median length in pixels of the horizontal runs of ink; horizontal strokes have few, long runs."""
    large = components.area[components.labels] >= components.area.max() / 10
    return float(quantile((components.ends - components.starts)[large], 0.5))


def thickened(ink: Ink) -> Ink:
    """Widen the strokes of a digit that would be thinner than MNIST's thinnest after scaling: they would fade.

    `ink` is (height, width) from 0 to 1, cropped tightly; the result is larger on each side by what was added.
    """
    missing = THIN_STROKE * max(ink.shape) / BOX - stroke_width(ink)
    if missing <= 0:
        return ink
    reach = math.ceil(missing / 2)
    padded = np.pad(ink, reach)
    wide = rank_filter(rank_filter(padded, 2 * reach + 1, np.maximum, 0), 2 * reach + 1, np.maximum, 1)
    thick: Ink = padded + (wide - padded) * np.float32(missing / 2 / reach)  # a part of a pixel as a soft edge
    return thick


def stroke_width(ink: Ink) -> float:
    """Mean stroke width in pixels of `ink` (height, width), from 0 to 1: twice its area by its outline's length."""
    outline = np.abs(ink[1:] - ink[:-1]).sum() + np.abs(ink[:, 1:] - ink[:, :-1]).sum()
    outline += ink[0].sum() + ink[-1].sum() + ink[:, 0].sum() + ink[:, -1].sum()  # against the paper around
    return float(2 * ink.sum() / (outline / SLANTED)) if outline else 0.0


def _reach(marked: Any) -> slice:
    """From the first to the last mark, and a pixel more on either side for the stroke's soft edge."""
    places = np.flatnonzero(marked)
    return slice(max(int(places[0]) - 1, 0), int(places[-1]) + 2)


def _box(rows: slice, columns: slice, shape: tuple[int, ...], size: tuple[int, int]) -> Box:
    """The box in a picture of `size` whose shrunk form has `shape`."""
    across, down = size[0] / shape[1], size[1] / shape[0]
    left, top = math.floor(columns.start * across), math.floor(rows.start * down)
    right = min(math.ceil(columns.stop * across), size[0])
    bottom = min(math.ceil(rows.stop * down), size[1])
    return left, top, right - left, bottom - top
