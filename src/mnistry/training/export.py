"""A trained classifier as an ONNX file that keeps the contract, and the proof that both answer alike."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mnistry.data.dataset import load
from mnistry.models.backend import load_keras
from mnistry.models.classical import flat
from mnistry.models.neural import NeuralClassifier
from mnistry.reading.reader import THRESHOLD, Reader
from mnistry.settings import MnistryError, write_together
from mnistry.training import onnx_graphs, robustness
from mnistry.training.model_card import check_page, model_page
from mnistry.training.onnx_weights import halved
from mnistry.training.runs import MANIFEST, Run

MOST_DIFFERENCE = 1e-4  # between the probabilities of the two
MOST_HALVED = 5e-3  # the same where the file keeps its arrays in half precision
KNOWS = "It has learnt letters, doodles and stains as what is no digit; what is unlike all of these may pass for one."
KNOWS_NOT = "It answers with a digit to anything it is shown."
DATA_LICENCE = {
    "mnist": "CC BY-SA 3.0, Yann LeCun, Corinna Cortes and Christopher J. C. Burges",
    "digits": "CC BY 4.0, Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI",
}
WRITTEN_BY = {"mnist": "American adults and students of about 1990", "digits": "43 people in Turkey, before 1998"}
IR_VERSION = 10  # what ONNX Runtime 1.18 and later read


def to_onnx(classifier: Any, metadata: Mapping[str, str] | None = None) -> bytes:
    """A fitted classifier as ONNX: images uint8 [n, 28, 28] -> float32 probabilities [n, 10]; digit [n, 1] if any."""
    if isinstance(classifier, NeuralClassifier):
        model = _from_keras(classifier)
    elif onnx_graphs.can_write(classifier.estimator_):
        model = onnx_graphs.write(classifier.estimator_)
    else:
        model = _from_sklearn(classifier)
    model.ir_version = min(model.ir_version, IR_VERSION)
    model.producer_name = "mnistry"
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def check_parity(
    onnx_file: bytes,
    images: NDArray[np.uint8],
    proba: NDArray[np.float32],
    is_digit: NDArray[np.float32] | None = None,
    most: float = MOST_DIFFERENCE,
) -> dict[str, Any]:
    """Compare the ONNX file's answers with the classifier's own: labels equal, probabilities within `most`.

    `proba` (n, 10) and `is_digit` (n,), where it is given, are what the classifier says of `images` (n, 28, 28).
    Returns n and the largest difference; raises MnistryError if they are not alike.
    """
    reader = Reader(onnx_file)
    answers = reader.predict_proba(images)
    difference = float(np.abs(answers - proba).max())
    if is_digit is not None:
        difference = max(difference, float(np.abs(reader.is_digit(images) - is_digit).max()))
    unequal = int(np.count_nonzero(answers.argmax(axis=1) != proba.argmax(axis=1)))
    if unequal or difference > most:
        raise MnistryError(
            f"The ONNX file does not answer as the model does: {unequal} of {len(images)} labels differ, "
            f"probabilities by up to {difference:.1e} (at most {most:.0e} is right). "
            "Please report this with your versions."
        )
    return {"n": len(images), "labels_equal": len(images), "largest_difference": difference}


def with_metadata(onnx_file: bytes, metadata: Mapping[str, str]) -> bytes:
    """The same model with these metadata added."""
    model = onnx.load_model_from_string(onnx_file)
    known = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    helper.set_model_props(model, known | dict(metadata))
    return model.SerializeToString()


def export_run(run: Run, target: Path, half: bool = False) -> tuple[Path, dict[str, Any]]:
    """Write a run's ONNX file to `target`, after the parity check on the test digits, with two pages beside it.

    They are its card for programs (.json) and for people (.md, in the form of Hugging Face). A folder as `target` takes
    model.onnx, model.json and README.md, ready to be published. `half` keeps the model's larger arrays in half
    precision: half the space, probabilities within 0.005. Returns the ONNX file and what the check found; raises
    MnistryError if it fails or a file cannot be written, or if the page would replace somebody else's.
    """
    target, page = _places(target)
    if (target.parent / MANIFEST).exists():
        raise MnistryError(f"{target.parent} is a finished run, in which nothing is changed: choose another file.")
    check_page(page)
    model = halved(run.model.read_bytes()) if half else run.model.read_bytes()
    images, reader = load(run.info["dataset"]).test_images, Reader(model)
    parity = check_parity(model, images, run.test_probabilities, most=MOST_HALVED if half else MOST_DIFFERENCE)
    card = _card(run, model) | {"parity": parity}
    if reader.refuses:  # by the threshold of today
        proba = run.test_probabilities.max(axis=1) * reader.is_digit(images)
        card["test"] |= {"threshold": THRESHOLD, "kept": float(np.mean(proba >= THRESHOLD))}
    if spoilt := robustness.kept(run):
        card["test"] |= {"corruptions": spoilt["mean"]}
    texts = {target.with_suffix(".json"): json.dumps(card, indent=1), page: model_page(card, target.name)}
    write_together({target: model} | {path: text.encode() for path, text in texts.items()})
    return target, parity


def _places(target: Path) -> tuple[Path, Path]:
    """The ONNX file and its page; a folder gets them under the names that Hugging Face expects."""
    if target.suffix == ".onnx":
        return target, target.with_suffix(".md")
    if target.suffix and not target.is_dir():
        raise MnistryError(f"The model is written to a file that ends in .onnx, or to a folder, not {target.name!r}.")
    return target / "model.onnx", target / "README.md"


def _card(run: Run, model: bytes) -> dict[str, Any]:
    """What a user of the model should know: what it is, what it learnt from, how good it is, where it ends."""
    about = (
        "recipe",
        "summary",
        "settings",
        "seed",
        "dataset",
        "dataset_sha256",
        "n",
        "parameters",
        "finished",
        "versions",
    )
    figures = ("n", "accuracy", "accuracy_interval", "nll", "brier", "ece", "parts")
    refuses = Reader(model).refuses
    return {
        "sha256": hashlib.sha256(model).hexdigest(),
        "bytes": len(model),
        "input": "images uint8 [n, 28, 28], 0 = paper, 255 = ink, in MNIST form",
        "output": "probabilities float32 [n, 10]"
        + "; digit float32 [n, 1], the probability that it is one at all" * refuses,
        **{key: run.info[key] for key in about},
        "test": {key: run.metrics[key] for key in figures},
        "data_licence": DATA_LICENCE[run.info["dataset"]],
        "limits": f"One upright Western digit in MNIST form. {KNOWS if refuses else KNOWS_NOT} "
        f"Its digits were written by {WRITTEN_BY[run.info['dataset']]}.",
    }


def _from_keras(classifier: NeuralClassifier) -> Any:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx still asks NumPy for names that are gone
        path = Path(folder) / "model.onnx"
        if load_keras().backend.backend() == "tensorflow":
            classifier.model_(np.zeros((1, 28, 28), np.uint8))  # the exporter wants a model that has been called
            classifier.model_.export(path, format="onnx", verbose=False)
        else:
            export_elsewhere(classifier.save(Path(folder)), path)
        model = onnx.load(path)
    graph = model.graph
    _rename(graph, graph.input[0].name, "images")
    names = (("probabilities", 10), ("digit", 1))[: len(graph.output)]
    for output, (name, _) in zip(graph.output, names, strict=True):
        _rename(graph, output.name, name)
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 28, 28]))
    for name, columns in names:
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", columns]))
    return model


def export_elsewhere(keras_file: Path, onnx_file: Path) -> None:
    """Export a saved Keras model in a process that runs Keras on TensorFlow, the back end that can write ONNX.

    Raises MnistryError if that process fails.
    """
    code = (
        "import sys, keras; model = keras.models.load_model(sys.argv[1]); model(keras.ops.zeros((1, 28, 28), 'uint8'));"
        "model.export(sys.argv[2], format='onnx', verbose=False)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, keras_file, onnx_file],
        env=os.environ | {"KERAS_BACKEND": "tensorflow"}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise MnistryError(f"The export to ONNX needs TensorFlow, and failed: {reason[0][:200]}")


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def _from_sklearn(classifier: Any) -> Any:
    """skl2onnx converts the estimator on X (n, 784); nodes that turn images into X are inserted before it."""
    from skl2onnx import to_onnx as convert

    example = flat(np.zeros((1, 28, 28), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = convert(classifier.estimator_, example, options={"zipmap": False})
    graph = model.graph
    name = graph.input[0].name
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 28, 28]))
    for node in reversed(_to_pixels(name)):
        graph.node.insert(0, node)
    graph.initializer.append(helper.make_tensor("pixel_scale", TensorProto.FLOAT, [], [1 / 255]))
    graph.initializer.append(helper.make_tensor("flat_shape", TensorProto.INT64, [2], [-1, 784]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10]))
    return model


def _to_pixels(name: str) -> list[Any]:
    return [
        helper.make_node("Reshape", ["images", "flat_shape"], ["flat_images"]),
        helper.make_node("Cast", ["flat_images"], ["flat_floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["flat_floats", "pixel_scale"], [name]),
    ]
