"""What stands around writing: frames and circles, and the desk on which a sheet lies. NumPy and Pillow alone."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistry.imaging.connected_components import Components, Mask, find_components, otsu, rank_filter

Pixels = NDArray[np.uint8]  # (height, width, 3)

LARGEST_IN = 0.9  # of a frame's height, and
SMALLEST_IN = 0.2  # the height of the tallest thing in a frame; what is smaller may be a dot in a 0
THIN = 0.5  # of its box: a frame has less ink
ROUND = 0.8  # width by height of the narrowest circle; a 0 is narrower
FULL = 0.88  # of the smallest box around it, turned or not: a rectangle; an ellipse fills 0.79
MOST_LOOKED_AT = 400  # pieces, the largest; more is a texture
FRAMES = 64  # of one picture: a form has many
SMALL = 200  # pixels of the longer side on which a sheet is looked for
SHEET = (0.04, 0.97)  # of the picture: what a sheet may cover
RECTANGLE = 0.75  # of the smallest box around it, which may be turned: a sheet, seen from anywhere
WHOLE = 0.7  # of a sheet that is of its own colour: the rest is writing
RIM = 0.03  # of a sheet's height or width: its edge and the shadow on it
BLURS = 8  # of a picture outside its sheet, each about twice as wide as the one before


def remove_frames(mask: Mask) -> Mask:
    """A mask of ink (height, width) without what goes all around other ink: a drawn box, a circle, a frame.

    What runs out of the picture is none, but a line of the paper; see `lines`. Nor is what is neither a rectangle nor
    round: a 0 with a slash in it, a 9 in outlines.
    """
    components = find_components(mask)
    if components.n < 2:
        return mask
    kept = np.ones(components.n, np.bool_)
    for k in _may_be_frames(components):
        kept[k] = not _is_frame(components, k)
    return mask if kept.all() else components.paint(kept.astype(np.int32)) > 0


def _may_be_frames(components: Components) -> list[int]:
    """The largest pieces inside the picture with another one of fair height within their box."""
    height, width = components.shape
    tall, wide = components.bottom - components.top, components.right - components.left
    inside = (components.left > 0) & (components.top > 0) & (components.right < width) & (components.bottom < height)
    thin = np.flatnonzero(inside & (components.area < THIN * tall * wide))
    largest = thin[np.argsort(-(tall * wide)[thin], kind="stable")][:MOST_LOOKED_AT]
    return [int(k) for k in largest if _within(components, int(k)).any()][:FRAMES]


def _within(components: Components, k: int) -> Mask:
    """Which pieces of fair height are in the box of piece k."""
    tall = components.bottom - components.top
    fair = (tall >= SMALLEST_IN * tall[k]) & (tall <= LARGEST_IN * tall[k])
    across = (components.left > components.left[k]) & (components.right < components.right[k])
    within: Mask = fair & across & (components.top > components.top[k]) & (components.bottom < components.bottom[k])
    return within


def _is_frame(components: Components, k: int) -> bool:
    """Whether there is no way out for one of them, and the piece is a rectangle, turned or not, or round."""
    top, left = int(components.top[k]), int(components.left[k])
    own = (
        components.paint(np.where(np.arange(components.n) == k, 1, 0))[
            top : components.bottom[k], left : components.right[k]
        ]
        > 0
    )
    wall = rank_filter(rank_filter(np.pad(own, 2), 3, np.maximum, 0), 3, np.maximum, 1)  # no way between two corners
    open_ = find_components(~wall)
    numbers = open_.paint(np.arange(1, open_.n + 1))
    outside = numbers == numbers[0, 0]
    runs = [int(np.flatnonzero(components.labels == other)[0]) for other in np.flatnonzero(_within(components, k))]
    places = [
        (components.rows[run] - top + 2, (components.starts[run] + components.ends[run]) // 2 - left + 2)
        for run in runs
    ]
    if all(outside[place] for place in places):
        return False
    round_ = ROUND <= own.shape[1] / own.shape[0] <= 1 / ROUND
    return round_ or float((~outside).sum()) >= FULL * _smallest_box(~outside)


def find_pages(pixels: Pixels) -> Iterator[Pixels]:
    """The picture (height, width, 3) as if nothing but a sheet were seen, for each that may be one.

    A sheet is a large area of about one colour without bays. What lies around it gets the colours of its edge.
    """
    step = max(1, -(-max(pixels.shape[:2]) // SMALL))
    small = np.asarray(Image.fromarray(pixels).reduce(step))
    values = np.asarray(Image.fromarray(small).convert("L"), np.float32)
    bright = values > otsu(values)
    for mask in (bright, ~bright):
        sheet = _page(mask)
        if sheet is not None:
            yield _alone(pixels, small, sheet)


def _page(mask: Mask) -> Mask | None:
    """The largest piece with what is written on it, a little smaller than it is; None where that is no sheet."""
    if not mask.any():
        return None
    components = find_components(mask)
    k = int(components.area.argmax())
    piece = components.paint(np.where(np.arange(components.n) == k, 1, 0)) > 0
    filled = _filled(piece, 0) & _filled(piece, 1)
    wide, tall = int(filled.any(axis=0).sum()), int(filled.any(axis=1).sum())
    if not SHEET[0] <= filled.mean() <= SHEET[1] or piece.sum() < WHOLE * filled.sum():
        return None
    if filled.sum() < RECTANGLE * _smallest_box(filled):
        return None
    side = min(wide, tall)
    size = 2 * max(1, round(RIM * side)) + 1
    inner: Mask = rank_filter(rank_filter(filled, size, np.minimum, 0), size, np.minimum, 1)
    return inner if inner.any() else None


def _smallest_box(piece: Mask) -> float:
    """The area of the smallest rectangle around it, turned in steps of five degrees."""
    rows, columns = np.nonzero(
        piece & ~rank_filter(piece, 3, np.minimum, 0) | piece & ~rank_filter(piece, 3, np.minimum, 1)
    )
    angles = np.radians(np.arange(0, 90, 5))[:, None]
    along = columns * np.cos(angles) + rows * np.sin(angles)
    across = rows * np.cos(angles) - columns * np.sin(angles)
    return float(((np.ptp(along, axis=1) + 1) * (np.ptp(across, axis=1) + 1)).min())


def _filled(piece: Mask, axis: int) -> Mask:
    """All between the first and the last pixel along the axis."""
    before = np.maximum.accumulate(piece, axis)
    behind = np.flip(np.maximum.accumulate(np.flip(piece, axis), axis), axis)
    filled: Mask = before & behind
    return filled


def _alone(pixels: Pixels, small: Pixels, sheet: Mask) -> Pixels:
    """The picture with the colours of the sheet carried on beyond its edges."""
    size = pixels.shape[1], pixels.shape[0]
    inside = np.asarray(Image.fromarray(sheet.astype(np.uint8) * 255).resize(size)) > 127
    around = np.asarray(Image.fromarray(_carried_on(small, sheet)).resize(size))
    alone: Pixels = np.where(inside[:, :, None], pixels, around)
    return alone


def _carried_on(small: Pixels, sheet: Mask) -> Pixels:
    """The sheet's colours, and beyond it means of those nearby, wider the farther away."""
    weights, known = sheet.astype(np.float32), sheet.copy()
    colours: NDArray[np.float32] = small * weights[:, :, None]
    found = colours.copy()
    for power in range(BLURS):
        reach = 2**power + 1
        weights = _mean(weights, reach)
        colours = np.stack([_mean(colours[:, :, k], reach) for k in range(3)], axis=2)
        new = ~known & (weights > 1e-3)
        found[new] = colours[new] / weights[new][:, None]
        known |= new
    found[~known] = np.median(small[sheet], axis=0)
    return found.clip(0, 255).astype(np.uint8)


def _mean(values: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """The mean of the square of so many pixels around each pixel, 0 beyond the border."""
    sums = np.pad(values, ((reach + 1, reach), (reach + 1, reach))).cumsum(axis=0).cumsum(axis=1)
    side = 2 * reach + 1
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    mean: NDArray[np.float32] = (total / side**2).astype(np.float32)
    return mean
