"""What is written when all shards are there: statistics, manifest, card, and last of all the metadata for TFDS."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgbg.card.card import rehearse_card, write_card
from fgbg.companions import SPLIT
from fgbg.features import (
    EIGHT_BIT_RANGE_METRES,
    MILLIMETRES_PER_METRE,
    Schema,
    background_features,
    depth_meaning,
    example_features,
    foreground_features,
    supervised_keys,
)
from fgbg.placement_counts import PlacementCounts, no_placements
from fgbg.shard_files import DatasetFiles, FieldSummary
from fgbg.statistics import Integers, Moments
from fgbg.summary import BuildSummary, ShardRecord, SplitSummary

DESCRIPTION = (
    "Foreground cut-outs composited over backgrounds at random places and sizes, with exact binary masks"
    " and depth maps, for training background subtraction and monocular depth estimation."
)

# In a dataset's folder beside the card and shards.
METADATA_FILES = ("statistics.json", "manifest.json", "features.json", "dataset_info.json")

# TFDS does not need to know where a dataset is to describe it, and knows fewer filesystems than Beam.
_NOWHERE = ""


@dataclass(frozen=True, slots=True)
class DatasetMetadata:
    """What the metadata of a dataset and its companions is made from, next to the summary of their shards.

    Attributes:
        files: the dataset itself.
        companions: "background" and "foreground" to their files.
        schema: what the fields depend on.
        configuration: all that decides the content, ready for JSON; see `pipeline.configuration`.
        skipped: path and reason of every input that was left out.
    """

    files: DatasetFiles
    companions: dict[str, DatasetFiles]
    schema: Schema
    configuration: dict[str, Any]
    skipped: tuple[tuple[str, str], ...]


def write_metadata(summary: BuildSummary, metadata: DatasetMetadata) -> str:
    """Write everything but the shards; the dataset's own TFDS metadata come last and make it loadable.

    Raises:
        RunError: a shard is missing or cannot be written.
    """
    *of_companions, (files, of_dataset) = make_tfds_files(summary, metadata)
    for companion, contents in of_companions:
        _write_all(companion, contents)
    statistics = make_statistics(summary, metadata)
    manifest = make_manifest(summary, metadata)
    files.write("statistics.json", to_json(statistics))
    files.write("manifest.json", to_json(manifest))
    write_card(files, metadata.companions, statistics, manifest)
    _write_all(files, of_dataset)
    return files.directory


def rehearse_metadata(metadata: DatasetMetadata, splits: dict[str, int]) -> None:
    """Make every document of a dataset from zeros, in memory: what cannot be written fails here, not after all shards.

    Args:
        metadata: what they are made from.
        splits: examples of each split.
    """
    kinds: dict[str, Integers] = {"fg_bg": np.zeros((1, 3), np.uint8), "mask": np.zeros((1, 1), np.uint8)}
    if metadata.schema.depth_bits is not None:
        kinds["depth"] = np.zeros((1, 1), np.uint16) if metadata.schema.depth_bits == 16 else kinds["mask"]
    fields = {name: FieldSummary(0, Moments.of(pixels)) for name, pixels in kinds.items()}
    counts = no_placements(len(metadata.schema.backgrounds.classes), len(metadata.schema.foregrounds.classes))
    summary: BuildSummary = {
        (metadata.files.name, name): _rehearsed_split(metadata.files, name, examples, fields, counts)
        for name, examples in splits.items()
    }
    pixels = {"image": fields["fg_bg"], "mask": fields["mask"]}
    for kind, labels in (("background", metadata.schema.backgrounds), ("foreground", metadata.schema.foregrounds)):
        files = metadata.companions[kind]
        summary[files.name, SPLIT] = _rehearsed_split(files, SPLIT, len(labels.names), pixels, None)
    make_tfds_files(summary, metadata)
    statistics, manifest = make_statistics(summary, metadata), make_manifest(summary, metadata)
    to_json(statistics)
    to_json(manifest)
    rehearse_card(statistics, manifest, metadata.files)


def _rehearsed_split(
    files: DatasetFiles, split: str, examples: int, fields: dict[str, FieldSummary], counts: PlacementCounts | None
) -> SplitSummary:
    shard = ShardRecord(files.shard_name(split, 0, 1), examples, size=0, sha256="")
    return SplitSummary(1, {0: shard}, fields, counts)


def make_tfds_files(summary: BuildSummary, metadata: DatasetMetadata) -> list[tuple[DatasetFiles, dict[str, bytes]]]:
    """What TFDS reads of the companions and, last, of the dataset itself: content by file name, in writing order.

    `dataset_info.json`, which makes it a dataset, comes last.
    """
    schema = metadata.schema
    return [
        (files, _tfds_files(files, features, _splits_of(summary, files), keys))
        for files, features, keys in (
            (metadata.companions["background"], background_features(schema), None),
            (metadata.companions["foreground"], foreground_features(schema), None),
            (metadata.files, example_features(schema), supervised_keys(schema)),
        )
    ]


def make_statistics(summary: BuildSummary, metadata: DatasetMetadata) -> dict[str, Any]:
    """Counts, sizes, mean and std of every kind of image, in all and per split, ready for JSON."""
    examples = _splits_of(summary, metadata.files)
    backgrounds, foregrounds = (
        next(iter(_splits_of(summary, metadata.companions[kind]).values())) for kind in ("background", "foreground")
    )
    total = SplitSummary(0)
    for split in examples.values():
        total.add({}, split.fields, split.placements)
    number = sum(split.examples for split in examples.values())
    bits = metadata.schema.depth_bits
    return {
        "examples": number,
        "bytes": sum(split.size for split in examples.values()),
        "kinds": {
            "bg": _describe("bg", backgrounds.fields["image"], backgrounds.examples, bits),
            "fg": _describe("fg", foregrounds.fields["image"], foregrounds.examples, bits),
            "fg_mask": _describe("fg_mask", foregrounds.fields["mask"], foregrounds.examples, bits),
            **{name: _describe(name, field, number, bits) for name, field in total.fields.items()},
        },
        "placements": _named(total, metadata.schema),
        "splits": {
            name: {
                "examples": split.examples,
                "bytes": split.size,
                "kinds": {kind: _describe(kind, field, split.examples, bits) for kind, field in split.fields.items()},
                "placements": _named(split, metadata.schema),
            }
            for name, split in examples.items()
        },
    }


def make_manifest(summary: BuildSummary, metadata: DatasetMetadata) -> dict[str, Any]:
    """What the dataset was made from and what its files are, ready for JSON."""
    datasets: dict[str, Any] = {}
    for (dataset, split), content in sorted(summary.items()):
        shards = [
            {"file": shard.file, "examples": shard.examples, "bytes": shard.size, "sha256": shard.sha256}
            for shard in content.ordered_shards
        ]
        datasets.setdefault(dataset, {})[split] = shards
    bits = metadata.schema.depth_bits
    return {
        **metadata.configuration,
        "depth_meaning": None if bits is None else depth_meaning(bits, metadata.schema.depth_kind),
        "skipped": [{"path": path, "reason": reason} for path, reason in metadata.skipped],
        "shards": datasets,
    }


def _named(split: SplitSummary, schema: Schema) -> dict[str, Any]:
    """The counts of a split with the names of the classes."""
    assert split.placements is not None
    counts = split.placements.to_json()
    for name, labels in (("bg_class", schema.backgrounds), ("fg_class", schema.foregrounds)):
        counts[name] = dict(zip(labels.classes, counts[name], strict=True))
    return counts


def _describe(kind: str, field: FieldSummary, images: int, depth_bits: int | None) -> dict[str, Any]:
    described: dict[str, Any] = {"images": images, "encoded_bytes": field.encoded_bytes}
    moments = field.moments
    if moments is None:
        return described
    # Stored value that counts as 1.0; depth is related to the 10 m that the networks know.
    one = EIGHT_BIT_RANGE_METRES * MILLIMETRES_PER_METRE if kind == "depth" and depth_bits == 16 else 255
    described |= {
        "pixels": moments.count,
        "mean": [value / one for value in moments.mean],
        "std": [value / one for value in moments.std],
        "mean_255": [value / one * 255 for value in moments.mean],
        "std_255": [value / one * 255 for value in moments.std],
    }
    if kind == "depth":
        metres = EIGHT_BIT_RANGE_METRES / one
        described |= {
            "mean_metres": moments.mean[0] * metres,
            "std_metres": moments.std[0] * metres,
            "minimum_metres": moments.minimum[0] * metres,
            "maximum_metres": moments.maximum[0] * metres,
        }
    return described | {"stored": moments.to_json()}


def _splits_of(summary: BuildSummary, files: DatasetFiles) -> dict[str, SplitSummary]:
    """The splits of a dataset, `train` first."""
    splits = {split: content for (dataset, split), content in summary.items() if dataset == files.name}
    return dict(sorted(splits.items(), key=lambda item: (item[0] != "train", item[0])))


def _tfds_files(files: DatasetFiles, features: Any, splits: dict[str, SplitSummary], keys: Any) -> dict[str, bytes]:
    """TFDS's metadata of one dataset, without reading any shard."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.dataset_info import DatasetIdentity

    info = tfds.core.DatasetInfo(
        builder=DatasetIdentity(
            name=files.name,
            version=tfds.core.Version(files.version),
            data_dir=_NOWHERE,
            module_name="",
            config_name=files.config,
        ),
        description=DESCRIPTION,
        features=features,
        supervised_keys=keys,
    )
    info.set_file_format(files.file_format)
    template = tfds.core.ShardedFileTemplate(
        data_dir=_NOWHERE, dataset_name=files.name, filetype_suffix=files.file_format
    )
    info.set_splits(
        tfds.core.splits.SplitDict(
            tfds.core.SplitInfo(
                name=name,
                shard_lengths=[shard.examples for shard in split.ordered_shards],
                num_bytes=split.size,
                filename_template=template,
            )
            for name, split in splits.items()
        )
    )
    with tempfile.TemporaryDirectory(prefix="fgbg-") as scratch:
        # TFDS writes where TensorFlow or a cloud library can write; ours must be where Beam can.
        info.write_to_directory(scratch)
        written = sorted(Path(scratch).iterdir(), key=lambda path: (path.name == "dataset_info.json", path.name))
        return {path.name: path.read_bytes() for path in written}


def _write_all(files: DatasetFiles, contents: dict[str, bytes]) -> None:
    for name, data in contents.items():
        files.write(name, data)


def to_json(content: dict[str, Any]) -> bytes:
    """As a file that people can read, too."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def fingerprint(content: Mapping[str, Any]) -> str:
    """What identifies a dataset: a digest of the configuration, depth model and inputs that its manifest holds."""
    identity = {key: content[key] for key in ("configuration", "depth_model", "inputs")}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
