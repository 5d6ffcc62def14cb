"""The depth model that the pipeline and users hold: checked weights, an engine, pictures in, metres out."""

import importlib
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from fgbg.depth_models.densedepth import describe_layers
from fgbg.depth_models.engine import Engine, Precision
from fgbg.depth_models.environment import check_backend
from fgbg.depth_models.images import check_input_size, depth_from_output, resize_depth, resize_pictures
from fgbg.depth_models.locate import locate_weights, open_weights
from fgbg.depth_models.operations import count_operations
from fgbg.depth_models.weights import Kind, WeightsInfo, inspect_weights, read_weights
from fgbg.errors import InputError, RunError

Fingerprint = dict[str, str | int | list[int]]

PRECISIONS: tuple[str, ...] = get_args(Precision)
# How to get what an engine imports.
INSTALL = {"keras": "pip install tensorflow", "openvino": "pip install '.[openvino]'"}


# Weak references are what lets a process share one model and drop it when nobody uses it.
@dataclass(frozen=True, slots=True, weakref_slot=True)
class DepthModel:
    """A depth network with its weights, ready to predict; safe to share between threads.

    kind: "metric" when the depths are measured metres, "relative" when only their order and proportion mean something
    (they are still mapped to 0.1 .. 10 by the same fixed formula, never image by image).
    fingerprint: everything that decides the output, for the record: ready for JSON.
    input_size: (width, height) that pictures are resized to.
    """

    kind: Kind
    fingerprint: Fingerprint
    input_size: tuple[int, int]
    _engine: Engine = field(repr=False)
    # Mostly one run at a time: an engine already uses all processors, and the memory of a run would multiply.
    _turns: threading.BoundedSemaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_turns", threading.BoundedSemaphore(self._engine.runs_at_once))

    @property
    def runs_at_once(self) -> int:
        """How many threads can predict at the same time; more wait for their turn."""
        return self._engine.runs_at_once

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Depth of pictures of any size: uint8 [n, H, W, 3] RGB, n >= 1 -> float32 [n, H, W] metres in 0.1 .. 10.

        Bilinear resizing to `input_size` and of the depth back is included. Raises InputError for another dtype or
        shape, RunError when the network does not give finite numbers.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
            raise InputError(
                f"depth is predicted from uint8 [n, H, W, 3] with n >= 1, not {images.dtype} {list(images.shape)}"
            )
        predict = self._predict_on_device if self._engine.predict else self._predict_on_host
        return self._in_batches(predict, images, images.shape[1:3])

    def raw(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The network's own output y: float32 [n, h, w, 3] in 0..1 -> float32 [n, h/2, w/2]; (w, h) is `input_size`.

        Raises InputError for another dtype or shape.
        """
        width, height = self.input_size
        if inputs.dtype != np.float32 or inputs.ndim != 4 or inputs.shape[1:] != (height, width, 3) or not len(inputs):
            raise InputError(
                f"raw input is float32 [n, {height}, {width}, 3] with n >= 1, not {inputs.dtype} {list(inputs.shape)}"
            )
        return self._in_batches(self._run, inputs, (height // 2, width // 2))

    def _in_batches(
        self,
        function: Callable[[Any], npt.NDArray[np.float32]],
        images: npt.NDArray[Any],
        output_shape: tuple[int, ...],
    ) -> npt.NDArray[np.float32]:
        """Applies a function of exactly one batch to any number of images, filling the last batch with black ones."""
        result = np.empty((len(images), *output_shape), np.float32)
        size = self._engine.batch_size
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            missing = size - len(batch)
            if missing:
                batch = np.concatenate([batch, np.zeros((missing, *images.shape[1:]), images.dtype)])
            result[start : start + size] = function(batch)[: size - missing]
        if not np.isfinite(result).all():
            raise RunError(f"depth model {self.fingerprint['weights']}: the network's output is not finite")
        return result

    def _run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with self._turns:
            return self._engine.run(inputs)

    def _predict_on_device(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        assert self._engine.predict is not None
        with self._turns:
            return self._engine.predict(images)

    def _predict_on_host(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        inputs = np.divide(resize_pictures(images, self.input_size), np.float32(255), dtype=np.float32)
        return resize_depth(depth_from_output(self._run(inputs)), (images.shape[2], images.shape[1]))


def load_depth_model(
    name_or_path: str | os.PathLike[str],
    *,
    engine: str = "keras",
    precision: str = "float32",
    input_size: tuple[int, int] | None = None,
    batch_size: int = 8,
    sha256: str | None = None,
) -> DepthModel:
    """A depth model from a published name ("nyu", "kitti"), a weights file or the Beam filesystem URI of one.

    engine: "keras" or "openvino"; precision: "float32" or "bfloat16"; input_size: (width, height), multiples of 32,
    None for the model's own (640x480 for the published ones); batch_size: the most images that go through at once;
    sha256: what the weights file must have, in hexadecimal, if that is known.

    bfloat16 is up to twice as fast. On random weights, far less smooth than trained ones, y is off by 3 % of its
    standard deviation over the image on average and by 20 % at most.

    Raises InputError: weights not found, not HDF5, truncated or of another graph; input size, engine, precision or
    batch size not valid; a missing extra, with the command that installs it; for the engine "keras", a process in which
    Keras runs on another backend than TensorFlow. Raises RunError when the weights have another sha256.
    """
    with _checked(name_or_path, engine, precision, input_size, batch_size) as checked:
        layers = describe_layers(checked.info.architecture)
        weights = read_weights(checked.local, checked.shown, layers, sha256 or checked.info.sha256)
    # Imported by name since each engine brings a framework that takes seconds to load.
    module = importlib.import_module(f"fgbg.depth_models.{engine}_engine")
    built: Engine = module.build_engine(layers, weights, checked.input_size, batch_size, precision)
    return DepthModel(checked.info.kind, checked.fingerprint, checked.input_size, built)


def depth_model_fingerprint(
    name_or_path: str | os.PathLike[str],
    *,
    engine: str = "keras",
    precision: str = "float32",
    input_size: tuple[int, int] | None = None,
    batch_size: int = 8,
) -> Fingerprint:
    """The `fingerprint` that `load_depth_model` would give, with the same InputErrors, without building the network."""
    with _checked(name_or_path, engine, precision, input_size, batch_size) as checked:
        return checked.fingerprint


def depth_model_kind(name_or_path: str | os.PathLike[str]) -> Kind:
    """The `kind` that `load_depth_model` would give, with the same InputErrors about the weights."""
    path = locate_weights(os.fspath(name_or_path))
    with open_weights(path) as local:
        return inspect_weights(local, path).kind


def depth_model_operations(name_or_path: str | os.PathLike[str], *, input_size: tuple[int, int] | None = None) -> float:
    """Multiplications and additions for one picture as a GPU does them, with the InputErrors of `load_depth_model`.

    Processors do fewer of them: see `mixing`.
    """
    path = locate_weights(os.fspath(name_or_path))
    with open_weights(path) as local:
        info = inspect_weights(local, path)
    return count_operations(describe_layers(info.architecture), input_size or info.input_size)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A valid request: the weights as a local file, what messages call them, what they are, and the size decided on."""

    local: Path
    shown: str
    info: WeightsInfo
    input_size: tuple[int, int]
    fingerprint: Fingerprint


@contextmanager
def _checked(
    name_or_path: str | os.PathLike[str],
    engine: str,
    precision: str,
    input_size: tuple[int, int] | None,
    batch_size: int,
) -> Iterator[_Checked]:
    _check_choices(engine, precision, batch_size)
    if input_size is not None:
        check_input_size(input_size)
    path = locate_weights(os.fspath(name_or_path))
    with open_weights(path) as local:
        info = inspect_weights(local, path)
        width, height = input_size or info.input_size
        fingerprint: Fingerprint = {
            "weights": PurePath(path).name,
            "sha256": info.sha256,
            "kind": info.kind,
            "engine": engine,
            "precision": precision,
            "input_size": [int(width), int(height)],
            "batch_size": int(batch_size),
        }
        yield _Checked(local, path, info, (int(width), int(height)), fingerprint)


def _check_choices(engine: str, precision: str, batch_size: int) -> None:
    if engine not in INSTALL:
        raise InputError(f"depth engine {engine!r} is not known; choose {' or '.join(INSTALL)}")
    if precision not in PRECISIONS:
        raise InputError(f"depth precision {precision!r} is not known; choose {' or '.join(PRECISIONS)}")
    if batch_size < 1:
        raise InputError(f"depth batch size {batch_size} is not valid; it is at least 1")
    module = "tensorflow" if engine == "keras" else engine
    if importlib.util.find_spec(module) is None:
        raise InputError(f"depth engine {engine!r} needs {module}, which is not installed: {INSTALL[engine]}")
    if engine == "keras":
        check_backend()
