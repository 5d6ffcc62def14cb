"""A whole small dataset made by the plain functions, without Beam: what the stages must come to."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fgbg.companions import companion_shards
from fgbg.cross_product import CrossProduct, ShardLayout, make_splits
from fgbg.documents import DatasetMetadata
from fgbg.features import Labels, Schema
from fgbg.shard_files import DatasetFiles, ShardSummary, write_shard
from fgbg.summary import BuildSummary
from tests.pictures_helpers import make_schema, write_pictures
from transforms.assets import AssetPaths, Assets
from transforms.companions import write_companion
from transforms.compositing import ExampleBatch, composite_batch
from transforms.encoding import ExampleEncoding, encode_batch
from transforms.placements import PlacementRules, draw_placements
from transforms.shards import count_placements, summarize_batch
from transforms.summaries import SummarizeShardsFn

IMAGE_SIZE = 16


@dataclass
class SmallDataset:
    """3 backgrounds x 2 foregrounds x 2 x 3 placements = 36 examples in train (24) and test (12), 10 in a shard."""

    folder: Path
    depth_bits: int | None = None
    file_format: str = "tfrecord"

    def __post_init__(self) -> None:
        self.paths: AssetPaths = write_pictures(self.folder / "inputs", IMAGE_SIZE)
        self.assets = Assets(self.paths)
        self.schema: Schema = make_schema(IMAGE_SIZE, depth_bits=self.depth_bits)
        product = CrossProduct(3, 2, 3)
        splits = make_splits(product, test_fraction=0.4, split_by="background", seed=0)
        self.layout = ShardLayout(product, splits, examples_per_shard=10, seed=0)
        sizes = tuple((cutout.shape[1], cutout.shape[0]) for cutout in map(self.assets.cutout, range(2)))
        self.rules = PlacementRules(IMAGE_SIZE, 5, 8, sizes, seed=0)
        self.files = self.files_of("small")
        self.companions = {kind: self.files_of(f"small_{kind}") for kind in ("background", "foreground")}
        self.encoding = ExampleEncoding(None, self.schema.backgrounds.class_ids, self.schema.foregrounds.class_ids)

    def files_of(self, name: str) -> DatasetFiles:
        return DatasetFiles(str(self.folder / "data"), name, "1.0.0", self.file_format)

    def batch(self, shard: int) -> ExampleBatch:
        """The examples of a shard, with a depth that only looks like one."""
        placements = draw_placements(self.layout, self.rules, self.layout.example_ids(shard))
        batch = composite_batch(placements, self.assets, IMAGE_SIZE)
        if self.depth_bits is None:
            return batch
        red = batch.fg_bg[..., 0].astype(np.uint16)
        return replace(batch, depth=red.astype(np.uint8) if self.depth_bits == 8 else red * 37 + 100)

    def write(self, shard: int) -> ShardSummary:
        """One shard file."""
        place, batch = self.layout.locate(shard), self.batch(shard)
        examples = encode_batch(self.encoding, batch)
        return write_shard(
            self.files,
            split=place.split.name,
            index=place.index,
            count=place.count,
            examples=examples,
            moments=summarize_batch(batch),
            placements=count_placements(batch, self.encoding),
        )

    def write_shards(self) -> list[ShardSummary]:
        """All shards of the dataset itself."""
        return [self.write(shard) for shard in range(self.layout.num_shards)]

    def write_all(self) -> BuildSummary:
        """All shards of the dataset and its companions."""
        companions = [
            write_companion(shard, self.companions[kind], self.paths, self.schema)
            for kind, pictures in (("background", 3), ("foreground", 2))
            for shard in companion_shards(kind, pictures)
        ]
        return summarize([*self.write_shards(), *companions])

    @property
    def metadata(self) -> DatasetMetadata:
        """Enough of a configuration for the card."""
        depth = self.depth_bits and {
            "weights": "w.h5",
            "sha256": "0123456789abcdef",
            "engine": "keras",
            "precision": "float32",
            "input_size": [640, 480],
            "kind": self.schema.depth_kind,
        }
        configuration = {
            "fingerprint": "f",
            "configuration": {
                "image_size": IMAGE_SIZE,
                "placements": 3,
                "placed_sides": [5, 8],
                "seed": 0,
                "jpeg_quality": "png",
                "depth_bits": self.depth_bits,
                "test_fraction": 0.4,
                "split_by": "background",
            },
            "depth_model": depth,
            "held_out": [self.schema.backgrounds.names[i] for i in self.layout.splits[1].backgrounds],
            "inputs": {
                "backgrounds": _inputs(self.schema.backgrounds),
                "foregrounds": _inputs(self.schema.foregrounds),
            },
        }
        skipped = (("bg/cut.jpg", "is truncated"),)
        return DatasetMetadata(self.files, self.companions, self.schema, configuration, skipped)


def _inputs(labels: Labels) -> list[dict[str, str]]:
    return [{"label": name, "class": kind} for name, kind in zip(labels.names, labels.class_of, strict=True)]


def summarize(shards: list[ShardSummary]) -> BuildSummary:
    """What the CombineFn makes of them, one after the other."""
    combine = SummarizeShardsFn()
    accumulator = combine.create_accumulator()
    for shard in shards:
        accumulator = combine.add_input(accumulator, shard)
    return combine.extract_output(accumulator)
