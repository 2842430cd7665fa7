"""Many pictures: find the files that names mean, read them in order, and score the readings against labels."""

import csv
import os
import sys
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from glob import iglob
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Self

from mnistry.imaging.decode import PictureError
from mnistry.reading.reader import Reader, Reading
from mnistry.reading.workers import LostError, Workers
from mnistry.settings import MnistryError, quiet_stderr

ENDINGS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
ARCHIVES = (".tar", ".tar.gz", ".tgz")
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BM", b"GIF8", b"II*\0", b"MM\0*")  # how picture files begin
BEGIN = 64  # bytes that are enough to tell a picture from a list of names
MANY_BYTES = 2**20  # of a tar file that is taken for one of many pictures
CHUNK = 32  # pictures that a worker is given at a time
KILLS = "the system ended the process that read it, twice, as it does when memory runs out"
AHEAD = 4  # chunks that wait for each worker: enough to keep it busy, and memory stays constant


@dataclass(frozen=True)
class NoPicture:
    """Takes the place of pictures where a name matches none; `reason` says why."""

    reason: str


Source = str | bytes | NoPicture
Chunk = list[tuple[str, Source]]


@dataclass(frozen=True)
class Result:
    """What became of one picture: a reading, or the reason why there is none."""

    file: str
    source: str | bytes
    reading: Reading | None = None
    error: str = ""


def pictures_of(names: Iterable[str], stdin: BinaryIO | None = None) -> Iterator[tuple[str, Source]]:
    """Names on the command line as pictures, each with the name to show.

    A folder means the pictures in and below it, sorted; a tar file the pictures in it, as it has them, named
    `shard.tar/name.png`; a pattern such as `*.png` means the files that it matches; `-` means standard input: one
    picture, or names, one on each line. A folder, tar file or pattern without pictures gives a NoPicture. Raises
    MnistryError if standard input is closed.
    """
    for name in names:
        if not name:
            yield name, NoPicture("expected the name of a picture, and it is empty")
        elif name == "-":
            yield from _from_stdin(stdin or _standard_input())
        elif os.path.isdir(name):  # noqa: PTH112 - Path.is_dir raises where a name is too long or a folder locked
            yield from _some(name, _in_folder(name), f"no picture in this folder: expected {', '.join(ENDINGS)}")
        elif any(sign in name for sign in "*?[") and not os.path.lexists(name):
            yield from _some(name, _matching(name), "no file matches")
        else:
            yield from _one_or_archive(name)


def read_all(reader: Reader, pictures: Iterable[tuple[str, Source]], workers: int = 1) -> Iterator[Result]:
    """Read pictures in their order, one after the other or in several processes; a bad one never stops the rest.

    A picture whose process is killed is tried again, alone; what kills two processes has that as its error.
    """
    if workers == 1:
        for picture in pictures:
            yield from _read_chunk(reader, [picture])
        return
    source = iter(pictures)
    chunks = iter(lambda: list(islice(source, CHUNK)), [])
    waiting: deque[Future[list[Result]]] = deque()
    with Workers(partial(_read_chunk, reader), workers) as pool:
        for chunk in chunks:
            waiting.append(pool.submit(_read_surely, chunk))
            if len(waiting) >= workers * AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def read_labels(path: str | Path) -> dict[str, str]:
    """The labels file: CSV with the columns `file` and `label`; `/` parts rows of writing. Raises MnistryError.

    A label is empty where a picture holds no digit.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as problem:
        raise MnistryError(f"The labels file {path} cannot be read ({problem}).") from problem
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise MnistryError(
            f"The labels file {path} needs a first line with the columns file and label, and more lines."
        )
    labels: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        name, label = row["file"] or "", (row["label"] or "").strip()
        if None in row or not set(label) <= set("0123456789/"):
            raise MnistryError(
                f"Line {number} of the labels file {path} names {name!r} with {label!r}: expected a file and its "
                "digits, with / between rows of writing, and nothing where there is no digit."
            )
        if name in labels:
            raise MnistryError(f"The labels file {path} names {name} twice.")
        if name:
            labels[name] = label.replace("/", "\n")
    return labels


def label_of(file: str, labels: Mapping[str, str]) -> str | None:
    """The label of a file: by the longest end of its path that the labels file names."""
    parts = Path(file).parts
    return next((labels[name] for name in ("/".join(parts[k:]) for k in range(len(parts))) if name in labels), None)


@dataclass
class Score:
    """How many of the pictures with a label were read right, and how many of their digits."""

    n: int = 0
    right: int = 0
    digits: int = 0
    edits: int = 0
    without_label: int = 0

    def add(self, text: str, label: str | None) -> bool:
        """Count one picture; returns whether it was read right. An empty label allows `?`, but no digit."""
        if label is None:
            self.without_label += 1
            return True
        right = text == label if label else not any(sign.isdigit() for sign in text)
        self.n, self.right = self.n + 1, self.right + right
        if label:
            self.digits += len(label.replace("\n", ""))
            self.edits += edit_distance(text, label)
        return right

    def figures(self) -> dict[str, Any]:
        """Pictures and digits, and the share of each that is right (None where there are none)."""
        return {
            "pictures": self.n,
            "right": self.right,
            "accuracy": self.right / self.n if self.n else None,
            "digits": self.digits,
            "digit_accuracy": max(0.0, 1 - self.edits / self.digits) if self.digits else None,
            "without_label": self.without_label,
        }


def edit_distance(a: str, b: str) -> int:
    """Fewest insertions, deletions and changes that turn one text into the other (Levenshtein, 1966)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def usual_workers(names: list[str]) -> int:
    """One process for a few pictures, for starting others takes longer; all cores for a folder of many or a tar."""
    return (os.cpu_count() or 1) if len(names) > 100 or any(map(_holds_many, names)) else 1


