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
        return _fail(f"This command needs {problem.name}, which is not installed: pip install 'mnistry[train]'.")
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        _abandon_stdout()
        return DONE
    except OSError as problem:  # a full disk under the output, a name that is too long, ...
        _abandon_stdout()
        return _fail(f"The system refuses: {problem}.")
    except KeyboardInterrupt:
        print("mnistry: interrupted; nothing half-written was kept.", file=sys.stderr)
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
    """List the recipes."""
    from mnistry.models import RECIPES

    names = ("name", "summary", "family", "parameters")
    table = [
        {name: getattr(recipe, name) for name in names} | {"settings": dict(recipe.settings)}
        for recipe in RECIPES.values()
    ]
    if options.json:
        print(json.dumps(table))
    else:
        from mnistry import terminal

        terminal.recipes(table)
    return DONE


def train(options: argparse.Namespace) -> int:
    """Train a recipe and evaluate it once on the test digits."""
    from mnistry import terminal
    from mnistry.dataset import load
    from mnistry.models import find_recipe
    from mnistry.training import train

    recipe = find_recipe(options.recipe).changed(_changes(options))
    validation = recipe.validation if options.validation is None else options.validation
    with terminal.download_bar(options.quiet) as tell:
        data = load(options.dataset, validation, options.seed, progress=tell)
    with terminal.training_bar(recipe.name, options.quiet) as tell_training:
        run = train(recipe, data, seed=options.seed, out=options.out, progress=tell_training)
    if options.json:
        _print_json({"run": str(run.folder), **run.info, "metrics": _short(run.metrics)})
    else:
        terminal.results(_shown(run.folder), run.metrics, run.info["seconds"])
        print(f"See it: mnistry report {_shown(run.folder)}")
    return DONE


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


def read(options: argparse.Namespace) -> int:
    """Read the digits in pictures: files, folders, patterns, or - for standard input."""
    from mnistry import batch, terminal
    from mnistry.showing import Gallery

    labels = None if options.labels is None else batch.read_labels(options.labels)
    workers = options.workers or batch.usual_workers(options.pictures)
    gallery, score, failed = Gallery(options.show, labels), batch.Score(), 0
    with terminal.counting_bar("pictures", options.quiet) as tell:
        for result in batch.read_all(_reader(options.model), batch.pictures_of(options.pictures), workers):
            failed += result.reading is None
            label = None if labels is None else batch.label_of(result.file, labels)
            right = score.add(result.reading.text if result.reading else "", label)
            gallery.add(result, label, right)
            line = json.dumps(_as_json(result)) if options.json else _as_words(result)
            print(line, flush=True, file=sys.stdout if result.reading or options.json else sys.stderr)
            tell()
    gallery.write()
    if labels is not None:
        terminal.score(score.figures()) if not options.json else _print_json({"labels": score.figures()})
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
    command(models)
    _training_arguments(command(train))
    evaluating = command(evaluate)
    _run_argument(evaluating)
    evaluating.add_argument("--again", action="store_true", help="measure the ONNX file on the test digits once more")
    _run_argument(command(report))
    reading = command(read)
    _reading_arguments(reading)
    exporting = command(export)
    _run_argument(exporting)
    exporting.add_argument("--out", metavar="FILE", help="the ONNX file; its card stands beside it (default: RUN.onnx)")
    return parser


def _run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", nargs="?", default="latest", metavar="RUN", help="a run's folder or name (default: latest)"
    )


def _reading_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a file (PNG, JPEG, WebP, BMP, GIF, TIFF), "
                        "a folder, a pattern, or - for standard input: one picture, or names, one a line")  # fmt: skip
    parser.add_argument("--model", help="a run or an ONNX file, instead of the model that comes with mnistry")
    parser.add_argument("--show", metavar="FILE", help="draw what was read: one picture as .png, many as .html")
    parser.add_argument("--labels", metavar="CSV", help="columns file and label: tell the accuracy, show the mistakes")
    parser.add_argument("--workers", type=_count, metavar="N", help="processes (default: all cores for many pictures)")


def _training_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a name from `mnistry models`")
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
    parser.add_argument("--out", metavar="FOLDER", help="where the run is to stand (default: under MNISTRY_HOME)")


def _validation(text: str) -> float | str:
    if text == "writers":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a share such as 0.1, or writers, not {text!r}") from None


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= 64:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 64, not {text!r}")


def _seed(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 2**32:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 4294967295, not {text!r}")


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


def _as_words(result: Any) -> str:
    shown = result.file if result.file.isprintable() else repr(result.file)
    if result.reading is None:
        return f"{shown}: {result.error}"
    text = result.reading.text.replace("\n", " / ")  # one line a picture
    sure = ", ".join(f"{digit.probability:.1%}" for digit in result.reading.digits)
    return f"{shown}: {text} ({sure})" if sure else f"{shown}: {result.reading.reason}"


def _as_json(result: Any) -> dict[str, Any]:
    if result.reading is None:
        return {"file": result.file, "error": result.error}
    digits = [
        {"digit": d.digit, "probability": round(d.probability, 6), "box": list(d.box)} for d in result.reading.digits
    ]
    line = {"file": result.file, "text": result.reading.text, "digits": digits}
    return line | ({"reason": result.reading.reason} if result.reading.reason else {})


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
