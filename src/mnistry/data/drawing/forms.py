"""Forms and tables of any size: lines between boxes, and a digit in most of them."""

from dataclasses import dataclass, replace

import numpy as np

from mnistry.data.drawing.clutter import scribble
from mnistry.data.drawing.marks import Generator
from mnistry.data.drawing.page import Page
from mnistry.data.drawing.writing import LETTER, Look


@dataclass(frozen=True)
class Grid:
    """A table: `closed` boxes of its own each, lines between all (`table`), below (`combs`) or between rows only."""

    rows: int
    columns: int
    way: str
    cell: tuple[float, float]  # width, height in heights of a digit
    gap: float  # between closed boxes
    thick: float
    filled: float
    same: int  # the one digit of all boxes, or -1

    @classmethod
    def drawn(cls, rows: int, columns: int, look: Look, random: Generator) -> "Grid":
        """Any kind of table."""
        way = str(random.choice(("table", "boxes", "combs", "rows"), p=(0.5, 0.27, 0.13, 0.1)))
        high = random.uniform(1.15, 2.3)
        wide = high * float(np.exp(random.normal(-0.1, 0.2)))
        thick = look.writing.size * float(np.exp(random.normal(np.log(0.04), 0.5)))
        same = int(random.integers(10)) if random.random() < 0.12 else -1
        filled = random.choice((1.0, 0.97, 0.7, 0.4), p=(0.35, 0.3, 0.25, 0.1))
        return cls(rows, columns, way, (max(wide, 0.9), high), random.uniform(0.05, 0.4), max(0.7, thick), filled, same)

    def page(self, size: float, random: Generator) -> tuple[int, int]:
        """Height and width of a page for it."""
        margin = random.uniform(0.5, 2.5)
        return round((self.rows * self.cell[1] + 2 * margin) * size), round(
            (self.columns * self.cell[0] + 2 * margin) * size
        )

    def write(self, page: Page, look: Look, random: Generator) -> None:
        """Lines and digits, in the middle of the page."""
        size = look.writing.size
        left = (page.width - self.columns * self.cell[0] * size) / 2
        top = (page.height - self.rows * self.cell[1] * size) / 2
        self.fill(page, look, left, top, random)
        self.lines(page, size, left, top)

    def fill(self, page: Page, look: Look, left: float, top: float, random: Generator) -> None:
        """A digit in most boxes, something else in few."""
        writing, size = replace(look.writing, angle=0.0), look.writing.size
        for row in range(self.rows):
            for column in range(self.columns):
                x = left + (column + 0.5 + random.normal(0, 0.06)) * self.cell[0] * size
                y = top + (row + 0.5 + random.normal(0, 0.05)) * self.cell[1] * size + size / 2
                if not (-size < x < page.width + size and 0 < y < page.height + size):
                    continue
                if random.random() < self.filled:
                    label = self.same if self.same >= 0 else int(random.integers(10))
                    look.put(page, writing, LETTER if look.letters else label, (x, y), row, random)
                elif random.random() < 0.25:
                    mark = writing.loose(random).tile(look.clutter.mark(random), x, y, random, random.uniform(0.6, 1))
                    page.sign(mark, size)
                elif random.random() < 0.1:
                    page.ignore(writing.tile(scribble(random), x, y, random))

    def lines(self, page: Page, size: float, left: float, top: float) -> None:
        """The lines, printed."""
        wide, high = self.cell[0] * size, self.cell[1] * size
        right, bottom = left + self.columns * wide, top + self.rows * high
        if self.way == "boxes":
            inner = min(self.gap * size, 0.25 * wide) / 2
            for row in range(self.rows):
                for column in range(self.columns):
                    x, y = left + column * wide, top + row * high
                    if -wide < x < page.width and -high < y < page.height:
                        _rectangle(page, x + inner, y + inner, x + wide - inner, y + high - inner, self.thick)
            return
        for row in range(self.rows + 1):
            if self.way != "combs" or row:
                page.line((left, top + row * high), (right, top + row * high), self.thick, True)
        for column in range(self.columns + 1 if self.way != "rows" else 0):
            x = left + column * wide
            if self.way == "table":
                page.line((x, top), (x, bottom), self.thick, True)
            for row in range(self.rows if self.way == "combs" else 0):
                page.line((x, top + (row + 0.65) * high), (x, top + (row + 1) * high), self.thick, True)


def _rectangle(page: Page, left: float, top: float, right: float, bottom: float, thick: float) -> None:
    for start, end in (
        ((left, top), (right, top)),
        ((left, bottom), (right, bottom)),
        ((left, top), (left, bottom)),
        ((right, top), (right, bottom)),
    ):
        page.line(start, end, thick, True)


def form(page: Page, look: Look, random: Generator) -> None:
    """A part of a table, or a small one."""
    size = look.writing.size
    grid = Grid.drawn(1, 1, look, random)
    wide, high = grid.cell[0] * size, grid.cell[1] * size
    fits_x, fits_y = page.width / wide, page.height / high
    if random.random() < 0.5:  # a part of a larger one
        rows, columns = int(fits_y) + 2, int(fits_x) + 2
        left, top = -wide * random.uniform(0, 1), -high * random.uniform(0, 1)
    else:
        rows, columns = (int(random.integers(1, max(2, int(fits) + 1))) for fits in (fits_y, fits_x))
        left, top = (
            max(room, 0) * random.random() for room in (page.width - columns * wide, page.height - rows * high)
        )
    grid = replace(grid, rows=rows, columns=columns)
    grid.fill(page, look, left, top, random)
    grid.lines(page, size, left, top)
