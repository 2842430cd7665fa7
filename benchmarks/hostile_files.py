"""What opens each kind of file that is no picture, and whole ones of that kind to begin with; for `hostile.py`."""

import csv
import gzip
import hashlib
import io
import json
import random
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLES = Path(__file__).parent.parent / "examples" / "pictures"
Opener = Callable[[bytes], object]


def opened_idx(folder: Path) -> tuple[list[bytes], Opener]:
    """MNIST's own files, compressed or not, from MNISTRY_DATA."""
    from mnistry.data.sources import FILES, mnist_arrays
    from mnistry.settings import Settings

    file = FILES["train_images"]
    content = file.header + bytes(5000)

    def read(data: bytes) -> object:
        for ending in ("", ".gz"):
            (folder / (file.name + ending)).write_bytes(data)
        return mnist_arrays(Settings(folder / "home", folder, offline=True), None)

    return [gzip.compress(content), content], read


def opened_npz(folder: Path) -> tuple[list[bytes], Opener]:
    """Keras' mnist.npz, with .npy files that are mutated inside of a whole zip, too."""
    from mnistry.data.sources import KERAS_FILE, KERAS_KEYS, mnist_arrays
    from mnistry.settings import Settings

    array, many = np.arange(20 * 784, dtype=np.uint8).reshape(20, 28, 28), []
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            for name in KERAS_KEYS.values():
                archive.writestr(f"{name}.npy", npy(array))
        many.append(file.getvalue())
    chance = random.Random(0)
    for _ in range(200):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name in KERAS_KEYS.values():
                archive.writestr(f"{name}.npy", lying_array(array, chance))
        many.append(file.getvalue())

    def read(data: bytes) -> object:
        (folder / KERAS_FILE).write_bytes(data)
        return mnist_arrays(Settings(folder / "home", folder, offline=True), None)

    return many, read


