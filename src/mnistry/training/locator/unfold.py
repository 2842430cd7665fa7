"""Train on from a network's ONNX file: its weights in the Keras model again, and what lies between two files."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from mnistry.models.backend import load_keras
from mnistry.settings import MnistryError

Floats = NDArray[np.float32]


def load_file(model: Any, file: bytes, inputs: Any) -> None:
    """Give a locator or a verifier the weights of its ONNX file, whose convolutions have taken in their batch norms.

    `inputs` is a batch of what the model takes: a norm gets the mean and the variance that it sees there, and what it
    does to them is taken back by its scale and offset, so that the model answers as the file. Raises MnistryError.
    """
    norms = _give(model, _convolutions(file))
    seen = load_keras().Model(model.inputs, [norm.input for norm in norms]).predict_on_batch(inputs)
    for norm, values in zip(norms, seen, strict=True):
        mean, variance = (np.asarray(how(values, axis=(0, 1, 2), dtype=np.float64)) for how in (np.mean, np.var))
        norm.set_weights([np.sqrt(variance + norm.epsilon), np.asarray(norm.beta) + mean, mean, variance])


def load_between(model: Any, begun: bytes, learnt: bytes, share: float) -> None:
    """Give a network the weights that lie a `share` of the way from one ONNX file's to another's, trained on from it.

    It keeps more of what the first knew (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). Raises
    MnistryError.
    """
    both = zip(_convolutions(begun), _convolutions(learnt), strict=True)
    _give(model, [tuple((1 - share) * old + share * new for old, new in zip(*pair, strict=True)) for pair in both])


def _give(model: Any, kept: list[Any]) -> list[Any]:
    """Give a network its convolutions, kernel and bias each; returns its batch norms, which add the biases alone."""
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    if [kernel.shape for kernel, _ in kept] != [tuple(layer.kernel.shape) for layer in convolutions]:
        raise MnistryError(f"The file has other layers than {model.name}: expected one that this version has written.")
    norms: list[Any] = []
    for layer, (kernel, bias) in zip(convolutions, kept, strict=True):
        layer.kernel.assign(kernel)
        following = [node.operation for node in layer._outbound_nodes]
        if following and type(following[0]).__name__ == "BatchNormalization":
            norms.extend(following)
            norms[-1].set_weights([np.full_like(bias, (1 + norms[-1].epsilon) ** 0.5), bias, 0 * bias, 1 + 0 * bias])
        elif layer.use_bias:
            layer.bias.assign(bias)
    return norms


def _convolutions(file: bytes) -> list[tuple[Floats, Floats]]:
    """Kernel (height, width, channels, filters) and bias (filters,) of each convolution, in the order of the layers."""
    graph = onnx.load_from_string(file).graph
    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}

    def value(name: str) -> Floats:
        if name in values:
            return np.asarray(values[name], np.float32)
        inputs = [value(one) for one in makers[name].input]  # a Cast, or the Mul that makes it whole
        return np.asarray(np.prod(np.broadcast_arrays(*inputs), axis=0), np.float32)

    nodes = [node for node in graph.node if node.op_type == "Conv"]
    return [(value(node.input[1]).transpose(2, 3, 1, 0), value(node.input[2])) for node in nodes]
