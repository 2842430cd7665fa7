"""The commands corrections and finetune: what was read wrongly, and learning from it."""

import argparse
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

from mnistry.cli.arguments import DONE, SOME_FAILED, print_json, seed, whole_number
from mnistry.settings import MnistryError, Settings, write_atomic

ALL = 2**31


def corrections_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `corrections` takes."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--export", metavar="ZIP", help="write all pictures and their labels.csv into a zip")
    what.add_argument(
        "--import",
        metavar="ZIP",
        dest="imported",
        help="add those of such a zip, or of a folder with labels.csv: all or none",
    )
    what.add_argument("--delete", metavar="NUMBER", type=whole_number(1, ALL), help="forget one")
    what.add_argument("--show", metavar="HTML", help="write a page with their pictures, and how each is read now")


def corrections(options: argparse.Namespace) -> int:
    """List, export, import or delete the readings that you corrected on the page of `mnistry serve`."""
    from mnistry.web.corrections import Corrections

    store = Corrections(Settings.from_environment().home)
    if options.export:
        n = len(store.listed(ALL))
        write_atomic(Path(options.export), store.export())
        _tell(options, f"{n} corrections are in {options.export}.", exported=n, file=options.export)
    elif options.imported:
        added, known = store.take(_zip(options.imported))
        _tell(options, f"{added} were added, {known} were there already.", added=added, known=known)
    elif options.delete:
        if not store.delete(options.delete):
            raise MnistryError(f"There is no correction {options.delete}: `mnistry corrections` lists them.")
        _tell(options, f"Correction {options.delete} is forgotten.", deleted=options.delete)
    elif options.show:
        _show(options.show, store)
        _tell(options, f"Look at {options.show}", page=options.show)
    else:
        _list(options, store.listed(ALL))
    return DONE


def finetune_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `finetune` takes."""
    parser.add_argument(
        "--corrections",
        metavar="ZIP",
        help="learn from an exported zip, or a folder with labels.csv, instead of the stored ones",
    )
    parser.add_argument("--undo", action="store_true", help="go back to the model before the last teaching")
    parser.add_argument("--seed", type=seed, default=0, help="which corrections are held back (default: 0)")
    parser.add_argument("--progress", action="store_true", help=argparse.SUPPRESS)  # for the page: a JSON line a step


def finetune(options: argparse.Namespace) -> int:
    """Teach the model that reads your pictures from the corrections, or undo that; goes on after it was killed."""
    home = Settings.from_environment().home
    if options.undo:
        from mnistry.reading.recognizer import undo_taught

        card = undo_taught(home)
        _tell(options, f"The model in use is now: {card['summary']}.", undone=True, sha256=card["sha256"])
        return DONE
    taught = _taught(options, _given(options, home), home)
    if not taught.refused:
        taught.keep(home)
    told = taught.figures | {"kept": not taught.refused, "sha256": taught.card["sha256"], "reason": taught.refused}
    if options.json:
        print_json(told)
    else:
        from mnistry.cli import console

        console.taught(told)
    return SOME_FAILED if taught.refused else DONE


def _given(options: argparse.Namespace, home: Path) -> list[tuple[bytes, str]]:
    """Picture and label of each correction, the newest first."""
    from mnistry.web.corrections import Corrections, unpacked

    if options.corrections:
        return [(picture, label) for picture, label, _ in unpacked(_zip(options.corrections))]
    return [(each.picture, each.label) for each in Corrections(home).all()]


def _taught(options: argparse.Namespace, given: list[tuple[bytes, str]], home: Path) -> Any:
    from mnistry.cli import console
    from mnistry.data.dataset import load
    from mnistry.training.finetune import finetune, nothing

    if not given:
        raise MnistryError(nothing(0))
    with console.download_bar(options.quiet or options.progress) as download:
        data = load("mnist", progress=download)
    if options.progress:
        return finetune(given, data, options.seed, _print_progress, home=home)
    with console.share_bar(options.quiet) as tell:
        return finetune(given, data, options.seed, tell, home=home)


def _print_progress(share: float, told: str) -> None:
    print_json({"share": share, "told": told})
    sys.stdout.flush()


def _zip(name: str) -> bytes:
    """The bytes of a zip, or of one made of a folder's labels.csv and pictures. Raises MnistryError."""
    path = Path(name)
    try:
        if not path.is_dir():
            return path.read_bytes()
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(each for each in path.iterdir() if each.is_file()):
                archive.write(file, file.name)
        return made.getvalue()
    except OSError as problem:
        raise MnistryError(f"The corrections {name} cannot be read: {problem.strerror}.") from problem


def _list(options: argparse.Namespace, stored: list[dict[str, Any]]) -> None:
    for each in stored:
        if options.json:
            print_json(each)
        else:
            label, read = (str(each[key]).replace("\n", " / ") for key in ("label", "read"))
            print(f"{each['id']}: {label}" + (f" (was read as {read})" if read else "") + f", {each['created']}")
    if not stored and not options.json:
        print("There are no corrections: correct a reading on the page of `mnistry serve`.")


def _show(page: str, store: Any) -> None:
    from mnistry.reading.reader import Reader
    from mnistry.reports.reading_page import MOST_ON_PAGE, shown, write_page

    reader, stored = Reader(), list(store.all())
    pictures = [
        shown(f"correction {each.id}", each.picture, reader.read(each.picture), each.label)
        for each in stored[:MOST_ON_PAGE]
    ]
    write_page(page, pictures, "Corrections, and how they are read now", len(stored) - len(pictures))


def _tell(options: argparse.Namespace, sentence: str, **told: Any) -> None:
    if options.json:
        print_json(told)
    else:
        print(sentence)
