"""What `read --show FILE` shows: one picture as a drawing, many or the mistakes as a page.

Reading needs no training library, and so does this: of the folder it imports `pages` alone.
"""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mnistry.imaging.decode import Source
from mnistry.reading.batch import Result
from mnistry.reading.reader import Reader, Reading
from mnistry.reading.visualization import draw_boxes, explain, kind_of, write_drawing
from mnistry.settings import MnistryError, write_atomic

MOST_ON_PAGE = 500  # pictures
MOST_EXPLAINED = 200  # digits on a page with a picture that says why: each takes a twentieth of a second
SIDE = 420  # pixels of the longer side of a picture on the page


class Gallery:
    """Collects what `--show FILE` is to show: one picture as a drawing; many, or mistakes, as a page.

    With `labels` only the mistakes are shown. With `reader` each digit is shown with what its answer rests on.
    """

    def __init__(
        self, path: str | None, labels: Mapping[str, str] | None, labels_file: str | None = None,
        reader: Reader | None = None,
    ) -> None:  # fmt: skip
        self.path, self.mistakes_only, self.more, self.reader = path, labels is not None, 0, reader
        self.single: Result | None = None
        _check_other(path, labels_file)
        if path is not None and Path(path).is_dir():
            raise MnistryError(f"--show takes the name of a file, and {path} is a folder.")
        self.page = path is not None and path.lower().endswith((".html", ".htm"))
        self.pictures: list[dict[str, Any]] = []
        if path is not None and not self.page:
            if self.mistakes_only:
                raise MnistryError(
                    f"The mistakes are shown on a page: --show takes a name that ends in .html, not {path}."
                )
            kind_of(path)

    def add(self, result: Result, label: str | None, right: bool) -> None:
        """Take one picture, if it is to be shown."""
        if isinstance(result.source, str):
            _check_other(self.path, result.source)
        if self.path is None or result.reading is None or (self.mistakes_only and right):
            return
        if self.page and len(self.pictures) >= MOST_ON_PAGE:
            self.more += 1
        elif self.page:
            explained = sum(len(picture["digits"]) for picture in self.pictures)
            reader = self.reader if explained < MOST_EXPLAINED else None
            self.pictures.append(shown(result.file, result.source, result.reading, label, reader))
        elif self.single:
            raise MnistryError("One picture is drawn as a picture, many are shown on a page: --show FILE.html.")
        else:
            self.single = result

    def write(self) -> None:
        """Write the page or the drawing, if one is wanted."""
        if self.path is not None and self.single and self.single.reading:
            write_drawing(self.path, self.single.source, self.single.reading, self.reader)
        if self.page and self.path is not None:
            write_page(self.path, self.pictures, "Mistakes" if self.mistakes_only else "What was read", self.more)


def shown(
    file: str, source: Source, reading: Reading, label: str | None = None, reader: Reader | None = None
) -> dict[str, Any]:
    """One picture for the page, as its template takes it; raises PictureError."""
    return {
        "file": _printable(file),
        "text": _in_one_line(reading.text) if reading.text else reading.reason,
        "label": None if label is None else _in_one_line(label) or "no digit",
        "drawing": _png(draw_boxes(source, reading, SIDE).quantize(128)),
        "digits": [
            {
                "sign": digit.sign,
                "probability": digit.probability,
                "refused": digit.digit is None,
                "seen": _png(Image.fromarray(255 - digit.image)),
                "why": why and _png(why),
            }
            for digit, why in zip(reading.digits, explain(reading, reader), strict=True)
        ],
    }


def write_page(path: str | Path, pictures: Sequence[Mapping[str, Any]], title: str, more: int = 0) -> None:
    """Write one self-contained page with all that is `shown`; `more` is how many were left out."""
    from mnistry.reports import pages

    explained = any(digit["why"] for picture in pictures for digit in picture["digits"])
    page = pages.render("reading", pictures=pictures, title=title, more=more, explained=explained)
    write_atomic(Path(path), page.encode("utf-8"))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _in_one_line(text: str) -> str:
    return text.replace("\n", " / ")


def _printable(file: str) -> str:
    """The name with a sign in place of bytes that are no text."""
    return file.encode("utf-8", "backslashreplace").decode()


def _check_other(path: str | None, file: str | None) -> None:
    """A drawing must not take the place of what is read."""
    if path and file and os.path.exists(path) and os.path.exists(file) and os.path.samefile(path, file):  # noqa: PTH110, PTH121
        raise MnistryError(f"--show would write over {file}, which is being read: choose another name.")
