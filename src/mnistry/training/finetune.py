"""Teach the bundled recogniser a hand: train it on corrected digits together with MNIST; it is kept if MNIST allows it.

A correction is a picture and what it says. The reader locates its digits, and learns from the 28x28 that it sees there.
MNIST's digits and pictures of what is no digit keep their old answers (learning without forgetting, Li and Hoiem 2016):
their targets are what the bundled recogniser says of them. The weights that are kept lie between the old and the
trained ones (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistry.data.augmentation import Augmentation
from mnistry.data.dataset import Dataset
from mnistry.data.handwriting_styles import european, with_neighbours
from mnistry.data.outliers import outliers
from mnistry.imaging.decode import PictureError
from mnistry.models.backend import Checkpoint, load_keras, seeded
from mnistry.models.recipes import RECIPES
from mnistry.reading.reader import Reader
from mnistry.reading.recognizer import bundled, keep_taught
from mnistry.settings import MnistryError
from mnistry.training.export import with_metadata
from mnistry.training.onnx_weights import from_keras, to_keras

Images = NDArray[np.uint8]  # (n, 28, 28), 0 = paper, 255 = ink
Progress = Callable[[float, str], None]  # the share that is done, and what comes next

MOST = 1000  # corrections that are learnt from, the newest: each takes a few hundredths of a second to locate
NO_DIGIT = -1  # the label of a shape that is none
MAY_FALL = 0.001  # of the accuracy on MNIST's test digits: a model that falls by more is not kept
HELD_BACK = 0.25  # share of the corrections that one training is judged by
FEWEST_HELD_BACK = 4  # corrections, below which none is held back

# Chosen on ten stroke writers that benchmarks/finetune.py does not report.
STEPS = 100
LEARNING_RATE = 5e-4  # the highest; it falls to 0 along a cosine
NEW = (0.5, 0.35, 0.2)  # how far the weights go from the old to the trained ones: the first that MNIST allows
FALLS = 0.0005  # of the accuracy on training digits of MNIST, up to which that is
OLD_DIGITS, OLD_OUTLIERS, CORRECTED = 64, 24, 40  # pictures of each kind in one step
TAUGHT = RECIPES["reader"].settings  # how the bundled recogniser's digits were changed
KNOWN_DIGITS, KNOWN_OUTLIERS = 8000, 600  # of each kind that the steps draw from


@dataclass(frozen=True)
class Corrected:
    """A picture, what it says, and its digits as the reader sees them: images (k, 28, 28) and labels (k,)."""

    picture: bytes
    text: str
    images: Images
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Taught:
    """A taught model: its ONNX file, its card, its figures, and why it is not to be used; "" if it may be."""

    model: bytes
    card: dict[str, Any]
    figures: dict[str, Any]
    refused: str

    def keep(self, home: Path) -> Path:
        """Make it the model that `Reader()` opens under this MNISTRY_HOME. Raises MnistryError if it is refused."""
        if self.refused:
            raise MnistryError(self.refused)
        return keep_taught(home, self.model, self.card)


def finetune(
    corrections: Sequence[tuple[bytes, str]],
    data: Dataset,
    seed: int = 0,
    progress: Progress = lambda *_: None,
    judge: bool = True,
    home: Path | None = None,
) -> Taught:
    """Teach the bundled recogniser these pictures, the newest first, each with the digits that it shows.

    A quarter of the corrections is held back from a first training, which shows what pictures of this hand gain that
    it has not seen; the model that may be kept is trained the same way on all of them. Always begins with the bundled
    model, so that nothing is lost by teaching often. Under `home` a checkpoint is kept while it learns: the same call
    goes on from there after a kill, and ends with the same model, bit by bit, on the same machine. Raises MnistryError
    if there is nothing to learn from.
    """
    begun, old = time.perf_counter(), Reader(bundled())
    progress(0.0, "finding the digits of the corrections")
    examples = located(old, corrections[:MOST])
    if not examples:
        raise MnistryError(nothing(len(corrections)))
    checkpoint = _checkpoint(home, corrections[:MOST], data, seed, judge) if home else None
    teacher = _Teacher(old, data, seed, progress, checkpoint)
    held, rest = _held_back(examples, seed) if judge else ([], examples)
    trial = Reader(teacher.teach(rest, 0.1, 0.5)) if held else None
    model = teacher.teach(examples, 0.5, 0.9)
    progress(0.9, "reading the test digits")
    figures = {
        "corrections": {
            "n": len(corrections), "used": len(examples), "digits": sum(len(each.labels) for each in examples),
            "held_back": None if trial is None else _gain(old, trial, held),
            "all": _gain(old, Reader(model), examples),
        },
        data.name: _test(old, Reader(model), data),
        "seconds": round(time.perf_counter() - begun, 1),
    }  # fmt: skip
    model = with_metadata(model, {"taught": f"{len(examples)} corrections"})
    if checkpoint:
        for kept in checkpoint.path.parent.glob("finetune-*.npz"):  # those of fewer corrections, too
            Checkpoint(kept).remove()
    return Taught(model, _card(model, figures, data, seed), figures, _refused(figures, data))


def located(reader: Reader, corrections: Sequence[tuple[bytes, str]]) -> list[Corrected]:
    """Those corrections in which the reader finds as many shapes as the picture is said to show, with their digits."""
    found = []
    for picture, text in corrections:
        try:
            shapes = reader.read(picture).digits
        except PictureError:
            continue
        signs = _signs(text)
        if shapes and len(shapes) == len(signs):
            labels = np.array([NO_DIGIT if sign == "?" else int(sign) for sign in signs], np.int64)
            found.append(Corrected(picture, text, np.stack([shape.image for shape in shapes]), labels))
    return found


def _checkpoint(
    home: Path, corrections: Sequence[tuple[bytes, str]], data: Dataset, seed: int, judge: bool
) -> Checkpoint:
    """Where this teaching is kept while it lasts: by everything that its weights depend on."""
    known = hashlib.sha256(bundled())
    for picture, text in corrections:
        known.update(hashlib.sha256(picture).digest() + hashlib.sha256(text.encode()).digest())
    depends = [known.hexdigest(), data.sha256, data.split, data.seed, seed, judge, STEPS, LEARNING_RATE]
    return Checkpoint.under(home, f"finetune-seed{seed}", depends)


class _Teacher:
    """Trains copies of one model, one after the other; the network is built and compiled once."""

    def __init__(
        self, old: Reader, data: Dataset, seed: int, progress: Progress, checkpoint: Checkpoint | None
    ) -> None:
        self._old, self._seed, self._progress, self._checkpoint = old, seed, progress, checkpoint
        generator = np.random.default_rng(seed)
        progress(0.04, "drawing what is no digit")
        self._digits, self._others = _known(data, generator)
        chosen = generator.permutation(len(data.train_labels))[:KNOWN_DIGITS]
        self._known = data.train_images[chosen], data.train_labels[chosen]
        progress(0.07, "starting Keras")
        keras = load_keras()
        with seeded(keras, seed):  # of its dropout
            self._network = to_keras(bundled())
        rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, STEPS)
        self._network.compile(keras.optimizers.Adam(rate), ["categorical_crossentropy", "binary_crossentropy"])
        self._network.optimizer.build(self._network.trainable_variables)
        self._weights = self._network.get_weights()
        self._moments = [keras.ops.convert_to_numpy(each) for each in self._network.optimizer.variables]
        self._kept = checkpoint.read() if checkpoint else None
        self._done: list[bytes] = []

    def teach(self, examples: list[Corrected], start: float, end: float) -> bytes:
        """The ONNX file of the model after these; the progress goes from `start` to `end`."""
        kept = self._kept or {"done": -1}
        if kept["done"] <= len(self._done):
            self._learn(examples, start, end, kept if kept["done"] == len(self._done) else None)
            self._done.append(self._chosen())
        else:
            self._done.append(kept[f"model{len(self._done)}"].tobytes())
        return self._done[-1]

    def _learn(self, examples: list[Corrected], start: float, end: float, kept: dict[str, Any] | None) -> None:
        """The steps from the old weights, or from what a checkpoint has kept."""
        self._network.set_weights(self._weights)
        for variable, value in zip(self._network.optimizer.variables, self._moments, strict=True):
            variable.assign(value)
        generator = np.random.default_rng(self._seed)
        if kept:
            for name, variable in self._variables().items():
                variable.assign(kept[name])
            generator.bit_generator.state = kept["generator"]
        images = np.concatenate([each.images for each in examples])
        labels = np.concatenate([each.labels for each in examples])
        with seeded(load_keras(), self._seed):
            for step in range(kept["steps"] if kept else 0, STEPS):
                pictures, targets, weights = self._batch(images, labels, generator)
                self._network.train_on_batch(pictures, targets, weights)
                self._progress(start + (end - start) * (step + 1) / STEPS, "learning")
                if self._checkpoint and self._checkpoint.due():
                    self._keep(self._checkpoint, step + 1, generator)

    def _keep(self, checkpoint: Checkpoint, steps: int, generator: np.random.Generator) -> None:
        """Write where it is: models that are done, the network and optimizer after so many steps of the next one."""
        arrays = {name: np.asarray(variable) for name, variable in self._variables().items()}
        models = {f"model{k}": np.frombuffer(model, np.uint8) for k, model in enumerate(self._done)}
        state = generator.bit_generator.state
        checkpoint.write(arrays | models, {"done": len(self._done), "steps": steps, "generator": state})

    def _variables(self) -> dict[str, Any]:
        """What a step changes, by name; among the network's own is the state of its dropout."""
        parts = {"weight": self._network.variables, "optimizer": self._network.optimizer.variables}
        return {f"{name}{k}": variable for name, part in parts.items() for k, variable in enumerate(part)}

    def _chosen(self) -> bytes:
        """The first model between the old and the trained one that MNIST allows, or the last."""
        trained = self._network.get_weights()
        for share in NEW:
            mixed = [old + share * (new - old) for old, new in zip(self._weights, trained, strict=True)]
            self._network.set_weights(mixed)
            model = from_keras(bundled(), self._network)
            if _accuracy(self._old, *self._known) - _accuracy(Reader(model), *self._known) <= FALLS:
                break
        return model

    def _batch(self, images: Images, labels: NDArray[np.int64], generator: np.random.Generator) -> tuple[Any, ...]:
        """Pictures (n, 28, 28), the targets of both outputs, and the weights of each: a non-digit has no class."""
        old = np.concatenate([_some(self._digits, OLD_DIGITS, generator), _some(self._others, OLD_OUTLIERS, generator)])
        chosen = generator.integers(len(labels), size=CORRECTED)
        pictures = Augmentation.of(TAUGHT).batch(np.concatenate([old, images[chosen]]), generator)
        proba, is_digit = self._old.answers(pictures[: len(old)])
        classes = np.concatenate([proba, np.eye(10, dtype=np.float32)[labels[chosen]]])
        digits = np.concatenate([is_digit, labels[chosen] != NO_DIGIT]).astype(np.float32)
        return pictures, [classes, digits[:, None]], [digits, np.ones_like(digits)]


