"""Find the digits of a picture, and each digit's own ink, with the locator: ONNX Runtime, NumPy and Pillow alone."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.imaging.normalization import normalize
from mnistry.reading.recognizer import session
from mnistry.reading.views import View, scales, view

Floats = NDArray[np.float32]

SMALLEST, LARGEST = 12.0, 116.0  # pixels of a view: sizes that the locator has learnt to find in it
BEST = 48.0  # pixels of a view: the size at which a digit is read best
CLEAR = 26.0  # pixels of a view: a smaller digit is looked at again at twice the size
WANTED = 0.1  # how surely a cell shows what is too small, from which on somebody looks closer
MOSTLY = 0.5  # of a picture: where so much of it is wanted, all of it is looked at
COARSE = 4.0  # down to a picture of one in so many of its size, every size is looked at
ALWAYS = 1000 * 1000  # pixels of a view: up to so many, all of the picture is looked at
ENLARGED = 360 * 360  # the same of a view that is larger than the picture
MOST = 3000  # candidates of a view; a page has room for no more that can be read
FEW = 100  # places that are looked at again however unsure they are; what is less sure beyond is texture
LIKELY = 0.3  # how sure the others are at least
PLACES = 2000  # places that are looked at again at most, the surest; the memory for them grows with the square
ROWS = 250  # boxes that are compared with all others at a time
SURELY = 0.5  # a small one that is less sure is no reason to look closer
SURE = 0.1  # what is less sure is no candidate
TWICE = 0.75  # overlap of two candidates of which one is enough to be looked at again
SAME = 0.5  # overlap, as a share of both, from which on two boxes are one digit found twice
THIN = 0.3  # of its length: a box that is thinner is taken for so broad where it is compared with another
INSIDE = 0.7  # share of a box within another from which on only one of the two is right
RIVAL = 0.15  # of a box's size: so near to another, both may claim the same ink
INK = 0.2  # probability of ink below which a pixel is paper
ASTRAY = 0.75  # of a digit's size: ink that points farther off its centre is not its own
MOST_PIXELS = 1600 * 1600  # of a view
SMALL = 3 * 160 * 160  # bytes of a view that one thread sees as soon as several


@dataclass(frozen=True)
class Seen:
    """A view with what the locator says of it: boxes (k, 4) in the picture, their sizes in the view, `sure` (k,)."""

    view: View
    boxes: Floats
    sizes: Floats
    sure: Floats
    classes: Floats
    tiny: Floats
    ink: Floats
    centres: Floats


class Locator:
    """Finds digits with one locator file."""

    def __init__(self, model: bytes) -> None:
        self._bytes = model

    def look(self, picture: Image.Image) -> list[Seen]:
        """What it says of views of an RGB picture from coarse to fine, as long as something is too small to be read."""
        seen: list[Seen] = []
        box: tuple[float, float, float, float] | None = (0, 0, *picture.size)
        sizes = scales(*picture.size)
        for k, scale in enumerate(sizes):
            if box is None or (seen and (box[2] - box[0]) * (box[3] - box[1]) * scale**2 > MOST_PIXELS):
                break
            seen.append(self.see(view(picture, scale, box)))
            following = sizes[k + 1] if k + 1 < len(sizes) else scale
            most = ALWAYS if following <= 1 else ENLARGED
            if following * COARSE > 1 and picture.width * picture.height * following**2 > most:
                box = _closer(seen[-1], picture.size)
        return seen

    def see(self, look: View) -> Seen:
        """What the locator says of one view."""
        network = self._small if look.pixels.size <= SMALL else self._large
        peaks, tiny, ink, centres = network.run(None, {"images": look.pixels[None]})
        peaks = peaks[peaks[:, 0] >= SURE]
        peaks = peaks[np.argsort(-peaks[:, 0], kind="stable")[:MOST]]
        corners = peaks[:, 1:5].reshape(-1, 2, 2)
        sizes = (corners[:, 1] - corners[:, 0]).max(axis=1)
        boxes = look.to_picture(corners).reshape(-1, 4)
        return Seen(look, boxes, sizes, peaks[:, 0], peaks[:, 5:], tiny, ink, centres)

    @property
    def metadata(self) -> dict[str, str]:
        """What the locator's file says of itself."""
        return dict(self._small.get_modelmeta().custom_metadata_map)

    @cached_property
    def _small(self) -> Any:
        return session(self._bytes, 1)  # a small view is sooner seen without a thread pool

    @cached_property
    def _large(self) -> Any:
        return session(self._bytes, 0)


