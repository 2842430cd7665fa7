"""From a template to a page: the one Jinja environment, its filters, the glossary, pictures as data addresses."""

import base64
import math
import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """The page of a template's name, such as "report", as HTML; every value is escaped unless the template says safe.

    A value that the template wants and that is not given raises jinja2.UndefinedError.
    """
    return _environment().get_template(f"{template}.html.jinja").render(values)


def png_address(png: bytes) -> str:
    """The bytes of a PNG file as the address of an <img>."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def percent(share: float) -> str:
    """A share of 1 in percent."""
    return f"{points(share)} %"


def points(share: float) -> str:
    """A share as percent, or a difference as points, without the sign."""
    return f"{100 * share:.2f}"


def size(n: int) -> str:
    """A file's bytes for people."""
    return f"{n / 1000:.0f} KB" if n < 1e6 else f"{n / 1e6:.1f} MB"


def number(value: float) -> str:
    """A duration or another positive figure with the digits that mean something."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def strength(n: float, most: float) -> float:
    """How strongly n > 0 mistakes are coloured, from 0.15 for one in a run or less to 1 for the most."""
    return 0.15 + 0.85 * max(math.log(n), 0.0) / max(math.log(most), 1.0)


def glossary(text: str) -> dict[str, tuple[str, str]]:
    """The terms of a text with a line `* **term**: meaning` each, by the name of their anchor."""
    found = re.findall(r"^\* \*\*(.+?)\*\*: (.+)$", text, re.MULTILINE)
    return {f"term-{re.sub(r'[^a-z0-9]+', '-', term.lower()).strip('-')}": (term, meaning) for term, meaning in found}


@cache
def _environment() -> Environment:
    loader = PackageLoader("mnistry", "reports/templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": percent, "points": points, "size": size, "number": number, "strength": strength, "png": png_address
    }  # fmt: skip
    environment.globals["glossary"] = glossary(loader.get_source(environment, "glossary.md")[0])
    return environment
