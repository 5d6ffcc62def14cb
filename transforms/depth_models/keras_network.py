"""The DenseDepth graph in Keras 3, of operations that every Keras backend has."""

from typing import Any

import keras
from keras import ops

from transforms.depth_models.densedepth import BATCH_NORM_EPSILON, LEAKY_SLOPE, Layer
from transforms.depth_models.weights import Weights


@keras.saving.register_keras_serializable(package="fgbg_depth")
class BilinearUpSampling2D(keras.layers.Layer):
    """Doubles both sides, bilinear, corners aligned: [n, h, w, c] -> [n, 2h, 2w, c].

    The first and last pixels of input and output fall on each other, which is how the published weights were trained:
    output pixel i lies at i (n - 1) / (2n - 1) of the input's n.
    """

    def call(self, inputs: Any) -> Any:
        """Doubles one axis after the other."""
        return _double(_double(inputs, axis=1), axis=2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape with both sides doubled."""
        batch, height, width, channels = input_shape
        return batch, height and 2 * height, width and 2 * width, channels


def _double(x: Any, axis: int) -> Any:
    """Doubles one axis of x: [n, h, w, c].

    Output 2k lies k / (2n - 1) before input k, output 2k + 1 lies (n - 1 - k) / (2n - 1) behind it: two weighted sums
    of neighbours, interleaved.
    """
    shape = ops.shape(x)
    n = shape[axis]
    place = [1, 1, 1, 1]
    place[axis] = -1
    k = ops.reshape(ops.cast(ops.arange(n), "float32"), place)
    steps = ops.cast(2 * n - 1, "float32")
    before = ops.cast(k / steps, x.dtype)
    behind = ops.cast((ops.cast(n - 1, "float32") - k) / steps, x.dtype)
    first, last = [slice(None)] * 4, [slice(None)] * 4
    first[axis], last[axis] = slice(0, 1), slice(-1, None)
    head, tail = [slice(None)] * 4, [slice(None)] * 4
    head[axis], tail[axis] = slice(None, -1), slice(1, None)
    # The ends' neighbours have weight 0: any pixel will do.
    previous = ops.concatenate([x[tuple(first)], x[tuple(head)]], axis=axis)
    following = ops.concatenate([x[tuple(tail)], x[tuple(last)]], axis=axis)
    even = x + before * (previous - x)
    odd = x + behind * (following - x)
    doubled = list(shape)
    doubled[axis] = 2 * n
    return ops.reshape(ops.stack([even, odd], axis=axis + 1), doubled)


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
            tensors[layer.name] = keras.Input((*input_shape, 3), batch_size, name=layer.keras_name)
        else:
            # The output's steps would be coarse in bfloat16: 4 cm at 10 m.
            policy = "float32" if layer is layers[-1] else dtype
            built = _build_layer(layer, policy)
            tensors[layer.name] = built(inputs if layer.kind == "Concatenate" else inputs[0])
    return keras.Model(tensors[layers[0].name], tensors[layers[-1].name], name="densedepth")


def set_weights(network: keras.Model, layers: tuple[Layer, ...], weights: Weights) -> None:
    """Puts the arrays of a weights file into the network."""
    for layer in layers:
        if layer.weights:
            arrays = weights[layer.name]
            network.get_layer(layer.keras_name).set_weights([arrays[name] for name, _ in layer.weights])


def _build_layer(layer: Layer, dtype: str) -> keras.layers.Layer:
    common = {"name": layer.keras_name, "dtype": dtype}
    match layer.kind:
        case "ZeroPadding2D":
            return keras.layers.ZeroPadding2D(layer.size, **common)
        case "Conv2D":
            return keras.layers.Conv2D(
                layer.channels,
                layer.size,
                strides=layer.stride,
                padding="same" if layer.same else "valid",
                use_bias=len(layer.weights) > 1,
                **common,
            )
        case "BatchNormalization":
            return keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, **common)
        case "Activation":
            return keras.layers.Activation("relu", **common)
        case "MaxPooling2D":
            return keras.layers.MaxPooling2D(layer.size, strides=layer.stride, **common)
        case "AveragePooling2D":
            return keras.layers.AveragePooling2D(layer.size, strides=layer.stride, **common)
        case "Concatenate":
            return keras.layers.Concatenate(**common)
        case "BilinearUpSampling2D":
            return BilinearUpSampling2D(**common)
        case "LeakyReLU":
            return keras.layers.LeakyReLU(negative_slope=LEAKY_SLOPE, **common)
    raise ValueError(f"no Keras layer for {layer.kind}")
