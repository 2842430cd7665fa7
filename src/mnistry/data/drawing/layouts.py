"""How digits, and what is none, stand on a page: rows, amounts, forms, single digits, letters among them, nothing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mnistry.data.drawing.forms import Grid, form
from mnistry.data.drawing.marks import Generator, Pen, Strokes, Tile, draw
from mnistry.data.drawing.page import Page
from mnistry.data.drawing.writing import LARGEST, SMALLEST, Look, Writing, size_between, some_labels

Layout = Callable[[Page, Look, Generator], None]

CIRCLED = 0.1  # share of the rows and of the single digits round which there is a ring or a box, drawn by hand


def size_for(kind: str, height: int, random: Generator) -> float:
    """A digit's height in pixels for a page of this kind and size."""
    most = min(LARGEST, 0.95 * height)
    low = min(SMALLEST, 0.8 * most)
    if kind == "amount":
        return float(np.clip(random.uniform(0.42, 0.85) * min(height, random.uniform(35, 66)), low, most))
    if kind in ("single", "clutter"):
        return most * random.uniform(0.75, 1) if random.random() < 0.25 else size_between(low, most, random)
    if kind in ("form", "rows"):
        return size_between(low, min(most, 44), random)
    return size_between(low, min(most, 0.75 * LARGEST), random)


# --- Written ---------------------------------------------------------------------------------------------------


def _row(page: Page, look: Look, random: Generator) -> None:
    """1 to 12 digits in a row, as many as fit mostly, and sometimes something before or after it."""
    size = look.writing.size
    fits = max(1, int(page.width / (0.85 * size)))
    many = int(random.integers(1, min(12, fits) + 1)) if random.random() < 0.85 else int(random.integers(1, 13))
    long = many * size * (0.6 + look.writing.gap)
    x = (page.width - long) * random.uniform(0, 1) if random.random() < 0.8 else random.uniform(-0.5, 0.6) * page.width
    room = max(page.height - 1.1 * size, 1)
    y = size * 1.05 + room * random.uniform(0, 1)
    if random.random() < 0.06:
        y += random.choice((-1, 1)) * 0.2 * size
    end = look.writing.row(page, look.labels(many, random), x, y, 0, random, look.clutter)
    if random.random() < 0.12:
        _rule(page, x, end, y + size * random.uniform(0.02, 0.3), size, random)
    if random.random() < 0.1:
        _beside(page, look, random, int(random.integers(1, 3)))
    _circled(page, 0, look.writing, random)


def _rows(page: Page, look: Look, random: Generator) -> None:
    """Rows below one another, by one person or by several."""
    size = look.writing.size
    step = size * random.uniform(1.15, 2.2)
    y, row = size * random.uniform(0.7, 1.4), 0
    left, same = random.uniform(-0.1, 0.3) * page.width, random.random() < 0.8
    writing = replace(look.writing, angle=look.writing.angle * 0.5)
    while y < page.height + 0.2 * size:
        fits = max(1, int((page.width - left) / (size * (0.65 + max(writing.gap, 0)))))
        labels = look.labels(int(random.integers(1, min(fits, 12) + 1)), random)
        before = len(page.digits)
        writing.row(page, labels, left + random.normal(0, 0.15) * size, y, row, random, look.clutter)
        _circled(page, before, writing, random)
        writing = writing if same else look.another()
        y, row = y + step * random.uniform(0.95, 1.1), row + 1


def _amount(page: Page, look: Look, random: Generator) -> None:
    """An amount, with dots, commas, dashes, a currency sign and a rule below."""
    size = look.writing.size
    writing = replace(
        look.writing,
        marks=random.uniform(0, 0.3), money=True, links=0.6 if random.random() < 0.35 else 0.0,
        gap=random.uniform(-0.1, 0.3), angle=random.normal(0, 0.03),
    )  # fmt: skip
    step = size * random.uniform(1.5, 2.2)
    many = 1 if page.height < 2.4 * size or random.random() < 0.5 else 2
    y = size + max(page.height - size - (many - 1) * step, 0) * random.uniform(0.15, 0.8)
    for row in range(many):
        fits = max(1, int(page.width / (size * (0.75 + writing.gap + 0.25 * writing.marks))))
        labels = [max(label, 0) for label in some_labels(int(random.integers(min(2, fits), min(8, fits) + 1)), random)]
        long = len(labels) * size * (0.7 + writing.gap + 0.25 * writing.marks)
        x = max(page.width - 1.05 * long, 0) * random.uniform(0, 1) + random.uniform(0, 0.1) * size
        if random.random() < 0.2:
            look_sign = look.clutter.currency(random)
            page.sign(writing.tile(look_sign, x + 0.3 * size, y, random), size, of_number=True)
            x += 0.7 * size
        elif random.random() < 0.2:
            page.write(draw(DASHES, size * np.eye(2), (x, y), writing.pen, random))
            x += 0.35 * size
        writing.row(page, labels, x, y, row, random, look.clutter)
        if random.random() < 0.75:
            _rule(page, -9, page.width + 9, y + size * random.normal(0.12, 0.12), size, random)
        y += step
    for x in (random.uniform(0, 0.1), random.uniform(0.9, 1)):  # the sides of the field
        if random.random() < 0.2:
            thick = size * random.uniform(0.02, 0.09)
            page.line((x * page.width, -5), (x * page.width + random.normal(0, 2), page.height + 5), thick, True)


