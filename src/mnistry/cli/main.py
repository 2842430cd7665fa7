"""The process of the command line: which command, its exit code, and one sentence for every mistake."""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from mnistry import __version__
from mnistry.cli import interrupt, learn, read, report, serve, site, teach, tune
from mnistry.cli.arguments import DONE
from mnistry.settings import MnistryError, missing_extra

MISTAKE = 2
# After Ctrl-C these have something to say, or to put back, for which they have so many seconds.
ORDERLY = {tune.tune: 15, report.compare: 15, serve.serve: 24 * 3600}  # the service has a limit of its own
# Each command with what adds its arguments, in the order of the story: learn, prove, read, serve, teach.
COMMANDS: tuple[tuple[Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None] | None], ...] = (
    (learn.fetch, None),
    (learn.models, learn.models_arguments),
    (learn.train, learn.train_arguments),
    (tune.tune, tune.tune_arguments),
    (learn.evaluate, learn.evaluate_arguments),
    (report.report, report.report_arguments),
    (report.compare, report.compare_arguments),
    (learn.export, learn.export_arguments),
    (read.read, read.read_arguments),
    (serve.serve, serve.serve_arguments),
    (site.site, site.site_arguments),
    (teach.corrections, teach.corrections_arguments),
    (teach.finetune, teach.finetune_arguments),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 some inputs failed, 2 a user's mistake, 130 Ctrl-C."""
    _prepare_streams()
    try:
        options = _parsed(sys.argv[1:] if arguments is None else arguments)
        if patience := ORDERLY.get(options.command):
            interrupt.orderly(patience)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            code: int = options.command(options) or DONE
            sys.stdout.flush()
            return code
    except ModuleNotFoundError as problem:
        return _fail(str(missing_extra("This command", problem)))
    except MnistryError as mistake:
        return _fail(str(mistake))
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        _abandon_stdout()
        return DONE
    except OSError as problem:  # a full disk under the output, a name that is too long, ...
        _abandon_stdout()
        return _fail(f"The system reports an error: {problem}.")
    except KeyboardInterrupt as end:
        print(f"mnistry: {end if end.args else 'interrupted; no unfinished file was kept.'}", file=sys.stderr)
        return interrupt.INTERRUPTED
    except MemoryError:
        return _fail("There is not enough memory for this: lower batch_size or width, or use a smaller input.")


def run() -> None:
    """Be the process `mnistry`: end with the exit code of `main`, after Ctrl-C or a kill at once.

    TensorFlow's threads may still be asking for batches then, and an orderly end of Python under them can crash.
    """
    interrupt.install()
    try:
        code = main()
    except SystemExit as end:  # --help, --version or a kill
        code = end.code if isinstance(end.code, int) else DONE
    if code in (interrupt.INTERRUPTED, interrupt.TERMINATED):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for every other mistake."""
        raise MnistryError(f"{message[0].upper()}{message[1:]}. See {self.prog} --help.")


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options, with the function of the command as `command`; without a command that prints the help."""
    parser = _Parser(
        prog="mnistry",
        description="Learn handwritten digits, prove how well, and read them in your own pictures.",
        epilog="Example: mnistry read photo.jpg",
    )
    parser.add_argument("--version", action="version", version=f"mnistry {__version__}")
    parser.set_defaults(command=lambda _: print(parser.format_help(), end=""))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    for command, add_arguments in COMMANDS:
        added = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__)
        added.set_defaults(command=command)
        added.add_argument("--json", action="store_true", help="print the result as JSON")
        added.add_argument("--quiet", action="store_true", help="print only results and errors")
        if add_arguments:
            add_arguments(added)
    _check_name(arguments, [command.__name__ for command, _ in COMMANDS])
    return parser.parse_args(arguments)


def _check_name(arguments: Sequence[str], names: list[str]) -> None:
    if arguments and not arguments[0].startswith("-") and arguments[0] not in names:
        from difflib import get_close_matches

        close = get_close_matches(arguments[0], names, 1)
        hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(names[:-1])} or {names[-1]}"
        raise MnistryError(f"No command {arguments[0]!r} ({hint}). See mnistry --help.")


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    if category.__name__ == "FallbackWarning":
        from mnistry.cli import console

        console.notice(str(message))
    elif category.__name__ == "ConvergenceWarning":
        print("mnistry: the fit has not converged: raise max_iter or tol.", file=sys.stderr)


def _prepare_streams() -> None:
    """Make every stream writable, with any file's name."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - it stays open to the end
        if hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="backslashreplace")  # a file's name need not be UTF-8


def _abandon_stdout() -> None:
    """Send what is still to be printed nowhere, so that the end of the process does not try again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(sentence: str) -> int:
    print(f"mnistry: {sentence}", file=sys.stderr)
    return MISTAKE
