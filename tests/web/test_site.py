"""`mnistry site`: files that need no server and no other host, and scripts that read as Python does."""

import base64
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import LONG, ROOT
from mnistry import MnistryError, Reader
from mnistry.imaging.decode import open_picture
from mnistry.imaging.normalization import normalize
from mnistry.reading import layout, locate, views
from mnistry.reading.learned import Trust
from mnistry.web.site import onnxruntime_web, write
from mnistry.web.site.constants import constants
from mnistry.web.site.onnxruntime_web import SHA256, VERSION, runtime_files
from mnistry.web.site.write import STATIC, write_site

CHROMIUM = Path(os.environ.get("MNISTRY_CHROMIUM", "/usr/bin/chromium"))
ORT = Path(os.environ.get("MNISTRY_ORT", ROOT / "node_modules" / "onnxruntime-web"))
STROKES = ROOT.parent / "shared" / "strokes" / "pendigits-train.gz"
BENCHMARK = ROOT / "benchmarks" / "site.py"
in_a_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}: apt-get install chromium")
with_runtime = pytest.mark.skipif(
    not ORT.is_dir(), reason=f"no ONNX Runtime: npm install --no-save onnxruntime-web@{VERSION}, or set MNISTRY_ORT"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site without ONNX Runtime: something in its place that can be imported."""
    stub = b"export const env = { wasm: {} };"
    out = tmp_path_factory.mktemp("sites") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "runtime_files", lambda _: dict.fromkeys(SHA256, stub))
        write_site(out, Reader(None))
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Any]:
    """A page of the site in a browser, on which scripts can be tried."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    benchmark = importlib.util.module_from_spec(
        spec := importlib.util.spec_from_file_location("site_figures", BENCHMARK)
    )
    spec.loader.exec_module(benchmark)
    with benchmark.sync_playwright() as playwright, benchmark.serving(folder) as (url, _):
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        opened = browser.new_page()
        opened.goto(f"{url}selftest.json")
        yield opened
        browser.close()


def called(page: Any, script: str, body: str, pixels: np.ndarray, *others: float) -> Any:
    """What a function of a script gives for an array, as bytes; `body` has it as `pixels`."""
    told = page.evaluate(
        f"""async ([text, others]) => {{
          const script = await import('./static/reading/{script}.js');
          const pixels = new {"Uint8Array" if pixels.dtype == np.uint8 else "Float32Array"}(
            Uint8Array.from(atob(text), (each) => each.charCodeAt(0)).buffer);
          const made = {body};
          return btoa(made.reduce((all, each) => all + String.fromCharCode(each), ''));
        }}""",
        [base64.b64encode(pixels.tobytes()).decode(), others],
    )
    return np.frombuffer(base64.b64decode(told), np.uint8)


BOXES = "Array.from({ length: 80 }, (_, k) => Array.from(pixels.slice(4 * k, 4 * k + 4)))"


def flat(*arrays: np.ndarray) -> np.ndarray:
    """Several arrays as one row of numbers for a script."""
    return np.concatenate([array.ravel() for array in arrays]).astype(np.float32)


def test_the_scripts_take_every_number_from_python():
    told = dict(re.findall(r"^export const (\w+) = (.*);$", constants(Trust(), MOST_BOX=1, MOST_PROBABILITY=1), re.M))
    told = {name: json.loads(values) for name, values in told.items()}
    assert told["VIEWS"]["FINEST"] == views.FINEST
    assert told["TRUST"]["labels"] == list(Trust().labels)
    for path in [*(STATIC / "reading").glob("*.js"), STATIC / "selftest.js"]:
        text = path.read_text("utf-8")
        for names, module in re.findall(r"const \{ ([^}]*) \} = ([A-Z]\w+);", text):
            assert {name.split(":")[0].strip() for name in names.split(",")} <= set(told[module]), path.name
        assert not set(re.findall(r"\bTRUST\.(\w+)", text)) - set(told["TRUST"])


def test_a_script_stands_for_the_module_of_its_name():
    for path in (STATIC / "reading").glob("*.js"):
        for module in re.findall(r"[\w/]+\.py", path.read_text("utf-8").split("\n\n")[0]):
            assert (ROOT / "src" / "mnistry" / module).is_file()
            assert Path(module).stem == path.stem