DASHES = Strokes((np.array([(-0.2, -0.4), (0.15, -0.42)], np.float32),))


def _single(page: Page, look: Look, random: Generator) -> None:
    """One digit, anywhere on the page or in its middle, now and then cut by the border."""
    writing = replace(look.writing, angle=random.normal(0, 0.07))
    size, label = writing.size, look.labels(1, random)[0]
    x, y = page.width / 2, (page.height + size) / 2
    if random.random() < 0.6:
        room_x, room_y = max(page.width - 0.7 * size, 0) / 2, max(page.height - size, 0) / 2
        x, y = x + room_x * random.uniform(-1, 1), y + room_y * random.uniform(-1, 1)
    if random.random() < 0.08:
        x, y = x + random.normal(0, 0.3) * page.width, y + random.normal(0, 0.3) * page.height
    look.put(page, writing, label, (x, y), 0, random)
    if random.random() < 0.12:
        page.line(*_frame_ends(page, size, random), size * random.uniform(0.02, 0.1), random.random() < 0.5)
    _circled(page, 0, writing, random)


def _frame_ends(page: Page, size: float, random: Generator) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two points of a line near the page's border."""
    near = random.uniform(0, 0.12)
    if random.random() < 0.5:
        x = page.width * (near if random.random() < 0.5 else 1 - near)
        return (x, -5), (x + random.normal(0, 0.02) * size, page.height + 5)
    y = page.height * (near if random.random() < 0.5 else 1 - near)
    return (-5, y), (page.width + 5, y + random.normal(0, 0.02) * size)


def _pad(page: Page, look: Look, random: Generator) -> None:
    """A number drawn on a screen with one even pen, every other time with many 1s: no stroke there is a ruled line."""
    size = look.writing.size
    writing = replace(
        look.writing, pen=Pen(max(1.0, size * random.uniform(0.02, 0.16))),
        gap=random.uniform(0, 0.7), angle=random.normal(0, 0.03), marks=0.0, links=0.0,
    )  # fmt: skip
    fits = max(1, int(page.width / (size * (0.5 + writing.gap))))
    labels = look.labels(int(random.integers(1, min(6, fits) + 1)), random)
    if random.random() < 0.5:
        labels = [1 if random.random() < 0.5 else label for label in labels]
    long = len(labels) * size * (0.5 + writing.gap)
    x = max(page.width - long, 0) * random.uniform(0, 1)
    y = size + max(page.height - size, 0) * random.uniform(0, 1)
    writing.row(page, labels, x, y, 0, random, look.clutter)
    _circled(page, 0, writing, random)


def _mixed(page: Page, look: Look, random: Generator) -> None:
    """Digits among letters, words and doodles."""
    writing, size = look.writing, look.writing.size
    many = int(random.integers(1, max(2, min(6, int(page.width / size)) + 1)))
    y = size * 1.05 + max(page.height - 1.1 * size, 0) * random.uniform(0, 1)
    x = random.uniform(0, 0.4) * page.width
    if random.random() < 0.4:
        page.write(writing.tile(look.clutter.word(random), 0.3 * page.width, y, random, random.uniform(0.6, 1)))
        x = 0.65 * page.width
    writing.row(page, look.labels(many, random), x, y, 0, random, look.clutter)
    _beside(page, look, random, int(random.integers(2, 9)))


def _clutter(page: Page, look: Look, random: Generator) -> None:
    """No digit at all: letters as digits stand in other kinds, marks anywhere, words, or printed text."""
    way = random.random()
    if way < 0.45:
        layouts = (_single, _single, _single, _row, _rows, form)
        layouts[int(random.integers(len(layouts)))](page, replace(look, letters=True), random)
    elif way < 0.75:
        _beside(page, look, random, int(random.integers(1, 14)))
    elif way < 0.88:
        _words(page, look, random)
    else:
        _text(page, look, random)


def _scattered(page: Page, look: Look, random: Generator) -> None:
    """Digits of several sizes anywhere, the rows by their feet."""
    places = list[tuple[float, float, float]]()
    for _ in range(int(random.integers(2, 9))):
        size = float(np.clip(look.writing.size * np.exp(random.normal(0, 0.45)), SMALLEST, min(LARGEST, page.height)))
        x, y = random.uniform(0.3 * size, page.width - 0.3 * size), random.uniform(size, page.height)
        if all(abs(x - x2) > 0.5 * (size + s2) or y - size > y2 or y2 - s2 > y for x2, y2, s2 in places):
            places.append((x, y, size))
    middle, row = float("-inf"), -1
    rows = list[list[tuple[float, float, float]]]()
    for place in sorted(places, key=lambda place: place[1] - place[2] / 2):
        if place[1] - place[2] > middle:
            rows.append([])
            middle = place[1] - place[2] / 2
        rows[-1].append(place)
    for row, members in enumerate(rows):
        for x, y, size in sorted(members):
            pen = replace(look.writing.pen, width=max(1.0, look.writing.pen.width * size / look.writing.size))
            look.put(page, replace(look.writing, size=size, pen=pen), int(random.integers(10)), (x, y), row, random)


