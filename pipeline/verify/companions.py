"""The companion datasets against themselves and the input pictures; and composites computed from them."""

import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from fgbg import filesystems
from fgbg.companions import OVERSAMPLING, SPLIT, CompanionShard, companion_shards, shard_indices
from fgbg.features import Labels
from fgbg.finished import StoredShard
from fgbg.images import Pixels
from fgbg.records import RecordForm, WrongRecordError, check_value, companion_form, parse_record
from fgbg.shard_files import DatasetFiles, FieldSummary, ShardSummary
from fgbg.statistics import Moments
from fgbg.stored_pictures import PictureForm
from fgbg.summary import SplitSummary
from pipeline.verify.faults import Fault, Faults
from pipeline.verify.files import check_shard_file
from pipeline.verify.pictures import check_mask, decode_field
from transforms import pictures
from transforms.companions import cutout_mask
from transforms.inputs import find_pictures
from transforms.pictures import PictureError


@dataclass(frozen=True, slots=True)
class UnpackedPictures:
    """The pictures of the companion datasets as files of their own, which any worker can read one of.

    Attributes:
        folder: where they are.
    """

    folder: str

    def path(self, kind: str, index: int) -> str:
        """Path of a picture's file."""
        return filesystems.join(self.folder, "pictures", kind, f"{index}.png")

    def load_background(self, index: int) -> Pixels:
        """uint8 [image_size, image_size, 3], RGB."""
        return self._decode("background", index, channels=3)

    def load_cutout(self, index: int) -> Pixels:
        """RGBA uint8 [h, w, 4] before placement."""
        return self._decode("foreground", index, channels=4)

    def add(self, kind: str, index: int, png: bytes) -> None:
        """Keep a picture as it is stored."""
        filesystems.write_bytes(self.path(kind, index), png, temporary_folder=filesystems.join(self.folder, "tmp"))

    def _decode(self, kind: str, index: int, *, channels: int) -> Pixels:
        return PictureForm("PNG", np.uint8, (0, 0, channels)).decode(filesystems.read_bytes(self.path(kind, index)))


@dataclass(slots=True)
class CompanionReport:
    """What was found in a companion dataset.

    Attributes:
        summaries: of its shards, as a build makes them, if nothing is wrong with them.
        faults: what is wrong.
        sizes: (width, height) of every picture that could be read, by its index.
    """

    summaries: list[ShardSummary] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class CompanionCheck:
    """How to check a companion dataset.

    Attributes:
        kind: "background" or "foreground".
        files: the companion dataset.
        labels: names and classes of its pictures.
        image_size: side of the composites, pixels.
        longest_side: largest longest side of a placed cut-out, pixels.
        cropped: whether every cut-out is cropped to its alpha, as since format 2.
        unpacked: where its pictures go.
    """

    kind: str
    files: DatasetFiles
    labels: Labels
    image_size: int
    longest_side: int
    cropped: bool
    unpacked: UnpackedPictures

    def run(self, stored: Mapping[str, StoredShard]) -> CompanionReport:
        """Check those of its shards that are there, by their file names, and unpack their pictures."""
        report = CompanionReport()
        for shard in companion_shards(self.kind, len(self.labels.names)):
            name = self.files.shard_name(SPLIT, shard.index, shard.count)
            if name in stored:
                self._check_shard(shard, stored[name], report)
        return report

    def _check_shard(self, shard: CompanionShard, stored: StoredShard, report: CompanionReport) -> None:
        indices = shard_indices(shard, len(self.labels.names))
        sums = SplitSummary(shard.count)
        comparisons = (functools.partial(self._compare, index, sums, report) for index in indices)
        faults, size, sha256 = check_shard_file(self.files, stored, len(indices), comparisons)
        report.faults.extend(faults)
        report.summaries.append(
            ShardSummary(
                dataset=self.files.name,
                split=SPLIT,
                index=shard.index,
                count=shard.count,
                file=stored.file,
                examples=len(indices),
                size=size,
                sha256=sha256,
                fields=sums.fields,
            )
        )

    def _compare(self, index: int, sums: SplitSummary, report: CompanionReport, record: bytes) -> None:
        fields = parse_record(record, RecordForm(companion_form(self.kind, self.labels).kinds))
        check_value("id", fields["id"], index)
        check_value("class", fields["class"], self.labels.class_ids[index])
        if self.kind == "background":
            side = self.image_size
            image = decode_field("image", fields["image"], PictureForm("PNG", np.uint8, (side, side, 3)))
            moments: dict[str, Moments | None] = {"image": Moments.of(image)}
        else:
            largest = OVERSAMPLING * self.longest_side
            form = PictureForm("PNG", np.uint8, (0, 0, 4), longest_side=largest)
            image = decode_field("image", fields["image"], form)
            self._check_cutout(image)
            mask = cutout_mask(image)
            check_mask(decode_field("mask", fields["mask"], PictureForm("PNG", np.uint8, mask.shape)), mask)
            moments = {"image": None, "mask": Moments.of_masks(mask)}
        sums.add({}, {name: FieldSummary(len(fields[name]), moments[name]) for name in moments}, None)
        report.sizes[index] = (image.shape[1], image.shape[0])
        self.unpacked.add(self.kind, index, fields["image"])

    def _check_cutout(self, rgba: Pixels) -> None:
        if self.cropped and pictures.crop_to_alpha(rgba).shape != rgba.shape:
            raise WrongRecordError("image", "is not cropped to the box in which it is not transparent")


def check_inputs(
    kind: str,
    folder: str,
    recorded: Sequence[Mapping[str, str]],
    unpacked: UnpackedPictures,
    *,
    image_size: int,
    longest_side: int,
    on_checked: Callable[[], None],
) -> Faults:
    """Compare input pictures with what the manifest says of them and with the companion dataset, which was unpacked.

    Args:
        kind: "background" or "foreground".
        folder: where they are now: a folder, a glob or a URI.
        recorded: label and sha256 of each, in the order of their index.
        unpacked: the pictures of the companion dataset.
        image_size: side of the composites, pixels.
        longest_side: largest longest side of a placed cut-out, pixels.
        on_checked: called after every picture.

    Raises:
        InputError: there is no such folder, or nothing in it.
    """
    found, _ = find_pictures(folder, f"--{kind}s")
    paths = {one.label: one.path for one in found}

    def check(index: int, label: str, sha256: str) -> Fault | None:
        if label not in paths:
            return Fault(filesystems.join(folder, label), f"is missing; the dataset was made with this {kind}")
        try:
            with filesystems.read_within_budget(paths[label]) as data:
                if hashlib.sha256(data).hexdigest() != sha256:
                    return Fault(paths[label], f"has changed since the dataset was made with it as {kind} {index}")
                if kind == "background":
                    now, then = pictures.load_background(data, image_size), unpacked.load_background(index)
                else:
                    now = pictures.load_foreground(data, longest_side)
                    # Those of format 1 were not cropped again after they were reduced.
                    then = pictures.crop_to_alpha(unpacked.load_cutout(index))
        except (OSError, PictureError) as error:
            return Fault(paths[label], f"cannot be read ({error})")
        if not np.array_equal(now, then):
            return Fault(paths[label], f"does not give the picture that the dataset has as {kind} {index}")
        return None

    def check_one(numbered: tuple[int, Mapping[str, str]]) -> Fault | None:
        index, one = numbered
        try:
            return check(index, one["label"], one["sha256"])
        finally:
            on_checked()

    faults = Faults()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for fault in pool.map(check_one, enumerate(recorded)):
            if fault is not None:
                faults.add(fault)
    return faults
