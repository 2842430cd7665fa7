"""The networks: functions from a width to a Keras model, `images` uint8 (n, 28, 28) -> `probabilities` (n, 10)."""

from typing import Any

from mnistry.neural import load_keras


def dense_network(width: int) -> Any:
    """784-128-10: the network of every first lesson."""
    keras = load_keras()
    images = keras.Input((28, 28), dtype="uint8", name="images")
    x = keras.layers.Rescaling(1 / 255)(images)  # 0 to 1
    x = keras.layers.Flatten()(x)  # (n, 784)
    x = keras.layers.Dense(width, activation="relu")(x)  # (n, 128)
    proba = keras.layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(images, proba, name="dense")


def cnn_network(width: int) -> Any:
    """Three 3x3 convolutions with batch norm, two poolings and one dense layer."""
    keras = load_keras()
    layers = keras.layers
    images = keras.Input((28, 28), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Reshape((28, 28, 1))(x)
    for block, filters in enumerate((width, 2 * width, 4 * width)):
        x = layers.Conv2D(filters, 3, use_bias=False)(x)  # 26, 11, 3
        if block < 2:
            x = layers.MaxPooling2D()(x)  # 13, 5; pooling first quarters the work of what follows
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.Flatten()(x)  # (n, 864)
    x = layers.Dropout(0.4)(x)
    proba = layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(images, proba, name="cnn")
