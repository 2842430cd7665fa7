"""Digits of plain strokes on paper, for the tests of pages."""

from typing import Any

from PIL import Image, ImageDraw

STROKES = {
    "1": [[(0.5, 0), (0.5, 1)]],
    "4": [[(0.7, 1), (0.7, 0), (0.1, 0.65), (0.95, 0.65)]],
    "5": [[(0.15, 0), (0.1, 0.45), (0.6, 0.4), (0.85, 0.65), (0.6, 0.97), (0.1, 0.95)], [(0.15, 0), (0.8, 0)]],
    "7": [[(0.1, 0), (0.9, 0), (0.4, 1)]],
}


def write(picture: Image.Image, text: str, x: float, y: float, height: float, pen: int = 5, slant: float = 0) -> None:
    """Digits of plain strokes, 0.9 of their height apart; a row that slants goes down by `slant` for one across."""
    brush = ImageDraw.Draw(picture)
    for place, sign in enumerate(text):
        left, top = x + place * 0.9 * height, y + place * 0.9 * height * slant
        for line in STROKES[sign]:
            points = [(left + 0.6 * height * px, top + height * py) for px, py in line]
            brush.line(points, (30, 30, 60), pen, joint="curve")
            for px, py in points:
                brush.ellipse((px - pen / 2, py - pen / 2, px + pen / 2, py + pen / 2), (30, 30, 60))


def paper(width: int = 600, height: int = 400, colour: str = "#fffdf4") -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def draw_seven_on_pad(page: Any) -> None:
    """Draw a 7 with the mouse on the pad of a page in a browser (Playwright)."""
    box = page.locator(".pad-canvas").bounding_box()
    left, top, size = box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.25, box["height"] * 0.5
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in [(0.3, 0), (0.6, 0), (0.45, 0.5), (0.3, 1)]:
        page.mouse.move(left + x * size, top + y * size, steps=5)
    page.mouse.up()
