"""Whether the site without a server reads as Python does, in a real browser, from pixels on; how soon, and offline.

    python benchmarks/site.py --ort node_modules/onnxruntime-web --strokes ../shared/strokes/pendigits-train.gz
        [--pictures ../shared/pictures] [--drawings 200]

Pen strokes of 20 writers are drawn on the page's pad; the page's own picture of the pad is read by the page and by
Python. Of the folder's pictures 20 are taken, evenly over its manifest, beside the example pictures and a 74 in files
of every kind. Without `--ort` npm fetches ONNX Runtime.
The last line is one JSON object; the exit code is 1 where anything differs.
"""

import argparse
import base64
import csv
import functools
import gzip
import io
import json
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageDraw
from playwright.sync_api import expect, sync_playwright

from mnistry import Reader
from mnistry.web.site.write import answer, write_site

CHROMIUM = os.environ.get("MNISTRY_CHROMIUM", "/usr/bin/chromium")
WRITERS = 20
SLOW = 120_000  # ms to wait on a busy machine
SEVEN = [[[0.05 * k, 0.0] for k in range(13)] + [[0.6 - 0.03 * k, 0.1 * k] for k in range(1, 11)]]
Strokes = list[list[list[float]]]  # of one digit: x to the right, y down, from 0 to 1 of its height

DRAW = """([strokes, share]) => {
  const canvas = document.querySelector(".pad-canvas");
  const box = canvas.getBoundingClientRect();
  const size = box.height * share;
  const width = Math.max(...strokes.flat().map(([x]) => x)) * size;
  const [left, top] = [box.x + (box.width - width) / 2, box.y + (box.height - size) / 2];
  const send = (type, [x, y]) => canvas.dispatchEvent(new PointerEvent(type, {
    pointerId: 1, pointerType: "mouse", isPrimary: true, button: 0, bubbles: true,
    clientX: left + x * size, clientY: top + y * size,
  }));
  for (const stroke of strokes) {
    send("pointerdown", stroke[0]);
    for (const point of stroke) send("pointermove", point);
    send("pointerup", stroke.at(-1));
  }
}"""
REMEMBER = """{
  let latest = null;
  const toBlob = HTMLCanvasElement.prototype.toBlob;
  HTMLCanvasElement.prototype.toBlob = function (done, ...how) {
    const mine = (latest = {});
    toBlob.call(this, (blob) => {
      if (mine === latest) window.drawn = blob;
      done(blob);
    }, ...how);
  };
}"""  # the page's own picture of the pad, which is made while others are
READ = """async () => {
  const { readPicture } = await import("./static/reader.js");
  const told = await readPicture(window.drawn);
  const bytes = new Uint8Array(await window.drawn.arrayBuffer());
  return { ...told, png: btoa(bytes.reduce((all, each) => all + String.fromCharCode(each), "")) };
}"""

AGAIN = """async (n) => {
  const { readPicture } = await import("./static/reader.js");
  for (let k = 0; k < n; k++) await readPicture(window.drawn);
}"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ort", type=Path, help="the unpacked npm package onnxruntime-web")
    parser.add_argument("--strokes", type=Path, help="a file of pen strokes; without it, sevens of our own")
    parser.add_argument("--drawings", type=int, default=200)
    parser.add_argument("--pictures", type=Path, help="a folder with manifest.csv")
    options = parser.parse_args()
    reader, pictures = Reader(), kinds() | (taken(options.pictures, 20) if options.pictures else {})
    with tempfile.TemporaryDirectory() as temporary:
        site = Path(temporary) / "site"
        files = write_site(site, reader, options.ort, pictures)
        figures: dict[str, Any] = {"files": len(files), "bytes": sum(files.values())}
        drawings = drawn(options.strokes, options.drawings)
        figures |= measured(site, reader, drawings)
    print(json.dumps(figures | {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}))
    good = figures["selftest_same"] == figures["selftest"] and figures["drawings_same"] == figures["drawings"]
    return 0 if good and figures["offline"] and not figures["complaints"] else 1


def taken(folder: Path, most: int) -> dict[str, bytes]:
    """So many pictures of a folder, evenly over its manifest, by name."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    chosen = [names[k * len(names) // most] for k in range(most)]
    return {f"{k:02}{Path(name).suffix}": (folder / name).read_bytes() for k, name in enumerate(chosen)}


