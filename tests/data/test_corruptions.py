"""Digits as bad pictures show them: spoilt in every way, and still what they are."""

import numpy as np
import pytest
from scipy import ndimage

from mnistry.data.corruptions import CORRUPTIONS, corrupt
from mnistry.models.base import InputError
from mnistry.models.recipes import RECIPES


def test_a_share_of_the_images_is_spoilt_and_the_given_ones_stay(few_digits):
    images, _ = few_digits
    before = images.copy()
    changed = corrupt(images, 0.3, np.random.default_rng(0))
    assert (images == before).all()
    assert changed.dtype == np.uint8
    assert 60 < (changed != images).any(axis=(1, 2)).sum() < 120
    assert (corrupt(images, 0, np.random.default_rng(0)) == images).all()


@pytest.mark.parametrize("way", sorted(set(CORRUPTIONS), key=lambda way: way.__name__))
def test_every_way_changes_a_digit_and_leaves_it_to_be_seen(way, few_digits):
    images, _ = few_digits
    generator = np.random.default_rng(1)
    changed = np.stack([way(image.astype(np.float32) / 255, generator).clip(0, 1) for image in images])
    assert np.isfinite(changed).all()
    assert (abs(changed - images / 255).max(axis=(1, 2)) > 0.05).mean() > 0.9
    order = np.random.default_rng(2).permutation(len(images))
    own, others = likeness(images, changed), likeness(images[order], changed)
    assert np.median(own) > np.median(others) + 0.1  # the strokes are where they were


def likeness(before: np.ndarray, after: np.ndarray) -> list[float]:
    """Correlations of edges, picture by picture."""
    pairs = zip(before, after, strict=True)
    return [np.corrcoef(edges(old).ravel(), edges(new).ravel())[0, 1] for old, new in pairs]


def edges(image: np.ndarray) -> np.ndarray:
    """How steep the picture is around each pixel."""
    down, across = np.gradient(image.astype(float))
    return ndimage.gaussian_filter(np.hypot(down, across), 1.5)


def test_empty_images_and_none_at_all_can_be_spoilt():
    assert corrupt(np.zeros((40, 28, 28), np.uint8), 1, np.random.default_rng(0)).shape == (40, 28, 28)
    assert corrupt(np.zeros((0, 28, 28), np.uint8), 1, np.random.default_rng(0)).shape == (0, 28, 28)


@pytest.mark.slow
def test_a_network_is_shown_spoilt_digits(few_digits):
    images, labels = few_digits
    plain, other = (
        RECIPES["cnn"].build(0).set_params(width=2, epochs=1, spoilt=share).fit(images, labels) for share in (0.0, 1.0)
    )
    assert other.history_[0]["loss"] > plain.history_[0]["loss"]
    with pytest.raises(InputError, match="setting spoilt is from 0 to 1"):
        RECIPES["reader"].changed({"spoilt": 1.5}).build(0).fit(images, labels)