def _known(data: Dataset, generator: np.random.Generator) -> tuple[Images, Images]:
    """Training digits in all the styles that the bundled model was taught, and pictures of what is no digit."""
    chosen = generator.permutation(len(data.train_labels))[:KNOWN_DIGITS]
    images, labels = data.train_images[chosen], data.train_labels[chosen]
    others = outliers(KNOWN_OUTLIERS, images, labels, generator)
    styled = european(images, labels, TAUGHT["european"], generator)
    return with_neighbours(styled, TAUGHT["neighbours"], generator), others


def _some(images: Images, n: int, generator: np.random.Generator) -> Images:
    return images[generator.integers(len(images), size=n)]


def _held_back(examples: list[Corrected], seed: int) -> tuple[list[Corrected], list[Corrected]]:
    """A quarter of them, drawn by seed, and the others; nothing is held back where they are very few."""
    n = round(HELD_BACK * len(examples)) if len(examples) >= FEWEST_HELD_BACK else 0
    order = np.random.default_rng(seed).permutation(len(examples))
    return [examples[k] for k in order[:n]], [examples[k] for k in order[n:]]


def _gain(before: Reader, after: Reader, examples: list[Corrected]) -> dict[str, Any]:
    """How many of these pictures each reader reads as they are said to read."""
    right = [sum(_signs(reader.read(each.picture).text) == _signs(each.text) for each in examples)
             for reader in (before, after)]  # fmt: skip
    return {"n": len(examples), "before": right[0], "after": right[1]}


