"""Live curves: drawn again in the same place while a network trains, and refused where there is no notebook."""

import types

import numpy as np
import pytest

from mnistry.models.recipes import RECIPES
from mnistry.reports.live import curves, live_curves
from mnistry.settings import MnistryError

ipython = pytest.importorskip("IPython", reason="IPython comes with the extra notebook")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """What a notebook would show: how, and the PNG file."""
    pictures: list[tuple[str, bytes]] = []
    handle = types.SimpleNamespace(update=lambda picture: pictures.append(("again", picture.data)))

    def display(picture: object, display_id: bool) -> object:
        assert display_id
        pictures.append(("new", picture.data))
        return handle

    monkeypatch.setattr("IPython.get_ipython", lambda: types.SimpleNamespace(kernel=True))
    monkeypatch.setattr("IPython.display.display", display)
    return pictures


def test_it_is_drawn_under_the_cell_and_then_in_the_same_place(shown: list, few_digits):
    X, y = few_digits
    model = RECIPES["dense"].changed({"epochs": 1}).build(seed=0)
    callback = live_curves(seconds=0)
    model.fit(X, y, validation=(X, y), callbacks=[callback])
    assert [how for how, _ in shown][:2] == ["new", "again"]
    assert len(callback.points) >= 1  # also within the epoch
    assert all(png.startswith(b"\x89PNG") for _, png in shown)
    assert [epoch for epoch, _ in callback.epochs] == [1]
    assert callback.epochs[-1][1]["val_accuracy"] == pytest.approx(model.history_[-1]["val_accuracy"])
    callback.on_train_begin()
    callback.draw()
    assert shown[-1][0] == "new"  # a second fit begins a new picture


def test_points_are_the_means_of_the_last_batches(shown: list):  # noqa: ARG001 - a notebook is needed
    callback = live_curves()
    callback.set_params({"steps": 10, "epochs": 2})
    callback.on_train_begin()
    callback.on_epoch_begin(1)
    callback.sample(2, {"loss": 3.0})
    callback.sample(6, {"loss": 2.0})  # 12 in all, 6 of them in the first two batches
    assert callback.points == [(1.2, {"loss": 3.0}), (1.6, {"loss": 1.5})]


def test_figures_that_are_not_there_are_left_out():
    figure = curves([(0.5, {"loss": 1.0})], [(1.0, {"loss": 0.5, "accuracy": 0.9})], 4)
    loss, accuracy = figure.axes
    assert [line.get_xydata().tolist() for line in loss.lines] == [[[0.5, 1.0]], [[1.0, 0.5]], []]
    assert accuracy.lines[1].get_label() == "training 0.9000"
    assert np.allclose(loss.get_xlim(), (0, 4))


def test_the_first_batches_do_not_flatten_what_follows():
    epochs = [(1.0, {"loss": 0.3, "val_loss": 0.1}), (2.0, {"loss": 0.2, "val_loss": 0.1})]
    bottom, top = curves([(0.1, {"loss": 2.5})], epochs, 2).axes[0].get_ylim()
    assert (bottom, top) == (pytest.approx(0.08), pytest.approx(0.32))


def test_where_there_is_no_notebook_it_says_so():
    with pytest.raises(MnistryError, match="drawn in a notebook, and this is none"):
        live_curves()
