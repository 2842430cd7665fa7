"""A scikit-learn transformer from pictures to MNIST form, for pipelines of your own."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mnistry.imaging.decode import Source
from mnistry.imaging.normalization import SIDE
from mnistry.reading.reader import Digit, Reader
from mnistry.settings import missing_extra

try:
    from sklearn.base import BaseEstimator, TransformerMixin
except ModuleNotFoundError as problem:
    raise missing_extra("mnistry.pipeline", problem) from problem


class MnistForm(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer from pictures of one digit each to MNIST form; it learns nothing.

    It finds digits as `Reader` does. `flat=False` gives uint8 (n, 28, 28), as mnistry's recipes take them, `flat=True`
    (n, 784). A picture is all that `Reader.read` takes: a path, bytes, an open file, an array or a Pillow image. In a
    picture of several digits the largest is taken; a picture without ink gives zeros. Raises PictureError if a picture
    cannot be read.
    """

    def __init__(self, flat: bool = False) -> None:
        self.flat = flat

    def fit(self, X: Iterable[Source], y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Nothing is learnt."""
        return self

    def transform(self, X: Iterable[Source]) -> NDArray[np.uint8]:
        """The pictures in MNIST form, one row each."""
        images = [_largest(reading.digits) for reading in Reader().read_many(X)]
        forms = np.stack(images) if images else np.empty((0, SIDE, SIDE), np.uint8)
        return forms.reshape(len(forms), -1) if self.flat else forms

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _largest(digits: Sequence[Digit]) -> NDArray[np.uint8]:
    if not digits:
        return np.zeros((SIDE, SIDE), np.uint8)
    return max(digits, key=lambda digit: digit.box[2] * digit.box[3]).image
