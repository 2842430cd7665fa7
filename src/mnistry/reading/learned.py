"""The way to read a picture: find candidates, look at each again, recognize its own ink, weigh the answers, lay out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.reading.context import context
from mnistry.reading.layout import Box, Digit, Reading, rows
from mnistry.reading.locate import Candidates, Locator, apart, candidates, images, twice
from mnistry.reading.recognizer import Recognizer
from mnistry.reading.verifier import MARK, NOTHING, SIGN, Verifier

Floats = NDArray[np.float32]

LEAST = 1e-3  # and greatest: what no answer is surer of
FLOOR = 1e-6  # of a probability whose logarithm is taken
ASKED = 4.0  # times as often as in drawn scenes a picture of people holds something, where all say nothing
BACK = 0.25  # of what the locator and the verifier count as to which digit it is, before a model of the user's


@dataclass(frozen=True)
class Trust:
    """What each answer counts, fitted on validation scenes (`mnistry.training.locator.trust`), and what is told.

    `stands` weighs 1, the logits that something stands there, the locator's and the verifier's, and how it fits what
    else stands in the picture (`context`). `digit` weighs 1
    and the logits that it is a digit: the locator's, the verifier's and the recogniser's. `labels` are the exponents
    of the probabilities of the ten digits: the locator's, the verifier's and the recogniser's.
    """

    stands: tuple[float, ...] = (0.0, 0.3, 1.0, 0.0, 0.0, 0.0)
    digit: tuple[float, ...] = (0.0, 0.2, 0.8, 0.3)
    labels: tuple[float, ...] = (0.2, 0.5, 0.4)
    told: float = 0.5  # the probability from which on a digit is told, and not ?
    shown: float = 0.5  # the probability of a sign or a digit from which on it is told as ? at least

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Trust":
        """From what a verifier's file says under "trust"."""
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}
        return cls(**values)

    def in_another_model(self) -> "Trust":
        """The same for another recogniser: which digit it is, that says before the others."""
        return replace(self, labels=(BACK * self.labels[0], BACK * self.labels[1], 1.0))


@dataclass(frozen=True)
class Opinions:
    """Of n candidates: their `context` (n, 3), the locator's `sure` (n,) and `classes` (n, 11), the verifier's
    `verified` (n, 13), the recogniser's `proba` (n, 10) and `is_digit` (n,)."""

    context: Floats
    sure: Floats
    classes: Floats
    verified: Floats
    proba: Floats
    is_digit: Floats


def stands(trust: Trust, around: Floats, sure: Floats, verified: Floats) -> Floats:
    """The probability (n,) that a digit or another sign stands at a candidate's place, in this context (n, 3)."""
    return _logistic(trust.stands, *stands_logits(around, sure, verified))


def stands_logits(around: Floats, sure: Floats, verified: Floats) -> tuple[Floats, ...]:
    """What `stands` weighs."""
    return logit(sure), logit(1 - verified[:, NOTHING]), *around.T


def combined(trust: Trust, heard: Opinions) -> tuple[Floats, Floats]:
    """The probabilities (n, 10) that each is this digit, and (n,) that it is another sign, or a digit that is unclear.

    The greatest of the first and the second are together below 1 by the probability that nothing stands there, or a
    mark of a number.
    """
    there = stands(trust, heard.context, heard.sure, heard.verified)
    digits = _logistic(trust.digit, *digit_logits(heard))
    mixed = label_logits(heard) @ np.array(trust.labels, np.float32)
    mixed = np.exp(mixed - mixed.max(axis=1, keepdims=True))
    mixed /= mixed.sum(axis=1, keepdims=True)
    mark = heard.verified[:, MARK] / (heard.verified[:, SIGN] + heard.verified[:, MARK] + FLOOR)
    joint = (there * digits)[:, None] * mixed
    return joint, there * (1 - (1 - digits) * mark) - joint.max(axis=1)


def _asked(joint: Floats) -> Floats:
    """The same where nothing is shown, with better odds for the best: people seldom show a picture of nothing."""
    best = int(joint.max(axis=1).argmax())
    raised = joint.copy()
    raised[best] *= ASKED / (1 + (ASKED - 1) * joint[best].max())
    return raised


def digit_logits(heard: Opinions) -> tuple[Floats, Floats, Floats]:
    """That what stands there is a digit and no other sign: the locator, the verifier and the recogniser."""
    digits = heard.verified[:, :SIGN].sum(axis=1)
    others = heard.verified[:, SIGN] + heard.verified[:, MARK]
    return (
        logit(1 - heard.classes[:, 10]),
        logit((digits + FLOOR) / (digits + others + 2 * FLOOR)),
        logit(heard.is_digit),
    )


