"""Digits found by networks: in rows, strips and forms."""

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnistry.data.scenes import SceneMaker
from mnistry.reading.layout import rows
from mnistry.reading.locate import Locator, Seen, apart, candidates, twice
from mnistry.reading.reader import Reader, Reading
from mnistry.reading.recognizer import bundled, model_card
from mnistry.reading.views import scales, view
from mnistry.settings import MnistryError, Settings
from writing import paper, write


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture
def maker(mnist: Path) -> SceneMaker:
    return SceneMaker.validation(Settings(mnist, data=mnist, offline=True))


def test_a_form_is_read_box_by_box(reader: Reader, maker: SceneMaker):
    scene = maker.form(np.random.default_rng(5), 6, 9)
    reading = reader.read(scene.image)
    found = Counter(digit.digit for digit in reading.digits)
    assert sum((found & Counter(scene.labels.tolist())).values()) >= 0.85 * len(scene.labels)


@pytest.mark.slow
def test_a_sheet_of_more_than_a_thousand_boxes_loses_none(reader: Reader, maker: SceneMaker):
    scene = maker.form(np.random.default_rng(4), 46, 25)
    found = [digit.digit for digit in reader.read(scene.image).digits]
    assert len(found) >= 0.95 * len(scene.labels) > 900


def test_amounts_of_other_writers_on_printed_ground_are_read(reader: Reader, maker: SceneMaker):
    generator, right, digits = np.random.default_rng(8), 0, 0
    for _ in range(60):
        scene = maker.amount(generator)
        read = Counter(digit.digit for digit in reader.read(scene.image).digits)
        right += sum((read & Counter(scene.labels.tolist())).values())
        digits += len(scene.labels)
    assert right >= 0.75 * digits


def test_boxes_are_in_the_pictures_own_pixels(reader: Reader):
    page = paper()
    write(page, "7445", 40, 40, 60)  # no plain 1: it may be lost on a page of any size
    large = page.resize((page.width * 4, page.height * 4), Image.Resampling.BICUBIC)
    small_boxes = np.array([digit.box for digit in reader.read(page).digits])
    large_boxes = np.array([digit.box for digit in reader.read(large).digits])
    assert np.abs(small_boxes * 4 - large_boxes).max() <= 24


def test_empty_paper_holds_no_ink(reader: Reader):
    assert reader.read(np.full((300, 400), 244, np.uint8)) == Reading("", (), "no ink found")


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 3)])
def test_the_smallest_pictures_get_an_answer(reader: Reader, size: tuple[int, int]):
    assert reader.read(np.zeros(size, np.uint8)).text == ""


def test_views_go_from_coarse_to_fine_and_places_come_back():
    assert scales(640, 480) == sorted(scales(640, 480))
    look = view(Image.new("RGB", (500, 300)), 0.5)
    points = np.array([[10.0, 20.0], [499.0, 299.0]], np.float32)
    assert np.allclose(look.to_picture(look.to_view(points)), points, atol=1e-3)
    assert all(side % 16 == 0 for side in look.pixels.shape[:2])


