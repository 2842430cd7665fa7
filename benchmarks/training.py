"""How soon a model is good: seconds to 99.0 % and to 99.4 % of the test digits, side by side in one run.

    python benchmarks/training.py [--rounds 3]

Contenders, each in a process of its own, one after the other, `--rounds` times around: keras.io's published
convolutional network (written from its description: 32 and 64 3x3 convolutions, two poolings, dropout 0.5, Adam,
batch 128, 15 epochs, 10 % held back), scikit-learn's MLPClassifier (100 hidden units, its defaults), and mnistry's
`fast`, `cnn` and `cnn` in four epochs, with their own settings.
After every epoch the clock is stopped and the test digits are read: this is a stopwatch, nothing is chosen by it.
Whole process: from its start to the same moment, imports and data included, the test readings left out. The last line
is one JSON object, with the median over the rounds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

STARTED = "MNISTRY_BENCHMARK_STARTED"
TARGETS = (0.99, 0.994)
CONTENDERS = ("keras.io", "MLPClassifier", "fast", "cnn", "cnn, 4 epochs")


class Stopwatch:
    """Seconds of training alone, and what was right on the test digits after each epoch."""

    def __init__(self, read: Callable[[], float]) -> None:
        self.read = read
        self.rows: list[dict[str, float]] = []
        self.start, self.reading = time.perf_counter(), 0.0

    def lap(self) -> None:
        """Stop the clock, read the test digits, go on."""
        now = time.perf_counter()
        fit = now - self.start - self.reading
        process = time.time() - float(os.environ[STARTED]) - self.reading
        self.rows.append({"fit": fit, "process": process, "accuracy": self.read()})
        self.reading += time.perf_counter() - now


def main() -> None:
    """Run every contender and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(contend(options.contender, options.seed)))
        return
    rounds: dict[str, list[list[dict[str, float]]]] = {name: [] for name in CONTENDERS}
    for seed in range(options.rounds):
        for name in CONTENDERS:
            rounds[name].append(apart(name, seed))
            print(f"{name}, seed {seed}: {_row(rounds[name][-1])}", flush=True)
    figures = {name: _medians(rows) for name, rows in rounds.items()}
    machine = {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
    versions = {name: metadata.version(name) for name in ("mnistry", "keras", "scikit-learn", "numpy")}
    print(json.dumps({"rounds": options.rounds, "seconds": figures, "versions": versions, "machine": machine}))


def apart(name: str, seed: int) -> list[dict[str, float]]:
    """The laps of one contender, run in a process of its own."""
    command = [sys.executable, __file__, "--contender", name, "--seed", str(seed)]
    environment = os.environ | {STARTED: str(time.time()), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    laps: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return laps


def contend(name: str, seed: int) -> list[dict[str, float]]:
    """Train one contender and return its laps."""
    if name == "keras.io":
        return keras_io(seed)
    return mlp(seed) if name == "MLPClassifier" else recipe(name, seed)


def keras_io(seed: int) -> list[dict[str, float]]:
    """The network of keras.io's "Simple MNIST convnet", as its page describes it."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    import numpy as np

    keras.utils.set_random_seed(seed)
    data = _digits()
    x, test = (images[..., None].astype("float32") / 255 for images in (data.train_images, data.test_images))
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    watch = Stopwatch(lambda: _right(model.predict(test, batch_size=256, verbose=0), data))
    laps = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: watch.lap())
    y = np.eye(10)[data.train_labels]
    model.fit(x, y, batch_size=128, epochs=15, validation_split=0.1, verbose=0, callbacks=[laps])
    return watch.rows


def mlp(seed: int) -> list[dict[str, float]]:
    """scikit-learn's MLPClassifier with its defaults, read after every five of its 50 epochs."""
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")  # that five epochs are not all
    data = _digits()
    X, test = (images.reshape(len(images), -1) / 255 for images in (data.train_images, data.test_images))
    model = MLPClassifier(random_state=seed, max_iter=5, warm_start=True)
    watch = Stopwatch(lambda: _right(model.predict_proba(test), data))
    for _ in range(10):
        model.fit(X, data.train_labels)
        watch.lap()
    return watch.rows


def recipe(name: str, seed: int) -> list[dict[str, float]]:
    """One of mnistry's recipes with its own settings, on all 60 000 training digits."""
    from mnistry.models.backend import load_keras
    from mnistry.models.recipes import find_recipe

    load_keras()  # as for keras.io's network: Keras is imported before the clock of the fit starts
    data = _digits()
    name, _, epochs = name.partition(", ")
    chosen = find_recipe(name).changed({"epochs": epochs.split()[0]} if epochs else {})
    classifier = chosen.build(seed)
    watch = Stopwatch(lambda: _right(classifier.predict_proba(data.test_images), data))

    def progress(epoch: int, epochs: int, *rest: Any) -> None:
        if "seconds" in rest[-1] and epoch + 1 < epochs:  # the figures of a whole epoch
            classifier.classes_ = range(10)  # it counts as fitted between two epochs
            watch.lap()

    classifier.fit(data.train_images, data.train_labels, progress=progress)
    watch.lap()
    return watch.rows


def _digits() -> Any:
    from mnistry import load

    return load("mnist")


def _right(proba: Any, data: Any) -> float:
    return float((proba.argmax(axis=1) == data.test_labels).mean())


def _row(laps: list[dict[str, float]]) -> str:
    return ", ".join(f"{100 * lap['accuracy']:.2f} % in {lap['fit']:.1f} s" for lap in (laps[0], laps[-1]))


def _medians(rounds: list[list[dict[str, float]]]) -> dict[str, Any]:
    """Median seconds to each target, null where a round did not reach it, and to the end."""
    figures: dict[str, Any] = {"accuracy_at_the_end": [round(laps[-1]["accuracy"], 4) for laps in rounds]}
    for clock in ("fit", "process"):
        for target in TARGETS:
            times = [next((lap[clock] for lap in laps if lap["accuracy"] >= target), None) for laps in rounds]
            reached = [seconds for seconds in times if seconds is not None]
            median = round(statistics.median(reached), 1) if len(reached) == len(rounds) else None
            figures[f"{clock}_to_{100 * target:g}"] = median
        figures[f"{clock}_to_the_end"] = round(statistics.median(laps[-1][clock] for laps in rounds), 1)
    return figures


if __name__ == "__main__":
    main()
