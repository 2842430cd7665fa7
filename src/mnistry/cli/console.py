"""What a person sees while waiting and at the end: progress bars on stderr, tables on stdout."""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from rich import progress
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

FEW_RECIPES = 4  # up to here every two of them are compared in words
WORST_WRITERS, BEST_WRITERS = 10, 5  # in the tables
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")
PART_NAMES = {
    "hsf4": "first half, by students (hsf4)",
    "hsf0": "second half, by employees (hsf0)",
    "without_wrong_labels": "without the 15 known wrong labels",
}


class _Progress(Console):
    """Where progress and notices go; when nobody reads them any more, the work continues."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class _Results(Console):
    """Where results go; when nobody reads them any more, the command line ends."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class _Left(progress.TimeRemainingColumn):
    """The time that is left, where it can be known."""

    def render(self, task: progress.Task) -> Text:
        return Text() if task.total is None else super().render(task) + Text(" left")


FIGURES = progress.TextColumn("{task.fields[figures]}")


def stderr() -> Console:
    """The console of progress and notices."""
    return _Progress(stderr=True, highlight=False, emoji=False)


def stdout() -> Console:
    """The console of results."""
    return _Results(highlight=False, emoji=False)


def notice(text: str) -> None:
    """A box on stderr with something that nobody may miss."""
    stderr().print(Panel(Text(text), title="Notice", border_style="bold yellow", expand=False))


def say(text: str, console: Console | None = None) -> None:
    """A line about the work, on stderr."""
    with suppress(OSError):  # a full disk under stderr must not end the work
        (console or stderr()).print(text, soft_wrap=True, markup=False)


def _progress(*columns: progress.ProgressColumn) -> progress.Progress:
    """A bar on stderr with these columns, which is gone at the end; nothing is drawn where stderr is no terminal."""
    console = stderr()
    return progress.Progress(
        progress.SpinnerColumn(), progress.TextColumn("{task.description}"), progress.BarColumn(), *columns,
        console=console, transient=True, disable=not console.is_terminal,
        redirect_stdout=False,  # results printed meanwhile go to stdout, wherever that is
    )  # fmt: skip


