"""The two companion datasets: the backgrounds and the foregrounds themselves, as they were composited."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fgbg import filesystems
from fgbg.errors import RunError
from fgbg.features import Labels
from fgbg.records import companion_form
from fgbg.shard_files import DatasetFiles, read_summary
from fgbg.stored_shards import read_fields, where

# Larger cut-outs are first reduced to this many times the largest placement: a quarter of a pixel of blur at most, and
# a photograph of any size costs a bounded amount of memory.
OVERSAMPLING = 4


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


def is_finished(shard: CompanionShard, files: DatasetFiles) -> bool:
    """Whether a companion shard is there, with a summary that fits."""
    name = files.shard_name(SPLIT, shard.index, shard.count)
    size = filesystems.list_prefix(files.directory, name).get(name)
    return size is not None and read_summary(files, name, size) is not None
