"""A person's picture, brought to digits in MNIST form: decode, find the paper, find the ink, cut out."""

import io
import math
import os
import stat
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mnistry.form import BOX, mnist_form
from mnistry.settings import MnistryError

Source = str | os.PathLike[str] | bytes | bytearray | NDArray[Any] | Image.Image
Box = tuple[int, int, int, int]  # x, y, width, height in the picture's own pixels, as it is seen upright

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MOST_BYTES = 64 * 2**20
MOST_PIXELS = 60_000_000  # phones take 12 to 50 million
LONGEST_SIDE = 30_000
WORKING_SIDE = 1200  # pixels; digits need no more, and memory stays small
FAINTEST = 10.0  # of 255: less contrast than this is no ink
EDGE = 0.2  # of full ink: where a stroke begins
HALO = 0.1  # of full ink: what JPEG leaves around a stroke
THIN_STROKE = 1.3  # pixels in the 20x20 box; hardly any of MNIST's training digits has thinner ones (1 % below 1.5)
SLANTED = (
    1.25  # outline of a stroke counted in steps along the axes, by its true length; 4/pi on the mean of all slants
)


class PictureError(MnistryError):
    """A picture that cannot be read; the text is the reason."""


@dataclass(frozen=True)
class Crop:
    """One digit: where it stands in the picture, and its MNIST form, uint8 (28, 28)."""

    box: Box
    image: NDArray[np.uint8]


def find_digits(source: Source) -> list[Crop]:
    """Find the digits of a picture, in reading order; an empty list where there is no ink.

    `source` is a path, the bytes of a file, a Pillow image or an array: (height, width) or (height, width, 3 or 4),
    bool, uint8, uint16 or float from 0 to 1. Dark on light and light on dark are told apart by the border, which is
    taken for paper. Today all ink on plain ground is one digit. Raises PictureError.
    """
    image, size = open_picture(source)
    ink = find_ink(np.asarray(image, np.float32))
    edge = ink >= EDGE
    if not edge.any():
        return []
    rows, columns = _reach(edge.max(axis=1)), _reach(edge.max(axis=0))
    return [Crop(_box(rows, columns, ink.shape, size), mnist_form(thickened(ink[rows, columns])))]


