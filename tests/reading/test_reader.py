"""The reader and the model that comes with it."""

import hashlib
import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from mnistry.data.dataset import load
from mnistry.data.outliers import outliers
from mnistry.reading.reader import THRESHOLD, Reader, model_card
from mnistry.reading.recognizer import bundled
from mnistry.settings import MnistryError

EXAMPLES = sorted((ROOT / "examples" / "pictures").iterdir())


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_picture_is_read_right_and_surely(reader: Reader, path: Path):
    reading = reader.read(path)
    assert reading.text == path.name[0]
    assert reading.digits[0].probability > 0.5


def test_there_is_an_example_of_every_digit():
    assert [path.name[0] for path in EXAMPLES] == list("0123456789")


@pytest.mark.parametrize(
    ("pen", "canvas"),
    [
        pytest.param(pen, canvas, marks=pytest.mark.slow) if canvas == 1000 else (pen, canvas)
        for canvas in (100, 300, 1000)
        for pen in (1, 2, 4, 12, 24)
        if pen <= canvas / 8
    ],
)
def test_any_pen_on_any_canvas_is_read(reader: Reader, pen: int, canvas: int):
    """The examples' own strokes; a pen wider than a sixth of the digit closes its loops and is left out."""
    script = runpy.run_path(str(ROOT / "examples" / "draw_digits.py"))
    styles = [script["Style"](digit, "", (canvas, canvas), pen=pen) for digit in range(10)]
    assert [reader.read(script["draw"](style)).text for style in styles] == list("0123456789")


def test_paths_bytes_arrays_and_pillow_images_read_the_same(reader: Reader):
    path = EXAMPLES[7]
    readings = [
        reader.read(s) for s in (path, str(path), path.read_bytes(), np.asarray(Image.open(path)), Image.open(path))
    ]
    assert {reading.text for reading in readings} == {"7"}
    assert len({reading.digits for reading in readings}) == 1


def test_read_many_is_lazy_and_keeps_the_order(reader: Reader):
    readings = reader.read_many(iter([*EXAMPLES, "no such file"]))
    assert [next(readings).text for _ in EXAMPLES] == list("0123456789")


def test_a_blank_picture_says_that_there_is_no_ink(reader: Reader):
    reading = reader.read(Image.new("RGB", (100, 100), "white"))
    assert (reading.text, reading.digits, reading.reason) == ("", (), "no ink found")


def test_the_digit_shows_the_28x28_that_the_model_saw(reader: Reader):
    digit = reader.read(EXAMPLES[3]).digits[0]
    assert digit.image.shape == (28, 28)
    assert reader.predict(digit.image[None])[0] == 3


def test_a_batch_of_one_equals_a_batch_of_many(reader: Reader, few_digits):
    images, _ = few_digits
    whole = reader.predict_proba(images[:50])
    single = np.concatenate([reader.predict_proba(image[None]) for image in images[:50]])
    assert np.allclose(whole, single, atol=1e-6)
    assert np.allclose(whole.sum(axis=1), 1, atol=1e-5)
    assert reader.predict_proba(images[:0]).shape == (0, 10)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((28, 28), np.uint8),
        np.zeros((1, 28, 28)),
        np.zeros((1, 27, 28), np.uint8),
        np.zeros((1, 784), np.uint8),
    ],
)
def test_wrong_arrays_are_refused(reader: Reader, images: np.ndarray):
    with pytest.raises(MnistryError, match=r"takes images uint8 \(n, 28, 28\)"):
        reader.predict_proba(images)


@pytest.mark.parametrize("model", [b"", b"no model", "nowhere.onnx"])
def test_what_is_no_model_is_told(model: bytes | str):
    with pytest.raises(MnistryError, match="The model"):
        Reader(model).predict(np.zeros((1, 28, 28), np.uint8))


