"""MNIST's files: where they come from, and the check that they are the real ones, byte for byte."""

import gzip
import hashlib
import io
import struct
import warnings
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistry.data.download import DownloadError, Progress, download
from mnistry.settings import MnistryError, Settings, resolved


@dataclass(frozen=True)
class File:
    """One file of the collection: its name without .gz, the array's shape and type, and three checks."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int  # bytes, compressed
    sha256: str  # of the compressed file
    content: str  # sha256 of the uncompressed one

    @property
    def header(self) -> bytes:
        """The first bytes of an IDX file: two zeros, type, number of dimensions, dimensions."""
        kind = {"u1": 0x08, ">i4": 0x0C}[self.dtype]
        return struct.pack(f">HBB{len(self.shape)}I", 0, kind, len(self.shape), *self.shape)

    @property
    def length(self) -> int:
        """Bytes of the uncompressed file."""
        return len(self.header) + int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


# Licence of the data: CC BY-SA 3.0, Yann LeCun, Corinna Cortes and Christopher J. C. Burges.
FILES = {
    "train_images": File(
        "train-images-idx3-ubyte", (60000, 28, 28), "u1", 9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train_labels": File(
        "train-labels-idx1-ubyte", (60000,), "u1", 28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "test_images": File(
        "t10k-images-idx3-ubyte", (10000, 28, 28), "u1", 1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "test_labels": File(
        "t10k-labels-idx1-ubyte", (10000,), "u1", 4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}  # fmt: skip
# Who wrote each digit: facebookresearch/qmnist (BSD). Columns: class, NIST partition, writer, ...
WRITERS = File(
    "qmnist-train-labels-idx2-int", (60000, 8), ">i4", 463024,
    "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f",
    "bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5",
)  # fmt: skip
# Of its 60 000 test digits the first 10 000 are MNIST's.
TEST_WRITERS = File(
    "qmnist-test-labels-idx2-int", (60000, 8), ">i4", 526800,
    "9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06",
    "92d0ccb8c25f9c6534270fb4be7e1d24a1c6d315edfc8a638bfbd31c70f362dd",
)  # fmt: skip
KERAS_FILE = "mnist.npz"
KERAS_KEYS = dict(zip(FILES, ("x_train", "y_train", "x_test", "y_test"), strict=True))
KERAS_SIZE, KERAS_SHA256 = 11490434, "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"

# yann.lecun.com is not among them: it refuses since 2024, and its domain has served foreign pages.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
KERAS_MIRRORS = ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/",)
WRITERS_MIRRORS = ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",)


class FallbackWarning(UserWarning):
    """Something other than what was asked for is in use; the text says what and why."""


class DatasetUnavailableError(MnistryError):
    """MNIST is in no folder and at no mirror that could be reached."""


def fetch(settings: Settings | None = None, progress: Progress | None = None) -> Path:
    """Make sure that a folder holds MNIST, verified, and return that folder; raises MnistryError."""
    return mnist_arrays(settings or Settings.from_environment(), progress)[0]


def mnist_arrays(settings: Settings, progress: Progress | None) -> tuple[Path, dict[str, NDArray[np.uint8]]]:
    """The folder that has the files, and the files: MNISTRY_DATA, then the cache, then the mirrors."""
    tried = []
    data = settings.data if settings.data and resolved(settings.data) != resolved(settings.cache) else None
    for folder in (data, settings.cache):
        try:
            if folder is not None:
                return folder, _read_folder(folder)
        except (OSError, ValueError) as problem:
            tried.append(f"{folder}: {problem}")
            if folder == data:
                warnings.warn(FallbackWarning(f"MNISTRY_DATA={folder} is not used: {problem}."), stacklevel=4)
    _set_damaged_aside(settings.cache)
    if settings.offline:
        raise _unavailable(settings, [*tried, "the mirrors: not asked, MNISTRY_OFFLINE is set"])
    try:
        _download_missing(settings.cache, progress)
    except DownloadError as problem:
        raise _unavailable(settings, [*tried, *problem.tried]) from problem
    return settings.cache, _read_folder(settings.cache)


def _read_folder(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """The four arrays from IDX files, compressed or not, or from Keras' mnist.npz; raises OSError or ValueError."""
    if not folder.is_dir():
        raise FileNotFoundError("no such folder")
    try:
        return {key: _read_either(folder, file) for key, file in FILES.items()}
    except (OSError, ValueError):
        if not (folder / KERAS_FILE).is_file():
            raise
    return _read_keras(folder / KERAS_FILE)


def _read_either(folder: Path, file: File) -> NDArray[np.uint8]:
    """Read one file, compressed or not, whichever is undamaged; raises OSError or ValueError."""
    problem: Exception = FileNotFoundError(f"{file.name}.gz is not there")
    for name in (file.name + ".gz", file.name):
        try:
            if (folder / name).is_file():
                return read_idx(folder / name, file)
        except (OSError, ValueError) as damage:
            problem = damage
    raise problem


