"""The `export` command: a finished dataset as ZIP archives, plain files or COCO, for people without TensorFlow.

An export is made in parts, one after the other; what a stopped export leaves of a part is made again, with the same
bytes.
"""

import fcntl
import hashlib
import importlib.util
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pipeline.console import quiet_libraries
from pipeline.options import ExportOptions, describe_unknown, flags_of
from pipeline.progress import shown_progress
from pipeline.resume import describe_differences, shard_sizes
from transforms import filesystems
from transforms.errors import InputError, RunError
from transforms.exporting.archives import ArchiveStore
from transforms.exporting.journal import Journal
from transforms.exporting.names import PictureNames
from transforms.exporting.parts import PartWriter, make_parts
from transforms.exporting.readme import README, describe
from transforms.exporting.stores import FileStore, OutputFolder, Store
from transforms.exporting.tables import CocoTable, LabelsTable, Table, lines_of
from transforms.finished import FinishedDataset, StoredShard, open_finished
from transforms.metadata import DESCRIPTION, to_json

# In the output: what is there when everything is, and what exists only before that.
_FINISHED = "export.json"
_WORK = ".export"
_CLAIM = f"{_WORK}/configuration.json"
_LOCK = f"{_WORK}/lock"
_TEMPORARY = f"{_WORK}/tmp"
_JOURNAL = f"{_WORK}/journal"

_MOST_DIFFERENCES = 5


def run_export(options: ExportOptions, other_flags: Sequence[str]) -> None:
    """Export the dataset, or go on where an earlier run stopped, and tell what was made.

    Args:
        options: the flags.
        other_flags: what is none of them; Beam, which would get it, has no part in an export.

    Raises:
        InputError: wrong use; nothing was written.
        RunError: the export stopped; finished parts are kept.
    """
    if other_flags:
        known = [option for action in flags_of("export") for option in action.option_strings]
        raise InputError(f"`export` does not know {other_flags[0]}; {describe_unknown(other_flags, 'export', known)}")
    if options.format == "coco" and importlib.util.find_spec("pycocotools") is None:
        raise InputError("--format coco needs pycocotools; install it with: pip install 'fgbg-depth[coco]'")
    dataset = open_finished(options.directory)
    splits = _chosen_splits(dataset, options)
    _refuse_damaged(dataset)
    statistics = _read_statistics(dataset)
    configuration = _configuration(dataset, options)
    folder = Path(options.output)
    with _told_failures(folder):
        if _is_complete(folder, configuration):
            print(f"{folder} is complete already.", file=sys.stderr)
        else:
            with _locked(folder):
                _Export(dataset, statistics, options, splits, folder).run(configuration)
        shutil.rmtree(folder / _WORK, ignore_errors=True)
    print(_summarize(folder))


class _Export:
    def __init__(
        self,
        dataset: FinishedDataset,
        statistics: bytes,
        options: ExportOptions,
        splits: dict[str, tuple[StoredShard, ...]],
        folder: Path,
    ) -> None:
        self._dataset = dataset
        self._statistics = statistics
        self._format = options.format
        self._parts = make_parts(splits, options.limit)
        self._examples: Counter[str] = Counter()
        for part in self._parts:
            self._examples[part.split] += part.examples
        self._output = OutputFolder(folder, folder / _TEMPORARY)
        self._journal = Journal(self._output, _JOURNAL)
        self._pictures = self._count_pictures()
        self._store: Store = (
            ArchiveStore(self._output, self._journal, self._pictures)
            if options.format == "zip"
            else FileStore(self._output)
        )
        self._table = self._make_table()

    def run(self, configuration: dict[str, Any]) -> None:
        """Make what is not finished, then what tells of it."""
        output, journal = self._output, self._journal
        output.write(_CLAIM, to_json(configuration))
        writer = PartWriter(
            dataset=self._dataset,
            names=PictureNames(
                backgrounds=len(self._dataset.backgrounds.names),
                foregrounds=len(self._dataset.foregrounds.names),
                placements=self._dataset.placements,
                suffix=".png" if self._dataset.lossless else ".jpg",
            ),
            kinds=tuple(self._pictures),
            store=self._store,
            table=self._table,
            journal=journal,
        )
        # The backgrounds and foregrounds are the first part.
        finished_parts = max(0, journal.parts - 1)
        done = finished = sum(part.examples for part in self._parts[:finished_parts])
        if finished:
            print(f"Going on after {finished:,} finished examples.", file=sys.stderr)

        def on_example() -> None:
            nonlocal done
            done += 1

        total = self._examples.total()
        with (
            closing(journal),
            quiet_libraries() as terminal,
            _told_failures(output.folder),  # what libraries said has nothing to do with a full disk
            shown_progress(total=total, finished=finished, count=lambda: done, remote=False, file=terminal),
        ):
            if journal.parts == 0:
                writer.write_companions()
                journal.end_part()
            for part in self._parts[finished_parts:]:
                writer.write_part(part, on_example)
                journal.end_part()
            self._finish(configuration)

    def _count_pictures(self) -> dict[str, int]:
        dataset = self._dataset
        number, backgrounds, foregrounds = (
            self._examples.total(),
            len(dataset.backgrounds.names),
            len(dataset.foregrounds.names),
        )
        pictures = {"fg_bg": number}
        if self._format != "coco":
            pictures["mask"] = number
        if dataset.depth_meaning is not None:
            pictures["depth"] = number
        pictures["bg"] = backgrounds
        if self._format != "coco":
            pictures |= {"fg": foregrounds, "fg_mask": foregrounds}
        return pictures

    def _make_table(self) -> Table:
        dataset = self._dataset
        labels = (dataset.backgrounds, dataset.foregrounds, dataset.image_size)
        if self._format == "coco":
            info = {"description": DESCRIPTION, "version": dataset.files.version, "depth": dataset.depth_meaning}
            return CocoTable(*labels, info)
        return LabelsTable(*labels, tuple(self._pictures))

    def _finish(self, configuration: dict[str, Any]) -> None:
        output = self._output
        lines = {split: self._journal.path(lines_of(split)) for split in self._examples}
        names = [*self._store.finish(), *self._table.write(output, lines)]
        output.write(README, describe(self._dataset, self._format, tuple(self._pictures), self._examples).encode())
        output.write("statistics.json", self._statistics)
        files = {name: (output.folder / name).stat().st_size for name in names}
        output.write(_FINISHED, to_json({**configuration, "examples": self._examples, "files": files}))


