"""Compositing of cut-outs over backgrounds with exact integer arithmetic, and their binary masks."""

import pickle
from collections.abc import Iterable
from dataclasses import dataclass

import apache_beam as beam
import cv2
import numpy as np
import numpy.typing as npt
from apache_beam.utils.shared import Shared

from fgbg.images import MASK_THRESHOLD, Pixels
from fgbg.settings import PICTURE_MEMORY
from transforms.assets import AssetPaths, Assets
from transforms.buffers import BufferPool
from transforms.placements import Placement
from transforms.stages import Stage

_STAGE = Stage("CompositeExamples")


@dataclass(frozen=True, slots=True)
class ExampleBatch:
    """The decoded examples of one shard.

    Attributes:
        placements: the placements of the n examples.
        fg_bg: composites, uint8 [n, H, W, 3], RGB.
        mask: uint8 [n, H, W], 255 where the alpha of the cut-out is at least 128, else 0.
        depth: None, or depth in stored units: uint16 [n, H, W] in millimetres, or uint8 [n, H, W] in 10 m / 255.
    """

    placements: list[Placement]
    fg_bg: Pixels
    mask: Pixels
    depth: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | None = None

    def __len__(self) -> int:
        return len(self.placements)


class _ExampleBatchCoder(beam.coders.Coder):
    """Pickles batches that a runner moves, but computes their size without pickling.

    Runners sample the size of elements even inside a fused stage. Beam's default coder pickles hundreds of megabytes to
    measure it, which took as long as compositing them.
    """

    def encode(self, value: ExampleBatch) -> bytes:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    def decode(self, encoded: bytes) -> ExampleBatch:
        return pickle.loads(encoded)

    def estimate_size(self, value: ExampleBatch) -> int:
        return sum(array.nbytes for array in (value.fg_bg, value.mask, value.depth) if array is not None)

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type[ExampleBatch]:
        return ExampleBatch


beam.coders.registry.register_coder(ExampleBatch, _ExampleBatchCoder)


def blend(destination: Pixels, cutout: Pixels) -> None:
    """Blend an RGBA cut-out (uint8 [h, w, 4], straight alpha) over `destination` (uint8 [h, w, 3]) in place.

    The result is (b * (255 - a) + f * a) / 255, correctly rounded: with t = b * (255 - a) + f * a + 128, it is
    (t + (t >> 8)) >> 8. It equals Pillow's `paste` for all values of b, f and a.
    """
    # All arrays are contiguous with three channels: NumPy is five times slower when it broadcasts or strides along the
    # last axis.
    alpha = cv2.cvtColor(cv2.extractChannel(cutout, 3), cv2.COLOR_GRAY2RGB).astype(np.uint16)
    total = cv2.cvtColor(cutout, cv2.COLOR_RGBA2RGB) * alpha
    np.subtract(255, alpha, out=alpha)
    np.multiply(destination, alpha, out=alpha)
    total += alpha
    total += 128
    total += total >> 8
    np.right_shift(total, 8, out=total)
    destination[...] = total


def composite(placement: Placement, assets: Assets, fg_bg: Pixels, mask: Pixels) -> None:
    """Write one example into `fg_bg` (uint8 [H, W, 3]) and `mask` (uint8 [H, W]). Overwrites both entirely."""
    cutout = assets.placed(placement.foreground, placement.width, placement.height, flipped=placement.flipped)
    rows = slice(placement.y, placement.y + placement.height)
    columns = slice(placement.x, placement.x + placement.width)
    fg_bg[...] = assets.background(placement.background)
    blend(fg_bg[rows, columns], cutout)
    mask[...] = 0
    alpha = cv2.extractChannel(cutout, 3)
    cv2.threshold(alpha, MASK_THRESHOLD - 1, 255, cv2.THRESH_BINARY, dst=mask[rows, columns])


def composite_batch(
    placements: list[Placement], assets: Assets, image_size: int, buffers: BufferPool | None = None
) -> ExampleBatch:
    """Return the composites and masks of these placements, in memory from `buffers` if given."""
    buffers = buffers or BufferPool()
    fg_bg = buffers.take((len(placements), image_size, image_size, 3))
    mask = buffers.take((len(placements), image_size, image_size))
    for i, placement in enumerate(placements):
        composite(placement, assets, fg_bg[i], mask[i])
    return ExampleBatch(placements, fg_bg, mask)


@dataclass(eq=False)
class CompositeExamples(beam.PTransform):
    """Composites the examples of each shard.

    (shard, list[Placement]) -> (shard, ExampleBatch without depth).

    Workers read the pictures by path. All threads of a process share the decoded pictures.

    Attributes:
        paths: paths of the pictures.
        picture_memory: maximum size of the decoded pictures that a process keeps, bytes.
    """

    paths: AssetPaths
    picture_memory: int = PICTURE_MEMORY

    def expand(
        self, shards: beam.PCollection[tuple[int, list[Placement]]]
    ) -> beam.PCollection[tuple[int, ExampleBatch]]:
        """Apply `composite_batch` to each shard."""
        return shards | "Composite" >> beam.ParDo(_CompositeExamples(self.paths, self.picture_memory))


class _CompositeExamples(beam.DoFn):
    def __init__(self, paths: AssetPaths, picture_memory: int) -> None:
        self._paths = paths
        self._picture_memory = picture_memory
        self._shared = Shared()
        self._assets: Assets | None = None
        self._buffers: BufferPool | None = None

    def setup(self) -> None:
        self._assets = self._shared.acquire(lambda: Assets(self._paths, self._picture_memory))
        self._buffers = BufferPool()

    def process(self, element: tuple[int, list[Placement]]) -> Iterable[tuple[int, ExampleBatch]]:
        shard, placements = element
        assert self._assets is not None
        with _STAGE.timed():
            batch = composite_batch(placements, self._assets, self._paths.image_size, self._buffers)
        yield shard, batch
