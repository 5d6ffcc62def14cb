"""Adding up shards: in any order, none lost, none twice."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fgbg.errors import RunError
from fgbg.shard_files import FieldSummary, ShardSummary
from fgbg.statistics import Moments
from tests.dataset_helpers import SmallDataset, summarize
from transforms.summaries import SummarizeShardsFn


def make_shards(count: int = 6) -> list[ShardSummary]:
    """Shards of one split, of one pixel each."""
    return [
        ShardSummary(
            dataset="small",
            split="train",
            index=i,
            count=count,
            file=f"shard-{i}",
            examples=10 + i,
            size=1_000 + i,
            sha256=f"{i:064}",
            fields={"mask": FieldSummary(i, Moments.of(np.full((1, 1), i, np.uint8)))},
        )
        for i in range(count)
    ]


def test_splits_add_up(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    shards = dataset.write_shards()
    summary = summarize(shards)
    assert {key: split.examples for key, split in summary.items()} == {("small", "train"): 24, ("small", "test"): 12}
    for (_, name), split in summary.items():
        assert split.size == sum(path.stat().st_size for path in Path(dataset.files.directory).glob(f"small-{name}.*"))
        batches = [dataset.batch(i).fg_bg for i, shard in enumerate(shards) if shard.split == name]
        assert split.fields["fg_bg"].moments == Moments.of(np.concatenate(batches))


def test_order_and_grouping_do_not_matter() -> None:
    shards, combine = make_shards(), SummarizeShardsFn()
    expected = summarize(shards)
    random.Random(0).shuffle(shards)
    groups = [summarize(shards[:1]), summarize([]), summarize(shards[1:4]), summarize(shards[4:])]
    assert combine.extract_output(combine.merge_accumulators(groups)) == expected


def test_shards_come_by_number() -> None:
    shards = make_shards()
    (split,) = summarize(shards[::-1]).values()
    assert [record.file for record in split.ordered_shards] == [shard.file for shard in shards]


def test_a_lost_shard_is_an_error() -> None:
    shards = make_shards()
    (split,) = summarize([shards[0], *shards[3:]]).values()
    with pytest.raises(RunError, match=r"2 of 6 shards were not made \(the first is number 1\)"):
        _ = split.ordered_shards


def test_no_shard_counts_twice() -> None:
    shard = make_shards()[3]
    with pytest.raises(RunError, match="shard-3 was counted twice"):
        summarize([shard, replace(shard, file="shard-3")])
