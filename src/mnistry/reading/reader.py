"""`Reader`: a picture in, what it says out; no training library is needed or loaded."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from mnistry.imaging.decode import PictureError, Source, open_picture
from mnistry.imaging.normalization import BOX, SIDE
from mnistry.reading.classical import THRESHOLD, ClassicalReader
from mnistry.reading.learned import LearnedReader, sign
from mnistry.reading.recognizer import BATCH, Recognizer, bundled, model_card
from mnistry.reading.result import Box, Digit, Reading
from mnistry.settings import MnistryError

__all__ = ["BATCH", "THRESHOLD", "Box", "Digit", "Reader", "Reading", "model_card"]

CONFIRMED = 0.9  # probability from which on a second opinion counts


class Reader(Recognizer):
    """Reads pictures; a network finds the digits, and `model` reads each, by default the one that comes with mnistry.

    `model` is the path or the bytes of an ONNX file that takes `images` uint8 (n, 28, 28), 0 = paper, and answers with
    `probabilities` float32 (n, 10). Raises MnistryError for anything else. Threads may share one reader.
    """

    def read(self, source: Source) -> Reading:
        """Read the digits in one picture; raises PictureError with the reason where that is impossible.

        `source` is a path, the bytes of a file, a file opened with mode "rb" (or `io.BytesIO`), a Pillow image, or an
        array: (height, width) or (height, width, 3 or 4), bool, uint8, uint16 or float from 0 to 1.
        """
        if (reading := self._in_form(source)) is not None:
            return reading
        picture, size = open_picture(source)
        reading, guesses = self._learned.read(picture, size)
        if reading.digits and "?" not in reading.text:
            return reading
        return _confirmed(reading, guesses, self._classical.read(picture, size))

    def _in_form(self, source: Source) -> Reading | None:
        """The reading of an array that is a digit in MNIST form already, where the model is sure of it."""
        image = _as_form(source)
        if image is None:
            return None
        proba, is_digit = self.answers(image[None])
        sure = float(proba.max() * is_digit[0])
        if sure < THRESHOLD:
            return None
        label = int(proba.argmax())
        return Reading(str(label), (Digit(label, sure, _ink_box(image), image),))

    @cached_property
    def _learned(self) -> LearnedReader:
        return LearnedReader(bundled("locator"), self)

    @cached_property
    def _classical(self) -> ClassicalReader:
        return ClassicalReader(self)

    @overload
    def read_many(self, sources: Iterable[Source], errors: Literal["raise"] = "raise") -> Iterator[Reading]: ...

    @overload
    def read_many(self, sources: Iterable[Source], errors: Literal["yield"]) -> Iterator[Reading | PictureError]: ...

    def read_many(
        self, sources: Iterable[Source], errors: Literal["raise", "yield"] = "raise"
    ) -> Iterator[Reading] | Iterator[Reading | PictureError]:
        """Read pictures one after the other, in their order, each when it is asked for.

        `errors="raise"` raises PictureError at the first picture that cannot be read; `errors="yield"` gives the
        PictureError in the place of its reading and goes on. Raises MnistryError for any other `errors`.
        """
        if errors not in ("raise", "yield"):
            raise MnistryError(f"read_many takes errors='raise' or errors='yield', not {errors!r}.")
        return map(self.read if errors == "raise" else self._read_or_error, sources)

    def _read_or_error(self, source: Source) -> Reading | PictureError:
        try:
            return self.read(source)
        except PictureError as problem:
            return problem


def _confirmed(first: Reading, guesses: list[int], second: Reading) -> Reading:
    """The first reading, with its `?` judged by the second.

    Where the second surely reads the same digits and nothing else, what the first could not name is the paper's. Where
    both see as many shapes, a doubtful one is told if the second surely names the likeliest digit of the first. Where
    the first has found nothing at all, the second stands alone.
    """
    if not first.digits:
        return second if second.digits else first
    known = tuple(digit for digit in first.digits if digit.digit is not None)
    if known and _is_sure(second) and [digit.digit for digit in known] == [digit.digit for digit in second.digits]:
        return Reading(second.text, known)
    if len(second.digits) != len(first.digits):
        return first
    pairs = zip(first.digits, guesses, second.digits, strict=True)
    digits = tuple(
        replace(one, digit=guess, probability=other.probability)
        if one.digit is None and other.digit == guess and other.probability >= CONFIRMED
        else one
        for one, guess, other in pairs
    )
    left = iter(digits)
    text = "".join(letter if letter == "\n" else sign(next(left)) for letter in first.text)
    return Reading(text, digits, "" if any(digit.digit is not None for digit in digits) else first.reason)


def _is_sure(reading: Reading) -> bool:
    return all(digit.digit is not None and digit.probability >= CONFIRMED for digit in reading.digits)


def _as_form(source: object) -> NDArray[np.uint8] | None:
    """The array itself if it is a digit in MNIST form: light on black, 20 pixels long, its mass in the middle."""
    if not isinstance(source, np.ndarray) or source.shape != (SIDE, SIDE) or source.dtype != np.uint8:
        return None
    rows, columns = source.sum(axis=1, dtype=np.int64), source.sum(axis=0, dtype=np.int64)
    mass = int(rows.sum())
    if not mass:
        return None
    _, _, width, height = _ink_box(source)
    place = np.arange(SIDE)
    off = max(abs(float(side @ place) / mass - SIDE / 2) for side in (rows, columns))
    return source if max(width, height) == BOX and off <= 0.51 else None


def _ink_box(image: NDArray[np.uint8]) -> Box:
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
