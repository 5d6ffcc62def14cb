"""The `keras` engine: the network in Keras 3, as one compiled function of a fixed shape under TensorFlow.

On a GPU it runs there, in mixed precision for bfloat16, with the resizing of pictures and depth on the device.
"""

import keras
import numpy as np
import numpy.typing as npt

from transforms.depth_models.densedepth import Layer
from transforms.depth_models.engine import Engine, Precision
from transforms.depth_models.keras_network import build_network, set_weights
from transforms.depth_models.weights import Weights

_POLICIES: dict[Precision, str] = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def build_engine(
    layers: tuple[Layer, ...], weights: Weights, input_size: tuple[int, int], batch_size: int, precision: Precision
) -> Engine:
    """The network compiled for `batch_size` images of `input_size` (width, height)."""
    width, height = input_size
    network = build_network(layers, (height, width), batch_size=batch_size, dtype=_POLICIES[precision])
    set_weights(network, layers, weights)
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_engine(network, batch_size)

    def run(inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(network.predict_on_batch(inputs)[..., 0])

    return Engine(batch_size, run)


def _tensorflow_engine(network: keras.Model, batch_size: int) -> Engine:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec(network.input_shape, tf.float32)], autograph=False)
    def forward(inputs: tf.Tensor) -> tf.Tensor:
        return network(inputs, training=False)[..., 0]

    def run(inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return forward(tf.constant(inputs)).numpy()

    return Engine(batch_size, run)
