"""`write_site`: the page, its reader in JavaScript, the ONNX files and ONNX Runtime as a folder for any static host."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from mnistry.reading.reader import Reader
from mnistry.reading.recognizer import bundled
from mnistry.settings import MnistryError, draft, not_written
from mnistry.web.site.constants import constants
from mnistry.web.site.onnxruntime_web import runtime_files

STATIC = Path(str(resources.files("mnistry") / "web" / "static"))
OF_THE_SERVICE = ("docs.html", "docs.js", "reader.js", "examples/answers.json")
AT_THE_ROOT = ("index.html", "selftest.html", "service-worker.js")
MARK = "static/reading/constants.js"  # a folder that has it is a site of before, and may be replaced
MOST_BOX, MOST_PROBABILITY = 1, 1e-3  # pixels, and of a probability: by how much browser and Python may differ
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'"
)


def write_site(
    out: Path, reader: Reader, runtime: Path | None = None, pictures: Mapping[str, bytes] | None = None
) -> dict[str, int]:
    """Write the site whole or not at all, and give its files' names with their bytes. Raises MnistryError.

    `runtime` is the unpacked npm package onnxruntime-web; without it npm fetches that. `pictures` are further ones for
    the self-test, by name.
    """
    if out.exists() and not (out / MARK).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise MnistryError(f"{out} holds other files: choose an empty folder, a new one, or one that has a site.")
    files = site_files(reader, runtime_files(runtime), pictures or {})
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with draft(out, folder=True) as new:
            for name, data in files.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(data)
            if out.exists():
                shutil.rmtree(out)
            new.replace(out)
    except OSError as problem:
        raise not_written(out, problem) from problem
    return {name: len(data) for name, data in files.items()}


def site_files(reader: Reader, runtime: Mapping[str, bytes], pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """All files of the site by name."""
    names = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())
    files = {f"static/{name}": (STATIC / name).read_bytes() for name in names if name not in OF_THE_SERVICE}
    top = {name: files.pop(f"static/{name}") for name in AT_THE_ROOT}
    files |= {name: _for_the_site(top[name].decode()).encode() for name in ("index.html", "selftest.html")}
    files["static/reader.js"] = files.pop("static/site.js")
    limits = {"MOST_BOX": MOST_BOX, "MOST_PROBABILITY": MOST_PROBABILITY}
    files[MARK] = constants(reader._learned.trust, **limits).encode()
    files |= {f"models/{name}.onnx": bundled(name) for name in ("locator", "verifier")}
    files["models/reader.onnx"] = reader._bytes
    files |= {f"onnxruntime/{name}": data for name, data in runtime.items()}
    shown = {name: data for name, data in files.items() if name.startswith("static/examples/")}
    shown |= {f"selftest/{name}": data for name, data in pictures.items()}
    answers = {name: answer(reader, data) for name, data in shown.items()}
    files |= shown | {"selftest.json": json.dumps(answers).encode()}
    files["service-worker.js"] = _service_worker(files, top["service-worker.js"])
    return files | {".nojekyll": b""}  # GitHub Pages takes the files as they are


def answer(reader: Reader, picture: bytes) -> dict[str, Any]:
    """What Python reads in a picture, with the ten probabilities of each digit."""
    reading = reader.read(picture)
    told = reading.to_dict()
    for shape, digit in zip(told["digits"], reading.digits, strict=True):
        shape["probabilities"] = [round(float(p), 6) for p in digit.probabilities]
    return told


def _for_the_site(page: str) -> str:
    """A page without what is marked as the service's, and with what is marked as the site's."""
    page = re.sub(r"\s*<!--service-->.*?<!--/service-->", "", page, flags=re.DOTALL)
    return re.sub(r"<!--site (.*?) site-->", r"\1", page).replace("POLICY", POLICY)


def _service_worker(files: Mapping[str, bytes], script: bytes) -> bytes:
    """The service worker, with the files to keep and a version that changes with any of them."""
    digest = hashlib.sha256(script)
    for name in sorted(files):
        digest.update(f"{name}\0{hashlib.sha256(files[name]).hexdigest()}\n".encode())
    kept = ["./", *sorted(name for name in files if not name.endswith(".txt"))]
    return (
        f'const VERSION = "mnistry-{digest.hexdigest()[:16]}";\nconst FILES = {json.dumps(kept)};\n'.encode() + script
    )
