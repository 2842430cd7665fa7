"""The same trials on a Ray cluster: one trial a process, on whichever node has a free processor."""

import io
import logging
import os
import socket
import threading
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import ray
from ray.exceptions import RayError

from mnistry.settings import MnistryError
from mnistry.training.processes import THREADS
from mnistry.training.search.trial import Digits, Event, Task, run_trial
from mnistry.training.search.worker_pool import LostError, Worker, WorkerPool

PATIENCE = 5.0  # seconds to wait for the cluster to answer
DEFAULT_PORT = 6379


class _TaskActor:
    """One trial in a Ray process: `next` takes the answer to the last event and returns the next event."""

    def __init__(self, task: Task, digits: Digits) -> None:
        os.environ.update(dict.fromkeys(THREADS, "1"))
        self._answers: SimpleQueue[bool] = SimpleQueue()
        self._events: SimpleQueue[Event] = SimpleQueue()
        threading.Thread(target=self._work, args=(task, digits), daemon=True).start()

    def next(self, go_on: bool | None = None) -> Event:
        if go_on is not None:
            self._answers.put(go_on)
        return self._events.get()

    def _work(self, task: Task, digits: Digits) -> None:
        self._events.put(run_trial(task, lambda: digits, self._ask))

    def _ask(self, epoch: int, accuracy: float) -> bool:
        self._events.put({"kind": "epoch", "epoch": epoch, "accuracy": accuracy})
        return self._answers.get()


class RayPool(WorkerPool):
    """A pool on a Ray cluster. We alone use the storage and Ray sends the digits, so that nodes need neither."""

    def __init__(self, address: str, digits: Digits, most: int | None = None) -> None:
        """Join the cluster at HOST:PORT or ray://HOST:PORT, or start one on this machine with "local".

        `most` trials run at the same time, by default one for each of the cluster's processors. Raises MnistryError.
        """
        super().__init__()
        self._most = most
        self._quiet = ExitStack()  # Ray prints the last words of a dead node to stdout, where our results go
        self._quiet.enter_context(redirect_stdout(io.StringIO()))
        self._own = not ray.is_initialized()
        if self._own:
            try:
                _connect(address)
            except BaseException:
                self._quiet.close()
                raise
        self._digits = ray.put(digits)
        self._actor: Any = ray.remote(num_cpus=1, max_restarts=0)(_TaskActor)

    @property
    def size(self) -> int:  # type: ignore[override]
        """How many processors the cluster has now, or `most`."""
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cores = int(resources.get("CPU", 1))
        return max(1, cores if self._most is None else min(self._most, cores))

    def close(self) -> None:
        """Leave the cluster."""
        if self._own:
            ray.shutdown()
        self._quiet.close()

    def _begin(self, task: Task) -> Worker:
        return _RayWorker(self._actor.remote(replace(task, home=""), self._digits))  # a node need not have our folders


class _RayWorker:
    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def next(self, go_on: bool | None = None) -> Event:
        try:
            event: Event = ray.get(self._actor.next.remote(go_on))
        except RayError as problem:
            raise LostError(f"Its process or node died ({type(problem).__name__}).") from problem
        return event

    def kill(self) -> None:
        ray.kill(self._actor)  # its processor is free again

    end = kill


def _connect(address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a warning about a coming change
    if address != "local":
        _knock(address)
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == "local" else None,
        )
    except (RayError, OSError, RuntimeError, ValueError) as problem:
        first, _, _ = str(problem).strip().partition("\n")
        raise MnistryError(
            f"Ray at {address} cannot be joined: {first or type(problem).__name__}. Start this command on one of "
            "the cluster's machines (ray start --address), or take --ray local."
        ) from problem


def _knock(address: str) -> None:
    """Raise MnistryError if nobody answers there: Ray itself would try for a minute, then end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise MnistryError(f"A Ray address is HOST:PORT, such as 10.0.0.1:{DEFAULT_PORT}, or local, not {address!r}.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as door:
            if "RAY_USE_TLS" not in os.environ and not _speaks_http2(door):
                raise OSError("whoever listens there is no Ray cluster")
    except OSError as problem:
        raise MnistryError(
            f"Nobody answers at the Ray address {address} ({problem}): start the cluster with ray start --head, "
            "or take --ray local."
        ) from problem


def _speaks_http2(door: socket.socket) -> bool:
    """Whether the other side is a gRPC server, as Ray's are: it answers our settings with its own (RFC 9113, 3.4)."""
    door.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    head = door.recv(9)
    return len(head) == 9 and head[3] == 4
