"""MNIST form: hand-worked cases, and the real test digits as the oracle."""

import numpy as np
import pytest

from mnistry.data.dataset import load
from mnistry.imaging.normalization import normalize


def test_an_empty_picture_stays_empty():
    assert not normalize(np.zeros((50, 40))).any()


def test_a_square_fills_the_20x20_box_in_the_middle():
    picture = np.zeros((100, 300))
    picture[30:70, 200:240] = 7
    expected = np.zeros((28, 28), np.uint8)
    expected[5:25, 5:25] = 255  # its centre of mass, 9.5, goes to 14.5: MNIST rounds that way
    assert (normalize(picture) == expected).all()


def test_a_small_digit_is_padded_to_10_before_it_is_enlarged():
    picture = np.zeros((30, 30))
    picture[10:15, 12:17] = 1  # 5x5 in a 10x10 square becomes 10x10 in the 20x20 box
    form = normalize(picture)
    assert (np.count_nonzero(form.any(axis=0)), np.count_nonzero(form.any(axis=1))) == (10, 10)
    assert (form > 0).sum() == 100


def test_area_resampling_counts_fractions():
    picture = np.zeros((30, 30))
    picture[:30, 0] = 1  # a column one pixel wide in 30: two thirds of a new pixel
    picture[0, :30] = 1
    form = normalize(picture)
    row = form[form.any(axis=1)][10]
    assert np.count_nonzero(row) == 1
    assert row.max() == round(255 * (2 / 3) / (2 / 3 + 2 / 3 - 4 / 9))  # the corner is darkest


def test_the_aspect_ratio_is_kept():
    picture = np.zeros((200, 200))
    picture[20:180, 90:110] = 1
    form = normalize(picture)
    assert np.count_nonzero(form.any(axis=1)) == 20
    assert np.count_nonzero(form.any(axis=0)) in (3, 4)


def test_the_centre_of_mass_goes_to_the_middle():
    picture = np.zeros((60, 60))
    picture[10:50, 10:50] = 0.5
    picture[10:50, 10:20] = 1
    form = normalize(picture).astype(float)
    x = form.sum(axis=0) @ np.arange(28) / form.sum()
    assert 13.5 < x <= 14.5


def test_ink_is_never_pushed_out_of_the_picture():
    picture = np.zeros((60, 60))
    picture[10:50, 10:50] = 0.01
    picture[10:50, 10:14] = 1  # its centre of mass would ask for a shift of 11
    assert np.count_nonzero(normalize(picture).any(axis=0)) == 20


def test_scale_and_range_of_the_ink_do_not_matter():
    picture = np.zeros((40, 40))
    picture[5:29, 10:14] = 1
    picture[5:9, 10:30] = 0.5
    assert np.abs(normalize(picture).astype(int) - normalize(picture * 200)).max() <= 1
    assert np.abs(normalize(picture).astype(int) - normalize(picture.repeat(3, 0).repeat(3, 1))).max() <= 1


@pytest.mark.usefixtures("mnist")
def test_real_mnist_digits_are_in_this_form_already():
    images = load("mnist").test_images
    forms = np.stack([normalize(image) for image in images])
    assert (forms == images).all(axis=(1, 2)).mean() > 0.89  # to the byte; the others are a level or two off
    assert np.abs(forms.astype(int) - images).mean() < 0.03
