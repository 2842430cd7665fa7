"""MNIST as named arrays, and honest splits into training and validation digits."""

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mnistry.checks import check_function, check_kind, check_seed, check_settings, check_validation
from mnistry.data.download import Progress
from mnistry.data.sources import FILES, DatasetUnavailableError, FallbackWarning, mnist_arrays, writers_table
from mnistry.data.sources import fetch as fetch
from mnistry.imaging.normalization import normalize
from mnistry.settings import MnistryError, Settings, install_hint, shown

Images = NDArray[np.uint8]  # (n, 28, 28), 0 = paper, 255 = ink
Labels = NDArray[np.int64]  # (n,), 0 to 9

# Labels of the test set that human votes found wrong (cleanlab, labelerrors.com); indices from 0.
WRONG_TEST_LABELS = (
    947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729,
)  # fmt: skip
VALIDATION_WRITERS = 0.1  # share of the digits that the split by writers holds back
STUDENTS = 4  # the NIST partition hsf_4; the others are employees


@dataclass(frozen=True)
class Dataset:
    """Images uint8 (n, 28, 28) with 0 = paper and 255 = ink, and labels int64 (n,), in three parts.

    `test_parts` names parts of the test set by their indices: for MNIST the two halves by writer group
    (`hsf4` students, `hsf0` employees) and the whole without its 15 known wrong labels.
    """

    name: str
    split: str
    seed: int
    sha256: str
    train_images: Images = field(repr=False)
    train_labels: Labels = field(repr=False)
    validation_images: Images = field(repr=False)
    validation_labels: Labels = field(repr=False)
    test_images: Images = field(repr=False)
    test_labels: Labels = field(repr=False)
    test_parts: Mapping[str, NDArray[np.int64]] = field(repr=False, default_factory=dict)
    wrong_test_labels: tuple[int, ...] = field(repr=False, default=())


