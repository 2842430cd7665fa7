"""How well digits are read in the scenes that people photograph: paper, light, pens, frames and desks, all drawn.

    python benchmarks/scenes.py --strokes ../shared/strokes/pendigits-train.gz [--pictures 200] [--seed 1]
        [--model FILE] [--sheet FILE.png] [SCENE...]

Each scene is drawn around one digit, and around a row of four, of pen strokes that people wrote (UCI pendigits), with
dark ink on light paper: digits of about 40 to 250 pixels, pens from a thirtieth to a fifth of a digit's height. The
paper of `squared` and `ruled` has lines at any distance; in `desk` a sheet lies on another ground, in `corners` a
photo shows one behind the paper. The last line is one JSON object.
"""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pictures import Strokes, draw, share, unipen
from PIL import Image, ImageDraw

from mnistry import Reader

Ink = NDArray[Any]  # float (height, width), 0 to 1
Picture = NDArray[Any]  # float (height, width, 3), 0 to 255
Written = list[tuple[str, Strokes]]
Generator = np.random.Generator


def main() -> None:
    """Draw, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", help=f"of {', '.join(SCENES)}; all where none is named")
    parser.add_argument("--strokes", type=Path, required=True, help="a file of pen strokes")
    parser.add_argument("--pictures", type=int, default=200, help="of each scene and length")
    parser.add_argument("--seed", type=int, default=1, help="1 is what reading was mended with")
    parser.add_argument("--model", help="an ONNX file instead of the bundled model")
    parser.add_argument("--sheet", type=Path, help="draw the first 60 that are read wrong into this file")
    options = parser.parse_args()
    if unknown := set(options.scenes) - set(SCENES):
        parser.error(f"there is no scene {', '.join(sorted(unknown))}; there are: {', '.join(SCENES)}")
    if not options.strokes.is_file():
        parser.error(f"expected a file of pen strokes, and {options.strokes} is none")
    reader, written = Reader(options.model), list(unipen(options.strokes))
    figures: dict[str, dict[str, float]] = {}
    wrong: list[tuple[Image.Image, str]] = []
    for scene in options.scenes or SCENES:
        generator, right = np.random.default_rng(options.seed), {1: 0, 4: 0}
        for many in list(right) * options.pictures:
            picture, label = drawn(scene, many, written, generator)
            text = reader.read(picture).text
            right[many] += text == label
            if text != label:
                wrong.append((Image.fromarray(picture), f"{scene} {label} > {text!r}"))
        figures[scene] = {"single": share(right[1], options.pictures), "row_of_four": share(right[4], options.pictures)}
        print(f"{scene:10}", *(f"{name} {100 * part:.1f} %  " for name, part in figures[scene].items()), flush=True)
    if options.sheet and wrong:
        sheet(wrong[:60]).save(options.sheet)
    print(json.dumps({"pictures": options.pictures, "scenes": figures}))


def drawn(scene: str, many: int, written: Written, generator: Generator) -> tuple[NDArray[np.uint8], str]:
    """A picture (height, width, 3) of so many digits in a row, and what they are."""
    size = int(np.exp(generator.uniform(np.log(60), np.log(400))))
    pen = max(1, int(size * np.exp(generator.uniform(np.log(0.02), np.log(0.12)))))
    ink, label = row_of(many, size, pen, written, generator)
    picture = SCENES[scene](Scene(ink, size, pen, generator))
    return picture.clip(0, 255).astype(np.uint8), label


def row_of(many: int, size: int, pen: int, written: Written, generator: Generator) -> tuple[Ink, str]:
    """Digits beside each other on a canvas with margins."""
    chosen = [written[k] for k in generator.integers(len(written), size=many)]
    tiles = [tight(1 - np.asarray(draw(lines, size, pen), np.float32) / 255) for _, lines in chosen]
    gap, height = int(size * generator.uniform(0.25, 0.5)), int(size * 1.9)
    canvas = np.zeros((height, sum(tile.shape[1] + gap for tile in tiles) + size), np.float32)
    x = size // 2
    for tile in tiles:
        y = max(0, int((height - len(tile)) / 2 + generator.normal(0, 0.04 * size)))
        canvas[y : y + len(tile), x : x + tile.shape[1]] = tile / tile.max()
        x += tile.shape[1] + gap
    return canvas, "".join(label for label, _ in chosen)


def tight(ink: Ink) -> Ink:
    """The ink's own box."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


