"""Outliers: pictures of what is no digit, in MNIST form, for a model to learn to refuse (outlier exposure).

Everything is drawn here: printed letters bent like a hand's, letters of alphabets that nobody has, a random pen's
strokes, and the training digits in pieces.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.data.drawing.clutter import character
from mnistry.data.handwriting_styles import tight
from mnistry.data.letters import COMMON, directions, letters, printed, thinned
from mnistry.imaging.normalization import normalize

Images = NDArray[np.uint8]  # (n, 28, 28), 0 = paper, 255 = ink
Labels = NDArray[np.integer[Any]]  # (n,)
Ink = NDArray[np.uint8]  # one drawing on a canvas of any size
Generator = np.random.Generator

KNOWN = 10_000  # digits with which a drawing is compared
ROUNDS = 20  # of drawing anew what came out like a digit
CANVAS = 72  # pixels of a drawing's side, before it is brought to MNIST form
HALVES = {0: "lr", 2: "l", 3: "l", 4: "lr", 5: "l", 6: "l", 8: "l", 9: "l"}  # halves that are no other digit
MIRRORED = (3, 4, 6, 7, 9)
TURNED = (2, 3, 4, 5, 7)  # by a quarter


def outliers(n: int, digits: Images, labels: Labels, generator: Generator) -> Images:
    """Draw n pictures of what is no digit; some are made of pieces and mirror images of the `digits`.

    A picture that is as similar to one of the digits as half of them are to each other is drawn again.
    """
    known = directions(digits[generator.permutation(len(digits))[:KNOWN]])
    alike = float(np.median(np.partition(known[:1000] @ known.T, -2, axis=1)[:, -2])) if len(known) > 1 else 1.0
    kept = np.empty((0, 28, 28), np.uint8)
    for turn in range(ROUNDS):
        drawn = _drawn(n - len(kept), digits, labels, generator)
        likeness = [(directions(drawn[k : k + 500]) @ known.T).max(axis=1) for k in range(0, len(drawn), 500)]
        new = (np.concatenate(likeness) < alike) | (turn == ROUNDS - 1)
        kept = np.concatenate([kept, drawn[new]])
        if len(kept) == n:
            break
    return kept


def pairs(n: int, digits: Images, labels: Labels, generator: Generator) -> Images:
    """Draw n pictures of two or three touching digits, which a model could take for one digit.

    Every other picture has a 1 in it, which a model most easily overlooks beside another digit.
    """
    ones = digits[labels == 1]
    return np.stack([normalize(_pair(digits, ones if len(ones) else digits, generator)) for _ in range(n)])


def _drawn(n: int, digits: Images, labels: Labels, generator: Generator) -> Images:
    kinds: Sequence[tuple[float, Callable[[], Ink]]] = (
        (0.27, lambda: _letter(generator)),
        (0.2, lambda: _character(generator)),
        (0.07, lambda: _word(generator)),
        (0.18, lambda: _doodle(generator)),
        (0.09, lambda: _half(digits, labels, generator)),
        (0.07, lambda: _turned(digits, labels, generator)),
        (0.06, lambda: _few_marks(generator)),
        (0.06, lambda: _stain(generator)),
    )
    chosen = generator.choice(len(kinds), n, p=[share for share, _ in kinds])
    return np.stack([normalize(kinds[kind][1]()) for kind in chosen])


def _letter(generator: Generator) -> Ink:
    """A letter or a sign, printed or thinned to a pen stroke, and bent like handwriting."""
    text = str(generator.choice(letters())) if generator.random() < 0.5 else str(generator.choice(list(COMMON)))
    return _bent(_with_pen(printed(text, generator), generator), generator)


def _character(generator: Generator) -> Ink:
    """A letter of an alphabet that nobody has."""
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    pen = int(generator.integers(2, 8))
    for way in character(generator).ways:
        _stroke(canvas, CANVAS * np.array([0.5, 0.83]) + CANVAS * 0.66 * way, pen)
    return canvas


def _word(generator: Generator) -> Ink:
    """Several letters side by side, as one shape."""
    chosen = generator.choice(letters()[:200], int(generator.integers(2, 6)))
    return _bent(_with_pen(printed("".join(chosen), generator), generator), generator)


def _doodle(generator: Generator) -> Ink:
    """Strokes of a pen: lines, arcs, zigzags, loops."""
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    pen = int(generator.integers(2, 10))
    for _ in range(int(generator.choice((1, 2, 3, 4, 5), p=(0.1, 0.3, 0.3, 0.2, 0.1)))):
        _stroke(canvas, _walk(generator), pen)
    return canvas


def _pair(digits: Images, ones: Images, generator: Generator) -> Ink:
    """Two or three digits that touch or overlap; of the last one sometimes only a half."""
    chosen = [
        tight(digits[k]) for k in generator.integers(len(digits), size=int(generator.choice((2, 3), p=(0.8, 0.2))))
    ]
    if generator.random() < 0.5:
        chosen[int(generator.integers(len(chosen)))] = tight(ones[generator.integers(len(ones))])
    canvas = np.zeros((56, 112), np.uint8)
    left = end = 4
    for digit in chosen:
        left = max(4, end + int(generator.integers(-(digit.shape[1] // 3), 3)))
        top = 14 + int(generator.integers(-4, 5)) + (20 - len(digit)) // 2
        place = canvas[top : top + digit.shape[0], left : left + digit.shape[1]]
        np.maximum(place, digit[: place.shape[0], : place.shape[1]], out=place)
        end = left + digit.shape[1]
    if generator.random() < 0.2 and digit.shape[1] > 8:  # a smaller half would be a scrap beside a digit
        canvas[:, round(end - generator.uniform(0.3, 0.55) * digit.shape[1]) :] = 0
    return canvas


def _half(digits: Images, labels: Labels, generator: Generator) -> Ink:
    """The left or the right half of a digit, cut a little aslant."""
    image, label = _one_of(digits, labels, tuple(HALVES), generator)
    digit = tight(image)
    height, width = digit.shape
    cut = width * generator.uniform(0.4, 0.6) + np.linspace(-1, 1, height) * generator.uniform(-2, 2)
    left = np.arange(width) < cut[:, None]
    side = generator.choice(list(HALVES[label]))
    kept: Ink = np.where(left if side == "l" else ~left, digit, 0).astype(np.uint8)
    return kept if kept.any() else digit.T


def _turned(digits: Images, labels: Labels, generator: Generator) -> Ink:
    """A digit mirrored, turned by a quarter, or with its quarters exchanged."""
    way = generator.integers(3)
    if way == 0:
        return _one_of(digits, labels, MIRRORED, generator)[0][:, ::-1]
    if way == 1:
        turned: Ink = np.rot90(_one_of(digits, labels, TURNED, generator)[0], generator.choice((1, 3)))
        return turned
    image = _one_of(digits, labels, (0, 2, 3, 4, 5, 6, 8, 9), generator)[0]
    swapped: Ink = np.roll(image, (14, 14 * generator.integers(2)), (0, 1))
    return swapped


def _few_marks(generator: Generator) -> Ink:
    """Dots, dashes, ticks and crosses."""
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    middle, pen = CANVAS / 2, int(generator.integers(3, 14))
    way = generator.integers(4)
    if way == 0:  # dots
        spots = generator.uniform(10, CANVAS - 10, (int(generator.integers(1, 7)), 2))
        for spot in spots:
            _stroke(canvas, np.array([spot, spot + 1]), pen)
        return canvas
    angle = generator.uniform(-0.5, 0.5) + (np.pi / 4 if way == 2 else 0)
    along = np.array([np.cos(angle), np.sin(angle)]) * generator.uniform(8, 30)
    _stroke(canvas, middle + np.array([-along, along]), pen)
    if way >= 2:  # a cross, or two dashes
        other = np.array([-along[1], along[0]])
        _stroke(canvas, middle + np.array([-other, other] if way == 2 else [other - along, other + along]), pen)
    return canvas


def _stain(generator: Generator) -> Ink:
    """Noise, blots, filled shapes, and bits of a photo's edges and textures."""
    import cv2

    way = generator.integers(3)
    if way == 0:
        canvas = np.zeros((CANVAS, CANVAS), np.uint8)
        corners = generator.uniform(4, CANVAS - 4, (int(generator.integers(3, 8)), 2)).astype(np.int32)
        cv2.fillPoly(canvas, [corners if generator.random() < 0.3 else cv2.convexHull(corners)], 255)
        return canvas
    noise: NDArray[Any] = generator.normal(0, 1, (CANVAS, CANVAS)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), float(np.exp(generator.uniform(-0.5, 2.2))))
    level = np.quantile(noise, generator.uniform(0.3, 0.95))
    if way == 1:
        return ((noise > level) * 255).astype(np.uint8)
    soft: Ink = ((noise - level).clip(0) / (noise.max() - level) * 255).astype(np.uint8)
    return soft


