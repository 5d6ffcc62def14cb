"""A finished dataset to read from: what its manifest says is in it, and where."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfds_builder.features import Labels
from transforms import filesystems
from transforms.companions import SPLIT
from transforms.errors import InputError, RunError
from transforms.recipe import LOSSLESS
from transforms.records import parse_record
from transforms.shards import DatasetFiles, read_shard


@dataclass(frozen=True, slots=True)
class StoredShard:
    """What the manifest says of a shard file: its name, how many records and bytes it has, and its sha256."""

    file: str
    examples: int
    size: int
    sha256: str

    @classmethod
    def of(cls, listed: dict[str, Any]) -> "StoredShard":
        """From its entry in the manifest."""
        return cls(listed["file"], listed["examples"], listed["bytes"], listed["sha256"])


@dataclass(frozen=True, slots=True)
class FinishedCompanion:
    """The backgrounds or foregrounds of a dataset: their files, their shards in order, their names and classes."""

    files: DatasetFiles
    shards: tuple[StoredShard, ...]
    labels: Labels


@dataclass(frozen=True, slots=True)
class FinishedDataset:
    """A dataset with its companions.

    Attributes:
        files: the dataset itself.
        splits: shards of every split in order, `train` first.
        companions: its "background" and "foreground".
        image_size: side of the square images, pixels.
        placements: random placements of each pair.
        lossless: whether `fg_bg` is PNG instead of JPEG.
        depth_meaning: unit and decode formula, or None for a dataset without depth.
        manifest: all of the manifest.
    """

    files: DatasetFiles
    splits: dict[str, tuple[StoredShard, ...]]
    companions: dict[str, FinishedCompanion]
    image_size: int
    placements: int
    lossless: bool
    depth_meaning: str | None
    manifest: dict[str, Any]

    @property
    def backgrounds(self) -> Labels:
        """Names and classes of the backgrounds."""
        return self.companions["background"].labels

    @property
    def foregrounds(self) -> Labels:
        """Names and classes of the foregrounds."""
        return self.companions["foreground"].labels

    @property
    def stored(self) -> list[tuple[DatasetFiles, tuple[StoredShard, ...]]]:
        """The shards of the dataset and of its companions."""
        return [
            *((self.files, shards) for shards in self.splits.values()),
            *((companion.files, companion.shards) for companion in self.companions.values()),
        ]


def open_finished(directory: str) -> FinishedDataset:
    """The dataset in this folder of a version, DATA_DIR/NAME/VERSION or DATA_DIR/NAME/CONFIG/VERSION.

    Raises:
        InputError: the folder holds no dataset of this program, or an unfinished one.
    """
    if "://" not in directory:
        directory = str(Path(directory).resolve())  # a link may have another name
    directory = directory.rstrip("/")
    for name in ("manifest.json", "dataset_info.json"):
        if not filesystems.exists(filesystems.join(directory, name)):
            raise InputError(
                f"{directory} is no finished dataset: there is no {name} in it; name the folder of a version, such as"
                " DATA_DIR/fg_bg_depth/1.0.0, and if its build was stopped, run that again first."
            )
    path = filesystems.join(directory, "manifest.json")
    try:
        manifest = json.loads(filesystems.read_bytes(path))
        return _described(directory, manifest)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is damaged or not of this program ({type(error).__name__}: {error}); build the dataset anew."
        ) from error


def read_examples(files: DatasetFiles, shard: StoredShard, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The fields of each record of a shard in order, the first `limit` of them if given.

    Raises:
        RunError: the shard cannot be read or holds another number of records than it should.
    """
    import tensorflow as tf

    expected = shard.examples if limit is None else min(limit, shard.examples)
    number = 0
    try:
        for record in read_shard(files, shard.file, expected):
            yield parse_record(record)
            number += 1
    except (OSError, RuntimeError, tf.errors.OpError) as error:
        # TensorFlow also names its own operations.
        reason = re.sub(r"\{\{.*?\}\} | \[Op:.*", "", getattr(error, "message", None) or str(error))
        raise RunError(f"Cannot read {files.path(shard.file)}: {reason}; build the dataset anew.") from error
    if number != expected:
        raise RunError(f"{files.path(shard.file)} ends after {number} of {expected} records; build the dataset anew.")


def _described(directory: str, manifest: dict[str, Any]) -> FinishedDataset:
    configuration = manifest["configuration"]
    name, version, file_format = (configuration[key] for key in ("name", "version", "file_format"))
    *above, last = directory.split("/")
    if last != version or name not in above[-2:]:
        raise InputError(
            f"{directory} holds version {version} of {name} and has been renamed; its companions are found by name, so"
            f" call it .../{name}/{version} again."
        )
    config = "" if above[-1] == name else above.pop()
    data_dir = "/".join(above[:-1])

    def files_of(dataset: str) -> DatasetFiles:
        return DatasetFiles(data_dir, dataset, version, file_format, config)

    def shards_of(dataset: str) -> dict[str, tuple[StoredShard, ...]]:
        return {split: tuple(map(StoredShard.of, shards)) for split, shards in manifest["shards"][dataset].items()}

    def companion(kind: str) -> FinishedCompanion:
        pictures = manifest["inputs"][f"{kind}s"]
        labels = Labels(tuple(one["label"] for one in pictures), tuple(one["class"] for one in pictures))
        return FinishedCompanion(files_of(f"{name}_{kind}"), shards_of(f"{name}_{kind}")[SPLIT], labels)

    return FinishedDataset(
        files=files_of(name),
        splits=dict(sorted(shards_of(name).items(), key=lambda item: (item[0] != "train", item[0]))),
        companions={kind: companion(kind) for kind in ("background", "foreground")},
        image_size=configuration["image_size"],
        placements=configuration["placements"],
        lossless=configuration["jpeg_quality"] == LOSSLESS,
        depth_meaning=manifest["depth_meaning"],
        manifest=manifest,
    )
