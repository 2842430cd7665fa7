"""What is no digit: letters, words and signs of fonts and of pens, doodles, scribbles, crossings-out.

Twins of digits, letters that any person would read as a digit (O, l, Z, S ...), are left out.
"""
# ruff: noqa: RUF001 - the letters are meant

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistry.data.drawing.marks import Field, Floats, Generator, Shape, Strokes, field, skeleton_field, strokes

CANVAS = 80  # pixels that a thing's outline is drawn on
GLYPH = 80  # pixels of a font's size when a letter is kept
LATIN = "ABCDEFHJKMNPQRTUVWXYacdefhkmnprtuvwxAHAHKMNRTEFX"  # more of those that were taken for a digit
GREEK = "ΑΓΔΕΗΚΛΜΝΞΠΡΣΤΥΦΧΨΩαβγδεζηθκλμνξπρςστφχψω"
CYRILLIC = "АГДЕЖИЙКЛМНПРСТУФХЦШЩЯадежикмнптфхцшщя"
OTHERS = (  # of Hebrew, Armenian, Georgian, Canadian and Berber writing
    "אבגהחכלמנצקשתԱԲԴԵԸԹԺԽԿՀՃՄՈՊՌՎՐՓՔՖაბდთლმნოჟრტუფქშჩწჭჯᐁᐂᐅᐊᐋᐯᐱᐳᐸᑌᑎᑐᑕᒥᒪⴳⴷⴹⴻⴼⴽⵀⵃⵅⵎⵖⵛⵜⵟⵡⵣⵥ"
)
SIGNS = "?#%&@€$£§+=<>*×±√♥★→←↑↓~^¥"
ROUND_SIGNS = "?!#%&@$+=<>*~^"  # that OpenCV's pen fonts have
WORDS = [
    "the", "and", "for", "cheque", "bank", "date", "name", "pay", "amount", "total", "euro", "sum", "from", "with",
    "account", "rupees", "dollars", "only", "order", "street", "city", "page", "note", "form", "field", "number",
]  # fmt: skip

TRAINING_FONTS = ("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Oblique")
HELD_BACK_FONTS = ("DejaVuSerif", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralItalic")
TRAINING_PENS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
)
HELD_BACK_PENS = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)


@dataclass(frozen=True)
class Clutter:
    """Draws what is no digit with these fonts of matplotlib and these pen fonts of OpenCV; `by_hand` is the share of
    the currencies' signs that are written and not printed."""

    fonts: Sequence[str] = TRAINING_FONTS
    pens: Sequence[int] = TRAINING_PENS
    by_hand: float = 0.6

    def mark(self, random: Generator) -> Shape:
        """Anything that is no digit."""
        way = random.random()
        if way < 0.42:
            return self.letter(random)
        if way < 0.6:
            return character(random)
        if way < 0.7:
            return self.sign(random)
        return thing(random) if way < 0.77 else doodle(random)

    def letter(self, random: Generator) -> Shape:
        """One letter, printed, thinned to a pen's way, or of a pen font."""
        if random.random() < 0.25:
            letters = [letter for letter in LATIN if letter.isascii()]
            return _pen_text(str(random.choice(letters)), int(random.choice(self.pens)))
        alphabet = (LATIN, GREEK, CYRILLIC, OTHERS)[int(random.choice(4, p=(0.42, 0.24, 0.2, 0.14)))]
        return self._glyph(str(random.choice(list(alphabet))), random)

    def sign(self, random: Generator) -> Shape:
        """A sign such as + or a euro."""
        if random.random() < 0.3:
            return _pen_text(str(random.choice(list(ROUND_SIGNS))), int(random.choice(self.pens)))
        return self._glyph(str(random.choice(list(SIGNS))), random)

    def currency(self, random: Generator) -> Shape:
        """A sign that stands beside an amount."""
        if random.random() < self.by_hand:
            return written(CURRENCIES[int(random.integers(len(CURRENCIES)))], random)
        return self._glyph(str(random.choice(list("$€£#*=₹"))), random)

    def word(self, random: Generator) -> Field:
        """A word in a pen's writing, of 2 to 7 letters that are nobody's digits."""
        if random.random() < 0.5:
            text = str(random.choice(WORDS))
        else:
            text = "".join(random.choice(list("acdefhkmnprtuvwx"), int(random.integers(2, 7))))
        text = text.capitalize() if random.random() < 0.3 and text[0] not in "bsoiylq" else text
        return _line(text, int(random.choice(self.pens)))

    def text(self, height: int, random: Generator) -> Floats:
        """A printed line of words, alpha (about 1.5 x height, any width)."""
        words = " ".join(random.choice(WORDS, int(random.integers(1, 6))))
        words = words.upper() if random.random() < 0.3 else words
        return _printed(words, str(random.choice(self.fonts)), height).astype(np.float32) / np.float32(255)

    def _glyph(self, letter: str, random: Generator) -> Shape:
        for _ in range(8):
            found = _glyph(letter, str(random.choice(self.fonts)), bool(random.random() < 0.65))
            if found is not None:
                return found
        return doodle(random)


