"""A process that we start for one piece of work: it is told lines, it prints lines, and it never outlives us.

The child's standard input is a pipe that only we hold. When we die, however that happens, the pipe closes, and the
child ends itself: `follow_parent` sees to that. A module that does not call it is started through this one:
`python -m mnistry.training.processes MODULE ARGUMENTS`.
"""

import codecs
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
PATIENCE = 10  # seconds that a process has to tidy up when it is told to end
KEPT = 4000  # characters of its stderr that are kept, to say why it failed


class Child:
    """A process of ours. Ctrl-C does not reach it: whoever started it ends it, with `end`."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        show: Callable[[str], None] | None = None,
    ) -> None:
        """Start `python -m MODULE ARGUMENTS`; `show` gets what it writes to stderr, from a thread of its own."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})}, start_new_session=True,
        )  # fmt: skip
        self._last = ""
        self._listener = threading.Thread(target=self._listen, args=(show,), daemon=True)
        self._listener.start()

    def tell(self, line: str) -> None:
        """Send a line to its standard input. That it has died shows in `lines` and `wait`, not here."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def lines(self) -> Iterator[str]:
        """The lines that it prints, until it ends; a last one that its death has cut off is left out."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith(b"\n"):
                yield line.decode("utf-8")

    def wait(self) -> str | None:
        """Wait until it has ended: None if all went well, or the reason in a sentence."""
        code = self._process.wait()
        self._listener.join()
        return reason(code, self._last) if code else None

    def kill(self) -> None:
        """End it at once; `lines` and `wait` then return, in whichever thread they were called."""
        self._process.kill()

    def end(self, patience: float = 0) -> None:
        """End it if it still runs, after so many seconds to tidy up, and close its pipes."""
        process = self._process
        try:
            if patience and process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
        finally:  # also after a second Ctrl-C: whoever presses it does not want to wait
            process.kill()
        with suppress(OSError), process:  # what it was still to be told is lost
            self._listener.join(PATIENCE)

    def _listen(self, show: Callable[[str], None] | None) -> None:
        assert self._process.stderr is not None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while chunk := os.read(self._process.stderr.fileno(), 65536):
            text = decoder.decode(chunk)
            self._last = (self._last + text)[-KEPT:]
            if show:
                show(text)


def reason(code: int, last: str) -> str:
    """Why a process ended, in a sentence, from its exit code and the last that it wrote to stderr."""
    if code < 0:
        return f"The system ended its process (signal {-code}), as it does when memory runs out."
    lines = [line.strip() for line in last.splitlines() if line.strip()]
    told = [line.removeprefix("mnistry: ") for line in lines if line.startswith("mnistry: ")]
    return (told or lines or [f"It ended with code {code}."])[-1][:500]


def follow_parent() -> "SimpleQueue[str]":
    """Called by a child: the lines that its parent sends. When the parent is gone, the child ends like a kill does."""
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_follow, args=(lines,), daemon=True).start()
    return lines


def _follow(lines: "SimpleQueue[str]") -> None:
    for line in sys.stdin:
        lines.put(line)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)  # a long call into C may keep the main thread from hearing the signal
    os._exit(128 + signal.SIGTERM)


def main() -> None:
    """Run another module as the command `python -m MODULE ARGUMENTS` would, and end with the parent."""
    follow_parent()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
