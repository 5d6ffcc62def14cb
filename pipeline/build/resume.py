"""What an earlier run left: refuse what is another dataset, resume what is this one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from fgbg import filesystems
from fgbg.claims import is_claimed
from fgbg.companions import CompanionShard, companion_shards
from fgbg.errors import InputError
from fgbg.shard_files import DatasetFiles, shard_sizes
from pipeline.build.build_plan import WORDING, BuildPlan
from transforms.finding import FinishedExamples, ShardSpan, shard_spans

# In the claim while `--overwrite` deletes what was there: half of a dataset must not be resumed.
_DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Work:
    """What is left to do.

    Attributes:
        complete: whether everything is there, the metadata too.
        spans: in which workers look for shards to make; all of them, for the launcher does not know what is there.
        companions: all shards of the companion datasets; workers make those that are not there.
        finished_examples: examples in shards of the dataset itself that are there.
    """

    complete: bool
    spans: list[ShardSpan] = field(default_factory=list)
    companions: list[CompanionShard] = field(default_factory=list)
    finished_examples: int = 0


@contextmanager
def opened_dataset(plan: BuildPlan) -> Iterator[Work]:
    """`open_dataset`, and on a local disk keep other builds out while the block runs.

    A complete dataset is not touched, but for what a run left of it that was killed while it tidied up.

    Raises:
        InputError: the folder holds another dataset, or another process is making it.
        RunError: the folder cannot be written.
    """
    work = open_dataset(plan, only_look=True)
    if work.complete:
        _tidy_up(plan)
        yield work
    else:
        with plan.claim.locked():
            yield open_dataset(plan)


def open_dataset(plan: BuildPlan, *, only_look: bool = False) -> Work:
    """Claim the dataset's folder for this configuration, or find what an earlier run of it left there.

    Args:
        plan: the build.
        only_look: write and delete nothing.

    Raises:
        InputError: the folder holds another dataset; what differs is named.
        RunError: the folder cannot be written.
    """
    claim = plan.claim
    if plan.options.overwrite:
        if not only_look:
            _delete_dataset(plan)
        return _work(plan, finished_examples=0)
    if (stored := claim.stored()) is not None:
        _refuse_other_packages(plan, stored)
        if _DELETING not in stored:
            if not only_look and "fingerprint" not in stored:
                claim.write()
            return _work(plan, finished_examples=FinishedExamples(plan.files, plan.layout).count())
        if not only_look:
            _delete_dataset(plan)
        return _work(plan, finished_examples=0)
    if (manifest := claim.stored(plan.files.path("manifest.json"))) is not None:
        _refuse_damaged(plan, manifest)
        return Work(complete=True)
    claim.refuse_foreign()
    if not only_look:
        claim.write()
    return _work(plan, finished_examples=0)


def is_complete(plan: BuildPlan) -> bool:
    """Whether the dataset is there, made from this configuration, and nobody has a claim to it."""
    claim = plan.claim
    try:
        return claim.stored() is None and claim.stored(plan.files.path("manifest.json")) is not None
    except InputError:
        return False


def close_dataset(all_files: Sequence[DatasetFiles]) -> None:
    """Delete what is needed only while the dataset is being made, unless another configuration has claimed it.

    Args:
        all_files: those of the dataset, then those of its companions.
    """
    # The claim first: without it the dataset counts as finished, even if this is interrupted.
    claim = all_files[0].claim
    if claim is None or claim.release():
        _delete_work(all_files)


def _work(plan: BuildPlan, *, finished_examples: int) -> Work:
    companions = [shard for kind, size in plan.companion_sizes.items() for shard in companion_shards(kind, size)]
    return Work(False, shard_spans(plan.layout), companions, finished_examples)


def _delete_dataset(plan: BuildPlan) -> None:
    """Claim the folders and delete everything else in them; if this is killed, the claim says what is to be done."""
    claim = plan.claim
    claim.write(**{_DELETING: True})
    claim.delete_others()
    claim.write()


def _tidy_up(plan: BuildPlan) -> None:
    """Delete what a run left that was killed after the dataset was complete."""
    if not any(filesystems.exists(files.work_folder) for files in plan.all_files):
        return
    with suppress(InputError), plan.claim.locked():  # whoever has the lock tidies up as well
        if not is_claimed(plan.files.work_folder):
            _delete_work(plan.all_files)


def _delete_work(all_files: Sequence[DatasetFiles]) -> None:
    for files in all_files:
        filesystems.delete_tree(files.work_folder)


def _refuse_other_packages(plan: BuildPlan, stored: Mapping[str, Any]) -> None:
    """A dataset is not made by two encoders: `verify` could not tell which of them made which shard."""
    recorded = stored.get("made_with")
    then, now = recorded if isinstance(recorded, dict) else {}, plan.configuration["made_with"]
    changed = [
        package
        for package in plan.deciding_packages
        if package in then and package in now and then[package] != now[package]
    ]
    if not changed:
        return
    differences = ", ".join(f"{package} {then[package]} (installed: {now[package]})" for package in changed)
    requirements = " ".join(f"'{package}=={then[package]}'" for package in changed)
    raise InputError(
        f"{WORDING.flag}: {plan.files.directory} was begun with {differences}, and other versions can give other bytes;"
        f" install what it was begun with by: pip install {requirements} and run the same command again, or"
        f" {WORDING.remedy}."
    )


def _refuse_damaged(plan: BuildPlan, manifest: dict[str, Any]) -> None:
    for files in plan.all_files:
        splits = manifest.get("shards", {}).get(files.name, {}).values()
        written = {shard["file"]: shard["bytes"] for shards in splits for shard in shards}
        present = shard_sizes(files)
        if lost := sorted(name for name, size in written.items() if present.get(name) != size):
            raise InputError(
                f"{files.directory} was finished, but {len(lost)} of its shards are missing or have another size now"
                f" (the first is {lost[0]}); add --overwrite to make it again."
            )
        if not filesystems.exists(files.path("dataset_info.json")):
            raise InputError(
                f"{files.directory} was finished, but its dataset_info.json is missing now; add --overwrite to make it"
                " again."
            )
