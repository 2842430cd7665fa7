"""Corrected readings, kept whole in one SQLite file: picture, what it says, what was read. Survives `kill -9`."""

import csv
import hashlib
import io
import sqlite3
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mnistry.imaging.decode import PictureError, open_picture
from mnistry.settings import MnistryError

NAME = "corrections.sqlite"
LONGEST_LABEL = 64
MOST_UNPACKED = 256 * 2**20  # bytes of all pictures of an imported file
TOLD = "id, label, read, created"  # the columns of a list
WAIT_SECONDS = 3.0  # for another process that is writing
TABLE = """CREATE TABLE IF NOT EXISTS corrections (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created TEXT NOT NULL, label TEXT NOT NULL, read TEXT NOT NULL,
    sha256 TEXT NOT NULL, picture BLOB NOT NULL, UNIQUE (sha256, label))"""


class StoreError(MnistryError):
    """The file cannot be used now; `kind` is full, busy or damaged. What is stored in it is kept."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True)
class Correction:
    """A picture's bytes, the digits that it shows (`label`), and what had been read."""

    id: int
    created: str
    label: str
    read: str
    picture: bytes


class Corrections:
    """The corrections under one folder. Every method raises MnistryError where the file cannot be used."""

    def __init__(self, home: Path) -> None:
        self.file = home / NAME

    def add(self, picture: bytes, label: str, read: str = "") -> dict[str, object]:
        """Keep one, and give it as `listed` does; one that is there already is kept once. Raises PictureError, too."""
        _check_label(label)
        open_picture(picture)
        with self._open() as database:
            number, _ = self._insert(database, picture, label, read)
            return _told(*database.execute(f"SELECT {TOLD} FROM corrections WHERE id = ?", (number,)).fetchone())

    def all(self) -> Iterator[Correction]:
        """All of them, newest first, with their pictures."""
        with self._open() as database:
            rows = database.execute("SELECT id, created, label, read, picture FROM corrections ORDER BY id DESC")
            yield from (Correction(*row) for row in rows)

    def listed(self, most: int = 500) -> list[dict[str, object]]:
        """The newest, without their pictures."""
        with self._open() as database:
            rows = database.execute(f"SELECT {TOLD} FROM corrections ORDER BY id DESC LIMIT ?", (most,)).fetchall()
        return [_told(*row) for row in rows]

    def picture(self, number: int) -> bytes | None:
        """The picture of one, or None where there is none of this number."""
        with self._open() as database:
            row = database.execute("SELECT picture FROM corrections WHERE id = ?", (number,)).fetchone()
        return row[0] if row else None

    def delete(self, number: int) -> bool:
        """Forget one, and say whether it was there."""
        with self._open() as database:
            return database.execute("DELETE FROM corrections WHERE id = ?", (number,)).rowcount > 0

    def export(self) -> bytes:
        """A zip of the pictures and of labels.csv (file, label, read), as `mnistry read --labels` takes it."""
        file, table = io.BytesIO(), io.StringIO()
        rows = csv.writer(table)
        rows.writerow(("file", "label", "read"))
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for correction in self.all():
                name = f"{correction.id:06}_{_file_name(correction.label)}.{_ending(correction.picture)}"
                archive.writestr(name, correction.picture)
                rows.writerow((name, correction.label, correction.read))
            archive.writestr("labels.csv", table.getvalue())
        return file.getvalue()

    def take(self, data: bytes) -> tuple[int, int]:
        """Add those of an exported zip: how many were new, how many known. All are added or none."""
        found = unpacked(data)
        with self._open() as database:
            new = [self._insert(database, *each)[1] for each in found]
        return sum(new), len(new) - sum(new)

    @staticmethod
    def _insert(database: sqlite3.Connection, picture: bytes, label: str, read: str) -> tuple[int, bool]:
        """Its number, and whether it is new."""
        key = hashlib.sha256(picture).hexdigest()
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        new = database.execute(
            "INSERT OR IGNORE INTO corrections (created, label, read, sha256, picture) VALUES (?, ?, ?, ?, ?)",
            (created, label, read[:LONGEST_LABEL], key, picture),
        ).rowcount
        row = database.execute("SELECT id FROM corrections WHERE sha256 = ? AND label = ?", (key, label)).fetchone()
        return int(row[0]), new > 0

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file in one transaction, on the disk when the block ends."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.file, timeout=WAIT_SECONDS)) as database:
                database.execute("PRAGMA synchronous = EXTRA")
                with database:
                    database.execute(TABLE)
                    yield database
        except sqlite3.DatabaseError as problem:
            raise self._refused(problem) from problem
        except OSError as problem:
            raise StoreError("damaged", f"{self.file} cannot be used: {problem.strerror}.") from problem

    def _refused(self, problem: sqlite3.DatabaseError) -> StoreError:
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return StoreError("full", f"There is no space left for {self.file}: free some. What is stored is kept.")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreError("busy", f"Another program holds {self.file}: try again when it is done.")
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            sentence = f"{self.file} is damaged and was left as it is: move it away to begin a new one."
            return StoreError("damaged", sentence)
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            sentence = f"{self.file} cannot be written: set MNISTRY_HOME to a folder that you may write to."
            return StoreError("damaged", sentence)
        return StoreError("damaged", f"The corrections in {self.file} cannot be used: {problem}.")


def _told(number: int, label: str, read: str, created: str) -> dict[str, object]:
    return {"id": number, "label": label, "read": read, "created": created}


def unpacked(data: bytes) -> list[tuple[bytes, str, str]]:
    """Picture, label and reading of each row of an exported zip. Raises MnistryError."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_UNPACKED:
                raise MnistryError(f"The pictures of the zip take more than {MOST_UNPACKED // 2**20} MB.")
            rows = list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))
            found = [(archive.read(row["file"]), row["label"], row.get("read") or "") for row in rows]
    except MnistryError:
        raise
    except Exception as problem:  # zipfile and zlib raise many classes on a damaged file
        raise MnistryError("Expected a zip with labels.csv (file, label) and its pictures, as exported.") from problem
    for picture, label, _ in found:
        _check_label(label)
        try:
            open_picture(picture)
        except PictureError as problem:
            raise MnistryError(f"A picture of the zip cannot be read: {problem}.") from problem
    return found


def _check_label(label: str) -> None:
    if not isinstance(label, str) or not 1 <= len(label) <= LONGEST_LABEL or not set(label) <= set("0123456789\n?"):
        raise MnistryError("A label is the digits that the picture shows, such as 7 or 2026, or ? for no digit.")


def _file_name(label: str) -> str:
    return label.replace("\n", "-").replace("?", "none")


def _ending(picture: bytes) -> str:
    kinds = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif", b"RIFF": "webp", b"BM": "bmp"}
    return next((ending for start, ending in kinds.items() if picture.startswith(start)), "tiff")