def load(
    dataset: str = "auto",
    validation: float | str = 0.0,
    seed: int = 0,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set and split it into train, validation and test.

    `dataset` is "mnist", "digits" (scikit-learn's 1 797 bundled ones) or "auto": MNIST where it can be had, else
    digits with a FallbackWarning. `validation` is the fraction of the training digits to hold back,
    stratified by class and drawn by `seed`, or "writers": about a tenth, of writers who appear on one side only,
    half students and half employees as in the test set. Raises MnistryError.
    """
    check_kind("The data set", dataset, str, "auto, mnist or digits")
    if dataset not in ("auto", "mnist", "digits"):
        raise MnistryError(f"The data set is auto, mnist or digits, not {shown(dataset)}.")
    check_validation(validation)
    check_function("progress", progress, ("name", "bytes", "bytes_in_all"))
    seed, settings = check_seed(seed), check_settings(settings)
    if dataset != "digits":
        try:
            return _split(_mnist(settings, progress), validation, seed, lambda: writers_table(settings, progress))
        except DatasetUnavailableError as problem:
            if dataset == "mnist":
                raise
            notice = "This is NOT MNIST but scikit-learn's 1 797 small digits, and every result says 'digits'."
            warnings.warn(FallbackWarning(f"{notice}\n{problem}"), stacklevel=2)
    return _split(_digits(), validation, seed, _no_writers)


def _mnist(settings: Settings, progress: Progress | None) -> Dataset:
    arrays = mnist_arrays(settings, progress)[1]
    digest = hashlib.sha256("".join(file.content for file in FILES.values()).encode()).hexdigest()
    everything = np.arange(len(arrays["test_labels"]))
    halves = {"hsf4": everything[:5000], "hsf0": everything[5000:]}
    return Dataset(
        "mnist", "none", 0, digest,
        arrays["train_images"], arrays["train_labels"].astype(np.int64),
        arrays["train_images"][:0], arrays["train_labels"][:0].astype(np.int64),
        arrays["test_images"], arrays["test_labels"].astype(np.int64),
        halves | {"without_wrong_labels": np.delete(everything, WRONG_TEST_LABELS)},
        WRONG_TEST_LABELS,
    )  # fmt: skip


# --- The stand-in -----------------------------------------------------------------------------------------


def _digits() -> Dataset:
    """scikit-learn's 8x8 digits in MNIST form, the last fifth (other writers come later) as the test set.

    Source: UCI Optical Recognition of Handwritten Digits, as scikit-learn's load_digits bundles it.
    """
    try:
        images, labels = _enlarged_digits()
    except ImportError as problem:
        raise MnistryError(
            f"The data set digits is part of scikit-learn, which is not installed: {install_hint('train')}."
        ) from problem
    images, labels, test = images.copy(), labels.copy(), len(images) * 4 // 5  # the cached ones stay as they are
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    return Dataset(
        "digits", "none", 0, digest,
        images[:test], labels[:test], images[:0], labels[:0], images[test:], labels[test:],
    )  # fmt: skip


@cache
def _enlarged_digits() -> tuple[Images, Labels]:
    """Every bundled digit, enlarged from 8x8 to 64x64 by linear interpolation, so that the strokes are smooth."""
    from sklearn.datasets import load_digits  # only this stand-in needs it

    bunch = load_digits()
    places = np.clip((np.arange(64) + 0.5) / 8 - 0.5, 0, 7)
    left = np.minimum(places.astype(np.intp), 6)
    share = places - left
    tall = bunch.images[:, left] * (1 - share[:, None]) + bunch.images[:, left + 1] * share[:, None]
    large = tall[:, :, left] * (1 - share) + tall[:, :, left + 1] * share
    return np.stack([normalize(image) for image in large]), bunch.target.astype(np.int64)


# --- Splits -----------------------------------------------------------------------------------------------


def _split(whole: Dataset, validation: float | str, seed: int, writers: Callable[[], NDArray[np.int32]]) -> Dataset:
    if validation == "writers":
        held_back = _by_writers(writers(), seed)
    else:
        held_back = _stratified(whole.train_labels, float(validation), seed)
    if held_back.all() or (validation and not held_back.any()):
        raise MnistryError(
            f"A validation split of {validation} leaves {np.count_nonzero(~held_back)} digits to train on and "
            f"{np.count_nonzero(held_back)} to validate: take a share such as 0.1, or 0 for none."
        )
    return Dataset(
        whole.name, str(validation), seed, whole.sha256,
        whole.train_images[~held_back], whole.train_labels[~held_back],
        whole.train_images[held_back], whole.train_labels[held_back],
        whole.test_images, whole.test_labels, whole.test_parts, whole.wrong_test_labels,
    )  # fmt: skip


def _stratified(labels: Labels, fraction: float, seed: int) -> NDArray[np.bool_]:
    """A mask (n,) that holds back the same fraction of every class, drawn by seed."""
    generator = np.random.default_rng(seed)
    marked = np.zeros(len(labels), bool)
    for label in range(10):
        members = generator.permutation(np.flatnonzero(labels == label))
        marked[members[: round(fraction * len(members))]] = True
    return marked


def _by_writers(table: NDArray[np.int32], seed: int) -> NDArray[np.bool_]:
    """A mask (n,) that holds back all digits of some writers, drawn by seed, half of them students, half employees."""
    generator = np.random.default_rng(seed)
    partition, writer = table[:, 1], table[:, 2]
    marked = np.zeros(len(table), bool)
    for group in (partition == STUDENTS, partition != STUDENTS):
        wanted = VALIDATION_WRITERS * len(table) / 2
        for name in generator.permutation(np.unique(writer[group])):
            theirs = group & (writer == name)
            if np.count_nonzero(marked & group) + np.count_nonzero(theirs) <= wanted:
                marked |= theirs
    return marked


def _no_writers() -> NDArray[np.int32]:
    raise MnistryError("It is not recorded who wrote scikit-learn's digits: use a fraction such as 0.1, not 'writers'.")
