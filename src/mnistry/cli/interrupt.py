"""Ctrl-C or a kill (SIGTERM) at any moment: a sentence, 130 or 143, no traceback, and nothing is left half done.

Most commands end at once, wherever they are: an exception that unwinds the import of a C library, or a training under
the threads of one, ends in tracebacks and crashes. Unfinished files are removed first, and the processes that we have
started end themselves when they see that we are gone. `orderly` commands have more to say or to put back: they get
KeyboardInterrupt or SystemExit, but not while something is imported; who has not ended soon after, ends at once.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType

from mnistry.settings import remove_drafts

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
PATIENCE = 2.0  # seconds that a call into C may keep the handler from running

_patience, _orderly, _times = PATIENCE, False, 0
_stderr = 2


def install() -> None:
    """Take SIGTERM over, and Ctrl-C unless whoever has started this process wants it ignored."""
    global _stderr
    with suppress(OSError):  # it is closed
        _stderr = os.dup(2)  # 2 itself leads elsewhere while C libraries are kept quiet
    signal.signal(signal.SIGTERM, _handle)
    if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
        signal.signal(signal.SIGINT, _handle)
    with suppress(AttributeError):  # Windows before Python 3.12
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        threading.Thread(target=_watch, args=(read,), daemon=True).start()


def orderly(patience: float) -> None:
    """From now on the first Ctrl-C raises KeyboardInterrupt, a kill SystemExit; the end may take so many seconds."""
    global _orderly, _patience
    _orderly, _patience = True, patience


def end_at_once(code: int = INTERRUPTED) -> None:
    """End the process with this code, without any unwinding."""
    remove_drafts()
    with suppress(OSError, ValueError, RuntimeError):  # RuntimeError: it was being written to when the signal came
        sys.stdout.flush()
    cursor = "\033[?25h" if os.isatty(_stderr) else ""  # a progress bar hides it
    word = "interrupted" if code == INTERRUPTED else "terminated"
    with suppress(OSError):
        os.write(_stderr, f"{cursor}mnistry: {word}; no unfinished file was kept.\n".encode())
    os._exit(code)


def _handle(number: int, frame: FrameType | None) -> None:
    global _times
    _times += 1
    if not _orderly or _times > 1 or _imports(frame):
        end_at_once(128 + number)
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(TERMINATED)


def _imports(frame: FrameType | None) -> bool:
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _watch(pipe: int) -> None:
    """End the process if the main thread does not: it may be in a call into C that lasts."""
    while (number := os.read(pipe, 1)[0]) not in (signal.SIGINT, signal.SIGTERM):
        pass
    time.sleep(_patience)
    end_at_once(128 + number)