def _holds_many(name: str) -> bool:
    try:
        if name.lower().endswith(ARCHIVES):
            return os.stat(name).st_size > MANY_BYTES  # noqa: PTH116 - as everywhere here
        with os.scandir(name or os.devnull) as entries:
            return sum(1 for _ in islice(entries, 101)) > 100
    except (OSError, ValueError):  # no folder, or one that may not be entered
        return False


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise MnistryError("There is no standard input to read: it is closed.")
    return sys.stdin.buffer


def _from_stdin(stdin: BinaryIO) -> Iterator[tuple[str, Source]]:
    begin = stdin.read(BEGIN)
    if begin.startswith(MAGIC) and not _is_text(begin):
        from mnistry.imaging.decode import MOST_BYTES

        yield "-", begin + stdin.read(MOST_BYTES)
        return
    first = begin if len(begin) < BEGIN or begin.endswith(b"\n") else begin + stdin.readline()
    for line in chain(first.splitlines(), stdin):
        yield from _named(line)


def _is_text(begin: bytes) -> bool:
    """Whether this may be the beginning of a list of names: every picture format soon has a control character."""
    return not any(byte < 32 and byte not in b"\t\r\n" for byte in begin)


def _named(line: bytes) -> Iterator[tuple[str, Source]]:
    name = os.fsdecode(line.rstrip(b"\r\n"))
    if name:
        yield name, name


def _matching(pattern: str) -> Iterator[tuple[str, Source]]:
    found = sorted(iglob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    for name in found:
        yield from _one_or_archive(name)


def _one_or_archive(name: str) -> Iterator[tuple[str, Source]]:
    if name.lower().endswith(ARCHIVES) and os.path.isfile(name):  # noqa: PTH113 - Path.is_file raises for a long name
        yield from _some(name, _in_archive(name), f"no picture in this tar file: expected {', '.join(ENDINGS)}")
    else:
        yield name, name


class _Member(tarfile.TarInfo):
    """A member whose damage is an error: tarfile takes it for the end of the file."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as problem:
            if isinstance(problem, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                raise
            raise tarfile.ReadError(str(problem)) from problem


def _in_archive(name: str) -> Iterator[tuple[str, Source]]:
    """The pictures in a tar file, read one by one, and where it is damaged that."""
    from mnistry.imaging.decode import MOST_BYTES

    try:
        with tarfile.open(name, "r|*", tarinfo=_Member) as archive:
            while member := archive.next():
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile would keep each, a kilobyte of memory
                if member.isreg() and member.name.lower().endswith(ENDINGS):
                    file = archive.extractfile(member)
                    assert file is not None
                    yield f"{name}/{member.name}", file.read(MOST_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error, tarfile.TarError) as problem:
        yield name, NoPicture(f"damaged tar file ({problem})")


def _in_folder(name: str) -> Iterator[tuple[str, Source]]:
    """The pictures in and below a folder, and each folder that may not be entered."""
    locked: list[OSError] = []
    for folder, folders, files in os.walk(name, onerror=locked.append):  # no links: a loop of them would have no end
        yield from _told(locked)
        folders.sort()
        paths = [os.path.join(folder, file) for file in sorted(files) if file.lower().endswith(ENDINGS)]  # noqa: PTH118
        yield from zip(paths, paths, strict=True)
    yield from _told(locked)


def _told(locked: list[OSError]) -> Iterator[tuple[str, Source]]:
    while locked:
        problem = locked.pop(0)
        yield str(problem.filename), NoPicture(f"this folder cannot be entered ({problem.strerror})")


def _some(name: str, found: Iterable[tuple[str, Source]], otherwise: str) -> Iterator[tuple[str, Source]]:
    """What was found, or the reason why there is nothing."""
    none = True
    for one in found:
        none = False
        yield one
    if none:
        yield name, NoPicture(otherwise)


def _read_surely(do: Callable[[Chunk], list[Result]], chunk: Chunk, again: bool = True) -> list[Result]:
    """Have a process read a chunk; if it dies, each picture is tried again, alone."""
    try:
        return do(chunk)
    except LostError:
        if again:
            return [result for one in chunk for result in _read_surely(do, [one], again=False)]
        name, source = chunk[0]
        return [Result(name, name if isinstance(source, NoPicture) else source, error=KILLS)]


def _read_chunk(reader: Reader, chunk: Chunk) -> list[Result]:
    with quiet_stderr():  # libtiff tells of every oddity
        return [_read_one(reader, name, source) for name, source in chunk]


def _read_one(reader: Reader, name: str, source: Source) -> Result:
    if isinstance(source, NoPicture):
        return Result(name, name, error=source.reason)
    try:
        return Result(name, source, reader.read(source))
    except PictureError as problem:
        return Result(name, source, error=str(problem))
