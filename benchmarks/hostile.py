"""Files that were made to harm: `python benchmarks/hostile.py KIND [--n N] [--seed S] [--keep FOLDER]`; the kinds are:

* `pictures`: the pictures of ../shared/badfiles (where they are missing, pictures made here) and what seeded mutation
  makes of them, N in all, each decoded and read by `Reader.read`, in one process: no crash, no other exception than
  PictureError, and for each at most 250 ms of processor time for decoding and 200 MB more memory for all. How many take
  more than 250 ms to read is told: a real photograph may, by the networks that look at it.
* `files`: N mutations of each other file that we open (IDX, npz, labels, zips of corrections, tar files, run folders,
  checkpoints, ONNX files): no crash, and no other exception than MnistryError.

Mutations: cut off, bits flipped, numbers in the header changed, pieces put elsewhere, of the same file or of another.
Each kind runs in processes of their own, which tell what they have begun: so a crash is told with its case. `--keep`
keeps the files of all that did not hold. The last line is one JSON object.
"""

import argparse
import csv
import faulthandler
import gzip
import hashlib
import io
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "pictures"
SHARED = ROOT.parent / "shared" / "badfiles" / "badfiles.tar.xz"
MOST_MS, MOST_MB = 250, 200  # of one picture
HANG = 30  # seconds of processor time of one case after which it hangs
SHOWN = 12  # of the worst
Case = tuple[str, bytes]
Opener = Callable[[bytes], object]


# --- Mutations


