"""Races, faults and hostile files on purpose: the short forms of benchmarks/reliability.py and hostile.py."""

import json
import subprocess
import sys
from typing import Any

import pytest

from conftest import LONG, ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n"),
    [("fetch", 3), ("trainings", 1), ("teachings", 1), ("searches", 1), ("read", 200), ("ctrl-c", 3)],
)
def test_it_holds(kind: str, n: int):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "reliability.py", kind, "--n", str(n)],
        capture_output=True, text=True, timeout=LONG,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ok"], told
    assert told.get("kills") != 0, "nothing was killed: the work was over before"


@pytest.mark.slow
def test_hostile_pictures_do_no_harm():
    told = hostile("pictures", 400)
    assert told["pictures"] == told["read"] + told["refused"] == 400
    assert told["ok"], told


@pytest.mark.slow
def test_hostile_files_are_told():
    told = hostile("files", 300)
    assert told["ok"], told


def hostile(kind: str, n: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "hostile.py", kind, "--n", str(n)],
        capture_output=True, text=True, timeout=LONG,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.slow
def test_many_pictures_are_read_in_order_and_go_on_after_a_kill():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "scale.py", "--pictures", "1100", "--cores", "2", "--kills", "1"],
        capture_output=True, text=True, timeout=LONG,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ok"], told
    assert told["right"] > 0.9
    assert told["cores"]["2"]["mb_at_the_end"] < told["cores"]["2"]["mb_after_a_fifth"] + 50
