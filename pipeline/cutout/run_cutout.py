"""The `cutout` command: photographs to cut-outs that are ready to be foregrounds.

A photograph is finished when its record is there and tells of the same bytes, and its cut-out is there, ready or aside.
"""

import csv
import hashlib
import importlib.util
import io
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import apache_beam as beam
import numpy as np

from fgbg import filesystems
from fgbg.card.pictures import pictures_sheet
from fgbg.claims import Claim, Wording
from fgbg.documents import fingerprint, to_json
from fgbg.errors import InputError, RunError
from fgbg.images import Pixels
from fgbg.stored_pictures import DecodeError
from pipeline.common.console import quiet_libraries
from pipeline.common.progress import progress_bar
from pipeline.common.runner import beam_options, is_local, new_pipeline, report_failures, submit
from pipeline.cutout.cut_out import THUMBNAIL, CutOutPhotos, CutoutSettings
from pipeline.cutout.files import CutoutFiles, Photo, Record
from pipeline.cutout.models import network_sha256
from pipeline.cutout.options import CutoutOptions
from transforms.inputs import BadInput, find_overlap, find_pictures

# Beside the cut-outs, in the folder that `build` passes over.
_RESULTS = "results.csv"
_SUMMARY = "summary.json"
_SHEET = "contact_sheet"
_DOUBTFUL_SHEET = "contact_sheet_doubtful"

# Raised when the same photograph and flags no longer give the same cut-out.
_FORMAT = 1

_WORDING = Wording(
    command="cutout", flag="--output", content="cut-outs made in another way", remedy="name another folder"
)

_SHEET_PICTURES = 100
_MOST_TOLD = 10


def run_cutout(options: CutoutOptions, beam_flags: Sequence[str]) -> None:
    """Cut out the photographs that are not yet, and tell what was found.

    Raises:
        InputError: wrong use, or photographs that cannot be used; the others are cut out nevertheless.
        RunError: the run stopped; finished cut-outs are kept.
    """
    pipeline_options = beam_options(beam_flags, "cutout", CutoutOptions)
    _refuse_missing_packages()
    _refuse_overlap(options)
    found, unlisted = find_pictures(options.photos, "--photos")
    if unlisted and not (options.skip_bad_inputs and found):
        raise _bad_photos(unlisted, len(found) + len(unlisted), "")
    photos = [Photo(one.path, one.label) for one in found]
    sha256 = network_sha256(options.model)
    claim = Claim((options.output,), CutoutFiles(options.output).aside, _configuration(options, sha256), _WORDING)
    files = CutoutFiles(options.output, claim.ticket)
    settings = CutoutSettings(options.model, options.objects == "largest", sha256)
    # Nothing is locked, and so made, in a folder of others.
    _refuse_others(claim)
    with new_pipeline(pipeline_options) as pipeline, claim.locked():
        _take(claim)
        unfinished = _find_unfinished(files, photos)
        if unfinished:
            _run_pipeline(pipeline, files, settings, photos, unfinished)
        else:
            print(f"{files.directory} is complete already.", file=sys.stderr)
        # Thumbnails only when it is their sheet's turn.
        records = [replace(files.read_record(photo.label), thumbnail=b"") for photo in photos]
        summary = _write_results(files, photos, records)
        files.tidy_up()
    print(_summarize(files, summary))
    bad = [BadInput(photo.path, record.bad) for photo, record in zip(photos, records, strict=True) if record.bad]
    if bad and not (options.skip_bad_inputs and len(bad) < len(photos)):
        raise _bad_photos(bad, len(photos), "; all others are cut out")
    for one in (*unlisted, *bad):
        print(f"Left out: {one}", file=sys.stderr)


def _refuse_missing_packages() -> None:
    if importlib.util.find_spec("rembg") is None or importlib.util.find_spec("onnxruntime") is None:
        raise InputError("`cutout` needs rembg; install it with: pip install 'fgbg-depth[cutout]'")


