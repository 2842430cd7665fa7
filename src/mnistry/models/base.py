"""What every classifier here keeps: images in, probabilities out, and a sentence for anything else.

`images` are uint8 (n, 28, 28), 0 = paper, 255 = ink, labels (n,) from 0 to 9. Scaling, flattening and one-hot labels
are the classifier's own business.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from mnistry.models.setting import InputError as InputError

Images = NDArray[np.uint8]
Labels = NDArray[np.integer[Any]]
Pair = tuple[Images, Labels]
Progress = Callable[[int, int, int, int, dict[str, float]], None]  # epoch, epochs, batch, batches, figures so far


class DigitClassifier(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A scikit-learn classifier of digits; a kind of it has `fit`, `save`, `layers_` and `_proba`."""

    def predict_proba(self, X: Images) -> NDArray[np.float32]:
        """Probabilities float32 (n, 10) of uint8 images (n, 28, 28)."""
        check_is_fitted(self)
        X = check_images(X)
        return self._proba(X).astype(np.float32, copy=False) if len(X) else np.empty((0, 10), np.float32)

    def predict(self, X: Images) -> NDArray[np.int64]:
        """The most probable digit of each image: (n,)."""
        return self.predict_proba(X).argmax(axis=1)

    @abstractmethod
    def _proba(self, X: Images) -> NDArray[np.floating[Any]]:
        """Probabilities (n, 10) of n > 0 images that are known to be right."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags


def check_images(images: Any) -> Images:
    """Return the images as an array, or raise InputError unless they are uint8 (n, 28, 28)."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise InputError(f"Images are uint8 (n, 28, 28), 0 = paper and 255 = ink, not {images.dtype} {images.shape}.")
    return images


def check_labels(labels: Any, n: int) -> Labels:
    """Return the labels as an array, or raise InputError unless they are n > 0 whole numbers from 0 to 9."""
    labels = np.asarray(labels)
    if labels.shape != (n,) or n == 0:
        raise InputError(f"Labels are one for each image, not {labels.shape} for {n} images.")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 9:
        raise InputError(f"Labels are whole numbers from 0 to 9, not {labels.dtype} such as {labels[0]!r}.")
    return labels
