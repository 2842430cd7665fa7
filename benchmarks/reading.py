"""How fast and how light reading is, on this machine.

    python benchmarks/reading.py

Measures, each several times and the median told: inference of one 28x28 digit and of the 10 000 test digits, the start
of the command line, `mnistry read` on one picture as a whole process, and (with --install) the size of
`pip install .` in an empty environment. The last line is one JSON object.
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
