"""Letters and signs of matplotlib's free fonts, without those that people write like a digit."""
# ruff: noqa: RUF001 - the letters are meant

import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 56  # pixels
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
    from PIL import Image, ImageDraw

    font = _font(str(generator.choice(FONTS)) if text.isascii() else FONTS[int(generator.integers(2))])
    left, top, right, bottom = font.getbbox(text)
    if right <= left or bottom <= top:
        return printed("K", generator)
    picture = Image.new("L", (int(right - left) + 16, int(bottom - top) + 16))
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
    return [letter for letter, name in names.items() if _is_letter(letter, name)]


def _is_letter(letter: str, name: str) -> bool:
    """Whether this is a letter of one of the scripts or a sign, and no relative of one that looks like a digit."""
    plain = unicodedata.normalize("NFD", letter)[0]
    if letter in LIKE_DIGITS or plain in LIKE_DIGITS or "DIGIT" in name:
        return False
    kind = unicodedata.category(letter)[0]
    return (kind == "L" and name.startswith(SCRIPTS)) or (kind == "S" and any(shape in name for shape in SHAPES))
