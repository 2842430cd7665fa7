"""Scenes with known answers, drawn by lot: what a network learns from to find and read digits on any page.

    maker = SceneMaker.training(strokes=Path("../shared/strokes/pendigits-train.gz"), writers=Path("../shared/writers"))
    scene = maker.scene(np.random.default_rng(0))

The same generator state gives the same scene. The way of one: a kind (`KINDS`; `layouts.LAYOUTS`) writes on a `Page`,
the page gets a ground and colours, geometry, and what a camera does to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistry.data import dataset
from mnistry.data.drawing import camera, grounds, insets, layouts
from mnistry.data.drawing.clutter import HELD_BACK_FONTS, HELD_BACK_PENS, Clutter
from mnistry.data.drawing.forms import Grid
from mnistry.data.drawing.grounds import Colour, Pattern
from mnistry.data.drawing.marks import Floats, Generator
from mnistry.data.drawing.page import Page, Scene, readable
from mnistry.data.drawing.styles import styled_hands
from mnistry.data.drawing.writing import LARGEST, SMALLEST, Look, Writing, size_between, somebody
from mnistry.data.sources import writers_table
from mnistry.data.writers import Hand, Pictures, folder_hands, mnist_hands, stroke_hands
from mnistry.settings import MnistryError, Settings

__all__ = ["KINDS", "Scene", "SceneMaker"]

KINDS: dict[str, float] = {  # name: weight in training
    "row": 0.2, "rows": 0.09, "amount": 0.13, "form": 0.1, "single": 0.14, "cropped": 0.07, "mnist": 0.05,
    "pad": 0.04, "mixed": 0.09, "scattered": 0.04, "clutter": 0.17, "huge": 0.02, "empty": 0.06,
}  # fmt: skip
ENLARGED = 0.07  # share of the scenes that are drawn small and enlarged with jagged or soft edges
STRIPS = 0.3  # share of the rows and amounts that are a picture as low as a row is
MORE_ONES = 0.12  # share of the cropped digits that are a 1 before the rest is drawn by lot: the least there is to see
TURNED = 0.012  # share of the scenes in which light and dark are turned round on a side
PERSPECTIVE = 0.22  # share of the scenes that are seen aslant


@dataclass(frozen=True)
class Crowd:
    """People whose digits are of one source, and how often one of them is asked to write."""

    name: str
    hands: Sequence[Hand]
    weight: float


@dataclass(frozen=True)
class SceneMaker:
    """Makes scenes of these crowds' digits, on grounds with these printed patterns, beside this clutter."""

    crowds: Sequence[Crowd]
    clutter: Clutter = field(default_factory=Clutter)
    patterns: dict[str, Pattern] = field(default_factory=lambda: grounds.PATTERNS)
    wood: bool = False

    @classmethod
    def training(
        cls, settings: Settings | None = None, strokes: Path | None = None, writers: Path | None = None, seed: int = 0
    ) -> "SceneMaker":
        """Of MNIST's training writers but those that `validation` has; `strokes` and `writers` are more sources."""
        return cls(_crowds(settings, strokes, writers, seed, held_back=False))

    @classmethod
    def validation(
        cls, settings: Settings | None = None, strokes: Path | None = None, writers: Path | None = None, seed: int = 0
    ) -> "SceneMaker":
        """Of writers, printed grounds and fonts that training with the same seed has not."""
        crowds = _crowds(settings, strokes, writers, seed, held_back=True)
        return cls(crowds, Clutter(HELD_BACK_FONTS, HELD_BACK_PENS, by_hand=0), grounds.HELD_BACK_PATTERNS, wood=True)

    def scene(self, random: Generator, height: int = 128, width: int = 128, kind: str | None = None) -> Scene:
        """A scene of this size, of one of KINDS; None draws the kind by its weight."""
        if kind is None:
            weights = np.array(list(KINDS.values()))
            kind = list(KINDS)[int(random.choice(len(weights), p=weights / weights.sum()))]
        return self._drawn(random, height, width, kind)

    def _drawn(self, random: Generator, height: int, width: int, kind: str) -> Scene:
        if kind not in KINDS:
            raise MnistryError(f"A scene is one of {', '.join(KINDS)}, not {kind!r}.")
        if min(height, width) >= 56 and kind in ("single", "row", "cropped", "clutter") and random.random() < ENLARGED:
            return self._enlarged(random, height, width, kind)
        if kind == "cropped":
            return self._cropped(random, height, width)
        if kind in ("row", "amount") and height > 40 and random.random() < STRIPS:
            high = int(min(height, max(20, random.uniform(20, 70))))
            strip = self._whole(random, high, width, kind)
            return insets.framed(strip, height, width, random)
        return self._whole(random, height, width, kind)

    def amount(self, random: Generator) -> Scene:
        """An amount as on a cheque: a strip 35 to 65 pixels high, 120 to 400 wide, on printed ground."""
        height = int(random.integers(35, 66))
        width = int(np.clip(height * random.uniform(2.2, 6.5), 120, 400))
        return self._whole(random, height, width, "amount")

    def form(self, random: Generator, rows: int, columns: int) -> Scene:
        """A whole page with a table of boxes and a digit in most of them."""
        size = size_between(SMALLEST + 4, 40, random)
        look = self._look(random, size)
        layout = Grid.drawn(rows, columns, look, random)
        height, width = layout.page(size, random)
        page = Page(height, width, large=True)
        layout.write(page, look, random)
        return self._seen(page, look, "form", random)

    def writing(self, random: Generator, size: float) -> Writing:
        """Somebody of one of the crowds, who writes digits of this height."""
        weights = np.array([crowd.weight for crowd in self.crowds])
        crowd = self.crowds[int(random.choice(len(weights), p=weights / weights.sum()))]
        return somebody(crowd.hands, size, random)

    # --- The steps ------------------------------------------------------------------------------------------

    def _look(self, random: Generator, size: float) -> Look:
        return Look(self.writing(random, size), self.clutter, lambda: self.writing(random, size))

    def _whole(self, random: Generator, height: int, width: int, kind: str) -> Scene:
        page = Page(height, width)
        if kind == "mnist":
            return self._mnist(random, height, width)
        size = layouts.size_for(kind, height, random)
        look = self._look(random, size)
        layouts.LAYOUTS[kind](page, look, random)
        if kind == "pad":
            paper, ink = grounds.colours(random) if random.random() < 0.5 else grounds.black_on_white(random)
            even = np.tile(paper, (height, width, 1))
            return readable(page.scene(page.coloured(even, ink, ink, 1.0)))
        return self._seen(page, look, kind, random)

    def _seen(self, page: Page, look: Look, kind: str, random: Generator) -> Scene:
        """Ground, colours, geometry and camera for a page that is written."""
        size = look.writing.size
        paper, ink = grounds.colours(random)
        if kind == "amount" and random.random() < 0.75:
            paper = np.asarray(random.uniform(120, 235) + random.normal(0, 9, 3), np.float32)
            ink = np.asarray(paper * random.uniform(0.05, 0.5) + random.normal(0, 10, 3), np.float32).clip(0, 255)
        contrast = float(np.abs(ink - paper).max())
        ground = self._ground(page, paper, size, contrast, kind, random)
        insets.lines_across(page, size, random)
        printed = grounds.line_colour(paper, random) if random.random() < 0.6 else ink
        picture = page.coloured(ground, ink, printed, self._flow(page, random))
        if random.random() < TURNED:
            insets.turned_band(picture, random)
        stroke = look.writing.pen.hollow or look.writing.pen.width
        matrix = _perspective(page, random) if random.random() < PERSPECTIVE else None
        beyond = random.uniform(0, 255, 3).astype(np.float32) if random.random() < 0.3 else None
        if matrix is None:
            return readable(page.scene(camera.seen(picture, size, stroke, contrast, random)))
        scene = page.scene(picture, matrix, beyond)
        seen = camera.seen(scene.image.astype(np.float32), size, stroke, contrast, random)
        return readable(replace(scene, image=np.rint(seen.clip(0, 255)).astype(np.uint8)))

    def _ground(self, page: Page, paper: Colour, size: float, contrast: float, kind: str, random: Generator) -> Floats:
        way = random.random()
        printed = 0.8 if kind == "amount" else 0.2
        if way < printed:
            picture = grounds.security(page.height, page.width, paper, size, contrast, random, self.patterns)
        else:
            picture = grounds.paper(page.height, page.width, paper, random)
            way = (way - printed) / (1 - printed)
            if way < 0.22 and kind != "form":
                grounds.ruled(picture, size, random, upright=random.random() < 0.45)
            elif way < 0.26:
                grounds.dotted(picture, size, random)
        if random.random() < (0.35 if kind == "empty" else 0.06):
            grounds.crumpled(picture, random, 0.3 if kind == "empty" else 0.12)
        if random.random() < 0.06:
            grounds.patch(picture, random)
        if random.random() < 0.08 and kind != "amount":
            grounds.desk(picture, random, self.wood)
        return picture

    def _flow(self, page: Page, random: Generator) -> Floats | float:
        """How much ink the pen gives: evenly, or broken by the grain of the paper as a pencil's."""
        way = random.random()
        if way < 0.8:
            return float(random.uniform(0.75, 1))
        smooth = float(random.choice((0.0, 1.0, 3.0), p=(0.25, 0.5, 0.25)))
        grain = grounds.texture(page.height, page.width, smooth, random)
        return np.asarray((random.uniform(0.65, 1) + random.uniform(0.1, 0.4) * grain).clip(0.1, 1), np.float32)

    def _mnist(self, random: Generator, height: int, width: int) -> Scene:
        """MNIST's own pictures, clean or spoilt in their own size, as large as they are or enlarged."""
        factor = int(random.integers(1, max(2, min(4, min(height, width) // 28) + 1)))
        page = Page(-(-height // factor), -(-width // factor))
        hands = [hand for crowd in self.crowds for hand in crowd.hands if isinstance(hand, Pictures) and hand.own_size]
        picture = insets.mnist(page, self._look(random, 20), hands, random)
        if random.random() < 0.5:
            picture = camera.seen(picture, 20, 2.5, 220, random)
        ways = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
        return insets.enlarged(readable(page.scene(picture)), factor, height, width, ways[int(random.integers(3))])

    def _cropped(self, random: Generator, height: int, width: int) -> Scene:
        """A picture of one digit cropped to its ink, with a hair's breadth more or less, on plain ground."""
        most = min(LARGEST, height, width)
        size = size_between(min(SMALLEST, most / 2), most, random)
        look = self._look(random, size)
        writing, label = look.writing, 1 if random.random() < MORE_ONES else int(random.integers(10))
        other = random.random() < 0.13
        if other:
            tile = writing.loose(random).tile(look.clutter.mark(random), 0, 0, random)
        else:
            tile = writing.tile(writing.shape(label, random), 0, 0, random)
        ink = tile.alpha > 0.35
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        if not len(rows):
            return self._whole(random, height, width, "single")
        margin = random.choice((0.0, 0.02, 0.1, -0.04), p=(0.4, 0.2, 0.3, 0.1)) * random.uniform(0.5, 1.2)
        extra = round(margin * (rows[-1] - rows[0] + 1))
        top, left = int(rows[0]) - extra, int(columns[0]) - extra
        inner = Page(
            min(height, max(4, int(rows[-1]) + 1 + extra - top)),
            min(width, max(3, int(columns[-1]) + 1 + extra - left)),
        )
        tile = replace(tile, left=-left, top=-top)
        if other:
            inner.sign(tile, size)
        else:
            inner.digit(tile, label, 0)
        return insets.framed(self._seen(inner, look, "cropped", random), height, width, random)

    def _enlarged(self, random: Generator, height: int, width: int, kind: str) -> Scene:
        """A small drawing, enlarged with jagged or soft edges."""
        factor = int(random.integers(2, max(3, min(6, min(height, width) // 26 + 1))))
        small = self._drawn(random, -(-height // factor), -(-width // factor), kind)
        way = int(random.choice((cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC), p=(0.6, 0.2, 0.2)))
        return insets.enlarged(small, factor, height, width, way)


def _perspective(page: Page, random: Generator) -> NDArray[np.float64]:
    """A page seen somewhat aslant: its corners moved, and turned a little."""
    width, height = page.width, page.height
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    moved = corners + random.normal(0, 0.025, (4, 2)) * (width, height)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), random.normal(0, 3), random.uniform(0.97, 1.08))
    moved = moved @ turn[:, :2].T + turn[:, 2]
    return np.asarray(cv2.getPerspectiveTransform(corners, moved.astype(np.float32)), np.float64)


def _crowds(
    settings: Settings | None, strokes: Path | None, writers: Path | None, seed: int, held_back: bool
) -> list[Crowd]:
    settings = settings or Settings.from_environment()
    crowds = [
        Crowd("mnist", _mnist_hands(settings, seed, held_back), 0.5),
        Crowd("styles", styled_hands(held_back), 0.2),
    ]
    if strokes is not None:
        crowds.append(Crowd("strokes", stroke_hands(strokes, held_back), 0.25))
    if writers is not None:
        crowds.append(Crowd("writers", folder_hands(writers, held_back), 0.2))
    return crowds


def _mnist_hands(settings: Settings, seed: int, held_back: bool) -> list[Hand]:
    """MNIST's training digits, parted by writers where the table of writers can be had, else by places in the file."""
    whole = dataset.load("auto", settings=settings)
    images, labels = whole.train_images, whole.train_labels
    try:
        table = writers_table(settings, None) if whole.name == "mnist" else None
    except MnistryError:
        table = None
    if table is None:
        part = np.arange(len(labels)) >= round(0.9 * len(labels))
        writer = None
    else:
        part, writer = dataset._by_writers(table, seed), table[:, 2]
    part = part if held_back else ~part
    return mnist_hands(images[part], labels[part], None if writer is None else writer[part])
