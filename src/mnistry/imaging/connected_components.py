"""Connected pieces of a mask, by runs of pixels; running minima and maxima; thresholds. NumPy alone, in linear time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Index = NDArray[np.intp]


FEW = 100  # pairs


@dataclass(frozen=True)
class Components:
    """The 8-connected pieces of a mask: `n` of them, in the order of their first pixels.

    The mask's horizontal runs are `rows`, `starts`, `ends` (exclusive) and `labels`, one entry a run. Of each piece:
    `left`, `top`, `right`, `bottom` (exclusive) and `area`.
    """

    shape: tuple[int, int]
    rows: Index
    starts: Index
    ends: Index
    labels: Index
    n: int

    @cached_property
    def left(self) -> Index:
        return _extreme(np.minimum, self.starts, self)

    @cached_property
    def right(self) -> Index:
        return _extreme(np.maximum, self.ends, self)

    @cached_property
    def top(self) -> Index:
        return _extreme(np.minimum, self.rows, self)

    @cached_property
    def bottom(self) -> Index:
        return _extreme(np.maximum, self.rows + 1, self)

    @cached_property
    def area(self) -> Index:
        return np.bincount(self.labels, self.ends - self.starts, self.n).astype(np.intp)

    def means(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """The mean of the values (height, width) in each piece."""
        offset = self.rows * self.shape[1]
        edges = np.stack([self.starts + offset, self.ends + offset], axis=1).ravel()
        flat = np.append(values.ravel(), np.float32(0))  # the last run may end at the end
        sums = np.add.reduceat(flat, edges)[::2] if len(edges) else np.zeros(0)
        return np.bincount(self.labels, sums, self.n) / self.area

    def along_border(self) -> NDArray[np.float64]:
        """The largest share of its height or width with which each piece lies on the picture's border."""
        height, width = self.shape
        tall, wide = self.bottom - self.top, self.right - self.left
        on_left = np.bincount(self.labels, self.starts == 0, self.n) / tall
        on_right = np.bincount(self.labels, self.ends == width, self.n) / tall
        lengths = self.ends - self.starts
        on_top = np.bincount(self.labels, lengths * (self.rows == 0), self.n) / wide
        on_bottom = np.bincount(self.labels, lengths * (self.rows == height - 1), self.n) / wide
        return np.max([on_left, on_right, on_top, on_bottom], axis=0)

    def chosen(self, kept: Mask) -> "Components":
        """The pieces that are marked in `kept`, one mark a piece."""
        runs = kept[self.labels]
        labels = (np.cumsum(kept) - 1)[self.labels[runs]]
        return Components(self.shape, self.rows[runs], self.starts[runs], self.ends[runs], labels, int(kept.sum()))

    def paint(self, numbers: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """A picture with the number of its piece at every marked pixel, 0 elsewhere; `numbers` has one a piece."""
        width = self.shape[1] + 1
        steps = np.zeros(self.shape[0] * width, np.int32)
        values = numbers[self.labels]
        steps[self.rows * width + self.starts] = values
        steps[self.rows * width + self.ends] -= values  # a run never starts where another ends
        return np.cumsum(steps, dtype=np.int32).reshape(self.shape[0], width)[:, :-1]


def find_components(mask: Mask) -> Components:
    """The 8-connected pieces of a mask (height, width)."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1).ravel()  # (height * (width + 1),)
    starts, ends = np.flatnonzero(steps > 0), np.flatnonzero(steps < 0)
    rows = starts // (width + 1)
    first = np.searchsorted(ends, starts + width + 1)  # the runs of the next row that touch this one
    last = np.searchsorted(starts, ends + width + 1, "right")
    counts = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(starts)), counts)
    lower = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    labels, n = _union(len(starts), upper, lower)
    offset = rows * (width + 1)
    return Components((height, width), rows, starts - offset, ends - offset, labels, n)


def union_find(n: int, pairs: Index) -> tuple[Index, int]:
    """Labels of n things of which some pairs (m, 2) belong together, and how many groups there are."""
    return _union(n, pairs[:, 0], pairs[:, 1])


def _union(n: int, a: Index, b: Index) -> tuple[Index, int]:
    """The smallest number is passed on along the pairs until nothing changes."""
    if len(a) <= FEW:
        return _union_few(n, a.tolist(), b.tolist())
    root = np.arange(n)
    while len(a):
        x, y = root[a], root[b]
        apart = x != y
        if not apart.any():
            break
        a, b, x, y = a[apart], b[apart], x[apart], y[apart]
        np.minimum.at(root, np.maximum(x, y), np.minimum(x, y))
        while not np.array_equal(above := root[root], root):
            root = above
    heads = root == np.arange(n)
    return (np.cumsum(heads) - 1)[root], int(heads.sum())


def _union_few(n: int, a: list[int], b: list[int]) -> tuple[Index, int]:
    """The same pair by pair: for few pairs NumPy's calls take longer."""
    root = list(range(n))
    for x, y in zip(a, b, strict=True):
        while root[x] != x:
            x = root[x]
        while root[y] != y:
            y = root[y]
        root[max(x, y)] = min(x, y)
    numbers = 0
    labels: list[int] = []
    for k, above in enumerate(root):  # a root is smaller than what it stands for
        labels.append(numbers if above == k else labels[above])
        numbers += above == k
    return np.array(labels, np.intp), numbers


def _extreme(function: Any, values: Index, components: Components) -> Index:
    start = np.iinfo(np.intp).max if function is np.minimum else 0
    found: Index = np.full(components.n, start, np.intp)
    function.at(found, components.labels, values)
    return found


def quantile(values: NDArray[Any], share: float) -> Any:
    """The value that a share of the values, along the first axis, does not pass; faster than np.percentile."""
    place = min(int(share * len(values)), len(values) - 1)
    return np.partition(values, place, axis=0)[place]


def opening(values: Bytes, size: int) -> Bytes:
    """What is left of the bright after all that a square of `size` does not fit into is gone (an opening)."""
    low = rank_filter(rank_filter(values, size, np.minimum, 0), size, np.minimum, 1)
    return rank_filter(rank_filter(low, size, np.maximum, 0), size, np.maximum, 1)


def rank_filter(values: Any, size: int, extreme: Callable[..., Any], axis: int) -> Any:
    """The minimum or maximum within `size` pixels (odd) along an axis; beyond the border nothing counts.

    Windows double, so that the time grows with the logarithm of the size.
    """
    reach, (height, width) = size // 2, values.shape
    fill = extreme is np.minimum if values.dtype == bool else np.inf if values.dtype.kind == "f" else 255
    fill = fill if extreme is np.minimum else 0
    wide: Any  # padded by hand: np.pad takes longer than all the rest on small pictures
    if axis == 0:
        wide = np.full((height + 2 * reach, width), fill, values.dtype)
        wide[reach : reach + height] = values
    else:
        wide = np.full((height, width + 2 * reach), fill, values.dtype)
        wide[:, reach : reach + width] = values
    span = 1
    while span < size:
        step = min(span, size - span)
        wide = extreme(wide[:-step], wide[step:]) if axis == 0 else extreme(wide[:, :-step], wide[:, step:])
        span += step
    return wide


def otsu(values: NDArray[np.float32]) -> float:
    """The threshold that parts values into the two most distinct groups (Otsu, 1979)."""
    step = max(float(values.max()), 1.0) / 256
    counts = np.bincount((values * np.float32(1 / step)).astype(np.uint16).ravel(), minlength=257)  # 256: the maximum
    counts[255:] = counts[255] + counts[256], 0
    edges = step * np.arange(258)
    middles = edges[:-1] + step / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    parts = (below > 0) & (above > 0)
    if not parts.any():
        return float(edges[256])  # one value alone: nothing stands out
    mean_below, mean_above = sums / below.clip(1), (sums[-1] - sums) / above.clip(1)
    spread = np.where(parts, below * above * (mean_below - mean_above) ** 2, -1)
    return float(edges[1 + int(spread.argmax())])
