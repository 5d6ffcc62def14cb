"""The Beam graph of a build: which stage feeds which."""

import apache_beam as beam

from pipeline.build_plan import BuildPlan
from pipeline.resume import Work
from transforms.companions import WriteCompanions
from transforms.compositing import CompositeExamples
from transforms.depth import PredictDepth
from transforms.metadata import WriteMetadata
from transforms.placements import ExpandPlacements
from transforms.shards import WriteShards
from transforms.summary import ReadSummaries, SummarizeShardsFn


def build(root: beam.Pipeline, plan: BuildPlan, work: Work) -> None:
    """Make the unfinished shards, then everything that needs all of them."""
    placed = (
        root
        | "ListShards" >> beam.Create(work.unfinished)
        # (first, past the last)
        | "CountShards" >> beam.FlatMap(lambda span: range(*span)).with_output_types(int)
        # The only thing that is ever redistributed is a few hundred integers.
        | "SpreadShards" >> beam.Reshuffle()
        # shard: int
        | "ExpandPlacements" >> ExpandPlacements(plan.layout, plan.rules)
        # (shard, list[Placement])
        | "CompositeExamples" >> CompositeExamples(plan.asset_paths)
        # (shard, ExampleBatch)
    )
    if plan.depth_settings is not None:
        # (shard, ExampleBatch with depth)
        placed |= "PredictDepth" >> PredictDepth(plan.depth_settings)
    written = placed | "WriteShards" >> WriteShards(plan.files, plan.layout, plan.encoding)
    # ShardSummary

    companions = (
        root
        | "ListCompanions" >> beam.Create(work.unfinished_companions)
        | "SpreadCompanions" >> beam.Reshuffle()
        # CompanionShard
        | "WriteCompanions" >> WriteCompanions(plan.companions, plan.asset_paths, plan.schema)
        # ShardSummary
    )
    finished = (
        root
        | "ListFinished" >> beam.Create(work.finished)
        # FinishedShard
        | "ReadSummaries" >> ReadSummaries()
        # ShardSummary
    )
    _ = (
        (written, companions, finished)
        | "GatherSummaries" >> beam.Flatten()
        # ShardSummary
        | "SummarizeShards" >> beam.CombineGlobally(SummarizeShardsFn())
        # BuildSummary
        | "WriteMetadata" >> WriteMetadata(plan.metadata)
        # folder of the dataset
    )
