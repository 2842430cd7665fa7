"""The search: spaces, studies that survive, processes that die, Ray nodes that vanish."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from conftest import LONG
from mnistry.models.backend import Checkpoint
from mnistry.models.recipes import RECIPES, find_recipe
from mnistry.models.setting import Choice, Range
from mnistry.reports.study_page import write_study_report
from mnistry.settings import MnistryError, Settings
from mnistry.training.processes import THREADS
from mnistry.training.search import study as studies
from mnistry.training.search import tune as search_module
from mnistry.training.search.trial import Event, Task, run_trial
from mnistry.training.search.tune import Tuned, tune
from mnistry.training.search.worker_pool import LocalPool

LINUX = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds its processes in /proc")


# --- Search spaces


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.space])
def test_a_recipes_space_fits_its_settings(name: str):
    recipe = RECIPES[name]
    for key, domain in recipe.space.items():
        for value in domain.ends:
            assert type(value) is type(recipe.settings[key])
        assert recipe.settings[key] in domain, f"{key}: the recipe's own setting is to be the first trial"
        assert recipe.searched({key: str(domain)}, {}).space[key] == domain


@pytest.mark.parametrize(
    ("key", "text", "domain"),
    [
        ("learning_rate", "0.001:0.1:log", Range(0.001, 0.1, log=True)),
        ("width", "8:64", Range(8, 64)),
        ("width", "8, 16,24", Choice((8, 16, 24))),
        ("best_epoch", "true,false", Choice((True, False))),
        ("schedule", "cosine", Choice(("cosine",))),
    ],
)
def test_a_space_is_read_with_its_settings_type(key: str, text: str, domain: object):
    assert find_recipe("cnn").searched({key: text}, {}).space[key] == domain


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("learning_rate", "0.1:", "has a hole"),
        ("learning_rate", "", "has a hole"),
        ("width", "8,,16", "has a hole"),
        ("learning_rate", "0.1:0.1", "from low to high"),
        ("learning_rate", "0.1:0.2:0.3", "LOW:HIGH"),
        ("learning_rate", "0:1:log", "is more than 0"),
        ("learning_rate", "nan:1", "takes a number"),
        ("width", "8:16.5", "a whole number"),
        ("schedule", "constant:cosine", "no range"),
        ("width", "8,8", "twice"),
        ("widht", "8:16", "did you mean width"),
    ],
)
def test_a_space_with_a_hole_is_told(key: str, text: str, sentence: str):
    with pytest.raises(MnistryError, match=sentence):
        find_recipe("cnn").searched({key: text}, {})


def test_a_fixed_setting_is_not_searched():
    recipe = find_recipe("cnn").searched({}, {"width": "16"})
    assert recipe.settings["width"] == 16
    assert "width" not in recipe.space
    with pytest.raises(MnistryError, match="both fixed and searched"):
        find_recipe("cnn").searched({"width": "8:16"}, {"width": 8})
    with pytest.raises(MnistryError, match="nothing to search"):
        find_recipe("logistic").searched({}, {"C": 1})


# --- The search, with a pool that plays its trials


class ScriptedPool:
    """A pool whose trials do what a script says: each is a list of events, the last of which ends the trial."""

    def __init__(self, script: Callable[[int, int], Sequence[Event]], size: int = 1) -> None:
        self.script = script
        self.size = size
        self.times: dict[int, int] = {}
        self.tasks: dict[int, Task] = {}
        self.pruned: set[int] = set()

    def run(self, task: Task, go_on: Callable[[int, float], bool]) -> Event:
        number = task.number
        self.times[number] = self.times.get(number, 0) + 1
        self.tasks[number] = task
        for event in [{"kind": "done"}] if task.rehearse else self.script(number, self.times[number]):
            if event["kind"] != "epoch":
                return event
            if not go_on(event["epoch"], event["accuracy"]):
                self.pruned.add(number)
                return {"kind": "pruned"}
        raise AssertionError("a script ends with a last event")

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


def done(accuracy: float, nll: float = 0.1) -> Event:
    return {"kind": "done", "accuracy": accuracy, "nll": nll, "ece": 0.01, "parameters": 7850, "epochs": 1}


def retried(trial: FrozenTrial) -> int | None:
    """The number of the trial whose settings this one tries again, as Optuna keeps it."""
    return trial.system_attrs.get("failed_trial")


def epoch(number: int, accuracy: float) -> Event:
    return {"kind": "epoch", "epoch": number, "accuracy": accuracy}


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Tuned, ScriptedPool]]:
    """Run a search whose trials follow a script of (trial, time) -> events."""

    def run(script: Callable[[int, int], Sequence[Event]], trials: int, size: int = 1, **more: Any) -> Any:
        pool = ScriptedPool(script, size)
        monkeypatch.setattr(search_module, "_pool", lambda *_: pool)
        return tune("logistic", trials, "digits", settings=Settings(tmp_path, offline=True), **more), pool

    return run


def test_the_first_trial_is_the_recipe_itself(search):
    _, pool = search(lambda number, _: [done(0.9)], 2)
    assert pool.tasks[0].settings == dict(find_recipe("logistic").settings)
    assert pool.tasks[1].settings["C"] != 0.1


def test_the_best_is_the_highest_accuracy_and_among_equals_the_lowest_loss(search):
    figures = [(0.90, 0.05), (0.95, 0.30), (0.95, 0.20), (0.94, 0.01)]
    tuned, _ = search(lambda number, _: [done(*figures[number])], 4)
    assert tuned.best.number == 2
    assert tuned.summary()["trials"] == {"complete": 4, "pruned": 0, "failed": 0, "interrupted": 0}


def test_a_hopeless_trial_is_pruned(search):
    def script(number: int, _: int) -> Sequence[Event]:
        return [epoch(0, 0.9), epoch(1, 0.92), done(0.93)] if number < 6 else [epoch(0, 0.2), epoch(1, 0.3), done(0.93)]

    tuned, pool = search(script, 8)
    assert pool.pruned == {6, 7}
    assert tuned.summary()["trials"]["pruned"] == 2


def test_a_trial_whose_process_dies_runs_again_under_its_number(search):
    def script(number: int, time: int) -> Sequence[Event]:
        return [epoch(0, 0.5), {"kind": "lost", "reason": "Killed."}] if number == 1 and time < 3 else [done(0.9)]

    tuned, pool = search(script, 3, size=2)
    assert pool.times == {-1: 1, 0: 1, 1: 3, 2: 1}
    assert tuned.summary()["trials"] == {"complete": 3, "pruned": 0, "failed": 0, "interrupted": 0}
    assert tuned.trials[1].user_attrs["losses"] == 2


def test_a_trial_that_always_dies_fails_with_its_reason(search):
    tuned, _ = search(lambda number, _: [{"kind": "lost", "reason": "Killed."}] if number == 1 else [done(0.9)], 3)
    assert tuned.summary()["trials"] == {"complete": 2, "pruned": 0, "failed": 1, "interrupted": 0}
    assert tuned.trials[1].user_attrs["reason"] == "It was tried 3 times: Killed."


def test_a_trial_fails_by_its_own_settings_and_the_search_goes_on(search, tmp_path: Path):
    tuned, _ = search(
        lambda number, _: [{"kind": "failed", "reason": "The loss became NaN."}, done(1)][number % 2 :], 4
    )
    assert tuned.summary()["trials"] == {"complete": 2, "pruned": 0, "failed": 2, "interrupted": 0}
    assert "The loss became NaN." in write_study_report(tuned, tmp_path).read_text("utf-8")


def test_what_breaks_every_trial_ends_the_search_and_keeps_the_finished_ones(search):
    def script(number: int, _: int) -> Sequence[Event]:
        return [{"kind": "broken", "reason": "The data set is gone."}] if number == 2 else [done(0.9)]

    with pytest.raises(MnistryError, match="finished trials are kept: The data set is gone"):
        search(script, 4)
    tuned, pool = search(lambda number, _: [done(0.8)], 4)
    assert sorted(pool.times) == [-1, 3, 4]
    assert tuned.summary()["trials"] == {"complete": 4, "pruned": 0, "failed": 0, "interrupted": 1}
    assert retried(tuned.trials[3]) == 2
    assert tuned.trials[3].params == tuned.trials[2].params


def test_an_interrupted_search_says_how_to_go_on(search):
    def interrupt(state: search_module.Progress) -> None:
        if state.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"2 finished trials are kept in .*logistic\.db"):
        search(lambda number, _: [done(0.9)], 5, progress=interrupt)
    tuned, _ = search(lambda number, _: [done(0.9)], 5)
    assert tuned.summary()["trials"]["complete"] == 5


def test_a_finished_search_has_nothing_left_to_do(search):
    search(lambda number, _: [done(0.9)], 2)
    _, pool = search(lambda number, _: [done(0.9)], 2)
    assert pool.times == {}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"seed": 1}, "has seed 0, not 1"),
        ({"space": {"C": "1:2"}}, "has space C=0.001:10.0:log, not C=1.0:2.0"),
        ({"validation": 0.3}, "has validation 0.1, not 0.3"),
        ({"fixed": {"tol": 0.1}}, "has fixed nothing, not tol=0.1"),
    ],
)
def test_a_study_of_something_else_is_not_gone_on_with(search, more: dict[str, Any], sentence: str):
    search(lambda number, _: [done(0.9)], 1)
    with pytest.raises(MnistryError, match=sentence):
        search(lambda number, _: [done(0.9)], 2, **more)


@pytest.mark.slow
@pytest.mark.parametrize("beaten", [True, False])
def test_the_trials_of_a_search_that_is_silent_are_tried_again(
    search, beaten: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(studies, "GRACE", 1)
    monkeypatch.setattr(studies, "BEAT", 1)
    search(lambda number, _: [done(0.9)], 1)
    store = studies.find_store("logistic", settings=Settings(tmp_path))
    study = studies.open_study(store)
    trial = study.ask(studies.distributions(find_recipe("logistic").space))
    if beaten:
        study._storage.record_heartbeat(trial._trial_id)
    tuned, _ = search(lambda number, _: [done(0.9)], 3)
    assert tuned.summary()["trials"] == {"complete": 3, "pruned": 0, "failed": 0, "interrupted": 1}
    again = [t for t in tuned.trials if retried(t) == trial.number]
    assert [t.params for t in again] == [trial.params]


@pytest.mark.parametrize(("trials", "workers"), [(0, 1), (10**9, 1), (1, 0), (1, 10**6)])
def test_impossible_numbers_are_told(trials: int, workers: int):
    with pytest.raises(MnistryError, match=r"from 1 to"):
        tune("logistic", trials, "digits", workers=workers)


# --- The storage


@pytest.mark.parametrize(
    ("storage", "sentence"),
    [
        ("study.db", "A storage is an address"),
        ("sqlite://", "would not outlive"),
        ("nonsense://u:secret@host/x", r"nonsense://u:\*\*\*@host/x"),
        ("postgresql://u:secret@127.0.0.1:9/x", "cannot be used"),
        ("sqlite:////nowhere/at/all.db", r"nowhere.* cannot be (used|written)"),
    ],
)
def test_a_storage_that_cannot_be_is_told(command, storage: str, sentence: str, monkeypatch: pytest.MonkeyPatch):
    real = Path.mkdir
    monkeypatch.setattr(
        Path, "mkdir", lambda self, *a, **k: real(self, *a, **k) if "nowhere" not in str(self) else _no()
    )
    code, out, err = command("tune", "logistic", "--trials", 1, "--dataset", "digits", "--storage", storage)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert re.search(sentence, err)
    assert "secret" not in err


def _no() -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("kind", ["torn", "text", "folder", "locked"])
def test_a_sqlite_file_that_is_torn_or_locked_is_told(
    search, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    search(lambda number, _: [done(0.9)], 3)
    path = tmp_path / "studies" / "logistic.db"
    monkeypatch.setattr(studies, "WAIT", 0.2)
    holder = None
    if kind == "torn":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "text":
        path.write_text("This is no database, but it is long enough to look like one. " * 100)
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        holder = sqlite3.connect(path)
        holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(MnistryError, match=r"no whole SQLite|not a file|locked by another") as told:
        search(lambda number, _: [done(0.9)], 4)
    assert "\n" not in str(told.value)
    if holder:
        holder.close()
        assert search(lambda number, _: [done(0.9)], 4)[0].summary()["trials"]["complete"] == 4


@pytest.mark.slow
def test_a_sqlite_file_that_vanishes_is_told(search, tmp_path: Path):
    def remove(state: search_module.Progress) -> None:
        if state.done == 1:
            (tmp_path / "studies" / "logistic.db").unlink(missing_ok=True)

    with pytest.raises(MnistryError, match=r"logistic.db cannot be used"):
        search(lambda number, _: [done(0.9)], 3, progress=remove)


# --- Training from a study


def test_training_takes_the_best_settings_of_a_study(search, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tuned, _ = search(lambda number, _: [done(0.5 + number / 10)], 2, fixed={"tol": 0.01})
    monkeypatch.setenv("MNISTRY_HOME", str(tmp_path))
    code, out, _ = command("train", "--from", "logistic", "--dataset", "digits", "--json", "--quiet")
    info = json.loads(out)
    assert code == 0
    assert info["settings"] == {"C": tuned.best.params["C"], "max_iter": 1000, "tol": 0.01}
    assert info["settings_from"] == {"study": "logistic", "trial": 1, "validation_accuracy": 0.6}
    assert "settings_from" in json.loads((Path(info["run"]) / "run.json").read_text())
    code, _, err = command("train", "dense", "--from", "logistic")
    assert (code, err.count("\n")) == (2, 1)
    assert "is of the recipe logistic, not dense" in err


def test_a_study_without_an_answer_is_told(search, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MNISTRY_HOME", str(tmp_path))
    assert "There is no study in" in command("train", "--from", "nothing")[2]
    assert "Train what?" in command("train")[2]
    search(lambda number, _: [{"kind": "failed", "reason": "no"}], 1)
    assert "has no complete trial yet" in command("train", "--from", "logistic")[2]
    code, out, err = command("tune", "logistic", "--trials", 1, "--dataset", "digits", "--json")
    assert (code, json.loads(out)["best"]) == (1, None)
    assert "no trial came to its end" in err


# --- One trial


@pytest.mark.slow
def test_a_trial_tells_its_epochs_and_ends_when_it_is_told(few_digits):
    task = Task("dense", {"epochs": 4, "width": 8}, "digits", 0.1, 0)
    told: list[int] = []

    def go_on(epoch: int, accuracy: float) -> bool:
        assert 0 <= accuracy <= 1
        told.append(epoch)
        return epoch < 1

    assert run_trial(task, lambda: (few_digits, few_digits), go_on) == {"kind": "pruned"}
    assert told == [0, 1]
    event = run_trial(task, lambda: (few_digits, few_digits), lambda *_: True)
    assert event["kind"] == "done"
    assert event["parameters"] == 785 * 8 + 9 * 10


@pytest.mark.parametrize(
    ("settings", "kind", "sentence"),
    [
        ({"batch_size": 0}, "refused", "batch_size is from 1"),
        ({"learning_rate": -1.0}, "refused", "learning_rate is more than 0"),
        ({"learning_rate": 1e30, "width": 8}, "failed", "became NaN"),
        ({"nonsense": 1}, "broken", "no setting 'nonsense'"),
    ],
)
def test_a_trial_that_cannot_be_says_why(few_digits, settings: dict[str, Any], kind: str, sentence: str):
    task = Task("dense", settings, "digits", 0.1, 0)
    event = run_trial(task, lambda: (few_digits, few_digits), lambda *_: True)
    assert event["kind"] == kind
    assert sentence in event["reason"]
    if kind == "refused":
        rehearsal = Task("dense", {}, "digits", 0.1, 0, rehearse=[{"width": 8}, settings])
        assert run_trial(rehearsal, lambda: (few_digits, few_digits), lambda *_: True) == event


@pytest.mark.slow
def test_a_trial_that_was_killed_goes_on_and_ends_the_same(few_digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Checkpoint, "due", lambda _: True)  # after each epoch
    digits = lambda: (few_digits, few_digits)  # noqa: E731
    task = Task("dense", {"epochs": 5, "width": 8}, "digits", 0.1, 0, home=str(tmp_path))
    told: list[tuple[int, float]] = []
    whole = run_trial(replace(task, home=""), digits, lambda *epoch: told.append(epoch) is None)

    def interrupt(epoch: int, _: float) -> bool:
        if epoch == 3:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        run_trial(task, digits, interrupt)
    (kept,) = (tmp_path / "checkpoints").iterdir()
    fitted = 0
    real = Checkpoint.write

    def counted(self: Checkpoint, *kept: Any) -> None:
        nonlocal fitted
        fitted += 1
        real(self, *kept)

    monkeypatch.setattr(Checkpoint, "write", counted)
    again: list[tuple[int, float]] = []
    assert run_trial(task, digits, lambda *epoch: again.append(epoch) is None) == whole
    assert again == told  # also the epochs of before, which another number does not have
    assert fitted == 2  # the last two of five
    assert not kept.exists()


def test_a_trial_goes_on_without_a_checkpoint_that_cannot_be_written(few_digits, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(Checkpoint, "due", lambda _: True)
    (tmp_path / "checkpoints").write_text("no folder")
    task = Task("dense", {"epochs": 2, "width": 8}, "digits", 0.1, 0, home=str(tmp_path))
    assert run_trial(task, lambda: (few_digits, few_digits), lambda *_: True)["kind"] == "done"


def test_a_trial_that_is_pruned_or_fails_leaves_no_checkpoint(few_digits, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(Checkpoint, "due", lambda _: True)
    for settings, kind in (({"epochs": 4, "width": 8}, "pruned"), ({"learning_rate": 1e30, "width": 8}, "failed")):
        task = Task("dense", settings, "digits", 0.1, 0, home=str(tmp_path))
        assert run_trial(task, lambda: (few_digits, few_digits), lambda epoch, _: epoch < 1)["kind"] == kind
        assert not list(tmp_path.glob("checkpoints/*"))


# --- Real processes


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small fits on one thread each: on a busy machine more of them only wait for each other."""
    for name in THREADS:
        monkeypatch.setenv(name, "1")