def _closer(seen: Seen, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """The part of the picture that holds what is too small at this size, or None."""
    y, x = np.nonzero(seen.tiny > WANTED if seen.view.scale < 1 else np.zeros_like(seen.tiny))
    points = seen.view.to_picture(np.stack([x, y], axis=1).astype(np.float32) * 4 + 2)
    small = seen.boxes[(seen.sizes < CLEAR) & (seen.sure > SURELY)]
    points = np.concatenate([points, small[:, :2], small[:, 2:]])
    if not len(points):
        return None
    margin = 2 * CLEAR / seen.view.scale
    left, top = points.min(axis=0) - margin
    right, bottom = points.max(axis=0) + margin
    if (right - left) * (bottom - top) > MOSTLY * size[0] * size[1]:
        return 0, 0, *size
    return max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])


@dataclass(frozen=True)
class Candidates:
    """What may be a digit: boxes (k, 4), left, top, right, bottom in the picture's pixels; how sure the locator is that
    something stands there, `sure` (k,); `classes` (k, 11), its probabilities of ten digits and of another sign; and
    which view shows each best, `best` (k,)."""

    boxes: Floats
    sure: Floats
    classes: Floats
    best: NDArray[np.intp]

    def chosen(self, kept: NDArray[np.intp]) -> "Candidates":
        """Those with these numbers."""
        return Candidates(self.boxes[kept], self.sure[kept], self.classes[kept], self.best[kept])


def candidates(seen: list[Seen]) -> Candidates:
    """All candidates of several views, each once; of many those that are sure enough, of very many the surest."""
    found = agreed(seen)
    order = apart(found.boxes, found.sure, TWICE, 2.0)
    many = np.count_nonzero(found.sure[order] >= LIKELY)
    return found.chosen(order[: min(max(many, FEW), PLACES)])


def agreed(seen: list[Seen]) -> Candidates:
    """All candidates; each is as sure, and its box and classes are, as the views say on the mean that show it fitly."""
    boxes = np.concatenate([one.boxes for one in seen])
    sizes = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    origin = np.repeat(np.arange(len(seen)), [len(one.boxes) for one in seen])
    votes = np.zeros((len(seen), len(boxes)), np.float32)
    weights, classes = np.zeros_like(votes), np.zeros((len(seen), len(boxes), 11), np.float32)
    places = np.zeros((len(seen), len(boxes), 4), np.float32)
    for k, one in enumerate(seen):
        octaves = np.log2(sizes * one.view.scale / BEST)
        weights[k] = np.exp(-np.square(octaves)) * _shows(one.view, boxes)
        weights[k, (sizes * one.view.scale < SMALLEST) | (sizes * one.view.scale > LARGEST)] *= 0.01
        weights[k] = np.where(origin == k, np.maximum(weights[k], 1e-4), weights[k])
        if len(one.boxes):
            nearest, same = _nearest(boxes, one.boxes)
            found = (same >= SAME) & _mutual(nearest, same, origin)
            votes[k] = np.where(found, one.sure[nearest], 0)
            classes[k] = np.where(found[:, None], one.classes[nearest], 0)
            places[k] = np.where(found[:, None], one.boxes[nearest], 0)
    own = origin, np.arange(len(boxes))
    votes[own] = np.concatenate([one.sure for one in seen])
    classes[own], places[own] = np.concatenate([one.classes for one in seen]), boxes
    counts = votes * weights
    total = counts.sum(axis=0)
    mixed, boxes = ((values * counts[..., None]).sum(axis=0) / total[:, None] for values in (classes, places))
    return Candidates(
        boxes, total / weights.sum(axis=0), mixed / mixed.sum(axis=1, keepdims=True), weights.argmax(axis=0)
    )


def _nearest(boxes: Floats, others: Floats) -> tuple[NDArray[np.intp], Floats]:
    """For boxes (n, 4): which of the others (m, 4) shares most with each, (n,), and how much of both, (n,)."""
    parts = [overlaps(boxes[k : k + ROWS], others)[0] for k in range(0, len(boxes), ROWS)]
    return np.concatenate([p.argmax(axis=1) for p in parts]), np.concatenate([p.max(axis=1) for p in parts])


