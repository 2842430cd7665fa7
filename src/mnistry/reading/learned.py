"""The learned way to read a picture: locate, recognize, combine both answers, lay out."""

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.reading.layout import low, rows
from mnistry.reading.locate import Located, Locator
from mnistry.reading.recognizer import Recognizer
from mnistry.reading.result import Digit, Reading

Floats = NDArray[np.float32]
LEAST = 1e-3  # and greatest: what no answer is surer of
FLOOR = 1e-6  # of a probability whose logarithm is taken


@dataclass(frozen=True)
class Trust:
    """How the answers of the locator and of the recogniser become one, fitted on validation scenes."""

    locator: float = 0.65  # exponents of their probabilities of the ten classes
    recogniser: float = 0.21
    sure: float = 1.89  # what the logits of "something stands here", "it is no other sign" and "a digit" count
    sign: float = 0.59
    is_digit: float = 0.16
    bias: float = -2.8
    faint: float = 0.5  # of the strength of the digits: what is fainter is not as strong as they are
    certain: float = 0.9  # the probability from which on a digit is told however faint it is
    doubt: float = 0.5  # the recogniser's word below which it is asked about the contrast as well
    shown: float = 0.45  # how surely something stands there, digit or other sign, from which on it is told
    told: float = 0.5  # the probability from which on the digit is told, and not ?
    mark: float = 0.5  # of the tallest digit in its row: a sign that is lower is a dash, a dot or a comma


class LearnedReader:
    """Finds digits with a locator; `model` reads each one's own ink, and both answers count."""

    def __init__(self, locator: bytes, model: Recognizer, trust: Trust | None = None) -> None:
        self.locator, self.model, self._trust = Locator(locator), model, trust

    @cached_property
    def trust(self) -> Trust:
        """As it was given, or as it was fitted with the locator and stands in its file."""
        return self._trust or Trust(**json.loads(self.locator.metadata.get("trust", "{}")))

    def read(self, picture: Image.Image, size: tuple[int, int]) -> tuple[Reading, list[int]]:
        """Read an RGB picture that was `size` pixels wide and high; also the likeliest digit of every shape told."""
        found = self.locator.find(picture)
        proba, sure = self.answers(found)
        scale: Floats = np.array(size * 2, np.float32) / np.array(picture.size * 2, np.float32)  # type: ignore[assignment]
        return self._reading_of(found, proba, sure, scale)

    def answers(self, found: list[Located]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of each: the probabilities (n, 10) of being each digit, and (n,) how surely anything is written there."""
        if not found:
            return np.zeros((0, 10), np.float32), np.zeros(0, np.float32)
        proba, is_digit = self.opinions(found)
        sure = np.array([one.sure for one in found], np.float32)
        classes = np.stack([one.classes for one in found])
        return combined(self.trust, sure, classes, proba, is_digit), sure

    def opinions(self, found: list[Located]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the recogniser says of each one's ink, or of what contrast gives where that ink is no digit to it."""
        proba, is_digit = self.model.answers(np.stack([one.image for one in found]))
        doubtful = np.flatnonzero(is_digit < self.trust.doubt)
        if len(doubtful):
            other, better = self.model.answers(np.stack([found[k].contrast for k in doubtful]))
            chosen = better > is_digit[doubtful]
            proba[doubtful[chosen]], is_digit[doubtful[chosen]] = other[chosen], better[chosen]
        return proba, is_digit

    def _reading_of(
        self, found: list[Located], proba: Floats, sure: Floats, scale: Floats
    ) -> tuple[Reading, list[int]]:
        trust = self.trust
        best = proba.max(axis=1) if len(proba) else np.zeros(0, np.float32)
        shown = [k for k in range(len(found)) if best[k] >= trust.told or sure[k] >= trust.shown]
        shown = _as_strong(shown, found, best, trust)
        boxes = np.array([found[k].box for k in shown], np.float32).reshape(-1, 4)
        guesses = [int(proba[k].argmax()) for k in shown]
        digits = [
            Digit(guess if best[k] >= trust.told else None, float(best[k]), _box(found[k].box * scale), found[k].image)
            for k, guess in zip(shown, guesses, strict=True)
        ]
        lines = [line for row in rows(boxes) if (line := _without_marks(row, boxes, digits, trust.mark))]
        if not lines:
            return Reading("", (), "no ink found" if not found else "no digit recognised"), []
        told = [k for line in lines for k in line]
        text = "\n".join("".join(sign(digits[k]) for k in line) for line in lines)
        known = any(digits[k].digit is not None for k in told)
        reading = Reading(text, tuple(digits[k] for k in told), "" if known else "no digit recognised")
        return reading, [guesses[k] for k in told]


def _as_strong(shown: list[int], found: list[Located], best: Floats, trust: Trust) -> list[int]:
    """Those shown that are as strong as the digits: fainter or lower are specks, dashes and the grain of the paper."""
    told = [k for k in shown if best[k] >= trust.told]
    if not told:
        return shown
    strong = trust.faint * float(np.median([found[k].strength for k in told]))
    high = trust.mark * float(np.median([found[k].box[3] - found[k].box[1] for k in told]))

    def kept(k: int) -> bool:
        if best[k] >= trust.told:
            return found[k].strength >= strong / 2 or best[k] >= trust.certain
        return found[k].strength >= strong and float(found[k].box[3] - found[k].box[1]) >= high

    return [k for k in shown if kept(k)]


def sign(digit: Digit) -> str:
    """How a digit stands in the text of a reading."""
    return "?" if digit.digit is None else str(digit.digit)


def _without_marks(row: list[int], boxes: Floats, digits: list[Digit], share: float) -> list[int]:
    """The shapes of a row without refused ones that are low beside its digits: dashes, dots and commas."""
    known = [k for k in row if digits[k].digit is not None]
    marks = low(boxes, [k for k in row if digits[k].digit is None], known, share)
    return [k for k in row if k not in marks]


def combined(trust: Trust, sure: Floats, classes: Floats, proba: Floats, is_digit: Floats) -> NDArray[np.float32]:
    """Probabilities (n, 10) that each is this digit; a row's sum is the probability that it is a digit at all.

    The recogniser counts as far as it takes what it sees for a digit: on broken ink it says nothing.
    """
    own = classes[:, :10] / (classes[:, :10].sum(axis=1, keepdims=True) + FLOOR)
    heard = trust.recogniser * is_digit[:, None]
    mixed = trust.locator * np.log(own + FLOOR) + heard * np.log(proba + FLOOR)
    mixed = np.exp(mixed - mixed.max(axis=1, keepdims=True))
    mixed /= mixed.sum(axis=1, keepdims=True)
    stands = features(sure, classes, is_digit) @ np.array([trust.sure, trust.sign, trust.is_digit]) + trust.bias
    return (mixed / (1 + np.exp(-stands))[:, None]).astype(np.float32)


def features(sure: Floats, classes: Floats, is_digit: Floats) -> NDArray[np.float32]:
    """Logits (n, 3): something stands there; it is no other sign; the recogniser takes it for a digit."""
    return np.stack([_logit(sure), _logit(1 - classes[:, 10]), _logit(is_digit)], axis=1)


def _logit(proba: NDArray[np.float32]) -> NDArray[np.float32]:
    clipped = np.clip(proba, LEAST, 1 - LEAST)
    return np.log(clipped / (1 - clipped))


def _box(corners: Floats) -> tuple[int, int, int, int]:
    left, top = np.floor(corners[:2]).astype(int)
    right, bottom = np.ceil(corners[2:]).astype(int)
    return int(left), int(top), int(right - left), int(bottom - top)
