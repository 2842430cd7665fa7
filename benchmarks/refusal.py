"""How well "I don't know" works: digits kept, characters of other alphabets refused, and how true probabilities are.

    python benchmarks/refusal.py --omniglot ../shared/omniglot/images_background_small1.zip
        [--pictures ../shared/pictures] [--model FILE] [--validation] [--out FOLDER]

The probability of a shape is that of its class times that of being a digit at all. MNIST's test digits (with
`--validation` the validation digits by writers instead, for choices) are set against the characters of Omniglot
(Lake et al. 2015), each brought to MNIST form as one shape; then both are read as pictures, the digits four times as
large. Some of the characters *are* digit shapes: the figures are of all, and of all but those. With `--pictures` the
probabilities of people's single digits are checked as well (manifest as in benchmarks/pictures.py). `--out` gets the
reliability diagrams and the characters that passed for digits. The last line is one JSON object.
"""

import argparse
import csv
import io
import json
import platform
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score

from mnistry import Reader, load
from mnistry.imaging.normalization import normalize
from mnistry.reading.reader import THRESHOLD
from mnistry.reports.figures import reliability as draw_reliability
from mnistry.reports.figures import save_png
from mnistry.training.metrics import evaluate, reliability

THIN = 1.3  # pixels of the 20x20 box: hardly any of MNIST's training digits has thinner strokes
Images = NDArray[np.uint8]  # (n, 28, 28)

# Characters that a person would read as a digit where digits are expected; judged by eye, from three of the 20 writers,
# after a sheet of the characters that an earlier model let pass had been seen.
DIGIT_SHAPES = {
    "Early_Aramaic": (3, 4, 6, 10, 12, 16, 17, 20), "Greek": (4, 8, 9, 15, 18), "Korean": (21, 22, 33, 37),
    "Latin": (2, 7, 9, 12, 15, 17, 19, 25, 26),
}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--omniglot", type=Path, required=True, help="the zip file of its images")
    parser.add_argument("--pictures", type=Path, help="a folder of people's pictures")
    parser.add_argument("--model", help="an ONNX file instead of the bundled model")
    parser.add_argument("--validation", action="store_true", help="the validation digits, not the test digits")
    parser.add_argument("--out", type=Path, help="a folder for the diagrams")
    options = parser.parse_args()
    reader = Reader(options.model)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    figures = digits(reader, options.validation, options.out)
    kept = figures.pop("probabilities")
    figures |= characters(reader, options.omniglot, kept, options.out)
    figures |= read_whole(reader, options.omniglot)
    if options.pictures:
        figures |= pictures(reader, options.pictures, options.out)
    for name, value in figures.items():
        print(f"{name}: {value}")
    print(json.dumps(figures | {"python": platform.python_version(), "system": platform.platform()}))


def digits(reader: Reader, validation: bool, out: Path | None) -> dict[str, Any]:
    """MNIST's digits: how many are kept, how many of those are right, how true the probabilities are."""
    data = load("mnist", "writers", 0) if validation else load("mnist")
    images = data.validation_images if validation else data.test_images
    labels = data.validation_labels if validation else data.test_labels
    proba = joint(reader, images)
    metrics = evaluate(reader.predict_proba(images), labels)
    best, right = proba.max(axis=1), proba.argmax(axis=1) == labels
    bins = reliability(proba, labels)
    draw(bins, out, "mnist_reliability.png")
    return {
        "digits": "validation, by writers" if validation else "test",
        "accuracy": metrics["accuracy"],
        "kept": round(float(np.mean(best >= THRESHOLD)), 4),
        "accuracy_of_kept": round(float(np.mean(right[best >= THRESHOLD])), 4),
        "ece": round(error_of(bins), 4),
        "probabilities": best,
    }


def characters(reader: Reader, path: Path, kept: NDArray[np.floating[Any]], out: Path | None) -> dict[str, Any]:
    """Omniglot's characters against the probabilities of digits."""
    names, forms = zip(*omniglot(path), strict=True)
    images, others = np.stack(forms), np.array([not is_digit_shape(name) for name in names])
    proba = joint(reader, images)
    best = proba.max(axis=1)
    passed = best >= THRESHOLD
    if out:
        show = images[passed][np.argsort(-best[passed])][:400]
        save_sheet(show, out / "omniglot_passed.png")
    return {
        "characters": len(images),
        **set_apart(kept, best, ""),
        "characters_no_digit_shapes": int(others.sum()),
        **set_apart(kept, best[others], "_no_digit_shapes"),
        "passed_as": {str(k): int(np.sum(proba[passed].argmax(axis=1) == k)) for k in range(10)},
    }