def _refuse_overlap(options: CutoutOptions) -> None:
    """Cut-outs among the photographs would be cut out again, and could replace them."""
    if find_overlap(options.photos, options.output):
        raise InputError(
            f"--output: {options.output} and the photographs of --photos {options.photos} lie in each other; name a"
            " folder beside them."
        )


def _bad_photos(bad: Sequence[BadInput], total: int, others: str) -> InputError:
    listing = "".join(f"\n  {one}" for one in bad)
    return InputError(
        f"{len(bad)} of {total} photographs cannot be used{others}; fix or remove them, or add --skip_bad_inputs to go"
        f" on without them:{listing}"
    )


def _configuration(options: CutoutOptions, sha256: str | None) -> dict[str, Any]:
    """All that decides the bytes of a cut-out but the photograph, in the form that `describe_differences` knows."""
    content = {
        "configuration": {
            "format": _FORMAT,
            "--model": options.model,
            "--objects": options.objects,
            "sha256 of the network": sha256,
        }
    }
    return {"fingerprint": fingerprint({**content, "depth_model": None, "inputs": None}), **content}


def _refuse_others(claim: Claim) -> dict[str, Any] | None:
    """What the claim says, if the output folder has one.

    Raises:
        InputError: the folder is not empty, and what is there was not cut out in the same way.
    """
    stored = claim.stored()
    if stored is None:
        claim.refuse_foreign()
    return stored


def _take(claim: Claim) -> None:
    """Claim the output folder, unless that is done.

    Raises:
        InputError: it holds something else.
        RunError: it cannot be written.
    """
    stored = _refuse_others(claim)
    if stored is None or "fingerprint" not in stored:
        claim.write()


def _find_unfinished(files: CutoutFiles, photos: Sequence[Photo]) -> list[Photo]:
    """The photographs that have no cut-out yet, or were changed since; what is known of these is forgotten.

    Raises:
        InputError: there are cut-outs of photographs that are not among them.
    """
    recorded = set(files.recorded())
    there = set(filesystems.list_files(files.directory))

    def has_cutout(label: str) -> bool:
        # Aside or not: a person may have moved it.
        return not there.isdisjoint(files.cutout(label, doubtful=doubtful) for doubtful in (False, True))

    removed = sorted(recorded - {photo.label for photo in photos})
    if left := [label for label in removed if has_cutout(label)]:
        raise InputError(
            f"--output: {files.directory} holds cut-outs whose photographs are not in --photos: {len(left)} (the first"
            f" is {left[0]}); put the photographs back, delete the cut-outs, or name another folder."
        )
    for label in removed:
        files.forget(label)

    def is_finished(photo: Photo) -> bool:
        if photo.label not in recorded:
            return False
        record = files.read_record(photo.label)
        if record.bad:
            return False
        if record.has_cutout and not has_cutout(photo.label):
            return False
        try:
            return hashlib.sha256(filesystems.read_bytes(photo.path)).hexdigest() == record.sha256
        except OSError:
            return False  # whoever cuts it out will tell

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        finished = list(pool.map(is_finished, photos))
    unfinished = [photo for photo, done in zip(photos, finished, strict=True) if not done]
    for photo in unfinished:
        files.forget(photo.label)
    return unfinished


def _run_pipeline(
    pipeline: beam.Pipeline,
    files: CutoutFiles,
    settings: CutoutSettings,
    photos: Sequence[Photo],
    unfinished: Sequence[Photo],
) -> None:
    """Cut out what is unfinished, showing progress.

    Raises:
        RunError: the stage or the runner failed.
    """
    finished = len(photos) - len(unfinished)
    print(f"{len(photos):,} photographs, to be cut out by {settings.model}", file=sys.stderr)
    if finished:
        print(f"Resuming: {finished:,} photographs already cut out.", file=sys.stderr)
    _ = (
        pipeline
        | "ListPhotos" >> beam.Create(unfinished)
        # Only paths are ever redistributed.
        | "SpreadPhotos" >> beam.Reshuffle()
        # Photo
        | "CutOutPhotos" >> CutOutPhotos(files, settings)
        # Record
    )
    local = is_local(pipeline.options)
    with (
        quiet_libraries() if local else nullcontext(sys.stderr) as terminal,
        report_failures("cutout", "; it resumes from the finished photographs"),
        progress_bar(
            total=len(photos),
            finished=finished,
            count=lambda: len(files.recorded()),
            remote=not local,
            file=terminal,
            unit="photographs",
        ),
    ):
        state = submit(pipeline).wait_until_finish()
    if len(files.recorded()) != len(photos):
        raise RunError(
            f"The runner ended with state {state} before all photographs were cut out; run the command again."
        )


