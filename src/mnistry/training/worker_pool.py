"""The processes of a search on this machine: one trial a process, each with its share of the processor."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Protocol

from mnistry.training.processes import THREADS, Child
from mnistry.training.trial import Event, Task

GoOn = Callable[[int, float], bool]  # asked after an epoch, with its validation accuracy, whether to go on


class WorkerPool(Protocol):
    """Where trials run: processes of this machine or a cluster."""

    @property
    def size(self) -> int:
        """How many trials run at the same time."""

    def run(self, task: Task, go_on: GoOn) -> Event:
        """Run a trial in a process of its own, wait for its end, and return its last event.

        The event is "lost", with the reason, if the process has died, and "stopped" after `stop`. It is called from
        one thread for each trial, and `go_on` is called in that thread.
        """

    def stop(self) -> None:
        """End the trials that run; none can begin any more."""

    def close(self) -> None:
        """Give back what the pool holds, when no thread is in `run` any more."""


class LocalPool:
    """A pool of processes on this machine."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._children: set[Child] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, task: Task, go_on: GoOn) -> Event:
        """Run a trial in a new process."""
        with self._lock:
            if self._stopped:
                return {"kind": "stopped"}
            child = Child("mnistry.training.trial", environment=self._threads())
            self._children.add(child)
        try:
            return self._follow(child, task, go_on)
        finally:
            with self._lock:
                self._children.remove(child)
            child.end()

    def stop(self) -> None:
        """Kill the processes that still run."""
        with self._lock:
            self._stopped = True
            for child in self._children:
                child.kill()

    def close(self) -> None:
        """Nothing is left to give back."""

    def _follow(self, child: Child, task: Task, go_on: GoOn) -> Event:
        child.tell(json.dumps(asdict(task)))
        for line in child.lines():
            event: Event = json.loads(line)
            if event["kind"] != "epoch":
                return event
            child.tell(json.dumps(go_on(event["epoch"], event["accuracy"])))
        reason = child.wait()
        return {"kind": "stopped"} if self._stopped else {"kind": "lost", "reason": reason or "Its process ended."}

    def _threads(self) -> dict[str, str]:
        """The processors shared out among the trials, where the environment does not say how many threads to use."""
        share = str(max(1, (os.cpu_count() or 1) // self.size))
        return {name: os.environ.get(name, share) for name in THREADS}
