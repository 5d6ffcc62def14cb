"""Depth does not follow the environment: keras.json, the backend of Keras, global state of a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fgbg.depth_models import environment
from fgbg.depth_models.environment import check_backend, check_switches, fix_environment
from fgbg.depth_models.model import load_depth_model
from fgbg.errors import InputError
from tests.fgbg.depth_models.helpers import write_random_weights
from transforms.depth import DepthSettings

ROOT = Path(__file__).parents[2]

_PREDICT = """
import sys
exec(sys.argv[1])
import numpy as np
from fgbg.depth_models.model import load_depth_model
images = np.random.default_rng(0).integers(0, 256, (3, 70, 90, 3), np.uint8)
for precision in ("float32", "bfloat16"):
    model = load_depth_model(sys.argv[2], input_size=(96, 64), batch_size=2, precision=precision)
    print(model.predict(images).tobytes().hex())
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights") / "tiny.h5")


def predict(weights: Path, first: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Depth of a few pictures in a process that executes `first`, as text."""
    return subprocess.run(
        [sys.executable, "-c", _PREDICT, first, str(weights)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def keras_home(folder: Path, **settings: str) -> str:
    """A folder with a keras.json."""
    settings = {"floatx": "float32", "backend": "tensorflow", "image_data_format": "channels_last"} | settings
    folder.mkdir()
    (folder / "keras.json").write_text(json.dumps(settings))
    return str(folder)


@pytest.mark.slow
def test_settings_of_keras_do_not_change_depth(tiny: Path, tmp_path: Path) -> None:
    expected = predict(tiny, KERAS_HOME=keras_home(tmp_path / "plain"))
    assert expected.returncode == 0, expected.stderr
    assert len(expected.stdout.splitlines()) == 2
    home = keras_home(tmp_path / "other", floatx="float16", image_data_format="channels_first")
    policy = "import keras; keras.config.set_dtype_policy('mixed_float16'); keras.config.set_epsilon(0.1)"
    for first in ("", policy):
        got = predict(tiny, first, KERAS_HOME=home)
        assert got.returncode == 0, got.stderr
        assert got.stdout == expected.stdout


@pytest.mark.parametrize("where", ["variable", "keras.json"])
def test_another_backend_is_refused_in_one_sentence(where: str, tiny: Path, tmp_path: Path) -> None:
    variables = {"KERAS_BACKEND": "jax"} if where == "variable" else {}
    home = keras_home(tmp_path / "keras", **({} if variables else {"backend": "jax"}))
    got = predict(tiny, **variables, KERAS_HOME=home)
    assert got.stdout == ""
    assert got.stderr.splitlines()[-1] == (
        "fgbg.errors.InputError: depth engine 'keras' computes with TensorFlow, but Keras runs on jax in this"
        " process; set KERAS_BACKEND=tensorflow before Keras is imported, or use the depth engine 'openvino'"
    )


def test_what_runs_counts_and_not_what_is_set(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    monkeypatch.setenv("KERAS_BACKEND", "torch")
    check_backend()
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(InputError, match="Keras runs on torch"):
        load_depth_model(tiny)
    load_depth_model(tiny, engine="openvino")


@pytest.mark.parametrize(("name", "value"), [("TF_ENABLE_ONEDNN_OPTS", "0"), ("TF_XLA_FLAGS", "--tf_xla_auto_jit=2")])
def test_a_build_refuses_switches_that_change_depth(
    name: str, value: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DepthSettings(str(tiny), "keras", "float32", None, 2, 16)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    check_switches()
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"{name}={value} changes what TensorFlow computes"):
        settings.fingerprint()
    # In a process that has imported TensorFlow it is too late to unset it.
    import tensorflow  # noqa: F401

    with pytest.raises(InputError, match=f"{name}={value} changes"):
        settings.load()


def test_precisions_that_tensorflow_would_choose_are_refused(tiny: Path) -> None:
    import tensorflow as tf

    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    try:
        with pytest.raises(InputError, match="auto_mixed_precision_onednn_bfloat16 is on in this process"):
            load_depth_model(tiny)
    finally:
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": False, **before})


def test_a_process_of_its_own_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "sys", type("sys", (), {"modules": {}}))
    given = {"KERAS_BACKEND": "jax", "KERAS_HOME": "/home/keras", "TF_ENABLE_ONEDNN_OPTS": "0", "TF_XLA_FLAGS": "-"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    fix_environment()
    check_backend()
    check_switches()
    assert os.environ["KERAS_HOME"] == "/home/keras"
    fix_environment(own_process=True)
    assert os.environ["KERAS_HOME"] == os.devnull
