"""Pages of digits: rows, lines of the paper, shadows, broken and touching digits, specks."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mnistry.reading.reader import Reader
from writing import paper, write


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def test_rows_are_read_from_top_to_bottom_and_from_left_to_right(reader: Reader):
    page = paper()
    write(page, "7145", 40, 40, 60)
    write(page, "5417", 60, 160, 60)
    write(page, "74", 30, 280, 60)
    assert reader.read(page).text == "7145\n5417\n74"


@pytest.mark.parametrize("slant", [-0.25, -0.1, 0.1, 0.25])
def test_a_slanted_row_is_one_row(reader: Reader, slant: float):
    page = paper()
    write(page, "74457", 40, 180 - 150 * slant, 60, slant=slant)  # a plain 1 may be lost where nothing stands beside it
    assert reader.read(page).text == "74457"


def test_forty_digits_on_a_page(reader: Reader):
    page = paper(900, 700)
    for row in range(5):
        write(page, "71457145", 40, 30 + row * 130, 70, 6)
    reading = reader.read(page)
    assert reading.text == "\n".join(["71457145"] * 5)
    assert len({digit.box for digit in reading.digits}) == 40


@pytest.mark.parametrize("squared", [False, True], ids=["ruled", "squared"])
def test_lines_of_the_paper_are_no_ink(reader: Reader, squared: bool):
    page = paper()
    brush = ImageDraw.Draw(page)
    for y in range(30, 400, 45):
        brush.line([(0, y), (600, y + 8)], "#9fb4d8", 2)
    for x in range(20, 600, 45) if squared else ():
        brush.line([(x, 0), (x + 6, 400)], "#9fb4d8", 2)
    write(page, "7545", 60, 150, 110, 7)
    assert reader.read(page).text == "7545"


def test_shadows_with_hard_edges_and_uneven_light(reader: Reader):
    page = paper(800, 600)
    write(page, "71457", 80, 250, 110, 14)
    light = np.linspace(1, 0.6, 800)[None, :, None] * np.where(np.arange(600) < 300, 1, 0.65)[:, None, None]
    shaded = (np.asarray(page) * light + np.random.default_rng(0).normal(0, 2, (600, 800, 1))).clip(0, 255)
    buffer = io.BytesIO()
    Image.fromarray(shaded.astype(np.uint8)).save(buffer, "JPEG", quality=70)
    assert reader.read(buffer.getvalue()).text == "71457"


def test_a_picture_pasted_on_a_larger_ground(reader: Reader):
    ground = paper(500, 500, "white")
    patch = paper(160, 200, "#e08030")
    write(patch, "4", 45, 45, 100, 9)
    ground.paste(patch, (300, 280))
    reading = reader.read(ground)
    assert reading.text == "4"
    x, y, width, height = reading.digits[0].box
    assert 300 < x < x + width < 460
    assert 280 < y < y + height < 480


def test_faint_strokes_at_a_tenth_of_the_range(reader: Reader):
    page = Image.new("L", (200, 200), 200)
    strokes = paper(200, 200, "white")
    write(strokes, "7", 60, 50, 100, 8)
    page.paste(174, mask=Image.fromarray(255 - np.asarray(strokes.convert("L"))))
    assert reader.read(page).text == "7"


def test_specks_and_dashes_are_no_digits(reader: Reader):
    page = paper()
    write(page, "745", 150, 150, 100, 8)
    brush = ImageDraw.Draw(page)
    brush.ellipse((500, 100, 507, 107), "black")
    brush.line([(60, 200), (100, 200)], "black", 8)
    assert reader.read(page).text == "745"


def test_ink_spots_about_a_digit_are_not_its_own(reader: Reader):
    page = paper(200, 200)
    write(page, "4", 70, 50, 100, 10)
    (alone,) = reader.read(page).digits
    brush = ImageDraw.Draw(page)
    for x, y in ((52, 60), (44, 72), (40, 90), (148, 70), (160, 80), (150, 140)):
        brush.ellipse((x, y, x + 5, y + 5), (30, 30, 60))
    (spotted,) = reader.read(page).digits
    assert np.allclose(spotted.box, alone.box, atol=8)


def test_the_bar_of_a_five_that_stands_apart_belongs_to_it(reader: Reader):
    page = paper(200, 200)
    brush = ImageDraw.Draw(page)
    brush.line([(70, 68), (68, 100), (110, 95), (125, 125), (100, 155), (65, 150)], "black", 8, joint="curve")
    brush.line([(74, 50), (135, 46)], "black", 8)
    assert reader.read(page).text == "5"


@pytest.mark.parametrize("scale", [1, 4, 8])
def test_a_digit_is_never_split_because_it_is_large(reader: Reader, scale: int):
    page = paper(110 * scale, 120 * scale)
    write(page, "4", 20 * scale, 10 * scale, 100 * scale, 4 * scale)
    assert reader.read(page).text == "4"


def test_touching_digits_are_parted(reader: Reader):
    page = paper(500, 200)
    write(page, "4", 60, 50, 100, 8)
    write(page, "4", 120, 50, 100, 8)  # the bars of both run into each other
    write(page, "1", 300, 50, 100, 8)
    assert reader.read(page).text == "441"
