"""Writing shards: one file of records per element."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import cv2
import numpy as np

from fgbg.cross_product import ShardLayout
from fgbg.placement_counts import AREA_BINS, COVERAGE_CELLS, PlacementCounts
from fgbg.records import Fields
from fgbg.shard_files import DatasetFiles, ShardSummary, write_shard
from fgbg.statistics import Moments
from transforms.compositing import ExampleBatch
from transforms.encoding import ExampleEncoding, encode_example
from transforms.stages import Stage

_STAGE = Stage("WriteShards")


def summarize_batch(batch: ExampleBatch) -> dict[str, Moments | None]:
    """Sums over the pixels of each image field before encoding."""
    moments: dict[str, Moments | None] = {"fg_bg": Moments.of(batch.fg_bg), "mask": Moments.of_masks(batch.mask)}
    if batch.depth is not None:
        moments["depth"] = Moments.of(batch.depth[..., np.newaxis])
    return moments


class WriteShards(beam.PTransform):
    """Examples to shard files.

    (shard, ExampleBatch) -> ShardSummary.

    One element in, one file out, under a name that depends on the element alone: trying again writes the same bytes to
    the same place.
    """

    def __init__(self, files: DatasetFiles, layout: ShardLayout, encoding: ExampleEncoding) -> None:
        super().__init__()
        self._files = files
        self._layout = layout
        self._encoding = encoding

    def expand(self, shards: beam.PCollection[tuple[int, ExampleBatch]]) -> beam.PCollection[ShardSummary]:
        """Wire `write_shard`."""
        return shards | "EncodeAndWrite" >> beam.ParDo(_WriteShards(self._files, self._layout, self._encoding))


class _WriteShards(beam.DoFn):
    def __init__(self, files: DatasetFiles, layout: ShardLayout, encoding: ExampleEncoding) -> None:
        self._files = files
        self._layout = layout
        self._encoding = encoding

    def process(self, element: tuple[int, ExampleBatch]) -> Iterable[ShardSummary]:
        shard, batch = element
        place = self._layout.locate(shard)
        with _STAGE.timed():
            summary = write_shard(
                self._files,
                split=place.split.name,
                index=place.index,
                count=place.count,
                examples=self._encoded(batch),
                moments=summarize_batch(batch),
                placements=count_placements(batch, self._encoding),
            )
        _STAGE.count("examples", summary.examples)
        _STAGE.count("shards")
        _STAGE.count("bytes", summary.size)
        yield summary

    def _encoded(self, batch: ExampleBatch) -> Iterator[Fields]:
        for i, placement in enumerate(batch.placements):
            depth = None if batch.depth is None else batch.depth[i]
            yield encode_example(self._encoding, placement, batch.fg_bg[i], batch.mask[i], depth)


def count_placements(batch: ExampleBatch, encoding: ExampleEncoding) -> PlacementCounts:
    """Return the counts of a batch. `encoding` maps pictures to class ids."""
    side = batch.mask.shape[1]
    centres = ((np.arange(COVERAGE_CELLS) + 0.5) * side / COVERAGE_CELLS).astype(int)
    covered = batch.mask[:, centres[:, np.newaxis], centres] > 0
    mask_areas = np.array([cv2.countNonZero(mask) for mask in batch.mask])
    area_bins = np.minimum(mask_areas * AREA_BINS // (side * side), AREA_BINS - 1)
    bg_class = [encoding.background_class[placement.background] for placement in batch.placements]
    fg_class = [encoding.foreground_class[placement.foreground] for placement in batch.placements]
    return PlacementCounts(
        bg_class=_bincount(bg_class, max(encoding.background_class) + 1),
        fg_class=_bincount(fg_class, max(encoding.foreground_class) + 1),
        flipped=sum(placement.flipped for placement in batch.placements),
        area=_bincount(area_bins, AREA_BINS),
        coverage=tuple(map(tuple, covered.sum(axis=0).tolist())),
    )


def _bincount(values: Any, length: int) -> tuple[int, ...]:
    return tuple(np.bincount(values, minlength=length).tolist())
