"""Drawings: axes that can be read, nothing hidden, and words for those who do not see them."""

import re

import numpy as np
import pytest

from mnistry.reports import figures

BINS = [
    {"n": 1, "confidence": 0.4, "accuracy": 0.0},
    {"n": 4, "confidence": 0.6, "accuracy": 0.5},
    {"n": 900, "confidence": 0.97, "accuracy": 0.98},
]


def row(name: str, accuracy: float, parameters: int) -> dict[str, object]:
    confusion = np.eye(10) * 1000
    return {
        "recipe": name, "accuracy": accuracy, "accuracy_std": None, "family": "neural", "parameters": parameters,
        "confusion": confusion.tolist(),
    }  # fmt: skip


def labels(axis) -> list[str]:
    """The labels of an axis that can be seen, which must not lie upon each other."""
    axis.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    shown = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_text()]
    boxes = [text.get_window_extent() for text in shown]
    if all(text.get_rotation() == 0 for text in shown):
        assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
    return [text.get_text() for text in shown]


@pytest.mark.parametrize("parameters", [(7_850, 101_770), (100_000, 130_000), (10, 90_000_000), (50_000, 51_000)])
@pytest.mark.parametrize("accuracies", [(0.90, 0.997), (0.9711, 0.9732), (0.5, 0.51)])
def test_both_axes_of_accuracy_against_another_figure_have_labels(parameters, accuracies):
    rows = [row("a", accuracies[0], parameters[0]), row("b", accuracies[1], parameters[1])]
    (axes,) = figures.accuracy_against(rows, "parameters", "parameters").axes
    assert len(labels(axes.xaxis)) >= 2
    assert len(labels(axes.yaxis)) >= 2


def test_a_name_that_stands_apart_from_its_point_has_a_line_to_it():
    rows = [row("a-recipe", 0.99 + 0.0001 * k, 1000 + k) for k in range(12)]
    crowded = figures.accuracy_against([*rows, row("far", 0.5, 10**6)], "parameters", "parameters").axes[0].texts
    lines = {text.get_text(): text.arrow_patch is not None for text in crowded[:1] + crowded[-2:]}
    assert lines == {"a-recipe": True, "far": False}


@pytest.mark.parametrize("values", [(0.001, 10.0), (0.0008, 0.0011), (2e-7, 3e-3), (20, 200)])
def test_a_logarithmic_slice_keeps_its_labels(values):
    (axes,) = figures.slices("learning_rate", values, [0.9, 0.95], log=True).axes
    assert 2 <= len(labels(axes.xaxis)) <= 7


def test_long_choices_are_turned_and_cut():
    choices = [f"a very long choice, the number {k} of all" for k in range(5)]
    (axes,) = figures.slices("kind", choices, [0.9] * 5, choices=choices).axes
    axes.figure.draw_without_rendering()
    texts = [tick.label1 for tick in axes.xaxis.get_major_ticks()]
    assert all(len(text.get_text()) <= 24 and text.get_rotation() == 30 for text in texts)


def test_few_answers_have_a_long_bar_and_many_a_short_one():
    figure = figures.reliability(BINS)
    (axes,) = figure.axes
    (bars,) = [c for c in axes.collections if hasattr(c, "get_segments")]
    lengths = [segment[:, 1].max() - segment[:, 1].min() for segment in bars.get_segments()]
    assert lengths[0] > lengths[1] > 0.5 > 0.03 > lengths[2]
    assert bars.get_segments()[0][:, 1] == pytest.approx([0, 0.7935], abs=1e-4)  # Wilson's interval of 0 of 1
    assert axes.get_ylim()[0] < 0  # the dot at 0 is seen whole


@pytest.mark.parametrize(
    "figure",
    [
        figures.reliability(BINS),
        figures.search([0.9, None, 0.99, 0.5]),
        figures.curve([{"epoch": k, "loss": 1 / k, "val_loss": 2 / k} for k in range(1, 60)], "loss"),
        figures.class_counts({"training": np.arange(10), "test": np.arange(10)}),
    ],
)
def test_no_legend_lies_over_the_drawing(figure):
    figure.draw_without_rendering()
    (axes,) = figure.axes
    (legend,) = figure.legends
    assert axes.get_legend() is None
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    assert len(labels(axes.xaxis)) >= 2


def test_a_drawing_says_in_words_what_it_shows():
    svg = figures.to_svg(figures.importance({'<img src="x">': 0.75, "C": 0.25}))
    told = re.search(r'<svg role="img" aria-label="([^"]*)"', svg)[1]
    assert told == "importance of each setting: &lt;img src=&quot;x&quot;&gt; 75%, C 25%"
    assert "<img" not in svg
