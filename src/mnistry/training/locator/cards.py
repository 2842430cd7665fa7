"""The cards of locator and verifier: what they are and cannot do, what they have learnt from, where they began."""

import hashlib
from pathlib import Path
from typing import Any

from mnistry.reading.recognizer import model_card
from mnistry.training.runs import sha256

Card = dict[str, Any]

KEPT = ("input", "output", "summary", "limits")  # of the bundled network of that name: no training changes them
DIGITS = (
    "MNIST training digits without those of the validation writers (CC BY-SA 3.0, Yann LeCun, Corinna Cortes and "
    "Christopher J. C. Burges)"
)
STROKES = "Pen-Based Recognition of Handwritten Digits, UCI, 24 of 30 training writers (CC BY 4.0)"
WRITERS = (
    "Semeion Handwritten Digit, UCI, the first four fifths (CC BY 4.0)",
    "Optical Recognition of Handwritten Digits, UCI, the first four fifths of each file (CC BY 4.0)",
)
SCENES = "scenes, letters and signs drawn by mnistry.data.scenes with the free fonts of matplotlib and OpenCV"


def card(name: str, file: bytes, parameters: int, settings: Card, begun: Card) -> Card:
    """The card of a `locator` or a `verifier`, for JSON; `begun` is that of the network it went on from, or empty."""
    learnt = [DIGITS, *([STROKES] if settings["strokes"] else []), *(WRITERS if settings["writers"] else []), SCENES]
    today = model_card(name)
    earlier = {"begun_with": {"sha256": begun["sha256"], **begun["settings"]}} if begun else {}
    return {
        "sha256": hashlib.sha256(file).hexdigest(),
        "bytes": len(file),
        "recipe": name,
        **{key: today[key] for key in KEPT},
        "parameters": parameters,
        "settings": settings | earlier,
        "data": list(dict.fromkeys([*begun.get("data", []), *learnt])),
    }


def told(settings: Card) -> Card:
    """The settings of a training as a card has them: files by name, teachers by their hash."""
    names = {key: value.name if isinstance(value, Path) else value for key, value in settings.items()}
    return names | {"teachers": [sha256(path) for path in settings["teachers"]]}
