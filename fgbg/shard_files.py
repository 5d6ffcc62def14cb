"""Shards: one file of records per element, and a summary of it beside the work in progress.

A shard counts as finished when its file is there under its final name with a summary that fits: of the same
configuration and size. The summary is written before that, so a build that was stopped can add up the statistics of all
shards without decoding them again.
"""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fgbg import filesystems
from fgbg.checked_json import parse_json
from fgbg.claims import CONFIGURATION, Ticket
from fgbg.placement_counts import PlacementCounts
from fgbg.records import Fields, open_writer, read_records, serialize_record
from fgbg.statistics import Moments
from fgbg.summary_document import check_summary_document

WORK_FOLDER = ".build"


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """Where the files of one dataset lie.

    Attributes:
        data_dir: TFDS data directory.
        name: name of the dataset.
        version: for example "1.0.0".
        file_format: "tfrecord" or "array_record".
        config: name of TFDS's builder config, which has a folder of its own, or "".
        claim: the claim without which nothing of the dataset is written; None for a finished dataset.
    """

    data_dir: str
    name: str
    version: str
    file_format: str
    config: str = ""
    claim: Ticket | None = None

    @property
    def directory(self) -> str:
        """The dataset's folder, data_dir/name/version or data_dir/name/config/version."""
        return filesystems.join(self.data_dir, self.name, *([self.config] if self.config else []), self.version)

    @property
    def full_name(self) -> str:
        """What `tfds.load` finds it by.

        >>> DatasetFiles("", "fg_bg_depth", "1.0.0", "tfrecord", config="tiny").full_name
        'fg_bg_depth/tiny:1.0.0'
        """
        return f"{self.name}/{self.config}:{self.version}" if self.config else f"{self.name}:{self.version}"

    @property
    def work_folder(self) -> str:
        """What exists only while the dataset is being made."""
        return filesystems.join(self.directory, WORK_FOLDER)

    @property
    def temporary_folder(self) -> str:
        """Unfinished files; on the same filesystem as the finished ones, so that a rename moves nothing."""
        return filesystems.join(self.work_folder, "tmp")

    @property
    def claim_path(self) -> str:
        """What claims the dataset and its companions for one configuration while they are being made."""
        return filesystems.join(self.work_folder, CONFIGURATION)

    @property
    def fingerprint(self) -> str:
        """Of the configuration that the dataset is claimed for, or ""."""
        return "" if self.claim is None else self.claim.fingerprint

    def shard_name(self, split: str, index: int, count: int) -> str:
        """TFDS's default file name of a shard.

        >>> DatasetFiles("", "fg_bg_depth", "1.0.0", "tfrecord").shard_name("train", 7, 400)
        'fg_bg_depth-train.tfrecord-00007-of-00400'
        """
        digits = max(5, len(str(count)))
        return f"{self.name}-{split}.{self.file_format}-{index:0{digits}d}-of-{count:0{digits}d}"

    def path(self, name: str) -> str:
        """Path of a file in the dataset's folder."""
        return filesystems.join(self.directory, *name.split("/"))

    def summary_path(self, shard_name: str) -> str:
        """Path of a shard's summary."""
        return filesystems.join(self.work_folder, "summaries", shard_name + ".json")

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the dataset's folder, complete or not at all; never through a link that leads out of it.

        Raises:
            RunError: it cannot be written, or the dataset is claimed for another configuration now.
        """
        filesystems.check_inside(self.directory, self.path(name))
        filesystems.write_bytes(
            self.path(name), data, temporary_folder=self.temporary_folder, before_rename=self.check_claim
        )

    def check_claim(self) -> None:
        """Make sure that the dataset is still claimed for the configuration that is being made.

        Raises:
            RunError: it is not.
        """
        if self.claim is not None:
            self.claim.check()


@dataclass(frozen=True, slots=True)
class FieldSummary:
    """One image field of one or more shards.

    Attributes:
        encoded_bytes: size of its JPEG or PNG files.
        moments: sums over its pixels before encoding, or None where they mean nothing.
    """

    encoded_bytes: int
    moments: Moments | None

    def __add__(self, other: "FieldSummary") -> "FieldSummary":
        moments = None if self.moments is None or other.moments is None else self.moments + other.moments
        return FieldSummary(self.encoded_bytes + other.encoded_bytes, moments)


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """What is known of a finished shard.

    Attributes:
        dataset: name of its dataset.
        split: name of its split.
        index: its number in the split.
        count: shards of the split.
        file: its file name.
        examples: number of records.
        size: bytes of the file.
        sha256: of the file.
        fields: summary of each image field.
        placements: counts over its examples; None in a companion dataset.
        fingerprint: of the configuration that the shard was made for; "" for one that is only read again.
    """

    dataset: str
    split: str
    index: int
    count: int
    file: str
    examples: int
    size: int
    sha256: str
    fields: dict[str, FieldSummary]
    placements: PlacementCounts | None = None
    fingerprint: str = ""

    def to_json(self) -> bytes:
        """As a small file; `from_json` reads it back."""
        content = asdict(replace(self, fields={}, placements=None))
        content["placements"] = self.placements and self.placements.to_json()
        content["fields"] = {
            name: {"encoded_bytes": field.encoded_bytes, "moments": field.moments and field.moments.to_json()}
            for name, field in self.fields.items()
        }
        return json.dumps(content).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "ShardSummary":
        """The inverse of `to_json`.

        Raises:
            ValueError: this is none.
        """
        content: dict[str, Any] = parse_json(data)
        check_summary_document(content, "")
        fields = {
            name: FieldSummary(field["encoded_bytes"], field["moments"] and Moments.from_json(field["moments"]))
            for name, field in content.pop("fields").items()
        }
        placements = content.pop("placements")
        return cls(fields=fields, placements=placements and PlacementCounts.from_json(placements), **content)


def write_shard(
    files: DatasetFiles,
    *,
    split: str,
    index: int,
    count: int,
    examples: Iterable[Fields],
    moments: Mapping[str, Moments | None],
    placements: PlacementCounts | None = None,
) -> ShardSummary:
    """Write one shard and its summary; both appear complete or not at all.

    Args:
        files: the dataset.
        split: name of the split.
        index: number of the shard in the split.
        count: shards of the split.
        examples: fields of each record, in order; read once.
        moments: sums of the pixels of each image field, or None.
        placements: counts over the examples, if there are any.

    Raises:
        RunError: the disk is full, the place cannot be written, or the dataset is claimed for another configuration.
    """
    name = files.shard_name(split, index, count)
    encoded_bytes = dict.fromkeys(moments, 0)
    written = 0
    # On a local disk the scratch file lies beside the shards: one disk to fill, and what a kill leaves is tidied up
    # there.
    scratch_parent = filesystems.local_folder(files.temporary_folder)
    with tempfile.TemporaryDirectory(prefix="shard-", dir=scratch_parent) as scratch:
        local = Path(scratch) / "shard"
        with open_writer(local, files.file_format) as writer:
            for fields in examples:
                for field in encoded_bytes:
                    encoded_bytes[field] += len(fields[field])  # type: ignore[arg-type]
                writer.write(serialize_record(fields))
                written += 1
        with local.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        summary = ShardSummary(
            dataset=files.name,
            split=split,
            index=index,
            count=count,
            file=name,
            examples=written,
            size=local.stat().st_size,
            sha256=sha256,
            fields={field: FieldSummary(encoded_bytes[field], moments[field]) for field in moments},
            placements=placements,
            fingerprint=files.fingerprint,
        )
        filesystems.write_bytes(
            files.summary_path(name),
            summary.to_json(),
            temporary_folder=files.temporary_folder,
            before_rename=files.check_claim,
        )
        filesystems.publish_file(
            local, files.path(name), temporary_folder=files.temporary_folder, before_rename=files.check_claim
        )
    return summary


def read_shard(files: DatasetFiles, shard_name: str, limit: int | None = None) -> Iterator[bytes]:
    """The records of a finished shard in order, the first `limit` of them if given.

    Raises:
        OSError: there is no such shard, or it cannot be read.
    """
    with local_shard(files, shard_name) as path:
        yield from read_records(path, files.file_format, limit)


@contextlib.contextmanager
def local_shard(files: DatasetFiles, shard_name: str) -> Iterator[Path]:
    """A finished shard as a local file, which the readers of both formats need: itself, or a copy of a remote one.

    Raises:
        OSError: there is no such shard, or it cannot be read.
    """
    folder = filesystems.local_folder(files.directory)
    if folder is not None:
        yield folder / shard_name
        return
    with tempfile.TemporaryDirectory(prefix="fgbg-") as scratch:
        local = Path(scratch) / "shard"
        local.write_bytes(filesystems.read_bytes(files.path(shard_name)))
        yield local


def read_summary(files: DatasetFiles, shard_name: str, size: int) -> ShardSummary | None:
    """The summary of the shard of this name and size.

    None if it is of another configuration or size, damaged, or missing. The shard is then made again.
    """
    try:
        summary = ShardSummary.from_json(filesystems.read_bytes(files.summary_path(shard_name)))
        fits = (summary.fingerprint, summary.file, summary.size) == (files.fingerprint, shard_name, size)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return summary if fits else None


def shard_sizes(files: DatasetFiles) -> dict[str, int]:
    """Name -> bytes of every finished shard of a dataset."""
    return filesystems.list_prefix(files.directory, f"{files.name}-")