def find_ink(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much ink each pixel holds, from 0 (paper) to 1: (height, width, 3) of 0 to 255 -> (height, width).

    Paper is the colour of the border; ink is distance from it, so any two colours will do. What noise reaches counts
    as paper, what most of the stroke has counts as full ink.
    """
    distance = np.sqrt(((pixels - _paper(pixels)) ** 2).mean(axis=2))
    threshold = _otsu(distance)
    stroke = distance > threshold
    if not stroke.any():
        return np.zeros_like(distance)
    noise = 3 * float(np.median(distance[~stroke]))
    full = float(np.percentile(distance[stroke], 90))
    if full < max(FAINTEST, 1.5 * noise):
        return np.zeros_like(distance)
    ink: NDArray[np.float32] = ((distance - noise) / (full - noise)).clip(0, 1)
    ink[ink < HALO] = 0
    return ink


def thickened(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Widen the strokes of one digit where they would be thinner than MNIST's thinnest after scaling.

    `ink` is (height, width) from 0 to 1, cut out tightly. A line of one pixel on a large canvas would otherwise fade.
    """
    missing = THIN_STROKE * max(ink.shape) / BOX - stroke_width(ink)
    if missing <= 0:
        return ink
    reach = math.ceil(missing / 2)
    padded = np.pad(ink, reach)
    wide = _dilated(_dilated(padded, reach, 0), reach, 1)
    return padded + (wide - padded) * np.float32(missing / 2 / reach)  # a part of a pixel as a soft edge


def stroke_width(ink: NDArray[np.float32]) -> float:
    """Mean width of the strokes in pixels: twice the area by the outline, whatever their softness."""
    padded = np.pad(ink, 1)
    outline = np.abs(np.diff(padded, axis=0)).sum() + np.abs(np.diff(padded, axis=1)).sum()
    return float(2 * ink.sum() / (outline / SLANTED)) if outline else 0.0


def _dilated(ink: NDArray[np.float32], reach: int, axis: int) -> NDArray[np.float32]:
    """The most ink within `reach` pixels to both sides along one axis."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(ink, reach), 2 * reach + 1, axis=axis)
    wide: NDArray[np.float32] = windows.max(axis=-1)
    return wide[:, reach:-reach] if axis == 0 else wide[reach:-reach]


# --- Decoding ---------------------------------------------------------------------------------------------


def open_picture(source: Source) -> tuple[Image.Image, tuple[int, int]]:
    """Open a picture upright, as 8-bit RGB on paper, shrunk where it is large; and its own width and height.

    Raises PictureError with the reason.
    """
    if not isinstance(source, str | os.PathLike | bytes | bytearray | np.ndarray | Image.Image):
        raise PictureError(f"a picture is a path, bytes, an array or a Pillow image, not {type(source).__name__}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of oddities in files that it reads all the same
            image, size = _open(source)
            upright = _upright(image)
            return _rgb(upright), size if upright.size == image.size else size[::-1]
    except PictureError:
        raise
    # A hostile file makes Pillow raise nearly anything (OSError, ValueError, SyntaxError, struct.error,
    # DecompressionBombError, NotImplementedError, ...); whichever it is, the file cannot be read.
    except Exception as problem:
        raise PictureError(f"damaged picture ({problem or type(problem).__name__})") from problem


def _open(source: Source) -> tuple[Image.Image, tuple[int, int]]:
    """The picture in memory, and the size that it has of its own."""
    if isinstance(source, Image.Image):
        _check_size(*source.size)
        return source, source.size
    if isinstance(source, np.ndarray):
        image = _from_array(source)
        return image, image.size
    return _decode(bytes(source) if isinstance(source, bytes | bytearray) else _read_file(source))


def _read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a plain file within the limit; it is opened once, so that it cannot change in between."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PictureError("not a plain file")
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError as problem:
        raise PictureError("no such file") from problem
    except IsADirectoryError as problem:
        raise PictureError("a folder, not a picture") from problem
    except (OSError, ValueError) as problem:
        raise PictureError(f"cannot be opened ({getattr(problem, 'strerror', None) or problem})") from problem
    return data


def _decode(data: bytes) -> tuple[Image.Image, tuple[int, int]]:
    if not data:
        raise PictureError("empty file")
    if len(data) > MOST_BYTES:
        raise PictureError(f"more than {MOST_BYTES // 2**20} MB: make the file smaller")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as problem:
        raise PictureError(f"no picture: expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}") from problem
    size = image.size
    _check_size(*size)
    if image.format in ("JPEG", "MPO"):
        image.draft("RGB", (WORKING_SIDE, WORKING_SIDE))  # decodes a large photo at a fraction of its size
    image.load()
    return image, size


def _check_size(width: int, height: int) -> None:
    if min(width, height) < 1 or max(width, height) > LONGEST_SIDE or width * height > MOST_PIXELS:
        raise PictureError(
            f"{width} x {height} pixels: expected at most {MOST_PIXELS // 10**6} million, "
            f"and sides from 1 to {LONGEST_SIDE}"
        )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - broken EXIF data says nothing about the pixels
        return image


def _rgb(image: Image.Image) -> Image.Image:
    """As RGB on paper, shrunk so far that the longest side fits: averaged over squares."""
    if image.mode.startswith(("I", "F")):
        image = _from_array(np.asarray(image))
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image = image.reduce(max(1, -(-max(image.size) // WORKING_SIDE)))
    return _on_paper(image) if image.mode == "RGBA" else image


def _on_paper(image: Image.Image) -> Image.Image:
    """Lay a transparent picture on white, or on black where white would swallow it."""
    white, black = (
        Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("RGB")
        for ground in ("white", "black")
    )
    return white if _contrast(white) >= FAINTEST else black


def _contrast(image: Image.Image) -> int:
    return max(high - low for low, high in image.getextrema())  # type: ignore[misc]


def _from_array(array: NDArray[Any]) -> Image.Image:
    """An array of any usual kind as an 8-bit image; 16 bits are scaled down, where Pillow would clip them."""
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise PictureError(f"an array of shape {array.shape}: expected (height, width) or (height, width, 3 or 4)")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    _check_size(array.shape[1], array.shape[0])
    if array.dtype.kind not in "buif" or not np.isfinite(array).all():
        raise PictureError(f"an array of {array.dtype} with values that are no pixels: expected finite numbers")
    return Image.fromarray(_to_bytes(array))


def _to_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    values: NDArray[np.float64] = array.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535:  # no usual range: what is there is spread over the whole
        values, high = (values / 2 - low / 2) / max(high / 2 - low / 2, 1e-6), 1.0
    top = 1 if high <= 1 else 255 if high <= 255 else 65535
    return np.rint(values * (255 / top)).astype(np.uint8)


# --- Paper and ink ----------------------------------------------------------------------------------------


def _paper(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colour of most of the border: (3,)."""
    height, width = pixels.shape[:2]
    rim = max(1, min(height, width) // 50)
    border = np.ones((height, width), bool)
    border[rim : height - rim, rim : width - rim] = False
    colour: NDArray[np.float32] = np.median(pixels[border], axis=0)
    return colour


def _otsu(values: NDArray[np.float32]) -> float:
    """The threshold that parts values into the two most distinct groups (Otsu, 1979)."""
    counts, edges = np.histogram(values, bins=256, range=(0, max(float(values.max()), 1.0)))
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    parts = (below > 0) & (above > 0)
    if not parts.any():
        return float(edges[-1])  # one value alone: nothing stands out
    mean_below, mean_above = sums / below.clip(1), (sums[-1] - sums) / above.clip(1)
    spread = np.where(parts, below * above * (mean_below - mean_above) ** 2, -1)
    return float(edges[1 + int(spread.argmax())])


def _reach(marked: NDArray[np.bool_]) -> slice:
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