def _mutual(nearest: NDArray[np.intp], same: Floats, origin: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which boxes (n,) share most with what is nearest to them, among those of the same origin."""
    _, group = np.unique(np.stack([origin, nearest]), axis=1, return_inverse=True)
    best = np.full(len(same), -1, np.float32)
    np.maximum.at(best, group.ravel(), same)
    return np.asarray(same >= best[group.ravel()])


def _shows(look: View, boxes: Floats) -> NDArray[np.bool_]:
    """Whether each box is in the view, but for a tenth of its size."""
    spare = 0.1 * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    corner, end = np.array(look.corner), np.array(look.end)
    low = np.maximum(boxes[:, :2], 0) + spare >= corner
    high = boxes[:, 2:] - spare <= end
    return np.asarray((low & high).all(axis=1))


def overlaps(some: Floats, others: Floats) -> tuple[Floats, Floats]:
    """For boxes (n, 4) and (m, 4): shared area as a share of both together, and of the smaller one; (n, m) each."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    area = (some[:, 2:] - some[:, :2]).prod(axis=1)[:, None]
    other = (others[:, 2:] - others[:, :2]).prod(axis=1)[None]
    return shared / (area + other - shared), shared / np.minimum(area, other)


def apart(boxes: Floats, sure: Floats, most: float = SAME, within: float = INSIDE) -> NDArray[np.intp]:
    """The surest candidates, best first, of which none shares more than `most` with another or lies `within` it."""
    order, kept, broad = np.argsort(-sure, kind="stable"), [], _broad(boxes)
    out = sure < SURE
    for k in order:
        if not out[k]:
            kept.append(k)
            same, _ = overlaps(broad[k : k + 1], broad)
            _, inside = overlaps(boxes[k : k + 1], boxes)
            out |= (same[0] > most) | (inside[0] > within)
    return np.array(kept, np.intp)


def _broad(boxes: Floats) -> Floats:
    """Thin boxes made broader: two that are a stroke's width apart are around one stroke."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    half = np.maximum(half, THIN * half.max(axis=1, keepdims=True))
    return np.concatenate([middle - half, middle + half], axis=1)


def images(seen: list[Seen], boxes: Floats, best: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Each digit's own ink in MNIST form, (k, 28, 28), from the view that shows it best."""
    middles, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    near, _ = overlaps(grown(boxes, RIVAL), grown(boxes, RIVAL))
    forms = np.zeros((len(boxes), 28, 28), np.uint8)
    for k, box in enumerate(boxes):
        one = seen[best[k]]
        rivals = np.flatnonzero(near[k] > 0)
        rivals = np.concatenate([[k], rivals[rivals != k]])
        left, top, right, bottom = one.view.to_view(grown(box[None], 0.1).reshape(2, 2)).ravel()
        height, width = one.ink.shape
        down = slice(max(int(top) // 2, 0), min(int(bottom) // 2 + 1, height // 2))
        across = slice(max(int(left) // 2, 0), min(int(right) // 2 + 1, width // 2))
        pointed = one.centres[:, down, across]  # (2, h, w)
        places = one.view.to_view(middles[rivals])
        off = np.hypot(*(pointed[None] - places[:, :, None, None]).transpose(1, 0, 2, 3))
        off /= (sizes[rivals] * one.view.scale)[:, None, None]
        own = (off.argmin(axis=0) == 0) & (off[0] < ASTRAY)
        ink = one.ink[2 * down.start : 2 * down.stop, 2 * across.start : 2 * across.stop]
        forms[k] = normalize(np.where(own.repeat(2, axis=0).repeat(2, axis=1) & (ink > INK), ink, 0))
    return forms


def twice(boxes: Floats, forms: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of boxes (n, 4) have no ink of their own in their forms (n, 28, 28), because it is that of a neighbour."""
    inked = forms.any(axis=(1, 2))
    near, _ = overlaps(grown(boxes, RIVAL), grown(boxes, RIVAL))
    return np.asarray(~inked & ((near > 0) & inked).any(axis=1))


def grown(boxes: Floats, share: float) -> Floats:
    """Boxes larger on each side by a share of their size."""
    more = share * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    return np.concatenate([boxes[:, :2] - more, boxes[:, 2:] + more], axis=1)
