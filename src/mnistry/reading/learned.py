"""The learned way to read a picture: locate, recognize, combine both answers, lay out."""

import json
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.reading.layout import Box, Digit, Reading, rows
from mnistry.reading.locate import Located, Locator
from mnistry.reading.recognizer import Recognizer
from mnistry.reading.trust import Proba, Trust, combined


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
