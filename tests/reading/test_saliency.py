"""What an answer rests on, against models of which that is known."""

import numpy as np
import pytest

from mnistry.reading.reader import Reader
from mnistry.reading.saliency import LEAST_SCALE, SIDE, STEP, occlusion, overlay


class OnePixel:
    """Says 1 with a probability that is the ink at one pixel, else 0; counts what it is asked."""

    def __init__(self, y: int, x: int) -> None:
        self.place, self.asked = (y, x), []

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        self.asked.append(len(images))
        ink = images[:, *self.place] / 255
        return np.stack([1 - ink, ink, *[0 * ink] * 8], axis=1)


@pytest.fixture
def image() -> np.ndarray:
    """Ink in the middle, the strongest at (13, 9)."""
    image = np.zeros((28, 28), np.uint8)
    image[6:22, 6:22] = 204
    image[13, 9] = 255
    return image


@pytest.mark.parametrize(("y", "x"), [(13, 9), (6, 6), (21, 21)])
def test_the_answer_rests_on_the_one_pixel_that_the_model_looks_at(image: np.ndarray, y: int, x: int):
    (drop,) = occlusion(OnePixel(y, x), image[None], np.array([1]))
    assert drop[y, x] == drop.max() == pytest.approx(image[y, x] / 255)
    rows, columns = np.nonzero(drop)
    reach = SIDE - 1  # a square that hides the pixel hides others as far away as this
    assert max(abs(rows - y).max(), abs(columns - x).max()) <= reach
    assert drop[y, x] > drop[min(y + STEP, 27), x]


def test_ink_that_speaks_against_the_answer_is_below_0(image: np.ndarray):
    (drop,) = occlusion(OnePixel(13, 9), image[None], np.array([0]))
    assert drop[13, 9] == drop.min() == pytest.approx(-1)


def test_the_answer_is_what_the_model_reads_unless_it_is_given(image: np.ndarray):
    model = OnePixel(13, 9)
    assert (occlusion(model, image[None]) == occlusion(model, image[None], np.array([1]))).all()


def test_a_picture_is_asked_about_in_one_batch_and_only_where_ink_is(image: np.ndarray):
    model, blank = OnePixel(13, 9), np.zeros((28, 28), np.uint8)
    drops = occlusion(model, np.stack([image, blank]))
    assert len(model.asked) == 2
    assert model.asked[1] == 1  # nothing to hide
    assert model.asked[0] <= ((16 + SIDE) // STEP + 1) ** 2 + 1
    assert not drops[1].any()
    assert occlusion(model, np.zeros((0, 28, 28), np.uint8)).shape == (0, 28, 28)


def test_the_pictures_are_left_as_they_are(image: np.ndarray):
    before = image.copy()
    occlusion(OnePixel(13, 9), image[None])
    assert (image == before).all()


def test_ink_is_orange_where_it_speaks_for_the_answer_and_blue_where_against(image: np.ndarray):
    drop = np.zeros((28, 28))
    drop[13, 9], drop[10, 10] = 0.5, -0.5
    red, _, blue = overlay(image, drop).astype(int).transpose(2, 0, 1)
    assert red[13, 9] > blue[13, 9] + 100
    assert blue[10, 10] > red[10, 10] + 100
    assert (red == blue)[drop == 0].all()
    assert red[0, 0] == 255  # paper stays paper
    faint = overlay(image, drop * LEAST_SCALE / 10).astype(int)[13, 9]
    assert faint[0] - faint[2] < 30


def test_the_reader_can_be_explained(few_digits: tuple[np.ndarray, np.ndarray]):
    images, _ = few_digits
    drops = occlusion(Reader(), images[:3])
    assert drops.shape == (3, 28, 28)
    assert (np.abs(drops) <= 1).all()
    assert (drops.max(axis=(1, 2)) > 0.05).all()