def read_whole(reader: Reader, path: Path) -> dict[str, Any]:
    """The same characters as pictures, and every eighth test digit, enlarged, through all of the reader."""
    kept = np.array([surest(reader, enlarged(image)) for image in load("mnist").test_images[::8]])
    others = np.array([surest(reader, picture) for name, picture in drawings(path) if not is_digit_shape(name)])
    told = set_apart(kept, others, "_whole")
    return {key: value for key, value in told.items() if key != "refused_at_99.5_kept_whole"}


def enlarged(image: Images) -> Images:
    """A test digit four times as large, in dark grey on light paper."""
    return 235 - (cv2.resize(image, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC) * 0.8).astype(np.uint8)


def surest(reader: Reader, picture: Images) -> float:
    """The highest probability of a digit in a picture, 0 where none is found."""
    return max((digit.probability for digit in reader.read(picture).digits), default=0.0)


def set_apart(kept: NDArray[np.floating[Any]], best: NDArray[np.floating[Any]], of: str) -> dict[str, float]:
    """How well digits' probabilities `kept` are parted from characters' `best`."""
    is_digit = np.repeat([1, 0], [len(kept), len(best)])
    return {
        f"auroc{of}": round(float(roc_auc_score(is_digit, np.concatenate([kept, best]))), 4),
        f"refused{of}": round(float(np.mean(best < THRESHOLD)), 4),
        f"refused_at_99_kept{of}": round(float(np.mean(best < np.quantile(kept, 0.01))), 4),
        f"refused_at_99.5_kept{of}": round(float(np.mean(best < np.quantile(kept, 0.005))), 4),
    }


def is_digit_shape(name: str) -> bool:
    """Whether a file `.../Greek/character04/...png` is of a character that looks like a digit."""
    alphabet, character = name.split("/")[-3:-1]
    return int(character.removeprefix("character")) in DIGIT_SHAPES.get(alphabet, ())


def pictures(reader: Reader, folder: Path, out: Path | None) -> dict[str, Any]:
    """People's single digits: how true the probabilities are, of those in which one shape was found."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["task"] == "single"]
    found = [(reader.read(folder / row["file"]).digits, row["label"]) for row in rows]
    alone = [(shapes[0], label) for shapes, label in found if len(shapes) == 1]
    proba = joint(reader, np.stack([shape.image for shape, _ in alone]))
    bins = reliability(proba, np.array([int(label) for _, label in alone]))
    draw(bins, out, "pictures_reliability.png")
    return {
        "pictures": len(rows),
        "pictures_of_one_shape": len(alone),
        "pictures_kept": round(float(np.mean(proba.max(axis=1) >= THRESHOLD)), 4),
        "pictures_ece": round(error_of(bins), 4),
    }


def joint(reader: Reader, images: Images) -> NDArray[np.float32]:
    """The probability of each class and of being a digit, (n, 10)."""
    return reader.predict_proba(images) * reader.is_digit(images)[:, None]


def error_of(bins: list[dict[str, Any]]) -> float:
    """The expected calibration error."""
    return sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / sum(row["n"] for row in bins)


def draw(bins: list[dict[str, Any]], out: Path | None, name: str) -> None:
    """The reliability diagram."""
    if out:
        save_png(draw_reliability(bins), out / name)


def omniglot(path: Path) -> Iterator[tuple[str, Images]]:
    """Its characters: the file's name, and the MNIST form."""
    for name, picture in drawings(path):
        ink = np.float32(1) - picture.astype(np.float32) / np.float32(255)
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        yield name, normalize(thickened(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]))


def drawings(path: Path) -> Iterator[tuple[str, Images]]:
    """Its pictures, black on white: the file's name, and uint8 (105, 105)."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".png"):
                with Image.open(io.BytesIO(archive.read(name))) as picture:
                    yield name, np.asarray(picture.convert("L"))


def thickened(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Strokes, 0 to 1, that would be thinner than MNIST's thinnest after scaling, widened: they would fade."""
    outline = sum(float(np.abs(np.diff(np.pad(ink, 1), axis=axis)).sum()) for axis in (0, 1))
    missing = THIN * max(ink.shape) / 20 - 2.5 * float(ink.sum()) / max(outline, 1e-6)
    if missing <= 0:
        return ink
    reach = int(np.ceil(missing / 2))
    padded = np.pad(ink, reach)
    wide = cv2.dilate(padded, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    return np.asarray(padded + (wide - padded) * np.float32(missing / 2 / reach), np.float32)


def save_sheet(images: Images, path: Path) -> None:
    """Dark on white, twenty a row."""
    padded = np.concatenate([images, np.zeros((-len(images) % 20, 28, 28), np.uint8)])
    rows = [np.concatenate(list(padded[k : k + 20]), axis=1) for k in range(0, len(padded), 20)]
    if rows:
        Image.fromarray(255 - np.concatenate(rows)).resize((1120, 56 * len(rows))).save(path)


if __name__ == "__main__":
    main()
