"""The stages of the pipeline, for use in any Beam pipeline.

    shards
    | ExpandPlacements(layout, rules)            # int -> (int, list[Placement])
    | CompositeExamples(asset_paths)             # -> (int, ExampleBatch)
    | PredictDepth(depth_settings)               # -> (int, ExampleBatch with depth)
    | WriteShards(files, layout, encoding)       # -> ShardSummary
    | beam.CombineGlobally(SummarizeShardsFn())  # -> BuildSummary
    | WriteMetadata(metadata)                    # -> folder of the dataset

`pipeline.build.graph` shows all of them at work.
"""

from fgbg.companions import CompanionShard
from fgbg.cross_product import CrossProduct, ShardLayout, Split, make_splits
from fgbg.depth_models.model import DepthModel, load_depth_model
from fgbg.documents import DatasetMetadata
from fgbg.errors import InputError, RunError
from fgbg.shard_files import DatasetFiles, ShardSummary
from fgbg.statistics import Moments
from fgbg.summary import BuildSummary
from transforms.assets import AssetPaths
from transforms.checking import CheckShards
from transforms.companions import WriteCompanions
from transforms.compositing import CompositeExamples, ExampleBatch
from transforms.depth import DepthSettings, PredictDepth
from transforms.encoding import ExampleEncoding
from transforms.metadata import WriteMetadata
from transforms.moments import MomentsFn
from transforms.placements import ExpandPlacements, Placement, PlacementRules
from transforms.shards import WriteShards
from transforms.summaries import SummarizeShardsFn

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