def label_logits(heard: Opinions) -> Floats:
    """Logarithms (n, 10, 3) of the probabilities of the ten digits: the locator's, verifier's and recogniser's.

    The recogniser counts as far as it takes what it sees for a digit: on broken ink it says nothing.
    """
    located, verified = (
        np.log(own[:, :10] / (own[:, :10].sum(axis=1, keepdims=True) + FLOOR) + FLOOR)
        for own in (heard.classes, heard.verified)
    )
    return np.stack([located, verified, heard.is_digit[:, None] * np.log(heard.proba + FLOOR)], axis=2)


def _logistic(weights: tuple[float, ...], *logits: Floats) -> Floats:
    total = weights[0] + sum(weight * one for weight, one in zip(weights[1:], logits, strict=True))
    return np.asarray(1 / (1 + np.exp(-total)), np.float32)


def logit(proba: Floats) -> Floats:
    """Logarithm of the odds, within bounds."""
    clipped = np.clip(proba, LEAST, 1 - LEAST)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


@dataclass(frozen=True)
class Found:
    """The candidates of a picture that do not lie on one another, what all say of them, and their ink (n, 28, 28)."""

    candidates: Candidates
    heard: Opinions
    images: NDArray[np.uint8]


class LearnedReader:
    """Finds digits with a locator and a verifier, ONNX files' bytes; `model` reads each one's own ink."""

    def __init__(self, locator: bytes, verifier: bytes, model: Recognizer, trust: Trust | None = None) -> None:
        self.locator, self.verifier, self.model, self._trust = Locator(locator), Verifier(verifier), model, trust

    @cached_property
    def trust(self) -> Trust:
        """As it was given, or as it was fitted with the verifier and is kept in its file."""
        trust = self._trust or Trust.of(json.loads(self.verifier.metadata.get("trust", "{}")))
        return trust if self.model.is_bundled else trust.in_another_model()

    def read(self, picture: Image.Image, size: tuple[int, int]) -> Reading:
        """Read an RGB picture that was `size` pixels wide and high."""
        found = self.find(picture)
        if not len(found.images):
            return Reading("", (), "no ink found")
        joint, other = combined(self.trust, found.heard)
        shown = self._shown(joint, other)
        if not len(shown):
            joint = _asked(joint)
            shown = self._shown(joint, other)
        return self._laid_out(found, joint, shown, np.array(size * 2) / np.array(picture.size * 2))

    def find(self, picture: Image.Image) -> Found:
        """What may stand in an RGB picture, each place once, in no order."""
        seen = self.locator.look(picture)
        found = candidates(seen)
        verified = self.verifier.answers([one.view for one in seen], found.boxes, found.best)
        around = context(found.boxes, found.sure * (1 - verified[:, NOTHING]))
        kept = apart(found.boxes, stands(self.trust, around, found.sure, verified))
        found, verified = found.chosen(kept), verified[kept]
        forms = images(seen, found.boxes, found.best)
        once = np.flatnonzero(~twice(found.boxes, forms))
        found, verified, forms = found.chosen(once), verified[once], forms[once]
        around = context(found.boxes, found.sure * (1 - verified[:, NOTHING]))
        heard = Opinions(around, found.sure, found.classes, verified, *self.model.answers(forms))
        return Found(found, heard, forms)

    def _shown(self, joint: Floats, other: Floats) -> NDArray[np.intp]:
        best = joint.max(axis=1)
        return np.flatnonzero((best >= self.trust.told) | (best + other >= self.trust.shown))

    def _laid_out(self, found: Found, joint: Floats, shown: NDArray[np.intp], scale: NDArray[np.float64]) -> Reading:
        lines = [[int(shown[place]) for place in row] for row in rows(found.candidates.boxes[shown])]
        digits = {k: self._digit(found, k, joint[k], scale) for line in lines for k in line}
        text = "\n".join("".join(digits[k].sign for k in line) for line in lines)
        known = any(letter.isdigit() for letter in text)
        return Reading(text, tuple(digits.values()), "" if known else "no digit recognised")

    def _digit(self, found: Found, k: int, joint: Floats, scale: NDArray[np.float64]) -> Digit:
        best = float(joint.max())
        told = int(joint.argmax()) if best >= self.trust.told else None
        return Digit(told, best, _box(found.candidates.boxes[k] * scale), found.images[k], joint)


def _box(corners: NDArray[np.floating]) -> Box:
    left, top = np.floor(corners[:2]).astype(int).clip(0)
    right, bottom = np.ceil(corners[2:]).astype(int)
    return int(left), int(top), int(right - left), int(bottom - top)
