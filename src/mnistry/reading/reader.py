"""`Reader`: a picture in, what it says out; no training library is needed or loaded."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from mnistry.imaging.decode import PictureError, Source, open_picture
from mnistry.imaging.normalization import BOX, SIDE
from mnistry.reading.layout import Box, Digit, Reading
from mnistry.reading.learned import LearnedReader
from mnistry.reading.recognizer import BATCH, Recognizer, bundled, model_card
from mnistry.settings import MnistryError

__all__ = ["BATCH", "THRESHOLD", "Box", "Digit", "Reader", "Reading", "model_card"]

THRESHOLD = 0.5  # if it is less probable, what has MNIST form is searched like any other picture


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
        if picture.size == (SIDE, SIDE) and (reading := self._in_form(_grey(np.asarray(picture)))) is not None:
            return reading
        return self._learned.read(picture, size)

    def _in_form(self, source: Source | None) -> Reading | None:
        """The reading of an array that is a digit in MNIST form already, where the model is sure of it."""
        image = _as_form(source)
        if image is None:
            return None
        proba, is_digit = self.answers(image[None])
        proba = proba[0] * is_digit[0]
        sure, label = float(proba.max()), int(proba.argmax())
        if sure < THRESHOLD:
            return None
        return Reading(str(label), (Digit(label, sure, _ink_box(image), image, proba),))

    @cached_property
    def _learned(self) -> LearnedReader:
        return LearnedReader(bundled("locator"), bundled("verifier"), self)

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


def _as_form(source: object) -> NDArray[np.uint8] | None:
    """The array, light on black, if it is a digit in MNIST form: 20 pixels long, its mass in the middle."""
    if not isinstance(source, np.ndarray) or source.shape != (SIDE, SIDE) or source.dtype != np.uint8:
        return None
    source = 255 - source if source[0, 0] > 127 else source
    rows, columns = source.sum(axis=1, dtype=np.int64), source.sum(axis=0, dtype=np.int64)
    mass = int(rows.sum())
    if not mass:
        return None
    _, _, width, height = _ink_box(source)
    place = np.arange(SIDE)
    off = max(abs(float(side @ place) / mass - SIDE / 2) for side in (rows, columns))
    return source if max(width, height) == BOX and off <= 0.51 else None


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The grey levels (h, w) of a picture (h, w, 3) without colours."""
    return pixels[:, :, 0] if (pixels == pixels[:, :, :1]).all() else None


def _ink_box(image: NDArray[np.uint8]) -> Box:
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
