"""The command tune, and what `train --from` takes from a study. What is heavy is imported where it is used."""

import argparse
import sys
from typing import Any

from mnistry.cli.arguments import DONE, SOME_FAILED, changes, print_json, training_arguments, whole_number
from mnistry.settings import MnistryError, Settings


def tune_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tune` takes: the arguments of `train`, and its own."""
    training_arguments(parser)
    count = whole_number(1, 10**9)
    parser.add_argument("--trials", type=count, required=True, metavar="N", help="how many finished trials you want")
    parser.add_argument(
        "--space", action="append", default=[], metavar="KEY=VALUES",
        help="search a setting in LOW:HIGH, LOW:HIGH:log or A,B,C (default: the recipe's search space)",
    )  # fmt: skip
    parser.add_argument("--study", metavar="NAME", help="the name of the study (default: the recipe's)")
    parser.add_argument("--storage", metavar="URL", help="sqlite:///FILE, or postgresql://... for several machines")
    parser.add_argument("--workers", type=count, metavar="N", help="trials at the same time (default: 1)")
    parser.add_argument("--ray", metavar="ADDRESS", help="run the trials on the Ray cluster at HOST:PORT, or local")


def tune(options: argparse.Namespace) -> int:
    """Search for better settings of a recipe; the same command goes on where it was interrupted."""
    from mnistry.cli import console
    from mnistry.reports.study_page import write_study_report
    from mnistry.training.search import tune as search

    space, fixed = _space(options), changes(options)
    with console.download_bar(options.quiet) as download, console.tuning_bar(options.recipe, options.quiet) as tell:
        tuned = search.tune(
            options.recipe, options.trials, options.dataset, options.validation, options.seed, options.study,
            options.storage, options.workers, options.ray, space, fixed, progress=tell, download=download,
        )  # fmt: skip
    page = write_study_report(tuned, Settings.from_environment().home / "studies")
    summary = tuned.summary()
    if options.json:
        print_json(summary | {"page": str(page)})
    else:
        console.tuned(summary, str(page))
    if summary["best"]:
        return DONE
    print(f"mnistry: no trial came to its end; {page} has the reason of each.", file=sys.stderr)
    return SOME_FAILED


def find_source(options: argparse.Namespace) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    """The recipe to train, the settings that --from has for it, and where they come from. Raises MnistryError."""
    if options.source is None:
        if options.recipe is None:
            raise MnistryError("Train what? Expected a RECIPE from `mnistry models`, or --from STUDY.")
        return options.recipe, {}, None
    from mnistry.training.search.study import best_settings, find_store

    recipe, found, origin = best_settings(find_store(options.source, options.storage))
    if options.recipe not in (None, recipe):
        raise MnistryError(f"The study {options.source} is of the recipe {recipe}, not {options.recipe}.")
    return recipe, found, origin


def _space(options: argparse.Namespace) -> dict[str, str]:
    space: dict[str, str] = {}
    for text in options.space:
        key, equals, values = text.partition("=")
        if not equals:
            raise MnistryError(f"--space takes KEY=VALUES, such as learning_rate=0.001:0.1:log, not {text!r}.")
        if key in space:
            raise MnistryError(f"--space names {key} twice: leave one out.")
        space[key] = values
    return space
