"""Processes that work for this one: what kills one is told, another takes its place, and none outlives us."""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Self

from mnistry.settings import MnistryError

BEGIN = "import sys; sys.path[:] = {!r}; from mnistry.reading.workers import serve; serve()"
TRIES = 3  # to start a process, before it is told that none starts


class LostError(Exception):
    """The process that did the work has died, as when the system kills it."""


class Workers:
    """Up to `n` processes that do `work(item)`; both, and the answers, travel as pickles.

    Ctrl-C does not reach them: they end with the block, or when this process dies, however it dies.
    """

    def __init__(self, work: Callable[[Any], Any], n: int) -> None:
        self._work = pickle.dumps(work)
        self._threads = ThreadPoolExecutor(n)
        self._own = threading.local()  # each thread has a process
        self._lock, self._closed, self._all = threading.Lock(), False, list[_Worker]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            for worker in self._all:
                worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.close()

    def submit(self, task: Callable[[Callable[[Any], Any], Any], Any], item: Any) -> "Future[Any]":
        """Run `task(do, item)` in a thread; `do` gives an item to a process and raises LostError if that dies."""
        return self._threads.submit(task, self._do, item)

    def _do(self, item: Any) -> Any:
        if getattr(self._own, "worker", None) is None:
            self._own.worker = self._ready()
        try:
            answer = self._own.worker.ask(item)
        except LostError:
            self._own.worker = None
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ready(self) -> "_Worker":
        for _ in range(TRIES):
            with self._lock:
                if self._closed:
                    raise LostError
                worker = _Worker()
                self._all.append(worker)
            with suppress(LostError):
                worker.start(self._work)
                return worker
        raise MnistryError("The processes that were to help do not start: --workers 1 does without them.")


class _Worker:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", BEGIN.format(sys.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def start(self, work: bytes) -> None:
        self._send(work)
        self._receive()

    def ask(self, item: Any) -> Any:
        self._send(pickle.dumps(item))
        return self._receive()

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(message)
            self._process.stdin.flush()
        except (OSError, ValueError) as problem:
            raise LostError from problem

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as problem:  # its death cut the answer off
            raise LostError from problem

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):  # what was still to be sent is lost
                pipe.close()


def serve() -> None:
    """Be a worker: the work and then the items come on stdin, answers go to stdout."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    items: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_follow, args=(items,), daemon=True).start()
    work, answer = items.get(), None  # the first answer says that it has begun
    while True:
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:  # the parent is gone
            os._exit(1)
        answer = _answer(work, items.get())


def _follow(items: "SimpleQueue[Any]") -> None:
    """Hear what the parent sends; when it is gone, so is this process, whatever it does."""
    try:
        while True:
            items.put(pickle.load(sys.stdin.buffer))
    finally:
        os._exit(1)


def _answer(work: Callable[[Any], Any], item: Any) -> Any:
    try:
        return work(item)
    except Exception as problem:  # noqa: BLE001 - raised again where the work was asked for
        return problem
