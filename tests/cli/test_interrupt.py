"""Ctrl-C at the moments that were worst: while something is imported, in a call into C, while a file is written."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

BEGIN = """
import os, signal, sys
from pathlib import Path
from mnistry.cli import interrupt
def press(): os.kill(os.getpid(), signal.SIGINT)
"""
SENTENCE = "mnistry: interrupted; no unfinished file was kept.\n"


@pytest.fixture
def ended(tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Run this code in a process: its exit code, stdout and stderr."""

    def run(code: str, begin: Callable[[], None] | None = None) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False, cwd=tmp_path,
            preexec_fn=begin,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.parametrize("orderly", ["", "interrupt.orderly(60)"])
def test_an_import_is_ended_without_a_traceback(ended, tmp_path: Path, orderly: str):
    (tmp_path / "slow.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass\n")
    assert ended(f"interrupt.install()\n{orderly}\nsys.path.insert(0, '.')\nimport slow") == (130, "", SENTENCE)


def test_the_process_listens_before_it_imports_anything(ended):
    code = "import _signal; import mnistry.cli.__main__; print(_signal.getsignal(2) is _signal.default_int_handler)"
    assert ended(code) == (0, "False\n", "")


def test_a_call_into_c_is_ended(ended):
    begun = time.monotonic()
    code = "interrupt.install()\nimport hashlib, threading\nthreading.Timer(0.3, press).start()\n"
    assert ended(code + "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)") == (130, "", SENTENCE)
    assert time.monotonic() - begun < 60  # the call takes minutes


def test_what_is_being_written_is_removed_and_what_was_printed_is_there(ended, tmp_path: Path):
    code = """
from mnistry.settings import draft
interrupt.install()
print("read")
with draft(Path("file")) as path, draft(Path("folder"), folder=True) as folder:
    (folder / "x").write_text("x")
    press()
"""
    assert ended(code) == (130, "read\n", SENTENCE)
    assert list(tmp_path.iterdir()) == []


def test_the_sentence_is_told_while_c_libraries_are_kept_quiet(ended):
    code = "from mnistry.settings import quiet_stderr\ninterrupt.install()\nwith quiet_stderr():\n    press()"
    assert ended(code) == (130, "", SENTENCE)


def test_an_orderly_command_hears_the_first_and_ends_at_the_second(ended):
    code = """
interrupt.install()
interrupt.orderly(60)
try:
    press()
except KeyboardInterrupt:
    print("putting back")
    press()
print("never")
"""
    assert ended(code) == (130, "putting back\n", SENTENCE)


def test_an_orderly_end_that_hangs_is_ended(ended):
    code = """
interrupt.install()
interrupt.orderly(0.5)
import threading
try:
    press()
finally:
    threading.Event().wait()
"""
    assert ended(code) == (130, "", SENTENCE)


def test_ctrl_c_waits_while_a_folder_is_replaced(ended):
    code = """
from mnistry.settings import uninterrupted
interrupt.install()
with uninterrupted():
    press()
    print("replaced")
print("never")
"""
    assert ended(code) == (130, "replaced\n", SENTENCE)


def test_who_wants_it_ignored_has_it_ignored(ended):
    code = "interrupt.install()\npress()\nprint('goes on')"
    assert ended(code, lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) == (0, "goes on\n", "")  # type: ignore[arg-type, return-value]
