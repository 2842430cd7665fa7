"""Read digits with ONNX Runtime; no training library is needed or loaded."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from mnistry.reading.detection import Box, Crop, PictureError, Segment, Source, views
from mnistry.settings import MnistryError

USUAL_WIDTH = 0.75  # of its height: a digit's width, and how far it varies
WIDTH_OF_0 = 1.0
WIDTH_SPREAD = 0.3
HEIGHT_SPREAD = 0.25
SCRAP_COST = 3.0  # what leaving out a dash or a speck costs
CROSSED_STROKE_COST = 0.5  # what each further stroke that a cut crosses costs
SPLIT_COST = 0.25  # what one more digit in touching writing costs beside other digits
JOIN_COST = 1.0  # what taking two shapes for the strokes of one digit costs
SPLIT_COST_ALONE = 6.0  # what one more digit costs where nothing else is written: most lone shapes are one digit
SPLIT_OFF_1_COST = 5.0  # and more where it is read as 1: nearly every letter has a stroke that looks like one
THRESHOLD = 0.5  # the probability below which a lone shape is refused; 99.5 % of validation digits have more
THRESHOLD_AMONG_DIGITS = 0.02  # the same where most other shapes are digits
DOUBTED = 0.8  # a reading with a digit below this: a sheet of paper in the picture is looked for
MARK_HEIGHT = 0.5  # of the tallest digit in its row: a refused shape that is lower is a dash, a dot or a comma
MOST_SPLIT = 16  # segments of a picture; where more are doubtful, it is no writing of digits
BATCH = 16  # images at a time: small batches stay in the processor's cache


@dataclass(frozen=True)
class Digit:
    """One digit of a picture.

    `digit` is 0 to 9, or None for a shape that the model refuses. `probability`, 0 to 1, is that of this digit, and of
    being a digit at all. `box` is (x, y, width, height) in pixels of the picture itself, seen upright: (x, y) is the
    upper left corner. `image` is what the model saw, uint8 (28, 28), 0 = paper.
    """

    digit: int | None
    probability: float
    box: Box
    image: NDArray[np.uint8] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Reading:
    """What was read in one picture.

    `text` has a line for each row of writing and `?` for a shape that is no digit, `digits` are the same one by one,
    and `reason` says why no digit was read ("" where one was).
    """

    text: str
    digits: tuple[Digit, ...]
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, as `mnistry read --json` prints them after the name of the file.

        `{"text": "7", "digits": [{"digit": 7, "probability": 0.998, "box": [x, y, width, height]}]}`, and "reason"
        where no digit was read.
        """
        digits = [{"digit": d.digit, "probability": round(d.probability, 6), "box": list(d.box)} for d in self.digits]
        return {"text": self.text, "digits": digits} | ({"reason": self.reason} if self.reason else {})


Hypothesis = tuple[float, list[Digit]]  # how likely it is, less what its digits cost; what is read


