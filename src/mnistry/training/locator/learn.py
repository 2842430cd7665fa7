"""How the two networks learn: from scenes that other processes make, with checkpoints from which training can go on."""

import io
import itertools
import math
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mnistry.models.backend import load_keras, precision
from mnistry.models.locator import targets
from mnistry.models.locator.network import locator_network
from mnistry.models.locator.verifier import SIDE, verifier_network
from mnistry.reading.verifier import CLASSES
from mnistry.settings import MnistryError, write_atomic
from mnistry.training.locator.crops import Cropper, Crops, joined, standardised

Batch = tuple[Any, Any]
Tell = Callable[[dict[str, float]], None]
Start = Callable[[Any], object]
WAITING = 8  # batches made in advance
PATIENCE = 5.0  # seconds until a process that makes scenes is asked whether it is alive
SCENES = 50  # scenes whose candidates come together
POOL = 120_000  # candidates that the verifier's batches are drawn from; the oldest make room for new ones
FIRST = 6_000  # candidates that are there before it begins, unless it will not see so many
NONE = 4  # times SCENES without any candidate, after which the locator is told to be of no use
REUSE = 2.5  # times that a candidate is seen on the mean: finding one takes as long as learning from two


class Maker(Protocol):
    """Whatever makes scenes of 128x128; see `mnistry.data.scenes.SceneMaker`."""

    def scene(self, random: np.random.Generator) -> targets.SceneLike:
        """One scene."""


@dataclass(frozen=True)
class LocatorSettings:
    """How long and how fast a network learns."""

    width: int = 16  # filters of the locator's finest stage
    steps: int = 12000
    batch_size: int = 32  # scenes, or candidates of the verifier
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
    tell: Tell = lambda _: None,
    start: Start | None = None,
) -> Any:
    """Train a locator on scenes of `maker()`, which is called in processes beside this one; returns the Keras model.

    Goes on from `checkpoint` where that file is there, else begins with the weights that `start` gives to the model,
    else anew. `tell` gets the steps done and mean losses at every checkpoint. Raises MnistryError.
    """
    keras = load_keras()
    keras.utils.set_random_seed(settings.seed)
    with precision(keras, settings.bfloat16):
        model = locator_network(settings.width)
    model.compile(
        optimizer=_optimizer(settings),
        loss=[targets.digits_loss, targets.ink_loss],
        metrics=[[targets.centre_loss, targets.class_loss, targets.box_loss], [targets.entropy, targets.distance]],
    )
    step = _started(model, checkpoint, start)
    with _feed(_make_scenes, (maker, settings.batch_size), settings, step) as made:
        _fit(model, made, settings, step, checkpoint, tell)
    return model


def train_verifier(
    maker: Callable[[], Maker],
    locator: bytes,
    settings: LocatorSettings,
    checkpoint: Path,
    tell: Tell = lambda _: None,
    start: Start | None = None,
    teachers: Sequence[bytes] = (),
) -> Any:
    """Train a verifier on what `locator`, an ONNX file's bytes, finds in scenes of `maker()`; see `train_locator`.

    Half of what it learns is what the `teachers`, verifiers' ONNX files, say on the mean, where there are any.
    """
    keras = load_keras()
    keras.utils.set_random_seed(settings.seed)
    with precision(keras, settings.bfloat16):
        model = verifier_network()
    model.compile(
        optimizer=_optimizer(settings),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    step = _started(model, checkpoint, start)
    with _feed(_make_crops, (maker, locator, teachers), settings, step) as made:
        _fit(model, _drawn(made, settings, step), settings, step, checkpoint, tell)
    return model


def _optimizer(settings: LocatorSettings) -> Any:
    """AdamW with a learning rate that rises and then falls along a cosine."""
    keras = load_keras()
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 25,
        decay_steps=round((1 - settings.warm_up) * settings.steps),
        warmup_target=settings.learning_rate,
        warmup_steps=max(1, round(settings.warm_up * settings.steps)),
    )
    return keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay, global_clipnorm=10.0)