def _signs(text: str) -> str:
    return text.replace("\n", "")


def _test(before: Reader, after: Reader, data: Dataset) -> dict[str, Any]:
    """Accuracy of both on the test digits."""
    right = [_accuracy(reader, data.test_images, data.test_labels) for reader in (before, after)]
    return {"n": len(data.test_labels), "before": right[0], "after": right[1]}


def _accuracy(reader: Reader, images: Images, labels: NDArray[np.int64]) -> float:
    return float(np.mean(reader.predict(images) == labels))


def _refused(figures: dict[str, Any], data: Dataset) -> str:
    test = figures[data.name]
    if test["before"] - test["after"] <= MAY_FALL + 1e-9:
        return ""
    return (
        f"Not taught: the accuracy on {data.name}'s test digits would fall from {test['before']:.2%} to "
        f"{test['after']:.2%}, by more than {100 * MAY_FALL:.1f} points. The model in use is as it was; look whether "
        "the corrections are right, and delete those that are not."
    )


def nothing(n: int) -> str:
    """Why nothing can be learnt from n corrections."""
    if not n:
        return "There are no corrections to learn from: correct a reading on the page of mnistry serve, or import some."
    return (
        f"None of the {n} corrections can be learnt from: the reader finds another number of digits in each than its "
        "label has."
    )


def _card(model: bytes, figures: dict[str, Any], data: Dataset, seed: int) -> dict[str, Any]:
    """The bundled model's card with what was changed."""
    base = Reader(bundled()).card
    now = datetime.now(UTC).isoformat(timespec="seconds")
    test = {"n": figures[data.name]["n"], "accuracy": figures[data.name]["after"]}
    return base | {
        "sha256": hashlib.sha256(model).hexdigest(), "bytes": len(model), "finished": now, "test": test,
        "summary": f"the bundled reader, taught {figures['corrections']['used']} corrections",
        "taught": figures | {"from_sha256": base["sha256"], "seed": seed, "steps": STEPS},
    }  # fmt: skip
