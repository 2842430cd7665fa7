"""What the verifier learns from: the locator's own candidates on scenes with known answers, right and wrong ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.models.locator.targets import SceneLike
from mnistry.models.locator.verifier import SPREAD
from mnistry.reading.locate import BEST, Locator, agreed, overlaps
from mnistry.reading.verifier import CLASSES, MARK, NOTHING, SIGN, Verifier
from mnistry.reading.views import View, scales, view
from mnistry.training.locator.onnx import crops_onnx

FINE = 0.35  # share of the scenes that are looked at enlarged, too, which takes most of the time
MOST = 12  # candidates of one scene, so that a page full of digits counts no more than another
RIGHT, WRONG = 0.6, 0.4  # overlap from which on a candidate is what stands there; below which it is not
IGNORED = 0.3  # share of a candidate that may lie on what nobody can name
TAUGHT = 0.5  # of a target is the teachers' answer, where there are any; the rest is the label
UNHEARD = 0.05  # probability of the label below which a teacher is not heard, who has never learnt such a thing

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Crops:
    """Candidates: `near` and `far` uint8 (n, 32, 32, 3), what the verifier sees of them; `targets` float32 (n, 13)."""

    near: NDArray[np.uint8]
    far: NDArray[np.uint8]
    targets: Floats


class Cropper:
    """Finds the candidates of scenes with a locator, and cuts them out as the verifier will.

    With `teachers`, verifiers' files, half of a target is the mean of what they say (Hinton et al. 2015, "Distilling
    the knowledge in a neural network"), but for those that are sure that it is something else.
    """

    def __init__(self, locator: bytes, teachers: Sequence[bytes] = ()) -> None:
        self.locator, self.teachers = Locator(locator), [Verifier(teacher) for teacher in teachers]

    def crops(self, scene: SceneLike, random: np.random.Generator) -> Crops:
        """Some candidates of one scene that can be named."""
        picture = Image.fromarray(scene.image)
        sizes = scales(*picture.size)
        seen = [self.locator.see(view(picture, s)) for s in sizes if s <= 1 or random.random() < FINE]
        boxes = agreed(seen).boxes
        labels, known = labelled(boxes, scene)
        chosen = random.permutation(np.flatnonzero(known))[:MOST]
        boxes, targets = boxes[chosen], np.eye(CLASSES, dtype=np.float32)[labels[chosen]]
        octaves = np.abs(np.log2(np.outer((boxes[:, 2:] - boxes[:, :2]).max(axis=1), sizes) / BEST))
        best = octaves.argmin(axis=1)
        looks = {k: view(picture, sizes[k]) for k in set(best)}
        return joined([self._seen(looks[k], boxes[best == k], targets[best == k]) for k in looks])

    def _seen(self, look: View, boxes: Floats, targets: Floats) -> Crops:
        if self.teachers:
            here = np.zeros(len(boxes), np.intp)
            said = np.stack([teacher.answers([look], boxes, here) for teacher in self.teachers])
            heard = (said * targets).sum(axis=2, keepdims=True) >= UNHEARD
            targets = (1 - TAUGHT) * targets + TAUGHT * np.where(heard, said, targets).mean(axis=0)
        return Crops(*self._cut(look, boxes), targets)

    def _cut(self, look: View, boxes: Floats) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        places = look.to_view(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        near, far = self._session.run(None, {"images": look.pixels[None], "boxes": places})
        levels = [np.rint(255 * crop.transpose(0, 2, 3, 1)).astype(np.uint8) for crop in (near, far)]
        return levels[0], levels[1]

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(crops_onnx(), options, providers=["CPUExecutionProvider"])


def labelled(boxes: Floats, scene: SceneLike) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What stands in each of boxes (n, 4), left, top, right, bottom: 0 to 12; and whether that can be said, (n,)."""
    classes = np.concatenate([scene.labels, np.full(len(scene.signs), SIGN), np.full(len(scene.marks), MARK)])
    truth = _corners(np.concatenate([scene.boxes, scene.signs, scene.marks]))
    labels, known = np.full(len(boxes), NOTHING), np.ones(len(boxes), bool)
    right = np.zeros(len(boxes), bool)
    if len(truth):
        same, _ = overlaps(_squares(boxes), _squares(truth))
        most = same.max(axis=1)
        right, known = most >= RIGHT, (most >= RIGHT) | (most < WRONG)
        labels[right] = classes[same.argmax(axis=1)[right]]
    if len(scene.ignore):
        _, inside = overlaps(boxes, _corners(scene.ignore))
        known &= right | (inside.max(axis=1) < IGNORED)
    return labels, known


def _squares(boxes: Floats) -> Floats:
    """The squares around boxes, which crops are cut from: how wide a thin 1 is does not count."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def _corners(boxes: Floats) -> Floats:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def joined(parts: Sequence[Crops]) -> Crops:
    """All candidates of several."""
    none = np.zeros((0, 32, 32, 3), np.uint8)
    return Crops(
        np.concatenate([none, *(part.near for part in parts)]),
        np.concatenate([none, *(part.far for part in parts)]),
        np.concatenate([np.zeros((0, CLASSES), np.float32), *(part.targets for part in parts)]),
    )


def standardised(crops: NDArray[np.uint8]) -> Floats:
    """Crops (n, h, w, 3): each colour less its mean, by one spread for the three."""
    levels = crops.astype(np.float32) / np.float32(255)
    off = levels - levels.mean(axis=(1, 2), keepdims=True)
    spread = np.sqrt(np.square(off).mean(axis=(1, 2, 3), keepdims=True) + SPREAD**2)
    return np.asarray(off / spread, np.float32)
