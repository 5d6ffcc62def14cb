"""Both engines against legacy Keras, which wrote the published files; precision."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tf_keras

from fgbg.depth_models.densedepth import DenseDepthArchitecture, describe_layers
from fgbg.depth_models.model import load_depth_model
from fgbg.depth_models.weights import inspect_weights, read_weights
from tests.fgbg.depth_models.helpers import random_weights
from tests.fgbg.depth_models.legacy_reference import build_legacy_model, legacy_output, write_legacy_file

ENGINES = ["keras", pytest.param("openvino", marks=pytest.mark.skipif(not find_spec("openvino"), reason="extra"))]
SMALL = DenseDepthArchitecture(blocks=(2, 3, 4, 2), decoder_filters=128)

# Stated bound of bfloat16: mean and largest difference of y, relative to the deviation of y over the image.
BFLOAT16_MEAN, BFLOAT16_MAX = 0.05, 0.4


@dataclass(frozen=True, slots=True)
class Legacy:
    """A network in legacy Keras and the file it wrote."""

    model: tf_keras.Model
    path: Path


def write(architecture: DenseDepthArchitecture, folder: Path) -> Legacy:
    model = build_legacy_model(architecture.blocks, architecture.decoder_filters)
    write_legacy_file(model, random_weights(describe_layers(architecture)), folder / "legacy.h5")
    return Legacy(model, folder / "legacy.h5")


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Legacy:
    return write(SMALL, tmp_path_factory.mktemp("legacy"))


def pictures(n: int, size: tuple[int, int]) -> np.ndarray:
    """Smooth shapes and some noise: float32 [n, height, width, 3] in 0..1."""
    rows, columns = np.mgrid[: size[1], : size[0]] / 64
    waves = np.stack([np.sin(rows + 2 * columns), np.cos(3 * rows), np.sin(columns * rows)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 0.1, (n, size[1], size[0], 3))
    return np.clip((waves + 1) / 2 + noise, 0, 1).astype(np.float32)


def test_the_file_of_legacy_keras_is_understood(legacy: Legacy) -> None:
    assert inspect_weights(legacy.path, "w.h5").architecture == SMALL


@pytest.mark.parametrize("size", [(64, 64), (160, 96), (96, 224), (320, 256)])
@pytest.mark.parametrize("engine", ENGINES)
def test_float32_equals_legacy_keras(legacy: Legacy, engine: str, size: tuple[int, int]) -> None:
    inputs = pictures(2, size)
    expected = legacy_output(legacy.model, inputs)
    y = load_depth_model(legacy.path, engine=engine, input_size=size, batch_size=2).raw(inputs)
    assert y.shape == expected.shape == (2, size[1] // 2, size[0] // 2)
    # Relative to y; where y crosses zero, to its spread.
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4 * expected.std())


@pytest.mark.parametrize("engine", ENGINES)
def test_bfloat16_is_within_its_bound(legacy: Legacy, engine: str) -> None:
    if engine == "openvino":
        import openvino

        if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this processor does not compute in bfloat16")
    inputs = pictures(2, (160, 96))
    expected = legacy_output(legacy.model, inputs)
    model = load_depth_model(legacy.path, engine=engine, precision="bfloat16", input_size=(160, 96))
    difference = np.abs(model.raw(inputs) - expected) / expected.std()
    assert 0 < difference.mean() < BFLOAT16_MEAN
    assert difference.max() < BFLOAT16_MAX


@pytest.mark.parametrize("size", [(96, 160), (224, 224), (50, 300), (33, 40)])
def test_resizing_on_the_device_equals_resizing_around_it(legacy: Legacy, size: tuple[int, int]) -> None:
    """What a GPU would run, here on the processor."""
    from fgbg.depth_models.keras_engine import compile_predict
    from fgbg.depth_models.keras_network import build_network, set_weights

    layers = describe_layers(SMALL)
    network = build_network(layers, (96, 160), batch_size=2)
    set_weights(network, layers, read_weights(legacy.path, "w.h5", layers))
    images = np.round(pictures(2, size[::-1]) * 255).astype(np.uint8)
    expected = load_depth_model(legacy.path, input_size=(160, 96)).predict(images)
    difference = np.abs(compile_predict(network)(images) - expected)
    # OpenCV rounds a level up or down here and there, which random weights make much of.
    assert np.median(difference) < 0.005
    assert difference.mean() < 0.02


@pytest.mark.slow
def test_the_published_size_equals_legacy_keras(tmp_path: Path) -> None:
    """All 42.8 million parameters, through a file of the published layout."""
    legacy = write(DenseDepthArchitecture(), tmp_path)
    assert legacy.model.count_params() == 42_816_089
    inputs = pictures(1, (96, 64))
    expected = legacy_output(legacy.model, inputs)
    for engine in ["keras", "openvino"] if find_spec("openvino") else ["keras"]:
        y = load_depth_model(legacy.path, engine=engine, input_size=(96, 64), batch_size=1).raw(inputs)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4 * expected.std())
