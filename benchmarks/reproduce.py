"""The whole table anew: `make reproduce`, or `python benchmarks/reproduce.py [RECIPE...] [--out FOLDER]`.

Trains every recipe with the seeds of the published table (src/mnistry/reports/published.json, which is also the one of
docs/results.md), reads the test digits once with each run, and says which rows agree with it within two standard
errors. How long the fits took when the table was made is told first. Nothing that was trained before is used: the runs
are kept in a folder of their own, where the same command goes on after an interruption.

Exit code 1 if a row does not agree or could not be trained. The last line is one JSON object.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mnistry import load
from mnistry.models.recipes import find_recipe
from mnistry.reports import compare, published
from mnistry.settings import MnistryError, Settings


def main() -> int:
    """Train, compare and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="only these rows (default: all)")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduced"), help="where the runs are kept")
    parser.add_argument("--published", type=Path, default=published.FILE, help="another file of published figures")
    options = parser.parse_args()
    table = published.measured(options.published)
    names = [find_recipe(name).name for name in options.recipes]
    rows = {row["recipe"]: row for row in table["rows"] if not names or row["recipe"] in names}
    if missing := set(names) - set(rows):
        raise MnistryError(f"The published table has no row {', '.join(sorted(missing))}.")
    print(outlook(table, list(rows.values())), flush=True)
    comparison = trained(list(rows), table["dataset"], options.out)
    told = [published.agreement(row, rows[row["recipe"]], comparison.about["n"]["test"]) for row in comparison.rows]
    for row in told:
        print(sentence(row))
    for failure in comparison.failed:
        print(f"{failure['recipe']:9} could not be trained: {failure['reason']}")
    agree = [row["recipe"] for row in told if row["agrees"]]
    ok = len(agree) == len(rows)
    print(f"{len(agree)} of {len(rows)} rows agree with the table of {table['date']} within two standard errors.")
    print(json.dumps({"dataset": table["dataset"], "rows": told, "failed": comparison.failed, "ok": ok}))
    return 0 if ok else 1


def outlook(table: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """How much there is to train, and how long that took."""
    seconds, runs = published.fit_seconds(rows), sum(row["runs"] for row in rows)
    return (
        f"{runs} runs of {len(rows)} recipes. One after the other their fits took {duration(seconds)} when the table "
        f"was made ({table['date']}; {table['machine']}; {table['conditions']})."
    )


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def trained(names: list[str], dataset: str, out: Path) -> Any:
    """The comparison of runs that are kept in `out`, and of no others."""
    ours = Settings.from_environment()
    data = load(dataset, settings=ours)  # fetched into the usual folder, if need be
    apart = Settings(out.absolute(), ours.data or ours.cache, ours.offline)
    comparison = compare.compare(names, None, data, apart, lambda line: print(line, file=sys.stderr))
    print(f"The page is {compare.save(comparison, data, apart.home / 'comparison')}")
    return comparison


def sentence(row: dict[str, Any]) -> str:
    """What became of one row."""
    word = "agrees" if row["agrees"] else "DOES NOT AGREE"
    return (
        f"{row['recipe']:9} {row['measured']:.2f} % ({row['published']:.2f} published, {row['difference']:+.2f}, "
        f"standard error {row['standard_error']:.2f}): {word}"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MnistryError as problem:
        sys.exit(f"reproduce: {problem}")