@cache
def _glyph(letter: str, font: str, thin: bool) -> Field | None:
    """A letter of a font, or its middle line; None where the font has none."""
    picture = _printed(letter, font, GLYPH)
    missing = _printed("\U0010fffd", font, GLYPH)
    if not picture.any() or (picture.shape == missing.shape and bool((picture == missing).all())):
        return None
    return skeleton_field(picture) if thin else field(picture, smooth=0)


@cache
def _pen_text(text: str, font: int) -> Field:
    return _line(text, font)


def _line(text: str, font: int) -> Field:
    """Text of one of OpenCV's pen fonts as the field of the pen's way."""
    scale = 2.6 if font != cv2.FONT_HERSHEY_PLAIN else 5.0
    (width, height), foot = cv2.getTextSize(text, font, scale, 1)
    canvas = np.zeros((height + foot + 24, width + 40), np.uint8)
    cv2.putText(canvas, text, (20, height + 8), font, scale, 255, 1)
    distances = -cv2.distanceTransform((canvas == 0).astype(np.uint8), cv2.DIST_L2, 5)
    left, top, wide, high = cv2.boundingRect(canvas)
    return Field(distances, (float(left), float(top), float(left + wide), float(top + high)), 0.0)


def _printed(text: str, font: str, size: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    face = _font(font, size)
    left, top, right, bottom = face.getbbox(text)
    picture = Image.new("L", (max(int(right - left), 1) + 4, max(int(bottom - top), 1) + 4))
    ImageDraw.Draw(picture).text((2 - left, 2 - top), text, 255, font=face)
    return np.asarray(picture)


@cache
def _font(name: str, size: int) -> Any:
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", size)


Lines = list[NDArray[np.float64]]
Points = tuple[tuple[float, float], ...]

_BAR, _S = ((0.27, -0.13), (0.26, 1.13)), ((0.5, 0.16), (0.25, 0), (0.03, 0.2), (0.25, 0.48), (0.5, 0.74), (0.28, 1))
_C = ((0.56, 0.16), (0.35, 0), (0.1, 0.22), (0.05, 0.5), (0.1, 0.78), (0.35, 1), (0.58, 0.86))
_POUND = ((0.56, 0.18), (0.4, 0), (0.2, 0.16), (0.22, 0.6), (0.12, 0.95), (0, 1), (0.25, 0.95), (0.6, 1))
CURRENCIES: tuple[tuple[Points, ...], ...] = (  # $, $, £, £, €, ₹, ¥, R and s
    ((*_S, (0, 0.84)), _BAR),
    ((*_S, (0, 0.84)), ((0.2, -0.12), (0.19, 1.12)), ((0.34, -0.12), (0.33, 1.12))),
    (_POUND, ((0, 0.5), (0.45, 0.5))),
    (_POUND, ((0, 0.44), (0.45, 0.44)), ((0, 0.6), (0.45, 0.6))),
    (_C, ((-0.08, 0.42), (0.42, 0.42)), ((-0.08, 0.6), (0.38, 0.6))),
    (((0, 0), (0.6, 0)), ((0, 0.22), (0.6, 0.22)), ((0.1, 0), (0.4, 0.05), (0.42, 0.32), (0.28, 0.44), (0, 0.45)),
     ((0, 0.45), (0.45, 1))),
    (((0, 0), (0.3, 0.45)), ((0.6, 0), (0.3, 0.45), (0.3, 1)), ((0.05, 0.5), (0.55, 0.5)),
     ((0.05, 0.68), (0.55, 0.68))),
    (((0.05, 0), (0.05, 1)), ((0.05, 0.03), (0.35, 0), (0.4, 0.3), (0.08, 0.48)), ((0.1, 0.48), (0.5, 1)),
     ((0.85, 0.6), (0.68, 0.62), (0.82, 0.8), (0.62, 0.98))),
)  # fmt: skip


def written(sign: Sequence[Points], random: Generator) -> Strokes:
    """A sign as a hand writes it: each time a little different."""
    lines = []
    for points in sign:
        placed = np.array(points) + random.normal(0, 0.035, (len(points), 2))
        lines.append(spline(placed) if len(points) > 2 else placed)
    return strokes([(line * (random.uniform(0.8, 1.25), 1)).astype(np.float32) for line in lines])


# --- Characters of alphabets that nobody has ----------------------------------------------------------------------

PLACES = np.array(
    [(x, y) for y in (0.0, 0.33, 0.67, 1.0) for x in (0.0, 0.4, 0.8)]
)  # where strokes begin, bend and end
FEWEST, MOST = 4, 6  # ways between two places: fewer may be somebody's digit


def character(random: Generator) -> Strokes:
    """A letter that nobody has: strokes between a few places, straight, bent or round, most of them joined."""
    lines: Lines = []
    ways, enough = 0, int(random.integers(FEWEST, MOST + 1))
    while ways < enough:
        line, simple = _stroke(lines, random)
        lines.append(line)
        ways += simple
    if random.random() < 0.2:  # the same on the other side
        lines += [line * (-1, 1) for line in lines]
    if random.random() < 0.12:
        dot = random.choice(PLACES) + random.normal(0, 0.2, 2)
        lines.append(np.stack([dot, dot + random.normal(0, 0.03, 2)]))
    shape = (random.uniform(0.6, 1.5), random.uniform(0.7, 1.1))
    return strokes([(line * shape).astype(np.float32) for line in lines])


def _stroke(before: Lines, random: Generator) -> tuple[NDArray[np.float64], int]:
    """A stroke, and how many simple ways it counts for; it may begin on one of those `before`."""
    kind = random.random()
    if kind < 0.15:  # a ring, or most of one
        middle, radius = random.choice(PLACES), random.uniform(0.12, 0.4, 2)
        angle = random.uniform(0, 6.28) + np.linspace(0, random.uniform(4.2, 6.5), 24)
        return middle + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), 2
    many = int(random.choice((2, 3, 4, 5), p=(0.45, 0.3, 0.15, 0.1)))
    points = random.choice(PLACES, many, replace=False) + random.normal(0, 0.05, (many, 2))
    if before and random.random() < 0.65:
        line = before[int(random.integers(len(before)))]
        points[0] = line[int(random.choice((0, len(line) // 2, len(line) - 1)))]
    return _smooth(points, many > 2 and random.random() < 0.6), many - 1


# --- Doodles: ways of a pen in a square of one unit -----------------------------------------------------------


def doodle(random: Generator) -> Strokes:
    """Zigzags, spirals, scribbles, stars, crosses, arrows, boxes, faces, or some strokes one over another."""
    return strokes([line.astype(np.float32) for line in DOODLES[int(random.integers(len(DOODLES)))](random)])


def thing(random: Generator) -> Field:
    """The outline of some object, filled: a leaf, a glove, a bag, with folds and holes."""
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    for _ in range(1 + (random.random() < 0.4)):
        many = int(random.integers(5, 13))
        angle = np.linspace(0, 2 * np.pi, many, endpoint=False) + random.normal(0, 0.15, many)
        radius = 0.3 * CANVAS * np.exp(random.normal(0, 0.3, many)) * random.uniform(0.6, 1)
        points = np.stack([np.cos(angle), np.sin(angle) * random.uniform(0.45, 1)], axis=1) * radius[:, None]
        turn, middle = random.uniform(0, np.pi), CANVAS / 2 + random.normal(0, 5, 2)
        points = points @ np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))]) + middle
        curve = spline(np.concatenate([points[-1:], points, points[:2]])) if random.random() < 0.7 else points
        cv2.fillPoly(canvas, [np.rint(curve).astype(np.int32)], 255)
    for _ in range(int(random.integers(0, 4))):  # folds
        fold = spline(random.uniform(0.15, 0.85, (4, 2)) * CANVAS)
        cv2.polylines(canvas, [np.rint(fold).astype(np.int32)], False, 0, int(random.integers(1, 4)))
    return field(canvas, smooth=0) if canvas.any() else thing(random)


