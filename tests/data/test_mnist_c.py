"""The corruptions of MNIST-C: fifteen, the same each time, and digits all the same."""

import numpy as np
import pytest

from mnistry.data.mnist_c import CORRUPTIONS, corrupted
from mnistry.settings import MnistryError


def test_there_are_fifteen_and_each_says_what_it_does():
    assert len(CORRUPTIONS) == 15
    assert all(corruption.__doc__ and corruption.__doc__.endswith(".") for corruption in CORRUPTIONS.values())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_it_spoils_a_copy_the_same_way_each_time(name: str, few_digits):
    images, _ = few_digits
    before = images.copy()
    spoilt = corrupted(images, name)
    assert (images == before).all()
    assert (spoilt.dtype, spoilt.shape) == (np.uint8, images.shape)
    assert (spoilt != images).any(axis=(1, 2)).mean() > 0.9
    assert (corrupted(images, name) == spoilt).all()


def test_what_can_be_worked_out_by_hand(few_digits):
    images = few_digits[0][:5]
    assert abs(corrupted(images, "brightness") - np.minimum(images + 127.5, 255)).max() <= 0.5
    striped = images.copy()
    striped[:, :, :7], striped[:, :, 21:] = 255 - striped[:, :, :7], 255 - striped[:, :, 21:]
    assert (corrupted(images, "stripe") == striped).all()
    moved = corrupted(images, "translate")
    assert all(np.roll(m, (dy, dx), (0, 1)).sum() <= i.sum() for m, i in zip(moved, images, strict=True)
               for dy in (3, -3) for dx in (3, -3))  # fmt: skip
    assert {tuple(np.round(centre(m) - centre(i))) for m, i in zip(moved, images, strict=True)} <= {
        (y, x) for y in (3, -3) for x in (3, -3)
    }


def centre(image: np.ndarray) -> np.ndarray:
    """The centre of mass, (row, column)."""
    return np.array([np.average(np.indices((28, 28))[axis], weights=image) for axis in (0, 1)])


def test_an_unknown_corruption_is_told(few_digits):
    with pytest.raises(MnistryError, match="no corruption 'snow': expected one of shot noise"):
        corrupted(few_digits[0], "snow")
