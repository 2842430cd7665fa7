"""What the commands take on the command line, and how it is read."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from mnistry import __version__
from mnistry.cli.tune import tuning_arguments
from mnistry.settings import MnistryError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for every other mistake."""
        raise MnistryError(f"{message[0].upper()}{message[1:]}. See {self.prog} --help.")


def command_line(commands: Sequence[Callable[..., int]]) -> argparse.ArgumentParser:
    """The parser of all these commands; what it reads has the function as `command`. Mistakes are MnistryErrors."""
    parser = _Parser(prog="mnistry", description="Learn handwritten digits, prove it, and read them in pictures.")
    parser.add_argument("--version", action="version", version=f"mnistry {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for function in commands:
        added = subparsers.add_parser(function.__name__, help=function.__doc__, description=function.__doc__)
        added.set_defaults(command=function)
        added.add_argument("--json", action="store_true", help="print the result as JSON")
        added.add_argument("--quiet", action="store_true", help="print results and mistakes only")
        for add in ARGUMENTS[function.__name__]:
            add(added)
    return parser


def _models_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="show the settings of these")


def _from_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="source", metavar="STUDY", help="take the best settings of this study")
    parser.add_argument("--storage", metavar="URL", help="where that study is, if not under MNISTRY_HOME")
    parser.add_argument("--out", metavar="FOLDER", help="where the run is to stand (default: under MNISTRY_HOME)")


def _again_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--again", action="store_true", help="measure the ONNX file on the test digits once more")


def _export_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="FILE", help="the ONNX file; its card stands beside it (default: RUN.onnx)")


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


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= 64:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 64, not {text!r}")


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


def changes(options: argparse.Namespace) -> dict[str, str]:
    """The settings that --set, --epochs and --batch-size change. Raises MnistryError."""
    found: dict[str, str] = {}
    for pair in options.set:
        key, equals, value = pair.partition("=")
        if not equals:
            raise MnistryError(f"--set takes KEY=VALUE, such as learning_rate=0.01, not {pair!r}.")
        _once(key, found)
        found[key] = value
    for name in ("epochs", "batch_size"):
        if (value := getattr(options, name)) is not None:
            _once(name, found)
            found[name] = value
    return found


def _once(key: str, found: Mapping[str, str]) -> None:
    if key in found:
        raise MnistryError(f"The setting {key} is given twice: which one holds?")


ARGUMENTS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], ...]] = {
    "fetch": (),
    "models": (_models_arguments,),
    "train": (partial(_training_arguments, nargs="?"), _from_arguments),
    "tune": (_training_arguments, tuning_arguments),
    "evaluate": (_run_argument, _again_argument),
    "report": (_run_argument,),
    "compare": (_comparison_arguments,),
    "read": (_reading_arguments,),
    "export": (_run_argument, _export_argument),
}
