"""Pictures within pictures: MNIST's own, smaller ones in a frame, small ones enlarged; lines and bands over them."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from mnistry.data.drawing.marks import Floats, Generator, Pen, Tile
from mnistry.data.drawing.page import Page, Scene
from mnistry.data.drawing.writing import Look
from mnistry.data.writers import Pictures

ZIGZAGS = 0.1  # share of MNIST's own pictures with a zigzag through them
TURNED = 0.08  # and of those whose light and dark are turned round on a side


def lines_across(page: Page, size: float, random: Generator, zigzags: float = 0.03) -> None:
    """Now and then a zigzag, a dotted or a straight line through everything, or strokes broken by gaps."""
    way = random.random()
    if way < zigzags:
        many = int(random.integers(3, 12))
        x = np.linspace(-5, page.width + 5, many)
        y = page.height * random.uniform(0.2, 0.8) + random.normal(0, random.uniform(0.02, 0.4) * size, many)
        points = np.rint(np.stack([x, y], axis=1)).astype(np.int32)
        canvas = np.zeros((page.height, page.width), np.uint8)
        cv2.polylines(
            canvas,
            [points.reshape(-1, 1, 2)],
            False,
            255,
            max(1, round(size * random.uniform(0.02, 0.07))),
            cv2.LINE_AA,
        )
        if random.random() < 0.4:
            canvas[:, np.arange(page.width) // max(2, round(0.08 * size)) % 2 == 0] = 0
        np.maximum(page.ink, canvas.astype(np.float32) / np.float32(255), out=page.ink)
    elif way < zigzags + 0.02:  # what a scanner's dust and a dry pen leave out
        for _ in range(int(random.integers(1, 5))):
            top = int(random.integers(page.height))
            page.ink[top : top + max(1, round(0.03 * size))] *= np.float32(random.uniform(0, 0.6))


def turned_band(picture: Floats, random: Generator) -> None:
    """Turn light and dark round on one side of a picture (h, w, 3), or on both, as where print changes its ground."""
    side = int(random.integers(2))
    length = picture.shape[side]
    for end in (0, 1) if random.random() < 0.5 else (int(random.integers(2)),):
        wide = max(1, round(length * random.uniform(0.05, 0.4)))
        part = picture.swapaxes(0, side)[slice(0, wide) if end == 0 else slice(length - wide, length)]
        part[:] = 255 - part


def mnist(page: Page, look: Look, hands: Sequence[Pictures], random: Generator) -> Floats:
    """MNIST's own pictures as they are, light on black or turned round, side by side or one alone."""
    step = round(28 * random.uniform(0.85, 1.3))
    start_y, start_x = (int(v) for v in random.integers(-9, 14, 2))
    places = [(y, x) for y in range(start_y, page.height, step) for x in range(start_x, page.width, step)]
    if random.random() < 0.45:
        y, x = (int(random.uniform(0, max(most - 28, 0) + 1)) for most in (page.height, page.width))
        places = [(y, x)]
    rows = {y: row for row, y in enumerate(sorted({y for y, _ in places}))}
    edges = random.random() < 0.06
    for y, x in places:
        if random.random() < 0.12:
            writing = replace(look.writing, size=20, pen=Pen(random.uniform(1, 3)))
            page.sign(writing.loose(random).tile(look.clutter.mark(random), x + 14, y + 24, random), 20)
            continue
        hand = hands[int(random.integers(len(hands)))]
        label = int(random.choice([label for label in range(10) if hand.has(label)]))
        image = hand.images[int(random.choice(hand.places[label]))]
        if edges:
            image = np.asarray(cv2.Canny(image, 100, 200), np.uint8)
        page.digit(Tile(image.astype(np.float32) / np.float32(255), x, y), label, rows[y])
    lines_across(page, 20, random, ZIGZAGS)
    light = page.ink * 255
    if random.random() < 0.25:
        light = 255 - light
    picture = np.repeat(light[:, :, None], 3, axis=2)
    if random.random() < TURNED:
        turned_band(picture, random)
    return picture


def framed(inner: Scene, height: int, width: int, random: Generator) -> Scene:
    """A smaller picture on a larger one: its border goes on, or ground of one colour."""
    high, wide = inner.owner.shape
    top, left = (
        int(v * f) for v, f in zip((height - high, width - wide), random.choice(((0, 0), (0.5, 0.5))), strict=True)
    )
    way = random.random()
    pads = (top, height - high - top, left, width - wide - left)
    colour = float(random.choice((0, 114, 128, 255)))
    if way < 0.45:
        colours = tuple(float(v) for v in np.median(np.concatenate([inner.image[0], inner.image[-1]]), axis=0))
    else:
        colours = (colour, colour, colour)
    mode = cv2.BORDER_REPLICATE if way < 0.15 else cv2.BORDER_CONSTANT
    image = np.asarray(cv2.copyMakeBorder(inner.image, *pads, mode, value=colours), np.uint8)
    owner = np.pad(inner.owner, ((pads[0], pads[1]), (pads[2], pads[3])))
    move = np.array([left, top, 0, 0], np.float32)
    return replace(
        inner, image=image, owner=owner, boxes=inner.boxes + move, ignore=inner.ignore + move,
        signs=inner.signs + move, marks=inner.marks + move,
    )  # fmt: skip


def enlarged(small: Scene, factor: int, height: int, width: int, way: int) -> Scene:
    """A scene that many times larger, cut to a size."""
    size = (small.owner.shape[1] * factor, small.owner.shape[0] * factor)
    image = np.asarray(cv2.resize(small.image, size, interpolation=way), np.uint8)[:height, :width]
    owner = np.asarray(cv2.resize(small.owner, size, interpolation=cv2.INTER_NEAREST), np.uint8)[:height, :width]
    return replace(
        small,
        image=image,
        owner=owner,
        boxes=_cut(small.boxes * factor, height, width),
        ignore=_cut(small.ignore * factor, height, width),
        signs=_cut(small.signs * factor, height, width),
        marks=_cut(small.marks * factor, height, width),
    )


def _cut(boxes: Floats, height: int, width: int) -> Floats:
    low = boxes[:, :2]
    return np.concatenate([low, np.minimum(boxes[:, 2:], np.array([width, height], np.float32) - low)], axis=1)
