"""What thirty corrected digits of a writer bring for this writer's other digits: 20 writers of pen strokes.

    python benchmarks/finetune.py ../shared/strokes/pendigits-train.gz [--others 6] [--writers 20] [--out FILE]

The digits (UCI pendigits, CC BY 4.0) are drawn as the page's pad draws them, each in a picture of its own. Of each
writer three of every digit are corrected, whether they were read right or not; `--others` more of every digit are read
with the bundled recogniser and with the one that was taught, by the whole reader: a reading is right if its text is
that digit. The locator has learnt from the strokes of all writers but six (data/writers.py), the recogniser from none;
figures are given for all, and for the six alone. Settings were chosen on ten writers that are not among these twenty.
A line of JSON a writer goes to `--out`, so that a run that was stopped goes on; the last line is one JSON object.
"""

import argparse
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnistry import Reader, load
from mnistry.data.dataset import Dataset
from mnistry.data.writers import HELD_BACK_STROKES, unipen
from mnistry.reading.recognizer import bundled
from mnistry.training.finetune import finetune

CHOSEN_ON = frozenset((1, 2, 3, 4, 6, 7, 8, 9, 11, 12))  # writers by whom the settings were chosen
CORRECTED = 3  # of each digit
SIZE, PEN, FINE = (480, 300), 17, 4  # the pad's picture and pen in pixels; drawn so much larger
Strokes = tuple[NDArray[np.float32], ...]


def main() -> None:
    """Teach, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strokes", type=Path)
    parser.add_argument("--others", type=int, default=6, help="of each digit, to be read")
    parser.add_argument("--writers", type=int, default=20)
    parser.add_argument("--out", type=Path, help="lines of JSON, a writer each; what is there is not done again")
    options = parser.parse_args()
    lines = options.out.read_text().splitlines() if options.out and options.out.exists() else []
    rows = {row["writer"]: row for row in map(json.loads, lines)}
    data = load("mnist")
    for writer, digits in list(of_writers(options.strokes))[: options.writers]:
        if writer not in rows:
            rows[writer] = measured(writer, digits, options.others, data)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(rows[writer]) + "\n")
        print(json.dumps(rows[writer]), flush=True)
    held = [row for row in rows.values() if row["writer"] in HELD_BACK_STROKES]
    print(json.dumps({"all": summary(list(rows.values())), "held_back": summary(held)}))


def of_writers(file: Path) -> Iterator[tuple[int, dict[int, list[Strokes]]]]:
    """Each writer's digits by label: first those that the locator has not learnt from, then the others."""
    found: dict[int, dict[int, list[Strokes]]] = defaultdict(lambda: defaultdict(list))
    for label, writer, lines in unipen(file):
        found[writer][label].append(lines)
    for writer in sorted(found, key=lambda writer: (writer not in HELD_BACK_STROKES, writer)):
        if writer not in CHOSEN_ON:
            yield writer, found[writer]


def measured(writer: int, digits: dict[int, list[Strokes]], others: int, data: Dataset) -> dict[str, Any]:
    """What teaching this writer's hand changes."""
    given = [(png(drawn(lines)), str(label)) for label in range(10) for lines in digits[label][:CORRECTED]]
    rest = [
        (drawn(lines), str(label)) for label in range(10) for lines in digits[label][CORRECTED : CORRECTED + others]
    ]
    taught = finetune(given, data, judge=False)
    right = {name: sum(reader.read(picture).text == label for picture, label in rest)
             for name, reader in (("before", Reader(bundled())), ("after", Reader(taught.model)))}  # fmt: skip
    mnist = {"mnist_" + name: taught.figures["mnist"][name] for name in ("before", "after")}
    used = {"used": taught.figures["corrections"]["used"], "refused": bool(taught.refused)}
    return {"writer": writer, "n": len(rest), **right, **mnist, **used, "seconds": taught.figures["seconds"]}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over writers."""
    if not rows:
        return {"writers": 0}
    mean = {name: round(float(np.mean([row[name] / row["n"] for row in rows])), 4) for name in ("before", "after")}
    mnist = {name: round(float(np.mean([row[name] for row in rows])), 5) for name in ("mnist_before", "mnist_after")}
    worse = sum(row["after"] < row["before"] for row in rows)
    better = sum(row["after"] > row["before"] for row in rows)
    return {"writers": len(rows), "digits": sum(row["n"] for row in rows), **mean, **mnist,
            "mnist_least": min(row["mnist_after"] for row in rows), "better": better, "worse": worse,
            "refused": sum(row["refused"] for row in rows)}  # fmt: skip


def drawn(lines: Strokes) -> Image.Image:
    """A digit's strokes in the middle of the pad, three fifths of its height."""
    points = np.concatenate(lines)
    low, high = points.min(axis=0), points.max(axis=0)
    width, height = (FINE * side for side in SIZE)
    scale = 0.6 * height / max(high[1] - low[1], (high[0] - low[0]) / 1.2, 1)
    picture = Image.new("L", (width, height), 255)
    pen, thick = ImageDraw.Draw(picture), FINE * PEN
    for line in lines:
        way = [(float(x), float(y)) for x, y in (line - (low + high) / 2) * scale + np.array([width, height]) / 2]
        if len(way) > 1:
            pen.line(way, 0, thick, joint="curve")
        for x, y in (way[0], way[-1]):
            pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=0)
    return picture.resize(SIZE, Image.Resampling.BOX)


def png(picture: Image.Image) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
