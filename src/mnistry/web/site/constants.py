"""What Python reads with, for the scripts of the site: no number of reading is written twice."""

import json
from dataclasses import asdict
from types import ModuleType
from typing import Any

from mnistry.imaging import decode, normalization
from mnistry.reading import context, layout, learned, locate, recognizer, saliency, verifier, views
from mnistry.reading import reader as whole
from mnistry.reading.learned import Trust

MODULES = (context, decode, normalization, layout, learned, locate, recognizer, saliency, verifier, views, whole)


def constants(trust: Trust, **site: Any) -> str:
    """The script `constants.js`: an object a module, such as `LOCATE`, and those of the site itself as `SITE`."""
    named = {module.__name__.rpartition(".")[2].upper(): _numbers(module) for module in MODULES}
    named |= {"TRUST": asdict(trust), "SITE": site}
    lines = [f"export const {name} = {json.dumps(values, allow_nan=False)};" for name, values in named.items()]
    return "\n".join(["// Written by `mnistry site` from the Python modules of the same names.", *lines, ""])


def _numbers(module: ModuleType) -> dict[str, Any]:
    """The constants of a module that are numbers, or tuples of numbers."""
    return {name: value for name, value in vars(module).items() if name.isupper() and _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) or (
        isinstance(value, tuple) and all(isinstance(v, int | float) for v in value)
    )
