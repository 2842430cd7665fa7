"""Pictures of every kind become the same digit; what is no picture is told in words."""

import io
import os
import struct
import tarfile
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import draw_seven
from mnistry.imaging.decode import PictureError, open_picture
from mnistry.imaging.normalization import normalize
from mnistry.reading.reader import Digit, Reader

READER = Reader()


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def find_digits(source: object) -> tuple[Digit, ...]:
    return READER.read(source).digits  # type: ignore[arg-type]


def one(source: object) -> np.ndarray:
    (digit,) = find_digits(source)
    assert digit.digit == 7
    return digit.image.astype(int)


def alike(a: np.ndarray, b: np.ndarray, tolerance: float = 4.0) -> bool:
    """Nearly the same grey levels, but for a step of one pixel: the centre of mass is rounded to a whole one."""
    moved = [np.roll(a, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return min(float(np.abs(m - b).mean()) for m in moved) < tolerance


def transparent(seven: Image.Image, ink: int) -> Image.Image:
    alpha = Image.fromarray(255 - np.asarray(seven.convert("L")))
    return Image.merge("LA", (Image.new("L", seven.size, ink), alpha))


ENCODINGS = {
    "png": lambda p: encoded(p, "PNG"),
    "jpeg": lambda p: encoded(p, "JPEG", quality=75),
    "jpeg progressive": lambda p: encoded(p, "JPEG", progressive=True),
    "webp": lambda p: encoded(p, "WEBP"),
    "bmp": lambda p: encoded(p, "BMP"),
    "gif": lambda p: encoded(p, "GIF"),
    "tiff": lambda p: encoded(p, "TIFF"),
    "tiff lzw": lambda p: encoded(p, "TIFF", compression="tiff_lzw"),
    "grey": lambda p: encoded(p.convert("L"), "PNG"),
    "palette": lambda p: encoded(p.convert("P"), "PNG"),
    "16 bit": lambda p: encoded(Image.fromarray(np.asarray(p.convert("L")).astype(np.uint16) * 257), "PNG"),
    "16 bit tiff": lambda p: encoded(Image.fromarray(np.asarray(p.convert("L")).astype(np.uint16) * 257), "TIFF"),
    "cmyk": lambda p: encoded(p.convert("CMYK"), "JPEG", quality=95),
    "ycbcr": lambda p: encoded(p.convert("YCbCr"), "TIFF"),
    "alpha, black ink": lambda p: encoded(transparent(p, 0), "PNG"),
    "alpha, white ink": lambda p: encoded(transparent(p, 255), "PNG"),
    "alpha, opaque": lambda p: encoded(p.convert("RGBA"), "PNG"),
    "inverted": lambda p: encoded(Image.fromarray(255 - np.asarray(p)), "PNG"),
    "array uint8": np.asarray,
    "array grey": lambda p: np.asarray(p.convert("L")),
    "array float": lambda p: np.asarray(p.convert("L")) / 255,
    "array float to 255": lambda p: np.asarray(p.convert("L")).astype(np.float32),
    "array uint16": lambda p: np.asarray(p.convert("L")).astype(np.uint16) * 257,
    "array of one channel": lambda p: np.asarray(p.convert("L"))[:, :, None],
    "array centred on 0": lambda p: np.asarray(p.convert("L")) / 127.5 - 1,
    "pillow": lambda p: p,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_same_digit_in_any_encoding_looks_the_same(seven: Image.Image, encoding: str):
    assert alike(one(ENCODINGS[encoding](seven)), one(seven))


def test_one_bit_pictures_are_read(seven: Image.Image):
    assert alike(one(encoded(seven.convert("1", dither=Image.Dither.NONE), "PNG")), one(seven), 8)
    assert alike(one(np.asarray(seven.convert("L")) > 128), one(seven), 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(seven: Image.Image, orientation: int):
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180], 4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE], 6: [Image.Transpose.ROTATE_90], 7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }  # fmt: skip
    stored = seven
    for step in undo.get(orientation, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (crop,) = find_digits(encoded(stored, "PNG", exif=exif.tobytes()))
    (upright,) = find_digits(seven)
    assert alike(crop.image.astype(int), upright.image.astype(int))
    assert crop.box == upright.box


@pytest.mark.parametrize(
    ("ink", "paper"),
    [("white", "black"), ("#b48cd8", "white"), ("#ff5050", "#ffb0c0"), ("#909090", "#e09040"), ("#e6e6e6", "white")],
)
def test_any_two_colours_will_do(seven: Image.Image, ink: str, paper: str):
    assert alike(one(draw_seven(ink, paper)), one(seven), 8)


@pytest.mark.parametrize("size", [(28, 34), (50, 60), (500, 600), (3000, 3600)])
def test_any_size_will_do(seven: Image.Image, size: tuple[int, int]):
    assert alike(one(draw_seven(size=size)), one(seven), 8)


SEVEN = (1000 + 1500 * 0.245, 600 + 1800 * 0.165, 1500 * 0.53, 1800 * 0.67)  # its box in `large_page`


def large_page(width: int, height: int) -> Image.Image:
    """A 7 that is drawn on a picture of 1500x1800 pixels at (1000, 600)."""
    picture = Image.new("RGB", (width, height), "white")
    picture.paste(draw_seven(size=(1500, 1800)), (1000, 600))
    return picture


def test_the_box_is_in_the_pictures_own_pixels():
    (crop,) = find_digits(large_page(4000, 3000))
    assert np.allclose(crop.box, SEVEN, atol=60)


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_box_of_a_large_photo_is_in_its_own_pixels(orientation: int):
    """JPEG is decoded at a fraction of its size."""
    picture = large_page(4800, 3000)
    stored = picture if orientation == 1 else picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (crop,) = find_digits(encoded(stored, "JPEG", exif=exif.tobytes()))
    assert np.allclose(crop.box, SEVEN, atol=60)


@pytest.mark.parametrize("size", [(4032, 3024), (2500, 3333), (4000, 300), (1801, 900)])
def test_a_photo_is_as_large_as_the_same_picture_in_another_format(size: tuple[int, int]):
    """JPEG was opened at a half and then halved again, where a third was enough."""
    picture = Image.new("RGB", size, "white")
    picture.paste("black", (0, 0, size[0] // 2, size[1] // 2))
    small = [open_picture(encoded(picture, kind))[0] for kind in ("PNG", "JPEG")]
    assert small[0].size == small[1].size
    assert np.abs(np.asarray(small[0], int) - np.asarray(small[1], int)).mean() < 2


def test_floats_may_go_beyond_1_a_little_and_a_mask_is_ink(seven: Image.Image):
    """Resampling overshoots: an array from 0 to 1.02 was taken for levels of 0 to 255, and lost its greys."""
    grey = np.asarray(seven.convert("L"))
    for array in (grey / 255 * 1.02, (grey > 127).astype(np.uint8), grey > 127, (grey > 127).astype(np.int64)):
        assert alike(one(array), one(seven), 40)
    opened, _ = open_picture(grey / 255 * 1.02)
    assert np.abs(np.asarray(opened.convert("L"), int) - grey).max() <= 6


def test_light_ink_on_nothing_is_laid_on_black_whatever_its_edge(seven: Image.Image):
    """One dark pixel beside white ink made the ground white, which swallowed the ink."""
    ink = 255 - np.asarray(seven.convert("L"))
    white = np.dstack([np.full((*ink.shape, 3), 255, np.uint8), ink])
    white[3, 3] = (0, 0, 0, 255)
    assert alike(one(Image.fromarray(white)), one(seven), 8)
    card = np.dstack([np.asarray(seven), np.full(ink.shape, 255, np.uint8)])
    card[:20] = 0  # an opaque card below nothing stays on white
    opened, _ = open_picture(Image.fromarray(card))
    assert np.asarray(opened)[:10].min() == 255


def test_noise_is_paper(seven: Image.Image):
    noisy = np.asarray(draw_seven(size=(400, 480))) + np.random.default_rng(0).normal(0, 8, (480, 400, 3))
    assert alike(one(noisy.clip(0, 255).astype(np.uint8)), one(seven), 8)


@pytest.mark.parametrize(
    "blank",
    [
        np.full((80, 80), 255, np.uint8),
        np.zeros((80, 80), np.uint8),
        np.full((1, 1), 7, np.uint8),
        np.random.default_rng(0).integers(245, 256, (200, 200)).astype(np.uint8),
        Image.new("RGBA", (30, 30), (0, 0, 0, 0)),
    ],
    ids=["white", "black", "one pixel", "noise", "transparent"],
)
def test_no_ink_means_no_digit(blank: object):
    assert find_digits(blank) == ()


def test_a_digit_in_mnist_form_stays_as_it_is(few_digits: tuple[np.ndarray, np.ndarray]):
    images, _ = few_digits
    found = [(find_digits(image), normalize(image).astype(int)) for image in images[::10]]
    same = [len(digits) == 1 and alike(digits[0].image.astype(int), form, 10) for digits, form in found]
    assert np.mean(same) >= 0.85  # 8x8 enlarged are all soft edge, and not each is a digit to the model


# --- What is no picture


def bomb(width: int, height: int) -> bytes:
    """A PNG of zeros: small to store, large to hold."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "no picture: expected PNG, JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
        (bomb(60_000, 60_000), r"60000 x 60000 pixels|too many pixels"),
        (bomb(9_000, 9_000), "9000 x 9000 pixels: expected at most 60 million"),
        (bomb(40_000, 2), "40000 x 2 pixels"),
        (bomb(100, 100), "damaged picture"),
    ],
    ids=["empty", "text", "svg", "bomb", "quiet bomb", "long", "no data"],
)
def test_what_cannot_be_read_is_told(data: bytes, reason: str):
    with pytest.raises(PictureError, match=reason):
        find_digits(data)


def test_a_truncated_picture_is_told(seven: Image.Image):
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        data = encoded(seven, kind)
        with pytest.raises(PictureError, match=r"damaged picture|no picture"):
            find_digits(data[: len(data) // 2])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(9),
        np.zeros((2, 2, 2)),
        np.zeros((0, 5)),
        np.full((5, 5), np.nan),
        np.array([["a"]]),
        np.zeros((4, 4), complex),
    ],
    ids=["line", "two channels", "empty", "nan", "text", "complex"],
)
def test_arrays_that_are_no_pictures_are_told(array: np.ndarray):
    with pytest.raises(PictureError, match="an array of"):
        open_picture(array)


@pytest.mark.parametrize("source", [None, 7, [1, 2], object()])
def test_what_is_no_source_at_all_is_told(source: object):
    with pytest.raises(PictureError, match="a picture is a path, bytes, an open file, an array or a Pillow image, not"):
        find_digits(source)


def test_a_huge_array_is_refused_before_it_is_converted():
    with pytest.raises(PictureError, match="20000 x 30001 pixels"):
        find_digits(np.broadcast_to(np.float32(0), (30_001, 20_000)))


def test_extreme_values_are_spread_over_the_range():
    array = np.where(np.asarray(draw_seven().convert("L")) > 128, 1e300, -1e300)
    assert one(array).any()


def test_files_that_are_no_files_are_told(tmp_path: Path):
    loop, pipe = tmp_path / "loop", tmp_path / "pipe"
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    for path, reason in (
        (tmp_path / "none.png", "no such file"),
        (tmp_path, "a folder"),
        (loop, "cannot be opened"),
        (pipe, "not a plain file"),
        ("zero\0byte", "cannot be opened"),
    ):
        with pytest.raises(PictureError, match=reason):
            find_digits(path)


def test_a_name_that_is_no_utf8_is_read(seven: Image.Image, tmp_path: Path):
    path = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    with Path(os.fsdecode(path)).open("wb") as file:
        file.write(encoded(seven, "PNG"))
    assert len(find_digits(os.fsdecode(path))) == 1


@pytest.mark.slow
def test_the_hostile_collection_is_read_or_refused_and_never_hangs(shared: Path):
    """Every second of them; the service gets the others in `test_no_bad_file_of_the_field_breaks_predict`."""
    slow = []
    with tarfile.open(shared / "badfiles" / "badfiles.tar.xz") as archive:
        members = [member for member in archive if member.isfile()]
        for member in members[1::2]:
            data = archive.extractfile(member).read()  # type: ignore[union-attr]
            start = time.process_time()
            with suppress(PictureError):  # anything else is a crash
                find_digits(data)
            if time.process_time() - start > 10:  # a photograph takes up to 0.9, several times that on a busy machine
                slow.append(member.name)
    assert len(members) > 1000
    assert slow == []
