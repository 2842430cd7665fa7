"""Curves that are drawn under a notebook's cell while a network trains."""

import io
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mnistry.models.backend import load_keras
from mnistry.models.neural import plain
from mnistry.reports.figures import BLUE, ORANGE, STYLE
from mnistry.settings import MnistryError

SAMPLING = 0.2  # seconds between two points of the thin line
WIDTH = 720  # pixels of the picture in the notebook
Point = tuple[float, Mapping[str, float]]  # epochs so far, figures


def live_curves(seconds: float = 3.0) -> Any:
    """A Keras callback that draws loss and accuracy under the notebook's cell while the training runs.

    Pass it as `mnistry.train(..., callbacks=[live_curves()])`, to the `fit` of a neural recipe or of any Keras model
    that measures "accuracy". The picture is drawn anew after each epoch, and in between every so many `seconds`; the
    last one stays. Dots are the figures of whole epochs, the thin line those of the last batches. Raises MnistryError
    where this is no notebook.
    """
    show = _notebook_display()
    keras = load_keras()

    class LiveCurves(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras passes it
            self.points: list[Point] = []
            self.epochs: list[Point] = []
            self.update = None
            self.begun = self.sampled = self.drawn = time.monotonic()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.epoch = epoch
            self.last: tuple[int, dict[str, float]] = (0, {})

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            now = time.monotonic()
            if now - self.sampled >= SAMPLING:
                self.sample(batch + 1, plain(logs))
                self.sampled = now
            if now - self.drawn >= seconds:
                self.draw()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs.append((epoch + 1.0, plain(logs)))
            self.draw()

        def sample(self, batches: int, means: dict[str, float]) -> None:
            """Keep the means of the batches since the last point; Keras gives those since the epoch began."""
            before, old = self.last
            recent = {
                key: (mean * batches - old.get(key, 0.0) * before) / (batches - before) for key, mean in means.items()
            }
            self.points.append((self.epoch + batches / (self.params.get("steps") or batches), recent))
            self.last = batches, means

        def draw(self) -> None:
            picture = curves(self.points, self.epochs, self.params.get("epochs") or len(self.epochs))
            self.update = show(_png(picture), self.update)
            self.drawn = time.monotonic()

    return LiveCurves()


def curves(points: Sequence[Point], epochs: Sequence[Point], all_epochs: int) -> Figure:
    """Loss and accuracy beside each other: `points` within epochs as a thin line, whole `epochs` as dots."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 3.0), layout="constrained")
        for place, key in enumerate(("loss", "accuracy")):
            axes = figure.add_subplot(1, 2, place + 1)
            axes.plot(*_line(points, key), color=BLUE, lw=0.8, alpha=0.6)
            for name, label, colour in ((key, "training", BLUE), (f"val_{key}", "validation", ORANGE)):
                x, y = _line(epochs, name)
                last = f"{label} {y[-1]:.4f}" if y else label
                axes.plot(x, y, "o-", ms=4, color=colour, label=last)
            axes.set(xlabel="epoch", ylabel=key, xlim=(0, all_epochs))
            axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
            _look_at_whole_epochs(axes, [y for name in (key, f"val_{key}") for y in _line(epochs, name)[1]])
            axes.grid(axis="y")
            axes.legend(frameon=False, fontsize=8)
    return figure


def _look_at_whole_epochs(axes: Axes, values: Sequence[float]) -> None:
    """Let the first batches, which are far worse, run out of the drawing once there are whole epochs to see."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high > low:
        axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))


def _line(points: Sequence[Point], name: str) -> tuple[list[float], list[float]]:
    known = [(place, figures[name]) for place, figures in points if name in figures]
    return [place for place, _ in known], [value for _, value in known]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=140, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _notebook_display() -> Any:
    """A function that shows a PNG file under the cell, in the place of an earlier one; raises MnistryError."""
    shell = None
    with suppress(ModuleNotFoundError):
        notebook: Any = import_module("IPython.display")
        shell = import_module("IPython").get_ipython()
    if not hasattr(shell, "kernel"):
        raise MnistryError("Live curves are drawn in a notebook, and this is none: leave live_curves() out.")

    def show(png: bytes, handle: Any) -> Any:
        picture = notebook.Image(data=png, width=WIDTH)
        if handle is None:
            return notebook.display(picture, display_id=True)
        handle.update(picture)
        return handle

    return show
