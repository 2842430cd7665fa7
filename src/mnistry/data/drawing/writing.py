"""How one person writes in one scene: whose digits, how large, with which pen, how slanted, how far apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnistry.data.drawing.clutter import Clutter, scribble
from mnistry.data.drawing.marks import Generator, Pen, Shape, Strokes, Tile, draw
from mnistry.data.drawing.page import Page
from mnistry.data.writers import Hand, some_digit

SMALLEST, LARGEST = 12, 110  # pixels of a digit's height
FINE = 0.06  # of a digit's height: a pen so fine draws MNIST's digits by their middle lines
LETTER = -1  # the label of what is no digit
PLAIN = 0.5  # share of the 1s that are one straight stroke
UPRIGHT = Strokes((np.array([(0, -1), (0, 0)], np.float32),))  # a 1 as upright as a ruled line, however a hand leans
STEEP = 0.45  # radians: how much the rows of somebody may rise or fall who does not write level
STRUCK_OUT = 0.004  # share of the digits that their writer crossed out


def _way(*points: tuple[float, float]) -> Strokes:
    return Strokes((np.array(points, np.float32),))


DOT = _way((0.0, -0.03), (0.02, -0.01))
COMMA = _way((0.03, -0.08), (0.02, 0.03), (-0.05, 0.13))
DASH = _way((-0.16, -0.42), (0.16, -0.44))
COLON = Strokes((np.array([(0, -0.5), (0.02, -0.48)], np.float32), np.array([(0, -0.1), (0.02, -0.08)], np.float32)))
EQUALS = Strokes(
    (np.array([(-0.2, -0.55), (0.2, -0.56)], np.float32), np.array([(-0.2, -0.3), (0.2, -0.32)], np.float32))
)
PLUS = Strokes((np.array([(-0.22, -0.42), (0.22, -0.43)], np.float32), np.array([(0, -0.65), (0.0, -0.2)], np.float32)))
SLASHES = (  # longer than a digit and more aslant than a 1
    _way((0.2, -1.15), (-0.2, 0.1)),
    _way((0.25, -1.2), (-0.25, 0.15)),
    _way((0.33, -1.15), (-0.33, 0.12)),
    _way((0.35, -1.1), (-0.35, 0.2)),
    _way((0.45, -1.3), (-0.45, 0.3)),
)
BETWEEN = (DOT, DOT, COMMA, COMMA, DASH, COLON, PLUS, EQUALS, *SLASHES)
AMOUNT = (DOT, DOT, COMMA, COMMA, DASH)
AFTER = (DOT, COMMA, DASH, DASH, EQUALS)
DATE = (DOT, DASH, *SLASHES)
DATES = 0.15  # share of the rows of four digits and more that are parted as a date is, by one sign over and over


@dataclass(frozen=True)
class Writing:
    """`size` is a digit's height in pixels; `slant` a shear, `angle` that of the row in radians, `gap`, `wobble` and
    `bend` are in heights; `marks` and `links` the chances of a sign between two digits and of joined 0s;
    `money` leaves only the signs that amounts have."""

    hands: Sequence[Hand]
    hand: Hand
    size: float
    pen: Pen
    slant: float = 0.0
    angle: float = 0.0
    gap: float = 0.15
    wobble: float = 0.03
    bend: float = 0.0
    wide: float = 1.0
    marks: float = 0.0
    links: float = 0.0
    money: bool = False

    def tile(self, shape: Shape, x: float, y: float, random: Generator, high: float = 1.0) -> Tile:
        """A shape that stands on (x, y), `high` times as high as a digit."""
        size = self.size * high * float(np.exp(random.normal(0, 0.06)))
        if shape is UPRIGHT or _is_slash(shape):
            return draw(shape, size * np.eye(2), (x, y), self.pen, random)
        turn = self.angle + random.normal(0, 0.03)
        cos, sin = np.cos(turn), np.sin(turn)
        lean = np.array([(1.0, -self.slant + random.normal(0, 0.03)), (0.0, 1.0)])
        matrix = size * np.array([(cos, -sin), (sin, cos)]) @ lean @ np.diag((self.wide, 1.0))
        return draw(shape, matrix, (x, y), self.pen, random, self.bend)

    def loose(self, random: Generator) -> "Writing":
        """The same person's way with shapes of fonts, which are to look less alike than they are."""
        wide = self.wide * float(np.exp(random.normal(0, 0.2)))
        pen = replace(self.pen, hollow=self.pen.hollow * float(random.random() < 0.3))  # a hollow dot is a 0
        return replace(self, bend=float(random.choice((0.0, 0.06, 0.12))), wide=wide, pen=pen)

    def shape(self, label: int, random: Generator) -> Shape:
        """A digit of this person's, or of somebody's who wrote such a one; or a 1 of one plain stroke."""
        if label == 1 and random.random() < PLAIN:
            if random.random() < 0.6:
                return UPRIGHT
            bend, top = random.normal(0, 0.02), random.normal(0, 0.04)
            return Strokes((np.array([(top, -1), (bend, -0.5), (0, 0)], np.float32),))
        fine = not self.pen.natural and not self.pen.hollow and self.pen.width < FINE * self.size
        return some_digit(self.hands, self.hand, label, random, fine)

    def row(
        self, page: Page, labels: Sequence[int], x: float, y: float, row: int, random: Generator, clutter: Clutter
    ) -> float:
        """Write digits, and letters for LETTER, from (x, y) to the right; gives the x where the ink ends."""
        start, steep = x, np.tan(self.angle)
        swing, phase = self.size * self.wobble, random.uniform(0, 6.3)
        end, before = x, -1
        for label, sign in zip(labels, self._signs(labels, random), strict=True):
            if sign is not None:
                end = self._beside(page, sign, end, y + (end - start) * steep, random, -1, row)
            base = y + (end - start) * steep + swing * np.sin(0.7 * (end - start) / self.size + phase)
            base += random.normal(0, 0.5 * swing)
            gap_before = end
            shape = clutter.letter(random) if label == LETTER else self.shape(label, random)
            end = self._beside(page, shape, end, base, random, label, row)
            if before == 0 and label == 0 and random.random() < self.links:
                self._link(page, gap_before, base, random)
            before = label
        if random.random() < 0.7 * self.marks:
            end = self._beside(
                page, AFTER[int(random.integers(len(AFTER)))], end, y + (end - start) * steep, random, -1, row
            )
        return end

    def _signs(self, labels: Sequence[int], random: Generator) -> list[Shape | None]:
        """The sign before each digit, or None."""
        if len(labels) >= 4 and not self.money and random.random() < DATES:
            sign, first = DATE[int(random.integers(len(DATE)))], int(random.integers(1, min(5, len(labels))))
            parts = first, first + int(random.integers(1, 3))
            return [sign if k in parts else None for k in range(len(labels))]
        signs = AMOUNT if self.money else BETWEEN
        here = [k > 0 and labels[k - 1] != LETTER and random.random() < self.marks for k in range(len(labels))]
        return [signs[int(random.integers(len(signs)))] if marked else None for marked in here]

    def _beside(self, page: Page, shape: Shape, end: float, y: float, random: Generator, label: int, row: int) -> float:
        gap = self.size * (self.gap + random.normal(0, 0.25) * max(0.12, abs(self.gap)))
        gap = gap if label >= 0 else max(gap, 0.06 * self.size)
        tile = self.tile(shape, end + 0.3 * self.size, y, random)
        columns = np.flatnonzero(tile.alpha.max(axis=0) > 0.3)
        if not len(columns):
            return end
        left = round(end + max(gap, -0.5 * (columns[-1] - columns[0]))) - int(columns[0])
        tile = replace(tile, left=left)
        if label >= 0 and random.random() < STRUCK_OUT:
            page.digit(tile, label, row, readable=False)
            wide = (columns[-1] - columns[0] + 1) / self.size
            middle = left + (columns[0] + columns[-1]) / 2
            page.ignore(self.tile(scribble(random, max(0.5, wide)), middle, y, random, random.uniform(0.5, 1.1)))
        elif label >= 0:
            page.digit(tile, label, row)
        else:
            page.sign(tile, self.size, of_number=_is_slash(shape))
        return float(left + columns[-1] + 1)

    def _link(self, page: Page, x: float, y: float, random: Generator) -> None:
        """A stroke from the top of one 0 to that of the next."""
        top = y - self.size * random.uniform(0.75, 1.05)
        reach = self.size * random.uniform(0.15, 0.4)
        dip = self.size * random.uniform(-0.05, 0.15)
        points = np.array([(-reach, 0), (0, dip), (reach, random.normal(0, 0.1 * self.size))], np.float32)
        page.write(draw(Strokes((points,)), np.eye(2), (x, top), self.pen, random))


