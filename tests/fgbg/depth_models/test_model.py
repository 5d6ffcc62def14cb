"""The interface: pictures in, metres out, whatever the engine; and what it refuses."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import zoom

from fgbg.depth_models import model
from fgbg.depth_models.densedepth import DenseDepthArchitecture
from fgbg.depth_models.engine import THREADS_VARIABLE, Engine
from fgbg.depth_models.images import bilinear_weights, depth_from_output, resize_depth, resize_pictures
from fgbg.depth_models.model import DepthModel, depth_model_fingerprint, depth_model_kind, load_depth_model
from fgbg.errors import InputError, RunError
from tests.fgbg.depth_models.helpers import write_random_weights


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights") / "tiny.h5")


@pytest.fixture(scope="module", params=["keras", "openvino"])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "openvino":
        pytest.importorskip("openvino")
    return request.param


@pytest.fixture(scope="module")
def loaded(tiny: Path, engine: str) -> DepthModel:
    return load_depth_model(tiny, engine=engine, input_size=(96, 64), batch_size=3)


def pictures(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def model_of(y: np.ndarray) -> DepthModel:
    """A model whose network always gives y: float32 [h, w]."""
    size = (2 * y.shape[1], 2 * y.shape[0])
    return DepthModel("metric", {"weights": "none"}, size, Engine(2, lambda inputs: np.stack([y] * len(inputs))))


@pytest.mark.parametrize(
    ("y", "metres"),
    [
        (2.5, 4.0),
        (100, 0.1),  # the nearest
        (101, 0.1),
        (1, 10.0),  # the farthest
        (0.99, 10.0),
        (0.0, 10.0),
        (-0.0, 0.1),  # 1000 / -0 is minus infinity
        (-3, 0.1),
    ],
)
@pytest.mark.parametrize("size", [(32, 48), (64, 96), (101, 37)])
def test_a_flat_plane_of_known_y_gives_the_right_metres(y: float, metres: float, size: tuple[int, int]) -> None:
    depth = model_of(np.full((32, 48), y, np.float32)).predict(pictures(3, *size))
    np.testing.assert_array_equal(depth, np.full((3, *size), metres, np.float32))


def test_depth_equals_the_published_formula() -> None:
    y = np.random.default_rng(0).normal(5, 20, 10_000).astype(np.float32)
    expected = np.clip(1000 / y, 10, 1000) / 1000 * 10
    np.testing.assert_allclose(depth_from_output(y), expected, rtol=1e-6)


def test_depth_is_limited_before_it_is_resized() -> None:
    """As published: what lies beyond the limits must not leak into its neighbours."""
    y = np.full((32, 32), 1.0, np.float32)
    y[:, 16:] = 1e-6
    np.testing.assert_array_equal(model_of(y).predict(pictures(1, 100, 100)), 10)


def test_predict_is_raw_with_resizing_around_it(loaded: DepthModel) -> None:
    images = pictures(2, 64, 96)
    y = loaded.raw(images.astype(np.float32) / np.float32(255))
    assert (y.dtype, y.shape) == (np.float32, (2, 32, 48))
    depth = loaded.predict(images)
    assert (depth.dtype, depth.shape) == (np.float32, (2, 64, 96))
    assert depth.min() >= 0.1
    assert depth.max() <= 10
    # Interior pairs of the doubled map are one quarter and three quarters of neighbours.
    small = depth_from_output(y)
    columns = (small[:, :, :-1] * 3 + small[:, :, 1:]) / 4
    expected = (columns[:, :-1] * 3 + columns[:, 1:]) / 4
    np.testing.assert_allclose(depth[:, 1:-1:2, 1:-1:2], expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(64, 96), (1, 1), (50, 200), (300, 20), (224, 224)])
def test_any_image_size(loaded: DepthModel, size: tuple[int, int]) -> None:
    depth = loaded.predict(pictures(2, *size))
    assert depth.shape == (2, *size)
    assert np.isfinite(depth).all()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_any_number_of_images(loaded: DepthModel, n: int) -> None:
    """An image's depth does not depend on what fills the batch."""
    images = pictures(7, 80, 90)
    np.testing.assert_array_equal(
        loaded.predict(images[:n])[-(n % 3 or 3) :], loaded.predict(images)[:n][-(n % 3 or 3) :]
    )


