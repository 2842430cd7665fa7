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
from typing import Any

from mnistry.cli.arguments import changes, command_line
from mnistry.cli.tune import find_source
from mnistry.settings import MnistryError, Settings

DONE, SOME_FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 some inputs failed, 2 a user's mistake, 130 Ctrl-C."""
    _prepare_streams()
    try:
        options = command_line(COMMANDS).parse_args(arguments)
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


def run() -> None:
    """The process of the command: `main`, and after Ctrl-C an end at once.

    TensorFlow's threads may still be asking for batches then, and an orderly end of Python under them can crash.
    """
    code = main()
    if code == INTERRUPTED:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


# --- Commands ---------------------------------------------------------------------------------------------


def fetch(options: argparse.Namespace) -> int:
    """Fetch MNIST and verify it, or find it where it already is."""
    from mnistry.cli import console
    from mnistry.data import sources

    with console.download_bar(options.quiet) as tell:
        folder = sources.fetch(Settings.from_environment(), tell)
    print(json.dumps({"folder": str(folder), "dataset": "mnist"}) if options.json else f"MNIST is verified in {folder}")
    return DONE


def models(options: argparse.Namespace) -> int:
    """List the recipes, or the settings of those that are named."""
    from mnistry.models.recipes import RECIPES, find_recipe

    names = ("name", "summary", "family", "parameters")
    table = [
        {name: getattr(recipe, name) for name in names}
        | {"settings": dict(recipe.settings), "space": {key: str(domain) for key, domain in recipe.space.items()}}
        for recipe in map(find_recipe, options.recipes or RECIPES)
    ]
    if options.json:
        print(json.dumps(table))
    else:
        from mnistry.cli import console

        console.recipes(table, bool(options.recipes))
    return DONE


def train(options: argparse.Namespace) -> int:
    """Train a recipe and evaluate it once on the test digits."""
    from mnistry.cli import console
    from mnistry.data.dataset import load
    from mnistry.models.recipes import find_recipe
    from mnistry.training.train import train

    name, found, origin = find_source(options)
    recipe = find_recipe(name).changed(found | changes(options))
    validation = recipe.validation if options.validation is None else options.validation
    with console.download_bar(options.quiet) as tell:
        data = load(options.dataset, validation, options.seed, progress=tell)
    with console.training_bar(recipe.name, options.quiet) as tell_training:
        run = train(recipe, data, seed=options.seed, out=options.out, progress=tell_training, origin=origin)
    if options.json:
        _print_json({"run": str(run.folder), **run.info, "metrics": _short(run.metrics)})
    else:
        console.results(_shown(run.folder), run.metrics, run.info["seconds"])
        print(f"See it: mnistry report {_shown(run.folder)}")
    return DONE


def tune(options: argparse.Namespace) -> int:
    """Search a recipe's settings, in one process or many; the same command goes on where it was interrupted."""
    from mnistry.cli.tune import tune

    return DONE if tune(options, changes(options)) else SOME_FAILED


def evaluate(options: argparse.Namespace) -> int:
    """Show how good a run is: the figures taken once after its training, or --again from its ONNX file."""
    run = _find_run(options.run)
    figures = run.metrics
    if options.again:
        from mnistry.training.train import evaluate

        figures = evaluate(run)
    if options.json:
        _print_json({"run": str(run.folder), "recipe": run.info["recipe"], **figures})
    else:
        from mnistry.cli import console

        console.evaluation(figures)
        console.results(_shown(run.folder), figures)
    return DONE


def report(options: argparse.Namespace) -> int:
    """Draw a run's pictures and write its report.html."""
    from mnistry.reports.report import write_report

    page = write_report(_find_run(options.run))
    print(json.dumps({"report": str(page)}) if options.json else f"The report is {_shown(page)}")
    return DONE


def compare(options: argparse.Namespace) -> int:
    """Train what is missing and set recipes side by side: a table, as CSV, as JSON and as a page with pictures."""
    from mnistry.cli import console
    from mnistry.data.dataset import load
    from mnistry.reports import compare

    settings = Settings.from_environment()
    with console.download_bar(options.quiet) as bar:
        data = load(options.dataset, settings=settings, progress=bar)
    out = compare.place(options.out, options.recipes, data, settings)
    tell = None if options.quiet else console.say
    comparison = compare.compare(options.recipes, options.seeds, data, settings, tell)
    page = compare.save(comparison, data, out)
    if options.json:
        _print_json({"page": str(page), **comparison.to_dict()})
    elif options.csv:
        print(comparison.to_csv(), end="")
    else:
        console.comparison(comparison.to_dict())
        print(f"The page is {_shown(page)}")
    return SOME_FAILED if comparison.failed else DONE


def read(options: argparse.Namespace) -> int:
    """Read the digits in pictures: files, folders, patterns, or - for standard input."""
    from mnistry.cli import console
    from mnistry.reading import batch
    from mnistry.reading.visualization import Gallery

    labels = None if options.labels is None else batch.read_labels(options.labels)
    workers = options.workers or batch.usual_workers(options.pictures)
    gallery, score, failed = Gallery(options.show, labels, options.labels), batch.Score(), 0
    with console.counting_bar("pictures", options.quiet) as tell:
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
        console.score(score.figures()) if not options.json else _print_json({"labels": score.figures()})
    return SOME_FAILED if failed else DONE


def export(options: argparse.Namespace) -> int:
    """Write a run's model as an ONNX file with its card, after proving that it answers as the trained model does."""
    from mnistry.training.export import export_run

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


COMMANDS = (fetch, models, train, tune, evaluate, report, compare, read, export)


# --- Shared -----------------------------------------------------------------------------------------------


def _find_run(name: str) -> Any:
    from mnistry.training.runs import find_run

    return find_run(name, Settings.from_environment().runs)


def _reader(model: str | None) -> Any:
    from mnistry.reading.reader import Reader

    if model is None or model.lower().endswith(".onnx"):
        return Reader(model)
    return Reader(_find_run(model).model)


def _as_words(result: Any) -> str:
    shown = result.file if result.file.isprintable() else repr(result.file)
    if result.reading is None:
        return f"{shown}: {result.error}"
    if result.reading.reason:
        return f"{shown}: {result.reading.reason}"
    text = result.reading.text.replace("\n", " / ")  # one line a picture
    return f"{shown}: {text} ({', '.join(f'{digit.probability:.1%}' for digit in result.reading.digits)})"


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
        from mnistry.cli import console

        console.notice(str(message))
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
    run()