def _chosen_splits(dataset: FinishedDataset, options: ExportOptions) -> dict[str, tuple[StoredShard, ...]]:
    if options.split is None:
        return dataset.splits
    if options.split not in dataset.splits:
        there = ", ".join(dataset.splits)
        raise InputError(f"--split: {options.directory} has no split {options.split}; it has {there}.")
    return {options.split: dataset.splits[options.split]}


def _refuse_damaged(dataset: FinishedDataset) -> None:
    for files, shards in dataset.stored:
        there = shard_sizes(files)
        if lost := [shard.file for shard in shards if there.get(shard.file) != shard.size]:
            raise InputError(
                f"{files.directory} is damaged: {len(lost)} of its shards are gone or have another size than they were"
                f" written with (the first is {lost[0]}); keep the dataset beside its companions, or build it anew."
            )


def _read_statistics(dataset: FinishedDataset) -> bytes:
    path = dataset.files.path("statistics.json")
    try:
        return filesystems.read_bytes(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}); build the dataset anew.") from error


def _configuration(dataset: FinishedDataset, options: ExportOptions) -> dict[str, Any]:
    """All that decides the bytes of the export, in the form that `describe_differences` knows."""
    manifest = dataset.manifest
    shards = hashlib.sha256(json.dumps(manifest["shards"], sort_keys=True).encode()).hexdigest()
    asked = {"--format": options.format, "--split": options.split, "--limit": options.limit}
    source = {f"the dataset's {key}": value for key, value in manifest["configuration"].items()}
    return {
        "configuration": {**asked, **source, "the dataset's shards": shards[:16]},
        "depth_model": manifest["depth_model"],
        "inputs": manifest["inputs"],
    }


def _is_complete(folder: Path, configuration: dict[str, Any]) -> bool:
    """Whether the export is there already; if not, the folder is empty or holds the beginning of the same export.

    Raises:
        InputError: the folder holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output: {folder} is a file; name a folder.")
    for name in (_FINISHED, _CLAIM):
        if (there := _read_json(folder / name)) is None:
            continue
        if differences := describe_differences(there, configuration):
            told = "; ".join(differences[:_MOST_DIFFERENCES])
            raise InputError(
                f"--output: {folder} holds another export: {told}. Use the flags and the dataset of then, or name"
                " another folder."
            )
        if name == _FINISHED:
            _refuse_incomplete(folder, there.get("files", {}))
        return name == _FINISHED
    if folder.exists() and any(path.name != _WORK for path in folder.iterdir()):
        raise InputError(
            f"--output: {folder} holds files that no export of this program is responsible for; name another folder."
        )
    return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other exports out while the block runs; the system unlocks what is killed."""
    lock = folder / _LOCK
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"--output: another export to {folder} is running; wait for its end, or name another folder."
            ) from None
        yield


def _refuse_incomplete(folder: Path, files: dict[str, int]) -> None:
    for name, size in files.items():
        path = folder / name
        if not path.exists() or path.stat().st_size != size:
            raise InputError(
                f"--output: {folder} was finished, but {name} is gone or has another size since; delete the folder to"
                " export anew, or name another."
            )


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise InputError(f"--output: {path} is damaged ({error}); name another folder.") from error
    return content


@contextmanager
def _told_failures(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"Cannot write {error.filename or folder}: {error.strerror or error}. Free space there or mend its"
            " permissions, then run the same command again: it goes on from the finished parts."
        ) from error


def _summarize(folder: Path) -> str:
    """Where the export is and what to look at first."""
    finished = json.loads((folder / _FINISHED).read_bytes())
    splits = ", ".join(f"{split} {number:,}" for split, number in finished["examples"].items())
    files = list(finished["files"])
    more = f" and {len(files) - 3} more" if len(files) > 4 else ""
    return "\n".join(
        [
            "",
            f"{folder}",
            f"  {sum(finished['examples'].values()):,} examples ({splits})",
            f"  {README}, {', '.join(files[: 3 if more else 4])}{more}",
        ]
    )
