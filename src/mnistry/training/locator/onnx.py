"""Locator and verifier as ONNX files for pictures of any size, with peaks, boxes and crops inside the graphs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, load_from_string

from mnistry.models.locator import verifier
from mnistry.models.locator.network import CELL, CLASSES, FAINTEST, REACH
from mnistry.reading.verifier import CLASSES as VERIFIED
from mnistry.training.onnx_graphs import Graph

OPSET = 17
IR_VERSION = 10  # what ONNX Runtime 1.18 and later read
LEAST = 0.05  # how sure a peak is at least; calibration decides further on
KEPT = 5 + CLASSES  # numbers for each peak
IMAGES = helper.make_tensor_value_info("images", TensorProto.UINT8, [1, "h", "w", 3])
BOXES = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["k", 4])


def locator_onnx(model: Any, metadata: Mapping[str, str] | None = None) -> bytes:
    """The ONNX file of a locator: `images` uint8 [1, h, w, 3] RGB, h and w multiples of 16, to four outputs.

    `digits` float32 [k, 16], one row a peak: how sure it is, left, top, right and bottom in pixels, and the
    probabilities of ten digits and of another sign. `tiny` float32 [h/4, w/4]: the probability that a cell shows digits
    too small to be read at this size. `ink` float32 [h, w]: the probability that a pixel is a digit's ink. `centres`
    float32 [2, h/2, w/2]: x and y of the centre of the digit that a square of 2x2 pixels belongs to.
    """
    graph = Graph()
    pixels = graph.add("Transpose", graph.add("Cast", "images", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    names = _write_layers(graph, model, {"images": str(pixels)})
    _write_digits(graph, names["digits"])
    _write_ink(graph, names["ink"])
    outputs: dict[str, list[str | int]] = {
        "digits": ["k", KEPT],
        "tiny": ["h4", "w4"],
        "ink": ["h", "w"],
        "centres": [2, "h2", "w2"],
    }
    return _file(graph, [IMAGES], outputs, metadata)


def verifier_onnx(model: Any, metadata: Mapping[str, str] | None = None) -> bytes:
    """The ONNX file of a verifier: `images` as the locator's and `boxes` float32 [k, 4] to `classes` float32 [k, 13].

    A box is left, top, right and bottom in pixels; its row of `classes` holds the probabilities of the ten digits, of
    another sign, of a mark of a number, and of none of these.
    """
    graph = Graph()
    near, far = _write_crops(graph)
    crops = {"near": _standardised(graph, near), "far": _standardised(graph, far)}
    logits = _write_layers(graph, model, crops)["classes"]
    flat = graph.add("Reshape", logits, graph.constant([-1, VERIFIED], np.int64))
    graph.add("Softmax", flat, axis=1, output="classes")
    return _file(graph, [IMAGES, BOXES], {"classes": ["k", VERIFIED]}, metadata)


def crops_onnx() -> bytes:
    """What the verifier sees of each box: `images` and `boxes` to `near` and `far` float32 [k, 3, 32, 32], 0 to 1."""
    graph = Graph()
    for name, crop in zip(("near", "far"), _write_crops(graph), strict=True):
        graph.add("Identity", crop, output=name)
    shape: list[str | int] = ["k", 3, verifier.SIDE, verifier.SIDE]
    return _file(graph, [IMAGES, BOXES], {"near": shape, "far": shape})


def metadata(file: bytes) -> dict[str, str]:
    """What an ONNX file says of itself, such as its trust."""
    return {one.key: one.value for one in load_from_string(file).metadata_props}


def _file(
    graph: Graph, inputs: list[Any], outputs: Mapping[str, list[str | int]], metadata: Mapping[str, str] | None = None
) -> bytes:
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    file = helper.make_model(
        helper.make_graph(graph.nodes, "mnistry", inputs, told, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mnistry",
    )
    helper.set_model_props(file, dict(metadata or {}))
    checker.check_model(file)
    return file.SerializeToString()


def _write_layers(graph: Graph, model: Any, inputs: Mapping[str, str]) -> dict[str, str]:
    """Add all layers of a model, whose inputs are there by name; returns the name of what each layer gives."""
    names = dict(inputs)
    for layer in model.layers:
        if layer.name not in names:
            names[layer.name] = _write(graph, layer, [names[name] for name in _sources(layer)])
    return names


def _sources(layer: Any) -> list[str]:
    """The names of the layers that this one takes its inputs from."""
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor._keras_history.operation.name for tensor in inputs]


def _write(graph: Graph, layer: Any, inputs: list[str]) -> str:
    """Add one layer to the graph, channels first as ONNX has them; returns the name of what it gives."""
    kind = type(layer).__name__
    if kind == "Conv2D":
        return _convolution(graph, layer, inputs[0])
    if kind == "BatchNormalization":
        return inputs[0]  # its convolution has taken it in
    if kind == "AveragePooling2D":
        size, step = layer.pool_size[0], layer.strides[0]
        before, after = (size - step) // 2, (size - step + 1) // 2
        pads = [before, before, after, after]
        return str(graph.add("AveragePool", *inputs, kernel_shape=[size, size], strides=[step, step], pads=pads))
    if kind == "UpSampling2D":
        scales = graph.constant([1, 1, *layer.size])
        if layer.interpolation == "nearest":
            mode: dict[str, Any] = {
                "mode": "nearest",
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            }
        else:
            mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return str(graph.add("Resize", *inputs, "", scales, **mode))
    if kind == "Rescaling":
        return str(graph.add("Mul", *inputs, graph.constant(layer.scale)))
    if kind == "Activation":  # the reciprocal root of a variance
        positive = graph.add("Add", graph.add("Relu", *inputs), graph.constant(FAINTEST**2))
        return str(graph.add("Reciprocal", graph.add("Sqrt", positive)))
    if kind == "Concatenate":
        return str(graph.add("Concat", *inputs, axis=1))
    return str(graph.add({"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "ReLU": "Relu"}[kind], *inputs))


def _convolution(graph: Graph, layer: Any, x: str) -> str:
    """A convolution with the batch norm after it, in exact arithmetic; see `_kept` for its weights."""
    kernel = np.asarray(layer.kernel, np.float64)
    bias = np.asarray(layer.bias, np.float64) if layer.use_bias else np.zeros(layer.filters)
    following = [node.operation for node in layer._outbound_nodes]
    if len(following) == 1 and type(following[0]).__name__ == "BatchNormalization":
        norm = following[0]
        gamma, beta, mean, variance = (
            np.asarray(values, np.float64) for values in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        )
        factor = gamma / np.sqrt(variance + norm.epsilon)
        kernel, bias = kernel * factor, (bias - mean) * factor + beta
    size, step, spread = layer.kernel_size[0], layer.strides[0], layer.dilation_rate[0]
    padding = (size - 1) * spread + 1 - step if layer.padding == "same" else 0
    pads = [padding // 2, padding // 2, padding - padding // 2, padding - padding // 2]
    weights = _kept(graph, kernel.transpose(3, 2, 0, 1))
    return str(graph.add(
        "Conv", x, weights, graph.constant(bias), kernel_shape=[size, size], strides=[step, step], pads=pads,
        dilations=[spread, spread],
    ))  # fmt: skip


def _kept(graph: Graph, kernel: NDArray[np.float64]) -> str:
    """A kernel in a quarter of the space: steps of a 127th of each filter's largest weight, made whole when loaded."""
    step = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / 127 + np.finfo(np.float32).tiny
    steps = graph.add("Cast", graph.constant(np.rint(kernel / step), np.int8), to=TensorProto.FLOAT)
    return str(graph.add("Mul", steps, graph.constant(step)))


