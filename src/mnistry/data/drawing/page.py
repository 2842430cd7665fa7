"""A page that scenes are written on: layers of ink, who owns which pixel, and the boxes of the digits."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from mnistry.data.drawing.grounds import Colour, blend
from mnistry.data.drawing.marks import Floats, Tile

OWNED = 0.35  # alpha from which on ink is the digit's own
WHOLE = 0.72  # share of a digit's ink that must be within the picture for it to be read
SEEN = 0.06  # below this share nothing is left of a digit that a network could take for one
LEAST = 3.0  # levels of 255 between a digit's ink and the ground near it that a person sees
NOISE = 1.6  # how many times as much ink differs from the ground near it as the ground does: with less, it drowns
LOW = 0.5  # of the digits' height: what is lower is a dot or a dash
MOST = 250  # digits that fit into one byte an owner


@dataclass(frozen=True)
class Scene:
    """A picture with known answers.

    `image` uint8 (height, width, 3), RGB. `labels` int64 (k,), the digits in reading order. `boxes` float32 (k, 4), x,
    y, width, height of each digit's own ink in pixels. `owner` uint8 (height, width), 0 = no digit's ink, i + 1 = ink
    of digit i (uint16 where a page has more than 250 digits). `rows` int64 (k,), the row of writing that each digit
    stands in. `ignore` float32 (m, 4), boxes of what is neither: digits cut by the border, ambiguous marks. `signs`
    float32 (m, 4), boxes of what is written as large as digits and is none: letters, signs, doodles. `marks` float32
    (m, 4), boxes of the signs that belong to a number and are not read: of a currency, beside an amount.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int64]
    boxes: Floats
    owner: NDArray[np.uint8]
    rows: NDArray[np.int64]
    ignore: Floats
    signs: Floats = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    marks: Floats = field(default_factory=lambda: np.zeros((0, 4), np.float32))


@dataclass
class _Digit:
    label: int
    row: int
    outline: Floats  # (m, 2) points around the ink
    pixels: int  # that it owned when it was written


