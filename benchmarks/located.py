"""How well pictures are read by the locator and the recogniser, on pictures, forms, scenes, strokes and MNIST.

    python benchmarks/located.py ../shared [--only singles,strings,...] [--few 100]

`../shared` holds pictures, strokes and writers. Every picture that is read wrong is named. `--diagram FILE`
gets a picture of the calibration. The last line is one JSON object.
"""

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from refusal import error_of

from mnistry import Reader, load
from mnistry.data.drawing.clutter import CYRILLIC, GREEK
from mnistry.data.drawing.clutter import _glyph as glyph
from mnistry.data.drawing.marks import Pen
from mnistry.data.drawing.marks import draw as draw_shape
from mnistry.data.scenes import KINDS, Scene, SceneMaker
from mnistry.data.writers import optdigits, semeion, unipen
from mnistry.reading.batch import edit_distance
from mnistry.reports.figures import reliability as draw_reliability
from mnistry.reports.figures import save_png
from mnistry.training.metrics import reliability

Rows = list[dict[str, str]]
Figures = dict[str, Any]
ROW = "\n"
CAPITALS = "ABCDEFGHJKLMNPQRTUVWXY"  # without I, O, S and Z, which are shaped like digits


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--model", help="an ONNX file instead of the bundled recogniser")
    parser.add_argument("--only", help="some of the measures, parted by commas")
    parser.add_argument("--diagram", type=Path, help="where the calibration is drawn")
    parser.add_argument("--few", type=int, default=1000, help="scenes, strokes and MNIST digits")
    options = parser.parse_args()
    reader = Reader(options.model)
    figures: Figures = {}
    for name, measure in MEASURES.items():
        if not options.only or name in options.only.split(","):
            start = time.perf_counter()
            for key, value in measure(reader, options.shared, options.few).items():
                figures[key] = value
                print(f"{key}: {value}", flush=True)
            print(f"   {name}: {time.perf_counter() - start:.1f} s", flush=True)
    if options.diagram and (bins := figures.get("calibration_bins")):
        save_png(draw_reliability(bins), options.diagram)
    print(json.dumps(figures))


def singles(reader: Reader, shared: Path, _: int) -> Figures:
    """Pictures of one digit, whole."""
    right, start = defaultdict(list), time.perf_counter()
    rows = _manifest(shared, "single")
    for row in rows:
        text = reader.read(shared / "pictures" / row["file"]).text
        right[row["repository"]].append(text == row["label"])
        _tell(row["file"], row["label"], text)
    sources = {name: round(float(np.mean(good)), 3) for name, good in right.items() if np.mean(good) < 0.9}
    n = sum(map(len, right.values()))
    return {
        "singles": _share(sum(map(sum, right.values())), n),
        "sources_below_90": sources,
        "singles_ms": round(1000 * (time.perf_counter() - start) / n, 1),
    }


def cropped(reader: Reader, shared: Path, _: int) -> Figures:
    """The same, each cropped to its ink with 0, 2 and 10 % margin; the ink is what differs clearly from the border."""
    right = defaultdict(list)
    for row in _manifest(shared, "single"):
        picture = Image.open(shared / "pictures" / row["file"])
        flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA")).convert("RGB")
        box = _ink_box(np.asarray(flat))
        if box is None:
            continue
        for margin in (0, 2, 10):
            more = round(margin / 100 * max(box[2] - box[0], box[3] - box[1]))
            left, top = max(box[0] - more, 0), max(box[1] - more, 0)
            part = flat.crop((left, top, min(box[2] + more, flat.width), min(box[3] + more, flat.height)))
            text = reader.read(np.asarray(part)).text
            right[margin].append(text == row["label"])
            _tell(f"{row['file']} +{margin}", row["label"], text)
    return {f"cropped_{margin}": _share(sum(good), len(good)) for margin, good in right.items()}


