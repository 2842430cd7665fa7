"""The classical way to read a picture: a threshold, connected components, and the most probable way to part them.

It needs clean paper, where it is very good; `reader` asks it for a second opinion.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from mnistry.reading.detection import Crop, Segment, views
from mnistry.reading.layout import Digit, Reading
from mnistry.reading.recognizer import Recognizer

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

Hypothesis = tuple[float, list[Digit]]  # how likely it is, less what its digits cost; what is read


class ClassicalReader:
    """Reads pictures with threshold and components; `model` reads each digit."""

    def __init__(self, model: Recognizer) -> None:
        self.model = model

    def read(self, picture: Image.Image, size: tuple[int, int]) -> Reading:
        """Read an RGB picture that was `size` pixels wide and high, or the sheet in it if that is read more surely."""
        readings = (self._reading(rows) for rows in views(picture, size))
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
        if self.model.refuses:
            lines = _refused(lines)
        digits = tuple(digit for line in lines for digit in line)
        reading = Reading("\n".join(map(_text, lines)), digits)
        return reading if _known(reading) else replace(reading, reason="no digit recognised")

    def _read_rows(self, rows: list[list[Segment]]) -> list[list[Digit]]:
        segments = [segment for row in rows for segment in row]
        read = iter(self._read_segments(segments))
        # To a model that has not learnt what is no digit, many a pair looks like one.
        pairs = [segment.joined for segment in segments if segment.joined and self.model.refuses]
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
        proba, is_digit = self.model.answers(np.stack([crop.image for crop in crops]))
        joint = proba * is_digit[:, None]
        return [
            Digit(int(row.argmax()), float(row.max()), crop.box, crop.image)
            for crop, row in zip(crops, joint, strict=True)
        ]


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