class Reader:
    """Reads pictures with one model, by default the one that comes with the package.

    `model` is the path or the bytes of an ONNX file that takes `images` uint8 (n, 28, 28), 0 = paper, and answers with
    `probabilities` float32 (n, 10). Raises MnistryError for anything else. Threads may share one reader.
    """

    def __init__(self, model: str | Path | bytes | None = None) -> None:
        self._bytes = _bundled_model() if model is None else _model_bytes(model)
        self._known = model is None  # the bundled model needs no checks, and is opened when it is first used
        self._path = Path(model) if isinstance(model, str | Path) else None
        if not self._known:
            _check_contract(self._session)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_session"}  # each process opens its own

    def read(self, source: Source) -> Reading:
        """Read the digits in one picture; raises PictureError with the reason where that is impossible.

        `source` is a path, the bytes of a file, a file opened with mode "rb" (or `io.BytesIO`), a Pillow image, or an
        array: (height, width) or (height, width, 3 or 4), bool, uint8, uint16 or float from 0 to 1.
        When a digit is uncertain, the reader also looks for a sheet of paper and reads that alone; the more certain
        reading is returned.
        """
        readings = (self._reading(rows) for rows in views(source))
        first = next(readings)
        if _least_sure(first) >= DOUBTED:
            return first
        surer, many = max(_least_sure(first), THRESHOLD), len(first.digits) if _known(first) else 0
        others = [other for other in readings if _least_sure(other) > surer and len(other.digits) >= many]
        return max(others, key=_least_sure, default=first)

    def _reading(self, rows: list[list[Segment]]) -> Reading:
        if not rows:
            return Reading("", (), "no ink found")
        lines = self._read_rows(rows)
        if self.refuses:
            lines = _refused(lines)
        digits = tuple(digit for line in lines for digit in line)
        reading = Reading("\n".join(map(_text, lines)), digits)
        return reading if _known(reading) else replace(reading, reason="no digit recognised")

    def _read_rows(self, rows: list[list[Segment]]) -> list[list[Digit]]:
        segments = [segment for row in rows for segment in row]
        read = iter(self._read_segments(segments))
        # To a model that has not learnt what is no digit, many a pair looks like one.
        pairs = [segment.joined for segment in segments if segment.joined and self.refuses]
        joined = iter(zip(self._read_crops([pair.whole for pair in pairs]), pairs, strict=True))
        hypotheses = [
            [(next(read), next(joined) if segment.joined and pairs else None) for segment in row] for row in rows
        ]
        return [_best(row) for row in hypotheses]

    def _read_segments(self, segments: list[Segment]) -> list[Hypothesis]:
        """The digits of each segment; it is parted only where parting could be more probable than the whole."""
        each, stroke = (SPLIT_COST_ALONE, SPLIT_OFF_1_COST) if len(segments) == 1 else (SPLIT_COST, 0.0)
        wholes = self._read_crops([segment.whole for segment in segments])
        doubts = {
            k: _likelihood(whole, segment) for k, (whole, segment) in enumerate(zip(wholes, segments, strict=True))
        }
        doubtful = [k for k in sorted(doubts, key=doubts.__getitem__) if doubts[k] < -min(each, SCRAP_COST)][
            :MOST_SPLIT
        ]
        parted = {k: self._part(segments[k], wholes[k], each, stroke) for k in doubtful}
        return [parted.get(k, (doubts[k] - each, [whole])) for k, whole in enumerate(wholes)]

    def _part(self, segment: Segment, whole: Digit, each: float, stroke: float) -> Hypothesis:
        """The most probable way to read a segment as digits that touch, or as one."""
        slices = segment.slices()
        if slices is None:
            return _likelihood(whole, segment) - each, [whole]
        digits = dict(zip(slices.crops, self._read_crops(list(slices.crops.values())), strict=True))
        digits[0, slices.parts] = whole
        scores: list[float] = [0.0] + [-math.inf] * slices.parts
        hypotheses: list[list[Digit]] = [[] for _ in scores]
        steps = [
            (i, j, [digit], _likelihood(digit, segment) - each - stroke * (digit.digit == 1 and digit is not whole))
            for (i, j), digit in digits.items()
        ]
        steps += [(i, i + 1, [], -SCRAP_COST) for i in slices.scraps]
        for i, j, found, gain in sorted(steps, key=lambda step: step[1]):
            score = scores[i] + gain - (CROSSED_STROKE_COST * max(0, slices.crossed[i - 1] - 1) if i else 0.0)
            if score > scores[j]:
                scores[j], hypotheses[j] = score, hypotheses[i] + found
        return scores[-1], hypotheses[-1]

    def _read_crops(self, crops: Sequence[Crop]) -> list[Digit]:
        if not crops:
            return []
        proba, is_digit = self._answers(np.stack([crop.image for crop in crops]))
        joint = proba * is_digit[:, None]
        return [
            Digit(int(row.argmax()), float(row.max()), crop.box, crop.image)
            for crop, row in zip(crops, joint, strict=True)
        ]

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

    def predict_proba(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (n, 10) of digits in MNIST form, uint8 (n, 28, 28); raises MnistryError."""
        return self._answers(images)[0]

    def is_digit(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability (n,) that each image is a digit at all; 1 if the model has not learnt to refuse."""
        return self._answers(images)[1]

    def _answers(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The probabilities (n, 10), and those (n,) of being a digit at all."""
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
            raise MnistryError(f"The reader takes images uint8 (n, 28, 28), not {images.dtype} {images.shape}.")
        proba, is_digit = np.empty((len(images), 10), np.float32), np.ones(len(images), np.float32)
        session, names = self._session, ["probabilities", "digit"][: 1 + self.refuses]
        try:
            for start in range(0, len(images), BATCH):
                answers = session.run(names, {"images": images[start : start + BATCH]})
                proba[start : start + BATCH] = answers[0]
                if self.refuses:
                    is_digit[start : start + BATCH] = answers[1][:, 0]
        except Exception as problem:  # onnxruntime raises several classes without a common base
            raise MnistryError(f"The model fails on images of the right form: {str(problem)[:200]}") from problem
        if not self._known:
            _check_answers(proba, is_digit)
        return proba, np.minimum(is_digit, np.float32(1))  # a sigmoid's 1.0000001 is a rounding error

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The most probable digit of each image, (n,); raises MnistryError."""
        return self.predict_proba(images).argmax(axis=1)

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata in the model's file: recipe, accuracy, data, versions."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the model: its data, recipe, figures on the test digits ("test"), and limits.

        `mnistry export` writes this card beside the ONNX file. For a model without one: sha256, bytes, the metadata in
        the file and a sentence under "limits".
        """
        if self._known:
            return model_card()
        digest = hashlib.sha256(self._bytes).hexdigest()
        with suppress(OSError, ValueError, AttributeError):
            card: dict[str, Any] = json.loads(self._path.with_suffix(".json").read_text("utf-8"))  # type: ignore[union-attr]
            if card.get("sha256") == digest:
                return card
        limits = "Not known: there is no card beside the model's file."
        return {"sha256": digest, "bytes": len(self._bytes), **self.metadata, "limits": limits}

    @cached_property
    def refuses(self) -> bool:
        """Whether the model has learnt what is no digit; if not, it answers with a digit to everything."""
        return any(output.name == "digit" for output in self._session.get_outputs())

    @cached_property
    def _session(self) -> Any:
        import onnxruntime  # 0.1 s and 45 MB, so not before it is needed

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong with a model is said below, in one sentence
        options.intra_op_num_threads = 1  # one small digit is faster without a thread pool
        options.inter_op_num_threads = 1
        try:
            return onnxruntime.InferenceSession(self._bytes, options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # onnxruntime raises several classes without a common base
            raise MnistryError(f"The model is no ONNX file that can be run: {str(problem)[:200]}") from problem


def model_card() -> dict[str, Any]:
    """The card of the model that comes with the package: data, recipe, figures, limits."""
    card: dict[str, Any] = json.loads(
        (resources.files("mnistry") / "reading" / "bundled" / "reader.json").read_text("utf-8")
    )
    return card


def _bundled_model() -> bytes:
    data = (resources.files("mnistry") / "reading" / "bundled" / "reader.onnx").read_bytes()
    if hashlib.sha256(data).hexdigest() != model_card()["sha256"]:
        raise MnistryError("The model that comes with mnistry is damaged: install mnistry again.")
    return data


def _model_bytes(model: str | Path | bytes) -> bytes:
    if isinstance(model, bytes | bytearray):
        return bytes(model)
    if not isinstance(model, str | Path):
        raise MnistryError(f"A model is the path or the bytes of an ONNX file, not {type(model).__name__}.")
    try:
        if not Path(model).is_file() and Path(model).exists():
            raise MnistryError(f"The model {model} is not a file: expected the path of an ONNX file.")
        return Path(model).read_bytes()
    except (OSError, ValueError) as problem:
        raise MnistryError(f"The model {model} cannot be read ({problem}).") from problem


def _check_contract(session: Any) -> None:
    inputs = {i.name: (i.type, i.shape) for i in session.get_inputs()}
    outputs = {o.name: (o.type, o.shape) for o in session.get_outputs()}
    kept = _is(inputs.get("images"), "tensor(uint8)", [28, 28]) and _is(
        outputs.get("probabilities"), "tensor(float)", [10]
    )
    kept &= "digit" not in outputs or _is(outputs["digit"], "tensor(float)", [1])
    if not kept or len(inputs) != 1:
        raise MnistryError(
            "The model does not keep the contract: expected the input images, uint8 [n, 28, 28], and the outputs "
            "probabilities, float32 [n, 10], and maybe digit, float32 [n, 1]; "
            f"found {inputs} -> {outputs}."
        )


def _check_answers(proba: NDArray[np.float32], is_digit: NDArray[np.float32]) -> None:
    if len(proba) and not (proba.min() >= 0 and abs(proba.sum(axis=1) - 1).max() < 1e-3):  # false for NaN, too
        raise MnistryError("The model does not keep the contract: its answers are no probabilities that sum to 1.")
    if len(is_digit) and not (is_digit.min() >= 0 and is_digit.max() < 1 + 1e-3):
        raise MnistryError("The model does not keep the contract: its output digit is no probability.")


def _is(value: tuple[str, list[Any]] | None, kind: str, shape: list[int]) -> bool:
    """Whether this is a tensor of the kind with any number of rows of the shape."""
    return value is not None and value[0] == kind and value[1][1:] == shape and not isinstance(value[1][0], int)


def _known(reading: Reading) -> bool:
    return any(digit.digit is not None for digit in reading.digits)


def _least_sure(reading: Reading) -> float:
    """The least probability of its digits, 0 where there is none."""
    return min((digit.probability for digit in reading.digits), default=0.0) if _known(reading) else 0.0


def _text(digits: Iterable[Digit]) -> str:
    return "".join("?" if digit.digit is None else str(digit.digit) for digit in digits)


def _best(row: list[tuple[Hypothesis, tuple[Digit, Segment] | None]]) -> list[Digit]:
    """The digits of a row: each segment's own, or one for it and the next where that is more probable."""
    hypotheses: list[Hypothesis] = [(0.0, [])]
    for k, ((score, digits), _) in enumerate(row):
        best = hypotheses[k][0] + score, hypotheses[k][1] + digits
        before = row[k - 1][1] if k else None
        if before:
            joint = hypotheses[k - 1][0] + _likelihood(*before) - JOIN_COST
            if joint > best[0]:
                best = joint, [*hypotheses[k - 1][1], before[0]]
        hypotheses.append(best)
    return hypotheses[-1][1]


def _refused(lines: list[list[Digit]]) -> list[list[Digit]]:
    """The rows with what is no digit refused, and without marks: what is refused and low beside the digits.

    A shape is judged by its company: among digits a doubtful one is a digit as well, and where most shapes are none,
    all are refused: letters and things among which some look like digits.
    """
    height = max((digit.box[3] for line in lines for digit in line if digit.probability >= THRESHOLD), default=0)
    kept = [
        [digit for digit in line if digit.probability >= THRESHOLD or digit.box[3] >= MARK_HEIGHT * height]
        for line in lines
    ]
    sure = [digit.probability >= THRESHOLD for line in kept for digit in line]
    least = math.inf if 2 * sum(sure) < len(sure) else THRESHOLD_AMONG_DIGITS if len(sure) > 1 else THRESHOLD
    return [
        [digit if digit.probability >= least else replace(digit, digit=None) for digit in line] for line in kept if line
    ]


def _likelihood(digit: Digit, segment: Segment) -> float:
    """How likely this is a digit of this segment: the model's answer, and how tall and wide digits are."""
    (_, _, width, height), tallest = digit.box, segment.whole.box[3]
    wide = max(0.0, width / height - (WIDTH_OF_0 if digit.digit == 0 else USUAL_WIDTH)) / WIDTH_SPREAD
    low = max(0.0, 1 - height / tallest) / HEIGHT_SPREAD
    return math.log(max(digit.probability, 1e-6)) - (wide**2 + low**2) / 2
