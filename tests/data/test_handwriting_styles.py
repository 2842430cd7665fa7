"""Digits as other people write them: what is added is added to the right ones, and they stay what they are."""

import numpy as np
import pytest

from mnistry.data.handwriting_styles import (
    _barbed,
    _hung_on,
    _overlapped,
    _round_or_tailed,
    european,
    tight,
    with_neighbours,
)

CHANGED = (0, 1, 4, 7, 9)


def test_europeans_change_some_of_their_digits(few_digits):
    images, labels = few_digits
    changed = european(images, labels, 1.0, np.random.default_rng(0))
    touched = (changed != images).any(axis=(1, 2))
    assert not touched[~np.isin(labels, CHANGED)].any()
    assert touched[np.isin(labels, CHANGED)].mean() > 0.9
    assert images[labels == 7].astype(float).sum() < changed[labels == 7].astype(float).sum()
    half = european(images, labels, 0.5, np.random.default_rng(0))
    assert 50 < (half != images).any(axis=(1, 2)).sum() < 100


def test_a_share_of_the_digits_has_neighbours(few_digits):
    images, _ = few_digits
    before = images.copy()
    changed = with_neighbours(images, 0.3, np.random.default_rng(0))
    assert (images == before).all()
    assert 60 < (changed != images).any(axis=(1, 2)).sum() < 120


def test_what_hangs_on_is_small():
    bar = np.zeros((100, 28, 28), np.uint8)
    bar[:, 4:24, 10:18] = 255
    changed = with_neighbours(bar, 1.0, np.random.default_rng(0))
    alike = (np.minimum(changed, bar) > 127).sum(axis=(1, 2)) / (bar > 127).sum(axis=(1, 2))
    assert np.quantile(alike, 0.1) > 0.7  # most of the bar is still where it was


def test_no_whole_1_hangs_on_a_digit():
    digit, one = np.full((20, 20), 255, np.uint8), np.full((20, 4), 255, np.uint8)
    generator = np.random.default_rng(0)
    hung = [_hung_on(digit, one, generator).shape[1] - digit.shape[1] for _ in range(100)]
    assert 0 <= min(hung) < max(hung) <= 2  # of 4; at 0 it lies within the digit


def test_where_digits_overlapped_one_is_cut_off_and_the_other_begins():
    digit, other = np.full((20, 16), 255, np.uint8), np.full((20, 16), 100, np.uint8)
    generator = np.random.default_rng(0)
    parted = [_overlapped(digit, other, generator) for _ in range(100)]
    cut_off = [(ink == 0).all(axis=0)[:16].sum() for ink in parted]
    assert 0 < np.mean(cut_off) < 5
    assert np.mean([(ink == 100).any() for ink in parted]) > 0.8  # the other stands higher or lower by some pixels
    narrow = other[:, :4]
    assert max(_overlapped(digit, narrow, generator).shape[1] for _ in range(50)) <= 18  # no whole 1


def test_some_zeros_are_round():
    narrow = np.zeros((28, 28), np.uint8)
    narrow[4:24, 9:19] = 255
    narrow[8:20, 12:16] = 0
    generator = np.random.default_rng(0)
    widths = [_round_or_tailed(narrow, generator).shape[1] for _ in range(100)]
    assert 16 <= min(widths) <= 22  # stretched to nearly its height of 20; with a tail it is all of the 28
    assert 30 < sum(width < 28 for width in widths) < 70


def test_a_barb_hangs_from_the_left_end_of_a_7():
    seven = np.zeros((28, 28), np.uint8)
    seven[4:7, 8:20] = seven[4:24, 17:20] = 255
    generator = np.random.default_rng(0)
    for _ in range(20):
        added = np.argwhere((_barbed(seven, generator) > 127) & (seven == 0))
        assert len(added)
        assert added[:, 1].max() < 13
        assert 5 <= added[:, 0].max() < 14


@pytest.mark.parametrize("label", CHANGED)
def test_low_and_faint_images_are_no_error(label: int):
    low, faint = np.zeros((2, 20, 28, 28), np.uint8)
    low[:, 12:17, 8:20], faint[:, 4:24, 8:20] = 255, 90
    for images in (low, faint):
        assert european(images, np.full(20, label), 1.0, np.random.default_rng(0)).any(axis=(1, 2)).all()


@pytest.mark.parametrize("label", CHANGED)
def test_empty_images_stay_empty(label):
    nothing = np.zeros((2, 28, 28), np.uint8)
    labels = np.full(2, label)
    assert not european(nothing, labels, 1.0, np.random.default_rng(0)).any()
    assert not with_neighbours(nothing, 1.0, np.random.default_rng(0)).any()


def test_a_tight_cut_has_ink_on_all_sides():
    image = np.zeros((28, 28), np.uint8)
    image[5:9, 3:20] = 9
    assert tight(image).shape == (4, 17)
    assert tight(image[:3]).shape == (0, 0)
