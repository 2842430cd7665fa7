"""The networks: functions from a width to a Keras model, `images` uint8 (n, 28, 28) -> `probabilities` (n, 10)."""

from typing import Any

from mnistry.models.backend import load_keras


def dense_network(width: int) -> Any:
    """One hidden layer of `width` units: 784-128-10 by default, the usual first network."""
    layers = load_keras().layers
    images, x = _pixels()
    x = layers.Flatten()(x)  # (n, 784)
    x = layers.Dense(width, activation="relu")(x)  # (n, 128)
    return _model("dense", images, x)


def cnn_network(width: int) -> Any:
    """Three 3x3 convolutions with batch norm, two poolings and one dense layer."""
    layers = load_keras().layers
    images, x = _pixels()
    x = _convolution(x, width, pool=True)  # 13
    x = _convolution(x, 2 * width, pool=True)  # 5
    x = _convolution(x, 4 * width)  # 3
    x = layers.Flatten()(x)  # (n, 864)
    x = layers.Dropout(0.4)(x)
    return _model("cnn", images, x)


def fast_network(width: int) -> Any:
    """Three convolutions over the inner 24x24 pixels; batch norm on the logits keeps one epoch from being too sure.

    The other batch norms have no scale of their own: the weights after them have one.
    """
    layers = load_keras().layers
    images, x = _pixels()
    x = layers.Cropping2D(2)(x)  # 24: the border has hardly any ink
    x = _convolution(x, width, size=5, pool=True, scale=False)  # 10
    x = _convolution(x, 5 * width // 2, pool=True, scale=False)  # 4
    x = _convolution(x, 5 * width, padding="same", scale=False)  # 4
    x = layers.Flatten()(x)  # (n, 80 * width)
    x = layers.Dense(10, use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    proba = layers.Activation("softmax", dtype="float32", name="probabilities")(x)
    return load_keras().Model(images, proba, name="fast")


def deep_network(width: int) -> Any:
    """Five convolutions with batch norm, the last one over the whole remaining 4x4, then one dense layer."""
    images, x = _deep(width)
    return _model("deep", images, x)


def strided_network(width: int) -> Any:
    """Five convolutions without pooling, the first of which takes every second place, then one dense layer."""
    layers = load_keras().layers
    images, x = _pixels()
    x = _convolution(x, width, size=5, strides=2)  # 12
    x = _convolution(x, 2 * width)  # 10
    x = _convolution(x, 3 * width)  # 8
    x = _convolution(x, 3 * width)  # 6
    x = _convolution(x, 4 * width, size=6)  # 1
    x = layers.Flatten()(x)  # (n, 4 * width)
    x = layers.Dropout(0.4)(x)
    return _model("strided", images, x)


def kernels_network(width: int) -> Any:
    """Four convolutions with large kernels, 7x7, 5x5, 5x5 and 3x3, and one pooling, then one dense layer."""
    layers = load_keras().layers
    images, x = _pixels()
    x = _convolution(x, width, size=7, pool=True)  # 11
    x = _convolution(x, 2 * width, size=5)  # 7
    x = _convolution(x, 3 * width, size=5)  # 3
    x = _convolution(x, 4 * width)  # 1
    x = layers.Flatten()(x)  # (n, 4 * width)
    x = layers.Dropout(0.4)(x)
    return _model("kernels", images, x)


def reader_network(width: int) -> Any:
    """The deep network with a second output, `digit` (n, 1): the probability that the image is a digit at all.

    At width 16 the numbers of filters are multiples of 16, which ONNX Runtime computes faster. Later layers, whose
    images are small and cheap, have more filters.
    """
    keras = load_keras()
    images, x = _deep(width, (1, 3, 4, 6, 8))
    proba = _model("reader", images, x).output
    is_digit = keras.layers.Dense(1, activation="sigmoid", dtype="float32", name="digit")(x)
    return keras.Model(images, [proba, is_digit], name="reader")


def _deep(width: int, times: tuple[int, int, int, int, int] = (1, 2, 2, 4, 4)) -> tuple[Any, Any]:
    """The input, and features (n, width * times[-1]); pooling early halves the cost at the same accuracy."""
    layers = load_keras().layers
    images, x = _pixels()
    filters = [width * factor for factor in times]
    x = _convolution(x, filters[0], size=5, pool=True)  # 12
    x = _convolution(x, filters[1])  # 10
    x = _convolution(x, filters[2], pool=True)  # 4
    x = _convolution(x, filters[3], padding="same")  # 4
    x = _convolution(x, filters[4], size=4)  # 1
    x = layers.Flatten()(x)  # (n, filters[4])
    return images, layers.Dropout(0.4)(x)


def small_network(width: int) -> Any:
    """Four narrow convolutions with batch norm and no dropout: at width 16, 8 754 parameters."""
    layers = load_keras().layers
    images, x = _pixels()
    x = _convolution(x, max(1, width // 2), size=5, pool=True)  # 12
    x = _convolution(x, width)  # 10
    x = _convolution(x, width, pool=True)  # 4
    x = _convolution(x, width, padding="same")  # 4
    x = layers.Flatten()(x)  # (n, 16 * width)
    return _model("small", images, x)


def averaged(models: list[Any]) -> Any:
    """One network whose probabilities are the mean of those of several."""
    keras = load_keras()
    images = keras.Input((28, 28), dtype="uint8", name="images")
    for number, model in enumerate(models):
        model.name = f"member{number}"  # names are unique in a network
    answers = [model(images, training=False) for model in models]
    proba = keras.layers.Average(name="probabilities")(answers) if len(answers) > 1 else answers[0]
    return keras.Model(images, proba, name="ensemble")


def _pixels() -> tuple[Any, Any]:
    """The input, and its pixels from 0 to 1: (n, 28, 28, 1)."""
    keras = load_keras()
    images = keras.Input((28, 28), dtype="uint8", name="images")
    x = keras.layers.Rescaling(1 / 255)(images)
    return images, keras.layers.Reshape((28, 28, 1))(x)


def _convolution(
    x: Any, filters: int, size: int = 3, padding: str = "valid", pool: bool = False, strides: int = 1,
    scale: bool = True,
) -> Any:  # fmt: skip
    """Convolution, pooling if `pool`, batch norm, ReLU; pooling first quarters the work of the layers after it."""
    layers = load_keras().layers
    x = layers.Conv2D(filters, size, strides, padding, use_bias=False)(x)
    if pool:
        x = layers.MaxPooling2D()(x)
    x = layers.BatchNormalization(momentum=0.9, scale=scale)(x)
    return layers.ReLU()(x)


def _model(name: str, images: Any, x: Any) -> Any:
    """Add the ten probabilities, in float32 also where the layers before are bfloat16."""
    keras = load_keras()
    proba = keras.layers.Dense(10, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(images, proba, name=name)
