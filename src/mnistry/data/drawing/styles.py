"""Handwriting that MNIST's writers, all of them American, do not have: pen strokes after models, with a hand's freedom.

Flagged 1s with and without a foot or a loop, 2s with a loop, flat 3s, open and one-stroke 4s, crossed and wavy 7s,
hooked 9s, open loops, slashed 0s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistry.data.drawing.clutter import spline
from mnistry.data.drawing.marks import Floats, Generator, Strokes, strokes

Point = tuple[float, float] | None  # x, y; the top is at 0 and the foot at 1. None: the pen turns sharply here
Model = tuple[tuple[Point, ...], ...]  # strokes

HABIT = 0.035  # how far a person's points lie from the model's, in heights of a digit (standard deviation)
TREMOR = 0.014  # and those of one digit from the person's
STEPS = 7  # of a curve between two points

_O: tuple[Point, ...] = ((0.3, 0), (0.06, 0.2), (0, 0.58), (0.18, 0.96), (0.42, 0.93), (0.6, 0.5), (0.5, 0.1))
_TWO: tuple[Point, ...] = ((0, 0.25), (0.15, 0.03), (0.42, 0.05), (0.5, 0.28), (0.3, 0.62))
_SEVEN: tuple[Point, ...] = ((0, 0.02), (0.55, 0), None, (0.2, 1))
_WAVY: tuple[Point, ...] = ((-0.02, 0.16), (0.1, 0.0), (0.28, 0.1), (0.58, 0.0), None, (0.4, 0.4), (0.25, 1))
_NINE: tuple[Point, ...] = ((0.5, 0.16), (0.27, 0), (0.03, 0.2), (0.18, 0.46), (0.44, 0.34), (0.52, 0.1), None)
_SIX: tuple[Point, ...] = ((0.45, 0), (0.15, 0.3), (0, 0.7), (0.18, 1), (0.46, 0.88), (0.44, 0.64), (0.22, 0.56))
_FIVE: tuple[Point, ...] = ((0.12, 0), (0.07, 0.42), None, (0.33, 0.36), (0.54, 0.62), (0.4, 0.93), (0, 0.96))

MODELS: tuple[tuple[Model, ...], ...] = (
    (  # 0: closed, overshooting, open, slashed twice, with a loop at its top
        ((*_O, (0.3, 0)),),
        ((*_O, (0.32, -0.02), (0.1, 0.1)),),
        (((0.26, 0.04), *_O[1:], (0.4, 0.01)),),
        ((*_O, (0.3, 0)), ((0.6, 0.04), (0, 0.96))),
        ((*_O, (0.3, 0)), ((0.48, 0.2), (0.12, 0.8))),
        (((0.4, 0.16), *_O, (0.4, 0.0), (0.2, 0.1), (0.45, 0.12), (0.62, 0.02)),),
    ),
    (  # 1: plain, flags of all lengths, feet, loops
        (((0.3, 0), (0.28, 1)),),
        (((0, 0.28), (0.28, 0), None, (0.28, 1)),),
        (((-0.1, 0.52), (0.3, 0), None, (0.3, 1)),),
        (((0, 0.28), (0.3, 0), None, (0.3, 1)), ((0.02, 1), (0.56, 0.99))),
        (((-0.08, 0.5), (0.3, 0), None, (0.3, 1)), ((0.1, 1), (0.5, 1))),
        (((0.3, 0), (0.3, 1)), ((0.05, 1), (0.55, 1))),
        (((0, 0.42), (0.22, 0.1), (0.34, 0.0), (0.31, 0.28), (0.27, 1)),),
        (((-0.04, 0.26), (0.12, 0.2), (0.3, 0), None, (0.29, 1)),),
        (((0, 0.5), (0.3, 0), None, (0.28, 0.86), (0.2, 1), (0.13, 0.9), (0.42, 0.86)),),
        (((0, 0.45), (0.27, 0.03), (0.33, 0.08), (0.22, 0.24), (0.3, 0.05), None, (0.3, 1)),),
    ),
    (  # 2: with a corner, with a loop, with a wave
        ((*_TWO, (0, 1), None, (0.6, 0.97)),),
        ((*_TWO, (0.06, 0.97), (-0.03, 0.86), (0.12, 0.8), (0.36, 0.95), (0.6, 0.96)),),
        ((*_TWO, (0, 1), None, (0.2, 0.9), (0.42, 1), (0.64, 0.9)),),
        (((0.02, 0.12), (0.3, 0), (0.5, 0.2), (0.32, 0.6), (0, 0.98), None, (0.56, 1)),),
    ),
    (  # 3: round, flat, with a loop in its middle
        (((0, 0.12), (0.25, 0), (0.48, 0.15), (0.38, 0.38), (0.18, 0.46), None, (0.45, 0.55), (0.54, 0.78),
           (0.3, 1), (0, 0.88)),),
        (((0, 0.03), (0.5, 0), None, (0.2, 0.4), None, (0.48, 0.5), (0.52, 0.8), (0.25, 1), (-0.02, 0.88)),),
        (((0, 0.12), (0.25, 0), (0.48, 0.15), (0.36, 0.44), (0.14, 0.5), (0.18, 0.4), (0.42, 0.52),
           (0.54, 0.78), (0.3, 1), (0, 0.88)),),
        (((0.02, 0.1), (0.3, 0), (0.46, 0.2), (0.25, 0.44), None, (0.5, 0.62), (0.4, 0.94), (0.02, 0.95)),),
    ),
    (  # 4: open, closed, a flash of lightning, of one stroke, round and open
        (((0.12, 0), None, (0, 0.6), None, (0.6, 0.56)), ((0.46, 0.22), (0.42, 1))),
        (((0.42, 0), None, (0, 0.66), None, (0.62, 0.62)), ((0.42, 0.02), (0.4, 1))),
        (((0.35, 0), None, (0.03, 0.6), None, (0.6, 0.5)), ((0.42, 0.3), (0.3, 1))),
        (((0.46, 1), (0.46, 0), None, (0, 0.65), None, (0.66, 0.65)),),
        (((0.04, 0), (0, 0.36), (0.12, 0.55), (0.46, 0.48)), ((0.52, 0.02), (0.48, 1))),
        (((0.04, 0), (0.01, 0.38), (0.14, 0.54), (0.44, 0.44), (0.52, 0.03), None, (0.47, 1)),),
        (((0.2, 0), None, (0, 0.55), None, (0.56, 0.55)), ((0.34, 0.3), (0.34, 1))),
    ),
    (  # 5: of one stroke, with its bar apart, round
        (((0.54, 0), (0.1, 0), None, *_FIVE[1:]),),
        (_FIVE, ((0.12, 0), (0.6, -0.03))),
        (_FIVE, ((0.2, -0.05), (0.66, -0.1))),
        (((0.52, 0.03), (0.15, 0.05), (0.08, 0.36), (0.38, 0.44), (0.52, 0.7), (0.3, 1), (0, 0.92)),),
    ),
    (  # 6: closed, with a small loop, open
        ((*_SIX, (0.04, 0.74)),),
        (((0.3, 0), (0.08, 0.5), (0.03, 0.82), (0.2, 1), (0.42, 0.86), (0.34, 0.68), (0.06, 0.78)),),
        (_SIX,),
        (((0.4, 0.0), (0.06, 0.45), (0.06, 0.9), (0.3, 0.99), (0.42, 0.78), (0.24, 0.68), (0.05, 0.86)),),
    ),
    (  # 7: plain, crossed, wavy, with a barb
        (_SEVEN,),
        (_SEVEN, ((0.06, 0.52), (0.52, 0.47))),
        (_WAVY,),
        (_WAVY, ((0.08, 0.54), (0.22, 0.46), (0.36, 0.54), (0.56, 0.46))),
        (((0, 0.2), (0.02, 0.02), None, (0.55, 0), None, (0.2, 1)),),
        (((0, 0.2), (0.02, 0.02), None, (0.55, 0), None, (0.2, 1)), ((0.04, 0.5), (0.5, 0.5))),
        (((0, 0.03), (0.55, 0), None, (0.3, 0.5), (0.24, 1)), ((0.1, 0.62), (0.1, 0.52), (0.5, 0.48))),
    ),
    (  # 8: of one stroke, of two rings, open
        (((0.45, 0.1), (0.22, 0), (0.05, 0.2), (0.25, 0.45), (0.5, 0.74), (0.28, 1), (0.02, 0.8),
           (0.25, 0.5), (0.47, 0.22), (0.42, 0.07)),),
        (((0.25, 0), (0.06, 0.22), (0.25, 0.46), (0.46, 0.22), (0.25, 0)), ((0.25, 0.46), (0, 0.72),
           (0.25, 1), (0.52, 0.72), (0.25, 0.46))),
        (((0.5, 0.14), (0.24, 0), (0.05, 0.2), (0.25, 0.45), (0.5, 0.74), (0.28, 1), (0.02, 0.8),
           (0.25, 0.5), (0.56, 0.02)),),
    ),
    (  # 9: straight, bent, hooked, with a g's tail, open
        ((*_NINE, (0.48, 1)),),
        ((*_NINE, (0.46, 0.6), (0.22, 1)),),
        ((*_NINE, (0.5, 0.78), (0.3, 1.02), (0, 0.9)),),
        ((*_NINE, (0.5, 0.7), (0.36, 0.98), (0.1, 1.02), (-0.04, 0.88)),),
        (((0.4, 0.06), (0.16, 0.04), (0.03, 0.25), (0.2, 0.44), (0.5, 0.2), (0.54, 0.04), None, (0.5, 1)),),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Styled:
    """A person who writes each digit after the model that `own` names, moved by `seed`, `wide` times as wide."""

    own: tuple[int, ...]
    seed: int
    wide: float

    def has(self, label: int) -> bool:
        """Whether this person writes such a digit: each does."""
        return 0 <= label < 10

    def digit(self, label: int, random: Generator, fine: bool = False) -> Strokes:  # noqa: ARG002
        """The person's digit as a pen draws it this time."""
        habit = np.random.default_rng((self.seed, label))
        lines = [self._line(points, habit, random) for points in MODELS[label][self.own[label]]]
        return strokes(lines)

    def _line(self, points: Sequence[Point], habit: Generator, random: Generator) -> Floats:
        parts: list[list[tuple[float, float]]] = [[]]
        for point in points:
            if point is None:
                parts.append(parts[-1][-1:])
                continue
            x, y = (value + habit.normal(0, HABIT) + random.normal(0, TREMOR) for value in point)
            parts[-1].append((x * self.wide, y))
        curves: list[NDArray[np.float64]] = []
        for part in parts:
            placed = np.array(part)
            curves.append(_rounded(spline(placed, STEPS)) if len(part) > 2 else placed)
        return np.concatenate(curves).astype(np.float32)


def _rounded(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """A curve without the corners that few points leave; its ends stay."""
    many = min(STEPS, (len(curve) - 1) // 2 * 2 - 1)
    inner = np.stack([np.convolve(axis, np.full(many, 1 / many), "valid") for axis in curve.T], axis=1)
    return np.concatenate([curve[:1], inner, curve[-1:]])


def styled_hands(held_back: bool, many: int = 240) -> list[Styled]:
    """People who write as nobody in MNIST does; those held back for validation are others."""
    hands = []
    for seed in range(many, many + many // 4) if held_back else range(many):
        draw = np.random.default_rng(seed)
        own = tuple(int(draw.integers(len(models))) for models in MODELS)
        hands.append(Styled(own, seed, float(draw.uniform(0.75, 1.25))))
    return hands
