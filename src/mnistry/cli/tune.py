"""The command `tune`, and what `train --from` takes from a study; heavy imports inside."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from mnistry.settings import MnistryError, Settings


def tuning_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tune` takes beyond the arguments of `train`."""
    parser.add_argument("--trials", type=_count, required=True, metavar="N", help="finished trials that are wanted")
    parser.add_argument(
        "--space",
        action="append",
        default=[],
        metavar="KEY=VALUES",
        help="search a setting among LOW:HIGH, LOW:HIGH:log or A,B,C (default: the recipe's search space)",
    )
    parser.add_argument("--study", metavar="NAME", help="the name to keep it under (default: the recipe's)")
    parser.add_argument("--storage", metavar="URL", help="sqlite:///FILE, or postgresql://... for several machines")
    parser.add_argument("--workers", type=_count, metavar="N", help="trials at the same time (default: 1)")
    parser.add_argument("--ray", metavar="ADDRESS", help="run the trials on the Ray cluster at HOST:PORT, or local")


def tune(options: argparse.Namespace, fixed: Mapping[str, str]) -> bool:
    """Search, write the page, print the result; False if no trial came to its end."""
    from mnistry.cli import console
    from mnistry.reports.study_page import write_study_report
    from mnistry.training import tune as search

    space = _space(options)
    with console.download_bar(options.quiet) as download, console.tuning_bar(options.recipe, options.quiet) as tell:
        tuned = search.tune(
            options.recipe, options.trials, options.dataset, options.validation, options.seed, options.study,
            options.storage, options.workers, options.ray, space, fixed, progress=tell, download=download,
        )  # fmt: skip
    page = write_study_report(tuned, Settings.from_environment().home / "studies")
    summary = tuned.summary()
    if options.json:
        print(json.dumps(summary | {"page": str(page)}, allow_nan=False))
    else:
        console.tuned(summary, str(page))
    if summary["best"] is None:
        print(f"mnistry: no trial came to its end; {page} has the reason of each.", file=sys.stderr)
    return summary["best"] is not None


def find_source(options: argparse.Namespace) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    """The recipe to train, the settings that --from has for it, and where they come from. Raises MnistryError."""
    if options.source is None:
        if options.recipe is None:
            raise MnistryError("Train what? Expected a RECIPE from `mnistry models`, or --from STUDY.")
        return options.recipe, {}, None
    from mnistry.training.study import best_settings, find_store

    recipe, found, origin = best_settings(find_store(options.source, options.storage))
    if options.recipe not in (None, recipe):
        raise MnistryError(f"The study {options.source} is of the recipe {recipe}, not {options.recipe}.")
    return recipe, found, origin


def _space(options: argparse.Namespace) -> dict[str, str]:
    space = {}
    for text in options.space:
        key, equals, values = text.partition("=")
        if not equals:
            raise MnistryError(f"--space takes KEY=VALUES, such as learning_rate=0.001:0.1:log, not {text!r}.")
        if key in space:
            raise MnistryError(f"--space names {key} twice.")
        space[key] = values
    return space


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1, not {text[:20]!r}")
