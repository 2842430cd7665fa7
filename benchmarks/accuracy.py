"""Test accuracy of the recipes: mean and spread over seeds, each seed one run of `mnistry train`.

    python benchmarks/accuracy.py --seeds 3 logistic dense cnn

The split and the number of epochs are the recipe's own, fixed beforehand; the test digits are read once a run, after
the last epoch. Runs that are already finished are taken as they are. The last line is one JSON object.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from mnistry import MnistryError
from mnistry.runs import Run, open_run
from mnistry.settings import Settings


def main() -> None:
    """Train what is missing, print a line a recipe, and everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["logistic", "dense", "cnn"])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    table = {name: row([finished(name, seed) for seed in range(options.seeds)]) for name in options.recipes}
    print(json.dumps({"recipes": table, "machine": platform.platform(), "python": platform.python_version()}))


def finished(recipe: str, seed: int) -> Run:
    """The run of this recipe and seed, trained now if it is not there."""
    folder: Path = Settings.from_environment().runs / "accuracy" / f"{recipe}-seed{seed}"
    try:
        return open_run(folder)
    except MnistryError:
        command = ["train", recipe, "--dataset", "mnist", "--seed", str(seed), "--out", str(folder)]
        subprocess.run([sys.executable, "-m", "mnistry.cli", *command], check=True, stdout=sys.stderr)
        return open_run(folder)


def row(runs: list[Run]) -> dict[str, Any]:
    """Mean and spread of one recipe's runs."""
    accuracies = [run.metrics["accuracy"] for run in runs]
    figures = {
        "accuracy_mean": round(statistics.fmean(accuracies), 5),
        "accuracy_std": round(statistics.stdev(accuracies), 5) if len(runs) > 1 else None,
        "accuracies": accuracies,
        "nll_mean": round(statistics.fmean(run.metrics["nll"] for run in runs), 5),
        "ece_mean": round(statistics.fmean(run.metrics["ece"] for run in runs), 5),
        "parameters": runs[0].info["parameters"],
        "model_bytes": runs[0].model.stat().st_size,
        "fit_seconds": [run.info["seconds"]["fit"] for run in runs],
        "peak_memory_mb": [run.info["peak_memory_mb"] for run in runs],
        "dataset": runs[0].info["dataset"],
        "versions": runs[0].info["versions"],
    }
    spread = f" +- {figures['accuracy_std']:.4f}" if len(runs) > 1 else ""
    print(f"{runs[0].info['recipe']}: {figures['accuracy_mean']:.4f}{spread} of {len(runs)} seeds", flush=True)
    return figures


if __name__ == "__main__":
    main()