class Scene:
    """Ink, its size in pixels, its pen, a pen's colour and paper; the methods draw what is around it."""

    def __init__(self, ink: Ink, size: int, pen: int, generator: Generator) -> None:
        self.ink, self.size, self.pen, self.generator = ink, size, pen, generator
        self.colour = generator.uniform((10, 10, 20), (90, 90, 170))
        self.paper = np.full((*ink.shape, 3), generator.uniform(225, 252) + generator.normal(0, 4, 3), np.float32)

    def written(self, opacity: float = 1.0) -> Picture:
        """The ink on the paper."""
        cover = opacity * self.ink[:, :, None]
        return (self.paper * (1 - cover) + self.colour * cover).astype(np.float32)

    def line(self, picture: Picture, start: tuple[float, float], end: tuple[float, float], width: int) -> None:
        """One straight line of the paper's own colour for lines."""
        ends = (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))
        cv2.line(picture, *ends, self.lines.tolist(), width, cv2.LINE_AA)

    def rules(self, distance: float, width: int, upright: bool) -> "Scene":
        """Lines all over the paper, a little aslant; with `upright` ones as well, squares."""
        (height, wide), around = self.ink.shape, self.generator
        self.lines = around.uniform((120, 140, 190), (190, 200, 230))
        slope, first = around.normal(0, 0.02), around.uniform(0, distance)
        for y in np.arange(first - 3 * distance, height + 3 * distance, distance):
            self.line(self.paper, (0, y), (wide, y + slope * wide), width)
        for x in np.arange(first - 3 * distance, wide + 3 * distance, distance) if upright else ():
            self.line(self.paper, (x, 0), (x - slope * height, height), width)
        return self


def ruled(scene: Scene, thick: bool = False) -> Picture:
    width = scene.pen * (0.8 if thick else scene.generator.uniform(0.15, 0.5))
    return scene.rules(scene.size * scene.generator.uniform(0.35, 1.6), max(1, round(width)), False).written()


def squared(scene: Scene) -> Picture:
    width = max(1, round(scene.pen * scene.generator.uniform(0.15, 0.5)))
    return scene.rules(scene.size * scene.generator.uniform(0.25, 0.6), width, True).written()


def pencil(scene: Scene) -> Picture:
    """Grey, and broken by the paper's grain."""
    grain = scene.generator.normal(0.75, 0.45, scene.ink.shape).astype(np.float32)
    scene.ink = scene.ink * np.clip(cv2.GaussianBlur(grain, (0, 0), max(0.6, scene.pen / 8)), 0, 1)
    return scene.written(0.6)


def shadow(scene: Scene) -> Picture:
    """The shadow of a hand: an edge somewhere through the picture, sharp or soft."""
    (height, width), around = scene.ink.shape, scene.generator
    y, x = np.mgrid[:height, :width]
    angle, softness = around.uniform(0, 2 * np.pi), scene.size * around.uniform(0.05, 0.5)
    middle = width * around.uniform(0.2, 0.8), height * around.uniform(0.2, 0.8)
    inside = (x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)
    dark = around.uniform(0.3, 0.65) / (1 + np.exp((-inside / softness).clip(-50, 50)))
    return scene.written() * (1 - dark)[:, :, None]


def uneven(scene: Scene) -> Picture:
    light = np.linspace(1, scene.generator.uniform(0.25, 0.6), scene.ink.shape[1], dtype=np.float32)
    return scene.written() * light[None, :, None]


def grain(scene: Scene) -> Picture:
    picture = scene.written()
    return picture + scene.generator.normal(0, scene.generator.uniform(8, 25), picture.shape)


def blurred(scene: Scene) -> Picture:
    return cv2.GaussianBlur(scene.written(), (0, 0), scene.size * scene.generator.uniform(0.01, 0.04))


def dark(scene: Scene) -> Picture:
    picture = scene.written() * scene.generator.uniform(0.15, 0.4)
    return picture + scene.generator.normal(0, 4, picture.shape)


def colours(scene: Scene) -> Picture:
    """Any two that differ by a quarter of the range in one channel."""
    one, other = scene.generator.uniform(0, 255, (2, 3))
    while abs(one - other).max() < 60:
        other = scene.generator.uniform(0, 255, 3)
    return one + (other - one) * scene.ink[:, :, None]