@dataclass
class Page:
    """What is written on a page of so many pixels, in reading order; `ink` is written, `printed` is not."""

    height: int
    width: int
    large: bool = False  # more than 250 digits
    ink: Floats = field(init=False)
    printed: Floats = field(init=False)
    owner: NDArray[np.uint16] = field(init=False)
    digits: list[_Digit] = field(init=False, default_factory=list)
    ignored: list[Floats] = field(init=False, default_factory=list)
    signs: list[Floats] = field(init=False, default_factory=list)
    marks: list[Floats] = field(init=False, default_factory=list)
    taken: list[tuple[int, int, int, int]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.ink = np.zeros((self.height, self.width), np.float32)
        self.printed = np.zeros((self.height, self.width), np.float32)
        self.owner = np.zeros((self.height, self.width), np.uint16)

    def write(self, tile: Tile, printed: bool = False) -> None:
        """Ink that is no digit's."""
        page, own = self._window(tile)
        if own is not None:
            layer = (self.printed if printed else self.ink)[page]
            np.maximum(layer, tile.alpha[own], out=layer)
            self.taken.append((tile.left, tile.top, tile.left + tile.alpha.shape[1], tile.top + tile.alpha.shape[0]))

    def line(self, start: tuple[float, float], end: tuple[float, float], thick: float, printed: bool) -> None:
        """A straight line with soft edges; it is drawn on the part of the page that it runs through."""
        layer = self.printed if printed else self.ink
        pad = thick / 2 + 2
        low = [max(0, int(min(a, b) - pad)) for a, b in zip(start, end, strict=True)]
        high = [
            min(most, int(max(a, b) + pad) + 1)
            for a, b, most in zip(start, end, (self.width, self.height), strict=True)
        ]
        if low[0] >= high[0] or low[1] >= high[1]:
            return
        along = np.array(end) - start
        along /= max(float(np.hypot(*along)), 1e-6)
        x = np.arange(low[0], high[0], dtype=np.float32)[None] - np.float32(start[0] - 0.5)
        y = np.arange(low[1], high[1], dtype=np.float32)[:, None] - np.float32(start[1] - 0.5)
        apart = np.abs(np.float32(along[0]) * y - np.float32(along[1]) * x)
        alpha = (np.float32(0.5 + thick / 2) - apart).clip(0, min(1.0, thick))
        part = layer[low[1] : high[1], low[0] : high[0]]
        np.maximum(part, alpha, out=part)

    def digit(self, tile: Tile, label: int, row: int, readable: bool = True) -> None:
        """A digit; one that is hardly on the page, or not `readable`, goes to what is ignored."""
        page, own = self._window(tile)
        if own is None:
            return
        alpha = tile.alpha[own]
        strong = alpha > OWNED
        whole = alpha.shape == tile.alpha.shape
        share = 1.0 if whole else cv2.sumElems(alpha)[0] / max(cv2.sumElems(tile.alpha)[0], 1e-6)
        self.write(tile)
        points = cv2.findNonZero(strong.view(np.uint8))
        if points is None:  # a fine pen's grey
            strong = alpha > 0.5 * float(alpha.max())
            points = cv2.findNonZero(strong.view(np.uint8))
        if points is None or share < SEEN:
            return
        corners = cv2.convexHull(points) + np.array(((0, 0), (1, 0), (0, 1), (1, 1)))  # of each pixel
        outline = (corners.reshape(-1, 2) + np.array((max(tile.left, 0), max(tile.top, 0)))).astype(np.float32)
        if share < WHOLE or not readable or (len(self.digits) >= MOST and not self.large):
            self.ignored.append(outline)
            return
        self.digits.append(_Digit(label, row, outline, len(points)))
        self.owner[page][strong] = len(self.digits)

    def sign(self, tile: Tile, size: float, of_number: bool = False) -> None:
        """Ink that is no digit's and stands beside digits of this size; dots and dashes are too low to be signs.

        `of_number`: it belongs to a number, as a currency's sign does.
        """
        _, own = self._window(tile)
        self.write(tile)
        strong = tile.alpha > OWNED
        points = cv2.findNonZero(strong.view(np.uint8))
        if own is None or points is None:
            return
        left, top, wide, high = cv2.boundingRect(points)
        share = cv2.sumElems(tile.alpha[own])[0] / max(cv2.sumElems(tile.alpha)[0], 1e-6)
        if high < LOW * size or share < SEEN:
            return
        x, y = tile.left + left, tile.top + top
        outline = np.array([(x, y), (x + wide, y), (x, y + high), (x + wide, y + high)], np.float32)
        (self.ignored if share < WHOLE else self.marks if of_number else self.signs).append(outline)

    def ignore(self, tile: Tile) -> None:
        """Ink that a network may take for what it likes."""
        self.write(tile)
        left, top, (height, width) = tile.left, tile.top, tile.alpha.shape
        corners = [(left, top), (left + width, top), (left, top + height), (left + width, top + height)]
        self.ignored.append(np.array(corners, np.float32))

    def free(self, place: tuple[int, int, int, int]) -> bool:
        """Whether nothing was written in left, top, right, bottom."""
        left, top, right, bottom = place
        return all(right <= box[0] or left >= box[2] or bottom <= box[1] or top >= box[3] for box in self.taken)

    def _window(self, tile: Tile) -> tuple[tuple[slice, slice], tuple[slice, slice] | None]:
        (high, wide), top, left = tile.alpha.shape, tile.top, tile.left
        first_y, last_y = max(top, 0), min(top + high, self.height)
        first_x, last_x = max(left, 0), min(left + wide, self.width)
        page = slice(first_y, last_y), slice(first_x, last_x)
        if first_y >= last_y or first_x >= last_x:
            return page, None
        return page, (slice(first_y - top, last_y - top), slice(first_x - left, last_x - left))

    def coloured(self, ground: Floats, ink: Colour, printed: Colour, strength: Floats | float) -> Floats:
        """The ground with all ink on it; `strength` is how much ink the pen gives, everywhere or for each pixel."""
        if self.printed.any():
            blend(ground, self.printed, printed)
        blend(ground, self.ink * np.float32(strength), ink)
        return ground

    def scene(self, picture: Floats, matrix: NDArray[np.float64] | None = None, beyond: Colour | None = None) -> Scene:
        """The scene of a picture of this page, seen through a (3, 3) `matrix` where there is one.

        `beyond` is the colour outside the page; None goes on with that of its border.
        """
        owner = self.owner
        if matrix is not None:
            size = (self.width, self.height)
            mode = cv2.BORDER_REPLICATE if beyond is None else cv2.BORDER_CONSTANT
            colour = (0.0, 0.0, 0.0) if beyond is None else tuple(float(value) for value in beyond)
            picture = np.asarray(cv2.warpPerspective(picture, matrix, size, borderMode=mode, borderValue=colour))
            owner = np.asarray(cv2.warpPerspective(owner, matrix, size, flags=cv2.INTER_NEAREST))
        return self._answers(picture, owner, matrix)

    def _answers(self, picture: Floats, owner: NDArray[np.uint16], matrix: NDArray[np.float64] | None) -> Scene:
        size = np.array([self.width, self.height], np.float32)
        boxes = np.array([_box(digit.outline, matrix, size) for digit in self.digits], np.float32).reshape(-1, 4)
        many = np.bincount(owner.ravel(), minlength=len(self.digits) + 1)[1:]
        grown = 1.0 if matrix is None else abs(float(np.linalg.det(matrix[:2, :2])))
        whole = np.array(
            [own >= 0.5 * grown * digit.pixels for own, digit in zip(many, self.digits, strict=True)], bool
        )
        whole &= (boxes[:, 2:] >= 1).all(axis=1)
        if not whole.all():
            renamed = np.concatenate([[0], np.where(whole, np.cumsum(whole), 0)]).astype(owner.dtype)
            owner = renamed[owner]
        ignored = [_box(outline, matrix, size) for outline in self.ignored] + list(boxes[~whole])
        ignore = np.array(ignored, np.float32).reshape(-1, 4)
        signs, marks = (
            np.array([_box(outline, matrix, size) for outline in outlines], np.float32).reshape(-1, 4)
            for outlines in (self.signs, self.marks)
        )
        return Scene(
            np.rint(picture.clip(0, 255)).astype(np.uint8),
            np.array([digit.label for digit in self.digits], np.int64)[whole],
            boxes[whole],
            owner if self.large else owner.astype(np.uint8),  # type: ignore[arg-type]
            np.array([digit.row for digit in self.digits], np.int64)[whole],
            ignore[(ignore[:, 2:] >= 1).all(axis=1)],
            signs[(signs[:, 2:] >= 1).all(axis=1)],
            marks[(marks[:, 2:] >= 1).all(axis=1)],
        )


def readable(scene: Scene) -> Scene:
    """A scene without the answers that nobody sees: digits that the picture does not show go to what is ignored."""
    if not len(scene.labels):
        return scene
    seen = np.array([_shows(scene, k) for k in range(len(scene.labels))], bool)
    if seen.all():
        return scene
    renamed = np.concatenate([[0], np.where(seen, np.cumsum(seen), 0)]).astype(scene.owner.dtype)
    none, signs, marks = scene.signs[:0], scene.signs, scene.marks
    lost = [scene.boxes[~seen]] + ([] if seen.any() else [signs, marks])  # signs drown as digits do
    return Scene(
        scene.image, scene.labels[seen], scene.boxes[seen], renamed[scene.owner], scene.rows[seen],
        np.concatenate([scene.ignore, *lost]), signs if seen.any() else none, marks if seen.any() else none,
    )  # fmt: skip


def _shows(scene: Scene, k: int) -> bool:
    """Whether digit k differs from the ground near it by LEAST levels more, and NOISE times more, than that itself."""
    x, y, wide, high = scene.boxes[k]
    edge, reach = 2 + int(0.1 * high), 2 * int(2 + 0.25 * high) + 1
    part = np.s_[max(int(y) - edge, 0) : int(y + high) + edge, max(int(x) - edge, 0) : int(x + wide) + edge]
    owner, picture = scene.owner[part], scene.image[part].astype(np.float32)
    own, around = (owner == k + 1).view(np.uint8), (owner == 0).view(np.uint8)
    if cv2.countNonZero(own) < 4:
        return False
    share = cv2.merge([around.astype(np.float32)] * 3)
    local = cv2.blur(picture * share, (reach, reach)) / np.maximum(cv2.blur(share, (reach, reach)), 1e-3)
    off = cv2.absdiff(picture, local)
    ink = np.array(cv2.mean(off, mask=own)[:3])
    capped = np.minimum(off, ink.astype(np.float32))  # a line of a form counts no more than ink
    ground = np.array(cv2.mean(capped, mask=around)[:3])
    return bool(((ink > ground + LEAST) & (ink > NOISE * ground)).any())


def _box(outline: Floats, matrix: NDArray[np.float64] | None, size: Floats) -> NDArray[np.float32]:
    """x, y, width, height of points, as far as they are on the page."""
    if matrix is not None:
        outline = np.asarray(cv2.perspectiveTransform(outline[:, None], matrix), np.float32)[:, 0]
    low, high = outline.min(axis=0).clip(0, size), outline.max(axis=0).clip(0, size)
    return np.concatenate([low, high - low])
