"""ONNX Runtime for browsers: two files of its npm package, of one version and known sha256, and its licence."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from importlib import util
from pathlib import Path

from mnistry.settings import MnistryError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA256 = {  # of the two files that one thread on WebAssembly needs; the package's root would bring 28 MB
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
NOTICES = ("LICENSE", "ThirdPartyNotices.txt")  # the npm package has none; the Python package is of the same source
SECONDS = 600  # npm may take for 33 MB


def runtime_files(folder: Path | None = None) -> dict[str, bytes]:
    """The files by name: from the npm package in this folder, or else fetched by npm. Raises MnistryError."""
    if folder:
        return _checked(_from_folder(folder)) | _notices()
    with tempfile.TemporaryDirectory() as fetched:
        return _checked(_from_archive(_fetched(Path(fetched)))) | _notices()


def _from_folder(folder: Path) -> dict[str, bytes]:
    inside = folder / "dist" if (folder / "dist").is_dir() else folder
    try:
        return {name: (inside / name).read_bytes() for name in SHA256}
    except OSError as problem:
        raise MnistryError(
            f"{problem.filename} cannot be read: --ort takes the unpacked npm package {PACKAGE} {VERSION}."
        ) from problem


def _fetched(folder: Path) -> Path:
    """The package's archive, fetched by npm from where npm is told to fetch from."""
    npm = shutil.which("npm")
    if npm is None:
        raise MnistryError(
            f"The site needs the npm package {PACKAGE} {VERSION}, and npm is not installed: install npm, "
            "or unpack the package yourself and name its folder with --ort."
        )
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS, cwd=folder)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise _not_fetched(str(problem)) from problem
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise _not_fetched(done.stderr.strip() or done.stdout.strip())
    return archives[0]


def _not_fetched(why: str) -> MnistryError:
    return MnistryError(
        f"npm could not fetch {PACKAGE} {VERSION} ({why[-300:] or 'it does not say why'}): try again, "
        "or unpack the package yourself and name its folder with --ort."
    )


def _from_archive(archive: Path) -> dict[str, bytes]:
    try:
        with tarfile.open(archive) as package:
            return {name: package.extractfile(f"package/dist/{name}").read() for name in SHA256}  # type: ignore[union-attr]
    except (OSError, KeyError, tarfile.TarError) as problem:
        raise _not_fetched(f"its archive is damaged: {problem}") from problem


def _checked(files: dict[str, bytes]) -> dict[str, bytes]:
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != SHA256[name]:
            raise MnistryError(f"{name} is not that of {PACKAGE} {VERSION} (its sha256 differs): take that version.")
    return files


def _notices() -> dict[str, bytes]:
    """The licence, as the Python package of ONNX Runtime has it, which is not imported for this."""
    found = util.find_spec("onnxruntime")
    if found is None or not found.origin:
        raise MnistryError("The package onnxruntime is not installed: install mnistry again.")
    return {name: path.read_bytes() for name in NOTICES if (path := Path(found.origin).parent / name).is_file()}
