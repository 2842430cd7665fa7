"""What a search may try for a setting: a range of numbers or a choice of values, and how they are written."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mnistry.settings import MnistryError


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
