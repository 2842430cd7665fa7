"""The locator: a fully convolutional network that finds digits, and each digit's own ink, in a picture of any size.

It has no anchors: every cell of 4x4 pixels says how surely the centre of a digit lies in it, which digit, and how far
away the four sides of its box are (Zhou et al. 2019, "Objects as Points"; Tian et al. 2019, "FCOS"). Every pixel says
whether it is a digit's ink; every square of 2x2 pixels points to the centre of the digit that its ink belongs to.
"""

from typing import Any

from mnistry.models.backend import load_keras

CELL = 4  # pixels: one answer about digits for each square of this side
CLASSES = 11  # ten digits, and any other sign that is written as strongly
REACH = 64.0  # pixels that an offset of 1 means
WINDOW = 15  # times 8 pixels: the surroundings that a pixel's brightness is compared with
FAINTEST = 0.015  # of the range from black to white: spread below which paper counts as empty
RARE = -4.0  # bias of what is seldom there: 2 % at the start, so that empty paper does not drown the digits


def locator_network(width: int = 16) -> Any:
    """A Keras model: `images` uint8 (n, h, w, 3) RGB -> `digits` (n, h/4, w/4, 17), `ink` (n, h/2, w/2, 6).

    h and w are multiples of 16. `digits` holds logits: 1 for a centre, 10 for the digits and 1 for another sign; then
    the logarithms of the distances to the left, top, right and bottom side, in cells; and a logit for digits that are
    too small to be read at this size. `ink` holds logits of 2x2 pixels, row by row, and the offset x, y to the centre
    of the digit that they belong to, in units of 64 pixels. `width` filters stand at the finest stage.
    """
    keras = load_keras()
    layers = keras.layers
    images = keras.Input((None, None, 3), dtype="uint8", name="images")
    x = _standardised(images)
    fine = block(x, width, size=4, strides=2)  # 1/2
    fine = block(fine, width)
    middle = block(fine, 2 * width, strides=2)  # 1/4
    middle = block(middle, 2 * width)
    coarse = block(middle, 4 * width, strides=2)  # 1/8
    coarse = residual(coarse, 4 * width)
    far = block(coarse, 6 * width, strides=2)  # 1/16
    far = residual(far, 6 * width)
    far = residual(far, 6 * width, dilation=2)
    coarse = block(_joined(far, coarse, 4 * width), 4 * width)
    middle = block(_joined(coarse, middle, 3 * width), 3 * width)
    fine = block(_joined(middle, fine, width), width)
    digits = block(middle, 3 * width)
    seldom = {"bias_initializer": keras.initializers.Constant(RARE), "dtype": "float32"}
    sure, tiny = layers.Conv2D(1, 1, **seldom)(digits), layers.Conv2D(1, 1, **seldom)(digits)
    rest = layers.Conv2D(CLASSES + 4, 1, dtype="float32")(digits)
    ink = layers.Conv2D(4, 1, bias_initializer=keras.initializers.Constant(RARE / 2), dtype="float32")(fine)
    offsets = layers.Conv2D(2, 1, dtype="float32")(fine)
    return keras.Model(
        images,
        [
            layers.Concatenate(name="digits", dtype="float32")([sure, rest, tiny]),
            layers.Concatenate(name="ink", dtype="float32")([ink, offsets]),
        ],
        name="locator",
    )


def _standardised(images: Any) -> Any:
    """Each pixel less the mean of its surroundings, by their spread: light, paper and contrast no longer matter."""
    keras = load_keras()
    layers = keras.layers
    x = layers.Rescaling(1 / 255, dtype="float32")(images)

    def around(values: Any) -> Any:
        small = layers.AveragePooling2D(8, padding="same", dtype="float32")(values)
        return layers.AveragePooling2D(WINDOW, 1, padding="same", dtype="float32")(small)

    def enlarged(values: Any) -> Any:
        return layers.UpSampling2D(8, interpolation="bilinear", dtype="float32")(values)

    mean = around(x)
    square = around(layers.Multiply(dtype="float32")([x, x]))
    variance = layers.Subtract(dtype="float32")([square, layers.Multiply(dtype="float32")([mean, mean])])
    variance = layers.Conv2D(
        1, 1, use_bias=False, trainable=False, kernel_initializer=keras.initializers.Constant(1 / 3), dtype="float32"
    )(variance)  # one spread for the three colours
    scale = layers.Activation(_reciprocal_root, dtype="float32")(variance)
    difference = layers.Subtract(dtype="float32")([x, enlarged(mean)])
    return layers.Multiply(dtype="float32")([difference, enlarged(scale)])


def _reciprocal_root(variance: Any) -> Any:
    ops = load_keras().ops
    return ops.rsqrt(ops.maximum(variance, 0.0) + FAINTEST**2)


def block(x: Any, filters: int, size: int = 3, strides: int = 1, dilation: int = 1) -> Any:
    """A convolution, its batch norm and a ReLU."""
    layers = load_keras().layers
    x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False, dilation_rate=dilation)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.97)(x))


def residual(x: Any, filters: int, dilation: int = 1) -> Any:
    """Two convolutions whose answer is added to x, which has so many filters."""
    layers = load_keras().layers
    inner = block(x, filters, dilation=dilation)
    inner = layers.Conv2D(filters, 3, padding="same", use_bias=False)(inner)
    inner = layers.BatchNormalization(momentum=0.97, gamma_initializer="zeros")(inner)
    return layers.ReLU()(layers.Add()([x, inner]))


def _joined(small: Any, large: Any, filters: int) -> Any:
    """A coarse stage enlarged and added to the finer one, both brought to the same number of filters."""
    layers = load_keras().layers
    small = layers.Conv2D(filters, 1, use_bias=False)(small)
    large = layers.Conv2D(filters, 1)(large)
    return layers.Add()([layers.UpSampling2D(2)(small), large])
