"""What a setting of a recipe is: its default, the values it takes, its unit, and one line on what it does."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from mnistry.settings import MnistryError, shown

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class InputError(MnistryError, ValueError):
    """Images, labels or settings that a classifier cannot take."""


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`; with `above` without `low`, with `below` without `high`."""

    low: float = 0
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: Any) -> bool:
        try:
            number = float(value) if isinstance(value, Real) else math.nan
        except OverflowError:  # an integer beyond the range of floats
            return False
        if not math.isfinite(number):
            return False
        inside = self.low < number < self.high
        return inside or (number == self.low and not self.above) or (number == self.high and not self.below)

    def __str__(self) -> str:
        low, high = f"{self.low:.10g}", f"{self.high:.10g}"
        if math.isinf(self.high):
            return f"more than {low}" if self.above else f"{low} or more"
        if self.above:
            return f"more than {low} and {'below' if self.below else 'at most'} {high}"
        return f"from {low} to {'below ' if self.below else ''}{high}"


@dataclass(frozen=True)
class Setting:
    """A setting: the default gives its type, `allowed` its values (None: all of that type)."""

    default: Any
    doc: str
    allowed: Interval | tuple[str, ...] | None = None
    unit: str = ""
    when: Callable[[Mapping[str, Any]], Any] = lambda settings: True  # noqa: ARG005 - with which others it does anything

    @property
    def takes(self) -> str:
        """The values that it takes, in words, such as "from 0 to 14 pixels"."""
        words = " or ".join(self.allowed) if isinstance(self.allowed, tuple) else str(self.allowed or "")
        return f"{words or KINDS[type(self.default)]} {self.unit}".rstrip()

    def read(self, key: str, value: Any) -> Any:
        """The value, or its text, in the type of the default. Raises InputError for any other value."""
        kind = type(self.default)
        try:
            if kind is bool and isinstance(value, str):
                return BOOLEANS[value.lower()]
            if kind is int and isinstance(value, float) and not value.is_integer():
                raise ValueError(value)
            read = kind(value)
            if isinstance(read, float) and not math.isfinite(read):
                raise ValueError(value)
        except (KeyError, TypeError, ValueError, OverflowError) as problem:
            raise InputError(f"The setting {key} takes {KINDS[kind]}, not {shown(value)}.") from problem
        self.check(key, read)
        return read

    def check(self, key: str, value: Any) -> None:
        """Raise InputError unless the value is allowed."""
        if self.allowed is not None and value not in self.allowed:
            raise InputError(f"The setting {key} is {self.takes}, not {shown(value)}.")
