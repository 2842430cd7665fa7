"""What stands around writing: boxes and circles that are drawn, a sheet on a desk, a photo's corners."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from conftest import draw_seven
from mnistry.imaging.decode import open_picture
from mnistry.imaging.page_detection import find_pages, remove_frames
from mnistry.reading.classical import ClassicalReader
from mnistry.reading.reader import Reader
from writing import paper, write


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def desk(width: int, height: int, colour: tuple[int, int, int]) -> np.ndarray:
    """Wood: brown with a grain."""
    grain = np.random.default_rng(0).normal(0, 12, (height, width, 1))
    return (np.array(colour) + grain).clip(0, 255).astype(np.uint8)


def lies_on(sheet: Image.Image, ground: np.ndarray, left: int, top: int, angle: float = 0) -> Image.Image:
    picture, turned = Image.fromarray(ground), sheet.convert("RGBA").rotate(angle, Image.Resampling.BICUBIC, True)
    picture.paste(turned, (left, top), turned)
    return picture


def circled(mask: np.ndarray, thick: int = 3) -> np.ndarray:
    """The same with a circle of the size of the picture less a margin."""
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    side = len(mask)
    ImageDraw.Draw(picture).ellipse((4, 4, side - 5, side - 5), outline=255, width=thick)
    return np.asarray(picture) > 0


@pytest.mark.parametrize("shape", ["rectangle", "rounded", "ellipse"])
@pytest.mark.parametrize("width", [1, 3, 9])
def test_a_digit_in_a_drawn_box_is_read(reader: Reader, shape: str, width: int):
    page = Image.new("RGB", (200, 240), "white")
    page.paste(draw_seven(size=(110, 132)), (45, 54))
    brush = ImageDraw.Draw(page)
    if shape == "rounded":
        brush.rounded_rectangle((12, 12, 188, 228), 20, outline="navy", width=width)
    else:
        getattr(brush, shape)((12, 12, 188, 228), outline="navy", width=width)
    reading = reader.read(page)
    assert reading.text == "7"
    x, y, wide, tall = reading.digits[0].box
    assert min(x, y) > 30
    assert max(x + wide - 170, y + tall - 210) <= 2


def test_a_row_in_a_frame_and_each_digit_in_its_own_box(reader: Reader):
    page = paper()
    write(page, "7145", 60, 60, 100, 8)
    brush = ImageDraw.Draw(page)
    brush.rectangle((20, 30, 560, 190), outline="black", width=4)
    write(page, "5417", 60, 250, 70, 6)
    for place in range(4):
        brush.rectangle((52 + 63 * place, 236, 110 + 63 * place, 336), outline="black", width=3)
    assert reader.read(page).text == "7145\n5417"


def test_a_form_has_many_boxes(reader: Reader):
    page = paper(1300, 200)
    write(page, "714571457145", 60, 60, 70, 6)
    brush = ImageDraw.Draw(page)
    for place in range(12):
        brush.rectangle((52 + 63 * place, 46, 110 + 63 * place, 146), outline="black", width=3)
    assert reader.read(page).text == "714571457145"


@pytest.mark.parametrize("angle", [-8, 5])
def test_a_box_that_lies_aslant_is_one_all_the_same(reader: Reader, angle: int):
    page = paper(700, 400)
    write(page, "7145", 160, 140, 100, 8)
    ImageDraw.Draw(page).rectangle((110, 100, 580, 290), outline="black", width=4)
    turned = page.rotate(angle, Image.Resampling.BICUBIC, fillcolor="#fffdf4")
    assert reader.read(turned).text == "7145"


@pytest.mark.parametrize("part", [0.3, 0.5, 0.6])
def test_a_slash_in_a_0_does_not_make_it_a_frame(part: float):
    picture = Image.new("L", (120, 160))
    brush = ImageDraw.Draw(picture)
    brush.ellipse((24, 10, 96, 150), outline=255, width=6)
    reach = 70 * part
    brush.line((60 - reach / 3, 80 + reach, 60 + reach / 3, 80 - reach), 255, 6)
    mask = np.asarray(picture) > 0
    assert (remove_frames(mask) == mask).all()


def test_a_digit_in_outlines_is_no_frame():
    picture = Image.new("L", (200, 300))
    brush = ImageDraw.Draw(picture)
    brush.ellipse((40, 20, 160, 160), fill=255)
    brush.polygon([(130, 90), (160, 90), (140, 280), (105, 280)], fill=255)
    brush.ellipse((75, 55, 125, 125), fill=0)
    solid = np.asarray(picture) > 0
    inner = np.asarray(Image.fromarray(solid.astype(np.uint8) * 255).filter(ImageFilter.MinFilter(7))) > 0
    outlines = solid & ~inner  # a 9: its edge, and the edge of its hole
    assert (remove_frames(outlines) == outlines).all()


def test_what_is_not_all_around_other_ink_stays():
    alone = circled(np.zeros((80, 80), bool))
    assert (remove_frames(alone) == alone).all()
    dotted = alone.copy()
    dotted[37:42, 37:42] = True  # a 0 with a dot
    assert (remove_frames(dotted) == dotted).all()
    beside = np.zeros((80, 200), bool)
    beside[:, :80], beside[20:60, 120:126] = alone, True
    assert (remove_frames(beside) == beside).all()
    open_ = circled(np.pad(np.ones((40, 6), bool), ((20, 20), (37, 37))))
    open_[30:50, 70:] = False  # a C around a 1
    assert (remove_frames(open_) == open_).all()


def test_what_is_all_around_other_ink_goes_and_the_rest_stays_as_it_is():
    stroke = np.pad(np.ones((40, 6), bool), ((20, 20), (37, 37)))
    assert (remove_frames(circled(stroke)) == stroke).all()
    assert (remove_frames(circled(stroke, 1)) == stroke).all()  # no way out between two corners
    twice = circled(np.pad(circled(stroke), 12))
    assert (remove_frames(twice) == np.pad(stroke, 12)).all()


def test_squares_of_the_paper_are_no_frames():
    """They run out of the picture, and some digit touches them."""
    mask = np.zeros((200, 200), bool)
    mask[20::40] = mask[:, 20::40] = True
    mask[66:94, 75:80] = True
    assert (remove_frames(mask) == mask).all()


@pytest.mark.parametrize("angle", [0, 8, -15])
@pytest.mark.parametrize("colour", [(95, 62, 38), (30, 30, 34)], ids=["wood", "black"])
def test_a_sheet_on_a_desk_is_read(reader: Reader, angle: float, colour: tuple[int, int, int]):
    note = Image.new("RGB", (300, 160), "#f4f1e8")
    write(note, "7145", 40, 45, 60, 6)
    assert reader.read(lies_on(note, desk(600, 500, colour), 120, 110, angle)).text.replace("\n", "") == "7145"


def test_the_box_of_a_digit_on_a_sheet_is_in_the_pictures_own_pixels(reader: Reader):
    note = draw_seven(size=(200, 240))
    classical = ClassicalReader(reader)
    (digit,) = classical.read(*open_picture(lies_on(note, desk(800, 700, (95, 62, 38)), 250, 200))).digits
    x, y, wide, tall = digit.box
    alone = classical.read(*open_picture(note)).digits[0].box
    assert digit.digit == 7
    assert max(abs(x - 250 - alone[0]), abs(y - 200 - alone[1]), abs(wide - alone[2]), abs(tall - alone[3])) <= 3


def test_a_thing_that_is_no_sheet_is_not_looked_into():
    letter = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(letter).line([(30, 40), (170, 40), (100, 40), (100, 180)], "black", 12)  # a T
    assert not list(find_pages(np.asarray(letter)))
    assert not list(find_pages(np.full((100, 100, 3), 200, np.uint8)))


def test_a_sheet_alone_has_its_own_colours_all_around():
    note = Image.new("RGB", (300, 160), "#f4f1e8")
    seen = next(find_pages(np.asarray(lies_on(note, desk(600, 500, (95, 62, 38)), 120, 110))))
    assert seen.shape == (500, 600, 3)
    assert abs(seen.astype(int) - [0xF4, 0xF1, 0xE8]).max() < 12


def test_nothing_is_read_into_a_thing_of_the_wrong_kind(reader: Reader):
    blanket = desk(600, 500, (150, 140, 130))
    reading = reader.read(lies_on(Image.new("RGB", (250, 200), "#803020"), blanket, 120, 110))
    assert "no" in reading.reason
