"""The command read: pictures -> a line for each, and what is drawn of them."""

import argparse
import sys
from typing import Any

from mnistry.cli.arguments import DONE, SOME_FAILED, find_run, print_json, whole_number


def read_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `read` takes."""
    parser.add_argument(
        "pictures", nargs="+", metavar="PICTURE",
        help="a file (PNG, JPEG, WebP, BMP, GIF, TIFF), a folder or tar file, a pattern, or - for standard input: "
        "one picture, or names, one a line",
    )  # fmt: skip
    parser.add_argument(
        "--model",
        help="a run or an ONNX file; or bundled, the model that comes with mnistry, "
        "where `mnistry finetune` has made another of it",
    )
    parser.add_argument("--show", metavar="FILE", help="draw what was read: one picture as .png, many as .html")
    parser.add_argument("--labels", metavar="CSV", help="columns file and label: say how many are right, show mistakes")
    parser.add_argument("--workers", type=whole_number(1, 64), metavar="N",
                        help="processes (default: as many as processors, if the pictures are many)")  # fmt: skip


def read(options: argparse.Namespace) -> int:
    """Read the digits in pictures: files, folders, patterns, or - for standard input."""
    from mnistry.cli import console
    from mnistry.reading import batch
    from mnistry.reports.reading_page import Gallery

    labels = None if options.labels is None else batch.read_labels(options.labels)
    workers = options.workers or batch.usual_workers(options.pictures)
    reader = _reader(options.model)
    gallery, score, failed = Gallery(options.show, labels, options.labels, reader), batch.Score(), 0
    with console.counting_bar("pictures", options.quiet) as tell:
        for result in batch.read_all(reader, batch.pictures_of(options.pictures), workers):
            failed += result.reading is None
            label = None if labels is None else batch.label_of(result.file, labels)
            right = score.add(result.reading.text if result.reading else "", label)
            gallery.add(result, label, right)
            _print(result, options.json)
            tell()
    gallery.write()
    if labels is not None and options.json:
        print_json({"labels": score.figures()})
    elif labels is not None:
        console.score(score.figures())
    return SOME_FAILED if failed else DONE


def _reader(model: str | None) -> Any:
    from mnistry.reading.reader import Reader
    from mnistry.reading.recognizer import bundled

    if model == "bundled":
        return Reader(bundled())
    if model is None or model.lower().endswith(".onnx"):
        return Reader(model)
    return Reader(find_run(model).model)


def _print(result: Any, as_json: bool) -> None:
    """A line for one picture, at once; what is not JSON tells of failures on stderr."""
    if as_json:
        found = {"error": result.error} if result.reading is None else result.reading.to_dict()
        print_json({"file": result.file, **found})
    else:
        print(_words(result), file=sys.stdout if result.reading else sys.stderr)
    sys.stdout.flush()


def _words(result: Any) -> str:
    name = result.file if result.file.isprintable() else repr(result.file)
    if result.reading is None or result.reading.reason:
        return f"{name}: {result.error or result.reading.reason}"
    text = result.reading.text.replace("\n", " / ")  # one line a picture
    return f"{name}: {text} ({', '.join(f'{digit.probability:.1%}' for digit in result.reading.digits)})"
