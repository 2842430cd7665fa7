"""The commands report and compare. What is heavy is imported where it is used."""

import argparse

from mnistry.cli.arguments import DONE, SOME_FAILED, dataset_argument, find_run, print_json, run_argument, seed, shown
from mnistry.settings import Settings


def report_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `report` takes."""
    run_argument(parser)


def report(options: argparse.Namespace) -> int:
    """Draw a run's figures and write its page, report.html."""
    from mnistry.reports.report import write_report

    page = write_report(find_run(options.run))
    if options.json:
        print_json({"report": str(page)})
    else:
        print(f"The report is {shown(page)}")
    return DONE


def compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `compare` takes."""
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="names from `mnistry models` (default: all)")
    dataset_argument(parser)
    parser.add_argument("--seeds", type=_seeds, help="how many runs of each, or which: 0,1,2 (default: its own number)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print the table as CSV, rounded")
    form.add_argument("--latex", action="store_true", help="print the table as LaTeX, for the package booktabs")
    parser.add_argument("--out", metavar="FOLDER", help="write the page here (default: under MNISTRY_HOME)")


def compare(options: argparse.Namespace) -> int:
    """Train what is missing and compare recipes: a table, also as CSV and JSON, and a page with figures."""
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
        print_json({"page": str(page), **comparison.to_dict()})
    elif options.csv:
        print(comparison.to_csv(rounded=True), end="")
    elif options.latex:
        print(comparison.to_latex(), end="")
    else:
        console.comparison(comparison.to_dict())
        print(f"The page is {shown(page)}")
    return SOME_FAILED if comparison.failed else DONE


def _seeds(text: str) -> int | list[int]:
    if "," in text:
        return [seed(part.strip()) for part in text.strip(",").split(",")]
    if (number := seed(text)) > 0:
        return number
    raise argparse.ArgumentTypeError(f"expected a number of runs from 1, or seeds such as 0,1,2, not {text!r}")
