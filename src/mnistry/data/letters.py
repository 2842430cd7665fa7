"""Printed letters and signs from matplotlib's free fonts, without those that people write like a digit."""
# ruff: noqa: RUF001 - the letters are meant

import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.imaging.normalization import normalize

SIZE = 56  # pixels
ALIKE = 0.88  # to a letter of LIKE_DIGITS: from here on a letter of another script is its twin
FONTS = ("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono")
COMMON = "CDFHKMNPRTUVWXacdefhkmnprtuvwxΓΔΛΞΠΣΨΩαβγεζηλμξπσφψωДЖИЛФЦШЮЯ?&@#%€£§+=<>*{}÷×±∞√♥★→"
# A letter that people write like a digit would teach the wrong thing.
LIKE_DIGITS = frozenset("BGIJLOQSZbgijloqsyzßЗОВБбзоŁłΙΟοιδθρчЧЭэƧƨІіЈјЅѕҘҙ|¦°")
SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "HEBREW", "ARABIC", "CANADIAN", "TIFINAGH", "NKO",
           "LAO", "LISU", "COPTIC")  # fmt: skip
SHAPES = (
    "ARROW",
    "STAR",
    "SQUARE",
    "TRIANGLE",
    "CROSS",
    "HEART",
    "SUIT",
    "SUMMATION",
    "INTEGRAL",
    "SQUARE ROOT",
    "FACE",
)


def printed(text: str, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Text in one of the fonts, white on black."""
    ink = _drawn(text, _font(str(generator.choice(FONTS)) if text.isascii() else FONTS[int(generator.integers(2))]))
    return ink if ink.any() else printed("K", generator)


def _drawn(text: str, font: Any) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("L", (max(int(right - left), 0) + 16, max(int(bottom - top), 0) + 16))
    ImageDraw.Draw(picture).text((8 - left, 8 - top), text, 255, font=font)
    return np.asarray(picture)


@cache
def _font(name: str) -> Any:
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", SIZE)


@cache
def letters() -> list[str]:
    """Letters and signs of the fonts that look like no digit, Latin first."""
    import matplotlib
    from matplotlib.ft2font import FT2Font

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{FONTS[0]}.ttf"
    names = {chr(code): unicodedata.name(chr(code), "") for code in FT2Font(str(path)).get_charmap()}
    named = [letter for letter, name in names.items() if _is_letter(letter, name)]
    known = sorted(LIKE_DIGITS | set("0123456789"))
    like = directions(np.stack([_form(letter, font) for letter in known for font in (FONTS[0], FONTS[3])]))
    alike = (directions(np.stack([_form(letter, FONTS[0]) for letter in named])) @ like.T).max(axis=1)
    return [letter for letter, likeness in zip(named, alike, strict=True) if likeness < ALIKE]


def directions(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Blurred images (n, 28, 28) as unit vectors (n, 784): the product of two is their similarity."""
    import cv2

    soft = np.stack([cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.8) for image in images])
    flat = soft.reshape(len(images), -1)
    unit: NDArray[np.float32] = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return unit


def thinned(ink: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Printed ink with its strokes thinned by `share` of half their width; unchanged where nothing would be left."""
    import cv2

    depth = cv2.distanceTransform((ink > 127).astype(np.uint8), cv2.DIST_L2, 3)
    half = np.quantile(depth[depth > 0], 0.9) if depth.any() else 1.0
    thin = ((depth - half * share).clip(0, 1) * 255).astype(np.uint8)
    return thin if thin.any() else ink


def _form(letter: str, font: str) -> NDArray[np.uint8]:
    """A letter in MNIST form, written with a pen."""
    return normalize(thinned(_drawn(letter, _font(font)), 0.4))


def _is_letter(letter: str, name: str) -> bool:
    """Whether this is a letter of one of the scripts or a sign, and no relative of one that looks like a digit."""
    plain = unicodedata.normalize("NFD", letter)[0]
    if letter in LIKE_DIGITS or plain in LIKE_DIGITS or "DIGIT" in name:
        return False
    kind = unicodedata.category(letter)[0]
    return (kind == "L" and name.startswith(SCRIPTS)) or (kind == "S" and any(shape in name for shape in SHAPES))