def _is_slash(shape: Shape) -> bool:
    return any(shape is slash for slash in SLASHES)


def pen_for(size: float, random: Generator) -> Pen:
    """A pen for digits of this height: fine, usual, thick, hard-edged, hollow."""
    width = size * float(np.exp(random.normal(np.log(0.085), 0.5)))
    width = float(np.clip(width, 0.8, (0.15 if size < 24 else 0.2 if random.random() < 0.9 else 0.25) * size))
    way = random.random()
    if way < 0.08:  # one pixel, or some with hard edges
        return Pen(max(1.0, round(width)) if random.random() < 0.4 else 1.0, hard=True, natural=random.random() < 0.4)
    if way < 0.13 and size > 30:
        return Pen(max(width, 0.14 * size), hollow=max(1.0, size * random.uniform(0.012, 0.035)))
    natural = random.random() < 0.55
    grow = size * random.normal(0, 0.012) if natural else 0.0
    return Pen(width, grow=grow, natural=natural, pressure=random.uniform(0.1, 0.5) if random.random() < 0.2 else 0.0)


def somebody(hands: Sequence[Hand], size: float, random: Generator) -> Writing:
    """A person who writes digits of this height in some way."""
    hand = hands[int(random.integers(len(hands)))]
    gaps = ((0.12, 0.35), (0.3, 0.9), (-0.02, 0.12), (-0.22, 0.0))
    low, high = gaps[int(random.choice(4, p=(0.45, 0.25, 0.2, 0.1)))]
    return Writing(
        hands, hand, size, pen_for(size, random),
        slant=random.normal(0.05, 0.17) if random.random() < 0.7 else 0.0,
        angle=random.normal(0, 0.05) if random.random() < 0.8 else random.uniform(-STEEP, STEEP),
        gap=random.uniform(low, high), wobble=abs(random.normal(0, 0.06)),
        bend=0.05 if random.random() < 0.4 else 0.0, wide=float(np.exp(random.normal(0, 0.1))),
        marks=random.uniform(0.1, 0.5) if random.random() < 0.3 else 0.0,
        links=0.5 if random.random() < 0.25 else 0.0,
    )  # fmt: skip


