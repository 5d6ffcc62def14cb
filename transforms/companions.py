"""Writing the two companion datasets: the backgrounds and the foregrounds themselves, as they were composited."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
import numpy as np

from fgbg.companions import SPLIT, CompanionShard, is_finished, shard_indices
from fgbg.features import Schema
from fgbg.images import MASK_THRESHOLD, Pixels, encode_mask, encode_rgb, encode_rgba
from fgbg.records import Fields
from fgbg.shard_files import DatasetFiles, ShardSummary, write_shard
from fgbg.statistics import Moments
from transforms.assets import AssetPaths, Assets
from transforms.stages import Stage

_STAGE = Stage("WriteCompanions")


def background_examples(assets: Assets, schema: Schema, indices: range) -> Iterator[Fields]:
    """Fields of these backgrounds."""
    for index in indices:
        yield {
            "image": encode_rgb(assets.background(index), jpeg_quality=None),
            "id": index,
            "class": schema.backgrounds.class_ids[index],
        }


def foreground_examples(assets: Assets, schema: Schema, indices: range) -> Iterator[Fields]:
    """Fields of these foregrounds."""
    for index in indices:
        cutout = assets.cutout(index)
        yield {
            "image": encode_rgba(cutout),
            "mask": encode_mask(cutout_mask(cutout)),
            "id": index,
            "class": schema.foregrounds.class_ids[index],
        }


def write_companion(shard: CompanionShard, files: DatasetFiles, paths: AssetPaths, schema: Schema) -> ShardSummary:
    """Write one shard of backgrounds or foregrounds."""
    assets = Assets(paths)
    indices = shard_indices(shard, len(paths.backgrounds if shard.kind == "background" else paths.foregrounds))
    moments: dict[str, Moments | None]
    if shard.kind == "background":
        examples = background_examples(assets, schema, indices)
        moments = {"image": _sum(Moments.of(assets.background(index)) for index in indices)}
    else:
        examples = foreground_examples(assets, schema, indices)
        masks = (cutout_mask(assets.cutout(index)) for index in indices)
        # Colours of a cut-out count only as far as they are opaque: no plain mean of them would mean anything.
        moments = {"image": None, "mask": _sum(Moments.of_masks(mask) for mask in masks)}
    return write_shard(files, split=SPLIT, index=shard.index, count=shard.count, examples=examples, moments=moments)


@dataclass(eq=False)
class WriteCompanions(beam.PTransform):
    """Companion shards to files, unless these are finished.

    CompanionShard -> ShardSummary of each that was made.
    """

    files: dict[str, DatasetFiles]
    paths: AssetPaths
    schema: Schema

    def expand(self, shards: beam.PCollection[CompanionShard]) -> beam.PCollection[ShardSummary]:
        """Wire `write_companion`."""
        return shards | "EncodeAndWrite" >> beam.FlatMap(
            _write_companion, files=self.files, paths=self.paths, schema=self.schema
        )


def _write_companion(
    shard: CompanionShard, files: dict[str, DatasetFiles], paths: AssetPaths, schema: Schema
) -> Iterable[ShardSummary]:
    with _STAGE.timed():
        if is_finished(shard, files[shard.kind]):
            return []
        summary = write_companion(shard, files[shard.kind], paths, schema)
    _STAGE.count("pictures", summary.examples)
    return [summary]


def cutout_mask(cutout: Pixels) -> Pixels:
    """The mask of a cut-out before placement: RGBA uint8 [h, w, 4] -> uint8 [h, w], 255 where alpha >= 128."""
    return np.where(cutout[..., 3] >= MASK_THRESHOLD, np.uint8(255), np.uint8(0))


def _sum(moments: Iterable[Moments]) -> Moments:
    first, *others = moments
    return sum(others, start=first)