def _with_pen(ink: Ink, generator: Generator) -> Ink:
    """Printed ink made thinner, down to a fine pen, or now and then thicker."""
    import cv2

    if generator.random() < 0.15:
        return np.asarray(cv2.dilate(ink, np.ones((3, 3), np.uint8), iterations=int(generator.integers(1, 4))))
    return thinned(ink, generator.uniform(0, 0.7))


def _bent(ink: Ink, generator: Generator) -> Ink:
    """Turned, slanted, squeezed and bent."""
    import cv2

    height, width = ink.shape
    side = max(height, width)
    pad = side // 3
    ink = np.pad(ink, ((pad + (side - height) // 2,) * 2, (pad + (side - width) // 2,) * 2))
    rows, columns = np.indices(ink.shape, np.float32)
    x, y = columns - ink.shape[1] / 2, rows - ink.shape[0] / 2
    turn, slant = generator.normal(0, 0.12), generator.normal(0, 0.2)
    squeeze = np.exp(generator.normal(0, 0.2))
    bends = generator.normal(0, 0.03 * side, (2, 4, 4)).astype(np.float32)
    wave = [cv2.resize(bend, ink.shape[::-1], interpolation=cv2.INTER_CUBIC) for bend in bends]
    places_x = (x * np.cos(turn) - y * np.sin(turn)) * squeeze + slant * y + ink.shape[1] / 2 + wave[0]
    places_y = x * np.sin(turn) + y * np.cos(turn) + ink.shape[0] / 2 + wave[1]
    taken = cv2.remap(ink, places_x.astype(np.float32), places_y.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(taken) if taken.any() else ink


def _walk(generator: Generator) -> NDArray[np.float64]:
    """The path of a pen, straight, curling, or with corners: (m, 2)."""
    steps = int(generator.integers(2, 40))
    turns = generator.normal(0, 0.1, steps) + generator.normal(0, 0.25)
    if generator.random() < 0.4:
        turns = np.where(generator.random(steps) < 0.15, generator.uniform(-3, 3, steps), 0)
    angles = generator.uniform(0, 2 * np.pi) + np.cumsum(turns)
    way = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], axis=1), axis=0)
    way *= generator.uniform(10, 50) / max(np.ptp(way, axis=0).max(), 1e-3)
    placed: NDArray[np.float64] = way - way.mean(axis=0) + generator.uniform(24, CANVAS - 24, 2)
    return placed


def _stroke(canvas: Ink, way: NDArray[np.float64], pen: int) -> None:
    import cv2

    points = np.rint(way * 8).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [points], False, 255, pen, cv2.LINE_AA, shift=3)


def _one_of(digits: Images, labels: Labels, wanted: tuple[int, ...], generator: Generator) -> tuple[Ink, int]:
    """A digit with one of these labels; any digit where there is none."""
    for _ in range(50):
        place = int(generator.integers(len(digits)))
        if labels[place] in wanted:
            break
    return digits[place], int(labels[place]) if labels[place] in wanted else wanted[0]