def test_same_bytes_from_every_thread_and_run(loaded: DepthModel, tiny: Path, engine: str) -> None:
    images = pictures(5, 80, 90)
    expected = loaded.predict(images)
    results: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        for _ in range(3):
            loaded.predict(pictures(2, 30, 40, seed=number))
            results[number] = loaded.predict(images)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results.values():
        np.testing.assert_array_equal(result, expected)
    again = load_depth_model(tiny, engine=engine, input_size=(96, 64), batch_size=3)
    np.testing.assert_array_equal(again.predict(images), expected)


def test_results_are_the_callers_own(loaded: DepthModel) -> None:
    inputs = pictures(1, 64, 96).astype(np.float32) / np.float32(255)
    first = loaded.raw(inputs)
    kept = first.copy()
    loaded.raw(np.float32(1) - inputs)
    np.testing.assert_array_equal(first, kept)


def test_fingerprint_without_and_with_the_network(tiny: Path, engine: str) -> None:
    options: dict[str, Any] = {"engine": engine, "precision": "float32", "input_size": (96, 64), "batch_size": 3}
    fingerprint = depth_model_fingerprint(tiny, **options)
    assert fingerprint == {
        "weights": "tiny.h5",
        "sha256": sha256(tiny.read_bytes()).hexdigest(),
        "kind": "metric",
        "engine": engine,
        "precision": "float32",
        "input_size": [96, 64],
        "batch_size": 3,
    }
    assert json.loads(json.dumps(fingerprint)) == fingerprint
    assert load_depth_model(tiny, **options).fingerprint == fingerprint


def test_kind_and_size_come_from_the_file(tmp_path: Path) -> None:
    path = write_random_weights(tmp_path / "w.h5", kind="relative", input_size=(64, 32))
    assert depth_model_kind(path) == "relative"
    assert depth_model_fingerprint(path)["input_size"] == [64, 32]
    loaded = load_depth_model(path)
    assert (loaded.kind, loaded.input_size) == ("relative", (64, 32))


def test_the_default_size_is_the_published_one(tiny: Path) -> None:
    assert depth_model_kind(tiny) == "metric"
    assert depth_model_fingerprint(tiny)["input_size"] == [640, 480]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"engine": "torch"}, "depth engine 'torch' is not known; choose keras or openvino"),
        ({"precision": "int8"}, "depth precision 'int8' is not known; choose float32 or bfloat16"),
        ({"batch_size": 0}, "depth batch size 0 is not valid; it is at least 1"),
        ({"input_size": (650, 480)}, "650x480: sides must be multiples of 32; nearest: 640x480 and 672x480"),
        ({"input_size": (224, 225)}, "224x225: sides must be multiples of 32; nearest: 224x224 and 224x256"),
        ({"input_size": (20, 500)}, "20x500: sides must be multiples of 32; nearest: 32x480 and 64x512"),
        ({"input_size": (0, 64)}, "0x64: sides must be multiples of 32; nearest: 32x64 and 64x64"),
    ],
)
@pytest.mark.parametrize("function", [depth_model_fingerprint, load_depth_model])
def test_options_that_are_refused(
    tiny: Path, function: Callable[..., object], options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        function(tiny, **options)
    assert expected in str(caught.value)


@pytest.mark.parametrize("function", [depth_model_fingerprint, depth_model_kind, load_depth_model])
def test_weights_that_are_refused(tmp_path: Path, function: Callable[..., object]) -> None:
    page = tmp_path / "nyu.h5"
    page.write_text("<!doctype html><html></html>")
    with pytest.raises(InputError, match=r"nyu\.h5: this is an HTML page"):
        function(page)
    with pytest.raises(InputError, match=r"none\.h5: there is no such weights file"):
        function(tmp_path / "none.h5")


@pytest.mark.parametrize("function", [depth_model_fingerprint, load_depth_model])
def test_a_missing_extra_names_its_command(
    tiny: Path, function: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        function(tiny, engine="openvino")
    assert str(caught.value) == (
        "depth engine 'openvino' needs openvino, which is not installed: pip install '.[openvino]'"
    )


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((1, 0, 8, 3), np.uint8),
    ],
)
def test_images_that_are_refused(images: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"depth is predicted from uint8 \[n, H, W, 3\]"):
        model_of(np.ones((32, 32), np.float32)).predict(images)


