"""A finished dataset to read from: what its manifest says is in it, and where."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgbg import filesystems
from fgbg.checked_json import read_json
from fgbg.claims import is_claimed
from fgbg.companions import OVERSAMPLING, SPLIT
from fgbg.errors import InputError
from fgbg.features import Labels
from fgbg.manifest import COMPANIONS, read_manifest, shard_differences
from fgbg.records import RecordForm, companion_form, example_form
from fgbg.settings import LOSSLESS
from fgbg.shard_files import WORK_FOLDER, DatasetFiles
from fgbg.statistics_document import check_statistics_document
from fgbg.stored_pictures import PictureForm
from fgbg.stored_shards import read_fields


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

    kind: str
    files: DatasetFiles
    shards: tuple[StoredShard, ...]
    labels: Labels

    @property
    def form(self) -> RecordForm:
        """What their records look like."""
        return companion_form(self.kind, self.labels)


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
        largest_cutout: longest side of any foreground before placement, pixels.
        depth_meaning: unit and decode formula, or None for a dataset without depth.
        manifest: all of the manifest.
    """

    files: DatasetFiles
    splits: dict[str, tuple[StoredShard, ...]]
    companions: dict[str, FinishedCompanion]
    image_size: int
    placements: int
    lossless: bool
    largest_cutout: int
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
    def form(self) -> RecordForm:
        """What its records look like."""
        return example_form(
            self.backgrounds, self.foregrounds, self.placements, with_depth=self.depth_meaning is not None
        )

    @property
    def picture_forms(self) -> dict[str, PictureForm]:
        """What its pictures and those of its companions look like, by the kinds of an export."""
        side, largest = self.image_size, self.largest_cutout
        forms = {
            "fg_bg": PictureForm("PNG" if self.lossless else "JPEG", np.uint8, (side, side, 3)),
            "mask": PictureForm("PNG", np.uint8, (side, side)),
            "bg": PictureForm("PNG", np.uint8, (side, side, 3)),
            "fg": PictureForm("PNG", np.uint8, (0, 0, 4), largest),
            "fg_mask": PictureForm("PNG", np.uint8, (0, 0), largest),
        }
        bits = self.manifest["configuration"]["depth_bits"]
        if bits is not None:
            forms["depth"] = PictureForm("PNG", np.uint16 if bits == 16 else np.uint8, (side, side))
        return forms

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
        manifest = read_manifest(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise InputError(
            f"{path} is damaged or not of this program ({error}); restore it or build the dataset again."
        ) from error
    return _described(directory, manifest)


def refuse_incomplete(dataset: FinishedDataset) -> None:
    """Make sure that the manifest lists exactly the shards of its dataset, before all of them are read in its order.

    Raises:
        InputError: it does not; the first difference is named.
    """
    for difference in shard_differences(dataset.manifest):
        raise InputError(
            f"{dataset.files.path('manifest.json')} does not list the shards that its configuration makes:"
            f" {difference}; restore it or build the dataset again."
        )


def read_statistics(dataset: FinishedDataset) -> dict[str, Any]:
    """The content of statistics.json.

    Raises:
        InputError: it cannot be read or is none of this dataset.
    """
    path = dataset.files.path("statistics.json")
    try:
        statistics = read_json(path)
        check_statistics_document(statistics, dataset.manifest)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); `fgbg report --recompute` makes it again."
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); `fgbg report --recompute` makes it again.") from error
    return statistics


def read_examples(
    files: DatasetFiles, shard: StoredShard, form: RecordForm, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """The fields of each record of a shard in order, the first `limit` of them if given.

    Raises:
        RunError: the shard cannot be read, holds another number of records than it should, or one of another form.
    """
    if limit is None or limit >= shard.examples:
        return read_fields(files, shard.file, form, shard.examples, all_of_it=True)
    return read_fields(files, shard.file, form, limit)


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
        return FinishedCompanion(kind, files_of(f"{name}_{kind}"), shards_of(f"{name}_{kind}")[SPLIT], labels)

    return FinishedDataset(
        files=files_of(name),
        splits=dict(sorted(shards_of(name).items(), key=lambda item: (item[0] != "train", item[0]))),
        companions={kind: companion(kind) for kind in COMPANIONS},
        image_size=configuration["image_size"],
        placements=configuration["placements"],
        lossless=configuration["jpeg_quality"] == LOSSLESS,
        largest_cutout=OVERSAMPLING * configuration["placed_sides"][1],
        depth_meaning=manifest["depth_meaning"],
        manifest=manifest,
    )


def refuse_claimed(directory: str) -> None:
    """Make sure that no build of a dataset has begun and not ended.

    Raises:
        InputError: one has.
    """
    if is_claimed(filesystems.join(directory, WORK_FOLDER)):
        raise InputError(
            f"{directory} is not finished; run the same `build` command again, which resumes it, and this command after"
            " that."
        )
