"""A picture of any kind -> 8-bit RGB on paper, upright, no larger than needed; limits are checked before decoding."""

import io
import os
import stat
import warnings
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from mnistry.settings import MnistryError


@runtime_checkable
class BinaryFile(Protocol):
    """A file that is open for reading bytes: `open(path, "rb")`, `io.BytesIO`, what a web framework uploads."""

    def read(self, size: int = -1, /) -> bytes:
        """At most this many of the next bytes, and none at the end."""


Source = str | os.PathLike[str] | bytes | bytearray | BinaryFile | NDArray[Any] | Image.Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MOST_BYTES = 64 * 2**20
MOST_PIXELS = 60_000_000  # phones take 12 to 50 million
LONGEST_SIDE = 30_000
WORKING_SIDE = 1800  # pixels; digits need no more, and memory stays small
STRIP = 1 << 20  # pixels that are changed at a time, so that a large picture is in memory once
MEMORY = 320 * 2**20  # bytes that decoding may take
# Bytes a pixel that decoding takes, where it is more than the 4 of the picture itself: so large pictures are refused.
WEBP_BYTES = 20  # two canvases, a copy, and the picture
PROGRESSIVE_BYTES = 2  # a channel: its coefficients stay in memory to the last pass
ABOVE_1 = 1.5  # resampling goes beyond a range of 0 to 1 so far at most
SAMPLED = 200  # pixels a side that are enough to see whether ink is light
LIGHT = 64  # of 255: what differs less from white on the mean is light
FAINTEST = 10  # of 255: what differs less from white cannot be seen on it


class PictureError(MnistryError):
    """A picture that cannot be read; the text is the reason."""


