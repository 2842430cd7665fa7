"""How well a model reads digits that were spoilt: the 15 corruptions of MNIST-C (`mnistry.data.mnist_c`).

    python benchmarks/corruptions.py [--model FILE] [--digits 10000] [--pictures] [--sheet FILE.png]

For a run of your own `mnistry evaluate RUN --corruptions` measures the same. Here the model is any ONNX file, and each
test digit, spoilt as a 28x28 image, is read twice: as it is, by the model alone, and with `--pictures` as a picture by
the whole reader, which looks for the ink first. None of it was trained on. Accuracy in %; the last line is one JSON
object.
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry import Reader, load
from mnistry.data.mnist_c import CORRUPTIONS, corrupted


def main() -> None:
    """Spoil, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="an ONNX file instead of the bundled model")
    parser.add_argument("--digits", type=int, default=10_000, help="the first so many of the test digits")
    parser.add_argument("--pictures", action="store_true", help="also read each as a picture")
    parser.add_argument("--sheet", type=Path, help="draw ten digits of each kind into this file")
    options = parser.parse_args()
    reader, data = Reader(options.model), load("mnist")
    images, labels = data.test_images[: options.digits], data.test_labels[: options.digits]
    figures: dict[str, dict[str, float]] = {}
    sheet = []
    for name in ("identity", *CORRUPTIONS):
        spoilt = images if name == "identity" else corrupted(images, name)
        figures[name] = {"model": _percent(reader.predict(spoilt) == labels)}
        if options.pictures:
            texts = [reading.text for reading in reader.read_many(spoilt)]
            figures[name]["picture"] = _percent(np.array(texts) == labels.astype(str))
        print(name, figures[name], flush=True)
        sheet.append(np.concatenate(list(spoilt[:10]), axis=1))
    spoilt_only = [row for name, row in figures.items() if name != "identity"]
    figures["mean"] = {way: round(float(np.mean([row[way] for row in spoilt_only])), 2) for way in spoilt_only[0]}
    if options.sheet:
        Image.fromarray(np.concatenate(sheet)).resize((560, 56 * len(sheet))).save(options.sheet)
    print(f"mean of the {len(spoilt_only)}: {figures['mean']}")
    print(json.dumps({"n": len(labels), "accuracy": figures, "python": platform.python_version()}))


def _percent(right: NDArray[np.bool_]) -> float:
    return round(100 * float(np.mean(right)), 2)


if __name__ == "__main__":
    main()
