"""How well strings of digits are read that stand close and touch: drawn from validation digits, for choices.

    python benchmarks/strings.py [--model FILE] [--strings 1000] [--seed 1] [--sheet FILE.png]

Each string has 2 to 5 digits of about one writer, between 0.85 and 1.15 of their size, 2 pixels overlapping to 5 apart
in the mean, and is drawn three times as large as MNIST. The digits are the validation digits of the split by writers: a
model that was trained on all digits has seen them. The last line is one JSON object.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry import Reader, load
from mnistry.data.handwriting_styles import tight
from mnistry.reading.batch import edit_distance

Pixels = NDArray[np.uint8]  # (height, width)


def main() -> None:
    """Draw, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="an ONNX file instead of the bundled model")
    parser.add_argument("--strings", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sheet", type=Path, help="draw the first 40 that are read wrong into this file")
    options = parser.parse_args()
    reader, generator = Reader(options.model), np.random.default_rng(options.seed)
    data = load("mnist", "writers")
    right, edits, digits, wrong = 0, 0, 0, []
    faults: Counter[str] = Counter(lost=0, added=0, refused=0, mistaken=0)
    for _ in range(options.strings):
        picture, label = string(data.validation_images, data.validation_labels, generator)
        text = reader.read(picture).text
        right += text == label
        edits += edit_distance(text, label)
        digits += len(label)
        if text != label:
            faults[fault(text, label)] += 1
            wrong.append(picture)
            print(label, "read as", repr(text))
    if options.sheet and wrong:
        sheet(wrong[:40]).save(options.sheet)
    figures = {"strings": options.strings, "right": round(right / options.strings, 4)}
    print(json.dumps(figures | {"digits_right": round(1 - edits / digits, 4), "faults": dict(faults)}))


def string(images: NDArray[np.uint8], labels: NDArray[np.int64], generator: np.random.Generator) -> tuple[Pixels, str]:
    """A picture, dark on light, uint8 (height, width), and what stands in it."""
    many = int(generator.integers(2, 6))
    chosen = int(generator.integers(0, len(images) - 200)) + generator.integers(0, 120, many)  # about one writer
    apart = generator.uniform(-2, 5)
    canvas, x = np.zeros((60, 40 * many + 40), np.float32), 10.0
    for k in chosen:
        size = generator.uniform(0.85, 1.15)
        digit = cv2.resize(tight(images[k]).astype(np.float32), None, fx=size, fy=size, interpolation=cv2.INTER_LINEAR)
        top, left = int(30 - len(digit) / 2 + generator.normal(0, 1.5)), max(0, round(x))
        place = canvas[top : top + digit.shape[0], left : left + digit.shape[1]]
        np.maximum(place, digit, out=place)
        x = left + digit.shape[1] + np.clip(generator.normal(apart, 1.5), -5, 12)
    large = cv2.resize(canvas[:, : int(x) + 12], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC).clip(0, 255)
    return 255 - large.astype(np.uint8), "".join(map(str, labels[chosen]))


def fault(text: str, label: str) -> str:
    """In one word."""
    if len(text) != len(label):
        return "lost" if len(text) < len(label) else "added"
    return "refused" if "?" in text else "mistaken"


def sheet(pictures: list[Pixels]) -> Image.Image:
    """Pictures in rows of five."""
    drawn = Image.new("L", (5 * 300, -(-len(pictures) // 5) * 100), 255)
    for k, picture in enumerate(pictures):
        small = Image.fromarray(picture)
        small.thumbnail((290, 95))
        drawn.paste(small, (k % 5 * 300, k // 5 * 100))
    return drawn


if __name__ == "__main__":
    main()