def test_raw_refuses_another_size() -> None:
    with pytest.raises(InputError, match=r"raw input is float32 \[n, 64, 64, 3\]"):
        model_of(np.ones((32, 32), np.float32)).raw(np.zeros((1, 32, 32, 3), np.float32))


def test_output_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(RunError, match="output is not finite"):
        model_of(np.full((32, 32), np.nan, np.float32)).predict(pictures(1, 8, 8))


def test_importing_and_fingerprinting_load_no_framework(tiny: Path) -> None:
    code = f"""
import sys
import fgbg.depth_models.model as depth_models
depth_models.depth_model_fingerprint({str(tiny)!r}, engine="openvino")
depth_models.depth_model_kind({str(tiny)!r})
print(*sorted({{"tensorflow", "keras", "openvino", "torch", "jax"}} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


@pytest.mark.parametrize("size", [(48, 64), (300, 500), (97, 131), (20, 400)])
def test_pictures_are_resized_as_pillow_does(size: tuple[int, int]) -> None:
    """Smooth pictures, as photographs are: within one level of Pillow's bilinear filter."""
    from PIL import Image

    rows, columns = np.mgrid[: size[0], : size[1]] / max(size)
    waves = np.stack([np.sin(9 * rows + 5 * columns), np.cos(11 * columns), rows - columns], axis=-1)
    picture = np.round((waves + 1) / 2 * 255).astype(np.uint8)
    expected = np.asarray(Image.fromarray(picture).resize((96, 64), Image.Resampling.BILINEAR))
    difference = np.abs(resize_pictures(picture[None], (96, 64))[0].astype(int) - expected)
    assert difference.max() <= 1


@pytest.mark.parametrize(("old", "new"), [(100, 37), (37, 100), (64, 64), (1, 8), (8, 1)])
def test_resizing_as_a_matrix_is_the_same_resizing(old: int, new: int) -> None:
    from PIL import Image

    row = np.random.default_rng(0).random((1, old), np.float32)
    pillow = np.asarray(Image.fromarray(row).resize((new, 1), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(row @ bilinear_weights(old, new, averaging=True).T, pillow, atol=1e-6)
    depth = resize_depth(row[None], (new, 1))[0]
    np.testing.assert_allclose(row @ bilinear_weights(old, new, averaging=False).T, depth, atol=1e-5)


@pytest.mark.parametrize("size", [(224, 224), (240, 320), (512, 512), (100, 500)])
def test_depth_is_resized_as_scikit_image_does(size: tuple[int, int]) -> None:
    """Its resizing is this call of SciPy."""
    depth = np.random.default_rng(0).uniform(0.1, 10, (240, 320)).astype(np.float32)
    expected = zoom(depth, np.divide(size, depth.shape), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(resize_depth(depth[None], size[::-1])[0], expected, atol=2e-3)


@pytest.mark.slow
def test_memory_stays_below_two_gigabytes(tmp_path: Path, engine: str) -> None:
    """The published network at its own size and the default batch size; float32, which takes the most."""
    published = DenseDepthArchitecture()
    path = write_random_weights(tmp_path / "w.h5", **{name: getattr(published, name) for name in published.__slots__})
    code = f"""
import numpy as np
from pathlib import Path
from typing import Any
from fgbg.depth_models.model import load_depth_model
load_depth_model({str(path)!r}, engine={engine!r}).predict(np.zeros((3, 224, 224, 3), np.uint8))
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) * 1024 < 2e9


def test_threads_with_processors_of_their_own_predict_at_the_same_time(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(6, 48, 48)
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    alone = load_depth_model(tiny, input_size=(64, 64))
    assert alone.runs_at_once == 1
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setenv(THREADS_VARIABLE, "2")
    shared = load_depth_model(tiny, input_size=(64, 64))
    assert shared.runs_at_once == 2
    with ThreadPoolExecutor(4) as threads:
        for result in threads.map(shared.predict, [images] * 8):
            np.testing.assert_array_equal(result, alone.predict(images))
