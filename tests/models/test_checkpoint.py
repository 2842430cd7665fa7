"""A training that was interrupted ends as it would have ended, to the last bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistry.models.backend import Checkpoint
from mnistry.models.recipes import find_recipe

SMALL = {"epochs": 5, "batch_size": 64, "width": 8}
CASES = {
    "dropout": ("cnn", {}),
    "augmentation, mean of the weights, cosine": ("fast", {"ema": 0.9, "rotation": 8, "spoilt": 0.2}),
    "best epoch": ("dense", {"best_epoch": True, "patience": 4}),
    "outliers": ("reader", {"outliers": 0.3, "teacher": ""}),
}


def train(case: str, digits: Any, checkpoint: Checkpoint | None, stop_after: int | None = None) -> Any:
    name, changes = CASES[case]
    known = find_recipe(name).settings
    recipe = find_recipe(name).changed({key: v for key, v in (SMALL | changes).items() if key in known})

    def progress(epoch: int, epochs: int, batch: int, batches: int, figures: dict[str, float]) -> None:  # noqa: ARG001
        if stop_after is not None and epoch == stop_after and "seconds" not in figures:
            raise KeyboardInterrupt

    held_back = digits if "best_epoch" in changes else None
    return recipe.build(3).fit(*digits, held_back, progress, checkpoint=checkpoint)


def rows(classifier: Any) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in classifier.history_]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_training_goes_on_to_the_same_weights(case: str, few_digits: Any, tmp_path: Path):
    whole = train(case, few_digits, None)
    path = tmp_path / "checkpoint.npz"
    for epoch in (2, 4):  # interrupted twice
        with pytest.raises(KeyboardInterrupt):
            train(case, few_digits, Checkpoint(path, resume=True, pause=0), epoch)
    kept = Checkpoint(path, resume=True).read()
    assert kept is not None
    assert kept["epoch"] >= 3
    resumed = train(case, few_digits, Checkpoint(path, resume=True, pause=0))
    for one, other in zip(whole.model_.get_weights(), resumed.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert rows(whole) == rows(resumed)


def test_a_damaged_checkpoint_counts_as_none(tmp_path: Path):
    path = tmp_path / "checkpoint.npz"
    assert Checkpoint(path, resume=True).read() is None
    Checkpoint(path).write({"weight0": np.zeros(3)}, {"epoch": 1})
    assert Checkpoint(path, resume=True).read()["epoch"] == 1  # type: ignore[index]
    whole = path.read_bytes()
    for damage in (
        whole[:100],
        b"",
        whole.replace(b"(3,)", b"(((("),
        with_compression(whole, 8),
        with_compression(whole, 99),
    ):
        path.write_bytes(damage)
        assert Checkpoint(path, resume=True).read() is None


def with_compression(archive: bytes, method: int) -> bytes:
    """A zip whose directory says that all is compressed in this way."""
    told, place = bytearray(archive), 0
    while (place := archive.find(b"PK\x01\x02", place + 1)) > 0:
        told[place + 10] = method
    return bytes(told)
