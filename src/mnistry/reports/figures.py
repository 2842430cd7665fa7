"""The pictures of a report: matplotlib figures from plain numbers and images."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import binomtest

# In the SVG these two become the page's own colours, so that text is readable on light and dark.
TEXT, WARN = "#1f2934", "#b4530f"
BLUE, ORANGE, GREEN, GREY = "#3f7fbf", "#d9772b", "#3c9a5f", "#8a94a0"
FAMILY_COLOURS = {"neural": BLUE, "classical": ORANGE, "published": GREY}
MARKS = {"published": "D"}
ACCURACY_TICKS = (10, 50, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98, 98.5, 99, 99.3, 99.5, 99.6, 99.7, 99.8, 99.9, 99.95)
PAPER = LinearSegmentedColormap.from_list("paper", ["#f7f5ef", "#111417"])
HEAT = LinearSegmentedColormap.from_list("heat", ["#f6d9b8", "#d9772b", "#8f2f12"])
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": TEXT,
    "axes.edgecolor": GREY,
    "axes.facecolor": "none",
    "axes.labelcolor": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "grid.color": GREY,
    "grid.alpha": 0.3,
    "svg.fonttype": "none",
    "svg.hashsalt": "mnistry",
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}
Images = NDArray[np.uint8]


def samples(images: Images, labels: NDArray[np.integer[Any]], columns: int = 12) -> Figure:
    """The first digits of each class, a row a class."""
    figure, axes = _figure(5.0, 4.2, "the first training digits of each class, a row a class")
    rows = [np.hstack(list(images[labels == digit][:columns])) for digit in range(10)]
    width = max(row.shape[1] for row in rows)
    axes.imshow(
        np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]))) for row in rows]),
        cmap=PAPER,
        interpolation="nearest",
    )
    axes.set_xticks([])
    axes.set_yticks([14 + 28 * digit for digit in range(10)], [str(digit) for digit in range(10)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def class_counts(parts: Mapping[str, NDArray[np.integer[Any]]]) -> Figure:
    """How many digits of each class every part of the data holds."""
    sizes = ", ".join(f"{len(labels):,} {name}" for name, labels in parts.items())
    figure, axes = _figure(5.0, 2.6, f"stacked bars: how many digits of each class there are, of {sizes} digits in all")
    bottom = np.zeros(10)
    for (name, labels), colour in zip(parts.items(), (BLUE, ORANGE, GREY), strict=False):
        counts = np.bincount(labels, minlength=10)
        axes.bar(range(10), counts, bottom=bottom, color=colour, width=0.75, label=f"{name} ({len(labels):,})")
        bottom += counts
    axes.set_xticks(range(10))
    axes.set(xlabel="digit", ylabel="images")
    _legend(figure)
    return figure


def curve(history: Sequence[Mapping[str, float]], key: str) -> Figure:
    """One figure of training and validation over the epochs: "accuracy" or "loss"."""
    last = f"training ends at {history[-1][key]:.4f}"
    last += f", validation at {history[-1][f'val_{key}']:.4f}" if f"val_{key}" in history[-1] else ""
    figure, axes = _figure(5.0, 2.9, f"{key} after each of {len(history)} epochs: {last}")
    epochs = [row["epoch"] for row in history]
    for name, label, colour in ((key, "training", BLUE), (f"val_{key}", "validation", ORANGE)):
        if all(name in row for row in history):
            axes.plot(epochs, [row[name] for row in history], marker="o", ms=3.5, color=colour, label=label)
    axes.set(xlabel="epoch", ylabel=key)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.grid(axis="y")
    _legend(figure)
    return figure


def confusion(matrix: Sequence[Sequence[int]]) -> Figure:
    """The confusion matrix as a heat map; the mistakes are coloured, the right answers are not."""
    counts = np.array(matrix)
    figure, axes = _figure(5.0, 4.6, f"confusion matrix: {np.trace(counts)} of {counts.sum()} digits on the diagonal")
    wrong = np.where(np.eye(10, dtype=bool) | (counts == 0), np.nan, counts)
    top = max(float(np.nanmax(wrong)) if np.isfinite(wrong).any() else 1.0, 2.0)
    axes.imshow(wrong, cmap=HEAT, norm=LogNorm(1, top))
    for row, column in np.ndindex(10, 10):
        n = counts[row, column]
        light = row != column and n > top**0.7  # either way the contrast is above 4.5
        colour = "#ffffff" if light else "#010101" if row != column and n else TEXT
        weight = "bold" if row == column else "normal"
        axes.text(column, row, str(n), ha="center", va="center", fontsize=8, color=colour, fontweight=weight,
                  alpha=1.0 if n else 0.65)  # fmt: skip
    axes.set(xticks=range(10), yticks=range(10), xlabel="read as", ylabel="truth")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def predictions(
    images: Images, labels: NDArray[np.integer[Any]], proba: NDArray[np.floating[Any]], columns: int = 5
) -> Figure:
    """Digits with what they were read as and how surely; above a mistake, in orange, the truth stands first."""
    rows = -(-len(images) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.0, 1.3 * rows), layout="constrained")
        told = (f"a {y} read as {p.argmax()} ({p.max():.1%})" for y, p in zip(labels, proba, strict=True))
        figure.set_label(f"digits: {', '.join(told)}")
        for place, image in enumerate(images):
            axes = figure.add_subplot(rows, columns, place + 1)
            axes.imshow(image, cmap=PAPER, vmin=0, vmax=255)
            axes.set_axis_off()
            read = int(proba[place].argmax())
            right = read == labels[place]
            sure = f"{proba[place, read]:.1%}"
            title = f"{read} · {sure}" if right else f"{labels[place]} read as {read}\n{sure}"
            axes.set_title(title, color=TEXT if right else WARN, fontweight="normal" if right else "bold", fontsize=9)
    return figure


def reliability(bins: Sequence[Mapping[str, float]]) -> Figure:
    """How often answers of each confidence are right, with 95 % intervals; on the diagonal they are calibrated."""
    told = "; ".join(f"of {b['n']} answers near {b['confidence']:.0%}, {b['accuracy']:.0%} are right" for b in bins)
    figure, axes = _figure(5.0, 3.4, f"reliability diagram: {told}")
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="perfectly calibrated")
    x, y = [b["confidence"] for b in bins], [b["accuracy"] for b in bins]
    tests = [binomtest(round(b["n"] * b["accuracy"]), int(b["n"])).proportion_ci(method="wilson") for b in bins]
    below = [max(share - found.low, 0.0) for share, found in zip(y, tests, strict=True)]
    above = [max(found.high - share, 0.0) for share, found in zip(y, tests, strict=True)]
    axes.errorbar(x, y, [below, above], fmt="none", ecolor=BLUE, elinewidth=1, capsize=2)
    axes.scatter(x, y, s=[12 + 60 * np.log10(1 + b["n"]) / 4 for b in bins], color=BLUE, label="this model")
    axes.set(xlabel="probability of the answer", ylabel="share of right answers", xlim=(0, 1.03), ylim=(-0.03, 1.03))
    axes.grid()
    _legend(figure)
    return figure


def robustness(accuracies: Mapping[str, float], clean: float) -> Figure:
    """The accuracy on digits that are spoilt, a bar a corruption, the best first; a line: as they are."""
    ordered = sorted(accuracies.items(), key=lambda item: item[1])
    told = ", ".join(f"{name} {share:.1%}" for name, share in reversed(ordered))
    figure, axes = _figure(
        5.0, 0.8 + 0.26 * len(ordered), f"accuracy on spoilt digits: {told}; as they are {clean:.1%}"
    )
    axes.barh([name for name, _ in ordered], [100 * share for _, share in ordered], color=BLUE, height=0.7)
    axes.axvline(100 * clean, color=ORANGE, lw=1.5, label=f"as they are ({clean:.2%})")
    for place, (_, share) in enumerate(ordered):
        inside = share > 0.2  # white on the bar, or beside a short one
        axes.text(100 * share + (-1 if inside else 1), place, f"{100 * share:.1f}", va="center", fontsize=8,
                  ha="right" if inside else "left", color="white" if inside else TEXT)  # fmt: skip
    axes.set(xlabel="right, %", xlim=(0, 100))
    axes.tick_params(axis="y", length=0)
    _legend(figure)
    return figure


def writers(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """How many writers are read with how many mistakes; `rows` are those of `training.robustness.by_writer`."""
    most = max(row["errors"] for row in rows)
    counts = {group: np.bincount([row["errors"] for row in rows if row["group"] == group], minlength=most + 1)
              for group in ("student", "employee")}  # fmt: skip
    total = np.sum(list(counts.values()), axis=0)
    told = ", ".join(f"{n} with {k}" for k, n in enumerate(total) if n)
    figure, axes = _figure(5.0, 2.6, f"writers by the mistakes in their digits: {told}")
    bottom = np.zeros(most + 1)
    for (group, n), colour in zip(counts.items(), (ORANGE, BLUE), strict=True):
        axes.bar(range(most + 1), n, bottom=bottom, color=colour, width=0.75, label=f"{group}s ({n.sum()})")
        bottom += n
    for k, n in enumerate(total):
        if n:
            axes.text(k, n, str(n), ha="center", va="bottom", fontsize=8, color=TEXT)
    axes.set(xlabel="mistakes in a writer's digits", ylabel="writers")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _legend(figure)
    return figure


def accuracy_against(
    rows: Sequence[Mapping[str, Any]], x: str, label: str, others: Sequence[Mapping[str, Any]] = ()
) -> Figure:
    """Each recipe's mean accuracy, with its spread, against one of its other figures; both axes logarithmic.

    The height is the share of mistakes, fewer towards the top, so that 99.5 and 99.7 % stand apart as they should.
    `others` are rows with `recipe` and `family` "published", drawn beside them.
    """
    drawn = [row for row in [*rows, *others] if row[x]]
    told = "; ".join(f"{row['recipe']} {row['accuracy']:.2%} at {row[x]:,.4g}" for row in drawn)
    figure, axes = _figure(5.2, 3.8, f"test accuracy against {label}: {told}")
    least = 0.5 / max((sum(map(sum, row["confusion"])) for row in rows), default=1)  # no mistake at all has no place
    errors = np.array([max(1 - row["accuracy"], least) for row in drawn])
    for row, error in zip(drawn, errors, strict=True):
        colour, spread = FAMILY_COLOURS.get(row["family"], GREEN), row["accuracy_std"] or 0.0
        low, high = min(spread, 0.9 * error), spread  # a logarithm ends above 0
        sign = MARKS.get(row["family"], "o")
        axes.errorbar(row[x], error, [[low], [high]], fmt=sign, ms=5, lw=1, capsize=2, color=colour)
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="test accuracy, %")
    axes.margins(0.16, 0.12)
    _log_ticks(axes)
    axes.invert_yaxis()
    ticks = _accuracy_ticks(*sorted(axes.get_ylim()))
    axes.set_yticks([1 - t / 100 for t in ticks], [f"{t:.6g}" for t in ticks])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid()
    families = [name for name in FAMILY_COLOURS if any(row["family"] == name for row in drawn)]
    handles = [
        Line2D([], [], marker=MARKS.get(name, "o"), ls="", color=FAMILY_COLOURS[name], label=name) for name in families
    ]
    if len(families) > 1:
        _legend(figure, handles)
    _name_points(figure, axes, [row[x] for row in drawn], errors.tolist(), [row["recipe"] for row in drawn])
    return figure


def _accuracy_ticks(low: float, high: float) -> list[float]:
    """The accuracies in percent to write beside the axis of mistakes from low to high, not too close to each other."""
    ticks: list[float] = []
    for t in ACCURACY_TICKS:
        apart = not ticks or math.log((100 - ticks[-1]) / (100 - t)) > 0.055 * math.log(high / low)
        if low <= 1 - t / 100 <= high and apart:
            ticks.append(t)
    if len(ticks) < 3:  # a narrow range between two of them
        ticks = [t for t in MaxNLocator(4).tick_values(100 - 100 * high, 100 - 100 * low) if low <= 1 - t / 100 <= high]
    return ticks


def _log_ticks(axes: Axes) -> None:
    """Three to six round numbers along a logarithmic x axis, written in full."""
    low, high = axes.get_xlim()
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [(step, (1.0,)) for step in (4, 3, 2, 1)] + [(1, (1.0, 3.0)), (1, (1.0, 2.0, 5.0))]
    found = [[m * 10.0**e for e in decades if e % step == 0 for m in factors] for step, factors in steps]
    found.append(list(MaxNLocator(4).tick_values(low, high)))
    inside = [[tick for tick in ticks if low <= tick <= high] for ticks in found]
    ticks = next((ticks for ticks in inside if len(ticks) >= 3), inside[-1])
    axes.set_xticks(ticks, [f"{tick:,.10g}" if tick >= 1e-4 else f"{tick:.0e}".replace("e-0", "e-") for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())


def _name_points(figure: Figure, axes: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str]) -> None:
    """Write each name beside its point, where it hides neither another name nor a point as far as that can be had."""
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()  # only then the axes have their place
    points = axes.transData.transform(np.column_stack([x, y])) * 72 / figure.dpi if names else np.empty((0, 2))
    taken = [(px - 3.0, py - 3.0, px + 3.0, py + 3.0) for px, py in points]
    frame = axes.get_window_extent().frozen().transformed(Affine2D().scale(72 / figure.dpi))
    for (px, py), point, name in zip(points, zip(x, y, strict=True), names, strict=True):
        width, height = 4.6 * len(name), 9.0  # points, of 8-point letters
        places = [
            (px + dx - width * (dx < 0) - width / 2 * (dx == 0), py + dy - height / 2)
            for far in (1, 2, 3)
            for dx, dy in ((6, 0), (-6, 0), (0, 9), (0, -9), (6, 8), (6, -8), (-6, 8), (-6, -8))
            for dx, dy in ((dx, dy * far),)
        ]
        boxes = [(left, bottom, left + width, bottom + height) for left, bottom in places]
        costs = [
            sum(_overlap(box, other) for other in taken) + 1000 * (box[0] < frame.x0 or box[2] > frame.x1 + 12)
            for box in boxes
        ]
        place = int(np.argmin(costs))
        left, bottom, *_ = best = boxes[place]
        taken.append(best)
        far = place >= len(places) / 3
        line = {"arrowstyle": "-", "color": GREY, "lw": 0.7, "shrinkA": 0, "shrinkB": 3} if far else None
        axes.annotate(name, point, (left - px, bottom + height / 2 - py), textcoords="offset points", va="center",
                      fontsize=8, color=TEXT, annotation_clip=False, arrowprops=line)  # fmt: skip


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two boxes (left, bottom, right, top) share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def search(accuracies: Sequence[float | None]) -> Figure:
    """The accuracy of each trial in order (None: it has none), and the best so far as a line."""
    best = max((a for a in accuracies if a is not None), default=0.0)
    figure, axes = _figure(
        5.0, 2.9, f"validation accuracy of {len(accuracies)} trials in order; the best is {best:.2%}"
    )
    places = [k for k, accuracy in enumerate(accuracies) if accuracy is not None]
    values = [accuracy for accuracy in accuracies if accuracy is not None]
    axes.scatter(places, values, s=22, color=BLUE, label="a trial", zorder=3)
    axes.step(places, np.maximum.accumulate(values), where="post", color=ORANGE, label="best so far")
    axes.set(xlabel="finished trial", ylabel="validation accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    _legend(figure)
    return figure


def importance(shares: Mapping[str, float]) -> Figure:
    """How much each setting matters, as shares of 1."""
    told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    figure, axes = _figure(5.0, 0.8 + 0.35 * len(shares), f"importance of each setting: {told}")
    names = list(shares)[::-1]
    axes.barh(names, [shares[name] for name in names], color=BLUE, height=0.65)
    for place, name in enumerate(names):
        axes.text(shares[name] + 0.01, place, f"{shares[name]:.0%}", va="center", fontsize=8, color=TEXT)
    axes.set(xlabel="importance", xlim=(0, 1.1))
    axes.tick_params(axis="y", length=0)
    return figure


def slices(
    key: str, values: Sequence[Any], accuracies: Sequence[float], log: bool = False, choices: Sequence[Any] = ()
) -> Figure:
    """The accuracy of each trial over one of its settings; `choices` are its values where it has no range."""
    best = values[int(np.argmax(accuracies))]
    names = [f"{choice:.4g}" if isinstance(choice, float) else _short(str(choice)) for choice in choices]
    crowded = sum(map(len, names)) > 50
    told = f"validation accuracy of each trial over {key}; the best has {best}"
    figure, axes = _figure(5.0, 3.6 if crowded else 2.6, told)
    places = [choices.index(value) for value in values] if choices else values
    axes.scatter(places, accuracies, s=22, color=BLUE, zorder=2)
    axes.set(xlabel=key, ylabel="validation accuracy", **({"xscale": "log"} if log else {}))
    if choices:
        axes.set_xlim(-0.5, len(choices) - 0.5)
        axes.set_xticks(range(len(choices)), names, rotation=30 if crowded else 0, ha="right" if crowded else "center")
    elif log:
        _log_ticks(axes)
    elif all(isinstance(value, int) for value in values):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    return figure


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element for a page: no fixed size, the text in the page's own colour."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(TEXT, "currentColor").replace(WARN, "var(--warn)")
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(str(figure.get_label()))}"', 1)


def save_png(figure: Figure, path: Path) -> None:
    """The figure as a PNG file on white."""
    with mpl.rc_context(STYLE):
        figure.savefig(path, dpi=160, facecolor="white", metadata={"Software": None})


def digit_png(image: NDArray[np.uint8]) -> bytes:
    """A digit as a small PNG file, ink dark on light."""
    return png(255 - image)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels (height, width) or (height, width, 3) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _figure(width: float, height: float, told: str) -> tuple[Figure, Axes]:
    """An empty drawing of so many inches; `told` says in words what it shows, for those who do not see it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.set_label(told)
        return figure, figure.add_subplot()


def _legend(figure: Figure, handles: Sequence[Any] | None = None) -> None:
    """What the colours mean, in a row above the drawing, where it hides nothing."""
    entries = {} if handles is None else {"handles": handles}
    with mpl.rc_context(STYLE):
        figure.legend(loc="outside upper center", ncols=3, fontsize=8, frameon=False, labelcolor=TEXT, **entries)


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
