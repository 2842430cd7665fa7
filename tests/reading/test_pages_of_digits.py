"""Pages of digits: rows, lines of the paper, shadows, broken and touching digits, specks."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mnistry.imaging.binarization import binarize
from mnistry.imaging.rule_lines import remove_rule_lines
from mnistry.imaging.segmentation import Cut, crossed_strokes, propose_cuts, side_of_cuts
from mnistry.reading.detection import find_digits
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
    write(page, "71457", 40, 180 - 150 * slant, 60, slant=slant)
    assert reader.read(page).text == "71457"


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


def test_a_line_leaves_the_strokes_that_cross_it():
    mask = np.zeros((100, 200), bool)
    mask[60:62] = True
    mask[20:90, 98:103] = True
    left = remove_rule_lines(mask, mask.astype(np.float32))
    assert left[20:90, 98:103].all()
    assert left.sum() <= mask[20:90, 98:103].sum() + 20


def test_a_line_that_fades_in_a_shadow_goes_all_the_same():
    ink = np.zeros((100, 300), np.float32)
    ink[60:62] = np.linspace(0.4, 0.12, 300)
    ink[20:90, 98:103] = 1.0
    left = remove_rule_lines(ink >= 0.2, ink)
    assert left[20:90, 98:103].all()
    assert left.sum() <= 70 * 5 + 20


def test_a_line_with_soft_edges_goes_with_its_strongest_row():
    ink = np.zeros((100, 300), np.float32)
    ink[58:63] = np.array([0.32, 0.66, 1.0, 0.66, 0.32])[:, None]
    ink[20:90, 98:110] = 2.0
    left = remove_rule_lines(ink >= 0.2, ink)
    assert left[20:90, 98:110].all()
    assert left.sum() <= 70 * 12 + 60


def test_a_line_along_the_border_goes():
    mask = np.zeros((100, 300), bool)
    mask[:3], mask[20:90, 98:103] = True, True
    assert not remove_rule_lines(mask, mask.astype(np.float32))[:3].any()


def test_where_there_are_lines_one_that_leaves_the_picture_early_goes_too():
    mask = np.zeros((100, 300), bool)
    for x in range(300):
        for start in (3, 50):
            y = round(start - 0.06 * x)
            mask[max(y, 0) : max(y + 2, 0), x] = True
    mask[20:90, 98:103] = True
    assert mask[:5, :60].any()
    left = remove_rule_lines(mask, mask.astype(np.float32))
    assert not left[:5].any()
    assert left[20:90, 98:103].sum() > 300


def test_the_bar_of_a_digit_is_no_line():
    mask = np.zeros((100, 100), bool)
    mask[10:14, 10:80], mask[10:95, 76:80] = True, True
    assert (remove_rule_lines(mask, mask.astype(np.float32)) == mask).all()


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


def test_ink_spots_about_a_digit_are_not_its_own():
    page = paper(200, 200)
    write(page, "4", 70, 50, 100, 10)
    (alone,) = find_digits(page)
    brush = ImageDraw.Draw(page)
    for x, y in ((52, 60), (44, 72), (40, 90), (148, 70), (160, 80), (150, 140)):
        brush.ellipse((x, y, x + 5, y + 5), (30, 30, 60))
    (spotted,) = find_digits(page)
    assert spotted.box == alone.box


def test_the_bar_of_a_five_that_stands_apart_belongs_to_it():
    page = paper(200, 200)
    brush = ImageDraw.Draw(page)
    brush.line([(70, 68), (68, 100), (110, 95), (125, 125), (100, 155), (65, 150)], "black", 8, joint="curve")
    brush.line([(74, 50), (135, 46)], "black", 8)
    assert len(find_digits(page)) == 1


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
    assert len(find_digits(page)) == 2
    assert reader.read(page).text == "441"


def test_blank_paper_has_no_ink():
    rough = np.random.default_rng(0).normal(220, 6, (300, 400, 3)).clip(0, 255).astype(np.uint8)
    assert not binarize(rough).any()


def test_cuts_by_hand():
    ink = np.zeros((40, 80), np.float32)
    ink[5:35, 5:8], ink[5:35, 32:35], ink[5:35, 45:48], ink[5:35, 72:75] = 1, 1, 1, 1
    ink[5:8, 5:35], ink[32:35, 5:35], ink[5:8, 45:75], ink[32:35, 45:75] = 1, 1, 1, 1
    ink[18:20, 34:46] = 1  # a bridge between two boxes
    cuts = propose_cuts(ink, 3)
    assert any(35 <= cut.place <= 45 and cut.slope == 0 for cut in cuts)
    assert crossed_strokes(ink > 0.3, Cut(40, 0)) == 1
    assert crossed_strokes(ink > 0.3, Cut(20, 0)) == 2
    assert (side_of_cuts(ink.shape, [Cut(40, 0)])[0] == (np.arange(80) >= 40)).all()
    assert propose_cuts(ink[:, :20], 3) == []