def some_labels(n: int, random: Generator) -> list[int]:
    """n digits: any, a round number, one digit over and over, 1s among others, or some letters among them."""
    labels = [int(v) for v in random.integers(0, 10, n)]
    way = random.random()
    if way < 0.12 and n > 1:
        labels[-int(random.integers(1, n)) :] = [0] * n
        labels = labels[:n]
    elif way < 0.16:
        labels = [labels[0]] * n
    elif way < 0.2:
        labels = [label if random.random() < 0.7 else LETTER for label in labels]
    elif way < 0.35:
        labels = [1 if random.random() < 0.5 else label for label in labels]
    return labels


def size_between(low: float, high: float, random: Generator) -> float:
    """A height, as often doubled as halved."""
    return float(np.exp(random.uniform(np.log(low), np.log(max(high, low + 1)))))


@dataclass(frozen=True)
class Look:
    """Who writes on the page, what else may stand there, and `another` who writes digits of the same height."""

    writing: Writing
    clutter: Clutter
    another: Callable[[], Writing]
    letters: bool = False  # instead of digits

    def labels(self, n: int, random: Generator) -> list[int]:
        """What to write: n digits, or as many letters."""
        return [LETTER] * n if self.letters else some_labels(n, random)

    def put(
        self, page: Page, writing: Writing, label: int, place: tuple[float, float], row: int, random: Generator
    ) -> None:
        """Write one digit, or any mark for LETTER, that stands on a place."""
        if label == LETTER:
            page.sign(writing.loose(random).tile(self.clutter.mark(random), *place, random), writing.size)
        else:
            page.digit(writing.tile(writing.shape(label, random), *place, random), label, row)
