"""The network in legacy Keras (tf_keras), written from its description; it shares no code with ours but the weights."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras
from tf_keras.src.applications.densenet import DenseNet

from fgbg.depth_models.weights import Weights


class BilinearUpSampling2D(tf_keras.layers.Layer):
    """TensorFlow 1's own bilinear resizing, which the published weights were trained with."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.compat.v1.image.resize_bilinear(inputs, 2 * tf.shape(inputs)[1:3], align_corners=True)


def build_legacy_model(blocks: tuple[int, ...], decoder_filters: int) -> tf_keras.Model:
    """Growth rate 32 and 64 stem filters, which DenseNet in tf_keras.applications always has."""
    layers = tf_keras.layers
    encoder = DenseNet(list(blocks), include_top=False, weights=None, input_shape=(None, None, 3))
    x = layers.Conv2D(decoder_filters, 1, padding="same", name="conv2")(encoder.output)
    for number, skip in enumerate(("pool3_pool", "pool2_pool", "pool1", "conv1/relu"), start=1):
        filters = decoder_filters // 2**number
        x = BilinearUpSampling2D(name=f"up{number}_upsampling2d")(x)
        x = layers.Concatenate(name=f"up{number}_concat")([x, encoder.get_layer(skip).output])
        x = layers.Conv2D(filters, 3, padding="same", name=f"up{number}_convA")(x)
        x = layers.Conv2D(filters, 3, padding="same", name=f"up{number}_convB")(x)
        x = layers.LeakyReLU(alpha=0.2)(x)
    return tf_keras.Model(encoder.input, layers.Conv2D(1, 3, padding="same", name="conv3")(x))


def write_legacy_file(model: tf_keras.Model, weights: Weights, path: Path) -> None:
    """Puts our arrays into the model, by layer name, and lets it write its whole-model HDF5 file."""
    for name, arrays in weights.items():
        layer = model.get_layer(name)
        ordered = [arrays[weight.name.rpartition("/")[2].removesuffix(":0")] for weight in layer.weights]
        layer.set_weights(ordered)
    model.save(path, save_format="h5", include_optimizer=False)


def legacy_output(model: tf_keras.Model, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """y: float32 [n, h, w, 3] -> [n, h/2, w/2]."""
    return model.predict_on_batch(inputs)[..., 0]