def _find(folder: Path, file: File) -> Path | None:
    for name in (file.name + ".gz", file.name):
        if (folder / name).is_file():
            return folder / name
    return None


def read_idx(path: Path, file: File) -> NDArray[np.uint8]:
    """Read and verify one IDX file; raises ValueError if it is not, byte for byte, what it should be.

    Source of the format: the table at the end of the original MNIST page.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            content = stream.read(file.length + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise ValueError(f"{path.name} is damaged ({problem})") from problem
    if hashlib.sha256(content).hexdigest() != file.content:
        raise ValueError(f"{path.name} is damaged (its sha256 is wrong)")
    return np.frombuffer(content, file.dtype, offset=len(file.header)).reshape(file.shape).copy()


def _read_keras(path: Path) -> dict[str, NDArray[np.uint8]]:
    """The arrays of Keras' file, verified by their content, so that a file saved again will do."""
    data = io.BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(data), np.load(data, allow_pickle=False) as archive:
            arrays = {key: np.ascontiguousarray(archive[name]) for key, name in KERAS_KEYS.items()}
    except Exception as problem:  # zipfile, zlib and NumPy raise many classes on a damaged file
        raise ValueError(f"{path.name} is damaged ({problem or type(problem).__name__})") from problem
    for key, array in arrays.items():
        if hashlib.sha256(FILES[key].header + array.tobytes()).hexdigest() != FILES[key].content:
            raise ValueError(f"{path.name} is damaged ({KERAS_KEYS[key]} is not MNIST's)")
    return arrays


def _set_damaged_aside(folder: Path) -> None:
    """Rename a damaged file, so that it is kept for inspection and a new one can be fetched."""
    paths = [(folder / (file.name + ending), file) for file in FILES.values() for ending in (".gz", "")]
    for path, file in [(folder / KERAS_FILE, None), *paths]:
        try:
            if path.is_file():
                read_idx(path, file) if file else _read_keras(path)
        except ValueError:
            with suppress(FileNotFoundError):  # another process was faster
                _rename(path, path.with_name(path.name + ".damaged"))
        except OSError as problem:
            raise MnistryError(f"{path} cannot be read ({problem.strerror}): mend that, or delete it.") from problem


def _rename(path: Path, target: Path) -> None:
    try:
        path.replace(target)
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise MnistryError(
            f"{path} is damaged and cannot be moved aside ({problem.strerror}). Delete it, or set MNISTRY_HOME "
            "to a folder you may write to."
        ) from problem


def _download_missing(folder: Path, progress: Progress | None) -> None:
    """Download the missing files from the mirrors of the four files; if those fail, Keras' single file.

    The mirror that gave one file is asked first for the next, so that a bad one costs its time once.
    """
    mirrors: tuple[str, ...] = MIRRORS
    try:
        for file in FILES.values():
            if _find(folder, file) is None:
                good = _download(folder, file.name + ".gz", mirrors, file.size, file.sha256, progress)
                mirrors = tuple(sorted(mirrors, key=lambda mirror: not good.startswith(mirror)))
    except DownloadError as first:
        try:
            _download(folder, KERAS_FILE, KERAS_MIRRORS, KERAS_SIZE, KERAS_SHA256, progress)
        except DownloadError as second:
            raise DownloadError("MNIST", first.tried + second.tried) from second


def _download(
    folder: Path, name: str, mirrors: tuple[str, ...], size: int, sha256: str, progress: Progress | None
) -> str:
    return download([mirror + name for mirror in mirrors], folder / name, size, sha256, progress)


def _unavailable(settings: Settings, tried: list[str]) -> DatasetUnavailableError:
    names = ", ".join(file.name + ".gz" for file in FILES.values())
    return DatasetUnavailableError(
        "MNIST is not available. Tried:\n  "
        + "\n  ".join(tried)
        + f"\nPut {names} (or Keras' {KERAS_FILE}) into {settings.cache}, or set MNISTRY_DATA to the folder "
        "that has them."
    )


def writers_table(settings: Settings, progress: Progress | None, file: File = WRITERS) -> NDArray[np.int32]:
    """QMNIST's table of who wrote what, WRITERS or TEST_WRITERS: (60000, 8). Raises MnistryError."""
    for folder in (settings.data, settings.cache):
        path = _find(folder, file) if folder else None
        if path:
            with suppress(OSError, ValueError):
                return read_idx(path, file).astype(np.int32)
    name = file.name + ".gz"
    if settings.offline:
        raise MnistryError(
            f"Who wrote which digit stands in {name} of facebookresearch/qmnist: it is neither in {settings.cache} nor "
            "in MNISTRY_DATA (or it is damaged), and MNISTRY_OFFLINE forbids to fetch it."
        )
    _download(settings.cache, name, WRITERS_MIRRORS, file.size, file.sha256, progress)
    return read_idx(settings.cache / name, file).astype(np.int32)
