"""Draws on the page as people do: pen strokes of writers, with the mouse of a real Chromium, and what is read of them.

    python benchmarks/page_drawings.py STROKES [--writers 20] [--numbers 50]
    python benchmarks/page_drawings.py --screenshots FOLDER

STROKES is UCI's `pendigits-orig.tra` (UNIPEN text, gzip). Each writer draws the ten digits, first the writers that are
held back from every training here (`HELD_BACK_STROKES`), then numbers of four digits in a row. The page is that of a
`mnistry serve` of its own. Told are how many are read right, the wrong ones, how long a reading takes after a stroke,
when the page can be used, and whatever the browser complains of: console messages, errors, requests to other hosts.
`--screenshots` writes `page.png` (1200 pixels wide, light) and `page_phone.png` (390, dark), drawn with strokes of our
own. Needs mnistry[train,serve], playwright and a Chromium (MNISTRY_CHROMIUM, else /usr/bin/chromium). The last line is
one JSON object.
"""

import argparse
import io
import json
import os
import platform
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from openapi import service
from PIL import Image

CHROMIUM = os.environ.get("MNISTRY_CHROMIUM", "/usr/bin/chromium")
GAP = 0.28  # between digits, of their height
HEIGHT = 0.6  # of a digit, of the pad's
MOST_BYTES = 150_000  # of a screenshot
Strokes = list[list[tuple[float, float]]]  # of one digit: x to the right, y down, from 0 to 1 of its height
Writers = dict[int, dict[int, list[Strokes]]]  # writer -> digit -> drawings


def main() -> None:
    """Draw, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strokes", nargs="?", type=Path)
    parser.add_argument("--writers", type=int, default=20)
    parser.add_argument("--numbers", type=int, default=50)
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if not options.strokes and not options.screenshots:
        parser.error("expected the file of strokes, --screenshots FOLDER, or both")
    told: dict[str, Any] = {"load": round(os.getloadavg()[0], 1), "machine": platform.machine()}
    with tempfile.TemporaryDirectory() as folder, service(Path(folder), Path(folder, "log.jsonl")) as address:
        if options.strokes:
            told |= drawings(address, writers(options.strokes, options.writers), options.numbers)
        if options.screenshots:
            told["screenshots"] = screenshots(address, options.screenshots)
    print(json.dumps(told))


def drawings(address: str, people: Writers, numbers: int) -> dict[str, Any]:
    """What is read of the ten digits of each, and of numbers of four digits."""
    from mnistry.data.writers import HELD_BACK_STROKES

    singles = [(writer, [digit], [people[writer][digit][0]]) for writer in people for digit in range(10)]
    with opened(address) as page:
        starts = sorted(interactive(page) for _ in range(5))
        read = [(writer, digits, drawn(page, strokes)) for writer, digits, strokes in singles]
        rows = [(writer, digits, drawn(page, strokes)) for writer, digits, strokes in fours(people, numbers)]
        times = page.evaluate("performance.getEntriesByName('reading').map((each) => each.duration)")
        complaints = page.complaints
    held = [row for row in read if row[0] in HELD_BACK_STROKES]
    p50, p99 = np.quantile(times, [0.5, 0.99])
    return {
        "digits": figures(read), "held_back": figures(held), "numbers": figures(rows),
        "reading_ms": {"p50": round(p50), "p99": round(p99)},
        "interactive_ms": {"median": round(starts[2]), "longest": round(starts[-1])}, "complaints": complaints[:20],
    }  # fmt: skip


def figures(read: list[tuple[int, list[int], str]]) -> dict[str, Any]:
    """How many of the drawings are read right, and the others: writer, what was drawn, what was read."""
    wrong = [(writer, "".join(map(str, digits)), text) for writer, digits, text in read]
    wrong = [row for row in wrong if row[1] != row[2]]
    share = 100 * (1 - len(wrong) / len(read)) if read else None
    return {"n": len(read), "right": len(read) - len(wrong), "percent": share and round(share, 1), "wrong": wrong}


def fours(people: Writers, n: int) -> Iterator[tuple[int, list[int], list[Strokes]]]:
    """n numbers of four digits, each of one writer, with other drawings than the single digits."""
    names = list(people)
    for k in range(n):
        own, digits = people[names[k % len(names)]], [(k * 7 + 3 * j + j * j) % 10 for j in range(4)]
        turn = 1 + k // len(names)
        yield names[k % len(names)], digits, [own[digit][turn % len(own[digit])] for digit in digits]


def writers(file: Path, most: int) -> Writers:
    """Drawings of each writer and digit, first of those who are held back."""
    from mnistry.data.writers import HELD_BACK_STROKES, unipen

    found: Writers = defaultdict(lambda: defaultdict(list))
    for label, writer, lines in unipen(file):
        found[writer][label].append(scaled(lines))
    order = sorted(found, key=lambda writer: (writer not in HELD_BACK_STROKES, writer))
    return {writer: found[writer] for writer in order[:most]}


def scaled(lines: Sequence[Any]) -> Strokes:
    """Strokes as points from 0 to 1, of the digit's height, or of its width where it lies."""
    points = np.concatenate(lines)
    low, (width, height) = points.min(axis=0), np.ptp(points, axis=0)
    return [[(float(x), float(y)) for x, y in (line - low) / max(height, width / 1.2, 1e-6)] for line in lines]