def scribble(random: Generator, wide: float = 1.0) -> Strokes:
    """Dense strokes to and fro, as one crosses something out; `wide` times as wide as high."""
    lines = [line * (wide, 1.0) for line in _to_and_fro(random)]
    return strokes([line.astype(np.float32) for line in lines])


def _to_and_fro(random: Generator) -> Lines:
    many = int(random.integers(6, 22))
    x = np.linspace(0, 1, many) + random.normal(0, 0.05, many)
    y = np.arange(many) % 2 + random.normal(0, 0.15, many)
    return [_smooth(np.stack([x, y], axis=1), random.random() < 0.5)]


def _zigzag(random: Generator) -> Lines:
    many = int(random.integers(5, 10))
    line = np.stack([np.linspace(0, 1.6, many), (np.arange(many) % 2) * random.uniform(0.3, 0.9)], axis=1)
    return [_smooth(line + random.normal(0, 0.05, (many, 2)), random.random() < 0.5)]


def _spiral(random: Generator) -> Lines:
    turns = random.uniform(1.7, 4)
    angle = np.linspace(0, turns * 6.28, int(20 * turns)) * random.choice((-1, 1))
    radius = np.linspace(0.03, 0.5, len(angle))
    return [np.stack([radius * np.cos(angle), radius * np.sin(angle) * random.uniform(0.6, 1)], axis=1)]