def processes(home: Path) -> list[int]:
    """The trials' processes of this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = f"MNISTRY_HOME={home}\0".encode() in (folder / "environ").read_bytes()
            if ours and b"mnistry.training.search.trial" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def works_for(raylet: int) -> bool:
    """Whether a process of this Ray node is at a trial; Ray puts what it does into its title."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == raylet and b"_TaskActor.next" in (folder / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


def until(found: Callable[[], Any], what: str) -> Any:
    """Wait for an event of another process, however long it takes on a busy machine, but not for ever."""
    end = time.monotonic() + LONG
    while not (answer := found()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)
    return answer


@LINUX
@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_killed_worker_is_replaced_and_no_trial_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("MNISTRY_HOME", str(tmp_path))
    killed: list[int] = []

    def kill_one(state: search_module.Progress) -> None:
        if state.running == 2 and not killed:
            killed.append(until(lambda: processes(tmp_path), "a trial's process")[0])
            os.kill(killed[0], signal.SIGKILL)

    tuned = tune("logistic", 2, "digits", workers=2, progress=kill_one)
    assert killed
    assert tuned.summary()["trials"] == {"complete": 2, "pruned": 0, "failed": 0, "interrupted": 0}
    assert sum(trial.user_attrs.get("losses", 0) for trial in tuned.trials) == 1
    assert processes(tmp_path) == []


