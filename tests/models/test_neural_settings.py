"""A setting is declared once: constructor, checks, recipes, search spaces and documents follow from it."""

import inspect
from dataclasses import fields

import pytest

from conftest import ROOT
from mnistry.models.base import InputError
from mnistry.models.neural import NeuralClassifier
from mnistry.models.neural_settings import NEURAL, NeuralSettings, settings_page
from mnistry.models.recipes import RECIPES, find_recipe
from mnistry.models.setting import Interval
from mnistry.settings import MnistryError

TRAINED = [name for name, recipe in RECIPES.items() if recipe.family == "neural" and name != "ensemble"]
LIMITED = [key for key, setting in NEURAL.items() if isinstance(setting.allowed, Interval)]


@pytest.mark.parametrize("field", fields(NeuralSettings), ids=lambda field: field.name)
def test_one_line_declares_a_setting_everywhere(field):
    setting = field.metadata["setting"]
    parameter = inspect.signature(NeuralClassifier).parameters[field.name]
    assert (parameter.default, parameter.annotation) == (setting.default, field.type) == (field.default, field.type)
    assert type(setting.default) is field.type
    setting.check(field.name, setting.default)
    assert all(type(RECIPES[name].settings[field.name]) is field.type for name in TRAINED)
    assert find_recipe("cnn").changed({field.name: str(setting.default)}).settings[field.name] == setting.default
    assert f"| `{field.name}` |" in settings_page()
    assert NeuralClassifier(**{field.name: setting.default}).get_params()[field.name] == setting.default


def test_the_classifier_takes_the_settings_and_nothing_else():
    assert set(NeuralClassifier().get_params()) == {*NEURAL, "network", "random_state"}


def test_every_recipe_keeps_to_what_is_declared():
    for recipe in RECIPES.values():
        for key, value in recipe.settings.items():
            assert recipe.declared[key].read(key, value) == value
            assert recipe.declared[key].doc


@pytest.mark.parametrize("key", LIMITED)
def test_a_value_outside_the_range_is_refused_by_set_by_fit_and_by_a_search(key, few_digits):
    low = NEURAL[key].allowed.low - 1
    outside = low if isinstance(NEURAL[key].default, int) else float(low)
    with pytest.raises(MnistryError, match=f"The setting {key} is "):
        find_recipe("cnn").changed({key: outside})
    with pytest.raises(InputError, match=f"The setting {key} is "):
        NeuralClassifier(**{key: outside}).fit(*few_digits)
    with pytest.raises(MnistryError, match=f"The setting {key} is "):
        find_recipe("cnn").searched({key: f"{outside}:1"}, {})


@pytest.mark.parametrize(
    ("interval", "inside", "outside", "words"),
    [
        (Interval(0, 1), (0, 0.5, 1), (-1, 1.1, float("nan"), "a", None), "from 0 to 1"),
        (Interval(0, 1, below=True), (0, 0.9), (1,), "from 0 to below 1"),
        (Interval(0, 100, above=True), (0.1, 100), (0,), "more than 0 and at most 100"),
        (Interval(0), (0, 1e300), (-1, float("inf")), "0 or more"),
        (Interval(0, above=True), (1e-9,), (0, float("inf")), "more than 0"),
        (Interval(1, 10**6), (1, 10**6), (0,), "from 1 to 1000000"),
    ],
    ids=str,
)
def test_an_interval_says_what_belongs_to_it(interval, inside, outside, words):
    assert all(value in interval for value in inside)
    assert not any(value in interval for value in outside)
    assert str(interval) == words


def test_the_page_of_settings_is_what_they_are():
    """Make it with `python -m mnistry.models.neural_settings > docs/settings.md`."""
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == settings_page()
