"""The stages of the pipeline, for use in any Beam pipeline.

    shards
    | ExpandPlacements(layout, rules)            # int -> (int, list[Placement])
    | CompositeExamples(asset_paths)             # -> (int, ExampleBatch)
    | PredictDepth(depth_settings)               # -> (int, ExampleBatch with depth)
    | WriteShards(files, layout, encoding)       # -> ShardSummary
    | beam.CombineGlobally(SummarizeShardsFn())  # -> BuildSummary
    | WriteMetadata(metadata)                    # -> folder of the dataset

`pipeline.graph` shows all of them at work.
"""

from transforms.assets import AssetPaths
from transforms.checking import CheckShards
from transforms.companions import CompanionShard, WriteCompanions
from transforms.compositing import CompositeExamples, ExampleBatch
from transforms.cross_product import CrossProduct, ShardLayout, Split, make_splits
from transforms.depth import DepthSettings, PredictDepth
from transforms.depth_models import DepthModel, load_depth_model
from transforms.encoding import ExampleEncoding
from transforms.errors import InputError, RunError
from transforms.metadata import DatasetMetadata, WriteMetadata
from transforms.placements import ExpandPlacements, Placement, PlacementRules
from transforms.shards import DatasetFiles, ShardSummary, WriteShards
from transforms.statistics import Moments, MomentsFn
from transforms.summary import BuildSummary, SummarizeShardsFn

__all__ = [
    "AssetPaths",
    "BuildSummary",
    "CheckShards",
    "CompanionShard",
    "CompositeExamples",
    "CrossProduct",
    "DatasetFiles",
    "DatasetMetadata",
    "DepthModel",
    "DepthSettings",
    "ExampleBatch",
    "ExampleEncoding",
    "ExpandPlacements",
    "InputError",
    "Moments",
    "MomentsFn",
    "Placement",
    "PlacementRules",
    "PredictDepth",
    "RunError",
    "ShardLayout",
    "ShardSummary",
    "Split",
    "SummarizeShardsFn",
    "WriteCompanions",
    "WriteMetadata",
    "WriteShards",
    "load_depth_model",
    "make_splits",
]
