"""A million pictures: `python benchmarks/scale.py [--pictures N] [--cores 1 2] [--source tar|folder] [--kills K]`.

Pictures are made on the way, a thousand at a time, into a tar file or folder that goes when it has been read. They are
scikit-learn's digits, enlarged, in any greys, each different from all others. What is measured, once on each number of
cores (the process is held to them; a process reads on each):

* pictures a second, and the processor's milliseconds a picture, of all and of the first and last fifth: linear time.
  Other programs on the machine change the processor's time less than that of the clock;
* the memory of all processes after a fifth and at the end: constant memory;
* that every answer is there, in order, and how many are right;
* then the same work is killed K times (kill -9) and begun again: each goes on after the answers that stand in the file,
  and at the end the file is that of the reading that nobody killed.

The making takes part in the seconds, as reading from a disk would; `making_share` tells how much. With fewer than a
million pictures `million_hours` is an extrapolation. The last line is one JSON object.
"""

import argparse
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mnistry import Reader, load
from mnistry.reading.batch import pictures_of, read_all

SHARD = 1000  # pictures in a tar file or folder


def picture(k: int, images: Any) -> bytes:
    """Picture `k` as PNG: a digit of its own size, place and greys."""
    chance = np.random.default_rng(k)
    scale, ink, paper = int(chance.integers(2, 5)), int(chance.integers(0, 90)), int(chance.integers(170, 256))
    large = np.kron(images[k % len(images)], np.ones((scale, scale)))
    margins = chance.integers(4, 40, (2, 2))
    grey = np.pad(paper - (paper - ink) / 255 * large, margins, constant_values=paper)
    file = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Shards:
    """The names of tar files or folders, each made when it is asked for and deleted two later."""

    def __init__(self, folder: Path, kind: str, first: int, n: int) -> None:
        self.seconds = 0.0  # of the making
        self._folder, self._kind, self._first, self._n = folder, kind, first, n
        self._images = load("digits").test_images

    def __iter__(self) -> Iterator[str]:
        made: list[Path] = []
        for begin in range(self._first, self._n, SHARD):
            begun = time.perf_counter()
            made.append(self._folder / f"{begin // SHARD:06d}{'.tar' if self._kind == 'tar' else ''}")
            self._make(made[-1], range(begin, min(begin + SHARD, self._n)))
            while len(made) > 2:  # pictures of the last but one may still wait for a process
                remove(made.pop(0))
            self.seconds += time.perf_counter() - begun
            yield str(made[-1])

    def _make(self, path: Path, numbers: range) -> None:
        if self._kind == "folder":
            path.mkdir()
            for k in numbers:
                (path / f"{k:09d}.png").write_bytes(picture(k, self._images))
            return
        with tarfile.open(path, "w") as archive:
            for k in numbers:
                content, member = picture(k, self._images), tarfile.TarInfo(f"{k:09d}.png")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def remove(path: Path) -> None:
    """Delete a file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def read(answers: Path, n: int, cores: int, kind: str) -> None:
    """Read what is not in the file yet, and add a line a picture; prints what was reached at every fifth."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    done = keep_whole_lines(answers)
    with tempfile.TemporaryDirectory() as folder, answers.open("a") as file:
        shards = Shards(Path(folder), kind, done - done % SHARD, n)
        begun, marks = time.perf_counter(), [round(n * fifth / 5) for fifth in range(1, 6)]
        waiting = islice(pictures_of(shards), done % SHARD, None)
        for k, result in enumerate(read_all(Reader(), waiting, cores), done + 1):
            number, text = int(Path(result.file).stem), result.reading.text if result.reading else result.error
            file.write(json.dumps({"picture": number, "text": text}) + "\n")
            if k in marks:
                seconds, (processor, mb) = time.perf_counter() - begun, taken()
                told = {"n": k, "seconds": seconds, "making": shards.seconds, "processor": processor, "mb": mb}
                print(json.dumps(told), flush=True)


def keep_whole_lines(path: Path) -> int:
    """Cut off what a kill has left of a line; how many whole ones there are."""
    lines = 0
    with path.open("a+b") as file:
        file.seek(0)
        end = 0
        for line in file:
            if line.endswith(b"\n"):
                lines, end = lines + 1, end + len(line)
        file.truncate(end)
    return lines