def mutated(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Cut off, bits flipped, numbers of the header changed, pieces put elsewhere: one of these."""
    if len(data) < 2:
        return data + chance.randbytes(8)
    return chance.choice((cut, flipped, lying, spliced))(bytearray(data), chance, others)


def cut(data: bytearray, chance: random.Random, _: list[bytes]) -> bytes:
    """Only its beginning, or without a piece."""
    begin, end = sorted(chance.randrange(len(data)) for _ in range(2))
    return bytes(data[:begin] if chance.random() < 0.5 else data[:begin] + data[end:])


def flipped(data: bytearray, chance: random.Random, _: list[bytes]) -> bytes:
    """Some bits."""
    for _bit in range(chance.randrange(1, 20)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def lying(data: bytearray, chance: random.Random, _: list[bytes]) -> bytes:
    """Numbers of 1, 2 or 4 bytes in the first 200 bytes, most of them at the ends of their ranges."""
    for _number in range(chance.randrange(1, 4)):
        size = chance.choice((1, 2, 4))
        place = chance.randrange(max(1, min(200, len(data) - size)))
        value = chance.choice((0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), chance.randrange(2 ** (8 * size)), 4000))
        data[place : place + size] = (value % 2 ** (8 * size)).to_bytes(size, chance.choice(("big", "little")))
    return with_checksums(bytes(data)) if chance.random() < 0.7 else bytes(data)


def spliced(data: bytearray, chance: random.Random, others: list[bytes]) -> bytes:
    """A piece of it or of another file, put in or written over."""
    source = bytes(data) if chance.random() < 0.5 else chance.choice(others)
    begin = chance.randrange(max(1, len(source)))
    piece = source[begin : begin + chance.randrange(1, 5000)]
    place = chance.randrange(len(data))
    data[place : place + chance.choice((0, len(piece)))] = piece
    return bytes(data)


def with_checksums(data: bytes) -> bytes:
    """A PNG file with the CRC of each chunk put right, so that what its headers say is believed."""
    import zlib

    if not data.startswith(b"\x89PNG"):
        return data
    told, place = bytearray(data), 8
    while place + 12 <= len(told):
        length = int.from_bytes(told[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(told):
            break
        told[end : end + 4] = zlib.crc32(told[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(told)


# --- Pictures


def seeds() -> list[Case]:
    """The shared hostile pictures or, without them, the examples in six formats and several modes."""
    if SHARED.is_file():
        with tarfile.open(SHARED) as archive:
            return [(m.name, archive.extractfile(m).read()) for m in archive if m.isfile()]  # type: ignore[union-attr]
    found = [(path.name, path.read_bytes()) for path in sorted(EXAMPLES.iterdir())]
    with Image.open(EXAMPLES / "7_crossed.png") as opened:
        small = opened.convert("RGB").resize((96, 64))
    for kind, more in (("PNG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("GIF", {}), ("BMP", {}),
                       ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_deflate"})):  # fmt: skip
        for mode in ("1", "L", "P", "RGB"):
            with_mode, file = small.convert("L" if kind == "JPEG" and mode in "1P" else mode), io.BytesIO()
            with_mode.save(file, kind, **({} if mode == "1" and kind == "TIFF" else more))
            found.append((f"{mode}.{kind}", file.getvalue()))
    return found


def hostile(n: int, chance: random.Random) -> Iterator[Case]:
    """The seeds themselves and then their mutations, n in all."""
    known = seeds()
    yield from known[:n]
    others = [data for _, data in known]
    for k in range(len(known), n):
        name, data = chance.choice(known)
        yield f"{k} of {name}", mutated(data, chance, others)


def pictures(n: int, seed: int, keep: Path | None) -> dict[str, Any]:
    """See above."""
    from mnistry.imaging.decode import PictureError, open_picture
    from mnistry.reading.reader import Reader

    reader = Reader()
    for path in EXAMPLES.iterdir():  # what is loaded once is no picture's
        reader.read(path)
    reader.read(np.tile(np.asarray(Image.open(EXAMPLES / "7_crossed.png").convert("L").resize((60, 60))), (10, 10)))
    rows, bad = list[dict[str, Any]](), list[dict[str, Any]]()
    for name, data in hostile(n, random.Random(seed)):
        begin(name)
        before, start = memory(), time.process_time()
        row: dict[str, Any] = {"picture": name, "read": False, "fault": ""}
        decoded = None
        try:
            picture, _ = open_picture(data)
            decoded = time.process_time()
            reader.read(picture)
            row["read"] = True
        except PictureError:
            pass
        except Exception:  # noqa: BLE001 - that is what we look for
            row["fault"] = traceback.format_exc()[-1500:]
        end = time.process_time()
        row |= {"decode_ms": round(1000 * ((decoded or end) - start)), "ms": round(1000 * (end - start)),
                "mb": round(peak() - before)}  # fmt: skip
        rows.append(row)
        if row["fault"] or row["decode_ms"] > MOST_MS or row["mb"] > MOST_MB:
            bad.append(row)
            kept(keep, name, data)
            sys.stderr.write(f"{row}\n")
    signal.setitimer(signal.ITIMER_PROF, 0)
    faulthandler.cancel_dump_traceback_later()
    read = [row for row in rows if row["read"]]
    return {
        "pictures": n, "read": len(read), "refused": n - len(read) - sum(bool(row["fault"]) for row in rows),
        "slowest_decode_ms": max(row["decode_ms"] for row in rows), "largest_mb": max(row["mb"] for row in rows),
        "median_ms": sorted(row["ms"] for row in read)[len(read) // 2], "slowest_ms": max(row["ms"] for row in rows),
        "read_over_250_ms": sum(row["ms"] > MOST_MS for row in rows), "bad": len(bad),
        "worst": sorted(bad, key=lambda row: -max(row["decode_ms"] / MOST_MS, row["mb"] / MOST_MB))[:SHOWN],
        "ok": not bad,
    }  # fmt: skip


def memory() -> float:
    """Megabytes that this process has now; its peak counts from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak() -> float:
    """The most megabytes since then."""
    return _status("VmHWM")


def _status(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


# --- Other files


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


def opened(kind: str, n: int, seed: int, keep: Path | None) -> dict[str, Any]:
    """The unchanged files first, then n mutations of one kind."""
    from mnistry.settings import MnistryError

    warnings.simplefilter("ignore")
    chance, refused, faults = random.Random(f"{kind}{seed}"), 0, dict[str, int]()
    with tempfile.TemporaryDirectory() as folder:
        known, opener = OPENERS[kind](Path(folder))
        for k in range(-len(known), n):
            data = known[k] if k < 0 else mutated(chance.choice(known), chance, known)
            begin(f"{kind} {k}")
            try:
                opener(data)
            except MnistryError:
                refused += 1
            except Exception as problem:  # noqa: BLE001 - that is what we look for
                where = traceback.extract_tb(problem.__traceback__)
                ours = [f"{Path(each.filename).name}:{each.lineno}" for each in where if "mnistry" in each.filename]
                told = f"{type(problem).__name__} at {ours[-1] if ours else '?'}: {str(problem)[:100]}"
                faults[told] = faults.get(told, 0) + 1
                kept(keep, f"{kind}{k}", data)
    faulthandler.cancel_dump_traceback_later()
    return {"kind": kind, "n": n, "refused": refused, "faults": faults}


def files(n: int, seed: int, keep: Path | None) -> dict[str, Any]:
    """See above."""
    found = [apart(["files", "--only", kind, "--n", str(n), "--seed", str(seed), *keeping(keep)]) for kind in OPENERS]
    return {"n": n, "kinds": found, "ok": not any(each.get("crash") or each["faults"] for each in found)}


# --- Processes


def begin(case: str) -> None:
    """Say what comes now, on stderr; who hangs at it is ended: by SIGPROF if it works, with a traceback if it waits."""
    sys.stderr.write(f"case {case}\n")
    sys.stderr.flush()
    signal.setitimer(signal.ITIMER_PROF, HANG)
    faulthandler.dump_traceback_later(60 * HANG, exit=True)


def kept(folder: Path | None, name: str, data: bytes) -> None:
    """Keep a file to look at."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / re.sub(r"[^\w.-]", "_", name)).write_bytes(data)


def keeping(folder: Path | None) -> list[str]:
    """The option again, for another process."""
    return ["--keep", str(folder)] if folder else []


def apart(arguments: list[str]) -> dict[str, Any]:
    """What a process of its own tells, or how it crashed or hung, and at what."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told
    cases = [line for line in done.stderr.splitlines() if line.startswith("case ")]
    last = done.stderr.rpartition("case ")[2][-1500:]
    return {"crash": done.returncode, "at": cases[-1] if cases else "", "told": last, "faults": {}, "ok": False}


def main() -> int:
    """Run one of them; exit code 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("pictures", "files"))
    parser.add_argument("--n", type=int, default=7000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.only:
        work = pictures if options.only == "pictures" else lambda *rest: opened(options.only, *rest)
        print(json.dumps(work(options.n, options.seed, options.keep)))
        return 0
    start, counts = time.perf_counter(), ["--n", str(options.n), "--seed", str(options.seed)]
    if options.kind == "files":
        told = files(options.n, options.seed, options.keep)
    else:
        told = apart(["pictures", "--only", "pictures", *counts, *keeping(options.keep)])
    print(json.dumps({"kind": options.kind, "seed": options.seed, **told,
                      "seconds": round(time.perf_counter() - start, 1)}))  # fmt: skip
    return 0 if told["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
