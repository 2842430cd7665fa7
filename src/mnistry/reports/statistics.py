"""Finished runs of several recipes side by side: the table, the differences with intervals, and what all get wrong."""

import csv
import io
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.data.dataset import STUDENTS, Dataset
from mnistry.reading.reader import BATCH, Reader
from mnistry.settings import MnistryError
from mnistry.training import metrics
from mnistry.training.runs import Run, data_frame

ROUNDS = 9  # of timing; the models take turns
ROUND_SECONDS = 0.05  # for each model
TOP_CONFUSIONS = 5
COLUMNS = (
    "recipe", "family", "runs", "accuracy", "accuracy_std", "nll", "ece", "parameters", "model_bytes", "fit_seconds",
    "energy_joules", "peak_memory_mb", "microseconds",
)  # fmt: skip
AGAINST = ("difference", "low", "high", "distinguishable")  # from the next row of the table
ROUNDED = {
    "accuracy": 4, "accuracy_std": 4, "nll": 4, "ece": 4, "fit_seconds": 1, "energy_joules": 0, "peak_memory_mb": 0,
    "microseconds": 2, "next_difference": 4, "next_low": 4, "next_high": 4,
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Plain values, as comparison.json has them.

    `rows` a recipe each, the most accurate first; `pairs` each row against the next; `overlap` the share of the row's
    mistakes that the column makes too, on the diagonal another seed of the same recipe (None where there is none);
    `shared` the digits that more than half of the runs of every recipe get wrong; `failed` why a recipe's runs are not
    there; `notes` what a reader should know of the figures; `every_pair` each row against each that follows it;
    `writers` how the digits of each writer are read, where it is known who wrote them.
    """

    about: dict[str, Any]
    rows: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    overlap: list[list[float | None]]
    shared: list[dict[str, Any]]
    failed: list[dict[str, str]]
    notes: list[str]
    every_pair: list[dict[str, Any]] = field(default_factory=list)
    writers: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """What comparison.json holds."""
        return asdict(self)

    def between(self, one: str, other: str) -> dict[str, Any]:
        """By how much `one` is more accurate than `other`: difference, 95 % interval, and whether that leaves out 0.

        Shares of 1, below 0 where `other` is the better. Raises MnistryError if one of them is not in the table.
        """
        for pair in self.every_pair:
            if (pair["better"], pair["worse"]) == (one, other):
                return _without_names(pair)
            if (pair["better"], pair["worse"]) == (other, one):
                interval = [-end for end in reversed(pair["interval"])]
                return _without_names(pair) | {"difference": -pair["difference"], "interval": interval}
        known = ", ".join(row["recipe"] for row in self.rows)
        raise MnistryError(f"The comparison has no pair of {one!r} and {other!r}: expected two of {known}.")

    def to_rows(self, rounded: bool = False) -> list[dict[str, Any]]:
        """The table with a row a recipe and the columns of comparison.csv; `rounded` to the digits that mean something.

        Recipes that failed are not in it.
        """
        table = []
        for row, pair in zip(self.rows, [*self.pairs, None], strict=True):
            against = (pair["difference"], *pair["interval"], pair["distinguishable"]) if pair else [None] * 4
            named = zip((f"next_{name}" for name in AGAINST), against, strict=True)
            table.append({name: row[name] for name in COLUMNS} | dict(named))
        return [{key: _rounded(key, value) for key, value in row.items()} for row in table] if rounded else table

    def to_csv(self, rounded: bool = False) -> str:
        """The rows as CSV, in the order of the table."""
        text, rows = io.StringIO(), self.to_rows(rounded)
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame; raises MnistryError if pandas is not installed."""
        return data_frame(self.to_rows())

    def to_latex(self) -> str:
        """The table as a LaTeX tabular, which needs the package booktabs."""
        lines = [
            r"\begin{tabular}{lrrrrrr}", r"\toprule",
            r"recipe & accuracy, \% & runs & loss & ECE & parameters & \textmu s/image \\", r"\midrule",
        ]  # fmt: skip
        for row in self.rows:
            spread = "" if row["accuracy_std"] is None else rf" $\pm$ {100 * row['accuracy_std']:.2f}"
            parameters = f"{row['parameters']:,}" if row["parameters"] else "--"
            cells = (
                row["recipe"].replace("_", r"\_"), f"{100 * row['accuracy']:.2f}{spread}", row["runs"],
                f"{row['nll']:.4f}", f"{row['ece']:.4f}", parameters, f"{row['microseconds']:.1f}",
            )  # fmt: skip
            lines.append(" & ".join(map(str, cells)) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def measure(
    runs: Mapping[str, Sequence[Run]],
    data: Dataset,
    failed: Iterable[dict[str, str]] = (),
    table: NDArray[np.int32] | None = None,
) -> Comparison:
    """Compare recipes by their finished runs, each at least one, on the test digits of `data`.

    `table` (n, 3 or more) is QMNIST's of who wrote them, where it is there: partition in column 1, writer in column 2.

    Accuracy, loss, calibration and confusion come from what each run measured after its training; microseconds an image
    are measured now. Raises MnistryError if a run's files are not those of a run.
    """
    proba = {name: np.stack([run.test_probabilities for run in theirs]) for name, theirs in runs.items()}
    read = {name: p.argmax(axis=2) for name, p in proba.items()}  # (runs, n)
    right = {name: r == data.test_labels for name, r in read.items()}
    speed = microseconds({name: theirs[0] for name, theirs in runs.items()}, data.test_images)
    missed = {name: 2 * r.sum(axis=0) < len(r) for name, r in right.items()}  # (n,): by more than half of the runs
    rows = [_row(name, runs[name], read[name], data) | {"microseconds": speed[name]} for name in runs]
    rows.sort(key=lambda row: (-row["accuracy"], row["nll"]))
    names = [row["recipe"] for row in rows]
    times_missed = np.sum([missed[name] for name in names], axis=0)
    for row in rows:
        row["missed"] = int(np.count_nonzero(missed[row["recipe"]]))
        row["missed_alone"] = int(np.count_nonzero(missed[row["recipe"]] & (times_missed == 1)))
    every_pair = [_pair(one, other, right) for one, other in combinations(names, 2)]
    neighbours = set(pairwise(names))
    return Comparison(
        _about(data, runs),
        rows,
        [pair for pair in every_pair if (pair["better"], pair["worse"]) in neighbours],
        overlap([~right[name] for name in names]),
        _shared(np.flatnonzero(times_missed == len(names)), names, proba, read, data),
        list(failed),
        _notes([run for theirs in runs.values() for run in theirs]),
        every_pair,
        None if table is None else by_writer({name: right[name] for name in names}, table),
    )


def by_writer(right: Mapping[str, NDArray[np.bool_]], table: NDArray[np.int32]) -> dict[str, Any]:
    """How the digits of each writer are read by recipes, of which `right` has (runs, n).

    Returns `without_mistake`, the mean number of writers without one in a run of each recipe, and `writers`: writer,
    group (student or employee), n, `errors` (the mean number in a run of each recipe), `indices` of the digits and
    `missed`, those of them that more than half of the recipes miss in more than half of their runs. The worst read
    comes first: by the mean share over the recipes.
    """
    often = sum((2 * r.sum(axis=0) < len(r)).astype(int) for r in right.values())
    without, rows = dict.fromkeys(right, 0.0), []
    for writer in np.unique(table[:, 2]):
        mine = np.flatnonzero(table[:, 2] == writer)
        wrong = {name: (~r[:, mine]).sum(axis=1) for name, r in right.items()}
        without = {name: without[name] + float(np.mean(w == 0)) for name, w in wrong.items()}
        rows.append({
            "writer": int(writer),
            "group": "student" if table[mine[0], 1] == STUDENTS else "employee",
            "n": len(mine),
            "errors": {name: float(w.mean()) for name, w in wrong.items()},
            "indices": mine.tolist(),
            "missed": mine[2 * np.asarray(often)[mine] > len(right)].tolist(),
        })  # fmt: skip
    rows.sort(key=_read_worst)
    return {"n": len(rows), "without_mistake": without, "writers": rows}


def _read_worst(row: Mapping[str, Any]) -> tuple[float, int]:
    """Whose digits are missed most comes first; of those without a mistake, who wrote most comes last."""
    share = statistics.fmean(row["errors"].values()) / row["n"]
    return -share, row["n"] if not share else -row["n"]


def overlap(wrong: Sequence[NDArray[np.bool_]]) -> list[list[float | None]]:
    """The share of one recipe's mistakes that another makes too, mean over pairs of runs; `wrong` (runs, n) of each.

    On the diagonal two different runs of one recipe are paired. None where there is no pair with a mistake.
    """
    everything = np.vstack(wrong).astype(np.int64)
    owner = np.repeat(np.arange(len(wrong)), [len(w) for w in wrong])
    common = everything @ everything.T
    table: list[list[float | None]] = []
    for one in range(len(wrong)):
        table.append([])
        for other in range(len(wrong)):
            shares = [
                float(common[a, b] / common[a, a])
                for a in np.flatnonzero(owner == one)
                for b in np.flatnonzero(owner == other)
                if a != b and common[a, a]
            ]
            table[-1].append(statistics.fmean(shares) if shares else None)
    return table


def microseconds(runs: Mapping[str, Run], images: NDArray[np.uint8]) -> dict[str, float]:
    """Microseconds an image of each run's ONNX file, in batches of 16 on one thread as `Reader` reads.

    The models take turns, in another order each time, so that whatever else the machine does hits all alike; the median
    of 9 rounds.
    """
    readers = {name: Reader(run.model) for name, run in runs.items()}
    counts = {name: _enough(reader, images) for name, reader in readers.items()}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    generator = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for name in generator.permutation(list(runs)).tolist():
            taken[name].append(_seconds(readers[name], images[: counts[name]]) / counts[name])
    return {name: 1e6 * statistics.median(seconds) for name, seconds in taken.items()}


def _enough(reader: Reader, images: NDArray[np.uint8]) -> int:
    """How many images fill a round, whole batches of them."""
    _seconds(reader, images[:BATCH])  # the first call loads the model
    batches = int(ROUND_SECONDS / _seconds(reader, images[:BATCH]))
    return min(max(batches, 1) * BATCH, len(images))


def _seconds(reader: Reader, images: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    reader.predict_proba(images)
    return time.perf_counter() - start


def _row(name: str, runs: Sequence[Run], read: NDArray[np.int64], data: Dataset) -> dict[str, Any]:
    """One recipe: means over its runs, and the sample standard deviation of the accuracy."""
    info = runs[0].info
    accuracies = [run.metrics["accuracy"] for run in runs]
    confusion = metrics.confusion_matrix(np.tile(data.test_labels, len(runs)), read.ravel()) / len(runs)
    return {
        "recipe": name,
        "summary": info["summary"],
        "family": info["family"],
        "settings": info["settings"],
        "seeds": [run.info["seed"] for run in runs],
        "runs": len(runs),
        "folders": [run.folder.name for run in runs],
        "accuracy": statistics.fmean(accuracies),
        "accuracy_std": statistics.stdev(accuracies) if len(runs) > 1 else None,
        "accuracies": accuracies,
        "nll": statistics.fmean(run.metrics["nll"] for run in runs),
        "ece": statistics.fmean(run.metrics["ece"] for run in runs),
        "parameters": info["parameters"] or None,  # some models have none that could be counted
        "model_bytes": runs[0].model.stat().st_size,
        "fit_seconds": statistics.fmean(run.info["seconds"]["fit"] for run in runs),
        "energy_joules": _mean_where_known(runs, "energy_joules"),  # of the fit
        "peak_memory_mb": _mean_where_known(runs, "peak_memory_mb"),
        "confusion": confusion.tolist(),
        "confusions": _confusions(confusion),
    }


def _mean_where_known(runs: Sequence[Run], key: str) -> float | None:
    """The mean of what run.json says, over the runs whose machine told it; None if none did."""
    known = [value for run in runs if (value := run.info.get(key)) is not None]
    return statistics.fmean(known) if known else None


def _confusions(confusion: NDArray[np.float64]) -> list[dict[str, Any]]:
    """The most frequent mistakes: truth, what it was read as, and how often in one run."""
    wrong = np.where(np.eye(len(confusion), dtype=bool), 0, confusion)
    order = np.argsort(-wrong, axis=None, kind="stable")[:TOP_CONFUSIONS]
    places = [divmod(int(place), len(wrong)) for place in order]
    return [{"truth": t, "read_as": r, "times": float(wrong[t, r])} for t, r in places if wrong[t, r]]


def _pair(one: str, other: str, right: Mapping[str, NDArray[np.bool_]]) -> dict[str, Any]:
    return {"better": one, "worse": other, **metrics.accuracy_difference(right[one], right[other])}


def _without_names(pair: Mapping[str, Any]) -> dict[str, Any]:
    return {name: pair[name] for name in ("difference", "interval", "distinguishable")}


def _rounded(key: str, value: Any) -> Any:
    return round(value, ROUNDED[key]) if key in ROUNDED and value is not None else value


def _shared(
    index: NDArray[np.int64],
    names: Sequence[str],
    proba: Mapping[str, NDArray[np.float32]],
    read: Mapping[str, NDArray[np.int64]],
    data: Dataset,
) -> list[dict[str, Any]]:
    """The digits that all miss, the one whose truth seems least probable first; what each most often reads."""
    labels = data.test_labels
    belief = {int(i): float(np.mean([proba[name][:, i, labels[i]].mean() for name in names])) for i in index}
    return [
        {
            "index": i,
            "truth": int(labels[i]),
            "probability_of_truth": belief[i],
            "label_is_wrong": i in data.wrong_test_labels,
            "read_as": {name: _usual(read[name][:, i], int(labels[i])) for name in names},
        }
        for i in sorted(belief, key=lambda i: belief[i])
    ]


def _usual(answers: NDArray[np.int64], truth: int) -> int:
    """The wrong answer that most of the runs give."""
    return Counter(answers[answers != truth].tolist()).most_common(1)[0][0]


def _about(data: Dataset, runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    anyone = next(iter(runs.values()))[0].info
    return {
        "dataset": data.name,
        "dataset_sha256": data.sha256,
        "n": anyone["n"],
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "versions": anyone["versions"],
        "wrong_test_labels": len(data.wrong_test_labels),
    }


def _notes(runs: Sequence[Run]) -> list[str]:
    """What keeps the figures from being wholly comparable."""
    notes = []
    machines = {f"{run.info['machine']['system']}, {run.info['machine']['cores']} cores" for run in runs}
    if len(machines) > 1:
        notes.append(f"The seconds to fit come from different machines: {'; '.join(sorted(machines))}.")
    versions: dict[str, set[str]] = {}
    for run in runs:
        for package, version in run.info["versions"].items():
            versions.setdefault(package, set()).add(version)
    mixed = [f"{package} {' and '.join(sorted(found))}" for package, found in versions.items() if len(found) > 1]
    if mixed:
        notes.append(f"The runs were made with different versions: {'; '.join(mixed)}.")
    alone = sorted(
        {run.info["recipe"] for run in runs if sum(r.info["recipe"] == run.info["recipe"] for r in runs) == 1}
    )
    if alone:
        notes.append(
            f"Of one run only, so without a spread: {', '.join(alone)}. Where chance has a part in the fit, what is "
            "said here holds for that run, not for its recipe."
        )
    return notes