def _ink_box(pixels: NDArray[np.uint8]) -> tuple[int, int, int, int] | None:
    """By Otsu's threshold, dark or light, whichever is less; what touches no border. None where that is unclear."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    _, dark = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    mask = dark if (dark > 0).mean() < 0.5 else 255 - dark
    if (mask > 0).mean() > 0.35:
        return None
    n, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    large = [k for k in range(1, n) if stats[k, 4] >= 0.1 * stats[1:, 4].max()]
    left, top = stats[large, 0].min(), stats[large, 1].min()
    right, bottom = (stats[large, 0] + stats[large, 2]).max(), (stats[large, 1] + stats[large, 3]).max()
    return int(left), int(top), int(right), int(bottom)


def strings(reader: Reader, shared: Path, _: int) -> Figures:
    """Pictures of several digits."""
    pairs = []
    for row in _manifest(shared, "multi"):
        label, text = row["label"].replace("/", ROW), reader.read(shared / "pictures" / row["file"]).text
        pairs.append((label, text))
        _tell(row["file"], label, text)
    return {f"strings_{key}": value for key, value in _strings(pairs).items()}


def calibration(reader: Reader, shared: Path, _: int) -> Figures:
    """How true probabilities are, in pictures read at the right length: of the digits told, and of whole readings."""
    digits: list[tuple[float, bool]] = []
    whole: list[tuple[float, bool]] = []
    for row in _manifest(shared, "single") + _manifest(shared, "multi"):
        label, reading = row["label"].replace("/", ROW), reader.read(shared / "pictures" / row["file"])
        told = [
            (d.probability, d.sign == sign) for d, sign in zip(reading.digits, label.replace(ROW, ""), strict=False)
        ]
        if len(reading.text) == len(label) and "?" not in reading.text:
            digits += told
            whole.append((float(np.prod([each for each, _ in told])), reading.text == label))
    bins = {name: _bins(pairs) for name, pairs in {"digits": digits, "readings": whole}.items()}
    errors = {f"calibration_{name}": round(error_of(rows), 4) for name, rows in bins.items()}
    return errors | {"calibration_n": [len(digits), len(whole)], "calibration_bins": bins["digits"]}


def _bins(pairs: list[tuple[float, bool]]) -> list[dict[str, Any]]:
    proba, right = np.array(pairs).T
    return reliability(proba[:, None], np.where(right == 1, 0, 1))


def nondigits(reader: Reader, shared: Path, _: int) -> Figures:
    """Pictures of no digit: the share in which no digit is read."""
    texts = [reader.read(shared / "pictures" / row["file"]).text for row in _manifest(shared, "nondigit")]
    print(texts)
    return {"nondigits_refused": _share(sum(not any(sign.isdigit() for sign in text) for text in texts), len(texts))}


def letters(reader: Reader, shared: Path, few: int) -> Figures:  # noqa: ARG001 - as all measures
    """Letters drawn by pens along the middle lines of fonts that training has not: the share with no digit read."""
    random, refused = np.random.default_rng(4), defaultdict(list)
    for letter in CAPITALS + GREEK + CYRILLIC:
        for _ in range(min(40, few) if letter in CAPITALS else min(10, few)):
            font = str(random.choice(["DejaVuSerif", "STIXGeneral"]))
            shape = glyph(letter, font, True)
            if shape is None:
                continue
            size, canvas = random.uniform(60, 160), np.full((240, 240), 255, np.uint8)
            lean = np.array([(1.0, -random.normal(0, 0.15)), (0.0, 1.0)])
            pen = Pen(size * random.uniform(0.03, 0.12))
            tile = draw_shape(shape, size * lean, (120.0, 120 + size / 2), pen, random, 0.04)
            high, wide = tile.alpha.shape
            part = canvas[tile.top : tile.top + high, tile.left : tile.left + wide]
            part[:] = np.rint(255 - 235 * tile.alpha[: part.shape[0], : part.shape[1]])
            text = reader.read(canvas).text
            refused[letter].append(not any(map(str.isdigit, text)))
    groups = {"capitals": CAPITALS, "greek": GREEK, "cyrillic": CYRILLIC, "A": "A", "H": "H"}
    figures: Figures = {}
    for name, alphabet in groups.items():
        told = [good for letter in alphabet for good in refused[letter]]
        figures[f"letters_{name}_refused"] = _share(sum(told), len(told))
    worst = sorted(refused, key=lambda letter: np.mean(refused[letter]))[:8]
    return figures | {"letters_worst": {letter: round(float(np.mean(refused[letter])), 2) for letter in worst}}


def forms(reader: Reader, shared: Path, _: int) -> Figures:
    """Two sheets of 25 x 46 boxes, one class a sheet."""
    figures: Figures = {}
    for label in "15":
        start = time.perf_counter()
        text = reader.read(shared / "pictures" / "forms" / f"sheet-of-{label}s.jpg").text
        lines = text.split(ROW)
        figures[f"form_{label}"] = {
            "found": sum(sign.isdigit() for sign in text),
            "right": text.count(label), "unsure": text.count("?"), "rows": len(lines),
            "rows_of_25": sum(len(line) == 25 for line in lines), "seconds": round(time.perf_counter() - start, 2),
        }  # fmt: skip
    return figures


def amounts(reader: Reader, shared: Path, few: int) -> Figures:
    """Strips as on cheques, by validation writers on grounds that training has not: all of them, and those in which
    every digit can be named (none is cut by the border, struck out or drowned)."""
    maker, random = _validation(shared), np.random.default_rng(2)
    every, clear = [], []
    for k in range(few):
        scene = maker.amount(random)
        label, text = _label(scene), reader.read(scene.image).text
        _tell(f"amount {k}", label, text)
        every.append((label, text))
        if label and not len(scene.ignore):
            clear.append((label, text))
    figures = {f"amounts_{key}": value for key, value in _strings(clear).items()}
    return figures | {f"amounts_all_{key}": value for key, value in _strings(every).items()}


def scenes(reader: Reader, shared: Path, few: int) -> Figures:
    """Validation scenes of 128x128 by kind: texts that are right among those without doubtful digits, and digits."""
    maker = _validation(shared)
    figures: Figures = {}
    for kind in KINDS:
        random, pairs = np.random.default_rng(3), []
        for _ in range(max(10, few // len(KINDS))):
            scene = maker.scene(random, 128, 128, kind)
            if not len(scene.ignore):
                pairs.append((_label(scene), reader.read(scene.image).text.replace("?", "")))
        figures[f"scenes_{kind}"] = _strings(pairs)
    return figures


def strokes(reader: Reader, shared: Path, few: int) -> Figures:
    """Pen strokes of writers held back, drawn with pens of 1 to 24 pixels."""
    from pictures import draw

    from mnistry.data.writers import HELD_BACK_STROKES

    drawn = [
        (label, [list(map(tuple, line)) for line in lines])
        for label, writer, lines in unipen(shared / "strokes" / "pendigits-train.gz")
        if writer in HELD_BACK_STROKES
    ]
    random, right = np.random.default_rng(0), defaultdict(list)
    for index in np.linspace(0, len(drawn) - 1, min(few, len(drawn))).astype(int):
        label, lines = drawn[index]
        canvas = int(np.exp(random.uniform(np.log(100), np.log(1000))))
        pen = int(random.choice([pen for pen in (1, 2, 4, 8, 12, 16, 24) if pen <= canvas / 12]))
        text = reader.read(draw(lines, canvas, pen)).text
        right[pen].append(text == str(label))
        _tell(f"stroke {index} pen {pen} canvas {canvas}", str(label), text)
    return {
        "strokes": _share(sum(map(sum, right.values())), sum(map(len, right.values()))),
        "strokes_by_pen": {pen: _share(sum(good), len(good)) for pen, good in sorted(right.items())},
    }


def uprights(reader: Reader, shared: Path, _: int) -> Figures:  # noqa: ARG001 - as all measures
    """Numbers of 7s and 1s, each 1 one stroke as upright as a ruled line, drawn on clean paper as on a pad."""
    right = defaultdict(list)
    for width, height in ((384, 384), (384, 240), (320, 240), (600, 400)):
        for text, high, pen in product(("1", "11", "71", "17", "717", "7171"), (80, 130, 180, 220), (4, 9, 16)):
            if high > height - 20 or len(text) * 0.55 * high > width - 20:
                continue
            for lower in (0, 15):
                place = (width - len(text) * 0.55 * high) / 2 + 10, (height - high) / 2 + lower
                read = reader.read(_uprights(text, (width, height), high, pen, place)).text
                right[text].append(read == text)
                _tell(f"upright {width}x{height} {high} pen {pen}", text, read)
    figures: Figures = {f"uprights_{text}": _share(sum(good), len(good)) for text, good in right.items()}
    return figures | {"uprights": _share(sum(map(sum, right.values())), sum(map(len, right.values())))}


def _uprights(
    text: str, size: tuple[int, int], high: int, pen: int, place: tuple[float, float], finer: int = 3
) -> NDArray[np.uint8]:
    canvas = np.full((size[1] * finer, size[0] * finer), 255, np.uint8)
    x, y = place
    for sign in text:
        points = [(x, y), (x, y + high)] if sign == "1" else [(x, y), (x + 0.5 * high, y), (x + 0.2 * high, y + high)]
        x += 0.35 * high + (0.5 * high if sign == "7" else 0)
        line = np.rint(np.array(points) * finer).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(canvas, [line], False, 0, pen * finer, cv2.LINE_AA)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def writers(reader: Reader, shared: Path, few: int) -> Figures:
    """The last fifth of semeion and optdigits, three times as large on white paper."""
    files = {"semeion": (semeion, "semeion.data.gz"), "optdigits": (optdigits, "optdigits-orig.tra.gz")}
    figures: Figures = {}
    for name, (opened, file) in files.items():
        images, labels = opened(shared / "writers" / file)
        last = np.arange(round(0.8 * len(labels)), len(labels))[:few]
        right = []
        for k in last:
            large = cv2.resize(images[k], None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
            text = reader.read(255 - np.pad(large, 20)).text
            right.append(text == str(labels[k]))
            _tell(f"{name} {k}", str(labels[k]), text)
        figures[name] = _share(sum(right), len(right))
    return figures


def mnist(reader: Reader, _: Path, few: int) -> Figures:
    """MNIST's test digits as they are, and four times as large on paper."""
    data = load("mnist")
    chosen = np.linspace(0, 9999, min(few, 10000)).astype(int)
    right: dict[str, list[bool]] = {"mnist": [], "mnist_4x": []}
    for k in chosen:
        large = cv2.resize(data.test_images[k], None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
        for name, picture in (("mnist", data.test_images[k]), ("mnist_4x", 235 - (large * 0.8).astype(np.uint8))):
            right[name].append(reader.read(picture).text == str(data.test_labels[k]))
    return {name: _share(sum(good), len(good)) for name, good in right.items()}


MEASURES: dict[str, Callable[[Reader, Path, int], Figures]] = {
    "singles": singles, "cropped": cropped, "strings": strings, "calibration": calibration, "nondigits": nondigits,
    "letters": letters, "forms": forms, "scenes": scenes, "amounts": amounts, "strokes": strokes, "uprights": uprights,
    "writers": writers, "mnist": mnist,
}  # fmt: skip


def _validation(shared: Path) -> SceneMaker:
    return SceneMaker.validation(strokes=shared / "strokes" / "pendigits-train.gz", writers=shared / "writers")


def _label(scene: Scene) -> str:
    """The digits of a scene, row by row."""
    return ROW.join("".join(map(str, scene.labels[scene.rows == row])) for row in np.unique(scene.rows))


def _strings(pairs: list[tuple[str, str]]) -> Figures:
    """Whole strings that are right, digits by edit distance, strings with nothing read, and those made shorter."""
    digits = sum(len(label.replace(ROW, "")) for label, _ in pairs)
    edits = sum(edit_distance(text, label) for label, text in pairs)
    whole = sum(text == label for label, text in pairs)
    shorter = sum(len(text) < len(label) and "?" not in text for label, text in pairs)
    return {
        "n": len(pairs), "whole": _share(whole, len(pairs)), "digits": _share(digits - edits, digits),
        "nothing": sum(bool(label) and not any(map(str.isdigit, text)) for label, text in pairs),
        "shortened": shorter, "too_long": sum(len(text) > len(label) for label, text in pairs),
    }  # fmt: skip


def _manifest(shared: Path, task: str) -> Rows:
    with (shared / "pictures" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["task"] == task]


def _share(part: float, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _tell(name: str, label: str, text: str) -> None:
    if text != label:
        print(f"{name}: {label!r} read as {text!r}")


if __name__ == "__main__":
    main()
