"""What a setting of a recipe is: default, values that it takes, unit, a line of doc; and what a search may try."""

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


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones if `low` is. With `log` each doubling is as likely."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low}:{self.high}{':log' if self.log else ''}"

    def __contains__(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)

    @property
    def ends(self) -> tuple[Any, Any]:
        """The two values that are checked before a search begins."""
        return self.low, self.high


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return ",".join(str(value) for value in self.values)

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    @property
    def ends(self) -> tuple[Any, Any]:
        """The two values that are checked before a search begins."""
        ordered = self.values if isinstance(self.values[0], str) else sorted(self.values)
        return ordered[0], ordered[-1]


Domain = Range | Choice


def read_domain(key: str, text: str, read: Callable[[str], Any]) -> Domain:
    """Read LOW:HIGH, LOW:HIGH:log or A,B,C; `read` gives each value its setting's type. Raises MnistryError."""
    separator = ":" if ":" in text else ","
    parts = [part.strip() for part in text.split(separator)]
    if not all(parts):
        raise MnistryError(
            f"The search space of {key} has a hole: {text!r}. Write LOW:HIGH, LOW:HIGH:log or values such as A,B,C."
        )
    return _range(key, text, parts, read) if separator == ":" else _choice(key, text, parts, read)


def _range(key: str, text: str, parts: list[str], read: Callable[[str], Any]) -> Range:
    log = parts[-1] == "log"
    if len(parts) != 2 + log:
        raise MnistryError(f"A range is LOW:HIGH or LOW:HIGH:log, such as 0.001:0.1:log, not {key}={text!r}.")
    low, high = read(parts[0]), read(parts[1])
    if isinstance(low, bool | str):
        raise MnistryError(f"{key} is not a number, so it has no range: write its values, such as A,B, not {text!r}.")
    if not math.isfinite(high - low):
        raise MnistryError(f"The range of {key} is too wide to search: {text!r}.")
    if not low < high:
        raise MnistryError(f"The range of {key} goes from low to high, not from {low} to {high}.")
    if log and low <= 0:
        raise MnistryError(f"The logarithmic range of {key} begins above 0, not at {low}.")
    return Range(low, high, log)


def _choice(key: str, text: str, parts: list[str], read: Callable[[str], Any]) -> Choice:
    values = tuple(read(part) for part in parts)
    if len(set(values)) < len(values):
        raise MnistryError(f"The search space of {key} names a value twice: {text!r}.")
    return Choice(values)
