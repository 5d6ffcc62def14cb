"""The two companion datasets: the backgrounds and the foregrounds themselves, as they were composited."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np

from tfds_builder.features import Labels, Schema
from transforms import filesystems
from transforms.assets import AssetPaths, Assets
from transforms.encoding import encode_mask, encode_rgb, encode_rgba
from transforms.errors import RunError
from transforms.pictures import MASK_THRESHOLD, Pixels
from transforms.records import Fields, companion_form
from transforms.shards import DatasetFiles, ShardSummary, read_summary, write_shard
from transforms.stages import Stage
from transforms.statistics import Moments
from transforms.stored_shards import read_fields, where

_STAGE = Stage("WriteCompanions")

PICTURES_PER_SHARD = 256

SPLIT = "train"


@dataclass(frozen=True, slots=True, order=True)
class CompanionShard:
    """A shard of a companion dataset: `kind` is "background" or "foreground"."""

    kind: str
    index: int
    count: int


def companion_shards(kind: str, pictures: int) -> list[CompanionShard]:
    """The shards that hold this many pictures."""
    count = -(-pictures // PICTURES_PER_SHARD)
    return [CompanionShard(kind, index, count) for index in range(count)]


def shard_indices(shard: CompanionShard, pictures: int) -> range:
    """Which of this many pictures a shard holds."""
    return range(pictures * shard.index // shard.count, pictures * (shard.index + 1) // shard.count)


def read_companion(
    files: DatasetFiles, kind: str, labels: Labels, wanted: Collection[int]
) -> dict[int, dict[str, Any]]:
    """The fields of the wanted pictures, by their index; only the shards that hold one are read.

    Raises:
        RunError: a shard is not there or cannot be read, or a record is not the picture that belongs there.
    """
    form, pictures = companion_form(kind, labels), len(labels.names)
    found: dict[int, dict[str, Any]] = {}
    for shard in companion_shards(kind, pictures):
        indices = shard_indices(shard, pictures)
        if not set(wanted).isdisjoint(indices):
            name = files.shard_name(SPLIT, shard.index, shard.count)
            for index, fields in zip(indices, read_fields(files, name, form, len(indices)), strict=True):
                check_place(files, name, fields, index, indices)
                if index in wanted:
                    found[index] = fields
    return found


def check_place(files: DatasetFiles, shard: str, fields: Mapping[str, Any], index: int, indices: range) -> None:
    """Pictures are stored in the order of their index.

    Raises:
        RunError: this is another picture than the one that belongs in this place of the shard with these indices.
    """
    if fields["id"] != index:
        place = where(files.path(shard), index - indices.start, "id")
        raise RunError(f"{place}: is {fields['id']} instead of {index}; build the dataset again.")


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


class WriteCompanions(beam.PTransform):
    """Companion shards to files, unless these are finished.

    CompanionShard -> ShardSummary of each that was made.
    """

    def __init__(self, files: dict[str, DatasetFiles], paths: AssetPaths, schema: Schema) -> None:
        super().__init__()
        self._files = files
        self._paths = paths
        self._schema = schema

    def expand(self, shards: beam.PCollection[CompanionShard]) -> beam.PCollection[ShardSummary]:
        """Wire `write_companion`."""
        return shards | "EncodeAndWrite" >> beam.FlatMap(
            _write_companion, files=self._files, paths=self._paths, schema=self._schema
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


def is_finished(shard: CompanionShard, files: DatasetFiles) -> bool:
    """Whether a companion shard is there, with a summary that fits."""
    name = files.shard_name(SPLIT, shard.index, shard.count)
    size = filesystems.list_prefix(files.directory, name).get(name)
    return size is not None and read_summary(files, name, size) is not None


def cutout_mask(cutout: Pixels) -> Pixels:
    """The mask of a cut-out before placement: RGBA uint8 [h, w, 4] -> uint8 [h, w], 255 where alpha >= 128."""
    return np.where(cutout[..., 3] >= MASK_THRESHOLD, np.uint8(255), np.uint8(0))


def _sum(moments: Iterable[Moments]) -> Moments:
    first, *others = moments
    return sum(others, start=first)
