"""Races and faults on purpose: the short form of benchmarks/reliability.py."""

import json
import subprocess
import sys

import pytest

from conftest import LONG, ROOT


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "n"), [("fetch", 3), ("trainings", 3), ("read", 200), ("pictures", 300)])
def test_it_holds(kind: str, n: int):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "reliability.py", kind, "--n", str(n)],
        capture_output=True, text=True, timeout=LONG,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    if kind == "pictures":  # times and memory are for a quiet machine
        assert told["pictures"] == n
    else:
        assert told["ok"], told
