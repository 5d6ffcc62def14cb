"""Random networks of the DenseDepth family for tests: a NumPy forward pass and a writer of legacy weights files."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fgbg.depth_models.densedepth import BATCH_NORM_EPSILON, LEAKY_SLOPE, DenseDepthArchitecture, Layer, describe_layers
from fgbg.depth_models.weights import ATTRIBUTE_INPUT_SIZE, ATTRIBUTE_KIND, Kind, Weights

Array = npt.NDArray[np.float32]

# The smallest network that has every kind of layer: 0.1 million parameters.
TINY = DenseDepthArchitecture(blocks=(1, 2, 1, 1), growth_rate=8, stem_filters=16, decoder_filters=64)


def write_random_weights(
    path: Path | str,
    seed: int = 0,
    *,
    kind: Kind | None = None,
    input_size: tuple[int, int] | None = None,
    **architecture: Any,
) -> Path:
    """Writes a weights file in the legacy layout for TINY, or TINY with other fields; takes well under a second.

    The weights are those of a network "trained" on three pictures: its batch statistics are measured and y is scaled to
    lie between 1.1 and 33 (9 m and 0.3 m) for nine tenths of the pixels, so that depth varies over any picture.
    kind and input_size (width, height) are recorded in the file if given.
    """
    fields = {name: getattr(TINY, name) for name in TINY.__slots__} | architecture
    layers = describe_layers(DenseDepthArchitecture(**fields))
    write_weights(path, layers, random_weights(layers, seed))
    with h5py.File(path, "a") as file:
        if kind:
            file.attrs[ATTRIBUTE_KIND] = kind
        if input_size:
            file.attrs[ATTRIBUTE_INPUT_SIZE] = input_size
    return Path(path)


def write_weights(path: Path | str, layers: tuple[Layer, ...], weights: Weights) -> None:
    """The layout of a whole-model file by Keras 2.2.4, without its configuration, which nobody reads."""
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([layer.name.encode() for layer in layers])
        group.attrs["backend"], group.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for layer in layers:
            names = [f"{layer.name}/{name}:0" for name, _ in layer.weights]
            stored = group.create_group(layer.name)
            stored.attrs["weight_names"] = np.array([name.encode() for name in names])
            for name, (key, _) in zip(names, layer.weights, strict=True):
                stored.create_dataset(name, data=weights[layer.name][key])


def random_weights(layers: tuple[Layer, ...], seed: int = 0) -> Weights:
    """Weights under which activations neither vanish nor explode and depth varies from 0.3 to 9 m."""
    random = np.random.default_rng(seed)
    weights: Weights = {}
    forward(layers, weights, _pictures(random, 96)[:1], random)
    # Other pictures of another size than the weights were drawn by, so that y keeps to the range on any.
    low, high = np.quantile(forward(layers, weights, _pictures(random, 128)), (0.05, 0.95))
    scale = (33 - 1.1) / (high - low)
    last = weights[layers[-1].name]
    last["kernel"] = (last["kernel"] * scale).astype(np.float32)
    last["bias"] = ((last["bias"] - low) * scale + 1.1).astype(np.float32)
    return weights


def forward(
    layers: tuple[Layer, ...], weights: Weights, inputs: Array, random: np.random.Generator | None = None
) -> Array:
    """y of the network: float32 [n, h, w, 3] -> [n, h/2, w/2]; draws the weights it lacks, given `random`."""
    tensors = {layers[0].name: inputs}
    for layer in layers[1:]:
        x = tensors[layer.inputs[0]]
        if layer.weights and layer.name not in weights:
            assert random is not None
            weights[layer.name] = _draw(layer, x, random)
        tensors[layer.name] = _apply(layer, weights.get(layer.name, {}), [tensors[name] for name in layer.inputs])
    return tensors[layers[-1].name][..., 0]


def _pictures(random: np.random.Generator, side: int) -> Array:
    """A noisy ramp, waves and noise: [3, side, side, 3]."""
    rows, columns = np.mgrid[:side, :side] / side
    ramp = np.stack([rows, columns, 1 - rows], axis=-1) + random.normal(0, 0.2, (side, side, 3))
    waves = (np.sin(np.stack([9 * rows, 7 * columns, 20 * rows * columns], axis=-1)) + 1) / 2
    return np.clip([ramp, waves, random.random((side, side, 3))], 0, 1).astype(np.float32)


def _draw(layer: Layer, x: Array, random: np.random.Generator) -> dict[str, Array]:
    shapes = dict(layer.weights)
    if layer.kind == "Conv2D":
        deviation = np.sqrt(1 / (np.prod(shapes["kernel"][:3]) * np.mean(np.square(x))))
        drawn = {"kernel": random.standard_normal(shapes["kernel"], np.float32) * np.float32(deviation)}
        if "bias" in shapes:
            drawn["bias"] = random.standard_normal(shapes["bias"], np.float32) * np.float32(0.1)
        return drawn
    channels = shapes["gamma"]
    variance = x.var((0, 1, 2))
    return {
        "gamma": random.uniform(0.8, 1.2, channels).astype(np.float32),
        "beta": random.normal(0, 0.2, channels).astype(np.float32),
        "moving_mean": x.mean((0, 1, 2)),
        # Deep down a picture is a handful of pixels, whose variance is now and then next to nothing.
        "moving_variance": (variance + variance.mean()) / 2,
    }


def _apply(layer: Layer, weights: dict[str, Array], inputs: list[Array]) -> Array:
    x = inputs[0]
    match layer.kind:
        case "ZeroPadding2D":
            return _pad(x, layer.size)
        case "Conv2D":
            padded = _pad(x, layer.size // 2) if layer.same else x
            y = np.einsum("nhwcij,ijco->nhwo", _windows(padded, layer), weights["kernel"], optimize=True)
            return y + weights.get("bias", np.float32(0))
        case "BatchNormalization":
            scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + np.float32(BATCH_NORM_EPSILON))
            return x * scale + (weights["beta"] - weights["moving_mean"] * scale)
        case "Activation":
            return np.maximum(x, 0)
        case "MaxPooling2D":
            return _windows(x, layer).max((4, 5))
        case "AveragePooling2D":
            return _windows(x, layer).mean((4, 5))
        case "Concatenate":
            return np.concatenate(inputs, axis=-1)
        case "BilinearUpSampling2D":
            return np.einsum("ih,jw,nhwc->nijc", *map(doubling_matrix, x.shape[1:3]), x, optimize=True)
        case "LeakyReLU":
            return np.where(x > 0, x, np.float32(LEAKY_SLOPE) * x)
    raise ValueError(layer.kind)


def doubling_matrix(n: int) -> Array:
    """[2n, n]: linear interpolation at 2n points from the first to the last of n."""
    return np.stack([np.interp(np.linspace(0, n - 1, 2 * n), np.arange(n), row) for row in np.eye(n)], axis=1).astype(
        np.float32
    )


def _pad(x: Array, size: int) -> Array:
    return np.pad(x, ((0, 0), (size, size), (size, size), (0, 0)))


def _windows(x: Array, layer: Layer) -> Array:
    """[n, h, w, c, size, size]"""
    windows = np.lib.stride_tricks.sliding_window_view(x, (layer.size, layer.size), axis=(1, 2))
    return windows[:, :: layer.stride, :: layer.stride]