def kinds() -> dict[str, bytes]:
    """A 74 in files of every kind: turned, large, transparent, in 16 bits, with a palette."""
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    ink = np.asarray(written(300, 200).convert("L"))
    clear = np.zeros((200, 300, 4), np.uint8)
    clear[..., 3] = 255 - ink
    white = clear + np.array([255, 255, 255, 0], np.uint8)
    made: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "turned.jpg": (written(300, 400).rotate(90, expand=True), {"exif": turned}),
        "large.jpg": (written(3000, 2000), {}), "large.png": (written(2500, 1900), {}),
        "transparent.png": (Image.fromarray(clear), {}), "white_on_nothing.png": (Image.fromarray(white), {}),
        "16_bits.png": (Image.fromarray(ink.astype(np.uint16) * 257), {}), "palette.gif": (written(300, 200), {}),
        "lossy.webp": (written(300, 200), {}), "small.bmp": (written(60, 44), {}),
        "empty.png": (Image.new("RGB", (200, 150), "white"), {}),
    }  # fmt: skip
    found = {}
    for name, (picture, how) in made.items():
        picture.save(file := io.BytesIO(), Image.registered_extensions()[Path(name).suffix], **how)
        found[name] = file.getvalue()
    return found


def written(width: int, height: int) -> Image.Image:
    """A 74 of plain strokes."""
    picture, size = Image.new("RGB", (width, height), "white"), min(width, height) / 2
    brush = ImageDraw.Draw(picture)
    for left, strokes in (
        (0.2, [[(0.1, 0), (0.8, 0), (0.4, 1)]]),
        (1.2, [[(0.7, 1), (0.7, 0), (0, 0.65), (0.9, 0.65)]]),
    ):
        for stroke in strokes:
            brush.line(
                [((left + x) * size, (0.4 + y) * size) for x, y in stroke], "black", max(3, int(size / 9)), "curve"
            )
    return picture


def drawn(path: Path | None, most: int) -> list[tuple[str, Strokes]]:
    """Digits with their labels: the first of each digit of 20 writers, or sevens."""
    if path is None:
        return [("7", SEVEN)] * most
    found: dict[tuple[str, str], Strokes] = {}
    for part in gzip.decompress(path.read_bytes()).decode("latin-1").split(".SEGMENT DIGIT")[1:]:
        label, writer = re.search(r'"(\d)"', part), re.search(r"\.COMMENT\s+\d+\s+(\d+)", part)
        strokes = [
            [[float(x), -float(y)] for x, y in re.findall(r"(-?\d+)\s+(-?\d+)", pen.split(".PEN_UP")[0])]
            for pen in part.split(".PEN_DOWN")[1:]
        ]
        if label and writer and any(strokes):
            found.setdefault((writer[1], label[1]), _scaled([stroke for stroke in strokes if stroke]))
    writers = sorted({writer for writer, _ in found}, key=int)[:WRITERS]
    return [(label, strokes) for (writer, label), strokes in sorted(found.items()) if writer in writers][:most]


def _scaled(strokes: Strokes) -> Strokes:
    xs, ys = zip(*(point for stroke in strokes for point in stroke), strict=True)
    height = max(max(ys) - min(ys), (max(xs) - min(xs)) / 1.2, 1)
    return [[[(x - min(xs)) / height, (y - min(ys)) / height] for x, y in stroke] for stroke in strokes]