def npy(array: Any) -> bytes:
    """An array as a file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def lying_array(array: Any, chance: random.Random) -> bytes:
    """A .npy file whose text says something else than what follows."""
    text = npy(array)
    lies = (b"(9, 28, 28)", b"(99999999999, 9)", b"(-1, 28)", b"()", b"(4, None)", b"(1e9,)", b"[20, 28]", b"((((((",
            b"(2**40, 2**40)", b"(99999999999999999999999,)", b"(True,)", b"'a'")  # fmt: skip
    kinds = (b"'|O'", b"'<U999999'", b"'<f8'", b"'<M8[s]'", b"'V3'", b"[('a', '<u1')]", b"'nonsense'", b"7", b"None")
    told = re.sub(rb"\([\d, ]+\)", lambda _: chance.choice(lies), text) if chance.random() < 0.6 else text
    return re.sub(rb"'descr': '\|u1'", lambda _: b"'descr': " + chance.choice(kinds), told)


def opened_labels(folder: Path) -> tuple[list[bytes], Opener]:
    """The labels of `read --labels`."""
    from mnistry.reading.batch import read_labels

    rows = io.StringIO()
    csv.writer(rows).writerows([("file", "label"), *((f"{k} é.png", str(k)) for k in range(30)), ('a"b,\n.png', "4/2")])
    text = rows.getvalue().encode()

    def read(data: bytes) -> object:
        (folder / "labels.csv").write_bytes(data)
        return read_labels(folder / "labels.csv")

    return [text, b"\xef\xbb\xbf" + text, text.replace(b"\r\n", b"\n"), b"file,label\n" + b"x" * 200_000], read


def opened_zip(_: Path) -> tuple[list[bytes], Opener]:
    """The corrections of `corrections --import` and `finetune --corrections`."""
    from mnistry.web.corrections import unpacked

    many = []
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            archive.writestr("labels.csv", "file,label,read\n7_crossed.png,7,1\n6_mouse.png,6,\n")
            for name in ("7_crossed.png", "6_mouse.png"):
                archive.write(EXAMPLES / name, name)
        many.append(file.getvalue())
    return many, unpacked


def opened_tar(folder: Path) -> tuple[list[bytes], Opener]:
    """Archives of pictures, as `read` takes them."""
    from mnistry.reading.batch import pictures_of

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for path in sorted(EXAMPLES.iterdir())[:3]:
            archive.add(path, path.name)
    plain = file.getvalue()

    def read(data: bytes) -> object:
        name = folder / ("a.tar.gz" if data.startswith(b"\x1f\x8b") else "a.tar")
        name.write_bytes(data)
        return list(pictures_of([str(name)]))

    return [plain, gzip.compress(plain)], read


def opened_run(folder: Path) -> tuple[list[bytes], Opener]:
    """A run folder of which one file was changed: its manifest too, so that the file is believed."""
    from mnistry.settings import Settings
    from mnistry.training.runs import find_finished, find_run
    from mnistry.training.train import train

    whole = train("knn", "digits", out=folder / "whole", settings=Settings(folder / "home", offline=True)).folder
    names = ["run.json", "history.csv", "metrics.json", "test_probabilities.npy", "manifest.json"]
    parts, chance = [(whole / name).read_bytes() for name in names], random.Random(1)
    lies = [lying_array(np.load(whole / names[3]), chance) for _ in range(50)]
    lies += [zipped_array(), b"PK\x03\x04", b'{"sha256": {"' + b"n" * 300 + b'": ""}}', b"[" * 5000, b"1" * 5000]

    def read(data: bytes) -> object:
        shutil.rmtree(folder / "one", ignore_errors=True)
        shutil.copytree(whole, folder / "one")
        name = chance.choice(names)
        for begin_of, part in zip(names, parts, strict=True):  # most mutations still look like what they were
            name = begin_of if data[:8] == part[:8] and begin_of != name else name
        (folder / "one" / name).write_bytes(data)
        if name != "manifest.json":
            manifest = json.loads((folder / "one" / "manifest.json").read_text())
            manifest["sha256"][name] = hashlib.sha256(data).hexdigest()
            (folder / "one" / "manifest.json").write_text(json.dumps(manifest))
        find_finished(folder, {"recipe": "knn", "seed": 0})
        return find_run("one", folder).test_probabilities

    return parts + lies, read


def zipped_array() -> bytes:
    """What `numpy.load` opens as an archive, though its name ends in .npy."""
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


def opened_checkpoint(folder: Path) -> tuple[list[bytes], Opener]:
    """A checkpoint: what is damaged counts as none."""
    from mnistry.models.backend import Checkpoint

    path = folder / "c.npz"
    Checkpoint(path).write({f"weight{k}": np.zeros((3, 4), np.float32) for k in range(3)}, {"epoch": 1, "rows": []})

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return Checkpoint(path, resume=True).read()

    return [path.read_bytes(), zipped_array()], read


def opened_onnx(_: Path) -> tuple[list[bytes], Opener]:
    """A model, opened and asked; a small one of ours and the bundled reader."""
    import onnx

    from mnistry.reading.reader import Reader
    from mnistry.reading.recognizer import bundled

    graph = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        agraph (uint8[n, 28, 28] images) => (float[n, 10] probabilities)
        <int64[2] shape = {-1, 784}, float[784, 10] weights> {
            x = Cast <to: int = 1> (images)
            flat = Reshape (x, shape)
            scores = MatMul (flat, weights)
            probabilities = Softmax <axis: int = 1> (scores)
        }""")
    del graph.graph.initializer[-1]
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((784, 10), np.float32), "weights"))

    def read(data: bytes) -> object:
        reader = Reader(data)
        reader.predict_proba(np.zeros((2, 28, 28), np.uint8))
        return reader.card, reader.metadata, reader.refuses

    return [graph.SerializeToString(), bundled()], read


OPENERS: dict[str, Callable[[Path], tuple[list[bytes], Opener]]] = {
    "idx": opened_idx, "npz": opened_npz, "labels": opened_labels, "zip": opened_zip, "tar": opened_tar,
    "run": opened_run, "checkpoint": opened_checkpoint, "onnx": opened_onnx,
}  # fmt: skip
