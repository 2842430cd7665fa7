"""Many pictures on many machines with Ray Data: what `mnistry read NAME... --json` prints, read by a whole cluster.

    pip install . 'ray[data]>=2.50'
    python examples/ray_read.py 'shards/*.tar' scans > answers.jsonl                       # all cores of this machine
    python examples/ray_read.py 'shards/*.tar' --address 10.0.0.1:6379 > answers.jsonl     # a cluster

Every machine must have mnistry, and the files under the same names. A tar file is one piece of work, and so are 256
pictures. Each answer comes once, in the order of the names, also if a machine dies: what it was working on, and what
it had not handed over yet, is read again by another.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from glob import glob
from itertools import groupby, islice
from typing import Any

import ray

from mnistry import Reader
from mnistry.reading.batch import ARCHIVES, pictures_of, read_all

CHUNK = 256  # pictures that a task reads, so that opening the models for each does not count


def main() -> None:
    """Print a line of JSON a picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="tar files, pictures, folders or patterns")
    parser.add_argument("--address", help="HOST:PORT of a Ray cluster (default: one on this machine)")
    options = parser.parse_args()
    out = sys.stdout
    with redirect_stdout(sys.stderr):  # Ray prints the last words of a dead machine
        ray.init(address=options.address, log_to_driver=False)
        for line in answers(pieces(options.names)):
            print(line, file=out, flush=True)


def pieces(names: Sequence[str]) -> list[str]:
    """The work in pieces, each a list of names as JSON: a tar file alone, or as many as CHUNK pictures."""
    found = [path for name in names for path in (sorted(glob(name)) or [name])]  # noqa: PTH207 - absolute too
    work: list[list[str]] = []
    for archives, paths in groupby(found, lambda path: path.endswith(ARCHIVES)):
        work += [[path] for path in paths] if archives else chunks(name for name, _ in pictures_of(paths))
    return [json.dumps(piece) for piece in work]


def chunks(names: Iterator[str]) -> Iterator[list[str]]:
    """So many names at a time."""
    return iter(lambda: list(islice(names, CHUNK)), [])


def answers(work: Sequence[str]) -> Iterator[str]:
    """A line of JSON a picture, in order, while the cluster reads."""
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    pieces = ray.data.from_items([{"names": piece} for piece in work], override_num_blocks=len(work))
    for row in pieces.flat_map(read, num_cpus=1, max_retries=-1).iter_rows():
        yield row["answer"]


def read(piece: dict[str, Any]) -> list[dict[str, str]]:
    """Read one piece, wherever there is a free core."""
    results = read_all(Reader(), pictures_of(json.loads(piece["names"])))
    return [{"answer": json.dumps({"file": r.file} | (r.reading.to_dict() if r.reading else {"error": r.error}))}
            for r in results]  # fmt: skip


if __name__ == "__main__":
    main()
