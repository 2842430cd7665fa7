"""The data set: found, verified, repaired, split honestly, and replaced only with a loud notice."""

import errno
import gzip
import hashlib
import io
import shutil
import socket
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mnistry.data import sources
from mnistry.data.dataset import FallbackWarning, load
from mnistry.data.download import DownloadError
from mnistry.data.sources import FILES, TEST_WRITERS, WRITERS, DatasetUnavailableError, fetch, read_idx, writers_table
from mnistry.settings import MnistryError, Settings

NAMES = [file.name + ".gz" for file in FILES.values()]


def copied(mnist: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        shutil.copy(mnist / name, folder)
    return folder


def offline(home: Path, data: Path | None = None) -> Settings:
    return Settings(home, data, offline=True)


# --- The real MNIST


@pytest.mark.usefixtures("mnist")
def test_mnist_has_the_known_shapes_and_counts():
    data = load("mnist")
    assert (data.train_images.shape, data.test_images.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert data.train_images.dtype == np.uint8
    assert data.train_labels.dtype == np.int64
    assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(data.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(float(data.train_images.mean()), 4) == 33.3184  # 0.1307 of 255, the mean everyone knows
    assert len(data.test_parts["without_wrong_labels"]) == 9985
    assert not set(data.wrong_test_labels) & set(data.test_parts["without_wrong_labels"].tolist())


@pytest.mark.usefixtures("mnist")
def test_a_fraction_is_stratified_and_drawn_by_seed():
    data, again, other = (load("mnist", 0.1, seed) for seed in (3, 3, 4))
    assert len(data.validation_labels) == pytest.approx(6000, abs=10)
    counts = np.bincount(data.train_labels), np.bincount(data.validation_labels)
    assert np.allclose(counts[1] / (counts[0] + counts[1]), 0.1, atol=1e-3)
    assert (data.validation_images == again.validation_images).all()
    assert (data.validation_labels[:100] != other.validation_labels[:100]).any()
    assert len(data.train_labels) + len(data.validation_labels) == 60000


def test_the_writers_split_shares_no_writer_and_balances_the_two_groups(mnist: Path):
    data = load("mnist", "writers", seed=1)
    table = read_idx(mnist / (WRITERS.name + ".gz"), WRITERS)
    whole = load("mnist")
    digest = {hashlib.sha256(image.tobytes()).digest(): k for k, image in enumerate(whole.train_images)}
    held_back = np.array([digest[hashlib.sha256(image.tobytes()).digest()] for image in data.validation_images])
    learnt = np.setdiff1d(np.arange(60000), held_back)
    assert not set(table[held_back, 2]) & set(table[learnt, 2])
    students = np.mean(table[held_back, 1] == 4)
    assert students == pytest.approx(0.5, abs=0.02)
    assert len(held_back) == pytest.approx(6000, abs=200)
    assert len(data.train_labels) == 60000 - len(held_back)


def test_the_table_of_test_writers_is_that_of_the_test_digits(mnist: Path):
    table = read_idx(mnist / (TEST_WRITERS.name + ".gz"), TEST_WRITERS)
    assert (table[:10000, 0] == load("mnist").test_labels).all()


def test_uncompressed_files_and_kerass_archive_will_do(mnist: Path, tmp_path: Path):
    raw, keras = tmp_path / "raw", tmp_path / "keras"
    raw.mkdir(), keras.mkdir()
    for file in FILES.values():
        (raw / file.name).write_bytes(gzip.decompress((mnist / (file.name + ".gz")).read_bytes()))
    arrays = {key: read_idx(mnist / (file.name + ".gz"), file) for key, file in FILES.items()}
    np.savez(keras / "mnist.npz", **{sources.KERAS_KEYS[key]: array for key, array in arrays.items()})
    expected = load("mnist", settings=offline(tmp_path, mnist))
    for folder in (raw, keras):
        data = load("mnist", settings=offline(tmp_path, folder))
        assert (data.test_images == expected.test_images).all()
        assert data.sha256 == expected.sha256


def test_a_changed_keras_archive_is_refused(mnist: Path, tmp_path: Path):
    arrays = {key: read_idx(mnist / (file.name + ".gz"), file) for key, file in FILES.items()}
    arrays["test_labels"] = arrays["test_labels"][::-1]
    np.savez(tmp_path / "mnist.npz", **{sources.KERAS_KEYS[key]: array for key, array in arrays.items()})
    with pytest.warns(FallbackWarning, match="not used"), pytest.raises(DatasetUnavailableError, match="y_test is not"):
        load("mnist", settings=offline(tmp_path / "home", tmp_path))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "html"])
def test_a_damaged_cache_is_moved_aside_and_fetched_again(
    mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
):
    settings = Settings(tmp_path)
    victim = copied(mnist, settings.cache) / "t10k-labels-idx1-ubyte.gz"
    good = victim.read_bytes()
    bad = {
        "cut": good[:2000],
        "flipped": good[:3000] + bytes([good[3000] ^ 1]) + good[3001:],
        "empty": b"",
        "html": b"<html>for sale</html>",
    }[damage]
    victim.write_bytes(bad)

    def from_mirror(urls: list[str], target: Path, *_: object) -> str:
        assert urls == [mirror + target.name for mirror in sources.MIRRORS]
        shutil.copy(mnist / target.name, target)
        return urls[0]

    monkeypatch.setattr(sources, "download", from_mirror)
    assert fetch(settings) == settings.cache
    assert victim.read_bytes() == good
    assert victim.with_name(victim.name + ".damaged").read_bytes() == bad


@pytest.mark.parametrize("packed", [True, False], ids=["compressed", "plain"])
def test_a_well_formed_file_that_is_not_mnists_is_refused(mnist: Path, tmp_path: Path, packed: bool):
    settings = offline(tmp_path)
    victim = copied(mnist, settings.cache) / NAMES[3]
    content = bytearray(gzip.decompress(victim.read_bytes()))
    content[-1] = (content[-1] + 1) % 10  # one label of ten thousand
    victim.unlink()
    target = victim if packed else victim.with_suffix("")
    target.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DatasetUnavailableError, match=r"t10k-labels-idx1-ubyte\S* is damaged \(its sha256 is wrong\)"):
        fetch(settings)


