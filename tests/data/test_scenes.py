"""Scenes: legal, repeatable, and of other people and grounds in validation than in training."""

import time
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mnistry.data.drawing import grounds, layouts, writing
from mnistry.data.drawing.clutter import HELD_BACK_FONTS, HELD_BACK_PENS, TRAINING_FONTS, TRAINING_PENS, character
from mnistry.data.drawing.marks import Pen, Strokes, draw, field, thinned
from mnistry.data.drawing.page import Page, readable
from mnistry.data.drawing.styles import styled_hands
from mnistry.data.drawing.writing import COMMA, DATE, SLASHES, somebody
from mnistry.data.scenes import KINDS, Crowd, Scene, SceneMaker
from mnistry.data.writers import HELD_BACK_STROKES, Pictures, folder_hands, mnist_hands, stroke_hands
from mnistry.settings import MnistryError

SIZES = ((28, 28), (40, 300), (128, 128), (400, 400))


@pytest.fixture(scope="module")
def maker() -> SceneMaker:
    """Of invented digits, so that it needs no data: bars, rings and the models of `styles`."""
    images = np.zeros((40, 28, 28), np.uint8)
    for k in range(40):
        images[k, 4:24, 10 + k % 4 : 13 + k % 4] = 255
        images[k, 4 + 2 * (k % 10) : 7 + 2 * (k % 10), 6:22] = 255
    hands = mnist_hands(images, np.arange(40) % 10)
    return SceneMaker([Crowd("bars", hands, 1.0), Crowd("styles", styled_hands(held_back=False, many=8), 1.0)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_every_kind_makes_legal_scenes_at_any_size(maker: SceneMaker, kind: str, size: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    for _ in range(6):
        check(maker.scene(random, *size, kind=kind), size)


def test_a_pad_is_even_and_has_many_ones(maker: SceneMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "CIRCLED", 0.0)
    random = np.random.default_rng(4)
    scenes = [maker.scene(random, kind="pad") for _ in range(60)]
    labels = np.concatenate([scene.labels for scene in scenes])
    assert 0.2 < (labels == 1).mean() < 0.6
    for scene in scenes:
        clean = scene.image[cv2.dilate((scene.owner > 0).astype(np.uint8), np.ones((7, 7))) == 0]
        if not len(scene.ignore) + len(scene.signs):
            paper = np.median(clean, axis=0)
            assert (clean == paper).all(axis=1).mean() > 0.98  # no ground, line, light or grain


def check(scene: Scene, size: tuple[int, int]) -> None:
    """What every scene promises."""
    height, width = size
    assert scene.image.shape == (height, width, 3)
    assert scene.image.dtype == np.uint8
    assert scene.owner.shape == (height, width)
    k = len(scene.labels)
    assert scene.boxes.shape == (k, 4)
    assert scene.rows.shape == (k,)
    assert scene.ignore.ndim == 2
    assert scene.ignore.shape[1] == 4
    assert scene.boxes.dtype == scene.ignore.dtype == np.float32
    assert scene.labels.dtype == scene.rows.dtype == np.int64
    assert ((scene.labels >= 0) & (scene.labels <= 9)).all()
    for boxes in (scene.boxes, scene.ignore):
        assert np.isfinite(boxes).all()
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] > 0).all()
        assert (boxes[:, :2] + boxes[:, 2:] <= np.array([width, height]) + 0.01).all()
    assert set(np.unique(scene.owner)) - {0} == set(range(1, k + 1))
    assert (np.diff(scene.rows) >= 0).all()


def test_boxes_are_tight_around_what_each_digit_owns(maker: SceneMaker) -> None:
    random, off = np.random.default_rng(2), []
    for _ in range(150):
        scene = maker.scene(random)
        for k, (x, y, wide, high) in enumerate(scene.boxes):
            rows, columns = np.nonzero(scene.owner == k + 1)
            own = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            box = np.array([x, y, x + wide, y + high])
            assert (own[:2] >= box[:2] - 2).all()
            assert (own[2:] <= box[2:] + 2).all()
            off.append(np.abs(own - box).max())
    assert len(off) > 100
    assert np.mean(np.array(off) < 1.5) > 0.95  # the rest is covered by the next digit


def test_the_same_seed_gives_the_same_scene(maker: SceneMaker) -> None:
    for seed in range(20):
        one, other = (maker.scene(np.random.default_rng(seed)) for _ in range(2))
        for name in (item.name for item in fields(Scene)):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_digits_stand_in_reading_order(maker: SceneMaker) -> None:
    random = np.random.default_rng(3)
    for _ in range(30):
        scene = maker.scene(random, kind="rows")
        middle = scene.boxes[:, 0] + scene.boxes[:, 2] / 2
        for row in np.unique(scene.rows):
            assert (np.diff(middle[scene.rows == row]) > -8).all()  # digits that overlap may lean over one another


def test_scenes_of_no_digits_have_no_answers(maker: SceneMaker) -> None:
    random = np.random.default_rng(4)
    for kind in ("clutter", "empty", "huge"):
        for _ in range(20):
            scene = maker.scene(random, kind=kind)
            assert not len(scene.labels)
            assert not scene.owner.any()


def test_no_two_characters_of_nobodys_alphabets_are_alike_nor_as_simple_as_a_digit() -> None:
    made = [character(np.random.default_rng(seed)).ways for seed in range(60)]
    lengths = [sum(float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in lines) for lines in made]
    assert len({lines[0].tobytes() for lines in made}) == 60
    assert np.median(lengths) > 2.5  # times their height: a 1 has one, an 8 less than three
    assert all(
        (line == again).all() for line, again in zip(made[3], character(np.random.default_rng(3)).ways, strict=True)
    )


def test_an_unknown_kind_is_a_mistake(maker: SceneMaker) -> None:
    with pytest.raises(MnistryError, match="row, rows"):
        maker.scene(np.random.default_rng(0), kind="poem")


def test_a_form_has_the_digits_of_all_its_rows(maker: SceneMaker) -> None:
    scenes = [maker.form(np.random.default_rng(seed), 4, 6) for seed in range(8)]
    for scene in scenes:
        check(scene, scene.owner.shape)
    assert max(len(scene.labels) for scene in scenes) > 15
    assert max(scene.rows.max(initial=0) for scene in scenes) == 3


def test_a_form_of_more_boxes_than_a_byte_counts(maker: SceneMaker) -> None:
    most = max((maker.form(np.random.default_rng(seed), 18, 18) for seed in range(4)), key=lambda s: len(s.labels))
    assert len(most.labels) > 255
    check(most, most.owner.shape)


def test_amounts_are_low_strips(maker: SceneMaker) -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        scene = maker.amount(random)
        height, width = scene.owner.shape
        assert 35 <= height <= 65
        assert 120 <= width <= 400
        check(scene, (height, width))


def test_what_nobody_can_see_is_ignored() -> None:
    page = Page(40, 40)
    page.digit(
        draw(Strokes((np.array([(0, -1), (0, 0)], np.float32),)), 20 * np.eye(2), (20, 30), Pen(4), RANDOM), 1, 0
    )
    paper = np.full((40, 40, 3), 200, np.float32)
    black = np.zeros(3, np.float32)
    seen = readable(page.scene(page.coloured(paper.copy(), black, black, 1.0)))
    unseen = readable(page.scene(page.coloured(paper.copy(), paper[0, 0] - 1, black, 1.0)))
    assert list(seen.labels) == [1]
    assert len(unseen.labels) == 0
    assert len(unseen.ignore) == 1
    assert not unseen.owner.any()


def test_a_digit_cut_by_the_border_is_ignored_and_one_that_lost_a_little_is_not() -> None:
    def page_with(x: float) -> Scene:
        page = Page(40, 40)
        bar = Strokes((np.array([(-0.5, -1), (0.5, -1), (0.5, 0), (-0.5, 0), (-0.5, -1)], np.float32),))
        page.digit(draw(bar, 20 * np.eye(2), (x, 30), Pen(3), RANDOM), 0, 0)
        return page.scene(np.zeros((40, 40, 3), np.float32))

    whole, little, half = page_with(20), page_with(10), page_with(-3)
    assert list(whole.boxes[0]) == pytest.approx([8.5, 8.5, 23, 23], abs=1)
    assert len(little.labels) == 1
    assert len(half.labels) == 0
    assert len(half.ignore) == 1


def test_the_upper_digit_owns_what_both_cover() -> None:
    page = Page(40, 40)
    for label, way in ((1, [(0, -1), (0, 0)]), (7, [(-0.5, -0.5), (0.5, -0.5)])):
        page.digit(draw(Strokes((np.array(way, np.float32),)), 20 * np.eye(2), (20, 30), Pen(4), RANDOM), label, 0)
    scene = page.scene(np.zeros((40, 40, 3), np.float32))
    assert scene.owner[20, 20] == 2
    assert scene.owner[12, 20] == 1
    assert scene.boxes[0] == pytest.approx([18, 8, 4, 24], abs=1)


def test_a_pen_draws_lines_of_its_width_at_any_size() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 13:16] = 255
    shapes = (field(image), Strokes((np.array([(0, -1), (0, 0)], np.float32),)))
    for shape in shapes:
        for width in (6.0, 10.0):
            tile = draw(shape, 60 * np.eye(2), (50.3, 80.6), Pen(width), RANDOM)
            assert tile.alpha[len(tile.alpha) // 2].sum() == pytest.approx(width, abs=1.6)


def test_a_way_below_its_foot_is_drawn_to_its_end() -> None:
    for shape, depth in ((COMMA, 0.13), (SLASHES[-1], 0.3)):
        tile = draw(shape, 100 * np.eye(2), (60, 150), Pen(4), RANDOM)
        rows = np.flatnonzero(tile.alpha.max(axis=1) > 0.5)
        assert tile.top + rows[-1] == pytest.approx(150 + 100 * depth, abs=4)


def test_a_slash_is_a_mark_of_its_number_and_as_aslant_in_any_hand(maker: SceneMaker) -> None:
    random = np.random.default_rng(0)
    writing = replace(somebody(maker.crowds[0].hands, 40, random), slant=-0.5, pen=Pen(4))
    for slash in SLASHES:
        page = Page(128, 128)
        writing._beside(page, slash, 40.0, 90, random, -1, 0)
        rows, columns = np.nonzero(page.ink > 0.5)
        assert np.corrcoef(rows, columns)[0, 1] < -0.9  # from below on the left to above on the right
        assert (len(page.marks), len(page.signs), len(page.ignored)) == (1, 0, 0)


def test_a_date_has_one_sign_twice_and_an_amount_has_none(maker: SceneMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "DATES", 1.0)
    random = np.random.default_rng(0)
    hand = replace(somebody(maker.crowds[0].hands, 20, random), angle=0.0, marks=0.0, links=0.0)
    for _ in range(20):
        labels = [int(v) for v in random.integers(0, 10, int(random.integers(4, 9)))]
        signs = hand._signs(labels, random)
        (sign,) = {id(sign): sign for sign in signs if sign is not None}.values()
        assert any(sign is one for one in DATE)
        assert signs[0] is None
        assert 1 <= sum(sign is not None for sign in signs) <= 2
        page = Page(128, 400)
        monkeypatch.setattr(writing, "DATE", SLASHES)
        hand.row(page, labels, 20, 80, 0, random, maker.clutter)
        monkeypatch.setattr(writing, "DATE", DATE)
        assert 1 <= len(page.marks) <= 2
    assert hand._signs([1, 2, 3], random) == [None] * 3
    assert replace(hand, money=True)._signs([1, 2, 3, 4], random) == [None] * 4


def test_a_ring_goes_round_digits_and_is_no_answer(maker: SceneMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "CIRCLED", 1.0)
    random = np.random.default_rng(0)
    writing = replace(somebody(maker.crowds[0].hands, 30, random), pen=Pen(3), angle=0.0, marks=0.0, links=0.0)
    many = []
    for _ in range(20):
        page = Page(128, 240)
        writing.row(page, [8, 8], 40, 80, 0, random, maker.clutter)
        alone = page.ink.copy()
        layouts._circled(page, 0, writing, random)
        y, x = np.nonzero(page.ink > alone + 0.5)
        low, high = np.array([x.min(), y.min()]), np.array([x.max(), y.max()])
        many.append(sum(bool((digit.outline > low).all() and (digit.outline < high).all()) for digit in page.digits))
        assert not page.signs + page.marks + page.ignored
    assert set(many) == {1, 2}


def test_thinning_leaves_lines_of_one_pixel_that_hang_together() -> None:
    mask = np.zeros((30, 30), bool)
    mask[5:25, 12:18] = True
    thin = thinned(mask)
    assert thin.any()
    assert thin.sum(axis=1).max() == 1
    assert (np.diff(np.flatnonzero(thin.any(axis=1))) == 1).all()


def test_validation_has_other_grounds_and_fonts_than_training() -> None:
    assert not set(grounds.PATTERNS) & set(grounds.HELD_BACK_PATTERNS)
    assert not set(TRAINING_FONTS) & set(HELD_BACK_FONTS)
    assert not set(TRAINING_PENS) & set(HELD_BACK_PENS)
    assert not {hand.seed for hand in styled_hands(False)} & {hand.seed for hand in styled_hands(True)}


@pytest.mark.usefixtures("mnist")
def test_validation_has_other_writers_than_training(shared: Path) -> None:
    makers = [
        make(strokes=shared / "strokes" / "pendigits-train.gz", writers=shared / "writers")
        for make in (SceneMaker.training, SceneMaker.validation)
    ]
    names = [[crowd.name for crowd in maker.crowds] for maker in makers]
    assert names[0] == names[1]
    assert {"mnist", "strokes", "writers"} <= set(names[0])
    for name in ("mnist", "writers"):
        one, other = (digits(crowd) for maker in makers for crowd in maker.crowds if crowd.name == name)
        assert len(one & other) <= 3  # pictures that are the same to the last pixel
    for maker in makers:
        check(maker.scene(np.random.default_rng(0)), (128, 128))


def digits(crowd: Crowd) -> set[bytes]:
    """All pictures of a crowd's hands."""
    hands = [hand for hand in crowd.hands if isinstance(hand, Pictures)]
    return {hand.images[k].tobytes() for hand in hands for k in np.concatenate(hand.places)}


@pytest.mark.usefixtures("mnist")
def test_mnist_alone_is_enough() -> None:
    maker = SceneMaker.training()
    start, random = time.perf_counter(), np.random.default_rng(0)
    for _ in range(60):
        check(maker.scene(random), (128, 128))
    print(f"{(time.perf_counter() - start) / 60 * 1000:.1f} ms a scene")


def test_the_writers_of_the_strokes_are_parted_by_their_numbers(shared: Path) -> None:
    file = shared / "strokes" / "pendigits-train.gz"
    training, validation = stroke_hands(file, held_back=False), stroke_hands(file, held_back=True)
    assert len(training) + len(validation) == 30
    assert len(validation) == len(HELD_BACK_STROKES) == 6
    assert all(hand.has(label) for hand in validation for label in range(10))


def test_a_fifth_of_the_other_writers_is_held_back(shared: Path) -> None:
    many = [
        sum(len(places) for hand in folder_hands(shared / "writers", held_back) for places in hand.places)
        for held_back in (False, True)
    ]
    assert many[1] / sum(many) == pytest.approx(0.2, abs=0.02)
    assert sum(many) > 4300


RANDOM = np.random.default_rng(0)