def test_the_site_asks_no_other_host_and_has_no_service(folder: Path):
    page = (folder / "index.html").read_text("utf-8")
    assert "script-src 'self' 'wasm-unsafe-eval'" in page
    assert "docs" not in page
    assert "stay on this device" in page
    for path in [*folder.glob("*.html"), *(folder / "static").rglob("*.js"), *(folder / "static").glob("*.css")]:
        addresses = re.findall(r"https?://[^\s\"'`)]+", path.read_text("utf-8"))
        assert {address for address in addresses if "www.w3.org/2000/svg" not in address} == set(), path.name


def test_the_page_of_the_service_has_nothing_of_the_site():
    page = (STATIC / "index.html").read_text("utf-8")
    shown = re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL)
    assert "Your pictures go to this service" in shown
    assert "content-security-policy" not in shown


def test_the_service_worker_keeps_every_file(folder: Path):
    script = (folder / "service-worker.js").read_text("utf-8")
    kept = set(json.loads(re.search(r"^const FILES = (.*);$", script, re.M).group(1)))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert kept == files - {"service-worker.js", ".nojekyll"} - {name for name in files if name.endswith(".txt")} | {
        "./"
    }


def test_a_site_is_written_anew_and_other_folders_are_left_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(write, "site_files", lambda *_: {"index.html": b"new"})
    monkeypatch.setattr(write, "runtime_files", lambda _: {})
    out = tmp_path / "site"
    (out / "static" / "reading").mkdir(parents=True)
    (out / "static" / "reading" / "constants.js").touch()
    write_site(out, Reader(None))
    assert [path.name for path in out.rglob("*")] == ["index.html"]
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(MnistryError, match="holds other files: choose an empty folder"):
        write_site(tmp_path, Reader(None))
    assert (tmp_path / "thesis.txt").exists()
    assert (folder / "index.html").exists()


def test_a_wrong_runtime_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(MnistryError, match=r"--ort takes the unpacked npm package onnxruntime-web"):
        runtime_files(tmp_path)
    for name in SHA256:
        (tmp_path / name).write_bytes(b"older")
    with pytest.raises(MnistryError, match=r"its sha256 differs"):
        runtime_files(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MnistryError, match=r"npm is not installed: install npm, or unpack the package"):
        runtime_files()


def test_ci_installs_the_version_that_the_site_takes():
    assert f"onnxruntime-web@{VERSION} " in (ROOT / ".ci" / "run").read_text("utf-8")


@pytest.mark.skipif(os.name == "nt", reason="a script of a shell")
def test_npm_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(onnxruntime_web.shutil, "which", lambda _: str(npm))
    with pytest.raises(MnistryError, match=r"npm could not fetch onnxruntime-web .*\(no network\): try again"):
        runtime_files()


