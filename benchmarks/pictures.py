"""How well people's own pictures are read: single digits, several digits, what is no digit, and pen strokes.

    python benchmarks/pictures.py ../shared/pictures [--strokes ../shared/strokes/pendigits-train.gz] [--model FILE]

The folder holds pictures and `manifest.csv` with at least file, task (single, multi, nondigit), label and repository;
`/` parts the rows of a label. Pen strokes (UNIPEN text, as UCI's pendigits are) are drawn with pens of 1 to 24 pixels
on canvases of 100 to 1 000 pixels. Every picture that is read wrong is named. The last line is one JSON object.
"""

import argparse
import csv
import gzip
import json
import platform
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mnistry import Reader
from mnistry.reading.batch import edit_distance

Manifest = list[dict[str, str]]
Strokes = list[list[tuple[float, float]]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--strokes", type=Path, help="a file of pen strokes")
    parser.add_argument("--digits", type=int, default=7494, help="so many of its digits, evenly chosen")
    parser.add_argument("--model", help="an ONNX file instead of the bundled model")
    options = parser.parse_args()
    reader = Reader(options.model)
    with (options.folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        manifest = list(csv.DictReader(file))
    figures: dict[str, object] = {}
    for task, measure in (("single", singles), ("multi", strings), ("nondigit", refusals)):
        figures |= measure(reader, options.folder, [row for row in manifest if row["task"] == task])
    if options.strokes:
        figures |= strokes(reader, options.strokes, options.digits)
    for name, value in figures.items():
        print(f"{name}: {value}")
    print(json.dumps(figures | {"python": platform.python_version(), "system": platform.platform()}))


def singles(reader: Reader, folder: Path, rows: Manifest) -> dict[str, object]:
    """Pictures of one digit: the share that is read right, in all and for each source."""
    right = defaultdict(list)
    start = time.perf_counter()
    for row in rows:
        text = reader.read(folder / row["file"]).text
        right[row["repository"]].append(text == row["label"])
        tell(row, text)
    seconds = time.perf_counter() - start
    sources = {name: sum(good) / len(good) for name, good in right.items()}
    return {
        "singles": len(rows),
        "singles_right": share(sum(map(sum, right.values())), len(rows)),
        "sources": len(sources),
        "sources_below_90": {name: round(good, 3) for name, good in sources.items() if good < 0.9},
        "singles_ms_each": round(1000 * seconds / max(len(rows), 1), 2),
    }


def strings(reader: Reader, folder: Path, rows: Manifest) -> dict[str, object]:
    """Pictures of several digits: whole strings that are right, and digits by edit distance."""
    whole, edits, digits = 0, 0, 0
    for row in rows:
        label, text = row["label"].replace("/", "\n"), reader.read(folder / row["file"]).text
        whole += text == label
        edits += edit_distance(text, label)
        digits += len(label.replace("\n", ""))
        tell(row, text)
    return {
        "strings": len(rows),
        "strings_right": share(whole, len(rows)),
        "string_digits": digits,
        "string_digits_right": share(digits - edits, digits),
    }


def refusals(reader: Reader, folder: Path, rows: Manifest) -> dict[str, object]:
    """Pictures of no digit: the share in which no digit is read."""
    refused = [not any(sign.isdigit() for sign in reader.read(folder / row["file"]).text) for row in rows]
    return {"nondigits": len(rows), "nondigits_refused": share(sum(refused), len(rows))}


def strokes(reader: Reader, path: Path, most: int) -> dict[str, object]:
    """Pen strokes, drawn with a pen and a canvas drawn by lot: the share that is read right, for each pen."""
    drawn = list(unipen(path))
    rng = np.random.default_rng(0)
    right = defaultdict(list)
    for index in np.linspace(0, len(drawn) - 1, min(most, len(drawn))).astype(int):
        label, lines = drawn[index]
        canvas = int(np.exp(rng.uniform(np.log(100), np.log(1000))))
        pen = int(rng.choice([pen for pen in (1, 2, 4, 8, 12, 16, 24) if pen <= canvas / 12]))
        right[pen].append(reader.read(draw(lines, canvas, pen)).text == label)
    pens = {str(pen): share(sum(good), len(good)) for pen, good in sorted(right.items())}
    n = sum(map(len, right.values()))
    return {"strokes": n, "strokes_right": share(sum(map(sum, right.values())), n), "strokes_by_pen": pens}


def unipen(path: Path) -> Iterator[tuple[str, Strokes]]:
    """The label and the strokes of each digit of a UNIPEN file; its y axis points upwards."""
    for part in gzip.decompress(path.read_bytes()).decode("ascii", "replace").split(".SEGMENT DIGIT")[1:]:
        label = re.search(r'"(\d)"', part)
        downs = re.findall(r"\.PEN_DOWN\s*(.*?)\.PEN_UP", part, re.DOTALL)
        lines = [[(float(x), -float(y)) for x, y in re.findall(r"(-?\d+)\s+(-?\d+)", down)] for down in downs]
        if label and any(lines):
            yield label[1], [line for line in lines if line]


def draw(lines: Strokes, canvas: int, pen: int) -> Image.Image:
    """Dark round strokes on white; the digit fills 60 % of a square canvas."""
    points = np.array([point for line in lines for point in line])
    low, size = points.min(axis=0), max(np.ptp(points, axis=0).max(), 1.0)
    corner = canvas / 2 - np.ptp(points, axis=0) / size * canvas * 0.3
    fine = 4 if canvas < 500 else 2
    picture = Image.new("L", (canvas * fine, canvas * fine), 255)
    brush, half = ImageDraw.Draw(picture), pen * fine / 2
    for line in lines:
        path = [tuple(((np.array(p) - low) / size * canvas * 0.6 + corner) * fine) for p in line]
        brush.line(path, 30, pen * fine)
        for x, y in path:
            brush.ellipse((x - half, y - half, x + half, y + half), 30)
    return picture.reduce(fine)


def share(part: int, whole: int) -> float:
    """Part of the whole, 0 of nothing."""
    return round(part / whole, 5) if whole else 0.0


def tell(row: dict[str, str], text: str) -> None:
    """Name a picture that was read wrong."""
    if text.replace("\n", "/") != row["label"]:
        print(f"{row['file']}: {row['label']} read as {text!r}")


if __name__ == "__main__":
    main()