def test_a_damaged_model_prints_nothing(capfd: pytest.CaptureFixture[str]):
    damaged = bundled().replace(b"Softmax", b"Softma\xff")  # ONNX Runtime's own words are then no UTF-8
    with pytest.raises(MnistryError, match="no ONNX file that can be run"):
        Reader(damaged)
    assert capfd.readouterr() == ("", "")


def test_a_model_that_breaks_the_contract_is_told():
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [out])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 15)])
    with pytest.raises(MnistryError, match="does not keep the contract"):
        Reader(model.SerializeToString()).predict(np.zeros((1, 28, 28), np.uint8))


def model_of(weight: float, rows: object = "n") -> bytes:
    """An ONNX file that keeps the contract's names: images -> weight * ones."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["floats", "axes"], ["sums"], keepdims=0),
        helper.make_node("Unsqueeze", ["sums", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "weights"], ["zeros"]),
        helper.make_node("Add", ["zeros", "answer"], ["probabilities"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
        helper.make_tensor("weights", TensorProto.FLOAT, [1, 10], [0.0] * 10),
        helper.make_tensor("answer", TensorProto.FLOAT, [10], [weight] * 10),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, [rows, 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [rows, 10])],
        constants,
    )  # fmt: skip
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 15)]).SerializeToString()


def test_answers_that_are_no_probabilities_are_told():
    images = np.zeros((3, 28, 28), np.uint8)
    assert Reader(model_of(0.1)).predict_proba(images).shape == (3, 10)
    for weight in (float("nan"), 1e6, -0.1):
        with pytest.raises(MnistryError, match="no probabilities"):
            Reader(model_of(weight)).predict(images)
    with pytest.raises(MnistryError, match="does not keep the contract"):
        Reader(model_of(0.1, rows=3)).predict(images)


@pytest.mark.parametrize("model", [7, [], "a\0b.onnx", "."])
def test_what_names_no_model_is_told(model: object):
    with pytest.raises(MnistryError, match=r"model"):
        Reader(model)  # type: ignore[arg-type]


def test_the_bundled_model_is_small_and_is_what_its_card_says():
    data = (ROOT / "src/mnistry/reading/bundled/reader.onnx").read_bytes()
    card = model_card()
    assert len(data) == card["bytes"] <= 1_500_000
    assert hashlib.sha256(data).hexdigest() == card["sha256"]
    assert card["dataset"] == "mnist"
    assert Reader().metadata["recipe"] == card["recipe"]


@pytest.mark.usefixtures("mnist")
def test_the_bundled_model_reads_the_test_digits_as_its_card_says(reader: Reader):
    data = load("mnist")
    accuracy = float((reader.predict(data.test_images) == data.test_labels).mean())
    assert accuracy == pytest.approx(model_card()["test"]["accuracy"], abs=1e-4)
    assert accuracy >= 0.995


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_the_bundled_model_keeps_the_test_digits_and_refuses_letters(reader: Reader):
    data = load("mnist")
    kept = reader.predict_proba(data.test_images).max(axis=1) * reader.is_digit(data.test_images) >= THRESHOLD
    assert kept.mean() == pytest.approx(model_card()["test"]["kept"], abs=1e-4)
    assert kept.mean() >= 0.995
    others = outliers(1000, data.train_images, data.train_labels, np.random.default_rng(99))
    passed = reader.predict_proba(others).max(axis=1) * reader.is_digit(others) >= THRESHOLD
    assert passed.mean() < 0.12  # some of what is drawn does look like a digit


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_real_digits_enlarged_and_brought_back_are_read_the_same(reader: Reader):
    images = load("mnist").test_images[:400]
    proba = reader.predict_proba(images) * reader.is_digit(images)[:, None]
    expected = np.where(proba.max(axis=1) >= THRESHOLD, proba.argmax(axis=1).astype(str), "?")
    large = images.repeat(4, axis=1).repeat(4, axis=2)
    read = np.array([reader.read(255 - image).text for image in large])
    assert (read == expected).mean() >= 0.98


def test_reading_needs_no_learning_library():
    code = (
        "import sys, json; from mnistry import Reader; text = Reader().read(sys.argv[1]).text;"
        "print(json.dumps([text, sorted({name.split('.')[0] for name in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(EXAMPLES[7])], capture_output=True, text=True, check=True)
    text, modules = json.loads(done.stdout)
    assert text == "7"
    heavy = {"tensorflow", "keras", "sklearn", "scipy", "matplotlib", "onnx", "pandas", "jinja2"}
    assert not heavy & set(modules)


# --- Models with a second output: whether it is a digit at all


def doubting_model() -> bytes:
    """A model with the second output: all are a 7, and digits are what has much ink in its 28x28."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_model_from_string(model_of(0.0))
    answer = next(c for c in model.graph.initializer if c.name == "answer")
    answer.CopyFrom(helper.make_tensor("answer", TensorProto.FLOAT, [10], [0.0] * 7 + [1.0, 0.0, 0.0]))
    model.graph.initializer.append(helper.make_tensor("much", TensorProto.FLOAT, [1], [150.0 * 255]))
    model.graph.node.extend(
        [
            helper.make_node("Sub", ["column", "much"], ["more"]),
            helper.make_node("Sigmoid", ["more"], ["digit"]),
        ]
    )
    model.graph.output.append(helper.make_tensor_value_info("digit", TensorProto.FLOAT, ["n", 1]))
    return model.SerializeToString()


