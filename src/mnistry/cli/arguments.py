"""What several commands share: arguments and their checks, the run that is named, how results are printed."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mnistry.settings import MnistryError, Settings

DONE, SOME_FAILED = 0, 1  # exit codes


def run_argument(parser: argparse.ArgumentParser) -> None:
    """Add RUN, which `find_run` finds."""
    parser.add_argument(
        "run", nargs="?", default="latest", metavar="RUN", help="a run's folder or name (default: the latest)"
    )


def dataset_argument(parser: argparse.ArgumentParser) -> None:
    """Add --dataset."""
    parser.add_argument(
        "--dataset", default="auto", help="mnist, digits, or auto: MNIST if it can be found or downloaded (default)"
    )


def training_arguments(parser: argparse.ArgumentParser, **recipe: Any) -> None:
    """Add what `train` and `tune` take; `recipe` are argparse's own options of RECIPE."""
    parser.add_argument("recipe", metavar="RECIPE", **recipe, help="a name from `mnistry models`")
    dataset_argument(parser)
    parser.add_argument(
        "--validation", type=_validation, metavar="SHARE",
        help="share of the training digits to hold back, such as 0.1, 0 for none, or writers (default: the recipe's)",
    )  # fmt: skip
    parser.add_argument("--seed", type=seed, default=0, help="the same seed gives the same weights (default: 0)")
    parser.add_argument("--epochs", help="how often the training goes through all training digits")
    parser.add_argument("--batch-size", help="how many digits the network sees in one step")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the recipe"
    )


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """What argparse calls to read a whole number from `least` to `most`."""

    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, not {text[:20]!r}")

    return read


seed = whole_number(0, 2**32 - 1)


def changes(options: argparse.Namespace) -> dict[str, str]:
    """The settings that --set, --epochs and --batch-size change. Raises MnistryError."""
    pairs = [_pair(text) for text in options.set]
    pairs += [(name, getattr(options, name)) for name in ("epochs", "batch_size") if getattr(options, name) is not None]
    found: dict[str, str] = {}
    for key, value in pairs:
        if key in found:
            raise MnistryError(f"The setting {key} is given twice, as {found[key]} and as {value}: leave one out.")
        found[key] = value
    return found


def find_run(name: str) -> Any:
    """The finished run of this folder or name. Raises MnistryError."""
    from mnistry.training.runs import find_run

    return find_run(name, Settings.from_environment().runs)


def print_json(value: Any) -> None:
    """Print one line of strict JSON."""
    print(json.dumps(value, allow_nan=False))


def shown(path: Path) -> str:
    """A path to show: relative if it is below the current folder."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise MnistryError(f"--set takes KEY=VALUE, such as learning_rate=0.01, not {text!r}.")
    return key, value


def _validation(text: str) -> float | str:
    if text == "writers":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a share such as 0.1, or writers, not {text!r}") from None
