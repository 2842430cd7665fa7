"""The service under load: the short form of benchmarks/service_trials.py."""

import json
import subprocess
import sys

import pytest

from conftest import LONG, ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trial", "option", "n"),
    [("clients", "--asked", 1500), ("sigterm", "--ends", 4), ("overload", "--overload-seconds", 5)],
)
def test_nothing_is_lost_and_nobody_gets_the_answer_of_another(trial: str, option: str, n: int):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "service_trials.py", trial, option, str(n)],
        capture_output=True, text=True, timeout=LONG,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr  # times are for a quiet machine
    assert json.loads(done.stdout.splitlines()[-1])["ok"]
