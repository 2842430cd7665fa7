"""Train the locator that comes with the package, on scenes drawn as it learns; an hour and a half on two cores.

    python benchmarks/train_locator.py OUT --strokes ../shared/strokes/pendigits-train.gz --writers ../shared/writers

OUT is a folder: `locator.npz` is the checkpoint, from which the same command goes on after an interruption, and
`locator.onnx` the finished network. `--steps 20` shows that all is there. The last line is one JSON object.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

from mnistry.data.scenes import SceneMaker
from mnistry.settings import write_atomic
from mnistry.training.locator.learn import LocatorSettings, train_locator
from mnistry.training.locator.onnx import locator_onnx


def main() -> None:
    """Train, export and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--strokes", type=Path, help="pendigits-train.gz, pen strokes of 24 writers")
    parser.add_argument("--writers", type=Path, help="the folder of semeion and optdigits")
    parser.add_argument("--steps", type=int, default=10_400)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    maker = partial(SceneMaker.training, strokes=options.strokes, writers=options.writers)
    settings = LocatorSettings(
        steps=options.steps, bfloat16=has_bfloat16(), seed=options.seed, every=min(200, options.steps)
    )
    start = time.perf_counter()
    model = train_locator(
        maker,  # type: ignore[arg-type]  # a frozen Scene is read like the protocol's, never written
        settings,
        options.out / "locator.npz",
        lambda told: print(json.dumps(told), flush=True),
    )
    data = locator_onnx(model, {"steps": str(options.steps)})
    write_atomic(options.out / "locator.onnx", data)
    print(json.dumps({"seconds": round(time.perf_counter() - start), "bytes": len(data), "steps": options.steps}))


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16 (Linux tells); emulated, it is slower than float32."""
    try:
        return "bf16" in Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False


if __name__ == "__main__":
    main()
