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
import faulthandler
import io
import json
import random
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hostile_files import EXAMPLES, OPENERS
from mutation import mutated
from PIL import Image

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "badfiles" / "badfiles.tar.xz"
MOST_MS, MOST_MB = 250, 200  # of one picture
HANG = 30  # seconds of processor time of one case after which it hangs
SHOWN = 12  # of the worst
Case = tuple[str, bytes]


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
