"""Augmentation: changes as far as asked, ink stays ink, and nothing else."""

import numpy as np
import pytest

from mnistry.data.augmentation import Augmentation, shifted


def centre(images: np.ndarray) -> np.ndarray:
    """x, y of each image's centre of mass."""
    line = np.arange(28)
    ink = images.astype(float).sum(axis=(1, 2))
    return np.stack([(images.sum(axis=1) * line).sum(axis=1) / ink, (images.sum(axis=2) * line).sum(axis=1) / ink], 1)


@pytest.fixture
def bar() -> np.ndarray:
    """200 times an upright bar, 4 wide and 16 high, in the middle."""
    images = np.zeros((200, 28, 28), np.uint8)
    images[:, 6:22, 12:16] = 255
    return images


def test_no_augmentation_changes_nothing(bar):
    assert (Augmentation().batch(bar, np.random.default_rng(0)) == bar).all()


def test_the_way_through_resampling_keeps_every_pixel():
    noise = np.random.default_rng(1).integers(0, 256, (1200, 28, 28)).astype(np.uint8)  # more than one tall stack
    assert (Augmentation(elastic=1e-9).batch(noise, np.random.default_rng(0)) == noise).all()


def test_shifts_are_as_far_as_asked_and_keep_all_ink(bar):
    for augmentation in (Augmentation(shift=3), Augmentation(shift=2.5)):
        moved = augmentation.batch(bar, np.random.default_rng(0))
        assert np.abs(moved.sum(axis=(1, 2)) / bar.sum(axis=(1, 2)) - 1).max() < 0.01
        way = np.abs(centre(moved) - centre(bar))
        assert way.max() == pytest.approx(augmentation.shift, abs=0.3)
        assert way.max() <= augmentation.shift + 0.01


def test_rotation_turns_the_bar_by_small_angles_mostly_and_never_by_more_than_asked(bar):
    turned = Augmentation(rotation=20).batch(bar, np.random.default_rng(0)).astype(float)
    y, x = np.mgrid[:28, :28] - 13.5
    mass = turned.sum(axis=(1, 2))
    xx, yy, xy = ((turned * part).sum(axis=(1, 2)) / mass for part in (x * x, y * y, x * y))
    angle = np.degrees(0.5 * np.arctan2(2 * xy, yy - xx))
    assert 13 < np.abs(angle).max() < 20.5  # cut at the most
    assert 4 < np.abs(angle).mean() < 7  # of |N(0, 20/3)|: 5.3
    assert np.abs(centre(turned) - 13.5).max() < 0.05


def test_zoom_changes_the_size_and_shear_the_slant(bar):
    def high(images):
        return (images > 127).any(axis=2).sum(axis=1)

    zoomed = Augmentation(zoom=0.2).batch(bar, np.random.default_rng(0))
    assert 16 * np.exp(-0.2) - 1 <= high(zoomed).min() < 15
    assert 17 < high(zoomed).max() <= 16 * np.exp(0.2) + 1
    sheared = Augmentation(shear=0.3).batch(bar, np.random.default_rng(0))
    assert np.abs(high(sheared) - 16).max() <= 1
    tops = np.array([np.flatnonzero(image[7] > 127).mean() for image in sheared])
    assert 1.2 < np.abs(tops - 13.5).max() <= 0.3 * 8


def test_elastic_bends_each_image_in_its_own_way_and_less_than_asked(bar):
    bent = Augmentation(elastic=3).batch(bar, np.random.default_rng(0))
    assert len({image.tobytes() for image in bent}) == 200
    assert np.abs(centre(bent) - 13.5).max() < 3
    across, down = (bent > 127).any(axis=1), (bent > 127).any(axis=2)
    assert (across.sum(axis=1) <= 4 + 2 * 3).all()
    assert (down.sum(axis=1) <= 16 + 2 * 3).all()


def test_erasing_takes_one_square_away_and_leaves_the_given_images_alone():
    full = np.full((100, 28, 28), 255, np.uint8)
    erased = Augmentation(erase=4).batch(full, np.random.default_rng(0))
    assert ((erased == 0).sum(axis=(1, 2)) == 16).all()
    assert (full == 255).all()
    for image in erased:
        rows, columns = np.nonzero(image == 0)
        assert np.ptp(rows) == np.ptp(columns) == 3


def test_the_same_generator_gives_the_same_changes(bar):
    augmentation = Augmentation(10, 2, 0.1, 0.1, 1, 3)
    first, second = (augmentation.batch(bar, np.random.default_rng(5)) for _ in range(2))
    assert (first == second).all()
    assert first.dtype == np.uint8


def test_shifted_digits_lose_nothing_but_move(few_digits):
    images = few_digits[0]
    moved = shifted(images, 2, np.random.default_rng(0))
    assert moved.shape == images.shape
    assert (moved != images).any()
    # a digit has 4 pixels of paper around its 20x20 box, so a shift by 2 keeps all ink
    assert (moved.sum(axis=(1, 2)) == images.sum(axis=(1, 2))).mean() > 0.95
    assert (shifted(images, 0, np.random.default_rng(0)) == images).all()


# --- Other pens


def test_strokes_become_wider_and_thinner_and_stay_in_place(bar):
    changed = Augmentation(stroke=1).batch(bar, np.random.default_rng(0))
    ink = changed.sum(axis=(1, 2)) / bar.sum(axis=(1, 2))
    assert ink.min() < 0.7
    assert ink.max() > 1.3
    assert np.median(ink) == pytest.approx(1, abs=0.1)
    assert np.abs(centre(changed) - centre(bar)).max() < 0.01


def test_blur_softens_edges_and_keeps_the_ink(bar):
    soft = Augmentation(blur=1).batch(bar, np.random.default_rng(0))
    assert np.abs(soft.sum(axis=(1, 2)) / bar.sum(axis=(1, 2)) - 1).max() < 0.02
    assert soft[:, :, 11].max() > 20
    assert (soft[:, 10, 13] == 255).all()


def test_no_pen_leaks_into_the_next_image(bar):
    bar[::2] = 0
    bar[1::2, :, 10:14] = 255  # from the upper to the lower border
    assert not Augmentation(stroke=1, blur=1).batch(bar, np.random.default_rng(0))[::2].any()
