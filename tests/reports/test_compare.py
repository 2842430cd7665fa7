"""Comparing recipes: what is missing is trained and no more, and every figure of the table is worked by hand."""

import csv
import dataclasses
import html
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from conftest import LONG, ROOT
from mnistry.data.dataset import Dataset, load
from mnistry.models.recipes import RECIPES
from mnistry.reports import compare as comparing
from mnistry.reports import published
from mnistry.reports.compare import TrainingFailedError, compare, place, plan, save, train_apart
from mnistry.reports.figures import accuracy_against
from mnistry.reports.statistics import Comparison, measure, microseconds, overlap
from mnistry.settings import MnistryError, Settings
from mnistry.training.metrics import accuracy_difference, evaluate
from mnistry.training.runs import Run, free_name, open_run, writing
from mnistry.training.train import identity

DIGITS = ("--dataset", "digits")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", settings=Settings(Path("unused"), offline=True))


@pytest.fixture
def settings() -> Settings:
    return Settings.from_environment()


@pytest.fixture
def trained(dense_run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every training is a copy of one run under the recipe's name and seed; the list says which were asked for."""
    done: list[tuple[str, int]] = []

    def at_once(recipe, seed, dataset, *_):
        done.append((recipe.name, seed))
        if os.environ.get("INTERRUPT_AT") == f"{recipe.name}{seed}":
            raise KeyboardInterrupt
        if os.environ.get("FAIL_AT") == f"{recipe.name}{seed}":
            raise TrainingFailedError("There was no memory.")
        folder = free_name(f"{recipe.name}-seed{seed}", settings.runs)
        return copied(dense_run, folder, **identity(recipe, seed, load(dataset)))

    monkeypatch.setattr(comparing, "train_apart", at_once)
    return done


def copied(run: Run, folder: Path, **info: object) -> Run:
    """The run with another run.json."""
    shutil.copytree(run.folder, folder)
    with writing(folder, replace=True) as draft:
        (draft.path / "run.json").unlink()
        (draft.path / "run.json").write_text(json.dumps(run.info | info))
    return open_run(folder)


def made(dense_run: Run, folder: Path, recipe: str, seed: int, wrong: range, data: Dataset) -> Run:
    """A run that gets these test digits wrong: one too high, with probability 0.8."""
    answers = data.test_labels.copy()
    answers[list(wrong)] = (answers[list(wrong)] + 1) % 10
    proba = np.full((len(answers), 10), 0.2 / 9, np.float32)
    proba[np.arange(len(answers)), answers] = 0.8
    shutil.copytree(dense_run.folder, folder / f"{recipe}{seed}")
    with writing(folder / f"{recipe}{seed}", replace=True) as draft:
        for name in ("test_probabilities.npy", "metrics.json", "run.json"):
            (draft.path / name).unlink()
        np.save(draft.path / "test_probabilities.npy", proba)
        (draft.path / "metrics.json").write_text(json.dumps(evaluate(proba, data.test_labels)))
        (draft.path / "run.json").write_text(json.dumps(dense_run.info | {"recipe": recipe, "seed": seed}))
    return open_run(folder / f"{recipe}{seed}")


@pytest.fixture(scope="module")
def known(dense_run: Run, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """`a` misses digits 0-9 and, with its other seed, 0-19; `b` 5-14 of 360."""
    folder = tmp_path_factory.mktemp("made")
    first = [made(dense_run, folder, "a", 0, range(10), digits), made(dense_run, folder, "a", 1, range(20), digits)]
    return measure({"a": first, "b": [made(dense_run, folder, "b", 0, range(5, 15), digits)]}, digits)


# --- The figures, worked by hand


def test_accuracy_is_the_mean_over_seeds_with_the_sample_deviation(known: Comparison):
    better, worse = known.rows
    assert (better["recipe"], better["accuracy"], better["accuracy_std"]) == ("b", 350 / 360, None)
    assert worse["accuracy"] == pytest.approx(345 / 360)
    assert worse["accuracy_std"] == pytest.approx(math.sqrt(50) / 360)  # of 340 and 350
    assert worse["nll"] == pytest.approx(-(345 * math.log(0.8) + 15 * math.log(0.2 / 9)) / 360, rel=1e-6)
    assert (worse["runs"], worse["seeds"], worse["parameters"]) == (2, [0, 1], 101_770)
    assert np.sum(worse["confusion"]) == 360
    assert np.trace(worse["confusion"]) == 345


def test_the_shared_mistakes_are_those_of_more_than_half_of_the_runs_of_all(known: Comparison, digits: Dataset):
    assert sorted(digit["index"] for digit in known.shared) == [5, 6, 7, 8, 9]
    for digit in known.shared:
        wrong = (digits.test_labels[digit["index"]] + 1) % 10
        assert digit["read_as"] == {"b": wrong, "a": wrong}
        assert digit["label_is_wrong"] is False
    assert [(row["missed"], row["missed_alone"]) for row in known.rows] == [(10, 5), (10, 5)]


def test_the_most_frequent_confusions_are_counted_a_run(known: Comparison, digits: Dataset):
    top = known.rows[1]["confusions"][0]
    counts = np.bincount(digits.test_labels[:10], minlength=10) + np.bincount(digits.test_labels[:20], minlength=10)
    assert (top["times"], top["read_as"]) == (counts.max() / 2, (top["truth"] + 1) % 10)


def test_the_overlap_of_mistakes_is_a_share_of_the_rows(known: Comparison):
    assert known.overlap == [[None, (5 / 10 + 10 / 10) / 2], [(5 / 10 + 10 / 20) / 2, (10 / 10 + 10 / 20) / 2]]


def test_a_recipe_without_mistakes_has_no_overlap():
    perfect, other = np.zeros((2, 5), bool), np.ones((1, 5), bool)
    assert overlap([perfect, other]) == [[None, None], [0.0, None]]


def only(n: int, *wrong: range) -> np.ndarray:
    """(runs, n): each run is wrong on one range."""
    right = np.ones((len(wrong), n), bool)
    for row, places in zip(right, wrong, strict=True):
        row[list(places)] = False
    return right


@pytest.mark.parametrize(
    ("first", "second", "distinguishable"),  # McNemar's exact p: 2 * (1 + 14 + 91) / 2**14 = 0.013, and 0.75
    [(2, 12, True), (4, 6, False)],
)
def test_one_run_a_model_agrees_with_mcnemar(first: int, second: int, distinguishable: bool):
    found = accuracy_difference(only(360, range(first)), only(360, range(100, 100 + second)))
    difference = (second - first) / 360
    half = 1.96 * math.sqrt((first + second) / 360 - difference**2) / math.sqrt(360)
    assert found["difference"] == pytest.approx(difference)
    assert found["interval"] == pytest.approx([difference - half, difference + half], abs=0.004)
    assert found["distinguishable"] is distinguishable


def test_the_same_answers_cannot_be_told_apart():
    right = only(100, range(10), range(5, 15))
    found = accuracy_difference(right, right.copy())
    assert found["difference"] == 0
    assert found["interval"][0] < 0 < found["interval"][1]
    assert accuracy_difference(right[:1], right[:1]) == {
        "difference": 0, "interval": [0, 0], "distinguishable": False
    }  # fmt: skip


def test_seeds_that_differ_widely_widen_the_interval():
    second = only(1000, range(100))
    steady = accuracy_difference(only(1000, range(50), range(50), range(50)), second)
    varied = accuracy_difference(only(1000, range(0), range(10), range(140)), second)
    assert steady["difference"] == varied["difference"] == pytest.approx(0.05)
    assert steady["distinguishable"]
    assert not varied["distinguishable"]


def test_the_order_of_the_two_changes_the_sign_alone():
    one, other = only(200, range(9), range(30)), only(200, range(20, 60))
    forth, back = accuracy_difference(one, other), accuracy_difference(other, one)
    assert forth["difference"] == -back["difference"]
    assert forth["interval"] == pytest.approx([-back["interval"][1], -back["interval"][0]], abs=0.01)


def test_other_digits_cannot_be_compared():
    with pytest.raises(MnistryError, match="on the same digits"):
        accuracy_difference(np.ones((1, 3), bool), np.ones((1, 4), bool))


def test_the_slower_model_takes_more_microseconds(dense_run: Run, digits: Dataset, tmp_path: Path):
    import onnx
    from onnx import helper

    model = onnx.load(dense_run.model)  # the same with its work done 30 times over
    extra = [helper.make_node("Softmax", [f"s{k}" if k else "probabilities"], [f"s{k + 1}"]) for k in range(400)]
    model.graph.node.extend(extra)
    model.graph.output.append(helper.make_tensor_value_info("s400", onnx.TensorProto.FLOAT, ["n", 10]))
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "model.onnx").write_bytes(model.SerializeToString())
    slow = dataclasses.replace(dense_run, folder=tmp_path / "slow")
    taken = microseconds({"slow": slow, "plain": dense_run}, digits.test_images)
    assert taken["slow"] > 1.5 * taken["plain"] > 0


# --- What is trained


def test_the_seeds_are_the_recipes_own_or_those_asked_for(digits: Dataset, settings: Settings):
    def seeds(name: str, given) -> list[int]:
        return [one.seed for one in plan([name], given, digits, settings)]

    assert RECIPES["logistic"].seeds == 1
    assert (seeds("dense", None), seeds("dense", 2), seeds("dense", [7, 3, 7])) == ([0, 1, 2], [0, 1], [7, 3])
    assert (seeds("logistic", 5), seeds("logistic", [7, 3])) == ([0], [7])  # always one
    assert {one.recipe.name for one in plan([], None, digits, settings)} == set(RECIPES)
    for wrong in (0, -1, True, [], [-1], ["x"]):
        with pytest.raises(MnistryError, match="number of seeds from 1"):
            plan(["dense"], wrong, digits, settings)


@pytest.mark.slow
@pytest.mark.parametrize("name", [r.name for r in RECIPES.values() if r.seeds == 1 and r.family == "classical"])
def test_chance_has_no_part_in_what_is_run_once(name: str, few_digits):
    one, other = (RECIPES[name].build(seed).fit(*few_digits).predict_proba(few_digits[0]) for seed in (0, 1))
    assert (one == other).all()


def test_what_is_finished_is_not_trained_again(trained, digits: Dataset):
    told: list[str] = []
    first = compare(["dense", "logistic"], 2, digits, callback=told.append)
    assert trained == [("logistic", 0), ("dense", 0), ("dense", 1)]
    assert told[0] == "Runs wanted: 3; finished already: 0; to train: 3, logistic (seed 0); dense (seed 0, 1)."
    trained.clear()
    second = compare(["dense", "logistic"], 2, digits, callback=told.append)
    assert trained == []
    assert told[-1] == "Every run is finished already."
    assert [row["accuracies"] for row in second.rows] == [row["accuracies"] for row in first.rows]
    compare(["dense"], [1, 4], digits)
    assert trained == [("dense", 4)]


def test_a_run_with_a_validation_split_or_other_settings_is_not_taken(
    dense_run: Run, digits: Dataset, settings: Settings
):
    copied(dense_run, settings.runs / "split")
    right = identity(RECIPES["dense"], 0, digits)
    copied(dense_run, settings.runs / "changed", **right | {"settings": right["settings"] | {"width": 7}})
    assert plan(["dense"], 1, digits, settings)[0].run is None
    mine = copied(dense_run, settings.runs / "mine", **right)
    assert plan(["dense"], 1, digits, settings)[0].run.folder == mine.folder


def test_an_interrupted_comparison_goes_on_where_it_stopped(trained, digits: Dataset, monkeypatch):
    told: list[str] = []
    monkeypatch.setenv("INTERRUPT_AT", "cnn0")
    with pytest.raises(KeyboardInterrupt):
        compare(["dense", "cnn"], 2, digits, callback=told.append)
    assert told[-1] == "2 of 4 runs are finished and kept: the same command goes on from there."
    monkeypatch.delenv("INTERRUPT_AT")
    trained.clear()
    compare(["dense", "cnn"], 2, digits)
    assert trained == [("cnn", 0), ("cnn", 1)]


def test_one_failure_leaves_the_others_alone(trained, command, monkeypatch):
    monkeypatch.setenv("FAIL_AT", "dense0")
    code, out, err = command("compare", "dense", "cnn", *DIGITS, "--seeds", 2, "--json")
    table = json.loads(out)
    assert code == 1
    assert table["failed"] == [{"recipe": "dense", "reason": "There was no memory."}]
    assert [row["recipe"] for row in table["rows"]] == ["cnn"]
    assert trained == [("dense", 0), ("cnn", 0), ("cnn", 1)]  # its other seed would fail alike
    assert "dense, seed 0, failed: There was no memory." in err
    assert "There was no memory." in Path(table["page"]).read_text("utf-8")
    code, out, _ = command("compare", "dense", *DIGITS, "--quiet")
    assert (code, out) == (2, "")


def test_a_damaged_run_is_told_and_trained_again(trained, digits: Dataset, settings: Settings):
    compare(["logistic"], None, digits)
    (run,) = settings.runs.iterdir()
    (run / "metrics.json").write_text("{}")
    told: list[str] = []
    compare(["logistic"], None, digits, callback=told.append)
    assert "metrics.json is damaged" in told[0]
    assert trained == [("logistic", 0)] * 2


def test_a_split_data_set_is_refused():
    with pytest.raises(MnistryError, match="all training digits"):
        compare(["logistic"], None, load("digits", 0.2))


def test_the_reason_of_a_failed_training_is_a_sentence(settings: Settings):
    with pytest.raises(TrainingFailedError, match="MNIST is not available"):
        train_apart(RECIPES["logistic"], 0, "mnist", settings, show=False)


def test_ctrl_c_ends_the_training_at_once_and_the_next_call_goes_on(
    command, dense_run: Run, digits: Dataset, settings: Settings, trained
):
    copied(dense_run, settings.runs / "logistic-seed0", **identity(RECIPES["logistic"], 0, digits))
    running = subprocess.Popen(
        [sys.executable, "-m", "mnistry.cli", "compare", "logistic", "dense", *DIGITS, "--seeds", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stderr is not None
    for line in running.stderr:
        if "Training dense" in line:
            break
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=LONG)
    assert (running.returncode, out) == (130, "")
    assert "1 of 2 runs are finished and kept" in err
    assert "Traceback" not in err
    assert [folder.name for folder in settings.runs.iterdir()] == ["logistic-seed0"]
    code, _, err = command("compare", "logistic", "dense", *DIGITS, "--seeds", "1")
    assert (code, trained) == (0, [("dense", 0)])
    assert "Runs wanted: 2; finished already: 1; to train: 1, dense (seed 0)." in err


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds its processes in /proc")
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])  # SIGHUP ends it as SIGKILL does
def test_a_killed_comparison_leaves_no_training_and_the_same_command_does_the_work_once(
    how: signal.Signals, settings: Settings
):
    command = [sys.executable, "-m", "mnistry.cli", "compare", "forest", *DIGITS, "--seeds", "1", "--json", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as first:
        until(lambda: trainings(settings.home), "the training's process")
        first.send_signal(how)
    until(lambda: not trainings(settings.home), "its end")
    assert not list(settings.runs.glob("*"))  # it has ended before its work was done
    again = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert [row["recipe"] for row in json.loads(again.stdout)["rows"]] == ["forest"]
    assert [folder.name for folder in settings.runs.iterdir()] == ["forest-seed0"]
    assert trainings(settings.home) == []


def trainings(home: Path) -> list[int]:
    """The trainings' processes of this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            ours = f"MNISTRY_HOME={home}\0".encode() in (folder / "environ").read_bytes()
            if ours and b"mnistry.training.processes" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def until(found: Callable[[], object], what: str) -> None:
    end = time.monotonic() + LONG
    while not found():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


# --- What is written


@pytest.fixture(scope="module")
def page(known: Comparison, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(known, digits, tmp_path_factory.mktemp("page") / "new").read_text("utf-8")


def test_the_page_is_self_contained_and_has_everything(page: str, known: Comparison):
    assert re.findall(r'(?:src|href)\s*=\s*"(?!data:|#|https://labelerrors\.com)([^"]+)"', page) == []
    assert page.count("<script>") == page.count("<script") == 1  # sorts the table; written in the page
    assert "prefers-color-scheme: dark" in page
    assert "This is not MNIST" in page
    assert "<b>95.83</b> ± 1.96" in page
    assert "not distinguishable" in page
    assert page.count("<figure") == len(known.shared) == 5
    assert all(f"no. {digit['index']}<" in page for digit in known.shared)
    assert page.count('class="matrix"') == 2
    assert {"parameters", "seconds to fit", "microseconds an image, one thread", "a", "b"} <= set(
        re.findall(r"<text [^>]*>([^<]*)</text>", page)
    )


@pytest.fixture(scope="module")
def with_writers(dense_run: Run, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """The stand-in as if it were MNIST, by 18 writers of 20 digits each; `a` misses 0-9 and 0-19, `b` 5-14."""
    folder = tmp_path_factory.mktemp("writers")
    first = [made(dense_run, folder, "cnn", 0, range(10), digits), made(dense_run, folder, "cnn", 1, range(20), digits)]
    table = np.column_stack([np.zeros(360), np.repeat([4, 0], 180), np.repeat(np.arange(18) + 2000, 20)]).astype(int)
    runs = {"cnn": first, "best": [made(dense_run, folder, "best", 0, range(5, 15), digits)]}
    return measure(runs, dataclasses.replace(digits, name="mnist"), table=table)


def test_the_writers_are_counted_by_hand(with_writers: Comparison):
    found = with_writers.writers
    assert found is not None
    assert found["n"] == 18
    assert found["without_mistake"] == {"best": 17.0, "cnn": 17.0}  # both runs of cnn miss digits of one writer alone
    worst = found["writers"][0]
    assert (worst["writer"], worst["group"], worst["n"]) == (2000, "student", 20)
    assert worst["errors"] == {"best": 10.0, "cnn": 15.0}
    assert worst["missed"] == [5, 6, 7, 8, 9]  # cnn misses 0-9 in more than half of its runs, best 5-14
    assert found["writers"][-1]["group"] in ("student", "employee")
    assert json.loads(json.dumps(with_writers.to_dict()))["writers"] == found


def test_the_page_of_mnist_has_published_figures_and_writers(with_writers: Comparison, digits: Dataset, tmp_path: Path):
    page = save(with_writers, dataclasses.replace(digits, name="mnist"), tmp_path / "page").read_text("utf-8")
    for row in published.others():
        assert html.escape(row["name"]) in page
        assert row["source"] in page
        assert row["protocol"] in page
    parameters = page.partition("<h3>Parameters</h3>")[2].partition("</svg>")[0]
    assert {"An, M3", "Deotte", "keras.io", "published"} <= set(re.findall(r"<text [^>]*>([^<]*)</text>", parameters))
    assert "An, ensembles" not in parameters  # chosen by the test digits
    writers = page.partition('<h2 id="writers">')[2]
    assert "student 2000" in writers
    assert writers.count("missed by most") == 2 * 5  # alt and title
    known = re.findall(r'(?:src|href)\s*=\s*"(?!data:|#)([^"]+)"', page)
    allowed = {row["source"] for row in published.others()}
    assert set(known) <= allowed | {"https://labelerrors.com", "https://github.com/facebookresearch/qmnist"}


def test_csv_and_json_hold_the_same_table(known: Comparison, digits: Dataset, tmp_path: Path):
    save(known, digits, tmp_path / "out")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out" / "comparison.csv").read_text())))
    table = json.loads((tmp_path / "out" / "comparison.json").read_text(), parse_constant=pytest.fail)
    assert table == known.to_dict()
    assert [line["recipe"] for line in lines] == [row["recipe"] for row in table["rows"]] == ["b", "a"]
    for line, row in zip(lines, table["rows"], strict=True):
        for name in ("accuracy", "nll", "ece", "fit_seconds", "microseconds", "model_bytes"):
            assert float(line[name]) == row[name]
    assert float(lines[0]["next_difference"]) == table["pairs"][0]["difference"] == pytest.approx(5 / 360)
    assert (lines[0]["accuracy_std"], lines[1]["next_low"]) == ("", "")


def test_a_later_comparison_replaces_the_earlier_and_nothing_else(known: Comparison, digits: Dataset, tmp_path: Path):
    save(known, digits, tmp_path / "out")
    save(known, digits, tmp_path / "out")
    (tmp_path / "out" / "letter.txt").write_text("precious")
    with pytest.raises(MnistryError, match="something else than a comparison"):
        save(known, digits, tmp_path / "out")
    with pytest.raises(MnistryError, match="something else than a comparison"):
        place(str(tmp_path / "out" / "letter.txt"), [], digits, Settings(tmp_path))
    with pytest.raises(MnistryError, match="cannot be written"):
        place(str(tmp_path / "out" / "letter.txt" / "new"), [], digits, Settings(tmp_path))


def test_names_in_a_drawing_do_not_lie_upon_each_other(known: Comparison):
    rows = [
        known.rows[1] | {"recipe": f"recipe{k}", "parameters": 1000 + 40 * k, "accuracy": 0.97 + 0.0005 * k}
        for k in range(6)
    ]
    figure = accuracy_against([*rows, rows[0] | {"parameters": None}], "parameters", "parameters")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent().shrunk(0.95, 0.8) for text in axes.texts]
    assert len(boxes) == 6  # what has no parameters has no place
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])


def test_a_perfect_model_has_its_place_too(known: Comparison):
    figure = accuracy_against([known.rows[0] | {"accuracy": 1.0, "accuracy_std": 0.0}], "parameters", "parameters")
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].texts] == ["b"]


# --- The command


@pytest.mark.usefixtures("trained")
def test_the_command_prints_the_table_or_csv(command, tmp_path: Path):
    code, out, _ = command("compare", "dense", "logistic", *DIGITS, "--seeds", "0,3", "--out", tmp_path / "out")
    assert code == 0
    assert "Test accuracy on digits, 360 digits" in out
    assert re.search(r"^ *dense +\d\d\.\d\d ± \d\.\d\d +2 +\d\.\d{4} ", out, re.MULTILINE)
    assert re.search(r"(is better than|cannot be told from) (dense|logistic): \+\d\.\d\d points", out)
    assert "Of one run only, so without a spread: logistic." in out
    assert "comparison.html" in out
    code, text, err = command("compare", "dense", *DIGITS, "--seeds", "0,3", "--csv", "--quiet")
    (line,) = csv.DictReader(io.StringIO(text))
    assert (code, err, line["recipe"], line["runs"]) == (0, "", "dense", "2")
    assert line["nll"] == f"{float(line['nll']):.4f}".rstrip("0")  # rounded; comparison.csv has every digit
    code, text, err = command("compare", "dense", *DIGITS, "--seeds", "0,3", "--latex", "--quiet")
    assert (code, err) == (0, "")
    assert re.search(r"^\\begin\{tabular\}.*^dense & \d\d\.\d\d.*\\end\{tabular\}$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("compare dense --csv --latex", "not allowed with argument --csv"),
        ("compare dens", "no recipe 'dens' (did you mean dense?)"),
        ("compare dense --seeds 0", "expected a number of runs from 1, or seeds such as 0,1,2, not '0'"),
        ("compare dense --seeds many", "expected a whole number from 0 to 4294967295, not 'many'"),
        ("compare dense --seeds 1,,2", "expected a whole number"),
        ("compare dense --out README.md", "something else than a comparison"),
        ("compare dense --out README.md/new", "cannot be written"),
        ("compare dense --out src", "something else than a comparison"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_trained(command, trained, arguments, sentence, monkeypatch):
    monkeypatch.chdir(ROOT)
    code, out, err = command(*arguments.split(), *DIGITS)
    assert (code, out, trained) == (2, "", [])
    assert sentence in err
    assert len(err.splitlines()) == 1