@pytest.fixture(scope="module")
def doubter() -> Reader:
    return Reader(doubting_model())


def test_how_probably_an_image_is_a_digit(doubter: Reader):
    images = np.zeros((40, 28, 28), np.uint8)
    images[20:] = 255
    assert doubter.is_digit(images).round().tolist() == [0] * 20 + [1] * 20
    assert doubter.predict_proba(images).shape == (40, 10)
    plain = Reader(model_of(0.1))
    assert (plain.refuses, plain.is_digit(images).tolist()) == (False, [1.0] * 40)


@pytest.mark.parametrize("largest", [100.0, float("nan")])
def test_a_digit_output_that_is_no_probability_is_told(largest: float):
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_model_from_string(doubting_model())
    sigmoid = next(node for node in model.graph.node if node.op_type == "Sigmoid")
    sigmoid.output[0] = "between"
    model.graph.initializer.append(helper.make_tensor("largest", TensorProto.FLOAT, [1], [largest]))
    model.graph.node.append(helper.make_node("Mul", ["between", "largest"], ["digit"]))
    with pytest.raises(MnistryError, match="no probability"):
        Reader(model.SerializeToString()).is_digit(np.full((3, 28, 28), 255, np.uint8))


def test_a_digit_output_that_is_one_by_a_rounding_error_is_one():
    """ONNX Runtime's sigmoid answers 1.0000001 now and then."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_model_from_string(doubting_model())
    sigmoid = next(node for node in model.graph.node if node.op_type == "Sigmoid")
    sigmoid.output[0] = "between"
    model.graph.initializer.append(helper.make_tensor("rounded", TensorProto.FLOAT, [1], [1.0000001]))
    model.graph.node.append(helper.make_node("Mul", ["between", "rounded"], ["digit"]))
    assert Reader(model.SerializeToString()).is_digit(np.full((3, 28, 28), 255, np.uint8)).tolist() == [1.0] * 3


def test_a_digit_output_of_another_shape_is_told():
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_model_from_string(doubting_model())
    next(node for node in model.graph.node if node.op_type == "Sigmoid").output[0] = "between"
    model.graph.node.append(helper.make_node("Concat", ["between", "between"], ["digit"], axis=1))
    model.graph.output[1].CopyFrom(helper.make_tensor_value_info("digit", TensorProto.FLOAT, ["n", 2]))
    with pytest.raises(MnistryError, match="maybe digit, float32"):
        Reader(model.SerializeToString()).is_digit(np.zeros((1, 28, 28), np.uint8))
