"""The `export` command: a finished dataset as ZIP archives, plain files or COCO, for people without TensorFlow.

An export is made in parts, one after the other; what a stopped export leaves of a part is made again, with the same
bytes.
"""

import hashlib
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fgbg import filesystems
from fgbg.claims import Claim, Wording
from fgbg.documents import fingerprint, to_json
from fgbg.errors import InputError, RunError
from fgbg.finished import (
    FinishedDataset,
    StoredShard,
    open_finished,
    read_statistics,
    refuse_claimed,
    refuse_incomplete,
)
from fgbg.shard_files import shard_sizes
from pipeline.common.console import quiet_libraries
from pipeline.common.flags import describe_unknown, flags_of
from pipeline.common.progress import progress_bar
from pipeline.export.formats import EXPORT_FORMATS
from pipeline.export.journal import Journal
from pipeline.export.names import PictureNames
from pipeline.export.options import ExportOptions
from pipeline.export.parts import PartWriter, make_parts
from pipeline.export.readme import README, describe
from pipeline.export.stores import OutputFolder
from pipeline.export.tables import lines_of

# In the output: what is there when everything is, and what exists only before that.
_FINISHED = "export.json"
_WORK = ".export"
_TEMPORARY = f"{_WORK}/tmp"
_JOURNAL = f"{_WORK}/journal"

_WORDING = Wording(command="export", flag="--output", content="another export", remedy="name another folder")


def run_export(options: ExportOptions, other_flags: Sequence[str]) -> None:
    """Export the dataset, or resume an earlier run, and print what was made.

    Args:
        options: the flags.
        other_flags: what is none of them; Beam, which would get it, has no part in an export.

    Raises:
        InputError: wrong use; nothing was written.
        RunError: the export stopped; finished parts are kept.
    """
    if other_flags:
        known = [f"--{name}" for name, flag in flags_of(ExportOptions).items() if not flag.positional]
        raise InputError(f"`export` does not know {other_flags[0]}; {describe_unknown(other_flags, 'export', known)}")
    EXPORT_FORMATS[options.format].check_package(options.format)
    dataset = open_finished(options.directory)
    refuse_claimed(dataset.files.directory)
    refuse_incomplete(dataset)
    splits = _chosen_splits(dataset, options)
    _refuse_damaged(dataset)
    statistics = to_json(read_statistics(dataset))
    folder = Path(options.output)
    for name in (_WORK, _TEMPORARY, _JOURNAL):
        filesystems.check_inside(str(folder), str(folder / name / "file"))
    claim = Claim((str(folder),), str(folder / _WORK), _configuration(dataset, options), _WORDING)
    with _told_failures(folder):
        if _is_complete(folder, claim):
            print(f"{folder} is complete already.", file=sys.stderr)
        else:
            with claim.locked():
                if not _is_complete(folder, claim):  # what had the lock until now may have completed it
                    claim.write()
                    _Export(dataset, statistics, options, splits, folder, claim).run()
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
        claim: Claim,
    ) -> None:
        self._claim = claim
        self._dataset = dataset
        self._statistics = statistics
        self._format = EXPORT_FORMATS[options.format]
        self._parts = make_parts(splits, options.limit)
        self._examples: Counter[str] = Counter()
        for part in self._parts:
            self._examples[part.split] += part.examples
        self._output = OutputFolder(folder, folder / _TEMPORARY)
        self._journal = Journal(self._output, _JOURNAL)
        number = self._examples.total()
        counts = {
            **dict.fromkeys(("fg_bg", "mask", "depth"), number),
            "bg": len(dataset.backgrounds.names),
            **dict.fromkeys(("fg", "fg_mask"), len(dataset.foregrounds.names)),
        }
        self._pictures = {kind: counts[kind] for kind in self._format.kinds(dataset)}
        self._store = self._format.store(self._output, self._journal, self._pictures)
        self._table = self._format.table(dataset)

    def run(self) -> None:
        """Make what is not finished, then what tells of it."""
        output, journal = self._output, self._journal
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
            print(f"Resuming: {finished:,} examples already written.", file=sys.stderr)

        def on_example() -> None:
            nonlocal done
            done += 1

        total = self._examples.total()
        with (
            closing(journal),
            quiet_libraries() as terminal,
            _told_failures(output.folder),  # what libraries said has nothing to do with a full disk
            progress_bar(total=total, finished=finished, count=lambda: done, remote=False, file=terminal),
        ):
            if journal.parts == 0:
                writer.write_companions()
                self._end_part()
            for part in self._parts[finished_parts:]:
                writer.write_part(part, on_example)
                self._end_part()
            self._finish()

    def _end_part(self) -> None:
        # The lock was deleted with the folder if that was deleted; another export may be at work in its place.
        self._claim.ticket.check()
        self._journal.end_part()

    def _finish(self) -> None:
        output = self._output
        lines = {split: self._journal.path(lines_of(split)) for split in self._examples}
        names = [*self._store.finish(), *self._table.write(output, lines)]
        output.write(README, describe(self._dataset, self._format, tuple(self._pictures), self._examples).encode())
        output.write("statistics.json", self._statistics)
        files = {name: (output.folder / name).stat().st_size for name in names}
        stored = {key: value for key, value in self._claim.configuration.items() if key != "fingerprint"}
        output.write(_FINISHED, to_json({**stored, "examples": self._examples, "files": files}))


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
                f"{files.directory} is damaged: {len(lost)} of its shards are missing or have another size than"
                f" the manifest says (the first is {lost[0]}); keep it beside its companions or build it again."
            )


def _configuration(dataset: FinishedDataset, options: ExportOptions) -> dict[str, Any]:
    """All that decides the bytes of the export, in the form that `describe_differences` knows."""
    manifest = dataset.manifest
    shards = hashlib.sha256(json.dumps(manifest["shards"], sort_keys=True).encode()).hexdigest()
    asked = {"--format": options.format, "--split": options.split, "--limit": options.limit}
    source = {f"the dataset's {key}": value for key, value in manifest["configuration"].items()}
    content = {
        "configuration": {**asked, **source, "the dataset's shards": shards[:16]},
        "depth_model": manifest["depth_model"],
        "inputs": manifest["inputs"],
    }
    return {"fingerprint": fingerprint(content), **content}


def _is_complete(folder: Path, claim: Claim) -> bool:
    """Whether the export is there already; if not, the folder is empty or holds the beginning of the same export.

    Raises:
        InputError: the folder holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output: {folder} is a file; name a folder.")
    if (finished := claim.stored(str(folder / _FINISHED))) is not None:
        _refuse_incomplete(folder, finished.get("files", {}))
        return True
    if claim.stored() is None:
        claim.refuse_foreign()
    return False


def _refuse_incomplete(folder: Path, files: dict[str, int]) -> None:
    for name, size in files.items():
        path = folder / name
        if not path.exists() or path.stat().st_size != size:
            raise InputError(
                f"--output: {folder} was finished, but {name} is missing or has another size now; delete the folder"
                " to export again, or name another."
            )


@contextmanager
def _told_failures(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"Cannot write {error.filename or folder}: {error.strerror or error}. Free space there or fix its"
            " permissions, then run the same command again: it resumes from the finished parts."
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
