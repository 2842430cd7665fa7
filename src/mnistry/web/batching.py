"""Small batches that form by themselves: what arrives while the model is busy is answered together next."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (n, 28, 28), 0 = paper, 255 = ink
Answer = tuple[NDArray[np.float32], ...]  # arrays with a row an image


@dataclass(frozen=True)
class _Waiting:
    images: Images
    answer: "asyncio.Future[Answer]"


class Batcher:
    """Answers images with `model`, one batch after the other in a thread of its own, at most `most` images a batch.

    Nothing is held back to make a batch larger: a lone request is answered at once.
    """

    def __init__(self, model: Callable[[Images], Answer], most: int, seen: Callable[[int], Any] = lambda _: None):
        self._model, self._most, self._seen = model, most, seen
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mnistry-model")
        self._work: asyncio.Task[None] | None = None

    async def ask(self, images: Images) -> Answer:
        """The model's answer to these images; raises what the model raises. Cancelling it takes it off the queue."""
        waiting = _Waiting(images, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer_all())
        return await waiting.answer

    def close(self) -> None:
        """End the thread, without waiting for what it is doing."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _answer_all(self) -> None:
        while batch := self._next_batch():
            self._seen(sum(len(waiting.images) for waiting in batch))
            try:
                images = np.concatenate([waiting.images for waiting in batch])
                answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._model, images)
                _hand_out(batch, answers)
            except Exception as problem:  # noqa: BLE001 - whatever the model raises belongs to those who asked
                for waiting in batch:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(problem)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        images = 0
        while self._waiting and (not batch or images + len(self._waiting[0].images) <= self._most):
            waiting = self._waiting.popleft()
            if not waiting.answer.done():  # whoever asked may have gone
                batch.append(waiting)
                images += len(waiting.images)
        return batch


def _hand_out(batch: list[_Waiting], answers: Answer) -> None:
    """Give each its own rows."""
    start = 0
    for waiting in batch:
        stop = start + len(waiting.images)
        if not waiting.answer.done():
            waiting.answer.set_result(tuple(rows[start:stop] for rows in answers))
        start = stop
