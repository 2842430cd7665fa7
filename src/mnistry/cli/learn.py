"""The commands fetch, models, train, evaluate and export. What is heavy is imported where it is used."""

import argparse
from pathlib import Path
from typing import Any

from mnistry.cli.arguments import DONE, changes, find_run, print_json, run_argument, shown, training_arguments
from mnistry.cli.tune import find_source
from mnistry.settings import MnistryError, Settings


def fetch(options: argparse.Namespace) -> int:
    """Download MNIST and verify it, or find it where it already is."""
    from mnistry.cli import console
    from mnistry.data import sources

    with console.download_bar(options.quiet) as tell:
        folder = sources.fetch(Settings.from_environment(), tell)
    if options.json:
        print_json({"folder": str(folder), "dataset": "mnist"})
    else:
        print(f"MNIST is complete and verified in {folder}")
    return DONE


def models_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `models` takes."""
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="show the settings of these")


def models(options: argparse.Namespace) -> int:
    """List the recipes, or show the settings of those that are named."""
    from mnistry.models.recipes import RECIPES, find_recipe

    names = ("name", "summary", "family", "parameters")
    table = [
        {name: getattr(recipe, name) for name in names}
        | {
            "settings": dict(recipe.settings),
            "space": {key: str(domain) for key, domain in recipe.space.items()},
            "about": {key: {"takes": s.takes, "unit": s.unit, "doc": s.doc} for key, s in recipe.explained().items()},
        }
        for recipe in map(find_recipe, options.recipes or RECIPES)
    ]
    if options.json:
        print_json(table)
    else:
        from mnistry.cli import console

        console.recipes(table, bool(options.recipes))
    return DONE


def train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `train` takes."""
    training_arguments(parser, nargs="?")
    parser.add_argument("--from", dest="source", metavar="STUDY", help="use the best settings that this study found")
    parser.add_argument("--storage", metavar="URL", help="where that study is kept (default: under MNISTRY_HOME)")
    parser.add_argument("--out", metavar="FOLDER", help="write the run here (default: under MNISTRY_HOME)")
    parser.add_argument("--resume", action="store_true", help="go on with the same training, if it was interrupted")


def train(options: argparse.Namespace) -> int:
    """Train a recipe and evaluate it once on the test digits."""
    from mnistry.cli import console, locator

    if options.recipe == locator.NAME:
        return locator.train(options)
    from mnistry.data.dataset import load
    from mnistry.models.recipes import find_recipe
    from mnistry.training.train import train

    name, found, origin = find_source(options)
    recipe = find_recipe(name).changed(found | changes(options))
    validation = recipe.validation if options.validation is None else options.validation
    with console.download_bar(options.quiet) as tell:
        data = load(options.dataset, validation, options.seed, progress=tell)
    with console.training_bar(recipe.name, options.quiet) as tell_training:
        run = train(
            recipe, data, seed=options.seed, out=options.out, progress=tell_training, origin=origin,
            message=None if options.quiet else console.say, resume=options.resume,
        )  # fmt: skip
    if options.json:
        print_json({"run": str(run.folder), **run.info, "metrics": _short(run.metrics)})
    else:
        console.results(shown(run.folder), run.metrics, run.info["seconds"])
        print(f"See it: mnistry report {shown(run.folder)}")
    return DONE


def evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `evaluate` takes."""
    run_argument(parser)
    parser.add_argument("--again", action="store_true", help="measure the ONNX file on the test digits once more")
    parser.add_argument(
        "--corruptions", action="store_true", help="how test digits are read that are spoilt in MNIST-C's fifteen ways"
    )
    parser.add_argument(
        "--writers", action="store_true", help="how each writer's test digits are read, the worst first"
    )


def evaluate(options: argparse.Namespace) -> int:
    """Show how good a run is: the figures measured once after its training, or --again with its ONNX file."""
    from mnistry.cli import console

    run = find_run(options.run)
    figures = run.metrics
    if options.again:
        from mnistry.training.train import evaluate

        figures = evaluate(run)
    more = _corruptions(run, options) if options.corruptions else {}
    more |= _writers(run, options) if options.writers else {}
    if options.json:
        print_json({"run": str(run.folder), "recipe": run.info["recipe"], **figures, **more})
        return DONE
    if not more:
        console.evaluation(figures)
    if options.writers:
        console.writers(more["writers"])
    if options.corruptions:
        console.corruptions(more["corruptions"])
    console.results(shown(run.folder), figures)
    return DONE


def _corruptions(run: Any, options: argparse.Namespace) -> dict[str, Any]:
    """What MNIST-C's corruptions do to a run's accuracy: as it is kept in the run, or measured and then kept there."""
    from mnistry.cli import console
    from mnistry.data.dataset import load
    from mnistry.training import robustness

    found = None if options.again else robustness.kept(run)
    if found is None:
        with console.steps_bar("corruptions", options.quiet) as tell:
            found = robustness.measure(run, load(run.info["dataset"]), tell)
        try:
            robustness.keep(run, found)
        except MnistryError as problem:  # what was measured is shown all the same
            console.notice(f"The figures are not kept in the run. {problem}")
    return {"corruptions": found}


def _writers(run: Any, options: argparse.Namespace) -> dict[str, Any]:
    """How the digits of each writer are read."""
    from mnistry.cli import console
    from mnistry.data.dataset import load
    from mnistry.training import robustness

    with console.download_bar(options.quiet) as tell:
        data = load(run.info["dataset"], progress=tell)
        return {"writers": robustness.by_writer(run, data, Settings.from_environment(), tell)}


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `export` takes."""
    run_argument(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the ONNX file, with its cards beside it, or a folder for them (default: RUN.onnx)",
    )
    parser.add_argument("--half", action="store_true", help="keep the weights in half precision, in half the space")


def export(options: argparse.Namespace) -> int:
    """Write a run's model as an ONNX file with its cards, after checking that it answers as the trained model does."""
    from mnistry.training.export import export_run

    run = find_run(options.run)
    target, parity = export_run(run, Path(options.out or f"{run.folder.name}.onnx"), options.half)
    if options.json:
        print_json({"model": str(target), **parity})
    else:
        print(
            f"{target} answers as the trained model does on {parity['n']} test digits "
            f"(all labels equal, probabilities within {parity['largest_difference']:.1e})."
        )
    return DONE


def _short(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key not in ("mistakes", "confusion", "reliability")}
