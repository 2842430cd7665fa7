"""What callers pass to the public functions, checked before the work begins: one sentence for whatever does not fit."""

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from mnistry.settings import MnistryError, Settings, shown

SEEDS = 2**32  # NumPy and Keras take no more


def check_kind(name: str, value: Any, kinds: type | tuple[type, ...], expected: str) -> None:
    """Raise MnistryError unless the value is of one of these kinds."""
    if not isinstance(value, kinds):
        raise MnistryError(f"{name} is {expected}, not {shown(value)}.")


def check_seed(seed: Any) -> int:
    """The seed as Python's own integer; raises MnistryError unless it is a whole number from 0 to below 2**32."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < SEEDS:
        raise MnistryError(f"A seed is a whole number from 0 to below 2**32, not {shown(seed)}.")
    return int(seed)


def check_validation(validation: Any) -> None:
    """Raise MnistryError unless this is a fraction from 0 to below 1, or "writers"."""
    if isinstance(validation, str) and validation == "writers":
        return
    if not isinstance(validation, Real) or not 0 <= _number(validation) < 1:
        raise MnistryError(
            f"The validation split is a fraction from 0 to below 1, such as 0.1, or 'writers', not {shown(validation)}."
        )


def check_settings(settings: Any) -> Settings:
    """The settings, by default those of the environment; raises MnistryError for what are none."""
    if settings is None:
        return Settings.from_environment()
    check_kind("settings", settings, Settings, "a mnistry.settings.Settings, or None for those of the environment")
    assert isinstance(settings, Settings)
    return settings


def check_function(name: str, function: Any, takes: Sequence[str]) -> None:
    """Raise MnistryError unless it is None or can be called with as many arguments as `takes` names."""
    fits = function is None or callable(function)
    with suppress(TypeError, ValueError):  # what is written in C does not tell what it takes
        signature = inspect.signature(function)
        try:
            signature.bind(*takes)
        except TypeError:
            fits = False
    if not fits:
        raise MnistryError(f"{name} is a function of ({', '.join(takes)}), or None, not {shown(function)}.")


def check_path(name: str, path: Any) -> Path:
    """The path; raises MnistryError unless a file or folder could have that name."""
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise MnistryError(f"{name} is the path of a folder, as text or Path, not {shown(path)}.")
    return Path(path)


def check_plain(name: str, values: Any) -> dict[str, Any]:
    """The values by name; raises MnistryError unless JSON can hold them."""
    try:
        if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
            raise TypeError
        json.dumps(dict(values), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as problem:
        raise MnistryError(
            f"{name} holds plain values by name, such as {{'study': 'mine'}}, not {shown(values)}."
        ) from problem
    return dict(values)


def _number(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond the range of floats
        return math.inf
