"""Ctrl-C at any moment: the process ends with 130, in a sentence and without a traceback, and leaves nothing half done.

Most commands end at once, wherever they are: an exception that unwinds the import of a C library, or a training under
the threads of one, ends in tracebacks and crashes. Unfinished files are removed first, and the processes that we have
started end themselves when they see that we are gone. `orderly` commands have more to say or to put back: they get
KeyboardInterrupt, but not while something is imported; who has not ended soon after, ends at once.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType

from mnistry.settings import remove_drafts

INTERRUPTED = 130
PATIENCE = 2.0  # seconds that a call into C may keep the handler from running

_patience, _orderly, _times = PATIENCE, False, 0
_stderr = 2


def install() -> None:
    """Take Ctrl-C over, unless whoever has started this process wants it ignored."""
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        return
    global _stderr
    with suppress(OSError):  # it is closed
        _stderr = os.dup(2)  # 2 itself leads elsewhere while C libraries are kept quiet
    signal.signal(signal.SIGINT, _handle)
    with suppress(AttributeError):  # Windows before Python 3.12
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        threading.Thread(target=_watch, args=(read,), daemon=True).start()


def orderly(patience: float) -> None:
    """From now on the first Ctrl-C raises KeyboardInterrupt, and the end may take so many seconds."""
    global _orderly, _patience
    _orderly, _patience = True, patience


def end_at_once(sentence: str = "interrupted; no unfinished file was kept.") -> None:
    """End the process with 130, without any unwinding."""
    remove_drafts()
    with suppress(OSError, ValueError, RuntimeError):  # RuntimeError: it was being written to when the signal came
        sys.stdout.flush()
    cursor = "\033[?25h" if os.isatty(_stderr) else ""  # a progress bar hides it
    with suppress(OSError):
        os.write(_stderr, f"{cursor}mnistry: {sentence}\n".encode())
    os._exit(INTERRUPTED)


def _handle(_: int, frame: FrameType | None) -> None:
    global _times
    _times += 1
    if not _orderly or _times > 1 or _imports(frame):
        end_at_once()
    raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _watch(pipe: int) -> None:
    """End the process if the main thread does not: it may be in a call into C that lasts."""
    while signal.SIGINT not in os.read(pipe, 1):
        pass
    time.sleep(_patience)
    end_at_once()
