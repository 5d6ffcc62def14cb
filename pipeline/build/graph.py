"""The Beam graph of a build: which stage feeds which."""

from collections.abc import Sequence

import apache_beam as beam

from fgbg.errors import portable_errors
from fgbg.shard_files import DatasetFiles
from pipeline.build import resume
from pipeline.build.build_plan import BuildPlan
from pipeline.build.resume import Work
from transforms.checking import CheckShards, delivered_shard, expected_companion, expected_shards
from transforms.companions import WriteCompanions
from transforms.compositing import CompositeExamples
from transforms.depth import PredictDepth
from transforms.finding import FindShards
from transforms.metadata import WriteMetadata
from transforms.placements import ExpandPlacements
from transforms.shards import WriteShards
from transforms.summaries import SummarizeShardsFn


def build(root: beam.Pipeline, plan: BuildPlan, work: Work) -> None:
    """Make the unfinished shards, then everything that needs all of them."""
    spans = root | "ListSpans" >> beam.Create(work.spans) | "SpreadSpans" >> beam.Reshuffle()
    # ShardSpan

    # All of these on the same kind of worker: between two kinds, images would cross a shuffle.
    expand_placements = ExpandPlacements(plan.layout, plan.rules)
    composite_examples = CompositeExamples(plan.asset_paths, plan.options.picture_memory)
    predict_depth = PredictDepth(plan.depth_settings) if plan.depth_settings else None
    write_shards = WriteShards(plan.files, plan.layout, plan.encoding)
    for stage in filter(None, (expand_placements, composite_examples, predict_depth, write_shards)):
        stage.with_resource_hints(**plan.options.resource_hints)

    composited = (
        spans
        | "FindShards" >> FindShards(plan.files)
        # Numbers of shards are all that is ever redistributed.
        | "SpreadShards" >> beam.Reshuffle()
        # shard: int
        | "ExpandPlacements" >> expand_placements
        # (shard, list[Placement])
        | "CompositeExamples" >> composite_examples
        # (shard, ExampleBatch)
    )
    if predict_depth:
        # (shard, ExampleBatch with depth)
        composited |= "PredictDepth" >> predict_depth
    written = composited | "WriteShards" >> write_shards
    # ShardSummary

    companion_shards = root | "ListCompanions" >> beam.Create(work.companions) | "SpreadCompanions" >> beam.Reshuffle()
    # CompanionShard
    companions = companion_shards | "WriteCompanions" >> WriteCompanions(plan.companions, plan.asset_paths, plan.schema)
    # ShardSummary

    made = (written, companions) | "GatherMade" >> beam.Flatten() | "DescribeMade" >> beam.Map(delivered_shard)
    expected = spans | "ExpectShards" >> beam.FlatMap(expected_shards, dataset=plan.files.name)
    expected_companions = companion_shards | "ExpectCompanions" >> beam.Map(expected_companion, files=plan.companions)
    # (ShardKey, Delivered)
    _ = (
        (expected, expected_companions, made)
        | "GatherShards" >> beam.Flatten()
        # Nothing is checked before everything is written; and each shard is checked, and counts, once.
        | "AwaitShards" >> beam.GroupByKey()
        # (ShardKey, Iterable[Delivered])
        | "CheckShards" >> CheckShards(plan.all_files)
        # ShardSummary
        | "SummarizeShards" >> beam.CombineGlobally(SummarizeShardsFn())
        # BuildSummary
        | "WriteMetadata" >> WriteMetadata(plan.metadata)
        # folder of the dataset
        | "AwaitMetadata" >> beam.Reshuffle()
        # Here and not in the launcher, which need not wait for the end.
        | "CloseDataset" >> beam.Map(_close_dataset, all_files=plan.all_files)
    )


def _close_dataset(_folder: str, all_files: Sequence[DatasetFiles]) -> None:
    with portable_errors():
        resume.close_dataset(all_files)
