"""What is built and how it is installed: hints, lock files, the source distribution, the wheel."""

import tomllib

import pytest

from conftest import ROOT
from mnistry import settings

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_an_install_hint_says_what_works_today(extra: str):
    assert settings.install_hint(extra).startswith(f"pip install '.[{extra}]' in a clone of mnistry")


def test_the_day_of_publishing_changes_one_constant(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settings, "INSTALL_FROM", "mnistry")
    assert settings.install_hint("train") == "pip install 'mnistry[train]'"
