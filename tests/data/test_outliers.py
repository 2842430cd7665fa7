"""What is no digit: many kinds, in MNIST form, and none that is taken for a digit."""

import numpy as np
import pytest

from mnistry.data import outliers as module
from mnistry.data.drawing.clutter import character
from mnistry.data.letters import COMMON, LIKE_DIGITS, directions, letters
from mnistry.data.outliers import outliers, pairs
from mnistry.imaging.normalization import normalize


@pytest.fixture(scope="module")
def drawn(few_digits) -> np.ndarray:
    return outliers(400, *few_digits, np.random.default_rng(0))


def test_they_are_in_mnist_form(drawn):
    assert (drawn.dtype, drawn.shape) == (np.uint8, (400, 28, 28))
    assert drawn.any(axis=(1, 2)).all()
    ink = drawn.reshape(400, -1).astype(float)
    rows, columns = np.indices((28, 28))
    centres = np.stack([ink @ rows.ravel(), ink @ columns.ravel()], 1) / ink.sum(axis=1)[:, None]
    assert np.median(np.abs(centres - 14)) < 0.6
    assert (np.ptp(np.nonzero(normalize(drawn[0]))[0]) + 1) <= 20


def test_the_same_generator_draws_the_same(drawn, few_digits):
    assert (outliers(400, *few_digits, np.random.default_rng(0)) == drawn).all()
    assert (outliers(400, *few_digits, np.random.default_rng(1)) != drawn).any()


def test_they_are_of_many_kinds(drawn):
    """Thin and thick, tall and wide, and hardly two alike."""
    ink = drawn.mean(axis=(1, 2))
    assert np.quantile(ink, 0.9) > 3 * np.quantile(ink, 0.1)
    likeness = directions(drawn) @ directions(drawn).T - 2 * np.eye(400)
    assert np.quantile(likeness.max(axis=1), 0.5) < 0.95


def test_none_is_as_like_a_digit_as_digits_are_to_each_other(drawn, few_digits):
    known = directions(few_digits[0])
    alike = np.median(np.partition(known @ known.T, -2, axis=1)[:, -2])
    assert (directions(drawn) @ known.T).max() < alike


def test_no_letter_is_written_like_a_digit():
    assert len(letters()) > 1500
    assert not set(letters()) & LIKE_DIGITS
    assert not set(COMMON) & LIKE_DIGITS
    assert not any(letter.isdigit() for letter in letters())


def test_no_twin_of_such_a_letter_is_drawn():
    """An O is an O in Armenian, Tifinagh and Lisu, too."""
    assert not set("\u0555\u2d54\ua4f3\u0405\u01bd\u0577\ua4dc") & set(letters())
    assert len(letters()) > 2500


def test_digits_of_one_kind_will_do(few_digits):
    images, labels = few_digits
    ones = labels == 1
    assert outliers(40, images[ones], labels[ones], np.random.default_rng(0)).any(axis=(1, 2)).all()
    assert len(outliers(3, images[:1], labels[:1], np.random.default_rng(0))) == 3


def test_pairs_are_wider_than_their_digits_and_many_have_a_1(few_digits):
    drawn = pairs(300, *few_digits, np.random.default_rng(0))
    assert (drawn.dtype, drawn.shape) == (np.uint8, (300, 28, 28))
    assert drawn.any(axis=(1, 2)).all()

    def width_by_height(images: np.ndarray) -> np.ndarray:
        return np.array([np.ptp(np.nonzero(i)[1]) / max(np.ptp(np.nonzero(i)[0]), 1) for i in images])

    assert np.median(width_by_height(drawn)) > 1.2 * np.median(width_by_height(few_digits[0]))
    images, labels = few_digits
    no_ones = labels != 1
    assert len(pairs(20, images[no_ones], labels[no_ones], np.random.default_rng(0))) == 20


def test_letters_of_alphabets_that_nobody_has_are_among_them(few_digits, monkeypatch):
    made = []
    monkeypatch.setattr(module, "character", lambda generator: made.append(1) or character(generator))
    outliers(100, *few_digits, np.random.default_rng(0))
    assert len(made) > 8