def _huge(page: Page, look: Look, random: Generator) -> None:
    """Parts of digits that are much larger than the page, which no network of this size of digits is to find."""
    size = page.height * random.uniform(1.7, 4)
    pen = replace(look.writing.pen, width=size * random.uniform(0.06, 0.16), hard=False, hollow=0.0)
    writing = replace(look.writing, size=size, pen=pen)
    x, y = page.width * random.uniform(-0.3, 1.3), page.height * random.uniform(0.6, 1.2) + 0.5 * size
    page.write(writing.tile(writing.shape(int(random.integers(10)), random), x, y - 0.2 * size, random))


def _words(page: Page, look: Look, random: Generator) -> None:
    y = look.writing.size
    while y < page.height:
        page.write(
            look.writing.tile(
                look.clutter.word(random), random.uniform(0.2, 0.7) * page.width, y, random, random.uniform(0.5, 1)
            )
        )
        y += look.writing.size * random.uniform(1.2, 2)


def _text(page: Page, look: Look, random: Generator) -> None:
    """Lines of printed text."""
    high = int(random.uniform(7, max(8, min(30, 0.4 * page.height))))
    y = int(random.integers(0, high))
    while y < page.height:
        page.write(Tile(look.clutter.text(high, random), int(random.uniform(-0.2, 0.3) * page.width), y), printed=True)
        y += int(high * random.uniform(1.2, 2))


def _empty(page: Page, look: Look, random: Generator) -> None:
    """Nothing written; sometimes lines, an empty form, or specks."""
    if random.random() < 0.25:
        grid = Grid.drawn(int(random.integers(1, 5)), int(random.integers(1, 5)), look, random)
        grid.lines(page, look.writing.size, 0, 0)
    if random.random() < 0.3:
        page.line(*_frame_ends(page, look.writing.size, random), random.uniform(0.6, 4), random.random() < 0.5)


def _beside(page: Page, look: Look, random: Generator, many: int) -> None:
    """So many marks that are no digits, where there is room for them."""
    for _ in range(many):
        size = look.writing.size * float(np.exp(random.normal(-0.1, 0.35)))
        x, y = random.uniform(0, page.width), random.uniform(0, page.height) + size / 2
        half = round(0.55 * size)
        if page.free((round(x) - half, round(y - size), round(x) + half, round(y))):
            mark = look.writing.loose(random).tile(look.clutter.mark(random), x, y, random, size / look.writing.size)
            page.sign(mark, look.writing.size)


def _circled(page: Page, first: int, writing: Writing, random: Generator) -> None:
    """Now and then a ring or a box round the digits from number `first` on, or round one of them."""
    digits = page.digits[first:]
    if not digits or random.random() >= CIRCLED:
        return
    if random.random() < 0.4:
        digits = [digits[int(random.integers(len(digits)))]]
    points = np.concatenate([digit.outline for digit in digits])
    middle, half = (points.min(axis=0) + points.max(axis=0)) / 2, np.ptp(points, axis=0) / 2
    half = np.maximum(half, random.uniform(0.3, 1) * half.max() if len(digits) == 1 else 0)
    half = half * random.uniform(1, 1.35) + writing.size * random.uniform(0.05, 0.5, 2)
    angle = random.uniform(0, 6.28) + np.linspace(0, random.uniform(5.7, 7), 40)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if random.random() < 0.35:  # a box with round corners
        ring = np.sign(ring) * np.abs(ring) ** random.uniform(0.1, 0.4)
    ring *= 1 + random.normal(0, 0.03) * np.sin(angle * random.uniform(0.5, 3))[:, None]
    way = Strokes(((half * ring).astype(np.float32),))
    page.write(draw(way, np.eye(2), (float(middle[0]), float(middle[1])), writing.pen, random))


def _rule(page: Page, left: float, right: float, y: float, size: float, random: Generator) -> None:
    """A line below a row, drawn or printed."""
    steep = random.normal(0, 0.012)
    thick = max(0.7, size * float(np.exp(random.normal(np.log(0.04), 0.4))))
    page.line((left, y), (right, y + steep * (right - left)), thick, random.random() < 0.7)


LAYOUTS: dict[str, Layout] = {
    "row": _row, "rows": _rows, "amount": _amount, "form": form, "single": _single, "cropped": _single,
    "pad": _pad, "mixed": _mixed, "scattered": _scattered, "clutter": _clutter, "huge": _huge, "empty": _empty,
}  # fmt: skip
