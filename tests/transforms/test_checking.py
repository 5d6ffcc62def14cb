"""All shards are checked before the metadata: what is there counts once, and what has changed does not count."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from fgbg.errors import RunError
from fgbg.shard_files import ShardSummary, read_summary
from tests.dataset_helpers import SmallDataset
from transforms import CheckShards
from transforms.checking import Delivered, check_shard, delivered_shard, expected_shards
from transforms.finding import shard_spans


@pytest.fixture
def dataset(tmp_path: Path) -> SmallDataset:
    return SmallDataset(tmp_path)


def check(dataset: SmallDataset, summary: ShardSummary, *delivered: Delivered) -> ShardSummary:
    return check_shard(dataset.files, delivered_shard(summary)[0], delivered)


def checked(dataset: SmallDataset, made: Sequence[ShardSummary], expected: list[ShardSummary]) -> None:
    """Check shards as a build does."""
    with beam.Pipeline(runner="FnApiRunner") as root:
        spans = root | beam.Create(shard_spans(dataset.layout))
        there = spans | "Expect" >> beam.FlatMap(expected_shards, dataset=dataset.files.name)
        of_run = root | "Made" >> beam.Create(list(made)) | beam.Map(delivered_shard)
        shards = (there, of_run) | beam.Flatten() | beam.GroupByKey() | CheckShards([dataset.files])
        assert_that(shards, equal_to(expected))


def test_equal_twins_count_once(dataset: SmallDataset) -> None:
    """A runner that computes a stage again delivers a shard twice, and finds it finished as well."""
    summaries = dataset.write_shards()
    checked(dataset, [*summaries, summaries[0], summaries[0]], summaries)


def test_what_the_runner_lost_counts_if_it_is_there(dataset: SmallDataset) -> None:
    """Computed again, looking for shards finds one finished that was made in this run, by results that were lost."""
    summaries = dataset.write_shards()
    checked(dataset, summaries[:1], summaries)


def test_different_twins_are_an_error_that_shows_both(dataset: SmallDataset) -> None:
    summary = dataset.write(0)
    with pytest.raises(RunError) as error:
        check(dataset, summary, (summary.size, summary.sha256), None, (7, "0" * 64), (summary.size, summary.sha256))
    told = str(error.value)
    assert dataset.files.path(summary.file) in told
    assert f"7 bytes of sha256 {'0' * 64}" in told
    assert f"{summary.size:,} bytes of sha256 {summary.sha256}" in told
    # It is made again by the next run.
    assert read_summary(dataset.files, summary.file, summary.size) is None


def test_a_missing_shard_is_an_error(dataset: SmallDataset) -> None:
    summary = dataset.write(0)
    path = Path(dataset.files.path(summary.file))
    path.unlink()
    with pytest.raises(RunError, match=f"{path} cannot be read .*run the same command again"):
        check(dataset, summary, None)


@pytest.mark.parametrize("what", ["byte", "size", "summary", "delivered"])
def test_a_shard_that_has_changed_is_an_error_and_unfinished(dataset: SmallDataset, what: str) -> None:
    summary = dataset.write(0)
    path = Path(dataset.files.path(summary.file))
    data = path.read_bytes()
    delivered: Delivered = None
    if what == "byte":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif what == "size":
        path.write_bytes(data + b"more")
    elif what == "summary":
        Path(dataset.files.summary_path(summary.file)).unlink()
    else:
        delivered = (len(data), "1" * 64)
    now = path.read_bytes()
    with pytest.raises(RunError) as error:
        check(dataset, summary, delivered)
    told = str(error.value)
    assert f"{path} has {len(now):,} bytes of sha256 {hashlib.sha256(now).hexdigest()}" in told
    assert "has changed since it was made" in told
    assert read_summary(dataset.files, summary.file, summary.size) is None
