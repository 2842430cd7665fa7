"""Readings to look at: a picture with its boxes and the 28x28 that the model saw; a page of many."""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mnistry.imaging.decode import Source, open_picture
from mnistry.reading.batch import Result
from mnistry.reading.reader import Digit, Reading
from mnistry.settings import MnistryError, write_atomic

READ, REFUSED, INK = "#1a7f37", "#c2410c", "#1f2934"
SIDE = 900  # pixels of the picture's longer side in the drawing
SEEN = 84  # three times 28
GAP = 10
MOST_ON_PAGE = 500


@dataclass(frozen=True)
class Shown:
    """One picture of a page: its name, what was read, what is right where that is known, and the drawing."""

    file: str
    text: str
    label: str | None
    png: bytes


def draw_reading(source: Source, reading: Reading) -> Image.Image:
    """The picture with a box and an answer for each digit, green where read and orange where refused.

    Below it stand the 28x28 pictures that the model saw, in the same order. Raises PictureError.
    """
    picture, size = open_picture(source)
    scale = SIDE / max(picture.size)
    picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    width = max(picture.width, SEEN + 2 * GAP)
    columns = max(1, (width - GAP) // (SEEN + GAP))
    rows = -(-len(reading.digits) // columns)
    top = picture.height + (3 * GAP if reading.reason else GAP)
    sheet = Image.new("RGB", (width, top + rows * (SEEN + 3 * GAP)), "white")
    sheet.paste(picture)
    pen = ImageDraw.Draw(sheet)
    if reading.reason:
        pen.text((GAP, picture.height + GAP // 2), reading.reason, REFUSED, ImageFont.load_default(16))
    for place, digit in enumerate(reading.digits):
        _draw_box(pen, digit, picture.width / size[0], picture.height / size[1])
        corner = (GAP + place % columns * (SEEN + GAP), top + place // columns * (SEEN + 3 * GAP))
        seen = Image.fromarray(255 - digit.image).resize((SEEN, SEEN), Image.Resampling.NEAREST)
        sheet.paste(seen, corner)
        pen.rectangle((corner[0] - 1, corner[1] - 1, corner[0] + SEEN, corner[1] + SEEN), outline=_colour(digit))
        pen.text((corner[0], corner[1] + SEEN + 3), _answer(digit), _colour(digit), ImageFont.load_default(13))
    return sheet


def write_drawing(path: str | Path, source: Source, reading: Reading) -> None:
    """Write the drawing of one reading as a picture file of the ending's kind; raises MnistryError."""
    buffer = io.BytesIO()
    draw_reading(source, reading).save(buffer, _kind(path))
    write_atomic(Path(path), buffer.getvalue())


def shown(file: str, source: Source, reading: Reading, label: str | None = None) -> Shown:
    """One picture for a page; raises PictureError."""
    drawing = draw_reading(source, reading)
    drawing.thumbnail((420, 420))
    buffer = io.BytesIO()
    drawing.quantize(128).save(buffer, "PNG", optimize=True)
    return Shown(file, reading.text or reading.reason, label, buffer.getvalue())


class Gallery:
    """Collects what `--show FILE` is to show: one picture as a drawing; many, or mistakes, as a page."""

    def __init__(self, path: str | None, labels: Mapping[str, str] | None, labels_file: str | None = None) -> None:
        self.path, self.mistakes_only, self.more = path, labels is not None, 0
        self.single: Result | None = None
        _check_other(path, labels_file)
        if path is not None and Path(path).is_dir():
            raise MnistryError(f"--show takes the name of a file, and {path} is a folder.")
        self.page = path is not None and path.lower().endswith((".html", ".htm"))
        self.pictures: list[Shown] = []
        if path is not None and not self.page:
            if self.mistakes_only:
                raise MnistryError(
                    f"The mistakes are shown on a page: --show takes a name that ends in .html, not {path}."
                )
            _kind(path)

    def add(self, result: Result, label: str | None, right: bool) -> None:
        """Take one picture, if it is to be shown."""
        if isinstance(result.source, str):
            _check_other(self.path, result.source)
        if self.path is None or result.reading is None or (self.mistakes_only and right):
            return
        if self.page and len(self.pictures) >= MOST_ON_PAGE:
            self.more += 1
        elif self.page:
            self.pictures.append(shown(result.file, result.source, result.reading, label))
        elif self.single:
            raise MnistryError("One picture is drawn as a picture, many are shown on a page: --show FILE.html.")
        else:
            self.single = result

    def write(self) -> None:
        """Write the page or the drawing, if one is wanted."""
        if self.path is not None and self.single and self.single.reading:
            write_drawing(self.path, self.single.source, self.single.reading)
        if self.page and self.path is not None:
            write_page(self.path, self.pictures, "Mistakes" if self.mistakes_only else "What was read", self.more)


def write_page(path: str | Path, pictures: Sequence[Shown], title: str, more: int = 0) -> None:
    """Write one self-contained page with all drawings; `more` is how many were left out."""
    cards = "".join(
        f'<figure><img alt="" src="data:image/png;base64,{base64.b64encode(picture.png).decode()}">'
        f"<figcaption>{escape(_caption(picture))}</figcaption></figure>\n"
        for picture in pictures
    )
    left_out = f"<p>{more} more are not shown.</p>" if more else ""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>'
        "body{font:15px system-ui,sans-serif;margin:2em;background:#fff;color:#1f2934}"
        "main{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0;max-width:420px;border:1px solid #ccc;padding:.5em}"
        "img{max-width:100%}figcaption{white-space:pre-wrap;overflow-wrap:anywhere}</style>"
        f"<h1>{escape(title)}</h1>\n<main>\n{cards}</main>{left_out}</html>\n"
    )
    write_atomic(Path(path), page.encode("utf-8", "backslashreplace"))


def _check_other(path: str | None, file: str | None) -> None:
    """A drawing must not take the place of what is read."""
    if path and file and os.path.exists(path) and os.path.exists(file) and os.path.samefile(path, file):  # noqa: PTH110, PTH121
        raise MnistryError(f"--show would write over {file}, which is being read: choose another name.")


def _kind(path: str | Path) -> str:
    kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(Path(path).suffix.lower())
    if kind is None:
        raise MnistryError(f"A drawing is written as .png, .jpg or .webp, and many as one .html page, not as {path}.")
    return kind


def _caption(picture: Shown) -> str:
    read = picture.text.replace("\n", " / ")
    if picture.label is None:
        return f"{picture.file}\n{read}"
    label = picture.label.replace("\n", " / ") or "no digit"
    return f"{picture.file}\n{label}, read as {read}"


def _draw_box(pen: ImageDraw.ImageDraw, digit: Digit, across: float, down: float) -> None:
    x, y, width, height = digit.box
    left, top = x * across, y * down
    pen.rectangle((left, top, left + width * across, top + height * down), outline=_colour(digit), width=2)
    size = int(np.clip(height * down / 3, 14, 40))
    pen.text((left + 3, max(0, top - size - 4)), _sign(digit), _colour(digit), ImageFont.load_default(size))


def _colour(digit: Digit) -> str:
    return REFUSED if digit.digit is None else READ


def _sign(digit: Digit) -> str:
    return "?" if digit.digit is None else str(digit.digit)


def _answer(digit: Digit) -> str:
    return f"{_sign(digit)}  {digit.probability:.1%}"
