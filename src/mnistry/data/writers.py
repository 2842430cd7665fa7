"""Whose digits scenes are written with: MNIST's writers, pen strokes, semeion, optdigits. One `Hand` is one person."""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistry.data.drawing.marks import Field, Floats, Shape, field, skeleton_field, strokes

Images = NDArray[np.uint8]  # (n, height, width), 0 = paper, 255 = ink
Labels = NDArray[np.int64]  # (n,)
Generator = np.random.Generator

HELD_BACK_STROKES = frozenset((5, 10, 15, 20, 25, 30))  # pendigits writers of validation; every fifth of the thirty
HELD_BACK = 0.2  # share of semeion and of optdigits that validation has: the last digits of each file
INK = 90  # grey from which on a pixel is taken for ink: hairlines of MNIST are no darker
THICK = 0.1  # half a stroke's width, of a digit's height
KEPT = 2000  # digits whose thin form is kept: one takes 3 ms to make and 40 kB
NARROWED = 0.6  # share of the digits stretched to a square that get a width of their own again
CROWD = 60  # digits in a row of a file whose writers nobody named, that are taken for one person's


class Hand(Protocol):
    """One person's digits."""

    def has(self, label: int) -> bool:
        """Whether this person wrote such a digit."""

    def digit(self, label: int, random: Generator, fine: bool = False) -> Shape:
        """One of the person's digits of this label; `fine` only as the way of the pen, for a fine pen."""


@dataclass(frozen=True)
class Pictures:
    """A person's digits as pictures: `images` of everybody, `places` of this person's for each label.

    `narrow`: the source stretched its digits to a square, so that the width is drawn anew, mostly.
    """

    images: Images
    places: tuple[NDArray[np.int64], ...]
    narrow: bool = False

    @property
    def own_size(self) -> bool:
        """Whether the pictures are as MNIST's are."""
        return self.images.shape[1:] == (28, 28)

    def has(self, label: int) -> bool:
        """Whether this person wrote such a digit."""
        return len(self.places[label]) > 0

    def digit(self, label: int, random: Generator, fine: bool = False) -> Field:
        """One of the person's digits of this label; `fine` only as the way of the pen."""
        image = self.images[int(random.choice(self.places[label]))]
        if fine and self.own_size:
            return _way_of_pen(image.tobytes())
        if self.narrow and random.random() < NARROWED:
            wide = random.uniform(0.15, 0.45) if label == 1 else random.uniform(0.5, 0.9)
            large = cv2.resize(image, (max(12, round(64 * wide)), 64), interpolation=cv2.INTER_LINEAR)
            return field(np.asarray(cv2.GaussianBlur(large, (0, 0), 1.8), np.uint8), smooth=0)
        return field(image, INK)


@dataclass(frozen=True)
class Traces:
    """A person's digits as ways of a pen, for each label."""

    digits: tuple[tuple[tuple[Floats, ...], ...], ...]

    def has(self, label: int) -> bool:
        """Whether this person wrote such a digit."""
        return len(self.digits[label]) > 0

    def digit(self, label: int, random: Generator, fine: bool = False) -> Shape:  # noqa: ARG002
        """One of the person's digits of this label, which is the way of the pen in any case."""
        lines = self.digits[label][int(random.integers(len(self.digits[label])))]
        return strokes(list(lines))


def mnist_hands(images: Images, labels: Labels, writers: NDArray[np.integer] | None = None) -> list[Hand]:
    """The persons of MNIST's pictures; where nobody knows who wrote them, digits in a row are one person's."""
    named = np.arange(len(labels)) // CROWD if writers is None else np.asarray(writers)
    order = np.argsort(named, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(named[order])) + 1)
    return [Pictures(images, _places(labels, group)) for group in groups if len(group)]


def stroke_hands(file: Path, held_back: bool) -> list[Hand]:
    """The persons of UCI's pendigits (UNIPEN text); the six of HELD_BACK_STROKES, or all others."""
    persons: dict[int, list[list[tuple[Floats, ...]]]] = {}
    for label, writer, lines in unipen(file):
        if (writer in HELD_BACK_STROKES) == held_back:
            persons.setdefault(writer, [[] for _ in range(10)])[label].append(lines)
    return [Traces(tuple(tuple(digits) for digits in person)) for _, person in sorted(persons.items())]