@pytest.mark.parametrize(("height", "finest"), [(120, 1.0), (22, 2.0)])
def test_a_picture_is_enlarged_where_it_is_small_or_something_in_it_is(height: int, finest: float):
    locator, picture = Locator(bundled("locator")), paper(320, 240)
    write(picture, "75", 40, 50, height, max(2, height // 14))
    assert locator.look(picture)[-1].view.scale == finest
    assert locator.look(paper(150, 120))[-1].view.scale == 2


@pytest.mark.slow
def test_very_many_candidates_take_little_memory():
    chance = np.random.default_rng(0)
    look = view(Image.new("RGB", (640, 640)), 1.0)
    corners = chance.uniform(0, 600, (2, 2500, 2)).astype(np.float32)
    sure = chance.uniform(0.1, 1, (2, 2500)).astype(np.float32)
    empty = np.zeros((2, 2), np.float32)
    seen = [
        Seen(look, np.concatenate([corners[k], corners[k] + 20], axis=1), np.full(2500, 20, np.float32), sure[k],
             np.full((2500, 11), 1 / 11, np.float32), empty, empty, empty) for k in range(2)
    ]  # fmt: skip
    tracemalloc.start()
    found = candidates(seen)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 < len(found.sure) <= 2000
    assert most < 150e6


def test_rows_are_found_also_where_they_slant():
    boxes = np.array([[k * 40, 10 + 8 * k, k * 40 + 30, 60 + 8 * k] for k in range(8)], np.float32)
    below = boxes + np.array([0, 90, 0, 90], np.float32)
    assert rows(np.concatenate([below, boxes])) == [list(range(8, 16)), list(range(8))]


def corners(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    """Boxes from x, y, width, height."""
    return np.array([(x, y, x + wide, y + high) for x, y, wide, high in boxes], np.float32)


def test_fields_far_apart_on_one_line_are_one_row_from_left_to_right():
    for higher in (-4, 0, 4):
        fields = corners((10, 50, 20, 36), (40, 52, 20, 36), (400, 50 + higher, 20, 36), (800, 51, 20, 36))
        assert rows(fields) == [[0, 1, 2, 3]]
    assert rows(corners((10, 50, 20, 36), (400, 75, 20, 36))) == [[0], [1]]  # another line, far away


def test_a_large_digit_stands_in_the_row_of_small_ones():
    assert rows(corners((10, 10, 70, 100), (160, 50, 10, 14), (180, 50, 10, 14), (200, 50, 10, 14))) == [[0, 1, 2, 3]]


def test_two_rows_beside_a_large_digit_are_not_mixed():
    above, below = [(10, 20, 20, 34), (40, 20, 20, 34)], [(10, 80, 20, 34), (40, 80, 20, 34)]
    assert rows(corners(*above, *below, (100, 22, 60, 90))) in ([[0, 1, 4], [2, 3]], [[0, 1], [2, 3, 4]])


@pytest.mark.parametrize("size", [(1800, 1350), (1240, 1754), (900, 675)])
def test_small_digits_on_a_large_sheet_are_found(reader: Reader, size: tuple[int, int]):
    sheet = paper(*size)
    for row, text in enumerate(("4175", "5741", "7154")):
        write(sheet, text, size[0] * 0.3, size[1] * 0.3 + 60 * row, 20, pen=2)
    assert reader.read(sheet).text == "4175\n5741\n7154"


def test_the_bundled_networks_are_those_of_their_cards(monkeypatch: pytest.MonkeyPatch):
    sizes = [len(bundled(name)) for name in ("locator", "verifier", "reader")]
    assert sizes == [model_card(name)["bytes"] for name in ("locator", "verifier", "reader")]
    assert sum(sizes) <= 3_000_000
    monkeypatch.setattr(
        "mnistry.reading.recognizer._file", lambda name: b"{}" if name.endswith("onnx") else b'{"sha256": "no"}'
    )
    with pytest.raises(MnistryError, match="damaged"):
        bundled("locator")


def test_a_stroke_is_found_once_and_two_strokes_twice():
    one, again, other = (100, 0, 108, 76), (103, 0, 111, 76), (118, 0, 126, 76)
    boxes = np.array([one, again, other], np.float32)
    assert sorted(apart(boxes, np.array([0.9, 0.8, 0.7], np.float32))) == [0, 2]


def test_what_has_no_ink_beside_one_that_has_is_found_twice():
    boxes = np.array([(0, 0, 10, 60), (12, 0, 22, 60), (300, 0, 310, 60)], np.float32)
    forms = np.zeros((3, 28, 28), np.uint8)
    forms[0, 4:24, 14] = 255
    assert twice(boxes, forms).tolist() == [False, True, False]
    assert not twice(boxes, np.zeros((3, 28, 28), np.uint8)).any()


@pytest.mark.parametrize(("sure", "kept"), [(0.2, 100), (0.4, 225)])
def test_in_a_crowd_only_likely_places_are_looked_at_again(sure: float, kept: int):
    """Texture has hundreds of places that may be something: each would cost a look of the verifier."""
    corners = np.stack(np.meshgrid(np.arange(15), np.arange(15)), axis=-1).reshape(-1, 2).astype(np.float32) * 40
    boxes = np.concatenate([corners, corners + 30], axis=1)
    many, look = len(boxes), view(Image.new("RGB", (600, 600)), 1.0)
    seen = Seen(look, boxes, np.full(many, 30, np.float32), np.full(many, sure, np.float32),
                np.full((many, 11), 1 / 11, np.float32), *(np.zeros((2, 2), np.float32) for _ in range(3)))  # fmt: skip
    assert len(candidates([seen]).boxes) == kept
