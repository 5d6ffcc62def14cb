"""Upsampling with aligned corners against two references that share no code with it."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from fgbg.depth_models.densedepth import Layer

Doubling = Callable[[np.ndarray], np.ndarray]

SIZES = [(1, 1), (1, 4), (2, 3), (5, 8), (7, 7), (8, 12), (15, 20)]


def pictures(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 100 + width).standard_normal((2, height, width, 3)).astype(np.float32)


def by_keras(x: np.ndarray) -> np.ndarray:
    from keras import ops

    from fgbg.depth_models.keras_network import BilinearUpSampling2D

    return ops.convert_to_numpy(BilinearUpSampling2D()(x))


def by_openvino(x: np.ndarray) -> np.ndarray:
    pytest.importorskip("openvino")

    layers = (Layer("in", "InputLayer", (), 3), Layer("up", "BilinearUpSampling2D", ("in",), 3, size=2))
    import openvino

    from fgbg.depth_models.openvino_engine import build_network

    compiled = openvino.compile_model(build_network(layers, {}, x.shape), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(x)[0].transpose(0, 2, 3, 1)


def by_torch(x: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `pytorch`)")
    tensor = torch.from_numpy(x.transpose(0, 3, 1, 2))
    doubled = torch.nn.functional.interpolate(tensor, scale_factor=2, mode="bilinear", align_corners=True)
    return doubled.numpy().transpose(0, 2, 3, 1)


def by_scipy(x: np.ndarray) -> np.ndarray:
    rows, columns = (np.linspace(0, side - 1, 2 * side) for side in x.shape[1:3])
    places = np.meshgrid(rows, columns, indexing="ij")
    planes = [[map_coordinates(image[..., c], places, order=1) for c in range(3)] for image in x.astype(np.float64)]
    return np.array(planes).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reference", [by_torch, by_scipy])
@pytest.mark.parametrize("engine", [by_keras, by_openvino])
def test_doubling_aligns_corners(engine: Doubling, reference: Doubling, size: tuple[int, int]) -> None:
    x = pictures(*size)
    doubled = engine(x)
    assert doubled.shape == (2, 2 * size[0], 2 * size[1], 3)
    np.testing.assert_allclose(doubled, reference(x), atol=1e-5)


@pytest.mark.parametrize("engine", [by_keras, by_openvino])
def test_corners_stay(engine) -> None:
    x = pictures(5, 6)
    np.testing.assert_array_equal(engine(x)[:, [0, 0, -1, -1], [0, -1, 0, -1]], x[:, [0, 0, -1, -1], [0, -1, 0, -1]])


def test_keras_layer_takes_unknown_sides() -> None:
    import keras

    from fgbg.depth_models.keras_network import BilinearUpSampling2D

    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, BilinearUpSampling2D()(inputs))
    assert network.output_shape == (None, None, None, 3)
    for size in SIZES[3:]:
        x = pictures(*size)
        np.testing.assert_allclose(network.predict_on_batch(x), by_scipy(x), atol=1e-5)