def _write_digits(graph: Graph, digits: str) -> None:
    """The peaks among the cells: sure, box and classes of each, as the output `digits`."""
    width = _length(graph, digits, 3)
    sure, classes, sides, tiny = graph.add(
        "Split", digits, graph.constant([1, CLASSES, 4, 1], np.int64), outputs=4, axis=1
    )
    graph.add("Sigmoid", graph.add("Squeeze", tiny, graph.constant([0, 1], np.int64)), output="tiny")
    sure = graph.add("Sigmoid", sure)
    highest = graph.add("MaxPool", sure, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    peak = graph.add(
        "And", graph.add("GreaterOrEqual", sure, highest), graph.add("Greater", sure, graph.constant(LEAST))
    )
    row = graph.constant([-1], np.int64)
    index = graph.add("Reshape", graph.add("NonZero", graph.add("Reshape", peak, row)), row)

    def picked(values: str, channels: int) -> str:
        flat = graph.add("Reshape", values, graph.constant([channels, -1], np.int64))
        return str(graph.add("Transpose", graph.add("Gather", flat, index, axis=1), perm=[1, 0]))

    x, y = (
        graph.add("Unsqueeze", graph.add("Cast", graph.add(op, index, width), to=TensorProto.FLOAT),
                  graph.constant([1], np.int64))
        for op in ("Mod", "Div")
    )  # fmt: skip
    middle = graph.add("Add", graph.add("Concat", x, y, x, y, axis=1), graph.constant(0.5))
    reach = graph.add("Mul", graph.add("Exp", picked(sides, 4)), graph.constant([-1, -1, 1, 1]))
    box = graph.add("Mul", graph.add("Add", middle, reach), graph.constant(CELL))
    graph.add("Concat", picked(sure, 1), box, graph.add("Softmax", picked(classes, CLASSES), axis=1), axis=1,
              output="digits")  # fmt: skip


def _write_ink(graph: Graph, ink: str) -> None:
    """The probability of ink for each pixel, and where the centre of its digit is, as outputs `ink` and `centres`."""
    logits, offsets = graph.add("Split", ink, graph.constant([4, 2], np.int64), outputs=2, axis=1)
    whole = graph.add("DepthToSpace", graph.add("Sigmoid", logits), blocksize=2)
    graph.add("Squeeze", whole, graph.constant([0, 1], np.int64), output="ink")
    zero, one, axis = graph.constant(0, np.int64), graph.constant(1, np.int64), graph.constant([0], np.int64)
    height, width = (graph.add("Squeeze", _length(graph, offsets, place), axis) for place in (2, 3))
    places = [
        graph.add("Cast", graph.add("Range", zero, length, one), to=TensorProto.FLOAT) for length in (width, height)
    ]
    across = graph.add("Unsqueeze", places[0], axis)  # (1, w/2)
    down = graph.add("Unsqueeze", places[1], graph.constant([1], np.int64))  # (h/2, 1)
    grid = [
        graph.add("Unsqueeze", graph.add("Add", one_way, graph.add("Mul", other, graph.constant(0))), axis)
        for one_way, other in ((across, down), (down, across))
    ]
    pixels = graph.add("Add", graph.add("Mul", graph.add("Concat", *grid, axis=0), graph.constant(2)),
                       graph.constant(1))  # fmt: skip
    far = graph.add("Mul", graph.add("Squeeze", offsets, axis), graph.constant(REACH))
    graph.add("Add", pixels, far, output="centres")


def _length(graph: Graph, tensor: str, axis: int) -> str:
    return str(graph.add("Shape", tensor, start=axis, end=axis + 1))


def _write_crops(graph: Graph) -> tuple[str, str]:
    """What stands in each of `boxes` and around it: two crops [k, 3, 32, 32] of `images`, 0 to 1."""
    pixels = graph.add("Transpose", graph.add("Cast", "images", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    pixels = graph.add("Mul", pixels, graph.constant(1 / 255))
    size = graph.add("Cast", graph.add("Concat", _length(graph, pixels, 3), _length(graph, pixels, 2), axis=0),
                     to=TensorProto.FLOAT)  # fmt: skip
    low, high = graph.add("Split", "boxes", graph.constant([2, 2], np.int64), outputs=2, axis=1)
    middle = graph.add("Mul", graph.add("Add", low, high), graph.constant(0.5))
    longer = graph.add("ReduceMax", graph.add("Sub", high, low), axes=[1], keepdims=1)  # [k, 1]

    def crop(source: str, share: float, fine: int) -> str:
        """`share` times the longer side around the middle, seen `fine` times finer and averaged."""
        many = verifier.SIDE * fine
        along = (np.arange(many) + 0.5) / many - 0.5
        grid = np.stack(np.meshgrid(along, along), axis=-1).reshape(1, -1, 2)  # x, y; exact in half the space
        places = graph.add("Cast", graph.constant(grid, np.float16), to=TensorProto.FLOAT)
        axis = graph.constant([1], np.int64)
        side = graph.add("Unsqueeze", graph.add("Mul", longer, graph.constant(share)), axis)
        reach = graph.add("Mul", side, places)
        places = graph.add("Add", reach, graph.add("Unsqueeze", middle, axis))  # [k, many * many, 2] in pixels
        places = graph.add("Div", graph.add("Mul", places, graph.constant(2)), size)
        places = graph.add("Sub", places, graph.constant(1))
        places = graph.add("Reshape", places, graph.constant([1, -1, many, 2], np.int64))
        seen = graph.add("GridSample", source, places, mode="bilinear", padding_mode="border", align_corners=0)
        seen = graph.add("Reshape", seen, graph.constant([3, -1, many, many], np.int64))
        seen = graph.add("Transpose", seen, perm=[1, 0, 2, 3])
        return str(graph.add("AveragePool", seen, kernel_shape=[fine, fine], strides=[fine, fine]))

    coarse = graph.add("AveragePool", pixels, kernel_shape=[4, 4], strides=[4, 4])
    return crop(pixels, verifier.NEAR, 2), crop(coarse, verifier.FAR, 1)


def _standardised(graph: Graph, crop: str) -> str:
    """Each colour less its mean, by one spread for the three; see `crops.standardised`."""
    off = graph.add("Sub", crop, graph.add("ReduceMean", crop, axes=[2, 3], keepdims=1))
    variance = graph.add("ReduceMean", graph.add("Mul", off, off), axes=[1, 2, 3], keepdims=1)
    spread = graph.add("Sqrt", graph.add("Add", variance, graph.constant(verifier.SPREAD**2)))
    return str(graph.add("Div", off, spread))