def _curls(random: Generator) -> Lines:
    """Loops beside one another, as a spring."""
    turns = int(random.integers(3, 6))
    angle = np.linspace(0, turns * 6.28, 18 * turns)
    return [np.stack([0.3 * np.cos(angle) + angle * random.uniform(0.05, 0.12), 0.4 * np.sin(angle)], axis=1)]


def _star(random: Generator) -> Lines:
    many = int(random.choice((5, 6, 7, 8)))
    angle = np.arange(many) * 6.283 / many + random.normal(0, 0.1, many)
    tips = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if many == 5:
        return [tips[[0, 2, 4, 1, 3, 0]]]
    return [np.stack([-tip * random.uniform(0.0, 0.3), tip]) for tip in tips]


def _cross(random: Generator) -> Lines:
    lines: Lines = [np.array([(-1, -1), (1, 1)]), np.array([(-1, 1), (1, -1)])]
    turn = random.choice((0.0, np.pi / 4)) + random.normal(0, 0.1)
    matrix = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    return [(line + random.normal(0, 0.1, (2, 2))) @ matrix for line in lines]


def _arrow(random: Generator) -> Lines:
    turn, tip = random.uniform(-0.6, 0.6) + random.choice((0, np.pi)), random.uniform(0.25, 0.5)
    lines: Lines = [np.array([(-1, 0), (1, 0)]), np.array([(1 - tip, -tip), (1, 0), (1 - tip, tip)])]
    matrix = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    return [line @ matrix for line in lines]


