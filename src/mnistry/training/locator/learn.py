"""How the locator learns: from scenes that other processes make, with checkpoints from which training can go on."""

import io
import multiprocessing
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mnistry.models.backend import load_keras, precision
from mnistry.models.locator import targets
from mnistry.models.locator.network import locator_network
from mnistry.settings import MnistryError, write_atomic

Batch = tuple[NDArray[np.uint8], tuple[NDArray[np.float32], NDArray[np.float32]]]
WAITING = 8  # batches made in advance
PATIENCE = 5.0  # seconds until a process that makes scenes is asked whether it is alive


class Maker(Protocol):
    """Whatever makes scenes of 128x128; see `mnistry.data.scenes.SceneMaker`."""

    def scene(self, random: np.random.Generator) -> targets.SceneLike:
        """One scene."""


@dataclass(frozen=True)
class LocatorSettings:
    """How long and how fast the locator learns."""

    width: int = 16  # filters of the finest stage
    steps: int = 12000
    batch_size: int = 32  # scenes
    learning_rate: float = 0.003  # the highest
    warm_up: float = 0.1  # share of the steps in which the learning rate rises
    weight_decay: float = 0.01
    bfloat16: bool = False
    seed: int = 0
    every: int = 500  # steps from checkpoint to checkpoint
    processes: int = 1  # that make scenes


def train_locator(
    maker: Callable[[], Maker],
    settings: LocatorSettings,
    checkpoint: Path,
    tell: Callable[[dict[str, float]], None] = lambda _: None,
    start: Path | None = None,
) -> Any:
    """Train a locator on scenes of `maker()`, which is called in processes beside this one; returns the Keras model.

    Goes on from `checkpoint` where that file is there, else begins with the weights of the checkpoint `start`, else
    anew. `tell` gets the steps done and mean losses at every checkpoint. Raises MnistryError.
    """
    keras = load_keras()
    keras.utils.set_random_seed(settings.seed)
    with precision(keras, settings.bfloat16):
        model = locator_network(settings.width)
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 25,
        decay_steps=round((1 - settings.warm_up) * settings.steps),
        warmup_target=settings.learning_rate,
        warmup_steps=max(1, round(settings.warm_up * settings.steps)),
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay, global_clipnorm=10.0),
        loss=[targets.digits_loss, targets.ink_loss],
        metrics=[[targets.centre_loss, targets.class_loss, targets.box_loss], [targets.entropy, targets.distance]],
    )
    model.optimizer.build(model.trainable_variables)
    step = load_checkpoint(model, checkpoint) if checkpoint.is_file() else 0
    if not step and start is not None:
        load_checkpoint(model, start, weights_only=True)
    with _feed(maker, settings, step) as batches:
        while step < settings.steps:
            many = min(settings.every, settings.steps - step)
            model.reset_metrics()
            for _ in range(many):
                logs = model.train_on_batch(*next(batches), return_dict=True)
            step += many
            _save(model, step, checkpoint)
            tell({"step": step} | {name: round(float(value), 4) for name, value in logs.items()})
    return model


def load_checkpoint(model: Any, checkpoint: Path, weights_only: bool = False) -> int:
    """Give a model, and its optimizer unless `weights_only`, what a checkpoint holds; returns the steps done."""
    with np.load(checkpoint) as arrays:
        kinds = {"weight": model.weights} | ({} if weights_only else {"optimizer": model.optimizer.variables})
        for kind, variables in kinds.items():
            for k, variable in enumerate(variables):
                variable.assign(arrays[f"{kind}{k}"])
        return int(arrays["step"])


def _save(model: Any, step: int, checkpoint: Path) -> None:
    """Write all of it or nothing."""
    kinds = {"weight": model.weights, "optimizer": model.optimizer.variables}
    arrays = {f"{kind}{k}": np.asarray(v) for kind, variables in kinds.items() for k, v in enumerate(variables)}
    file = io.BytesIO()
    np.savez(file, **(arrays | {"step": np.asarray(step)}))  # type: ignore[arg-type]
    write_atomic(checkpoint, file.getvalue())


@contextmanager
def _feed(maker: Callable[[], Maker], settings: LocatorSettings, step: int) -> Iterator[Iterator[Batch]]:
    """Batches without end from processes that are stopped in the end; which scenes they make depends on the seed."""
    context = multiprocessing.get_context("spawn")
    made: Any = context.Queue(WAITING)
    seeds = [[settings.seed, step, number] for number in range(settings.processes)]
    workers = [
        context.Process(target=_make, args=(maker, seed, settings.batch_size, made), daemon=True) for seed in seeds
    ]
    for worker in workers:
        worker.start()
    try:
        yield _received(made, workers)
    finally:
        for worker in workers:
            worker.terminate()


def _received(made: Any, workers: list[Any]) -> Iterator[Batch]:
    while True:
        try:
            yield made.get(timeout=PATIENCE)
        except queue.Empty:
            if not all(worker.is_alive() for worker in workers):
                raise MnistryError("A process that makes scenes has ended; its own words stand above.") from None


def _make(maker: Callable[[], Maker], seed: list[int], batch_size: int, made: Any) -> None:
    scenes, random = maker(), np.random.default_rng(seed)
    while True:
        made.put(targets.batch([scenes.scene(random) for _ in range(batch_size)]))
