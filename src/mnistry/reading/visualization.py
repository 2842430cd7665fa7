"""Readings to look at: the picture with its boxes, the 28x28 that the model saw, and what its answers rest on."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mnistry.imaging.decode import Source, open_picture
from mnistry.reading.reader import Digit, Reading
from mnistry.reading.saliency import Model, occlusion, overlay
from mnistry.settings import MnistryError, write_atomic

READ, REFUSED, INK = "#1a7f37", "#b4530f", "#1f2934"
SIDE = 900  # pixels of the picture's longer side in the drawing
SEEN = 84  # three times 28
GAP = 10
HOW_TO_READ = "Coloured: hiding the orange ink makes the recogniser less sure, hiding the blue ink surer."


def draw_boxes(source: Source, reading: Reading, side: int = SIDE) -> Image.Image:
    """The picture with a box and an answer for each digit: green where it was read, orange where it was refused.

    Its longer side is scaled to `side` pixels. Raises PictureError.
    """
    picture, size = open_picture(source)
    scale = side / max(picture.size)
    picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    pen = ImageDraw.Draw(picture)
    for digit in reading.digits:
        _draw_box(pen, digit, picture.width / size[0], picture.height / size[1])
    return picture


def draw_reading(source: Source, reading: Reading, model: Model | None = None) -> Image.Image:
    """The picture with its boxes, and below it the 28x28 pictures that the model saw, in the same order.

    With `model`, each digit that was read stands there a second time, coloured where the answer comes from.
    Raises PictureError.
    """
    picture, reasons = draw_boxes(source, reading), explain(reading, model)
    across = SEEN * (1 if model is None else 2) + GAP  # of a cell
    width = max(picture.width, across + GAP)
    columns = max(1, (width - GAP) // across)
    words = [reading.reason] if reading.reason else [HOW_TO_READ] if any(r is not None for r in reasons) else []
    top = picture.height + (3 * GAP if words else GAP)
    sheet = Image.new("RGB", (width, top + -(-len(reading.digits) // columns) * (SEEN + 3 * GAP)), "white")
    sheet.paste(picture)
    pen = ImageDraw.Draw(sheet)
    for line in words:
        colour = REFUSED if reading.reason else INK
        pen.text((GAP, picture.height + GAP // 2), line, colour, ImageFont.load_default(16))
    for place, (digit, why) in enumerate(zip(reading.digits, reasons, strict=True)):
        corner = (GAP + place % columns * across, top + place // columns * (SEEN + 3 * GAP))
        _draw_cell(sheet, pen, corner, digit, why)
    return sheet


def explain(reading: Reading, model: Model | None) -> list[Image.Image | None]:
    """For each digit the 28x28 coloured by what its answer rests on; None where it was refused or there is no model."""
    read = [digit for digit in reading.digits if digit.digit is not None]
    if model is None or not read:
        return [None] * len(reading.digits)
    images, answers = np.stack([digit.image for digit in read]), np.array([digit.digit for digit in read])
    drops = iter(zip(images, occlusion(model, images, answers), strict=True))
    return [None if digit.digit is None else Image.fromarray(overlay(*next(drops))) for digit in reading.digits]


def write_drawing(path: str | Path, source: Source, reading: Reading, model: Model | None = None) -> None:
    """Write the drawing of one reading as a picture file of the ending's kind; raises MnistryError."""
    buffer = io.BytesIO()
    draw_reading(source, reading, model).save(buffer, kind_of(path))
    write_atomic(Path(path), buffer.getvalue())


def kind_of(path: str | Path) -> str:
    """The kind of picture that a file's ending says, such as "PNG"; raises MnistryError."""
    kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(Path(path).suffix.lower())
    if kind is None:
        raise MnistryError(f"A drawing is written as .png, .jpg or .webp, and many as one .html page, not as {path}.")
    return kind


def _draw_cell(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, corner: tuple[int, int], digit: Digit, why: Image.Image | None
) -> None:
    """What the model saw, framed, beside it what the answer rests on, and below both the answer."""
    (left, top), colour = corner, _colour(digit)
    for k, seen in enumerate([Image.fromarray(255 - digit.image), *([why] if why else [])]):
        sheet.paste(seen.convert("RGB").resize((SEEN, SEEN), Image.Resampling.NEAREST), (left + k * SEEN, top))
    right = left + SEEN * (2 if why else 1)
    pen.rectangle((left - 1, top - 1, right, top + SEEN), outline=colour)
    answer = f"{digit.sign}  {digit.probability:.1%}"
    pen.text((left, top + SEEN + 3), answer, colour, ImageFont.load_default(13))


def _draw_box(pen: ImageDraw.ImageDraw, digit: Digit, across: float, down: float) -> None:
    x, y, width, height = digit.box
    left, top = x * across, y * down
    right, bottom = left + width * across, top + height * down
    pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="white")  # seen on dark paper too
    pen.rectangle((left, top, right, bottom), outline=_colour(digit), width=2)
    size = int(np.clip(height * down / 3, 14, 40))
    font, place = ImageFont.load_default(size), (left + 3, max(0, top - size - 6))
    pen.text(place, digit.sign, _colour(digit), font, stroke_width=2, stroke_fill="white")


def _colour(digit: Digit) -> str:
    return REFUSED if digit.digit is None else READ