@pytest.mark.slow
@in_a_browser
@pytest.mark.parametrize("filter_", ["BOX", "BILINEAR"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((60, 44), (30, 22)),
        ((61, 45), (30, 23)),
        ((37, 90), (9, 22)),
        ((9, 7), (18, 14)),
        ((5, 13), (40, 104)),
        ((9, 70), (12, 5)),
    ],
)
def test_resizing_gives_the_pixels_of_pillow(page: Any, filter_: str, before: Any, after: Any):
    pixels = np.random.default_rng(0).integers(0, 256, (before[1], before[0], 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize(after, Image.Resampling[filter_]))
    body = (
        "script.resized({ pixels, width: others[0], height: others[1] }, others[2], others[3], "
        f"script.{filter_}).pixels"
    )
    assert (called(page, "resize", body, pixels, *before, *after) == expected.ravel()).all()


@pytest.mark.slow
@in_a_browser
@pytest.mark.parametrize(("width", "height", "scale"), [(70, 51, 0.5), (70, 51, 1), (33, 20, 2), (130, 97, 0.25)])
def test_a_view_has_the_pixels_of_python(page: Any, width: int, height: int, scale: float):
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    box = (3.4, 2.0, width - 4.6, height + 9.0)
    expected = views.view(Image.fromarray(pixels), scale, box).pixels
    body = "script.view({ pixels, width: others[0], height: others[1] }, others[2], others.slice(3)).pixels"
    assert (called(page, "views", body, pixels, width, height, scale, *box) == expected.ravel()).all()


@pytest.mark.slow
@in_a_browser
def test_ink_comes_into_the_same_form(page: Any):
    rng = np.random.default_rng(2)
    for height, width in ((30, 18), (9, 5), (64, 100), (3, 40), (12, 12)):
        ink = (rng.random((height, width)) * (rng.random((height, width)) > 0.6)).astype(np.float32)
        found = called(page, "normalization", "script.normalize(pixels, others[0])", ink, width)
        assert np.abs(found.astype(int) - normalize(ink).ravel()).max() <= 1
    assert not called(page, "normalization", "script.normalize(pixels, 4)", np.zeros((4, 4), np.float32)).any()


@pytest.mark.slow
@in_a_browser
def test_rows_are_those_of_python(page: Any):
    rng = np.random.default_rng(4)
    for wide in (60, 400, 3000):  # crowded, and with fields far apart
        corner, size = rng.integers(0, (wide, 120), (80, 2)), rng.integers((3, 8), (20, 30), (80, 2))
        boxes = np.concatenate([corner, corner + size * rng.choice([1, 1, 4], (80, 1))], axis=1).astype(np.float32)
        found = called(page, "layout", f"script.rows({BOXES}).flatMap((row) => [...row, 255])", flat(boxes))
        assert found.tolist() == [k for row in layout.rows(boxes) for k in (*row, 255)]


@pytest.mark.slow
@in_a_browser
def test_transparent_pictures_are_laid_on_the_same_ground(page: Any):
    ink = np.zeros((60, 50), np.uint8)
    ink[10:50, 20:28] = 255
    for level, dark in ((255, True), (255, False), (0, False)):  # white ink, one pixel of it dark or none; black ink
        pixels = np.dstack([np.full((60, 50, 3), level, np.uint8), ink])
        if dark:
            pixels[3, 3] = (0, 0, 0, 255)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        expected = np.asarray(open_picture(file.getvalue())[0])
        found = called(page, "decode", "(await script.openPicture(new Blob([pixels]))).pixels",
                       np.frombuffer(file.getvalue(), np.uint8))  # fmt: skip
        assert np.abs(found.astype(int) - expected.ravel()).max() <= 1


@pytest.mark.slow
@in_a_browser
def test_the_same_places_are_one_digit_found_twice(page: Any):
    rng = np.random.default_rng(3)
    corner, size = rng.integers(0, 200, (80, 2)), rng.integers(2, 30, (80, 2)) * rng.choice([0.25, 1, 1], (80, 2))
    boxes, sure = np.concatenate([corner, corner + size], axis=1).astype(np.float32), rng.random(80, np.float32)
    found = called(page, "locate", f"script.apart({BOXES}, Array.from(pixels.slice(320)))", flat(boxes, sure))
    assert found.tolist() == locate.apart(boxes, sure).tolist()
    inked = rng.random(80) < 0.7
    forms = np.zeros((80, 28, 28), np.uint8)
    forms[inked, 14, 14] = 200
    body = f"script.twice({BOXES}.map((box) => ({{ box }})), Array.from(pixels.slice(320), (level) => [level]))"
    found = called(page, "locate", f"{body}.map(Number)", flat(boxes, inked))
    assert 0 < found.sum() < (~inked).sum()
    assert found.tolist() == locate.twice(boxes, forms).astype(int).tolist()


@pytest.mark.slow
@in_a_browser
@with_runtime
def test_the_site_reads_as_python_does_and_offline():
    """The short form of benchmarks/site.py: text, boxes, probabilities, no message, no other host, no network."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    strokes = ["--strokes", STROKES] if STROKES.is_file() else []
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--ort", ORT, "--drawings", "10", *strokes],
        capture_output=True, text=True, timeout=LONG, check=False,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["selftest_same"] == figures["selftest"] == 17
    assert figures["drawings_same"] == figures["drawings"] == 10
    assert figures["complaints"] == []
