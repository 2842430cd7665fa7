"""The command line: one short function a command. What is heavy is imported where it is used."""

import argparse
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from mnistry import __version__
from mnistry.settings import MnistryError, Settings
from mnistry.tuning_command import find_source, tuning_arguments

DONE, SOME_FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 some inputs failed, 2 a user's mistake, 130 Ctrl-C."""
    _prepare_streams()
    try:
        options = _parser().parse_args(arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            code: int = options.command(options)
            sys.stdout.flush()
            return code
    except MnistryError as mistake:
        return _fail(str(mistake))
    except ModuleNotFoundError as problem:
        if problem.name and problem.name.split(".")[0] == "mnistry":
            raise
        extra = "tune" if problem.name in ("optuna", "sqlalchemy") else "train"
        return _fail(f"This command needs {problem.name}, which is not installed: pip install 'mnistry[{extra}]'.")
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        _abandon_stdout()
        return DONE
    except OSError as problem:  # a full disk under the output, a name that is too long, ...
        _abandon_stdout()
        return _fail(f"The system refuses: {problem}.")
    except KeyboardInterrupt as end:
        print(f"mnistry: {end if end.args else 'interrupted; nothing half-written was kept.'}", file=sys.stderr)
        return INTERRUPTED
    except MemoryError:
        return _fail("There is not enough memory for this: lower batch_size or width, or take a smaller input.")


# --- Commands ---------------------------------------------------------------------------------------------


def fetch(options: argparse.Namespace) -> int:
    """Fetch MNIST and verify it, or find it where it already is."""
    from mnistry import sources, terminal

    with terminal.download_bar(options.quiet) as tell:
        folder = sources.fetch(Settings.from_environment(), tell)
    print(json.dumps({"folder": str(folder), "dataset": "mnist"}) if options.json else f"MNIST is verified in {folder}")
    return DONE


def models(options: argparse.Namespace) -> int:
    """List the recipes, or the settings of those that are named."""
    from mnistry.models import RECIPES, find_recipe

    names = ("name", "summary", "family", "parameters")
    table = [
        {name: getattr(recipe, name) for name in names}
        | {"settings": dict(recipe.settings), "space": {key: str(domain) for key, domain in recipe.space.items()}}
        for recipe in map(find_recipe, options.recipes or RECIPES)
    ]
    if options.json:
        print(json.dumps(table))
    else:
        from mnistry import terminal

        terminal.recipes(table, bool(options.recipes))
    return DONE


def train(options: argparse.Namespace) -> int:
    """Train a recipe and evaluate it once on the test digits."""
    from mnistry import terminal
    from mnistry.dataset import load
    from mnistry.models import find_recipe
    from mnistry.training import train

    name, found, origin = find_source(options)
    recipe = find_recipe(name).changed(found | _changes(options))
    validation = recipe.validation if options.validation is None else options.validation
    with terminal.download_bar(options.quiet) as tell:
        data = load(options.dataset, validation, options.seed, progress=tell)
    with terminal.training_bar(recipe.name, options.quiet) as tell_training:
        run = train(recipe, data, seed=options.seed, out=options.out, progress=tell_training, origin=origin)
    if options.json:
        _print_json({"run": str(run.folder), **run.info, "metrics": _short(run.metrics)})
    else:
        terminal.results(_shown(run.folder), run.metrics, run.info["seconds"])
        print(f"See it: mnistry report {_shown(run.folder)}")
    return DONE


def tune(options: argparse.Namespace) -> int:
    """Search a recipe's settings, in one process or many; the same command goes on where it was interrupted."""
    from mnistry import tuning_command

    return DONE if tuning_command.tune(options, _changes(options)) else SOME_FAILED


def evaluate(options: argparse.Namespace) -> int:
    """Show how good a run is: the figures taken once after its training, or --again from its ONNX file."""
    run = _find_run(options.run)
    figures = run.metrics
    if options.again:
        from mnistry.training import evaluate

        figures = evaluate(run)
    if options.json:
        _print_json({"run": str(run.folder), "recipe": run.info["recipe"], **figures})
    else:
        from mnistry import terminal

        terminal.evaluation(figures)
        terminal.results(_shown(run.folder), figures)
    return DONE


def report(options: argparse.Namespace) -> int:
    """Draw a run's pictures and write its report.html."""
    from mnistry.report import write_report

    page = write_report(_find_run(options.run))
    print(json.dumps({"report": str(page)}) if options.json else f"The report is {_shown(page)}")
    return DONE


def compare(options: argparse.Namespace) -> int:
    """Train what is missing and set recipes side by side: a table, as CSV, as JSON and as a page with pictures."""
    from mnistry import compare, terminal
    from mnistry.dataset import load

    settings = Settings.from_environment()
    with terminal.download_bar(options.quiet) as bar:
        data = load(options.dataset, settings=settings, progress=bar)
    out = compare.place(options.out, options.recipes, data, settings)
    tell = None if options.quiet else terminal.say
    comparison = compare.compare(options.recipes, options.seeds, data, settings, tell)
    page = compare.save(comparison, data, out)
    if options.json:
        _print_json({"page": str(page), **comparison.to_dict()})
    elif options.csv:
        print(comparison.to_csv(), end="")
    else:
        terminal.comparison(comparison.to_dict())
        print(f"The page is {_shown(page)}")
    return SOME_FAILED if comparison.failed else DONE


def read(options: argparse.Namespace) -> int:
    """Read the digits in pictures."""
    from mnistry.quiet import quiet_stderr

    reader = _reader(options.model)
    failed = 0
    for name in options.pictures:
        with quiet_stderr():  # libtiff tells of every oddity
            line, good = _read_one(reader, name, options.json)
        failed += not good
        print(line, flush=True, file=sys.stdout if good or options.json else sys.stderr)
    return SOME_FAILED if failed else DONE


def export(options: argparse.Namespace) -> int:
    """Write a run's model as an ONNX file with its card, after proving that it answers as the trained model does."""
    from mnistry.export import export_run

    run = _find_run(options.run)
    target, parity = export_run(run, Path(options.out or f"{run.folder.name}.onnx"))
    if options.json:
        _print_json({"model": str(target), **parity})
    else:
        print(
            f"{target} answers as the trained model does on {parity['n']} test digits "
            f"(all labels equal, probabilities within {parity['largest_difference']:.1e})."
        )
    return DONE


# --- Their arguments --------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for every other mistake."""
        raise MnistryError(f"{message[0].upper()}{message[1:]}. See {self.prog} --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="mnistry", description="Learn handwritten digits, prove it, and read them in pictures.")
    parser.add_argument("--version", action="version", version=f"mnistry {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def command(function: Any) -> argparse.ArgumentParser:
        added = commands.add_parser(function.__name__, help=function.__doc__, description=function.__doc__)
        added.set_defaults(command=function)
        added.add_argument("--json", action="store_true", help="print the result as JSON")
        added.add_argument("--quiet", action="store_true", help="print results and mistakes only")
        return added

    command(fetch)
    command(models).add_argument("recipes", nargs="*", metavar="RECIPE", help="show the settings of these")
    training = command(train)
    _training_arguments(training, nargs="?")
    training.add_argument("--from", dest="source", metavar="STUDY", help="take the best settings of this study")
    training.add_argument("--storage", metavar="URL", help="where that study is, if not under MNISTRY_HOME")
    training.add_argument("--out", metavar="FOLDER", help="where the run is to stand (default: under MNISTRY_HOME)")
    tuning = command(tune)
    _training_arguments(tuning)
    tuning_arguments(tuning)
    evaluating = command(evaluate)
    _run_argument(evaluating)
    evaluating.add_argument("--again", action="store_true", help="measure the ONNX file on the test digits once more")
    _run_argument(command(report))
    _comparison_arguments(command(compare))
    reading = command(read)
    reading.add_argument("pictures", nargs="+", metavar="PICTURE", help="PNG, JPEG, WebP, BMP, GIF or TIFF")
    reading.add_argument("--model", help="a run or an ONNX file, instead of the model that comes with mnistry")
    exporting = command(export)
    _run_argument(exporting)
    exporting.add_argument("--out", metavar="FILE", help="the ONNX file; its card stands beside it (default: RUN.onnx)")
    return parser


def _run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", nargs="?", default="latest", metavar="RUN", help="a run's folder or name (default: latest)"
    )


def _training_arguments(parser: argparse.ArgumentParser, **recipe: Any) -> None:
    parser.add_argument("recipe", metavar="RECIPE", **recipe, help="a name from `mnistry models`")
    parser.add_argument("--dataset", default="auto", help="mnist, digits, or auto: MNIST where it can be had")
    parser.add_argument(
        "--validation",
        type=_validation,
        metavar="SHARE",
        help="share of the training digits to hold back, such as 0.1, 0 for none, or writers (default: the recipe's)",
    )
    parser.add_argument("--seed", type=_seed, default=0, help="the same seed gives the same weights (default: 0)")
    parser.add_argument("--epochs", help="times through the training digits")
    parser.add_argument("--batch-size", help="digits in one step")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the recipe"
    )


def _comparison_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="names from `mnistry models` (default: all)")
    parser.add_argument("--dataset", default="auto", help="mnist, digits, or auto: MNIST where it can be had")
    parser.add_argument(
        "--seeds",
        type=_seeds,
        help="how many runs of each, or which, such as 0,1,2 (default: the recipe's own, 3 or 5)",
    )
    parser.add_argument("--csv", action="store_true", help="print the table as CSV")
    parser.add_argument("--out", metavar="FOLDER", help="where the page is to stand (default: under MNISTRY_HOME)")


