"""What the environment of a process must not decide: by which library, and how, the `keras` engine computes.

Measured on one picture in float32, depth in millimetres as it is stored: another backend of Keras changes 0.02 % of the
pixels by 1 mm, TF_ENABLE_ONEDNN_OPTS=0 0.01 %, TF_XLA_FLAGS=--tf_xla_auto_jit=2 0.02 %. What keras.json says of floatx
and of the layout of images is of no importance, since the network names both itself; nor are global dtype policies,
numbers of threads, or TF_USE_LEGACY_KERAS. ONEDNN_MAX_CPU_ISA makes of a processor an older one, and is left alone.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from fgbg.errors import InputError

_BACKEND = "KERAS_BACKEND"
_KERAS_VARIABLES = {_BACKEND: "tensorflow", "KERAS_NNX_ENABLED": "0"}
# Switches of TensorFlow, with the values that are its defaults.
_TENSORFLOW_VARIABLES = {"TF_ENABLE_ONEDNN_OPTS": ("1",), "TF_XLA_FLAGS": ("",)}


def fix_environment(*, own_process: bool = False) -> None:
    """Set what this process and its children must compute with; without effect on what is imported already.

    Args:
        own_process: whether this process does nothing else, so that nobody misses keras.json (which can be invalid).
    """
    if "keras" not in sys.modules:
        os.environ.update(_KERAS_VARIABLES)
        if own_process:
            # A folder that holds no keras.json, and in which Keras cannot make one.
            os.environ["KERAS_HOME"] = os.devnull
    if "tensorflow" not in sys.modules:
        for name in _TENSORFLOW_VARIABLES:
            os.environ.pop(name, None)


def check_backend() -> None:
    """Make sure that Keras runs on TensorFlow, or will when it is imported.

    Raises:
        InputError: it runs on something else.
    """
    backend = _keras_backend()
    if backend != "tensorflow":
        raise InputError(
            f"depth engine 'keras' computes with TensorFlow, but Keras runs on {backend} in this process; set"
            f" {_BACKEND}=tensorflow before Keras is imported, or use the depth engine 'openvino'"
        )


def check_switches() -> None:
    """Make sure that no environment variable changes what TensorFlow computes.

    Raises:
        InputError: one does.
    """
    for name, defaults in _TENSORFLOW_VARIABLES.items():
        value = os.environ.get(name, defaults[0])
        if value not in defaults:
            raise InputError(
                f"{name}={value} changes what TensorFlow computes, and so the bytes of depth; unset it and start the"
                " program again, or use the depth engine 'openvino'"
            )


def _keras_backend() -> str:
    """As Keras itself decides it, without importing Keras, which takes seconds."""
    if keras := sys.modules.get("keras"):
        return str(keras.config.backend())
    if named := os.environ.get(_BACKEND):
        return named
    home = os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()
    with suppress(OSError, ValueError, AttributeError):
        return str(json.loads(Path(home, "keras.json").read_bytes()).get("backend", "tensorflow"))
    return "tensorflow"
