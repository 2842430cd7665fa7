"""Where the trials of a search run, each in a process of its own: here on this machine, in `ray_pool` on a cluster."""

import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from typing import Protocol

from mnistry.training.processes import THREADS, Child
from mnistry.training.search.trial import Event, Task

GoOn = Callable[[int, float], bool]  # asked after an epoch, with its validation accuracy, whether to go on


class LostError(Exception):
    """The process of a trial, or its machine, has died; the text is the reason, a sentence."""


class Worker(Protocol):
    """A process that runs one trial."""

    def next(self, go_on: bool | None = None) -> Event:
        """The next event, after the answer to the last one; raises LostError."""

    def kill(self) -> None:
        """End it at once, while another thread may be in `next`; `end` then gives back what it holds."""

    def end(self) -> None: ...


class WorkerPool(ABC):
    """Runs trials, at most `size` at the same time, each for a thread that waits for it."""

    size: int

    def __init__(self) -> None:
        self._workers: set[Worker] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, task: Task, go_on: GoOn) -> Event:
        """Run a trial in a new process and return its last event; "lost" if the process died, "stopped" by `stop`."""
        with self._lock:
            if self._stopped:
                return {"kind": "stopped"}
            worker = self._begin(task)
            self._workers.add(worker)
        try:
            event = worker.next()
            while event["kind"] == "epoch":
                event = worker.next(go_on(event["epoch"], event["accuracy"]))
            return event
        except LostError as problem:
            return {"kind": "stopped"} if self._stopped else {"kind": "lost", "reason": str(problem)}
        finally:
            with self._lock:
                self._workers.remove(worker)
            worker.end()

    def stop(self) -> None:
        """End the trials that run; none can begin any more."""
        with self._lock:
            self._stopped = True
            for worker in self._workers:
                worker.kill()

    def close(self) -> None:  # noqa: B027 - not every pool holds something
        """Give back what the pool holds, when no thread is in `run` any more."""

    @abstractmethod
    def _begin(self, task: Task) -> Worker: ...


class LocalPool(WorkerPool):
    """Processes of this machine, each with its share of the processors unless the environment sets the threads."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def _begin(self, task: Task) -> Worker:
        share = str(max(1, (os.cpu_count() or 1) // self.size))
        return _LocalWorker(task, {name: os.environ.get(name, share) for name in THREADS})


class _LocalWorker(Child):
    def __init__(self, task: Task, environment: dict[str, str]) -> None:
        super().__init__("mnistry.training.search.trial", environment=environment)
        self.tell(json.dumps(asdict(task)))

    def next(self, go_on: bool | None = None) -> Event:
        if go_on is not None:
            self.tell(json.dumps(go_on))
        for line in self.lines():
            event: Event = json.loads(line)
            return event
        raise LostError(self.wait() or "Its process ended too early.")