@contextmanager
def opened(address: str, width: int = 1200, height: int = 900, **options: Any) -> Iterator[Any]:
    """The page in a browser; its `complaints` are collected."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page: Any = browser.new_context(viewport={"width": width, "height": height}, **options).new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: own(request.url, address) or page.complaints.append(request.url))
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        yield page
        browser.close()


def own(url: str, address: str) -> bool:
    """Whether a request stays with the service."""
    return url.startswith((address, "data:", "blob:"))


def interactive(page: Any) -> float:
    """Milliseconds from asking for the page to its being ready to be drawn on."""
    page.reload()
    page.wait_for_selector("html[data-ready]")
    return float(page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive"))


def drawn(page: Any, digits: list[Strokes]) -> str:
    """Draw digits, clear the pad, and give what was read."""
    draw(page, digits)
    text = reading(page)
    page.locator("button.tool", has_text="Clear").click()
    return text


def draw(page: Any, digits: list[Strokes], height: float = HEIGHT) -> None:
    """Draw digits side by side with the browser's mouse."""
    for stroke in placed(page, digits, height):
        page.mouse.move(*stroke[0])
        page.mouse.down()
        for point in stroke[1:]:
            page.mouse.move(*point)
        page.mouse.up()


def reading(page: Any) -> str:
    """What is read, once it is."""
    page.wait_for_selector("#answer[aria-busy=false]")
    return str(page.locator("#text").inner_text())


def placed(page: Any, digits: list[Strokes], height: float) -> Strokes:
    """Strokes of digits side by side in the middle of the pad, in pixels of the window."""
    box = page.locator(".pad-canvas").bounding_box()
    widths = [max(x for stroke in strokes for x, _ in stroke) for strokes in digits]
    across = sum(widths) + GAP * (len(digits) - 1)
    size = min(box["height"] * height, box["width"] * 0.9 / max(across, 0.1))
    left, top = box["x"] + (box["width"] - across * size) / 2, box["y"] + (box["height"] - size) / 2
    found = []
    for strokes, width in zip(digits, widths, strict=True):
        found += [[(left + x * size, top + y * size) for x, y in stroke] for stroke in strokes]
        left += (width + GAP) * size
    return found


def screenshots(address: str, folder: Path) -> dict[str, Any]:
    """Write the page's pictures; their sizes in bytes, and what is read on them."""
    shots = {
        "page.png": ([3, 1, 4, 2], {"width": 1200, "height": 950, "color_scheme": "light"}),
        "page_phone.png": ([4, 7], {"width": 390, "height": 844, "color_scheme": "dark", "device_scale_factor": 2}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for name, (digits, options) in shots.items():
        with opened(address, **options) as page:  # type: ignore[arg-type]
            draw(page, [of_our_own(digit) for digit in digits])
            text = reading(page)
            page.wait_for_timeout(600)  # the bars grow
            (folder / name).write_bytes(small(page.screenshot()))
        found[name] = {"bytes": (folder / name).stat().st_size, "text": text}
    return found


def small(png: bytes) -> bytes:
    """The same picture with 256 colours, which a drawn page does not exceed by much."""
    file = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    if len(file.getvalue()) > MOST_BYTES:
        raise SystemExit(f"A screenshot has {len(file.getvalue())} bytes: expected at most {MOST_BYTES}.")
    return file.getvalue()


def of_our_own(digit: int) -> Strokes:
    """A digit as `mnistry.data.drawing` draws one: nobody's strokes but ours."""
    from mnistry.data.drawing.styles import Styled

    return scaled(Styled((0,) * 10, seed=3, wide=1.0).digit(digit, np.random.default_rng(digit)).ways)


if __name__ == "__main__":
    main()
