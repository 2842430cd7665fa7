"""The processes of a search on this machine: one trial a process, each with its share of the processor."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from queue import Empty, SimpleQueue
from typing import IO, Protocol

from mnistry.training.trial import Event, Task

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


class WorkerPool(Protocol):
    """Whoever runs trials: processes of this machine or a cluster. A trial's process that dies is told as "lost"."""

    @property
    def size(self) -> int:
        """How many trials run at the same time."""

    def start(self, number: int, task: Task) -> None:
        """Begin a trial; its events carry the number."""

    def answer(self, number: int, go_on: bool) -> None:
        """Answer the trial's last event: go on, or end as hopeless."""

    def events(self, timeout: float) -> Sequence[tuple[int, Event]]:
        """The events that have come, after waiting for at most `timeout` seconds."""

    def close(self) -> None:
        """End what still runs."""


class LocalPool:
    """A crew of processes on this machine."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._listeners: dict[int, threading.Thread] = {}
        self._events: SimpleQueue[tuple[int, Event]] = SimpleQueue()

    def start(self, number: int, task: Task) -> None:
        """Begin a trial in a new process."""
        threads = str(max(1, (os.cpu_count() or 1) // self.size))
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - the listening thread closes it
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mnistry.training.trial"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            env={**dict.fromkeys(THREADS, threads), **os.environ},
            start_new_session=True,  # Ctrl-C is for the leader, who ends the processes in order
        )
        self._processes[number] = process
        self._write(process, json.dumps(asdict(task)))
        self._listeners[number] = threading.Thread(target=self._listen, args=(number, process, errors), daemon=True)
        self._listeners[number].start()

    def answer(self, number: int, go_on: bool) -> None:
        """Answer the trial's last event."""
        self._write(self._processes[number], json.dumps(go_on))

    def events(self, timeout: float) -> Sequence[tuple[int, Event]]:
        """The events that have come."""
        try:
            come = [self._events.get(timeout=timeout)]
        except Empty:
            return []
        while not self._events.empty():
            come.append(self._events.get())
        for number, event in come:
            if event["kind"] != "epoch":
                self._listeners.pop(number).join()
                del self._processes[number]
        return come

    def close(self) -> None:
        """Kill the processes that still run."""
        for process in self._processes.values():
            process.kill()
        for listener in self._listeners.values():
            listener.join()

    def _listen(self, number: int, process: "subprocess.Popen[str]", errors: IO[bytes]) -> None:
        """Pass the events of one process on; if it dies before its last one, say so."""
        final = False
        with errors:
            with suppress(ValueError):  # a line cut off by a kill is no JSON
                for line in process.stdout or ():
                    event = json.loads(line)
                    final = event["kind"] != "epoch"
                    self._events.put((number, event))
            with suppress(OSError), process:  # its pipes are closed; what it was still to be told is lost
                pass
            if not final:
                self._events.put((number, {"kind": "lost", "reason": _cause(process.wait(), errors)}))

    @staticmethod
    def _write(process: "subprocess.Popen[str]", line: str) -> None:
        with suppress(OSError, ValueError):  # a process that has died is told by the listening thread
            assert process.stdin is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()


def _cause(code: int, errors: IO[bytes]) -> str:
    if code < 0:
        return f"its process was killed by signal {-code}; too little memory is the usual cause"
    errors.seek(0)
    last = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
    return f"its process ended with exit code {code}{': ' if last else ''}{last}"
