"""Depth prediction for composites, with one network per process that its threads share."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.utils.shared import Shared

from fgbg.depth_models.environment import check_switches, fix_environment
from fgbg.depth_models.model import DepthModel, depth_model_fingerprint, load_depth_model
from fgbg.errors import portable_errors
from fgbg.features import EIGHT_BIT_RANGE_METRES, MILLIMETRES_PER_METRE
from fgbg.images import Pixels
from transforms.compositing import ExampleBatch
from transforms.stages import Stage

_STAGE = Stage("PredictDepth")


@dataclass(frozen=True, slots=True)
class DepthSettings:
    """The depth network and the format of stored depth.

    Attributes:
        model: name or path of the weights.
        engine: "keras" or "openvino".
        precision: "float32" or "bfloat16".
        input_size: (width, height) of the network's input, or None for the default of the model.
        batch_size: images per call of the network.
        bits: 16 (millimetres) or 8 (10 m / 255).
        sha256: of the weights, in hexadecimal, as when the inputs were checked; None while that is not known.
    """

    model: str
    engine: str
    precision: str
    input_size: tuple[int, int] | None
    batch_size: int
    bits: int
    sha256: str | None = None

    def load(self) -> DepthModel:
        """Read the weights and return the network.

        Raises:
            InputError: the weights cannot be used, or the environment of this process would change depth.
            RunError: the weights have changed since the inputs were checked.
        """
        # Workers on other machines have the environment of their image.
        fix_environment()
        self._check_environment()
        return load_depth_model(self.model, sha256=self.sha256, **self._network)

    def fingerprint(self) -> dict[str, Any]:
        """Return the fields that identify the network, without building it.

        Raises:
            InputError: as `load`.
        """
        self._check_environment()
        return dict(depth_model_fingerprint(self.model, **self._network))

    def _check_environment(self) -> None:
        if self.engine == "keras":
            check_switches()

    @property
    def _network(self) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "precision": self.precision,
            "input_size": self.input_size,
            "batch_size": self.batch_size,
        }


def quantize_depth(metres: npt.NDArray[np.float32], bits: int) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Convert metres to stored integers: rounded to the nearest and clipped to the range of the type.

    >>> quantize_depth(np.array([0.1, 2.5, 70.0], np.float32), 16).tolist()
    [100, 2500, 65535]
    >>> quantize_depth(np.array([0.1, 2.5, 70.0], np.float32), 8).tolist()
    [3, 64, 255]
    """
    if bits == 16:
        return np.rint(np.clip(metres * MILLIMETRES_PER_METRE, 0, 65535)).astype(np.uint16)
    return np.rint(np.clip(metres * (255 / EIGHT_BIT_RANGE_METRES), 0, 255)).astype(np.uint8)


def predict_depth(
    model: DepthModel, images: Pixels, *, bits: int, batch_size: int
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Return depth in stored units, uint16 or uint8 [n, H, W], for images uint8 [n, H, W, 3].

    Each batch is converted before the next is predicted, so float32 depth is in memory for one batch only.
    """
    depth = np.empty(images.shape[:3], np.uint16 if bits == 16 else np.uint8)
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        depth[batch] = quantize_depth(model.predict(images[batch]), bits)
    return depth


@dataclass(eq=False)
class PredictDepth(beam.PTransform):
    """Adds depth to the composites of each shard.

    (shard, ExampleBatch) -> (shard, ExampleBatch with depth).

    All threads of a process share one model. A batch of the network never spans two elements, so the result does not
    depend on how the runner groups elements.

    Attributes:
        settings: the depth network and the format of stored depth.
    """

    settings: DepthSettings

    def expand(self, shards: beam.PCollection[tuple[int, ExampleBatch]]) -> beam.PCollection[tuple[int, ExampleBatch]]:
        """Apply `predict_depth` to each shard."""
        return shards | "Predict" >> beam.ParDo(_PredictDepth(self.settings))


class _PredictDepth(beam.DoFn):
    def __init__(self, settings: DepthSettings) -> None:
        self._settings = settings
        self._shared = Shared()
        self._model: DepthModel | None = None

    def setup(self) -> None:
        with portable_errors():
            self._model = self._shared.acquire(self._settings.load)

    def process(self, element: tuple[int, ExampleBatch]) -> Iterable[tuple[int, ExampleBatch]]:
        shard, batch = element
        assert self._model is not None
        size = self._settings.batch_size
        with _STAGE.timed():
            depth = predict_depth(self._model, batch.fg_bg, bits=self._settings.bits, batch_size=size)
        _STAGE.count("depth_batches", -(-len(depth) // size))
        yield shard, replace(batch, depth=depth)
