"""The reader and the model that comes with it."""

import hashlib
import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from mnistry.data.dataset import load
from mnistry.data.outliers import outliers
from mnistry.imaging.decode import open_picture
from mnistry.reading.classical import ClassicalReader, _likelihood
from mnistry.reading.reader import THRESHOLD, Digit, Reader, Reading, model_card
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
    images = load("mnist").test_images[:1000]
    proba = reader.predict_proba(images) * reader.is_digit(images)[:, None]
    expected = np.where(proba.max(axis=1) >= THRESHOLD, proba.argmax(axis=1).astype(str), "?")
    large = images.repeat(4, axis=1).repeat(4, axis=2)
    read = np.array([reader.read(255 - image).text for image in large])
    assert (read == expected).mean() >= 0.985  # 0.9955 by the classical way alone


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


# --- "I don't know", of the classical way


def classical(model: Reader, picture: Image.Image) -> Reading:
    """What the classical way reads with this model, without the network that finds digits."""
    return ClassicalReader(model).read(*open_picture(picture))


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


def page(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Black boxes (left, top, right, bottom) on white paper; full ones count as digits, thin ones do not."""
    picture = np.full((200, 400), 255, np.uint8)
    for left, top, right, bottom in boxes:
        picture[top:bottom, left:right] = 0
    return picture


DIGIT, LETTER = (60, 80), (12, 80)  # width and height in pixels


def at(x: int, y: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    return x, y, x + size[0], y + size[1]


def test_what_is_no_digit_is_refused(doubter: Reader):
    reading = classical(doubter, page(at(40, 60, DIGIT), at(160, 60, DIGIT), at(280, 60, LETTER)))
    assert reading.text == "77?"
    assert [digit.digit for digit in reading.digits] == [7, 7, None]
    assert [digit.probability > 0.5 for digit in reading.digits] == [True, True, False]
    assert reading.reason == ""


def test_a_picture_without_any_digit_says_so(doubter: Reader):
    reading = classical(doubter, page(at(40, 60, LETTER)))
    assert (reading.text, reading.reason) == ("?", "no digit recognised")


def test_where_most_is_no_digit_all_is_refused(doubter: Reader):
    reading = classical(doubter, page(at(40, 60, DIGIT), at(160, 60, LETTER), at(240, 60, LETTER)))
    assert (reading.text, reading.reason) == ("???", "no digit recognised")


def test_a_dash_between_digits_is_left_out(doubter: Reader):
    reading = classical(doubter, page(at(40, 60, DIGIT), at(160, 95, (60, 8)), at(280, 60, DIGIT)))
    assert reading.text == "77"


def test_how_probably_an_image_is_a_digit(doubter: Reader):
    images = np.zeros((40, 28, 28), np.uint8)
    images[20:] = 255
    assert doubter.is_digit(images).round().tolist() == [0] * 20 + [1] * 20
    assert doubter.predict_proba(images).shape == (40, 10)
    plain = Reader(model_of(0.1))
    assert (plain.refuses, plain.is_digit(images).tolist()) == (False, [1.0] * 40)


def test_strokes_that_are_a_digit_only_together_are_joined(doubter: Reader):
    stroke = (20, 80)  # alone too little ink for a digit
    reading = classical(doubter, page(at(40, 60, stroke), at(68, 60, stroke), at(160, 60, DIGIT), at(300, 60, stroke)))
    assert reading.text == "77?"
    assert reading.digits[0].box == pytest.approx((40, 60, 48, 80), abs=2)


def test_digits_that_are_near_each_other_stay_two(doubter: Reader):
    assert classical(doubter, page(at(40, 60, (40, 80)), at(88, 60, (40, 80)))).text == "77"


@pytest.mark.parametrize(
    ("first", "other", "taken"),
    [
        ((0.6,), (0.95,), "other"),  # surer
        ((0.9,), (1.0,), "first"),  # not doubted
        ((0.6, 0.9), (0.95,), "first"),  # fewer digits: a shadow's edge is taken for that of a sheet
        ((), (0.95,), "other"),  # no digit at all
        ((), (0.4,), "first"),  # not sure enough
    ],
)
def test_a_doubtful_reading_gives_way_to_a_surer_one_of_no_fewer_digits(monkeypatch, first, other, taken):
    image = np.zeros((28, 28), np.uint8)
    readings = {
        name: Reading(name, tuple(Digit(7, probability, (0, 0, 1, 1), image) for probability in given))
        for name, given in (("first", first), ("other", other))
    }
    monkeypatch.setattr("mnistry.reading.classical.views", lambda picture, _: iter(picture))
    monkeypatch.setattr(ClassicalReader, "_reading", lambda self, rows: readings[rows])
    assert ClassicalReader(Reader(doubting_model())).read(["first", "other"], (1, 1)).text == taken


def test_a_0_may_be_as_wide_as_high():
    segment = SimpleNamespace(whole=SimpleNamespace(box=(0, 0, 100, 100)))
    image = np.zeros((28, 28), np.uint8)
    likely = [_likelihood(Digit(digit, 1.0, (0, 0, 100, 100), image), segment) for digit in (0, 6)]
    assert likely[0] == 0
    assert likely[1] < -0.3


def striped_model() -> bytes:
    """All are a 1, and digits are what has little ink in its 28x28: a stroke is one, two in one are none."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_model_from_string(doubting_model())
    numbers = {"answer": [0.0, 1.0] + [0.0] * 8, "much": [128.0 * 255], "slope": [-0.108 / 255]}
    kept = [c for c in model.graph.initializer if c.name not in numbers]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for name, values in numbers.items():
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [len(values)], values))
    next(node for node in model.graph.node if node.op_type == "Sigmoid").input[0] = "sloped"
    model.graph.node.append(helper.make_node("Mul", ["more", "slope"], ["sloped"]))
    nodes = sorted(model.graph.node, key=lambda node: node.op_type == "Sigmoid")
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()


def test_two_strokes_are_two_1s_beside_digits_and_a_letter_alone():
    reader = Reader(striped_model())
    letter = at(160, 60, (16, 80)), at(204, 60, (16, 80)), at(176, 97, (28, 6))  # an H
    assert classical(reader, page(*letter)).text == "?"
    assert classical(reader, page(at(40, 60, (16, 80)), *letter, at(330, 60, (16, 80)))).text == "1111"


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