def _started(model: Any, checkpoint: Path, start: Start | None) -> int:
    """Give the model what a checkpoint holds, where there is one; returns the steps done."""
    model.optimizer.build(model.trainable_variables)
    step = load_checkpoint(model, checkpoint) if checkpoint.is_file() else 0
    if not step and start is not None:
        start(model)
    return step


def _fit(
    model: Any, batches: Iterator[Batch], settings: LocatorSettings, step: int, checkpoint: Path, tell: Tell
) -> None:
    while step < settings.steps:
        many = min(settings.every, settings.steps - step)
        model.reset_metrics()
        for _ in range(many):
            logs = model.train_on_batch(*next(batches), return_dict=True)
        step += many
        _save(model, step, checkpoint)
        tell({"step": step} | {name: round(float(value), 4) for name, value in logs.items()})


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
def _feed(
    make: Callable[..., None], what: tuple[Any, ...], settings: LocatorSettings, step: int
) -> Iterator[Iterator[Any]]:
    """What `make(*what, seed, queue)` makes without end, in processes that are stopped in the end."""
    context = multiprocessing.get_context("spawn")
    made: Any = context.Queue(WAITING)
    seeds = [[settings.seed, step, number] for number in range(settings.processes)]
    workers = [context.Process(target=_with_parent, args=(make, *what, seed, made), daemon=True) for seed in seeds]
    for worker in workers:
        worker.start()
    try:
        yield _received(made, workers)
    finally:
        for worker in workers:
            worker.terminate()


def _with_parent(make: Callable[..., None], *what: Any) -> None:
    """Make, and end as soon as the training has ended, also if it was killed."""
    parent = multiprocessing.parent_process()
    assert parent

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    make(*what)


def _received(made: Any, workers: list[Any]) -> Iterator[Any]:
    """What comes, one after the other."""
    while True:
        try:
            yield made.get(timeout=PATIENCE)
        except queue.Empty:
            if not all(worker.is_alive() for worker in workers):
                raise MnistryError("A process that makes scenes has ended; its own words stand above.") from None


def _make_scenes(maker: Callable[[], Maker], batch_size: int, seed: list[int], made: Any) -> None:
    scenes, random = maker(), np.random.default_rng(seed)
    while True:
        made.put(targets.batch([scenes.scene(random) for _ in range(batch_size)]))


def _make_crops(
    maker: Callable[[], Maker], locator: bytes, teachers: Sequence[bytes], seed: list[int], made: Any
) -> None:
    scenes, cropper, random = maker(), Cropper(locator, teachers), np.random.default_rng(seed)
    while True:
        made.put(joined([cropper.crops(scenes.scene(random), random) for _ in range(SCENES)]))


def _drawn(made: Iterator[Crops], settings: LocatorSettings, step: int) -> Iterator[Batch]:
    """Batches drawn from a pool of candidates; each is seen REUSE times on the mean."""
    random, pool = np.random.default_rng([settings.seed, step]), _Pool()
    first = min(FIRST, math.ceil(settings.steps * settings.batch_size / REUSE))
    for many in itertools.count(1):
        pool.add(next(made))
        if pool.added >= first:
            break
        if many == NONE and not pool.added:
            raise MnistryError(f"The locator found nothing in {many * SCENES} scenes: train it with more steps.")
    seen = 0
    while True:
        if seen >= REUSE * (pool.added - first):
            pool.add(next(made))
        chosen = random.integers(0, min(pool.added, POOL), settings.batch_size)
        seen += settings.batch_size
        crops = standardised(pool.near[chosen]), standardised(pool.far[chosen])
        yield crops, pool.targets[chosen].reshape(-1, 1, 1, CLASSES)


class _Pool:
    """The latest candidates."""

    def __init__(self) -> None:
        self.near, self.far = (np.zeros((POOL, SIDE, SIDE, 3), np.uint8) for _ in range(2))
        self.targets = np.zeros((POOL, CLASSES), np.float32)
        self.added = 0

    def add(self, crops: Crops) -> None:
        places = np.arange(self.added, self.added + len(crops.targets)) % POOL
        self.near[places], self.far[places], self.targets[places] = crops.near, crops.far, crops.targets
        self.added += len(places)
