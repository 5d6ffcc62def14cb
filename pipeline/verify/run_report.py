"""The `report` command: write the card of a finished dataset again, from its own files."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from fgbg import filesystems
from fgbg.card.card import write_card
from fgbg.claims import locked
from fgbg.documents import make_statistics, to_json
from fgbg.errors import RunError
from fgbg.finished import FinishedDataset, open_finished, read_statistics, refuse_claimed, refuse_incomplete
from fgbg.stored_pictures import DecodeError
from pipeline.common.console import quiet_libraries
from pipeline.common.runner import beam_options, is_local, new_pipeline
from pipeline.verify.options import ReportOptions, VerifyOptions
from pipeline.verify.run_verify import scratch_folder
from pipeline.verify.verdict import Verdict
from pipeline.verify.verification import open_verification


def run_report(options: ReportOptions, beam_flags: Sequence[str]) -> None:
    """Write the card, and the statistics if they are not there or are to be computed again.

    Raises:
        InputError: wrong use; there is no finished dataset, or its statistics cannot be read.
        RunError: a shard is damaged or cannot be read, or the card cannot be written.
    """
    dataset = open_finished(options.directory)
    files = dataset.files
    refuse_incomplete(dataset)
    refuse_claimed(files.directory)
    # Before anything is written there, and deleted afterwards.
    filesystems.check_inside(files.directory, filesystems.join(files.temporary_folder, "file"))
    with locked(
        files.work_folder, f"{files.directory}: another command is writing there; wait until it ends, then try again."
    ):
        refuse_claimed(files.directory)  # by what had the lock until now
        if options.recompute or not filesystems.exists(files.path("statistics.json")):
            statistics = _computed_again(options.directory, beam_flags)
            files.write("statistics.json", to_json(statistics))
        else:
            beam_options(beam_flags, "report", ReportOptions)
            statistics = read_statistics(dataset)
        with quiet_libraries():
            _write(dataset, statistics)
    print(files.path("README.md"))


def _write(dataset: FinishedDataset, statistics: dict[str, Any]) -> None:
    companions = {kind: companion.files for kind, companion in dataset.companions.items()}
    try:
        write_card(dataset.files, companions, statistics, dataset.manifest)
    except DecodeError as error:
        raise RunError(
            f"A picture of {dataset.files.directory} {error}; `fgbg verify` tells which, and what else is wrong."
        ) from error
    finally:
        # Nothing else of the work folder: it could be that of a build which has begun meanwhile.
        filesystems.delete_tree(dataset.files.temporary_folder)


def _computed_again(directory: str, beam_flags: Sequence[str]) -> dict[str, Any]:
    """The statistics, from all shards, which have to be right for it."""
    pipeline_options = beam_options(beam_flags, "report", ReportOptions)
    with new_pipeline(pipeline_options) as pipeline, scratch_folder(pipeline_options) as scratch:
        verification = open_verification(directory, scratch, depth_model=None)
        verdict = Verdict(directory)
        nothing_more = VerifyOptions(directory=directory)
        with quiet_libraries() if is_local(pipeline_options) else nullcontext(sys.stderr) as terminal:
            summary = verification.read_again(verdict, nothing_more, pipeline, terminal)
        if summary is None:
            raise RunError(verdict.complaint())
        return make_statistics(summary, verification.metadata)
