"""How every example follows from the pictures and from what the manifest records.

The one place where a recorded configuration becomes a layout, placements and an encoding: a build makes its stages from
it and a verification makes the same again, so that they cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fgbg.cross_product import CrossProduct, ShardLayout, make_splits
from fgbg.features import Labels, Schema
from fgbg.settings import LOSSLESS
from transforms.encoding import ExampleEncoding
from transforms.placements import PlacementRules


@dataclass(frozen=True)
class Recipe:
    """What decides each example.

    Attributes:
        layout: how examples are spread over shards.
        rules: what placements are drawn from.
        encoding: how examples are encoded.
        schema: what the fields depend on.
    """

    layout: ShardLayout
    rules: PlacementRules
    encoding: ExampleEncoding
    schema: Schema


def make_recipe(
    configuration: Mapping[str, Any],
    backgrounds: Labels,
    foregrounds: Labels,
    cutout_sizes: tuple[tuple[int, int], ...],
    depth_kind: str | None,
) -> Recipe:
    """The recipe of a dataset.

    Args:
        configuration: `configuration` of the manifest.
        backgrounds: names and classes of the backgrounds.
        foregrounds: names and classes of the foregrounds.
        cutout_sizes: (width, height) of every cut-out before placement.
        depth_kind: "metric", "relative", or None without depth.

    Raises:
        InputError: the held-out fraction leaves a split empty.
    """
    image_size, seed, quality = (configuration[key] for key in ("image_size", "seed", "jpeg_quality"))
    shortest, longest = configuration["placed_sides"]
    product = CrossProduct(len(backgrounds.names), len(foregrounds.names), configuration["placements"])
    splits = make_splits(
        product, test_fraction=configuration["test_fraction"], split_by=configuration["split_by"], seed=seed
    )
    return Recipe(
        layout=ShardLayout(product, splits, configuration["examples_per_shard"], seed),
        rules=PlacementRules(image_size, shortest, longest, cutout_sizes, seed),
        encoding=ExampleEncoding(
            jpeg_quality=None if quality == LOSSLESS else quality,
            background_class=backgrounds.class_ids,
            foreground_class=foregrounds.class_ids,
        ),
        schema=Schema(
            image_size=image_size,
            backgrounds=backgrounds,
            foregrounds=foregrounds,
            lossless=quality == LOSSLESS,
            depth_bits=configuration["depth_bits"],
            depth_kind=depth_kind,
        ),
    )
