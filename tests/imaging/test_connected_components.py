"""Connected pieces and running extremes, against slow and obvious ways to find them."""

import numpy as np
import pytest

from mnistry.imaging import connected_components
from mnistry.imaging.connected_components import find_components, opening, quantile, rank_filter, union_find


def flooded(mask: np.ndarray) -> np.ndarray:
    """Numbers of the 8-connected pieces in the order of their first pixels, by flooding."""
    numbers = np.zeros(mask.shape, int)
    for start in np.argwhere(mask):
        if numbers[tuple(start)]:
            continue
        number, waiting = numbers.max() + 1, [tuple(start)]
        while waiting:
            y, x = waiting.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not numbers[y, x]:
                numbers[y, x] = number
                waiting += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return numbers


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (17, 23)])
def test_pieces_are_those_of_flooding(shape: tuple[int, int], share: float):
    mask = np.random.default_rng(0).random(shape) < share
    expected, components = flooded(mask), find_components(mask)
    assert components.n == expected.max()
    assert (components.paint(np.arange(1, components.n + 1)) == expected).all()
    for number in range(components.n):
        y, x = np.nonzero(expected == number + 1)
        box = (components.left[number], components.top[number], components.right[number], components.bottom[number])
        assert box == (x.min(), y.min(), x.max() + 1, y.max() + 1)
        assert components.area[number] == len(x)


def test_a_spiral_is_one_piece():
    mask = np.zeros((41, 41), bool)
    y = x = 20
    for turn in range(20):
        step, (dy, dx) = 2 * (turn // 2 + 1), [(0, 1), (1, 0), (0, -1), (-1, 0)][turn % 4]
        for _ in range(step):
            mask[np.clip(y, 0, 40), np.clip(x, 0, 40)] = True
            y, x = y + dy, x + dx
    assert find_components(mask).n == 1


def test_chosen_means_and_borders_by_hand():
    mask = np.zeros((6, 8), bool)
    mask[0, :4], mask[2:6, 7], mask[3, 3] = True, True, True
    components = find_components(mask)
    assert components.along_border() == pytest.approx([1, 1, 0])
    values = np.where(mask, np.arange(48, dtype=np.float32).reshape(6, 8), 0).astype(np.float32)
    assert components.means(values) == pytest.approx([1.5, (23 + 31 + 39 + 47) / 4, 27])
    left = components.chosen(np.array([True, False, True]))
    assert (left.n, left.area.tolist(), left.left.tolist()) == (2, [4, 1], [0, 3])


def test_pairs_are_united():
    labels, n = union_find(6, np.array([[5, 3], [3, 1], [0, 4]]))
    assert (labels.tolist(), n) == ([0, 1, 2, 1, 0, 1], 3)


def test_few_and_many_pairs_are_united_alike(monkeypatch: pytest.MonkeyPatch):
    generator = np.random.default_rng(0)
    for n in (1, 2, 5, 40):
        pairs = generator.integers(0, n, (30, 2))
        few = union_find(n, pairs)
        with monkeypatch.context() as patch:
            patch.setattr(connected_components, "FEW", -1)
            many = union_find(n, pairs)
        assert few[1] == many[1]
        assert (few[0] == many[0]).all()


@pytest.mark.parametrize("kind", [np.uint8, np.float32, bool])
@pytest.mark.parametrize("size", [1, 3, 9, 31])
def test_running_extremes(kind: type, size: int):
    values = (np.random.default_rng(1).random((12, 15)) * 255 > 127) if kind is bool else None
    values = np.random.default_rng(1).integers(0, 255, (12, 15)).astype(kind) if values is None else values
    reach = size // 2
    for extreme, slow in ((np.minimum, np.min), (np.maximum, np.max)):
        expected = [[slow(values[y, max(0, x - reach) : x + reach + 1]) for x in range(15)] for y in range(12)]
        assert (rank_filter(values, size, extreme, 1) == expected).all()
        assert (rank_filter(values.T.copy(), size, extreme, 0) == np.transpose(expected)).all()


def test_an_opening_takes_away_what_the_square_does_not_fit_into():
    values = np.full((40, 40), 10, np.uint8)
    values[5:25, 5:25] = 200  # wide: stays
    values[30:33, 2:38] = 99  # a stroke: goes
    expected = np.where(values == 99, 10, values)
    assert (opening(values, 7) == expected).all()


def test_levels_by_hand():
    assert quantile(np.arange(11)[::-1], 0.5) == 5
    assert quantile(np.array([[1, 9], [2, 8], [3, 7]]), 0.5).tolist() == [2, 8]