def measured(site: Path, reader: Reader, drawings: list[tuple[str, Strokes]]) -> dict[str, Any]:
    """All figures of one site: the first reading, the self-test, drawings, the page without its server."""
    complaints: list[str] = []
    with sync_playwright() as playwright, serving(site) as (url, stop):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        figures: dict[str, Any] = {
            "first_reading_ms": [round(first_reading(browser, url, complaints)) for _ in range(3)]
        }
        context, page = opened(browser, url, complaints)
        figures |= selftest(page, url)
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        figures |= compared(page, reader, drawings) | processor_ms(page)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        stop()
        figures["offline"] = offline(page)
        context.close()
        browser.close()
    return figures | {"complaints": complaints}


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, Any]]:
    """A plain server of files under an address below its root, as Pages has it; also what stops it."""

    class Files(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def translate_path(self, path: str) -> str:
            return super().translate_path(path.removeprefix("/mnistry"))

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A browser that is closed lets go in the middle of a file."""

    server = Server(("127.0.0.1", 0), functools.partial(Files, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    try:
        yield f"http://127.0.0.1:{server.server_port}/mnistry/", stop
    finally:
        stop()


def opened(browser: Any, url: str, complaints: list[str]) -> tuple[Any, Any]:
    """A new context, with nothing cached, and a page in it that tells of messages and of other hosts."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.add_init_script(REMEMBER)
    context.set_default_timeout(SLOW)
    context.on(
        "request",
        lambda request: None if request.url.startswith((url, "data:", "blob:")) else complaints.append(request.url),
    )
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return context, page


def first_reading(browser: Any, url: str, complaints: list[str]) -> float:
    """Milliseconds from asking for the page to the first reading of what is drawn at once."""
    context, page = opened(browser, url, complaints)
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("html[data-ready]")
    page.evaluate(DRAW, [SEVEN, 0.6])
    expect(page.locator("#text")).to_have_text("7", timeout=SLOW)
    seconds = time.perf_counter() - start
    context.close()
    return 1000 * seconds


def selftest(page: Any, url: str) -> dict[str, Any]:
    """The self-test page's own verdict."""
    page.goto(f"{url}selftest.html")
    page.wait_for_selector("html[data-done]", timeout=5 * SLOW)
    same, n = re.findall(r"\d+", page.locator("#verdict").inner_text())
    for row in page.locator("#rows tr.bad").all_inner_texts():
        print("differs:", row)
    return {"selftest": int(n), "selftest_same": int(same)}


def compared(page: Any, reader: Reader, drawings: list[tuple[str, Strokes]]) -> dict[str, Any]:
    """Drawings read by the page and by Python from the same picture."""
    same, right, boxes, probabilities = 0, 0, [0.0], [0.0]
    for label, strokes in drawings:
        page.evaluate(DRAW, [strokes, 0.6])
        page.wait_for_selector("#answer[aria-busy=false]")
        right += page.locator("#text").inner_text() == label
        here = page.evaluate(READ)
        page.locator("button.tool", has_text="Clear").click()
        there = answer(reader, base64.b64decode(here["png"]))
        box, probability = differences(here, there)
        same += box <= 1 and probability <= 1e-3
        if box > 1 or probability > 1e-3:
            print(f"differs: {label}, here {here['text']!r}, Python {there['text']!r}, {box} pixels, {probability:.2g}")
        else:
            boxes.append(box)
            probabilities.append(probability)
    times = page.evaluate("performance.getEntriesByName('reading').map((each) => each.duration)")
    return {
        "drawings": len(drawings), "drawings_same": same, "drawings_right": right, "largest_box": max(boxes),
        "largest_probability": float(f"{max(probabilities):.2g}"), "readings": len(times),
        "reading_ms_median": round(statistics.median(times), 1), "reading_ms_least": round(min(times), 1),
    }  # fmt: skip


def processor_ms(page: Any, n: int = 30) -> dict[str, float]:
    """Milliseconds of a processor that a reading of the last drawing takes: on a busy machine the figure that holds."""
    if not Path("/proc/self/stat").is_file():
        return {}
    page.evaluate(AGAIN, 5)
    before = processor_seconds(os.getpid())
    page.evaluate(AGAIN, n)
    return {"reading_processor_ms": round(1000 * (processor_seconds(os.getpid()) - before) / n)}


def processor_seconds(root: int) -> float:
    """What the processes below this one have taken of the processors, on Linux."""
    children: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text("utf-8", "replace").rpartition(")")[2].split()
            seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            children[int(fields[1])].append((int(file.parent.name), seconds))
    total, waiting = 0.0, [root]
    while waiting:
        for pid, seconds in children[waiting.pop()]:
            total += seconds
            waiting.append(pid)
    return total


def differences(here: dict[str, Any], there: dict[str, Any]) -> tuple[float, float]:
    """By how many pixels the boxes differ at most, and by how much the probabilities; infinite for another text."""
    if here["text"] != there["text"]:
        return float("inf"), float("inf")
    pairs = list(zip(here["digits"], there["digits"], strict=True))
    boxes = [abs(a - b) for one, other in pairs for a, b in zip(one["box"], other["box"], strict=True)]
    proba = [abs(one["probability"] - other["probability"]) for one, other in pairs]
    proba += [
        abs(p - q) for one, other in pairs for p, q in zip(one["probabilities"], other["probabilities"], strict=True)
    ]
    return max(boxes, default=0), max(proba, default=0.0)


def offline(page: Any) -> bool:
    """Whether the page, loaded anew without its server, reads a drawing and an example, and shows what decided."""
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.evaluate(DRAW, [SEVEN, 0.6])
    expect(page.locator("#text")).to_have_text("7", timeout=SLOW)
    page.locator(".example").nth(1).click()
    expect(page.locator("#text")).to_have_text("2026", timeout=SLOW)
    page.locator("#explain").click()
    expect(page.locator(".overlay image")).to_have_count(4, timeout=SLOW)
    return True


if __name__ == "__main__":
    sys.exit(main())
