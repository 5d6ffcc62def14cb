"""What an earlier run left: refuse what is another dataset, go on with what is this one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.build_plan import BuildPlan
from transforms import filesystems
from transforms.companions import SPLIT, CompanionShard, companion_shards
from transforms.errors import InputError
from transforms.finding import FinishedExamples, ShardSpan, shard_spans
from transforms.shards import WORK_FOLDER, DatasetFiles
from transforms.summary import FinishedShard

_CONFIGURATION = "configuration.json"
_MOST_DIFFERENCES = 5


@dataclass(frozen=True, slots=True)
class Work:
    """What is left to do.

    Attributes:
        complete: whether everything is there, the metadata too.
        spans: in which workers look for shards to make; all of them, for the launcher does not know what is there.
        unfinished_companions: companion shards to make.
        finished_companions: companion shards that are there.
        finished_examples: examples in finished shards of the dataset itself.
    """

    complete: bool
    spans: list[ShardSpan] = field(default_factory=list)
    unfinished_companions: list[CompanionShard] = field(default_factory=list)
    finished_companions: list[FinishedShard] = field(default_factory=list)
    finished_examples: int = 0


def open_dataset(plan: BuildPlan, *, only_look: bool = False) -> Work:
    """Claim the dataset's folder for this configuration, or find what an earlier run of it left there.

    Args:
        plan: the build.
        only_look: write and delete nothing.

    Raises:
        InputError: the folder holds another dataset; what differs is named.
        RunError: the folder cannot be written.
    """
    if plan.options.overwrite:
        if only_look:
            return _find_work(plan, finished_examples=0)
        for files in plan.all_files:
            filesystems.delete_tree(files.directory)
    claim = filesystems.join(plan.files.work_folder, _CONFIGURATION)
    if (configuration := _read_json(claim)) is not None:
        _refuse_other(plan, configuration)
        return _find_work(plan, finished_examples=FinishedExamples(plan.files, plan.layout).count())
    if (manifest := _read_json(plan.files.path("manifest.json"))) is not None:
        _refuse_other(plan, manifest)
        _refuse_damaged(plan, manifest)
        return Work(complete=True)
    for files in plan.all_files:
        if filesystems.list_files(files.directory):
            raise InputError(
                f"--data_dir: {files.directory} holds files that no build of this program is responsible for; name"
                f" another"
                " --data_dir, --name or --version, or add --overwrite to delete them."
            )
    if not only_look:
        filesystems.write_bytes(
            claim, json.dumps(plan.configuration).encode(), temporary_folder=plan.files.temporary_folder
        )
    return _find_work(plan, finished_examples=0)


def is_claimed(directory: str) -> bool:
    """Whether a build has begun in a dataset's folder and not ended."""
    return filesystems.exists(filesystems.join(directory, WORK_FOLDER, _CONFIGURATION))


def close_dataset(all_files: Sequence[DatasetFiles]) -> None:
    """Delete what is needed only while the dataset is being made.

    Args:
        all_files: those of the dataset, then those of its companions.
    """
    # The claim first: without it the dataset counts as finished, even if this is interrupted.
    filesystems.delete_file(filesystems.join(all_files[0].work_folder, _CONFIGURATION))
    for files in all_files:
        filesystems.delete_tree(files.work_folder)


def _find_work(plan: BuildPlan, *, finished_examples: int) -> Work:
    finished: list[FinishedShard] = []
    unfinished: list[CompanionShard] = []
    for kind, files in plan.companions.items():
        present = shard_sizes(files)
        for companion in companion_shards(kind, plan.companion_sizes[kind]):
            name = files.shard_name(SPLIT, companion.index, companion.count)
            if name in present:
                finished.append(FinishedShard(files, name, present[name]))
            else:
                unfinished.append(companion)
    return Work(
        complete=False,
        spans=shard_spans(plan.layout),
        unfinished_companions=unfinished,
        finished_companions=finished,
        finished_examples=finished_examples,
    )


def shard_sizes(files: DatasetFiles) -> dict[str, int]:
    """Name -> bytes of every finished shard of a dataset."""
    return filesystems.list_prefix(files.directory, f"{files.name}-")


def _refuse_damaged(plan: BuildPlan, manifest: dict[str, Any]) -> None:
    for files in plan.all_files:
        splits = manifest.get("shards", {}).get(files.name, {}).values()
        written = {shard["file"]: shard["bytes"] for shards in splits for shard in shards}
        there = shard_sizes(files)
        if lost := sorted(name for name, size in written.items() if there.get(name) != size):
            raise InputError(
                f"{files.directory} was finished, but {len(lost)} of its shards are gone or have another size since"
                f" (the first is {lost[0]}); add --overwrite to make it anew."
            )
        if not filesystems.exists(files.path("dataset_info.json")):
            raise InputError(
                f"{files.directory} was finished, but its dataset_info.json is gone since; add --overwrite to make it"
                " anew."
            )


def _refuse_other(plan: BuildPlan, there: dict[str, Any]) -> None:
    here = plan.configuration
    if there.get("fingerprint") == here["fingerprint"]:
        return
    differences = describe_differences(there, here)
    if len(differences) > _MOST_DIFFERENCES:
        differences[_MOST_DIFFERENCES:] = [f"and {len(differences) - _MOST_DIFFERENCES} more"]
    raise InputError(
        f"{plan.files.directory} holds another dataset: {'; '.join(differences)}. Use the flags and inputs of then,"
        f" or another"
        " --data_dir, --name or --version, or add --overwrite to delete it."
    )


def describe_differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """What differs between the configuration of a folder and the one that was asked for, each in some words."""
    differences = []
    for part in ("configuration", "depth_model"):
        old, new = there.get(part) or {}, here.get(part) or {}
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                name = key if part == "configuration" else f"depth model's {key}"
                differences.append(f"{name} is {old.get(key)} there and {new.get(key)} here")
    for kind in ("backgrounds", "foregrounds"):
        old, new = (
            {one["label"]: one["sha256"] for one in side.get("inputs", {}).get(kind, [])} for side in (there, here)
        )
        for label in sorted(old.keys() | new.keys()):
            if label not in new:
                differences.append(f"{kind} {label} is missing here")
            elif label not in old:
                differences.append(f"{kind} {label} is new here")
            elif old[label] != new[label]:
                differences.append(f"{kind} {label} has changed")
    return differences


def _read_json(path: str) -> dict[str, Any] | None:
    if not filesystems.exists(path):
        return None
    try:
        content = json.loads(filesystems.read_bytes(path))
        if not isinstance(content, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); add --overwrite to make the dataset anew.") from error
    return content