def _write_results(files: CutoutFiles, photos: Sequence[Photo], records: Sequence[Record]) -> dict[str, Any]:
    """Write contact sheets, the table and the summary, which is returned."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(
        ["photo", "result", "reason", "width", "height", "left", "top", "cutout_width", "cutout_height", "coverage"]
    )
    results: dict[str, list[str]] = {"ready": [], "doubtful": [], "bad": []}
    for photo, record in zip(photos, records, strict=True):
        result = "bad" if record.bad else "doubtful" if record.doubts else "ready"
        results[result].append(record.label)
        reason = record.bad or "; ".join(record.doubts)
        rows.writerow([photo.path, result, reason, *record.size, *record.box, record.coverage])
    files.write(files.path_aside(_RESULTS), table.getvalue().encode())
    for name in filesystems.list_prefix(files.aside, _SHEET):
        filesystems.delete_file(files.path_aside(name))
    for name, labels in ((_SHEET, results["ready"]), (_DOUBTFUL_SHEET, results["doubtful"])):
        _write_sheets(files, name, labels)
    counts = {result: len(labels) for result, labels in results.items()}
    doubts = {record.label: list(record.doubts) for record in records if record.doubts}
    summary = {"photographs": len(photos), **counts, "doubts": doubts}
    files.write(files.path_aside(_SUMMARY), to_json(summary))
    return summary


def _write_sheets(files: CutoutFiles, name: str, labels: Sequence[str]) -> None:
    for page, first in enumerate(range(0, len(labels), _SHEET_PICTURES), start=1):
        here = labels[first : first + _SHEET_PICTURES]
        pictures = [_thumbnail(files.read_record(label)) for label in here]
        files.write(files.path_aside(f"{name}_{page:03}.png"), pictures_sheet(pictures, here))


def _thumbnail(record: Record) -> Pixels:
    """RGBA, and nothing but transparent where nothing was found."""
    if not record.has_cutout:
        return np.zeros((1, 1, 4), np.uint8)
    try:
        return THUMBNAIL.decode(record.thumbnail)
    except DecodeError as error:
        raise RunError(
            f"The thumbnail in the record of {record.label} {error}; delete the record and run the same command again."
        ) from error


def _summarize(files: CutoutFiles, summary: dict[str, Any]) -> str:
    """Where the cut-outs are, which a person should look at, and what comes next."""
    aside = files.aside
    look = f"; look at {aside}/{_SHEET}_001.png" if summary["ready"] else ""
    lines = [
        "",
        f"{files.directory}",
        f"  {summary['ready']:,} cut-outs of {summary['photographs']:,} photographs{look}",
    ]
    if doubts := summary["doubts"]:
        lines.append(f"  doubtful: {len(doubts):,}, in {aside}/doubtful; move those that are good to their place:")
        lines += [f"    {label}: {'; '.join(reasons)}" for label, reasons in list(doubts.items())[:_MOST_TOLD]]
        if len(doubts) > _MOST_TOLD:
            lines.append(f"    and {len(doubts) - _MOST_TOLD:,} more: see {aside}/{_RESULTS}")
    if summary["ready"]:
        lines += ["", "  Next:", f"    fgbg build --foregrounds {files.directory} --backgrounds ..."]
    return "\n".join(lines)
