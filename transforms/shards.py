"""Writing shards: one file of records per element."""

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import cv2
import numpy as np

from fgbg.cross_product import ShardLayout
from fgbg.placement_counts import AREA_BINS, COVERAGE_CELLS, PlacementCounts
from fgbg.shard_files import DatasetFiles, ShardSummary, write_shard
from fgbg.statistics import Moments
from transforms.compositing import ExampleBatch
from transforms.encoding import ExampleEncoding, encode_batch
from transforms.stages import Stage

_STAGE = Stage("WriteShards")


def summarize_batch(batch: ExampleBatch) -> dict[str, Moments | None]:
    """Sums over the pixels of each image field before encoding."""
    moments: dict[str, Moments | None] = {"fg_bg": Moments.of(batch.fg_bg), "mask": Moments.of_masks(batch.mask)}
    if batch.depth is not None:
        moments["depth"] = Moments.of(batch.depth[..., np.newaxis])
    return moments


@dataclass(eq=False)
class WriteShards(beam.PTransform):
    """Examples to shard files.

    (shard, ExampleBatch) -> ShardSummary.

    One element in, one file out, under a name that depends on the element alone: trying again writes the same bytes to
    the same place.
    """

    files: DatasetFiles
    layout: ShardLayout
    encoding: ExampleEncoding

    def expand(self, shards: beam.PCollection[tuple[int, ExampleBatch]]) -> beam.PCollection[ShardSummary]:
        """Apply `write_shard` to each shard."""
        return shards | "EncodeAndWrite" >> beam.Map(
            _write_examples, files=self.files, layout=self.layout, encoding=self.encoding
        )


def _write_examples(
    element: tuple[int, ExampleBatch], files: DatasetFiles, layout: ShardLayout, encoding: ExampleEncoding
) -> ShardSummary:
    shard, batch = element
    place = layout.locate(shard)
    with _STAGE.timed():
        summary = write_shard(
            files,
            split=place.split.name,
            index=place.index,
            count=place.count,
            examples=encode_batch(encoding, batch),
            moments=summarize_batch(batch),
            placements=count_placements(batch, encoding),
        )
    _STAGE.count("examples", summary.examples)
    _STAGE.count("shards")
    _STAGE.count("bytes", summary.size)
    return summary


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