def _box(random: Generator) -> Lines:
    """A box, empty, ticked or crossed; or a triangle."""
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]) + random.normal(0, 0.05, (5, 2))
    if random.random() < 0.25:
        return [corners[[0, 1, 3, 0]] * (random.uniform(0.7, 1.4), 1)]
    lines: Lines = [corners * (random.uniform(0.7, 2), 1)]
    if random.random() < 0.5:
        lines.append(np.array([(0.2, 0.5), (0.4, 0.8), (0.9, -0.1)]))
    return lines


def _face(random: Generator) -> Lines:
    angle, half = np.linspace(0, 6.5, 30), np.linspace(0.5, 2.6, 12)
    mouth = np.stack([0.5 * np.cos(half), 0.5 * np.sin(half) * random.choice((1.0, 0.4))], axis=1)
    eyes: Lines = [np.array([(x, -0.3), (x, -0.2)]) for x in (-0.3, 0.3)]
    return [np.stack([np.cos(angle), np.sin(angle)], axis=1), mouth, *eyes]


def _heart(random: Generator) -> Lines:
    t = np.linspace(0, 6.283, 40)
    x, y = 16 * np.sin(t) ** 3, -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return [np.stack([x, y * random.uniform(0.8, 1.2)], axis=1) / 30]


def _some_strokes(random: Generator) -> Lines:
    """Three to six strokes, straight or bent, one over another."""
    lines: Lines = []
    for _ in range(int(random.integers(3, 7))):
        steps = int(random.integers(2, 16))
        turns = random.normal(0, 0.15, steps) + random.normal(0, 0.25)
        angle = random.uniform(0, 6.28) + np.cumsum(turns)
        way = np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=1), axis=0) / steps
        lines.append(way - way.mean(axis=0) + random.uniform(-0.4, 0.4, 2))
    return lines


def _wave(random: Generator) -> Lines:
    x = np.linspace(0, 1, 40)
    high = random.uniform(0.03, 0.15)
    return [np.stack([x, high * np.sin(x * random.uniform(10, 30))], axis=1)]


def _many_corners(random: Generator) -> Lines:
    """A way with five to nine corners anywhere."""
    return [_smooth(random.uniform(0, 1, (int(random.integers(5, 10)), 2)), random.random() < 0.6)]


def _hatching(random: Generator) -> Lines:
    lean = random.uniform(-0.5, 0.5)
    return [np.array([(x, 0.0), (x + lean, 1.0)]) + random.normal(0, 0.04, (2, 2)) for x in np.arange(4, 9) * 0.17]


DOODLES: tuple[Callable[[Generator], Lines], ...] = (
    _to_and_fro, _zigzag, _spiral, _curls, _star, _cross, _cross, _arrow, _box, _face, _heart,
    _some_strokes, _some_strokes, _some_strokes, _wave, _many_corners, _many_corners, _hatching,
)  # fmt: skip


def _smooth(points: NDArray[np.float64], round_off: bool) -> NDArray[np.float64]:
    """The corners themselves, or a curve through them (Catmull-Rom)."""
    return spline(points) if round_off else points


def spline(points: NDArray[np.float64], steps: int = 8) -> NDArray[np.float64]:
    """A smooth curve through points (n, 2), with so many steps between two of them (Catmull-Rom)."""
    ends = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    a, b, c, d = ends[:-3], ends[1:-2], ends[2:-1], ends[3:]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 2), points[-1:]])
