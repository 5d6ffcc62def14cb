"""All shards are checked before the metadata are written: every file must have the sha256 of its summary.

The filesystem decides what is there, not what the runner delivered. So it does no harm when a runner computes a stage
again and finds shards finished that it made itself, or when two builds of the same configuration run at once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import apache_beam as beam

from fgbg import filesystems
from fgbg.companions import SPLIT, CompanionShard
from fgbg.errors import RunError
from fgbg.shard_files import DatasetFiles, ShardSummary, read_summary
from transforms.finding import ShardSpan
from transforms.stages import Stage

_STAGE = Stage("CheckShards")

# Dataset, split, number in the split, shards of the split.
ShardKey = tuple[str, str, int, int]
# Size and sha256 of a shard that was made in this run; None for the mere expectation that it is there.
Delivered = tuple[int, str] | None


def expected_shards(span: ShardSpan, dataset: str) -> Iterator[tuple[ShardKey, Delivered]]:
    """The shards of a span, which must be there in the end."""
    for index in span.indices:
        yield (dataset, span.split, index, span.count), None


def expected_companion(shard: CompanionShard, files: Mapping[str, DatasetFiles]) -> tuple[ShardKey, Delivered]:
    """A companion shard, which must be there in the end."""
    return (files[shard.kind].name, SPLIT, shard.index, shard.count), None


def delivered_shard(summary: ShardSummary) -> tuple[ShardKey, Delivered]:
    """A shard that was made in this run."""
    return (summary.dataset, summary.split, summary.index, summary.count), (summary.size, summary.sha256)


def check_shard(files: DatasetFiles, key: ShardKey, delivered: Iterable[Delivered]) -> ShardSummary:
    """Read a shard again and compare it with its summary.

    Args:
        files: its dataset.
        key: which shard.
        delivered: how often it was made in this run, and with which bytes; twins must be equal.

    Raises:
        RunError: the shard is missing, was made twice with different bytes, or has changed since it was made. A shard
            that has changed counts as unfinished from now on.
    """
    _, split, index, count = key
    name = files.shard_name(split, index, count)
    made = sorted({one for one in delivered if one is not None})
    if len(made) > 1:
        twins = " and once with ".join(f"{size:,} bytes of sha256 {sha256}" for size, sha256 in made)
        _forget(files, name)
        raise RunError(
            f"{files.path(name)} was made twice with different bytes, once with {twins}: the workers differ in their"
            " packages or machines; use equal workers and run the same command again, which makes the shard again."
        )
    try:
        stored = filesystems.digest(files.path(name))
    except OSError as error:
        raise RunError(
            f"{files.path(name)} cannot be read ({error.strerror or error}): the runner or another program lost it; run"
            " the same command again, which makes the shard again."
        ) from error
    summary = read_summary(files, name, stored[0])
    if summary is None or {(summary.size, summary.sha256), *made} != {stored}:
        _forget(files, name)
        expected = made[0] if made else summary and (summary.size, summary.sha256)
        was = f", made with {expected[0]:,} bytes of sha256 {expected[1]}" if expected else ""
        raise RunError(
            f"{files.path(name)} has {stored[0]:,} bytes of sha256 {stored[1]}{was}: it or its summary has changed"
            " since it was made; make sure that nothing else writes there and run the same command again, which"
            " makes the shard again."
        )
    return summary


def _forget(files: DatasetFiles, name: str) -> None:
    files.check_claim()
    filesystems.delete_file(files.summary_path(name))


@dataclass(eq=False)
class CheckShards(beam.PTransform):
    """Shards that must be there, with what was made of them in this run, to their summaries.

    (ShardKey, iterable of Delivered) -> ShardSummary.
    """

    all_files: Sequence[DatasetFiles]

    def expand(self, shards: beam.PCollection[tuple[ShardKey, Iterable[Delivered]]]) -> beam.PCollection[ShardSummary]:
        """Wire `check_shard`."""
        return shards | "ReadAgain" >> beam.Map(_check_shard, files={files.name: files for files in self.all_files})


def _check_shard(shard: tuple[ShardKey, Iterable[Delivered]], files: Mapping[str, DatasetFiles]) -> ShardSummary:
    key, delivered = shard
    with _STAGE.timed():
        summary = check_shard(files[key[0]], key, delivered)
    _STAGE.count("shards")
    return summary
