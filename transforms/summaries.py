"""From the summaries of shards to one summary of everything that was made."""

from collections.abc import Iterable

import apache_beam as beam

from fgbg.shard_files import ShardSummary
from fgbg.summary import BuildSummary, ShardRecord, SplitSummary


class SummarizeShardsFn(beam.CombineFn):
    """ShardSummary of all datasets to a BuildSummary. Exact and independent of order: only integers are added."""

    def create_accumulator(self) -> BuildSummary:
        """Nothing seen yet."""
        return {}

    def add_input(self, accumulator: BuildSummary, shard: ShardSummary) -> BuildSummary:
        """Add one shard."""
        split = accumulator.setdefault((shard.dataset, shard.split), SplitSummary(shard.count))
        record = ShardRecord(shard.file, shard.examples, shard.size, shard.sha256)
        split.add({shard.index: record}, shard.fields, shard.placements)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[BuildSummary]) -> BuildSummary:
        """Add up."""
        merged: BuildSummary = {}
        for accumulator in accumulators:
            for key, split in accumulator.items():
                merged.setdefault(key, SplitSummary(split.count)).add(split.shards, split.fields, split.placements)
        return merged

    def extract_output(self, accumulator: BuildSummary) -> BuildSummary:
        """The sums themselves."""
        return accumulator
