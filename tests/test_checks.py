"""Whatever is passed to the public functions, a caller gets a result or a MnistryError in one sentence."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mnistry
from mnistry.models.recipes import RECIPES
from mnistry.settings import MnistryError, Settings, shown
from mnistry.training import train as training


class Hostile:
    """Nothing that Python asks of an object works."""

    def __repr__(self) -> str:
        raise ValueError("no name")

    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")

    def __eq__(self, other: object) -> bool:
        raise ValueError("not to be compared")

    __hash__ = None  # type: ignore[assignment]


VALUES: dict[str, Any] = {
    "5": 5, "-1": -1, "2.5": 2.5, "nan": float("nan"), "infinity": float("inf"), "10**400": 10**400,
    "10**5000": 10**5000, "-10**5000": -(10**5000), "true": True, "complex": 1j, "text": "no such thing", "empty": "",
    "null character": "\0", "300 letters": "x" * 300, "surrogate": "\udcff", "bytes": b"x", "object": object(),
    "hostile": Hostile(), "list": [1], "dictionary": {"a": object()}, "numbers by numbers": {1: 2},
    "nan by name": {"a": float("nan")}, "set": {1}, "array": np.zeros(3), "image": np.zeros((28, 28), np.uint8),
    "texts": np.array(["mnist", "digits"]), "no dimension": np.array("mnist"), "objects": np.array([None, {}]),
    "no argument": lambda: None, "type": Path, "module": np, "date": datetime.date(2026, 11, 24),
    "path": Path("\0"), "generator": (k for k in range(3)), "error": ValueError("x"),
}  # fmt: skip
# What is no mistake: a folder may have nearly every name, and much else has a meaning of its own.
FITS = {
    "seed": {"5"}, "out": {"text", "surrogate"}, "message": {"type"}, "progress": {"type"}, "resume": {"true"},
    "home": {"text", "surrogate", "300 letters"}, "data": {"text", "surrogate", "300 letters"}, "offline": {"true"},
}  # fmt: skip
TRAIN = (
    "recipe", "dataset", "validation", "seed", "out", "changes", "settings", "progress", "origin", "callbacks",
    "message", "resume",
)  # fmt: skip
LOAD = ("dataset", "validation", "seed", "settings", "progress")


class BegunError(Exception):
    """The training would begin now."""


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What comes as far as the training itself was accepted."""

    def fill(*_: object, **__: object) -> None:
        raise BegunError

    monkeypatch.setattr(training, "_fill", fill)
    monkeypatch.chdir(tmp_path)


def outcome(function: Callable[..., Any], **arguments: Any) -> str:
    """ "accepted", or the sentence of the refusal, or the name of an exception that should not come."""
    try:
        function(**arguments)
    except BegunError:
        return "accepted"
    except MnistryError as problem:
        return str(problem)
    except Exception as problem:  # noqa: BLE001 - the test counts them
        return f"a bare {type(problem).__name__}"
    return "accepted"


def faults(argument: str, function: Callable[..., Any], **others: Any) -> dict[str, str]:
    """Of the values those that were wrongly accepted, wrongly refused, or refused in other than a sentence."""
    told = {name: outcome(function, **others | {argument: value}) for name, value in VALUES.items()}
    fits = FITS.get(argument, ())
    return {name: words for name, words in told.items() if (words == "accepted") != (name in fits)
            or not (words == "accepted" or sentence(words))}  # fmt: skip


def sentence(told: str) -> bool:
    """One line, not endless, that ends as a sentence does."""
    return told.endswith(".") and "\n" not in told and len(told) < 500


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("argument", TRAIN)
@pytest.mark.parametrize("recipe", ["knn", "dense"])
def test_train_tells_what_is_wrong_in_a_sentence(recipe: str, argument: str):
    wrong = faults(argument, training.train, **{"recipe": recipe, "dataset": "digits"})
    if argument == "callbacks" and recipe == "dense":  # only Keras knows its callbacks: told when the fit begins
        assert wrong.pop("list") == "accepted"
    assert wrong == {}


@pytest.mark.parametrize("argument", LOAD)
def test_load_tells_what_is_wrong_in_a_sentence(argument: str):
    assert faults(argument, mnistry.load, **{"dataset": "digits"}) == {}


@pytest.mark.parametrize("argument", ["run", "data"])
def test_evaluate_tells_what_is_wrong_in_a_sentence(argument: str, dense_run: Any):
    told = {name: outcome(mnistry.evaluate, **{"run": dense_run} | {argument: value}) for name, value in VALUES.items()}
    assert {name: words for name, words in told.items() if not sentence(words)} == {}


@pytest.mark.parametrize("argument", ["home", "data", "offline"])
def test_settings_say_what_is_wrong_in_a_sentence(argument: str):
    assert faults(argument, Settings, **{"home": Path("x")}) == {}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("key", ["epochs", "learning_rate", "schedule", "teacher", "ema", "bfloat16"])
def test_a_wrong_setting_of_a_recipe_is_told_in_a_sentence(key: str):
    told = {name: outcome(training.train, recipe="dense", dataset="digits", changes={key: value})
            for name, value in VALUES.items()}  # fmt: skip
    assert {name: words for name, words in told.items() if words != "accepted" and not sentence(words)} == {}


@pytest.mark.usefixtures("no_training")
def test_what_is_right_is_accepted(tmp_path: Path):
    home = Settings(tmp_path, offline=True)
    for arguments in (
        {"seed": np.int64(3)}, {"seed": 2**32 - 1}, {"out": tmp_path / "run"}, {"origin": {"study": "a", "trial": 3}},
        {"callbacks": ()}, {"progress": lambda *_: None}, {"validation": np.float32(0.1)}, {"settings": home},
        {"recipe": RECIPES["dense"]}, {"message": print}, {"changes": {"epochs": 3}},
    ):  # fmt: skip
        assert outcome(training.train, **{"recipe": "dense", "dataset": "digits"} | arguments) == "accepted", arguments


def test_a_progress_that_takes_something_else_is_told_before_the_work():
    with pytest.raises(MnistryError, match="progress is a function of"):
        training.train("dense", "digits", progress=lambda epoch: None)  # type: ignore[misc, arg-type]


def test_values_are_shown_short():
    assert shown(10**5000) == "a value of the type int"
    assert shown("x" * 300).startswith("'xxx")
    assert len(shown(np.zeros((60000, 28, 28)))) < 100
    assert "\n" not in shown(np.zeros((28, 28)))
    assert shown(Hostile()) == "a value of the type Hostile"