def unipen(file: Path) -> Iterator[tuple[int, int, tuple[Floats, ...]]]:
    """Label, writer and pen strokes (n, 2) of each digit; y is turned to point downwards."""
    label, writer, lines = -1, -1, list[list[tuple[float, float]]]()
    with gzip.open(file, "rt", encoding="latin-1") as text:
        for line in [*text, ".SEGMENT end"]:
            words = line.split()
            if line.startswith(".SEGMENT"):
                kept = tuple(np.array(points, np.float32) for points in lines if points)
                if kept:
                    yield label, writer, kept
                lines = []
            elif line.startswith(".COMMENT") and len(words) == 4 and words[1].isdigit():
                label, writer = int(words[1]), int(words[2])
            elif line.startswith(".PEN_DOWN"):
                lines.append([])
            elif len(words) == 2 and not line.startswith(".") and lines:
                lines[-1].append((float(words[0]), -float(words[1])))


def folder_hands(folder: Path, held_back: bool) -> list[Hand]:
    """The persons of `semeion.data.gz` and `optdigits-orig.*.gz` in a folder: the last fifth of each, or the rest."""
    hands: list[Hand] = []
    if (folder / "semeion.data.gz").is_file():
        images, labels = semeion(folder / "semeion.data.gz")
        hands += _semeion_hands(images, labels, _part(len(labels), held_back))
    for file in sorted(folder.glob("optdigits-orig.*.gz")):
        images, labels = optdigits(file)
        part = _part(len(labels), held_back)
        groups = np.array_split(part, max(1, len(part) // CROWD))
        hands += [Pictures(images, _places(labels, group)) for group in groups]
    return hands


def semeion(file: Path) -> tuple[Images, Labels]:
    """Pictures (n, 16, 16) and labels of the Semeion set (UCI 178, CC BY 4.0)."""
    with gzip.open(file, "rt") as text:
        table = np.array([line.split() for line in text if line.strip()], np.float32)
    return (table[:, :256].reshape(-1, 16, 16) * 255).astype(np.uint8), table[:, 256:266].argmax(axis=1)


def optdigits(file: Path) -> tuple[Images, Labels]:
    """Pictures (n, 32, 32) and labels of UCI's optdigits before it was reduced (UCI 80, CC BY 4.0)."""
    with gzip.open(file, "rt") as text:
        lines = [line.strip() for line in text]
    images, labels, rows = list[NDArray[np.uint8]](), list[int](), list[str]()
    for line in lines:
        if len(line) == 32 and set(line) <= {"0", "1"}:
            rows.append(line)
        elif len(rows) == 32 and len(line) == 1:
            images.append(np.array([list(row) for row in rows], np.uint8) * np.uint8(255))
            labels.append(int(line))
            rows = []
    return np.stack(images), np.array(labels, np.int64)


def _part(n: int, held_back: bool) -> NDArray[np.int64]:
    first = round(n * (1 - HELD_BACK))
    return np.arange(first, n) if held_back else np.arange(first)


def _semeion_hands(images: Images, labels: Labels, part: NDArray[np.int64]) -> list[Hand]:
    """Ten persons wrote 200 digits that stand in a row, sorted by label, two of each person."""
    hands: list[Hand] = []
    for group in np.array_split(part, max(1, len(part) // 200)):
        of_label = [group[labels[group] == label] for label in range(10)]
        persons = range(max(len(places) for places in of_label) // 2)
        hands += [Pictures(images, tuple(p[2 * k : 2 * k + 2] for p in of_label), narrow=True) for k in persons]
    return hands


def _places(labels: Labels, group: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    return tuple(group[labels[group] == label] for label in range(10))


@lru_cache(KEPT)
def _way_of_pen(content: bytes) -> Field:
    """The middle line of one of MNIST's pictures; all of it where its pen was so thick that loops have closed."""
    image = np.frombuffer(content, np.uint8).reshape(28, 28)
    whole = field(image, INK)
    if whole.half > THICK * whole.scale:
        return whole
    large = cv2.resize(image, (84, 84), interpolation=cv2.INTER_CUBIC)
    return skeleton_field(cv2.convertScaleAbs(cv2.GaussianBlur(large, (0, 0), 1.2), alpha=1.5).astype(np.uint8))


def some_digit(hands: Sequence[Hand], first: Hand, label: int, random: Generator, fine: bool = False) -> Shape:
    """This person's digit of the label, or another person's where this one wrote none."""
    hand = first
    while not hand.has(label):
        hand = hands[int(random.integers(len(hands)))]
    return hand.digit(label, random, fine)
