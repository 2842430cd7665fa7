"""Scenes with known answers -> what the locator should say of each cell and pixel, and the loss against it."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mnistry.models.backend import load_keras
from mnistry.models.locator.network import CELL, CLASSES, REACH
from mnistry.reading.locate import LARGEST, SMALLEST
from mnistry.reading.verifier import SIGN

DOUBT = 0.83  # times smaller or larger than that: nothing is asked; beyond, that it is no digit of this size
TINIEST = 4.0  # pixels: what is smaller cannot be seen as writing at all
NEAR = 0.4  # of the height of a centre's hill: cells above it learn the class and the box
SPREAD = 0.09  # of a digit's size: the width of a centre's hill
DIGITS = 10  # channels of the targets of cells: hill, its weight, near, class, four sides, tiny, its weight
INK = 8  # channels of the targets of 2x2 pixels: ink of four, its weight, offset x and y, its weight

Floats = NDArray[np.float32]


class SceneLike(Protocol):
    """What a scene has to tell; see `mnistry.data.scenes.Scene`."""

    @property
    def image(self) -> NDArray[np.uint8]: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    @property
    def boxes(self) -> Floats: ...
    @property
    def owner(self) -> NDArray[np.uint8]: ...
    @property
    def ignore(self) -> Floats: ...
    @property
    def signs(self) -> Floats: ...
    @property
    def marks(self) -> Floats: ...


def batch(scenes: Sequence[SceneLike]) -> tuple[NDArray[np.uint8], tuple[Floats, Floats]]:
    """Images (n, h, w, 3) and targets (n, h/4, w/4, 10) and (n, h/2, w/2, 8) of scenes of one size."""
    targets = [encode(scene) for scene in scenes]
    images = np.stack([scene.image for scene in scenes])
    return images, (np.stack([digits for digits, _ in targets]), np.stack([ink for _, ink in targets]))


def encode(scene: SceneLike) -> tuple[Floats, Floats]:
    """The targets of one scene: of its cells (h/4, w/4, 10) and of its squares of 2x2 pixels (h/2, w/2, 8)."""
    height, width = scene.owner.shape
    cells = np.zeros((height // CELL, width // CELL, DIGITS), np.float32)
    squares = np.zeros((height // 2, width // 2, INK), np.float32)
    cells[..., 1] = cells[..., 9] = squares[..., 4] = 1
    for box in scene.ignore:
        _silence(cells, squares, box)
    owner = scene.owner.reshape(height // 2, 2, width // 2, 2).transpose(0, 2, 1, 3).reshape(height // 2, -1, 4)
    squares[..., :4] = owner > 0
    owners = owner.max(axis=2)
    for box in [*scene.signs, *scene.marks]:
        if SMALLEST <= max(box[2:]) <= LARGEST:
            _mark(cells, SIGN, box)
        else:
            _silence(cells, squares, box)
    for k, (label, box) in enumerate(zip(scene.labels, scene.boxes, strict=True)):
        size = float(max(box[2:]))
        if SMALLEST <= size <= LARGEST:
            _mark(cells, int(label), box)
            _point(squares, owners == k + 1, box)
            continue
        squares[..., 4][owners == k + 1] = 0
        if size < SMALLEST:
            _mark_tiny(cells, box)
        if DOUBT * SMALLEST < size < LARGEST / DOUBT:
            _silence(cells, squares, box)
    return cells, squares


def _silence(cells: Floats, squares: Floats, box: Floats) -> None:
    """Ask nothing of what lies in a box."""
    for targets, side, channels in ((cells, CELL, (1, 9)), (squares, 2, (4,))):
        left, top = np.floor(box[:2] / side).astype(int).clip(0)
        right, bottom = np.ceil((box[:2] + box[2:]) / side).astype(int).clip(0)
        for channel in channels:
            targets[top:bottom, left:right, channel] = 0


def _mark(cells: Floats, label: int, box: Floats) -> None:
    """A hill at the centre of a digit; the cells near it learn its class and its box."""
    part, x, y = _surroundings(cells, box)
    centre = (box[:2] + box[2:] / 2) / CELL
    spread = np.clip(SPREAD * box[2:] / CELL, 0.6, 2.2)
    hill = np.exp(-(((x - centre[0]) / spread[0]) ** 2 + ((y - centre[1]) / spread[1]) ** 2) / 2)
    hill[np.unravel_index(hill.argmax(), hill.shape)] = 1
    low, high = box[:2] / CELL, (box[:2] + box[2:]) / CELL
    sides = np.stack(np.broadcast_arrays(x - low[0], y - low[1], high[0] - x, high[1] - y), axis=-1)
    near = (hill > NEAR) & (hill > part[..., 2])
    np.maximum(part[..., 0], hill, out=part[..., 0])
    part[..., 1] = np.where(hill > NEAR, 1, part[..., 1])
    part[near, 2], part[near, 3] = hill[near], label
    part[near, 4:8] = np.log(np.maximum(sides[near], 0.1))  # a thin 1 may stand beside the cell's middle


def _mark_tiny(cells: Floats, box: Floats) -> None:
    """Digits too small to be read at this size are marked, so that somebody looks closer."""
    part, x, y = _surroundings(cells, box, 1.0)
    centre, size = (box[:2] + box[2:] / 2) / CELL, float(max(box[2:]))
    inside = np.hypot(x - centre[0], y - centre[1]) <= max(size / 2 / CELL, 0.75)
    part[inside, 8 if size >= TINIEST else 9] = 1 if size >= TINIEST else 0


def _surroundings(cells: Floats, box: Floats, margin: float = 0.0) -> tuple[Floats, Floats, Floats]:
    """The cells in and around a box, and the places of their centres: x (1, w) and y (h, 1)."""
    left, top = np.floor(box[:2] / CELL - margin).astype(int).clip(0)
    right, bottom = np.ceil((box[:2] + box[2:]) / CELL + margin).astype(int)
    right, bottom = min(max(right, left + 1), cells.shape[1]), min(max(bottom, top + 1), cells.shape[0])
    x = np.arange(left, right, dtype=np.float32)[None] + np.float32(0.5)
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5)
    return cells[top:bottom, left:right], x, y


def _point(squares: Floats, own: NDArray[np.bool_], box: Floats) -> None:
    """Ink points to the centre of its digit; a large digit weighs as much as a small one."""
    y, x = np.nonzero(own)
    squares[y, x, 5] = (box[0] + box[2] / 2 - (2 * x + 1)) / REACH
    squares[y, x, 6] = (box[1] + box[3] / 2 - (2 * y + 1)) / REACH
    squares[y, x, 7] = REACH / float(max(box[2:]))


def digits_loss(target: Any, answer: Any) -> Any:
    """What is wrong with the cells: centres, classes, boxes, and what is tiny."""
    tiny = _focal(target[..., 8], target[..., 9], answer[..., 5 + CLASSES])
    return centre_loss(target, answer) + class_loss(target, answer) + 2.0 * box_loss(target, answer) + 0.1 * tiny


def ink_loss(target: Any, answer: Any) -> Any:
    """What is wrong with the pixels: ink, and where it points."""
    return 4.0 * entropy(target, answer) + 2.0 * distance(target, answer)


def centre_loss(target: Any, answer: Any) -> Any:
    """Focal loss of the centres, for each digit."""
    return _focal(target[..., 0], target[..., 1], answer[..., 0])


def class_loss(target: Any, answer: Any) -> Any:
    """Cross entropy of the classes near the centres."""
    ops = load_keras().ops
    one_hot = ops.one_hot(ops.cast(target[..., 3], "int32"), CLASSES)
    entropies = -ops.sum(one_hot * ops.log_softmax(answer[..., 1 : 1 + CLASSES], axis=-1), axis=-1)
    return ops.sum(target[..., 2] * entropies) / (ops.sum(target[..., 2]) + 1.0)


def box_loss(target: Any, answer: Any) -> Any:
    """1 - GIoU of the boxes near the centres."""
    ops = load_keras().ops
    overlap = _giou(ops.exp(target[..., 4:8]), ops.exp(ops.minimum(answer[..., 1 + CLASSES : 5 + CLASSES], 5.0)))
    return ops.sum(target[..., 2] * (1 - overlap)) / (ops.sum(target[..., 2]) + 1.0)


def entropy(target: Any, answer: Any) -> Any:
    """Cross entropy of ink."""
    ops = load_keras().ops
    logits = answer[..., :4]
    return ops.mean(target[..., 4:5] * (ops.softplus(logits) - target[..., :4] * logits))


def distance(target: Any, answer: Any) -> Any:
    """How far from its centre ink points, as a share of the digit's size."""
    ops = load_keras().ops
    far = ops.sum(ops.abs(answer[..., 4:6] - target[..., 5:7]), axis=-1) * target[..., 7]
    return ops.sum(far) / (ops.sum(ops.cast(target[..., 7] > 0, "float32")) + 1.0)


def _focal(target: Any, weight: Any, logits: Any) -> Any:
    """Penalty-reduced focal loss (Law and Deng 2018, "CornerNet"), for each peak of the target."""
    ops = load_keras().ops
    sure = ops.sigmoid(logits)
    is_peak = ops.cast(target > 0.999, "float32")
    positive = is_peak * ops.square(1 - sure) * ops.softplus(-logits)
    negative = (1 - is_peak) * ops.square(ops.square(1 - target)) * ops.square(sure) * ops.softplus(logits)
    return ops.sum(weight * (positive + negative)) / (ops.sum(is_peak) + 1.0)


def _giou(one: Any, other: Any) -> Any:
    """Generalised overlap of boxes around one point, given by their distances (..., 4) to the four sides."""
    ops = load_keras().ops

    def area(sides: Any) -> Any:
        return (sides[..., 0] + sides[..., 2]) * (sides[..., 1] + sides[..., 3])

    shared, hull = area(ops.minimum(one, other)), area(ops.maximum(one, other))
    union = area(one) + area(other) - shared
    return shared / union - (hull - union) / hull
