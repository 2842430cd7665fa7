"""What a person sees while waiting and at the end: progress bars on stderr, tables on stdout."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

CLASSES = range(10)


class _Progress(Console):
    """Where progress and notices go; when nobody reads them any more, the work goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class _Results(Console):
    """Where results go; when nobody reads them any more, the command line ends."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class _Left(TimeRemainingColumn):
    """The time that is left, where it can be known."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task) + Text(" left")


def stderr() -> Console:
    """The console of progress and notices."""
    return _Progress(stderr=True, highlight=False, emoji=False)


def stdout() -> Console:
    """The console of results."""
    return _Results(highlight=False, emoji=False)


def notice(text: str) -> None:
    """Something that must not be missed."""
    stderr().print(Panel(Text(text), title="Notice", border_style="bold yellow", expand=False))


def say(text: str) -> None:
    """A line about the work, on stderr."""
    with suppress(OSError):  # a full disk under stderr must not end the work
        stderr().print(text, soft_wrap=True, markup=False)


@contextmanager
def download_bar(quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Give a function to tell of a download: name, bytes so far, bytes in all."""
    console = stderr()
    if quiet or not console.is_terminal:
        yield None
        return
    with Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=console) as bar:
        tasks: dict[str, Any] = {}

        def tell(name: str, done: int, size: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=size)
            bar.update(tasks[name], completed=done)

        yield tell


@contextmanager
def training_bar(recipe: str, quiet: bool) -> Iterator[Callable[[int, int, int, int, dict[str, float]], None] | None]:
    """Give a function to tell of the training: epoch, epochs, batch, batches, figures. A line stays for each epoch."""
    if quiet:
        yield None
        return
    console = stderr()
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        _Left(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(f"{recipe}: getting ready", total=None, figures="")

        def keep(line: str) -> None:
            with suppress(OSError):  # a full disk under stderr must not end the training
                console.print(line, soft_wrap=True)

        def tell(epoch: int, epochs: int, batch: int, batches: int, figures: dict[str, float]) -> None:
            if not batch:  # scikit-learn, which says nothing more before its end
                bar.update(task, description=f"{recipe}: fitting")
                if not console.is_terminal:
                    keep(f"{recipe}: fitting; the next line comes when it is done")
                return
            done = f"{recipe} epoch {epoch + 1}/{epochs}" if epochs * batches > 1 else f"{recipe}: fitted"
            bar.update(
                task,
                total=epochs * batches,
                completed=epoch * batches + batch,
                description=done,
                figures=_words(figures),
            )
            if "seconds" in figures:  # only the last call of an epoch has them
                keep(f"{done}  {_words(figures)}")
                if epoch + 1 == epochs:
                    bar.update(task, visible=False)
                    bar.add_task(f"{recipe}: exporting and evaluating", total=None, figures="")

        yield tell


@contextmanager
def tuning_bar(recipe: str, quiet: bool) -> Iterator[Callable[[Any], None] | None]:
    """Give a function to tell of a search: done, trials, running, best, message. A line stays for each trial."""
    if quiet:
        yield None
        return
    console = stderr()
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} trials  {task.fields[figures]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(f"{recipe}: getting ready", total=None, figures="")

        def tell(state: Any) -> None:
            best = "" if state.best is None else f"best {state.best:.2%}  "
            figures = f"{best}{state.running} running"
            bar.update(task, total=state.trials, completed=state.done, description=recipe, figures=figures)
            if state.message:
                with suppress(OSError):
                    console.print(f"{recipe} {state.message}", soft_wrap=True, markup=False)

        yield tell


def tuned(summary: Mapping[str, Any], page: str) -> None:
    """The last lines of a search: the best trial, and what to do with it."""
    best, of = summary["best"], summary["trials"]
    digits = f"{summary['dataset']} (split: {summary['validation']})"
    counted = ", ".join(f"{of[kind]} {kind}" for kind in ("complete", "pruned", "failed"))
    if best:
        settings = "  ".join(f"{key}={value}" for key, value in best["settings"].items())
        _line(
            f"[bold]{best['accuracy']:.2%}[/] of the validation digits of {digits} are right "
            f"in trial {best['trial']}, the best; loss {best['nll']:.4f}."
        )
        stdout().print(f"Its settings: {settings}", soft_wrap=True, markup=False)
    stdout().print(f"Trials: {counted}. The study {summary['study']} is kept in {summary['storage']}",
                   soft_wrap=True, markup=False)  # fmt: skip
    stdout().print(f"Look at {page}", soft_wrap=True, markup=False)


@contextmanager
def counting_bar(what: str, quiet: bool) -> Iterator[Callable[[], None]]:
    """Give a function to tell that one more is done; nothing is shown for what takes less than a moment."""
    console, started, bar = stderr(), time.monotonic(), None
    if quiet or not console.is_terminal:
        yield lambda: None
        return
    done = 0

    def tell() -> None:
        nonlocal done, bar
        done += 1
        if bar is None and time.monotonic() - started > 1:
            bar = console.status("")
            bar.start()
        if bar is not None:
            bar.update(f"{done:,} {what}, {done / (time.monotonic() - started):,.0f} a second")

    try:
        yield tell
    finally:
        if bar is not None:
            bar.stop()


def score(figures: Mapping[str, Any]) -> None:
    """How many of the pictures with a label were read right."""
    if not figures["pictures"]:
        _line(
            "No picture has a label: the column file must name the files as they are given, or the end of their path."
        )
        return
    digits = f"; {figures['digit_accuracy']:.1%} of {figures['digits']} digits" if figures["digits"] else ""
    other = f"; {figures['without_label']} pictures have no label" if figures["without_label"] else ""
    _line(f"{figures['accuracy']:.1%} of {figures['pictures']} pictures are read right{digits}{other}.")


def results(run_folder: str, figures: Mapping[str, Any], seconds: Mapping[str, float] | None = None) -> None:
    """The last lines of a training: what was reached and where it stands."""
    low, high = figures["accuracy_interval"]
    _line(
        f"[bold]{figures['accuracy']:.2%}[/] of the {figures['n']} test digits of {figures['dataset']} are right "
        f"(95 % interval {low:.2%} to {high:.2%}); loss {figures['nll']:.4f}, calibration error {figures['ece']:.4f}."
    )
    for name, part in figures["parts"].items():
        _line(f"  {PART_NAMES.get(name, name)}: {part['accuracy']:.2%} ({part['errors']} errors of {part['n']})")
    if seconds:
        _line(f"Fitted in {seconds['fit']:.1f} s.")
    stdout().print(f"The run stands in {run_folder}", soft_wrap=True, markup=False)


PART_NAMES = {
    "hsf4": "first half, by students (hsf4)",
    "hsf0": "second half, by employees (hsf0)",
    "without_wrong_labels": "without the 15 known wrong labels",
}


def evaluation(figures: Mapping[str, Any]) -> None:
    """The classification report and the confusion matrix."""
    console = stdout()
    report = Table("digit", "precision", "recall", "f1", "support", title="Classification report")
    for row in figures["per_class"]:
        numbers = (f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        report.add_row(str(row["digit"]), *numbers, str(row["support"]))
    confusion = Table("truth", *map(str, CLASSES), title="Confusion matrix (columns: read as)")
    for digit, counts in enumerate(figures["confusion"]):
        confusion.add_row(str(digit), *(_cell(n, k == digit) for k, n in enumerate(counts)))
    console.print(report)
    console.print(confusion)


def recipes(table: list[dict[str, Any]], in_full: bool) -> None:
    """One line a recipe, or their settings `in_full`."""
    if not in_full:
        rows = Table("recipe", "what it is", Column("parameters", justify="right"), box=SIMPLE_HEAD)
        for recipe in table:
            rows.add_row(recipe["name"], recipe["summary"], _count(recipe["parameters"]))
        stdout().print(rows)
        _line("[bold]mnistry models RECIPE[/] shows a recipe's settings.")
        return
    for recipe in table:
        rows = Table("setting (--set)", "default", "what tune tries", box=SIMPLE_HEAD)
        _line(f"[bold]{recipe['name']}[/]: {recipe['summary']}")
        for key, value in recipe["settings"].items():
            rows.add_row(key, json.dumps(value), recipe["space"].get(key, ""))
        stdout().print(rows)


def comparison(table: Mapping[str, Any]) -> None:
    """The recipes side by side, the most accurate first; below, which neighbours can be told apart."""
    about = table["about"]
    rows = Table(
        title=f"Test accuracy on {about['dataset']}, {about['n']['test']:,} digits", box=SIMPLE_HEAD, padding=0
    )
    rows.add_column("recipe", no_wrap=True)
    for name in (
        "accuracy, %",
        "runs",
        "loss",
        "calib.\nerror",
        "param-\neters",
        "file,\nKB",
        "fit,\ns",
        "µs an\nimage",
    ):
        rows.add_column(f" {name}".replace("\n", "\n "), justify="right", no_wrap=True)
    for row in table["rows"]:
        spread = "" if row["accuracy_std"] is None else f" ± {100 * row['accuracy_std']:.2f}"
        rows.add_row(
            row["recipe"], f" {100 * row['accuracy']:.2f}{spread}", str(row["runs"]), f"{row['nll']:.4f}",
            f"{row['ece']:.4f}", f"{row['parameters']:,}" if row["parameters"] else "-",
            f"{row['model_bytes'] / 1000:,.0f}", _figures(row["fit_seconds"]), _figures(row["microseconds"]),
        )  # fmt: skip
    console = stdout()
    console.width = max(console.width, console.measure(rows).maximum)  # in a small window it folds, but is whole
    console.print(rows)
    for pair in table["pairs"]:
        low, high = (f"{100 * end:+.2f}" for end in pair["interval"])
        words = "is better than" if pair["distinguishable"] else "cannot be told from"
        between = f"{100 * pair['difference']:+.2f} points (95 % interval {low} to {high})"
        _line(f"{escape(pair['better'])} {words} {escape(pair['worse'])}: {between}")
    for note in table["notes"]:
        _line(escape(note))
    for failure in table["failed"]:
        _line(f"[bold]{escape(failure['recipe'])} failed:[/] {escape(failure['reason'])}")


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _line(text: str) -> None:
    stdout().print(text, soft_wrap=True)  # the terminal folds it, a file keeps it whole


def _figures(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}"


def _cell(n: int, diagonal: bool) -> str:
    return f"[bold]{n}[/]" if diagonal else f"[red]{n}[/]" if n else "[dim]0[/]"


def _words(figures: Mapping[str, float]) -> str:
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    return "  ".join(f"{name} {figures[name]:.4f}" for name in names if name in figures)
