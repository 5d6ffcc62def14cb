"""The `keras` engine: the network in Keras 3 on TensorFlow, as one compiled function of a fixed shape.

On a GPU it runs there, in mixed precision for bfloat16, with the resizing of pictures and depth on the device.
"""

import os
from collections.abc import Callable
from contextlib import suppress

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fgbg.depth_models.densedepth import Layer
from fgbg.depth_models.engine import THREADS_VARIABLE, Engine, Precision, images_at_once
from fgbg.depth_models.images import FARTHEST_METRES, NEAREST_METRES, bilinear_weights
from fgbg.depth_models.keras_network import build_network, set_weights
from fgbg.depth_models.mixing import mix_before_upsampling
from fgbg.depth_models.weights import Weights
from fgbg.errors import InputError

_POLICIES: dict[Precision, str] = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def build_engine(
    layers: tuple[Layer, ...], weights: Weights, input_size: tuple[int, int], batch_size: int, precision: Precision
) -> Engine:
    """The network compiled for up to `batch_size` images of `input_size` (width, height).

    With a GPU this sets TensorFlow to compute reproducibly and in full float32, for the whole process.

    Raises InputError when the process has told TensorFlow to choose precisions itself.
    """
    for option, value in tf.config.optimizer.get_experimental_options().items():
        if value and option.startswith("auto_mixed_precision"):
            raise InputError(
                f"TensorFlow's option {option} is on in this process and changes depth by centimetres; turn it off with"
                " tf.config.optimizer.set_experimental_options"
            )
    width, height = input_size
    on_gpu = _prepare_gpus()
    batch = batch_size if on_gpu else images_at_once(input_size, batch_size)
    if not on_gpu:
        layers = mix_before_upsampling(layers)
    network = build_network(layers, (height, width), batch_size=batch, dtype=_POLICIES[precision])
    set_weights(network, layers, weights)
    if on_gpu:
        return Engine(batch, compile_run(network), compile_predict(network))
    return Engine(batch, compile_run(network), runs_at_once=_runs_at_once())


def _runs_at_once() -> int:
    """As many as have processors of their own, if a run was given only some of them."""
    threads = int(os.environ.get(THREADS_VARIABLE, "0"))
    return max(1, (os.cpu_count() or 1) // threads) if threads > 0 else 1


def compile_run(network: keras.Model) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """`Engine.run` as one TensorFlow function."""

    @tf.function(input_signature=[tf.TensorSpec(network.input_shape, tf.float32)], autograph=False)
    def run(inputs: tf.Tensor) -> tf.Tensor:
        return network(inputs, training=False)[..., 0]

    # Traced here and once, rather than in whichever thread comes first.
    traced = run.get_concrete_function()
    return lambda inputs: traced(tf.constant(inputs)).numpy()


def compile_predict(network: keras.Model) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """`Engine.predict` as one TensorFlow function for each image size: only uint8 pictures and depths are copied."""
    input_size = network.input_shape[1:3]

    @tf.function(autograph=False)
    def predict(images: tf.Tensor) -> tf.Tensor:
        # Rounded, since the network was trained on pictures of 256 levels.
        pictures = tf.round(_resize(tf.cast(images, tf.float32), input_size, averaging=True))
        output = network(pictures / 255, training=False)
        depth = tf.clip_by_value(10 / output, NEAREST_METRES, FARTHEST_METRES)
        return _resize(depth, images.shape[1:3], averaging=False)[..., 0]

    return lambda images: predict(tf.constant(images)).numpy()


def _resize(x: tf.Tensor, size: tuple[int, int], *, averaging: bool) -> tf.Tensor:
    """Bilinear resizing of [n, h, w, c] to size (height, width), as two products of matrices.

    TensorFlow's own resizing does not run on a GPU when it averages.
    """
    rows, columns = (
        tf.constant(bilinear_weights(old, new, averaging=averaging))
        for old, new in zip(x.shape[1:3], size, strict=True)
    )
    return tf.einsum("bw,nawc->nabc", columns, tf.einsum("ah,nhwc->nawc", rows, x))


def _prepare_gpus() -> bool:
    """Whether there is a GPU; if so, sets it up: memory as needed, the same bytes every time, no TensorFloat-32."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Too late when the process has used the GPU before.
        with suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
    if gpus:
        tf.config.experimental.enable_op_determinism()
        tf.config.experimental.enable_tensor_float_32_execution(False)
    return bool(gpus)