def open_picture(source: Source) -> tuple[Image.Image, tuple[int, int]]:
    """Open a picture upright, as 8-bit RGB on paper, shrunk where it is large; and its own width and height.

    Raises PictureError with the reason.
    """
    if not isinstance(source, str | os.PathLike | bytes | bytearray | BinaryFile | np.ndarray | Image.Image):
        raise PictureError(
            f"a picture is a path, bytes, an open file, an array or a Pillow image, not {type(source).__name__}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of oddities in files that it reads all the same
            image, size = _open(source)
            small = _rgb(image, size)
            upright = _upright(small, image)
            return upright, size if upright.size == small.size else size[::-1]
    except PictureError:
        raise
    except MemoryError as problem:
        raise PictureError("there is not enough memory for this picture: make it smaller") from problem
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
    if isinstance(source, str | os.PathLike):
        return _decode(_read_file(source))
    return _decode(bytes(source) if isinstance(source, bytes | bytearray) else _read_open(source))


def _read_open(file: BinaryFile) -> bytes:
    """The rest of an open file, up to one byte more than the limit; raises PictureError with the reason."""
    if isinstance(file, io.TextIOBase):
        raise PictureError("a file opened as text: open it with mode 'rb'")
    pieces, left = [], MOST_BYTES + 1
    try:
        while left > 0 and (piece := file.read(left)):  # a socket gives what it has, piece by piece
            pieces.append(bytes(piece))
            left -= len(piece)
    except (OSError, ValueError, TypeError) as problem:
        raise PictureError(f"the open file cannot be read ({problem})") from problem
    if not pieces:
        raise PictureError("the open file has no more bytes: is seek(0) missing?")
    return b"".join(pieces)


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
    except Image.DecompressionBombError as problem:  # Pillow's own limit, which is higher, and its words are others
        raise PictureError(f"too many pixels: {_limits(MOST_PIXELS)}") from problem
    size = image.size
    _check_size(*size, _most_pixels(image))
    if image.format in ("JPEG", "MPO"):
        image.draft("RGB", _working_size(size)[1])  # a large photo at a half, a quarter or an eighth
    image.load()
    return image, size


def _check_size(width: int, height: int, most: int = MOST_PIXELS) -> None:
    if min(width, height) < 1 or max(width, height) > LONGEST_SIDE or width * height > most:
        raise PictureError(f"{width} x {height} pixels: {_limits(most)}")


def _limits(most: int) -> str:
    return f"expected at most {most // 10**6} million, and sides from 1 to {LONGEST_SIDE}"


def _most_pixels(image: Image.Image) -> int:
    """How many pixels a picture of this kind may have, so that decoding it takes at most MEMORY."""
    if image.format == "WEBP":
        return MEMORY // WEBP_BYTES
    if image.info.get("progressive"):
        return min(MOST_PIXELS, MEMORY // (PROGRESSIVE_BYTES * len(image.getbands())))
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # a strip of it, which may be all of it, is unpacked in memory
        width, height = image.size
        bits = sum(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
        strip = min(image.tag_v2.get(TiffImagePlugin.ROWSPERSTRIP, height), height) * width * bits // 8
        return MOST_PIXELS if 4 * width * height + strip <= MEMORY else MEMORY // (4 + bits // 8)
    return MOST_PIXELS


def _upright(small: Image.Image, image: Image.Image) -> Image.Image:
    """The small picture turned as the one that it was made from says."""
    try:
        small.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
        return ImageOps.exif_transpose(small)
    except Exception:  # noqa: BLE001 - broken EXIF data says nothing about the pixels
        return small


def _working_size(size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """How many pixels a side become one, so that the longest side fits, and the size that this gives."""
    share = max(1, -(-max(size) // WORKING_SIDE))
    return share, (-(-size[0] // share), -(-size[1] // share))


def _rgb(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """As RGB on paper, shrunk so far that the longest side of `size` fits: averaged over squares, in strips."""
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_bytes(_Rows(image)))
    mode, (share, goal) = "RGBA" if image.has_transparency_data else "RGB", _working_size(size)
    if image.size != size:  # opened at a fraction
        return image.convert("RGB").resize(goal, Image.Resampling.BOX)
    width, height = size
    small = Image.new(mode, goal)
    rows = share * max(1, STRIP // (width * share))
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        small.paste(strip.convert(mode).reduce(share), (0, top // share))
    return _on_paper(small) if mode == "RGBA" else small


def _on_paper(image: Image.Image) -> Image.Image:
    """Lay a transparent picture on white, or on black where its ink is light, or white would swallow it."""
    white, black = (
        Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("RGB")
        for ground in ("white", "black")
    )
    return black if _is_light(image) or _contrast(white) < FAINTEST else white


def _is_light(image: Image.Image) -> bool:
    """Whether a picture is transparent for the most part, and what it shows nearly white: a dark edge is no ink."""
    pixels = np.asarray(image.reduce(max(1, max(image.size) // SAMPLED)))
    alpha = pixels[:, :, 3].astype(np.float64)
    off = 255 - pixels[:, :, :3].min(axis=2)
    return bool(0 < alpha.mean() < 128 and (off * alpha).sum() < LIGHT * alpha.sum())


def _contrast(image: Image.Image) -> int:
    return max(high - low for low, high in image.getextrema())  # type: ignore[misc]


def _from_array(array: NDArray[Any]) -> Image.Image:
    """An array of any usual kind as an 8-bit image; 16 bits are scaled down, where Pillow would clip them."""
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise PictureError(f"an array of shape {array.shape}: expected (height, width) or (height, width, 3 or 4)")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    _check_size(array.shape[1], array.shape[0])
    if array.dtype == np.uint8 and array.max() > 1:  # else a mask of 0 and 1
        return Image.fromarray(np.ascontiguousarray(array))
    return Image.fromarray(_to_bytes(array))


class _Rows:
    """The rows of a Pillow image as arrays, when they are asked for."""

    def __init__(self, image: Image.Image) -> None:
        self.image, self.shape = image, image.size[::-1]

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        return np.asarray(self.image.crop((0, rows.start, self.shape[1], rows.stop)))


def _to_bytes(array: "NDArray[Any] | _Rows") -> NDArray[np.uint8]:
    """Values of any usual range as 0 to 255, some rows at a time: no copy of all in float64."""
    height, width = array.shape[:2]
    step = max(1, STRIP // width)
    strips = [slice(top, min(top + step, height)) for top in range(0, height, step)]
    ranges = [_range(array[strip]) for strip in strips]
    low, high = min(one[0] for one in ranges), max(one[1] for one in ranges)
    result = np.empty(array.shape, np.uint8)
    for strip in strips:
        result[strip] = _scaled(array[strip].astype(np.float64), low, high)
    return result


def _range(values: NDArray[Any]) -> tuple[float, float]:
    if values.dtype.kind not in "buif" or not np.isfinite(values).all():
        raise PictureError(f"an array of {values.dtype} with values that are no pixels: expected finite numbers")
    return float(values.min()), float(values.max())


def _scaled(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    if low < 0 or high > 65535:  # no usual range: what is there is spread over the whole
        values, high = (values / 2 - low / 2) / max(high / 2 - low / 2, 1e-6), 1.0
    top = 1 if high <= ABOVE_1 else 255 if high <= 255 else 65535
    scaled: NDArray[np.float64] = np.rint(values * (255 / top)).clip(0, 255)
    return scaled
