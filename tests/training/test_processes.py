"""The processes that we start: what they print arrives, they say why they ended, and they never outlive us."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mnistry.training.processes import Child, reason


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a module that children can run."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def write(code: str) -> str:
        (tmp_path / "piece_of_work.py").write_text(code)
        return "piece_of_work"

    return write


def test_lines_go_there_and_back_and_the_reason_of_a_failure_is_a_sentence(module):
    shown: list[str] = []
    child = Child(
        module(
            "import sys; print(input().upper()); print('mnistry: It is so.', file=sys.stderr); print('cut', end='');"
            "sys.exit(3)"
        ),
        show=shown.append,
    )
    child.tell("hello")
    assert list(child.lines()) == ["HELLO\n"]
    assert child.wait() == "It is so."
    assert "".join(shown) == "mnistry: It is so.\n"
    child.end()


def test_another_thread_can_end_it(module):
    child = Child(module("print('ready', flush=True); input()"))
    lines = child.lines()
    assert next(lines) == "ready\n"
    threading.Thread(target=child.kill).start()
    assert list(lines) == []
    assert "memory" in child.wait()
    child.tell("nobody hears this")
    child.end()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to catch")
@pytest.mark.parametrize(("obeys", "patience"), [(True, 300), (False, 0.1)])
def test_it_has_time_to_tidy_up_and_is_killed_if_it_does_not_end(module, tmp_path: Path, obeys: bool, patience: float):
    code = (
        "import pathlib, signal, sys, time\n"
        f"tidy = lambda *_: (pathlib.Path({str(tmp_path / 'tidy')!r}).touch(), sys.exit(1))\n"
        f"signal.signal(signal.SIGTERM, {'tidy' if obeys else 'signal.SIG_IGN'})\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.05)"
    )
    child = Child(module(code))
    next(child.lines())
    child.end(patience)
    assert child.wait()
    assert (tmp_path / "tidy").exists() == obeys


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to catch")
def test_a_child_ends_and_tidies_up_when_its_parent_is_killed(module, tmp_path: Path):
    told = tmp_path / "told"
    os.mkfifo(told)
    name = module(
        f"import os, signal, sys, time\nout = open({str(told)!r}, 'w', buffering=1)\n"
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(out.fileno(), b'ended\\n'), sys.exit(1)))\n"
        "out.write('ready\\n')\nwhile True: time.sleep(0.05)"
    )
    start = f"from mnistry.training.processes import Child; Child('mnistry.training.processes', [{name!r}]).wait()"
    with subprocess.Popen([sys.executable, "-c", start]) as parent, told.open() as lines:
        assert lines.readline() == "ready\n"
        parent.kill()
        assert lines.readline() == "ended\n"
        assert lines.readline() == ""  # its end has closed the pipe


def test_the_reason_of_an_end_is_a_sentence():
    assert "memory" in reason(-9, "")
    assert reason(2, "epoch 1\nmnistry: There is not enough memory.\n") == "There is not enough memory."
    assert reason(1, "Traceback\nValueError: no\n") == "ValueError: no"
    assert reason(3, "") == "It ended with code 3."