def tilted(scene: Scene) -> Picture:
    height, width = scene.ink.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), scene.generator.uniform(-12, 12), 0.85)
    return cv2.warpAffine(scene.written(), turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


def corners(scene: Scene) -> Picture:
    """The paper in perspective; beyond its edges there is the table."""
    height, width = scene.ink.shape
    square = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    seen = (square + scene.generator.normal(0, 0.05, (4, 2)) * (width, height)).astype(np.float32)
    turn = cv2.getPerspectiveTransform(square, seen)
    return cv2.warpPerspective(scene.written(), turn, (width, height), borderValue=(90, 80, 70))


def desk(scene: Scene) -> Picture:
    """The sheet on a ground of another colour with a grain."""
    margin = int(scene.size * scene.generator.uniform(0.5, 2))
    size = scene.ink.shape[0] + 2 * margin, scene.ink.shape[1] + 2 * margin, 3
    grain = cv2.GaussianBlur(scene.generator.normal(0, 60, size), (0, 0), 3)
    ground: Picture = (scene.generator.uniform(30, 130, 3) + grain).astype(np.float32)
    ground[margin:-margin, margin:-margin] = scene.written()
    return ground


def margins(scene: Scene) -> Picture:
    many = int(scene.size * scene.generator.uniform(1, 6))
    return np.pad(scene.written(), ((many, many), (many, many), (0, 0)), mode="edge")


def boxed(scene: Scene) -> Picture:
    """A frame drawn around all, with the pen of the digits or half of it."""
    picture, edge = scene.written(), int(scene.size * 0.1)
    height, width = scene.ink.shape
    thick = max(1, scene.pen // int(scene.generator.integers(1, 3)))
    cv2.rectangle(picture, (edge, edge), (width - edge, height - edge), scene.colour.tolist(), thick)
    return picture


def underlined(scene: Scene) -> Picture:
    (height, width), picture = scene.ink.shape, scene.written()
    ends = (
        (int(width * 0.05), int(height * 0.86)),
        (int(width * 0.95), int(height * 0.86 + scene.generator.normal(0, 3))),
    )
    cv2.line(picture, *ends, scene.colour.tolist(), scene.pen)
    return picture


def specks(scene: Scene) -> Picture:
    picture, (height, width) = scene.written(), scene.ink.shape
    for _ in range(int(scene.generator.integers(5, 40))):
        place = int(scene.generator.integers(width)), int(scene.generator.integers(height))
        reach = max(1, int(scene.pen * scene.generator.uniform(0.1, 0.5)))
        cv2.circle(picture, place, reach, scene.colour.tolist(), -1)
    return picture


def jpeg(scene: Scene) -> Picture:
    buffer = io.BytesIO()
    picture = Image.fromarray(scene.written().astype(np.uint8))
    picture.save(buffer, "JPEG", quality=int(scene.generator.integers(5, 25)))
    return np.asarray(Image.open(buffer), np.float32)


SCENES: dict[str, Callable[[Scene], Picture]] = {
    "plain": Scene.written, "ruled": ruled, "bold": lambda scene: ruled(scene, thick=True), "squared": squared,
    "faint": lambda scene: scene.written(scene.generator.uniform(0.1, 0.25)), "pencil": pencil, "shadow": shadow,
    "uneven": uneven, "grain": grain, "blurred": blurred, "dark": dark, "inverse": lambda scene: 255 - scene.written(),
    "colours": colours, "tilted": tilted, "corners": corners, "desk": desk, "margins": margins, "boxed": boxed,
    "underlined": underlined, "specks": specks, "jpeg": jpeg,
}  # fmt: skip


def sheet(wrong: list[tuple[Image.Image, str]]) -> Image.Image:
    """What was read wrong, six in a row."""
    drawn = Image.new("RGB", (6 * 300, -(-len(wrong) // 6) * 140), "white")
    brush = ImageDraw.Draw(drawn)
    for k, (picture, told) in enumerate(wrong):
        picture.thumbnail((290, 115))
        drawn.paste(picture, (k % 6 * 300, k // 6 * 140))
        brush.text((k % 6 * 300, k // 6 * 140 + 120), told, fill="black")
    return drawn


if __name__ == "__main__":
    main()
