"""The learned way to read a picture: locate, recognize, combine both answers, lay out."""

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.reading.layout import Box, Digit, Reading, rows
from mnistry.reading.locate import Located, Locator
from mnistry.reading.recognizer import Recognizer

Proba = NDArray[np.float32]

LEAST = 1e-3  # and greatest: what no answer is surer of
FLOOR = 1e-6  # of a probability whose logarithm is taken


@dataclass(frozen=True)
class Trust:
    """What each answer counts, fitted on validation scenes, and from where on something is told."""

    locator: float = 0.6  # exponents of the probabilities of the ten digits
    recogniser: float = 0.4
    sure: float = 2.1  # of the logits that something stands there, that it is no other sign, that it is a digit
    sign: float = 0.45
    is_digit: float = 0.3
    bias: float = -2.4
    told: float = 0.5  # the probability from which on the digit is told, and not ?
    shown: float = (
        0.45  # how surely something stands there, digit or other sign, from which on it is told as ? at least
    )
    possible: float = 0.2  # beside digits: the probability of a digit from which on it is told as ? at least
    doubt: float = 0.5  # the recogniser's word for a digit below which it is asked about the contrast as well
    certain: float = 0.9  # the probability from which on a digit is told however faint it is
    faint: float = 0.5  # of the strength of the digits: what is fainter is not as strong as they are
    mark: float = 0.5  # of the height of the digits: a sign that is lower is a dash, a dot or a comma


def combined(trust: Trust, sure: Proba, classes: Proba, proba: Proba, is_digit: Proba) -> Proba:
    """Probabilities (n, 10) that each is this digit; a row's sum is the probability that it is a digit at all.

    `sure` (n,) and `classes` (n, 11) are the locator's, `proba` (n, 10) and `is_digit` (n,) the recogniser's, which
    counts as far as it takes what it sees for a digit: on broken ink it says nothing.
    """
    own = classes[:, :10] / (classes[:, :10].sum(axis=1, keepdims=True) + FLOOR)
    heard = trust.recogniser * is_digit[:, None]
    mixed = trust.locator * np.log(own + FLOOR) + heard * np.log(proba + FLOOR)
    mixed = np.exp(mixed - mixed.max(axis=1, keepdims=True))
    mixed /= mixed.sum(axis=1, keepdims=True)
    stands = trust.sure * logit(sure) + trust.sign * logit(1 - classes[:, 10]) + trust.is_digit * logit(is_digit)
    return np.asarray(mixed / (1 + np.exp(-stands - trust.bias))[:, None], np.float32)


def logit(proba: Proba) -> Proba:
    """Logarithm of the odds, within bounds."""
    clipped = np.clip(proba, LEAST, 1 - LEAST)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


class LearnedReader:
    """Finds digits with a locator, an ONNX file's bytes; `model` reads each one's own ink, and both answers count."""

    def __init__(self, locator: bytes, model: Recognizer, trust: Trust | None = None) -> None:
        self.locator, self.model, self._trust = Locator(locator), model, trust

    @cached_property
    def trust(self) -> Trust:
        """As it was given, or as it was fitted with the locator and is kept in its file."""
        return self._trust or Trust(**json.loads(self.locator.metadata.get("trust", "{}")))

    def read(self, picture: Image.Image, size: tuple[int, int]) -> tuple[Reading, list[int]]:
        """Read an RGB picture that was `size` pixels wide and high; also the likeliest digit of every shape told."""
        found = self.locator.find(picture)
        if not found:
            return Reading("", (), "no ink found"), []
        proba = self.answers(found)
        if proba.max() < self.trust.told:
            proba = self._alone(found, proba)
        return self._laid_out(found, proba, np.array(size * 2) / np.array(picture.size * 2))

    def answers(self, found: list[Located]) -> Proba:
        """The probability (n, 10) of each to be each digit."""
        sure = np.array([one.sure for one in found], np.float32)
        classes = np.stack([one.classes for one in found])
        return combined(self.trust, sure, classes, *self.opinions(found))

    def opinions(self, found: list[Located]) -> tuple[Proba, Proba]:
        """What the recogniser says of each one's ink, or of what contrast gives where that ink is no digit to it."""
        proba, is_digit = self.model.answers(np.stack([one.image for one in found]))
        doubtful = np.flatnonzero(is_digit < self.trust.doubt)
        if len(doubtful):
            other, better = self.model.answers(np.stack([found[k].contrast for k in doubtful]))
            chosen = better > is_digit[doubtful]
            proba[doubtful[chosen]], is_digit[doubtful[chosen]] = other[chosen], better[chosen]
        return proba, is_digit

    def _alone(self, found: list[Located], proba: Proba) -> Proba:
        """Where no digit is told: one that stands alone is one if the locator and the recogniser agree which."""
        strong = self.trust.faint * max(one.strength for one in found)
        k = max(range(len(found)), key=lambda j: found[j].sure * (found[j].strength >= strong))
        rivals = sum(one.strength >= self.trust.faint * found[k].strength for one in found)
        heard, is_digit = self.opinions([found[k]])
        label = int(heard[0].argmax())
        agreed = int(found[k].classes[:10].argmax()) == label and heard[0, label] * is_digit[0] >= self.trust.certain
        if rivals == 1 and agreed:
            proba = proba.copy()
            proba[k, label] = self.trust.told
        return proba

    def _laid_out(self, found: list[Located], proba: Proba, scale: NDArray[np.float64]) -> tuple[Reading, list[int]]:
        shown = self._shown(found, proba.max(axis=1))
        boxes = np.array([found[k].box for k in shown], np.float32).reshape(-1, 4)
        lines = [[shown[place] for place in row] for row in rows(boxes)]
        order = [k for line in lines for k in line]
        guesses = {k: int(proba[k].argmax()) for k in order}
        digits = {k: self._digit(found[k], guesses[k], float(proba[k].max()), scale) for k in order}
        text = "\n".join("".join(sign(digits[k]) for k in line) for line in lines)
        known = any(letter.isdigit() for letter in text)
        reading = Reading(text, tuple(digits[k] for k in order), "" if known else "no digit recognised")
        return reading, [guesses[k] for k in order]

    def _digit(self, located: Located, guess: int, best: float, scale: NDArray[np.float64]) -> Digit:
        told = guess if best >= self.trust.told else None
        return Digit(told, best, _box(located.box * scale), located.image)

    def _shown(self, found: list[Located], best: Proba) -> list[int]:
        """What is told, as a digit or as ?: of what is no digit, only what is as strong and as high as the digits."""
        trust = self.trust
        told = np.flatnonzero(best >= trust.told)
        if not len(told):
            return [k for k, one in enumerate(found) if one.sure >= trust.shown]
        strength = np.array([one.strength for one in found])
        height = np.array([one.box[3] - one.box[1] for one in found])
        strong, high = trust.faint * np.median(strength[told]), trust.mark * np.median(height[told])
        signs = (np.array([one.sure for one in found]) >= trust.shown) | (best >= trust.possible)
        signs &= (strength >= strong) & (height >= high)
        kept = (strength >= strong / 2) | (best >= trust.certain)
        return np.flatnonzero(np.where(best >= trust.told, kept, signs)).tolist()


def sign(digit: Digit) -> str:
    """How a digit stands in the text of a reading."""
    return "?" if digit.digit is None else str(digit.digit)


def _box(corners: NDArray[np.floating]) -> Box:
    left, top = np.floor(corners[:2]).astype(int).clip(0)
    right, bottom = np.ceil(corners[2:]).astype(int)
    return int(left), int(top), int(right - left), int(bottom - top)