def _validation(text: str) -> float | str:
    if text == "writers":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a share such as 0.1, or writers, not {text!r}") from None


def _seed(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 2**32:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 4294967295, not {text!r}")


def _seeds(text: str) -> int | list[int]:
    if "," in text:
        return [_seed(part.strip()) for part in text.strip(",").split(",")]
    if (number := _seed(text)) > 0:
        return number
    raise argparse.ArgumentTypeError(f"expected a number of runs from 1, or seeds such as 0,1,2, not {text!r}")


def _changes(options: argparse.Namespace) -> dict[str, str]:
    changes = {}
    for pair in options.set:
        key, equals, value = pair.partition("=")
        if not equals:
            raise MnistryError(f"--set takes KEY=VALUE, such as learning_rate=0.01, not {pair!r}.")
        changes[key] = value
    for name in ("epochs", "batch_size"):
        if (value := getattr(options, name)) is not None:
            changes[name] = value
    return changes


# --- Shared -----------------------------------------------------------------------------------------------


def _find_run(name: str) -> Any:
    from mnistry.runs import find_run

    return find_run(name, Settings.from_environment().runs)


def _reader(model: str | None) -> Any:
    from mnistry.reader import Reader

    if model is None or model.lower().endswith(".onnx"):
        return Reader(model)
    return Reader(_find_run(model).model)


def _read_one(reader: Any, name: str, as_json: bool) -> tuple[str, bool]:
    """The line to print for one picture, and whether it could be read."""
    from mnistry.picture import PictureError

    shown = name if name.isprintable() else repr(name)
    try:
        reading = reader.read(name)
    except PictureError as problem:
        return (json.dumps({"file": name, "error": str(problem)}) if as_json else f"{shown}: {problem}"), False
    if not as_json:
        sure = ", ".join(f"{digit.probability:.1%}" for digit in reading.digits)
        return f"{shown}: {reading.text} ({sure})" if reading.digits else f"{shown}: {reading.reason}", True
    digits = [{"digit": d.digit, "probability": round(d.probability, 6), "box": list(d.box)} for d in reading.digits]
    line = {"file": name, "text": reading.text, "digits": digits}
    return json.dumps(line | ({"reason": reading.reason} if reading.reason else {})), True


def _shown(path: Path) -> str:
    """A path for a person: from the current folder where it is below it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _short(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key not in ("mistakes", "confusion", "reliability")}


def _print_json(value: Any) -> None:
    print(json.dumps(value, allow_nan=False))


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    if category.__name__ == "FallbackWarning":
        from mnistry import terminal

        terminal.notice(str(message))
    elif category.__name__ == "ConvergenceWarning":
        print("mnistry: the fit has not converged: raise max_iter or tol.", file=sys.stderr)


def _prepare_streams() -> None:
    """Make every stream writable, with any file's name; end a kill like Ctrl-C, so that nothing is left behind."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - it stays open to the end
        if hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="backslashreplace")  # a file's name need not be UTF-8
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _abandon_stdout() -> None:
    """Send what is still to be printed nowhere, so that the end of the process does not try again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(sentence: str) -> int:
    print(f"mnistry: {sentence}", file=sys.stderr)
    return MISTAKE


if __name__ == "__main__":
    sys.exit(main())
