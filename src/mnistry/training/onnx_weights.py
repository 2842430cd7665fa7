"""The `reader` recipe's network between its ONNX file and Keras: to train on from a file, without the run it came from.

The export has folded batch norm into what stands around it: into a convolution's kernel and bias, or into a factor and
a term after its pooling. In Keras the factor and the term become a frozen batch norm of mean 0 and variance 1, and the
convolution keeps its folded kernel, so that both answer alike. What was learnt goes back into the same graph.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnistry.models.backend import load_keras
from mnistry.models.networks import reader_network
from mnistry.settings import MnistryError

Floats = NDArray[np.float32]
LARGE = 256  # numbers of an array from which on it is worth keeping in half the space
HALF = "_half"  # at the end of such an array's name


@dataclass(frozen=True)
class _Convolution:
    """The names of a convolution's arrays in the graph; factor and term are those of its batch norm, "" for none."""

    kernel: str
    factor: str
    term: str


def to_keras(onnx_file: bytes) -> Any:
    """The Keras network of a `reader` model, with its batch norms frozen. Raises MnistryError for any other model."""
    graph = onnx.load_model_from_string(whole(onnx_file)).graph
    arrays = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    keras = load_keras()
    try:
        convolutions, dense = list(_convolutions(graph, arrays)), _dense(graph, arrays)
        model = reader_network(arrays[convolutions[0].kernel].shape[0])
        norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        for layer, norm, names in zip(_layers(model, "Conv2D"), norms, convolutions, strict=True):
            layer.set_weights([arrays[names.kernel].transpose(2, 3, 1, 0)])
            norm.set_weights(_norm(arrays, names, norm.epsilon))
            norm.trainable = False
        for name, (kernel, bias) in dense.items():
            model.get_layer(name).set_weights([arrays[kernel], arrays[bias]])
    except (ValueError, KeyError, IndexError, StopIteration) as problem:
        raise MnistryError("Only a model of the recipe reader can be taught; this one has other layers.") from problem
    return model


def from_keras(onnx_file: bytes, model: Any) -> bytes:
    """The same ONNX file with the kernels and dense weights that a network from `to_keras` has now."""
    file = onnx.load_model_from_string(whole(onnx_file))
    arrays = {array.name: numpy_helper.to_array(array) for array in file.graph.initializer}
    learnt: dict[str, Floats] = {}
    for layer, names in zip(_layers(model, "Conv2D"), _convolutions(file.graph, arrays), strict=True):
        learnt[names.kernel] = layer.get_weights()[0].transpose(3, 2, 0, 1)
    for name, places in _dense(file.graph, arrays).items():
        learnt |= dict(zip(places, model.get_layer(name).get_weights(), strict=True))
    for array in file.graph.initializer:
        if array.name in learnt:
            value = np.ascontiguousarray(learnt[array.name], np.float32)
            array.CopyFrom(numpy_helper.from_array(value, array.name))
    return file.SerializeToString()


def halved(onnx_file: bytes) -> bytes:
    """The same model with its larger arrays kept in half precision, in half the space; it computes as before."""
    file = onnx.load_model_from_string(onnx_file)
    casts = []
    for array in file.graph.initializer:
        if array.data_type == TensorProto.FLOAT and math.prod(array.dims) >= LARGE:
            half = numpy_helper.from_array(numpy_helper.to_array(array).astype(np.float16), f"{array.name}{HALF}")
            casts.append(helper.make_node("Cast", [half.name], [array.name], to=TensorProto.FLOAT))
            array.CopyFrom(half)
    nodes = [*casts, *file.graph.node]
    del file.graph.node[:]
    file.graph.node.extend(nodes)
    return bytes(file.SerializeToString())


def whole(onnx_file: bytes) -> bytes:
    """A model without what `halved` has done to it, but for the precision that was lost."""
    file = onnx.load_model_from_string(onnx_file)
    names = {array.name for array in file.graph.initializer if array.name.endswith(HALF)}
    for array in file.graph.initializer:
        if array.name in names:
            value = numpy_helper.to_array(array).astype(np.float32)
            array.CopyFrom(numpy_helper.from_array(value, array.name.removesuffix(HALF)))
    nodes = [node for node in file.graph.node if node.input[0] not in names]
    del file.graph.node[:]
    file.graph.node.extend(nodes)
    return bytes(file.SerializeToString())


def _layers(model: Any, kind: str) -> list[Any]:
    return [layer for layer in model.layers if type(layer).__name__ == kind]


def _convolutions(graph: Any, arrays: dict[str, Any]) -> Iterator[_Convolution]:
    """The convolutions in their order, each with the Mul and Add that follow it before its ReLU."""
    for node in (node for node in graph.node if node.op_type == "Conv"):
        names = {"Mul": "", "Add": node.input[2] if len(node.input) > 2 else ""}
        after = node
        while after.op_type != "Relu":
            after = next(other for other in graph.node if after.output[0] in other.input)
            if after.op_type in names:
                names[after.op_type] = next(name for name in after.input if name in arrays)
        yield _Convolution(node.input[1], names["Mul"], names["Add"])


def _dense(graph: Any, arrays: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The names of the kernel and bias of both last layers."""
    made = {output: node for node in graph.node for output in node.output}
    found = {}
    for name in ("probabilities", "digit"):
        add = made[made[name].input[0]]
        product = next(made[each] for each in add.input if each in made)
        found[name] = product.input[1], next(each for each in add.input if each in arrays)
    return found


def _norm(arrays: dict[str, Any], names: _Convolution, epsilon: float) -> list[Floats]:
    """Gamma, beta, mean and variance of a batch norm that multiplies by the factor and adds the term."""
    n = arrays[names.kernel].shape[0]
    factor = arrays[names.factor].ravel() if names.factor else np.ones(n, np.float32)
    term = arrays[names.term].ravel() if names.term else np.zeros(n, np.float32)
    return [factor, term, np.zeros(n, np.float32), np.full(n, 1 - epsilon, np.float32)]