KILLED = """
import sys, time
from pathlib import Path
from mnistry.settings import Settings
from mnistry.training.search import tune as module

class Pool:
    size = 1
    def run(self, task, go_on):
        if task.number < 1:
            return {"kind": "done", "accuracy": 0.9, "nll": 0.1, "ece": 0.1, "parameters": 1, "epochs": 1}
        go_on(0, 0.5)
        print("running", flush=True)
        time.sleep(1000)
    def stop(self): pass
    def close(self): pass

module._pool = lambda *_: Pool()
module.tune("logistic", 3, "digits", settings=Settings(Path(sys.argv[1]), offline=True))
"""


@pytest.mark.slow
def test_a_search_survives_kill_9_and_goes_on(search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "running\n"
        first.kill()
    monkeypatch.setattr(studies, "GRACE", 1)
    monkeypatch.setattr(studies, "BEAT", 1)
    tuned, pool = search(lambda number, _: [done(0.8)], 3)
    assert tuned.summary()["trials"] == {"complete": 3, "pruned": 0, "failed": 0, "interrupted": 1}
    (again,) = [trial for trial in tuned.trials if retried(trial) == 1]
    assert again.params == tuned.trials[1].params
    assert 0 not in pool.times


TUNE = """
import sys
from mnistry.cli.main import main
from mnistry.training.search import study
study.BEAT, study.GRACE = 1, 2
sys.exit(main(sys.argv[1:]))
"""


@LINUX
@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_killed_search_goes_on_with_its_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MNISTRY_HOME", str(tmp_path))
    command = [sys.executable, "-c", TUNE, "tune", "dense", "--dataset", "digits", "--trials", "1", "--space",
               "label_smoothing=0.0,0.1", "--set", "epochs=100", "--json", "--quiet"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as first:
        (kept,) = until(lambda: list(tmp_path.glob("checkpoints/*.npz")), "a checkpoint")
        first.kill()
    until(lambda: not processes(tmp_path), "the end of the trial's process")
    epochs = Checkpoint(kept, resume=True).read()["epoch"]
    assert epochs < 100, "the trial was over before the kill"
    second = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert second["trials"] == {"complete": 1, "pruned": 0, "failed": 0, "interrupted": 1}
    recipe = find_recipe("dense").changed(second["best"]["settings"])
    task = Task("dense", dict(recipe.settings), "digits", recipe.validation, 0)
    whole = run_alone(task)
    assert (second["best"]["accuracy"], second["best"]["nll"]) == (whole["accuracy"], whole["nll"])
    assert not list(tmp_path.glob("checkpoints/*"))


def run_alone(task: Task) -> Event:
    """The trial in a process of its own, which nobody disturbs."""
    return LocalPool(1).run(task, lambda *_: True)


def test_a_search_that_was_killed_before_its_first_trial_begins_with_the_recipe(
    search, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as killed, pytest.raises(SystemExit):
        killed.setattr(studies.optuna.Study, "enqueue_trial", lambda *_, **__: sys.exit(9))
        search(lambda number, _: [done(0.9)], 1)
    _, pool = search(lambda number, _: [done(0.9)], 2)
    assert pool.tasks[0].settings == dict(find_recipe("logistic").settings)


def test_a_back_end_that_does_not_exist_is_told_before_any_trial(command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_BACKEND", "nonsense")
    code, out, err = command("tune", "dense", "--trials", 3, "--dataset", "digits", "--quiet")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "Nothing was tried" in err
    assert "not 'nonsense'" in err


# --- The page


def test_the_page_shows_history_importance_and_every_trial(search, tmp_path: Path):
    tuned, _ = search(lambda number, _: [done(0.9 + number / 100, 0.2)], 6, space={"max_iter": "50:500"})
    page = write_study_report(tuned, tmp_path).read_text("utf-8")
    assert page.count("<svg") == 4  # history, importance, C, max_iter
    assert page.count("<tr><td>") + page.count('<tr class="best">') >= 6
    assert f"--set C={tuned.best.params['C']} --set max_iter={tuned.best.params['max_iter']}<" in page
    assert "mnistry train --from logistic<" in page
    assert "This is not MNIST" in page
    assert re.findall(r'(?:src|href)\s*=\s*"(?!data:|#)([^"]+)"', page) == []


# --- Ray


def test_a_ray_address_that_nobody_answers_is_told_soon():
    from mnistry.training.search.ray_pool import RayPool

    with socket.create_server(("127.0.0.1", 0)) as silent:

        def greet() -> None:
            with silent.accept()[0] as guest:
                guest.sendall(b"220 mail.example\r\n")
                guest.recv(100)

        greeter = threading.Thread(target=greet)
        greeter.start()
        start = time.monotonic()
        for address in ("127.0.0.1:9", "nowhere", f"127.0.0.1:{silent.getsockname()[1]}"):
            with pytest.raises(MnistryError, match="Ray address"):
                RayPool(address, ((), ()))  # type: ignore[arg-type]
        greeter.join()
    assert time.monotonic() - start < 10


@LINUX
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_no_trial_is_lost_when_a_node_of_a_ray_cluster_dies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(
        "mnistry.training.search.ray_pool._knock", lambda _: None
    )  # the tests' own guard knows 127.0.0.1 alone
    node = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    second = cluster.add_node(**node)
    dead: list[int] = []

    def kill_a_node(state: search_module.Progress) -> None:
        if state.running == 2 and not dead:
            raylet = second.all_processes["raylet"][0].process.pid
            until(lambda: works_for(raylet), "a trial on the second node")
            cluster.remove_node(second, allow_graceful=False)
            dead.append(raylet)

    try:
        slow = {"tol": 1e-12, "max_iter": 3000}
        tuned = tune(
            "logistic", 5, "digits", ray=cluster.address, workers=2, fixed=slow,
            settings=Settings(tmp_path, offline=True), progress=kill_a_node,
        )  # fmt: skip
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert dead
    assert capsys.readouterr().out == ""
    assert tuned.summary()["trials"] == {"complete": 5, "pruned": 0, "failed": 0, "interrupted": 0}
    assert sum(trial.user_attrs.get("losses", 0) for trial in tuned.trials) >= 1
