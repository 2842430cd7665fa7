"""How far the accuracy of a finished run holds: on digits spoilt in the ways of MNIST-C, and from writer to writer."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from mnistry.data.dataset import STUDENTS, Dataset
from mnistry.data.download import Progress
from mnistry.data.mnist_c import CORRUPTIONS, corrupted
from mnistry.data.sources import TEST_WRITERS, writers_table
from mnistry.reading.reader import Reader
from mnistry.settings import MnistryError, Settings
from mnistry.training import metrics
from mnistry.training.runs import Run, check_data, read_json, write_json, writing

FILE = "corruptions.json"


def measure(run: Run, data: Dataset, progress: Callable[[int, int, str], None] | None = None) -> dict[str, Any]:
    """Measure a run's ONNX file on spoilt test digits; half a minute for `cnn` and MNIST.

    Returns n, `clean` (the accuracy on the digits as they are), `mean` (the mean accuracy on the fifteen), and
    `corruptions`: name, what it does, accuracy with its 95 % interval, and errors of each. `progress` is given how many
    are done, of how many, and the next one's name. Raises MnistryError if the run has learnt from other data.
    """
    check_data(run, data)
    reader, rows = Reader(run.model), []
    for done, (name, corruption) in enumerate(CORRUPTIONS.items()):
        if progress:
            progress(done, len(CORRUPTIONS), name)
        right = reader.predict(corrupted(data.test_images, name)) == data.test_labels
        rows.append({"name": name, "about": (corruption.__doc__ or "").strip(), **metrics.accuracy_of(right)})
    return {
        "dataset": data.name,
        "n": len(data.test_labels),
        "clean": float(np.mean(reader.predict(data.test_images) == data.test_labels)),
        "mean": float(np.mean([row["accuracy"] for row in rows])),
        "corruptions": rows,
    }


def keep(run: Run, figures: dict[str, Any]) -> None:
    """Add what `measure` has found to the run, as corruptions.json; raises MnistryError if that cannot be written."""
    with writing(run.folder, replace=True) as draft:
        (draft.path / FILE).unlink(missing_ok=True)
        write_json(draft.path / FILE, figures)


def kept(run: Run) -> dict[str, Any] | None:
    """What was measured and kept before, or None."""
    with suppress(OSError, ValueError):
        figures: dict[str, Any] = read_json(run.folder / FILE)
        return figures
    return None


def by_writer(run: Run, data: Dataset, settings: Settings, progress: Progress | None = None) -> dict[str, Any]:
    """How the test digits of each writer were read, by QMNIST's table of writers, which is fetched if need be.

    Returns n (writers), `without_mistake` (how many of them) and `writers`: writer, group (student or employee), n,
    accuracy with its 95 % interval, errors, and the indices of the digits of each, the worst read first. Raises
    MnistryError if the table cannot be had, or the run is not one on MNIST.
    """
    check_data(run, data)
    if data.name != "mnist":
        raise MnistryError(f"It is not recorded who wrote the test digits of {data.name}: only MNIST's are known.")
    table = writers_table(settings, progress, TEST_WRITERS)[: len(data.test_labels)]
    groups = dict(zip(table[:, 2].tolist(), table[:, 1].tolist(), strict=True))
    rows = metrics.by_writer(run.test_probabilities.argmax(axis=1) == data.test_labels, table[:, 2])
    for row in rows:
        row["group"] = "student" if groups[row["writer"]] == STUDENTS else "employee"
    return {"n": len(rows), "without_mistake": sum(not row["errors"] for row in rows), "writers": rows}