def taken() -> tuple[float, float]:
    """The processor's seconds and the memory in MB of this process and those that it has started."""
    own, ticks, pages = str(os.getpid()), 0, 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = stat.read_text().rpartition(")")[2].split()  # from the third field of proc(5) on
        except OSError:  # it has ended meanwhile
            continue
        if own in (stat.parent.name, told[1]):
            ticks += int(told[11]) + int(told[12])
            pages += int(told[21])
    return ticks / os.sysconf("SC_CLK_TCK"), round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def start(answers: Path, n: int, cores: int, kind: str) -> "subprocess.Popen[str]":
    """A process that reads."""
    command = [sys.executable, __file__, "--pictures", n, "--cores", cores, "--source", kind, "--answers", answers]
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)


def measured(answers: Path, n: int, cores: int, kind: str) -> dict[str, Any]:
    """One whole reading."""
    process = start(answers, n, cores, kind)
    assert process.stdout is not None
    marks = [json.loads(line) for line in process.stdout]
    assert process.wait() == 0
    first, before, last = marks[0], marks[-2], marks[-1]
    fifth = last["n"] - before["n"], last["seconds"] - before["seconds"], last["processor"] - before["processor"]
    return {
        "pictures_a_second": round(n / last["seconds"], 1),
        "first_fifth": round(first["n"] / first["seconds"], 1),
        "last_fifth": round(fifth[0] / fifth[1], 1),
        "processor_ms": round(1000 * last["processor"] / n, 2),
        "first_fifth_processor_ms": round(1000 * first["processor"] / first["n"], 2),
        "last_fifth_processor_ms": round(1000 * fifth[2] / fifth[0], 2),
        "making_share": round(last["making"] / last["seconds"], 3),
        "mb_after_a_fifth": first["mb"],
        "mb_at_the_end": last["mb"],
        "million_hours": round(1e6 / n * last["seconds"] / 3600, 2),
    }


def killed(answers: Path, n: int, cores: int, kind: str, kills: int, chance: random.Random) -> int:
    """The same work, killed and begun again; how often it was killed before it had ended."""
    done = 0
    for _ in range(kills):
        process = start(answers, n, cores, kind)
        goal = min(n, (keep_whole_lines(answers) if answers.exists() else 0) + chance.randint(1, max(1, n // kills)))
        while process.poll() is None and (not answers.exists() or answers.read_bytes().count(b"\n") < goal):
            time.sleep(0.05)
        done += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = start(answers, n, cores, kind)
    process.communicate()
    assert process.returncode == 0
    return done


def check(answers: Path) -> tuple[bool, int]:
    """Whether the answers are those of all pictures in order, and how many are right."""
    labels, right, ordered = load("digits").test_labels, 0, True
    with answers.open() as file:
        for k, line in enumerate(file):
            told = json.loads(line)
            ordered &= told["picture"] == k
            right += told["text"] == str(labels[k % len(labels)])
    return ordered, right


def same(one: Path, other: Path) -> bool:
    """Whether two files have the same lines as far as the shorter goes."""
    with one.open() as first, other.open() as second:
        return all(a == b for a, b in zip(first, second, strict=False))


def main() -> int:
    """Measure; exit code 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--source", choices=("tar", "folder"), default="tar")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--answers", type=Path, help="read into this file and do no more: what the processes do")
    options = parser.parse_args()
    n = options.pictures
    if options.answers:
        read(options.answers, n, options.cores[0], options.source)
        return 0
    told: dict[str, Any] = {"pictures": n, "source": options.source, "cores": {}}
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        for cores in options.cores:
            whole.unlink(missing_ok=True)
            told["cores"][str(cores)] = measured(whole, n, cores, options.source)
            ordered, right = check(whole)
            told["in_order"] = told.get("in_order", True) and ordered
            told["right"] = round(right / n, 4)
            print(f"{cores} cores: {told['cores'][str(cores)]}", flush=True)
        again, few = Path(folder) / "again", max(options.kills, n // 10)
        told["kills"] = killed(again, few, options.cores[-1], options.source, options.kills,
                               random.Random(options.seed))  # fmt: skip
        told["killed_is_equal"] = check(again)[0] and keep_whole_lines(again) == few and same(whole, again)
    told["ok"] = told["in_order"] and told["killed_is_equal"]
    print(json.dumps(told))
    return 0 if told["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