def test_a_good_copy_beside_a_damaged_one_is_used(mnist: Path, tmp_path: Path):
    settings = offline(tmp_path)
    victim = copied(mnist, settings.cache) / NAMES[3]
    (settings.cache / FILES["test_labels"].name).write_bytes(gzip.decompress(victim.read_bytes()))
    victim.write_bytes(b"junk")
    assert fetch(settings) == settings.cache


def test_a_cache_that_is_also_mnistry_data_is_found(mnist: Path, tmp_path: Path):
    copied(mnist, tmp_path / "mnist")
    assert fetch(offline(tmp_path, tmp_path / "mnist")) == tmp_path / "mnist"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"(3,)", b"(99999999999999999999999,)"),
        (b"(3,)", b"(899999999991, 9)"),
        (b"(3,)", b"((((((((("),
        (b"(3,)", b"(True,)"),
        (b"'<f8'", b"'<U999999999'"),
        (b"'<f8'", b"None"),
    ],
)
@pytest.mark.parametrize("place", ["cache", "data"])
def test_an_archive_whose_headers_lie_is_damaged(tmp_path: Path, old: bytes, new: bytes, place: str):
    folder = {"cache": tmp_path / "mnist", "data": tmp_path / "own"}[place]
    folder.mkdir()
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    assert old in file.getvalue()
    with zipfile.ZipFile(folder / "mnist.npz", "w") as archive:
        for name in sources.KERAS_KEYS.values():
            archive.writestr(f"{name}.npy", file.getvalue().replace(old, new))
    with warnings.catch_warnings(), pytest.raises(DatasetUnavailableError, match=r"mnist\.npz"):
        warnings.simplefilter("ignore")
        fetch(offline(tmp_path, tmp_path / "own"))
    assert (tmp_path / "mnist" / "mnist.npz.damaged").is_file() == (place == "cache")


def test_a_file_that_cannot_be_read_is_told(mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = offline(tmp_path)
    copied(mnist, settings.cache)

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sources, "read_idx", broken)
    with pytest.raises(MnistryError, match=r"idx3-ubyte.gz cannot be read \(Input/output error\)"):
        fetch(settings)


