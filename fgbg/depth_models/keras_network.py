"""The DenseDepth graph in Keras 3 on TensorFlow.

Types and the layout of images are named wherever Keras would take them from keras.json otherwise.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from fgbg.depth_models.densedepth import BATCH_NORM_EPSILON, LEAKY_SLOPE, Layer
from fgbg.depth_models.mixing import column_matrix, row_matrix, split_kernel
from fgbg.depth_models.weights import Weights

_LAYOUT = "channels_last"


@keras.saving.register_keras_serializable(package="fgbg_depth")
class BilinearUpSampling2D(keras.layers.Layer):
    """Doubles both sides, bilinear, corners aligned: [n, h, w, c] -> [n, 2h, 2w, c].

    The first and last pixels of input and output fall on each other, which is how the published weights were trained:
    output pixel i lies at i (n - 1) / (2n - 1) of the input's n.
    """

    def call(self, inputs: Any) -> Any:
        """Doubles by TensorFlow's own operation, the one that the published weights were trained with."""
        doubled = tf.raw_ops.ResizeBilinear(
            images=tf.cast(inputs, tf.float32),
            size=2 * tf.shape(inputs)[1:3],
            align_corners=True,
            half_pixel_centers=False,
        )
        return tf.cast(tf.ensure_shape(doubled, [inputs.shape[0], None, None, inputs.shape[3]]), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape with both sides doubled."""
        batch, height, width, channels = input_shape
        return batch, height and 2 * height, width and 2 * width, channels


class MixedUpSampling(keras.layers.Layer):
    """conv3x3(concat(up(x), skip)) with the channels mixed before upsampling; see `mixing`.

    Takes [n, h, w, c] and [n, 2h, 2w, s], all sides known, gives [n, 2h, 2w, filters].
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: list[tuple[int, ...]]) -> None:
        """Makes the weights that `split_kernel` gives, and the bias."""
        (_, height, width, channels), (*_, skip_channels) = input_shape
        self.mixing = self.add_weight(shape=(3, channels, 3 * self.filters), name="mixing")
        self.skip = self.add_weight(shape=(3, 3, skip_channels, self.filters), name="skip")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self._rows, self._columns = row_matrix(height), column_matrix(width)

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Mixes, doubles rows, doubles columns, adds the convolution of the skip."""
        x, skip = inputs
        n, height, width, channels = x.shape
        flat = ops.reshape(x, (-1, channels))
        mixed = [ops.reshape(ops.matmul(flat, self.mixing[tap]), (n, height, -1)) for tap in range(3)]
        rows = ops.matmul(ops.cast(self._rows, x.dtype), ops.concatenate(mixed, axis=1))
        rows = ops.reshape(rows, (n * 2 * height, 3 * width, self.filters))
        columns = ops.matmul(ops.cast(self._columns, x.dtype), rows)
        doubled = ops.reshape(columns, (n, 2 * height, 2 * width, self.filters))
        return doubled + ops.conv(skip, self.skip, padding="same", data_format=_LAYOUT) + self.bias

    def compute_output_shape(self, input_shape: list[tuple[int, ...]]) -> tuple[int, ...]:
        """The skip's shape with `filters` channels."""
        return (*input_shape[1][:3], self.filters)


def build_network(
    layers: tuple[Layer, ...],
    input_shape: tuple[int | None, int | None] = (None, None),
    *,
    batch_size: int | None = None,
    dtype: str = "float32",
) -> keras.Model:
    """The network of `layers` with random weights: float [n, h, w, 3] in 0..1 -> float32 [n, h/2, w/2, 1].

    input_shape: (height, width), fixed or None for any multiples of 32. dtype: a Keras dtype policy, for instance
    "mixed_bfloat16"; the last convolution is float32 whatever it is.
    """
    tensors: dict[str, Any] = {}
    for layer in layers:
        inputs = [tensors[name] for name in layer.inputs]
        if layer.kind == "InputLayer":
            tensors[layer.name] = keras.Input((*input_shape, 3), batch_size, "float32", name=layer.keras_name)
        else:
            # The output's steps would be coarse in bfloat16: 4 cm at 10 m.
            policy = "float32" if layer is layers[-1] else dtype
            built = _build_layer(layer, policy)
            tensors[layer.name] = built(inputs if len(inputs) > 1 else inputs[0])
    return keras.Model(tensors[layers[0].name], tensors[layers[-1].name], name="densedepth")


def set_weights(network: keras.Model, layers: tuple[Layer, ...], weights: Weights) -> None:
    """Puts the arrays of a weights file into the network."""
    for layer in layers:
        if not layer.weights:
            continue
        built = network.get_layer(layer.keras_name)
        arrays = weights[layer.name]
        if isinstance(built, MixedUpSampling):
            built.set_weights([*split_kernel(arrays["kernel"], built.mixing.shape[1]), arrays["bias"]])
        else:
            built.set_weights([arrays[name] for name, _ in layer.weights])


def _build_layer(layer: Layer, dtype: str) -> keras.layers.Layer:
    common = {"name": layer.keras_name, "dtype": dtype}
    match layer.kind:
        case "ZeroPadding2D":
            return keras.layers.ZeroPadding2D(layer.size, data_format=_LAYOUT, **common)
        case "Conv2D":
            return keras.layers.Conv2D(
                layer.channels,
                layer.size,
                strides=layer.stride,
                padding="same" if layer.same else "valid",
                data_format=_LAYOUT,
                use_bias=len(layer.weights) > 1,
                **common,
            )
        case "BatchNormalization":
            return keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, **common)
        case "Activation":
            return keras.layers.Activation("relu", **common)
        case "MaxPooling2D":
            return keras.layers.MaxPooling2D(layer.size, strides=layer.stride, data_format=_LAYOUT, **common)
        case "AveragePooling2D":
            return keras.layers.AveragePooling2D(layer.size, strides=layer.stride, data_format=_LAYOUT, **common)
        case "Concatenate":
            return keras.layers.Concatenate(**common)
        case "BilinearUpSampling2D":
            return BilinearUpSampling2D(**common)
        case "LeakyReLU":
            return keras.layers.LeakyReLU(negative_slope=LEAKY_SLOPE, **common)
        case "MixedUpSampling":
            return MixedUpSampling(layer.channels, **common)
    raise ValueError(f"no Keras layer for {layer.kind}")
