"""How fast and how light reading is, on this machine.

    python benchmarks/reading.py

Measures, each several times and the median told: inference of one 28x28 digit and of the 10 000 test digits, beside
Keras' `predict` on the same network; the start of the command line; `mnistry read` on one picture as a whole process,
on a 12-megapixel photo of ten digits (time in a loop, and the most memory of a process that reads it), on a folder of
10 000 small PNG files; and (with --install) the size of `pip install .` in an empty environment. The last line is one
JSON object.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image

from mnistry import Reader, load

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "examples" / "pictures" / "7_crossed.png"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="also measure pip install . in an empty environment")
    options = parser.parse_args()
    data, reader = load(), Reader()
    one = data.test_images[:1]
    reader.predict_proba(one)
    figures = {
        "dataset": data.name,
        "one_digit_microseconds": round(1e6 * median(lambda: reader.predict_proba(one), 2000), 1),
        "all_test_digits_seconds": round(median(lambda: reader.predict_proba(data.test_images), 5), 3),
        "n_test_digits": len(data.test_images),
        "accuracy": float((reader.predict(data.test_images) == data.test_labels).mean()),
        "python_alone_seconds": round(median(lambda: run("-c", "pass"), 9), 3),
        "import_cli_seconds": round(median(lambda: run("-c", "import mnistry.cli"), 9), 3),
        "read_one_picture_process_seconds": round(median(lambda: run("-m", "mnistry.cli", "read", PICTURE), 9), 3),
        **keras_beside(data.test_images),
        **photo(reader),
        "small_png_seconds": many_files(data.test_images),
    }
    if options.install:
        figures["installed_mb"] = installed_megabytes()
    for name, value in figures.items():
        print(f"{name}: {value}")
    versions = {name: metadata.version(name) for name in ("mnistry", "numpy", "onnxruntime", "pillow")}
    machine = {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({**figures, "versions": versions, "machine": machine}))


def median(work: Callable[[], object], times: int) -> float:
    """Median seconds of the work."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def run(*arguments: str | Path) -> None:
    """One Python process."""
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def keras_beside(images: np.ndarray) -> dict[str, float]:
    """Keras' own predict on the network of the bundled model, untrained: what it computes is the same."""
    try:
        from mnistry.models.networks import reader_network
        from mnistry.models.recipes import find_recipe

        model = reader_network(find_recipe("reader").settings["width"])
    except ModuleNotFoundError:
        return {}
    model.predict(images[:1], verbose=0)
    return {
        "keras_one_digit_microseconds": round(1e6 * median(lambda: model.predict(images[:1], verbose=0), 20), 1),
        "keras_all_test_digits_seconds": round(median(lambda: model.predict(images, verbose=0), 3), 3),
    }


def photo(reader: Reader) -> dict[str, object]:
    """A photo of 4000 x 3000 pixels: two rows of five digits, uneven light, grain."""
    sheet = np.full((3000, 4000, 3), (238, 232, 220), np.float32)
    for k, path in enumerate(sorted(PICTURE.parent.glob("7_*.png")) * 10):
        with Image.open(path) as picture:
            digit = np.asarray(picture.convert("RGB").resize((700, 700)), np.float32) / 255
        top, left = 400 + 1200 * (k // 5), 150 + 750 * (k % 5)
        sheet[top : top + 700, left : left + 700] *= digit
    sheet *= np.linspace(1, 0.6, 4000, dtype=np.float32)[None, :, None]
    sheet += np.random.default_rng(0).normal(0, 3, sheet.shape).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        Image.fromarray(sheet.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        code = (
            "import re, sys; from mnistry import Reader; Reader().read(sys.argv[1]);"
            "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"  # Linux
        )
        told = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True).stdout
        return {
            "photo_reads": reader.read(path).text.replace("\n", "/"),
            "photo_milliseconds": round(1e3 * median(lambda: reader.read(path), 9), 1),
            "photo_process_mb": round(int(told) * 1024 / 1e6, 1),
        }


def many_files(images: np.ndarray) -> float:
    """Seconds of `mnistry read FOLDER`, whole process, on 10 000 PNG files of 28x28 pixels."""
    with tempfile.TemporaryDirectory() as folder:
        for k in range(10_000):
            Image.fromarray(255 - images[k % len(images)]).save(Path(folder) / f"{k:05}.png")
        return round(median(lambda: run("-m", "mnistry.cli", "read", folder, "--quiet"), 1), 2)


def installed_megabytes() -> float:
    """Size of what `pip install .` puts into an empty environment, without pip itself, in MB of files' bytes."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        packages = next(Path(folder).glob("lib/python*/site-packages"))
        before = size(packages)
        subprocess.run(
            [Path(folder) / "bin" / "pip", "install", "--quiet", ROOT], check=True, stderr=subprocess.DEVNULL
        )
        return round((size(packages) - before) / 1e6, 1)


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return int(np.sum([path.stat().st_size for path in folder.rglob("*") if path.is_file()], dtype=np.int64))


if __name__ == "__main__":
    main()