@contextmanager
def download_bar(quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Give a function to call with the state of a download: name, bytes so far, bytes in all."""
    if quiet:
        yield None
        return
    with _progress(progress.DownloadColumn()) as bar:
        tasks: dict[str, progress.TaskID] = {}

        def tell(name: str, done: int, size: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=size)
            bar.update(tasks[name], completed=done)

        yield tell


@contextmanager
def training_bar(recipe: str, quiet: bool) -> Iterator[Callable[[int, int, int, int, dict[str, float]], None] | None]:
    """Give a function to call with the state: epoch, epochs, batch, batches, figures. A line stays for each epoch."""
    if quiet:
        yield None
        return
    with _progress(
        progress.TextColumn("{task.fields[figures]}"), progress.TimeElapsedColumn(), _Left(compact=True)
    ) as bar:
        task = bar.add_task(f"{recipe}: getting ready", total=None, figures="")

        def tell(epoch: int, epochs: int, batch: int, batches: int, figures: dict[str, float]) -> None:
            if not batch:  # scikit-learn, which says nothing more before its end
                bar.update(task, description=f"{recipe}: fitting")
                if not bar.console.is_terminal:
                    say(f"{recipe}: fitting; the next line comes when it is done")
                return
            done = f"{recipe} epoch {epoch + 1}/{epochs}" if epochs * batches > 1 else f"{recipe}: fitted"
            reached = "  ".join(f"{name} {figures[name]:.4f}" for name in CURVES if name in figures)
            step, steps = epoch * batches + batch, epochs * batches
            bar.update(task, total=steps, completed=step, description=done, figures=reached)
            if "seconds" in figures:  # only the last call of an epoch has them
                say(f"{done}  {reached}", bar.console)
                if epoch + 1 == epochs:
                    bar.update(task, visible=False)
                    bar.add_task(f"{recipe}: exporting and evaluating", total=None, figures="")

        yield tell


@contextmanager
def tuning_bar(recipe: str, quiet: bool) -> Iterator[Callable[[Any], None] | None]:
    """Give a function to call with the state: done, trials, running, best, message. A line stays for each trial."""
    if quiet:
        yield None
        return
    with _progress(FIGURES, _Left(compact=True)) as bar:
        task = bar.add_task(f"{recipe}: getting ready", total=None, figures="")

        def tell(state: Any) -> None:
            best = "" if state.best is None else f"best {state.best:.2%}  "
            figures = f"{state.done}/{state.trials} trials  {best}{state.running} running"
            bar.update(task, total=state.trials, completed=state.done, description=recipe, figures=figures)
            if state.message:
                say(f"{recipe} {state.message}", bar.console)

        yield tell


@contextmanager
def steps_bar(what: str, quiet: bool) -> Iterator[Callable[[int, int, str], None] | None]:
    """Give a function to call before each step: how many are done, of how many, and the name of the next."""
    if quiet:
        yield None
        return
    with _progress(FIGURES) as bar:
        task = bar.add_task(what, total=None, figures="")

        def tell(done: int, steps: int, name: str) -> None:
            bar.update(task, total=steps, completed=done, figures=f"{done}/{steps}  {name}")

        yield tell


@contextmanager
def share_bar(quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """Give a function to call with the share that is done and what comes next. A line stays for each of these."""
    if quiet:
        yield lambda *_: None
        return
    with _progress(_Left(compact=True)) as bar:
        task = bar.add_task("", total=1.0)
        last = ""

        def tell(share: float, what: str) -> None:
            nonlocal last
            bar.update(task, completed=share, description=what)
            if what != last and not bar.console.is_terminal:
                say(what)
            last = what

        yield tell


@contextmanager
def counting_bar(what: str, quiet: bool) -> Iterator[Callable[[], None]]:
    """Give a function to call when one more is done.

    The count is drawn only where results go elsewhere than to the terminal: they are progress enough there.
    """
    started, done = time.monotonic(), itertools.count(1)
    if quiet or stdout().is_terminal:
        yield lambda: None
        return
    with _progress() as bar:
        task = bar.add_task(what, total=None, visible=False)

        def tell() -> None:
            n, seconds = next(done), time.monotonic() - started
            if seconds > 1:  # nothing is shown for what takes less than a moment
                bar.update(task, description=f"{n:,} {what}, {n / seconds:,.0f} a second", visible=True)

        yield tell


def tuned(summary: Mapping[str, Any], page: str) -> None:
    """The last lines of a search: the best trial, and what to do with it."""
    best, of = summary["best"], summary["trials"]
    if best:
        settings = "  ".join(f"{key}={value}" for key, value in best["settings"].items())
        _line(
            f"[bold]{best['accuracy']:.2%}[/] of the validation digits of {summary['dataset']} "
            f"(split: {summary['validation']}) are right in trial {best['trial']}, the best; loss {best['nll']:.4f}."
        )
        _line(f"Its settings: {escape(settings)}")
    counted = ", ".join(f"{of[kind]} {kind}" for kind in ("complete", "pruned", "failed"))
    _line(escape(f"Trials: {counted}. The study {summary['study']} is kept in {summary['storage']}"))
    _line(escape(f"Look at {page}"))


def score(figures: Mapping[str, Any]) -> None:
    """How many of the pictures with a label were read right."""
    if not figures["pictures"]:
        _line("No picture has a label: the column file must name pictures as they are given, or the end of their path.")
        return
    digits = f"; {figures['digit_accuracy']:.1%} of {figures['digits']} digits" if figures["digits"] else ""
    other = f"; {figures['without_label']} pictures have no label" if figures["without_label"] else ""
    _line(f"{figures['accuracy']:.1%} of {figures['pictures']} pictures are read right{digits}{other}.")


def taught(figures: Mapping[str, Any]) -> None:
    """What a teaching has brought: the corrections held back, all of them, and MNIST, before and after."""
    of, test = figures["corrections"], figures["mnist"]
    unused = of["n"] - of["used"]
    if unused:
        _line(f"{unused} of {of['n']} corrections were left out: the reader finds another number of digits in them.")
    if of["held_back"]:
        _line(f"Pictures held back, of which nothing was learnt: {_right(of['held_back'])}.")
    else:
        _line("Nothing was held back to judge it by: that takes at least 4 corrections.")
    _line(f"All corrections: {_right(of['all'])}.")
    _line(f"MNIST's {test['n']} test digits: {test['before']:.2%} right before, {test['after']:.2%} after.")
    if figures["kept"]:
        _line(f"Taught in {figures['seconds']:.0f} s. `mnistry finetune --undo` goes back.")
    else:
        _line(escape(figures["reason"]))


def _right(figures: Mapping[str, int]) -> str:
    return f"{figures['before']} of {figures['n']} read right before, {figures['after']} after"


def results(run_folder: str, figures: Mapping[str, Any], seconds: Mapping[str, float] | None = None) -> None:
    """The last lines of a training: how good the run is and where it is."""
    low, high = figures["accuracy_interval"]
    _line(
        f"[bold]{figures['accuracy']:.2%}[/] of the {figures['n']} test digits of {figures['dataset']} are right "
        f"(95 % interval {low:.2%} to {high:.2%}); loss {figures['nll']:.4f}, calibration error {figures['ece']:.4f}."
    )
    for name, part in figures["parts"].items():
        _line(f"  {PART_NAMES.get(name, name)}: {part['accuracy']:.2%} ({part['errors']} errors of {part['n']})")
    if seconds:
        _line(f"Fitted in {seconds['fit']:.1f} s.")
    _line(escape(f"The run is in {run_folder}"))


def evaluation(figures: Mapping[str, Any]) -> None:
    """The classification report and the confusion matrix."""
    console = stdout()
    report = Table("digit", "precision", "recall", "f1", "support", title="Classification report")
    for row in figures["per_class"]:
        numbers = (f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        report.add_row(str(row["digit"]), *numbers, str(row["support"]))
    confusion = Table("truth", *map(str, range(10)), title="Confusion matrix (columns: read as)")
    for digit, counts in enumerate(figures["confusion"]):
        confusion.add_row(str(digit), *(_cell(n, k == digit) for k, n in enumerate(counts)))
    console.print(report)
    console.print(confusion)


def corruptions(figures: Mapping[str, Any]) -> None:
    """How digits are read that are spoilt in the ways of MNIST-C, the worst last."""
    title = "Spoilt test digits (MNIST-C)"
    rows = Table("corruption", "what it does", title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("right", "95 % interval", "errors"):
        rows.add_column(name, justify="right", no_wrap=True)
    for row in sorted(figures["corruptions"], key=lambda row: -row["accuracy"]):
        interval = " to ".join(f"{100 * end:.2f}" for end in row["accuracy_interval"])
        rows.add_row(row["name"], row["about"], f"{row['accuracy']:.2%}", interval, str(row["errors"]))
    stdout().print(rows)
    _line(
        f"[bold]{figures['mean']:.2%}[/] of the spoilt digits are right, the mean of the fifteen; "
        f"{figures['clean']:.2%} as they are."
    )


def writers(figures: Mapping[str, Any]) -> None:
    """Whose digits are read worst and best."""
    found = figures["writers"]
    worst = [row for row in found if row["errors"]][:WORST_WRITERS]
    best = found[len(worst) :][::-1][:BEST_WRITERS]
    for title, some in (("Writers whose test digits are read worst", worst), ("and best", best)):
        if not some:
            continue
        rows = Table("writer", "group", title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("right", "95 % interval", "errors", "of"):
            rows.add_column(name, justify="right", no_wrap=True)
        for row in some:
            interval = " to ".join(f"{100 * end:.1f}" for end in row["accuracy_interval"])
            rows.add_row(
                str(row["writer"]), row["group"], f"{row['accuracy']:.1%}", interval, str(row["errors"]), str(row["n"])
            )
        stdout().print(rows)
    _line(f"{figures['without_mistake']} of {figures['n']} writers are read without a mistake.")


def recipes(table: list[dict[str, Any]], in_full: bool) -> None:
    """One line for each recipe; `in_full`, a table of each recipe's settings that do something in it."""
    if not in_full:
        rows = Table("recipe", "what it is", Column("parameters", justify="right"), box=SIMPLE_HEAD)
        for recipe in table:
            rows.add_row(recipe["name"], recipe["summary"], "-" if (n := recipe["parameters"]) is None else f"{n:,}")
        stdout().print(rows)
        _line("[bold]mnistry models RECIPE[/] shows a recipe's settings.")
        return
    for recipe in table:
        rows = Table("setting (--set)", "default", "tune tries", "what it does", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        _line(f"[bold]{recipe['name']}[/]: {recipe['summary']}")
        for key, about in recipe["about"].items():
            value = json.dumps(recipe["settings"][key])
            rows.add_row(key, value, recipe["space"].get(key, ""), f"{about['doc']} ({about['takes']})")
        stdout().print(rows)


def comparison(table: Mapping[str, Any]) -> None:
    """The table of recipes, the most accurate first; below it, which differ by more than chance: neighbours, or all."""
    about = table["about"]
    title = f"Test accuracy on {about['dataset']}, {about['n']['test']:,} digits"
    rows = Table(title=title, box=SIMPLE_HEAD, padding=0)
    rows.add_column("recipe", no_wrap=True)
    columns = (
        "accuracy, %",
        "runs",
        "loss",
        "calib.\n error",
        "param-\n eters",
        "file,\n KB",
        "fit,\n s",
        "µs an\n image",
    )
    for name in columns:
        rows.add_column(f" {name}", justify="right", no_wrap=True)
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
    for pair in table["every_pair"] if len(table["rows"]) <= FEW_RECIPES else table["pairs"]:
        low, high = (f"{100 * end:+.2f}" for end in pair["interval"])
        words = "is better than" if pair["distinguishable"] else "cannot be told from"
        between = f"{100 * pair['difference']:+.2f} points (95 % interval {low} to {high})"
        _line(f"{escape(pair['better'])} {words} {escape(pair['worse'])}: {between}")
    for note in table["notes"]:
        _line(escape(note))
    for failure in table["failed"]:
        _line(f"[bold]{escape(failure['recipe'])} failed:[/] {escape(failure['reason'])}")


def _line(text: str) -> None:
    stdout().print(text, soft_wrap=True)  # the terminal folds it, a file keeps it whole


def _figures(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}"


def _cell(n: int, diagonal: bool) -> str:
    return f"[bold]{n}[/]" if diagonal else f"[red]{n}[/]" if n else "[dim]0[/]"