def test_an_array_file_under_kerass_name_is_damaged(tmp_path: Path):
    settings = offline(tmp_path)
    settings.cache.mkdir(parents=True)
    with (settings.cache / "mnist.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DatasetUnavailableError, match=r"mnist\.npz is damaged"):
        fetch(settings)


def test_only_what_is_missing_is_fetched(mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = Settings(tmp_path)
    (copied(mnist, settings.cache) / NAMES[2]).unlink()
    fetched: list[str] = []

    def from_mirror(urls: list[str], target: Path, *_: object) -> str:
        fetched.append(target.name)
        shutil.copy(mnist / target.name, target)
        return urls[0]

    monkeypatch.setattr(sources, "download", from_mirror)
    fetch(settings)
    assert fetched == [NAMES[2]]


def test_kerass_mirror_is_the_last_resort(mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arrays = {key: read_idx(mnist / (file.name + ".gz"), file) for key, file in FILES.items()}

    def from_mirror(_: list[str], target: Path, *__: object) -> None:
        if target.name != "mnist.npz":
            raise DownloadError(target.name, ["the mirrors are down"])
        target.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(target, **{sources.KERAS_KEYS[key]: array for key, array in arrays.items()})

    monkeypatch.setattr(sources, "download", from_mirror)
    assert len(load("mnist", settings=Settings(tmp_path)).test_labels) == 10000


def test_a_damaged_mnistry_data_is_told_and_the_cache_is_used(mnist: Path, tmp_path: Path):
    data, settings = copied(mnist, tmp_path / "data"), offline(tmp_path, tmp_path / "data")
    copied(mnist, settings.cache)
    (data / NAMES[0]).write_bytes(b"nothing")
    with pytest.warns(FallbackWarning, match=r"train-images-idx3-ubyte.gz is damaged"):
        assert fetch(settings) == settings.cache
    assert (data / NAMES[0]).read_bytes() == b"nothing"  # it is the user's: nothing there is touched


# --- Without it


def test_offline_opens_no_connection_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(DatasetUnavailableError) as caught:
        load("mnist", settings=offline(tmp_path))
    message = str(caught.value)
    assert "MNISTRY_OFFLINE is set" in message
    assert all(name in message for name in [*NAMES, "mnist.npz", str(tmp_path / "mnist"), "MNISTRY_DATA"])


def test_out_of_reach_names_every_mirror_that_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "MIRRORS", ("http://127.0.0.1:9/a/", "http://127.0.0.1:9/b/"))
    monkeypatch.setattr(sources, "KERAS_MIRRORS", ("http://127.0.0.1:9/c/",))
    with pytest.raises(DatasetUnavailableError, match=r"(?s)9/a/train.*9/b/train.*9/c/mnist.npz"):
        fetch(Settings(tmp_path))


def test_auto_falls_back_to_scikit_learns_digits_and_says_so(tmp_path: Path):
    with pytest.warns(FallbackWarning, match="NOT MNIST"):
        data = load("auto", 0.2, settings=offline(tmp_path))
    assert data.name == "digits"
    assert len(data.train_labels) + len(data.validation_labels) + len(data.test_labels) == 1797


def test_the_stand_in_has_mnist_form(few_digits: tuple[np.ndarray, np.ndarray]):
    images, labels = few_digits
    assert images.dtype == np.uint8
    assert images.shape == (300, 28, 28)
    assert np.bincount(labels).tolist() == [30] * 10
    assert (images.max(axis=(1, 2)) == 255).all()
    rows, columns = images.any(axis=2).sum(axis=1), images.any(axis=1).sum(axis=1)
    assert (np.maximum(rows, columns) == 20).mean() > 0.99
    mass = images.sum(axis=(1, 2), dtype=float)
    assert ((images.sum(axis=2) @ np.arange(28) / mass - 14).__abs__() <= 0.51).all()


def test_nobody_knows_the_stand_ins_writers(tmp_path: Path):
    with pytest.raises(MnistryError, match="It is not recorded who wrote"):
        load("digits", "writers", settings=offline(tmp_path))


def test_the_writers_table_is_wanted_offline_in_one_sentence(tmp_path: Path):
    with pytest.raises(MnistryError, match=r"qmnist-train-labels-idx2-int.gz.*MNISTRY_OFFLINE"):
        writers_table(offline(tmp_path), None)
    with pytest.raises(MnistryError, match=r"qmnist-test-labels-idx2-int.gz.*MNISTRY_OFFLINE"):
        writers_table(offline(tmp_path), None, TEST_WRITERS)


@pytest.mark.parametrize("validation", [-0.1, 1.0, 7, "students", float("nan"), None, [0.1], 1j])
def test_an_impossible_split_is_refused(validation: object):
    with pytest.raises(MnistryError, match="validation split is a fraction"):
        load("digits", validation)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, "a", 1.5, True, None])
def test_an_impossible_seed_is_refused(seed: object):
    with pytest.raises(MnistryError, match="A seed is a whole number from 0"):
        load("digits", 0.1, seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("validation", [0.9999, 0.001])
def test_a_split_that_leaves_one_side_empty_is_refused(validation: float):
    with pytest.raises(MnistryError, match=r"leaves (0|1437) digits to train on"):
        load("digits", validation)


def test_an_unknown_data_set_is_refused():
    with pytest.raises(MnistryError, match="auto, mnist or digits, not 'cifar'"):
        load("cifar")
