"""The `openvino` engine: the network built of OpenVINO operations, for processors. Needs no TensorFlow and no Keras."""

from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13 as ops

from fgbg.depth_models.densedepth import BATCH_NORM_EPSILON, LEAKY_SLOPE, Layer
from fgbg.depth_models.engine import Engine, Precision, images_at_once
from fgbg.depth_models.mixing import column_matrix, mix_before_upsampling, row_matrix, split_kernel
from fgbg.depth_models.weights import Weights
from fgbg.errors import InputError

_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}


def build_engine(
    layers: tuple[Layer, ...], weights: Weights, input_size: tuple[int, int], batch_size: int, precision: Precision
) -> Engine:
    """The network compiled for up to `batch_size` images of `input_size` (width, height).

    Raises InputError when bfloat16 is asked for on a processor that does not have it.
    """
    core = openvino.Core()
    if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise InputError("this processor does not compute in bfloat16; use the depth precision float32")
    width, height = input_size
    batch = images_at_once(input_size, batch_size)
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        # Several worker processes would all be pinned to the same processors.
        "ENABLE_CPU_PINNING": False,
    }
    network = build_network(mix_before_upsampling(layers), weights, (batch, height, width, 3))
    compiled = core.compile_model(network, "CPU", settings)
    request = compiled.create_infer_request()

    def run(inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        request.infer([inputs], share_inputs=True)
        # A copy, since the request's own memory is overwritten by the next run.
        return np.array(request.get_output_tensor().data[:, 0])

    return Engine(batch, run)


def build_network(
    layers: tuple[Layer, ...], weights: Weights, input_shape: tuple[int, int, int, int]
) -> openvino.Model:
    """The network: float32 [n, h, w, 3] in 0..1 -> float32 [n, 1, h/2, w/2]."""
    inputs = ops.parameter(input_shape, np.float32, name=layers[0].name)
    # OpenVINO's kernels are written for channels before rows.
    tensors: dict[str, Any] = {layers[0].name: ops.transpose(inputs, np.array([0, 3, 1, 2]))}
    for layer in layers[1:]:
        sources = [tensors[name] for name in layer.inputs]
        tensors[layer.name] = _operation(layer, weights.get(layer.name, {}), sources)
    return openvino.Model([tensors[layers[-1].name]], [inputs], "densedepth")


def _operation(layer: Layer, weights: dict[str, npt.NDArray[np.float32]], sources: list[Any]) -> Any:
    x = sources[0]
    strides = [layer.stride, layer.stride]
    window = [layer.size, layer.size]
    match layer.kind:
        case "ZeroPadding2D":
            margins = np.array([0, 0, layer.size, layer.size])
            return ops.pad(x, margins, margins, "constant", np.float32(0))
        case "Conv2D":
            pads = [layer.size // 2 if layer.same else 0] * 2
            y = ops.convolution(x, _convolution_kernel(weights["kernel"]), strides, pads, pads, [1, 1])
            return ops.add(y, _per_channel(weights["bias"])) if "bias" in weights else y
        case "BatchNormalization":
            scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + np.float32(BATCH_NORM_EPSILON))
            shift = weights["beta"] - weights["moving_mean"] * scale
            return ops.add(ops.multiply(x, _per_channel(scale)), _per_channel(shift))
        case "Activation":
            return ops.relu(x)
        case "MaxPooling2D":
            return ops.max_pool(x, strides, [1, 1], [0, 0], [0, 0], window).output(0)
        case "AveragePooling2D":
            return ops.avg_pool(x, strides, [0, 0], [0, 0], window, exclude_pad=True)
        case "Concatenate":
            return ops.concat(sources, axis=1)
        case "BilinearUpSampling2D":
            height, width = x.shape[2:]
            return ops.interpolate(
                x,
                np.array([2 * height, 2 * width]),
                mode="linear_onnx",
                shape_calculation_mode="sizes",
                coordinate_transformation_mode="align_corners",
                axes=np.array([2, 3]),
            )
        case "MixedUpSampling":
            return _mixed_upsampling(sources[0], sources[1], weights)
        case "LeakyReLU":
            return ops.prelu(x, np.array([LEAKY_SLOPE], np.float32))
    raise ValueError(f"no OpenVINO operation for {layer.kind}")


def _mixed_upsampling(x: Any, skip: Any, weights: dict[str, npt.NDArray[np.float32]]) -> Any:
    """conv3x3(concat(up(x), skip)) with the channels mixed before upsampling; see `mixing`."""
    n, channels, height, width = (int(side) for side in x.shape)
    mixing, kernel = split_kernel(weights["kernel"], channels)
    filters = kernel.shape[3]
    flat = ops.reshape(ops.transpose(x, np.array([0, 2, 3, 1])), np.array([n * height * width, channels]), False)
    by_row = np.array([n, height, width * 3 * filters])
    mixed = [ops.reshape(ops.matmul(flat, tap, False, False), by_row, False) for tap in mixing]
    rows = ops.matmul(row_matrix(height)[None], ops.concat(mixed, axis=1), False, False)
    rows = ops.reshape(rows, np.array([n * 2 * height, 3 * width, filters]), False)
    columns = ops.matmul(column_matrix(width)[None], rows, False, False)
    doubled = ops.reshape(columns, np.array([n, 2 * height, 2 * width, filters]), False)
    convolved = ops.convolution(skip, _convolution_kernel(kernel), [1, 1], [1, 1], [1, 1], [1, 1])
    return ops.add(ops.add(ops.transpose(doubled, np.array([0, 3, 1, 2])), convolved), _per_channel(weights["bias"]))


def _convolution_kernel(kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Keras's [height, width, in, out] as [out, in, height, width]."""
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))


def _per_channel(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return values.reshape(1, -1, 1, 1)
