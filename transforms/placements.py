"""Placements: the position, size and orientation of each cut-out in its composite.

A placement is a pure function of (seed, example_id). Runners, retries and the order of shards do not change it.
"""

from dataclasses import dataclass

import apache_beam as beam
import numpy as np

from fgbg.cross_product import Ids, ShardLayout
from fgbg.random_bits import PLACEMENT_STREAM, random_words, uniform_integers
from transforms.stages import Stage

_STAGE = Stage("ExpandPlacements")


@dataclass(frozen=True, slots=True)
class Placement:
    """The parameters of one example. Lengths are in pixels of the composite; the box lies entirely inside it.

    Attributes:
        example_id: index in the cross product.
        background: index of the background.
        foreground: index of the foreground.
        flipped: whether the cut-out is mirrored left to right.
        placement: 0 .. placements-1, the number of this placement among those of the same pair.
        x: first column of the cut-out.
        y: first row of the cut-out.
        width: columns of the cut-out.
        height: rows of the cut-out.
    """

    example_id: int
    background: int
    foreground: int
    flipped: bool
    placement: int
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PlacementRules:
    """The distribution from which placements are drawn.

    Attributes:
        image_size: side of the square composite, pixels.
        shortest: minimum of the longest side of a placed cut-out, pixels.
        longest: maximum of the longest side of a placed cut-out, pixels, at most `image_size`.
        cutout_sizes: (width, height) of every cut-out before placement. Placing keeps the aspect ratio.
        seed: seed of the dataset.
    """

    image_size: int
    shortest: int
    longest: int
    cutout_sizes: tuple[tuple[int, int], ...]
    seed: int


def side_range(image_size: int, fg_scale: tuple[float, float]) -> tuple[int, int]:
    """Return the minimum and maximum of the longest side, in pixels, for a range of fractions of the image side.

    >>> side_range(200, (0.4, 0.55))
    (80, 110)
    """
    minimum, maximum = fg_scale
    return max(1, round(minimum * image_size)), max(1, round(maximum * image_size))


def placed_size(cutout_size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """Return the (width, height) of a cut-out scaled to `longest_side`, each at least one pixel.

    >>> placed_size((300, 200), 90)
    (90, 60)
    """
    width, height = cutout_size
    scale = longest_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def draw_placements(layout: ShardLayout, rules: PlacementRules, example_ids: Ids) -> list[Placement]:
    """Return the placements of these examples, in the same order.

    The longest side is uniform over shortest .. longest pixels. The position is uniform over all positions at which the
    cut-out lies entirely inside the image. Plain and flipped examples have different ids, so their placements are
    independent.
    """
    words = random_words(rules.seed, PLACEMENT_STREAM, example_ids)
    background, foreground, flipped, placement = layout.product.coordinates(example_ids)
    sides = rules.shortest + uniform_integers(words[:, 0], rules.longest - rules.shortest + 1)
    sizes = np.array(
        [placed_size(rules.cutout_sizes[f], side) for f, side in zip(foreground.tolist(), sides.tolist(), strict=True)],
        np.int64,
    ).reshape(-1, 2)
    x = uniform_integers(words[:, 1], rules.image_size - sizes[:, 0] + 1)
    y = uniform_integers(words[:, 2], rules.image_size - sizes[:, 1] + 1)
    columns = (example_ids, background, foreground, flipped.astype(bool), placement, x, y, sizes[:, 0], sizes[:, 1])
    return [Placement(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


@dataclass(eq=False)
class ExpandPlacements(beam.PTransform):
    """Expands shard numbers into the placements of their examples.

    shard: int -> (shard, list[Placement]), in storage order.

    Attributes:
        layout: assignment of examples to shards.
        rules: distribution of the placements.
    """

    layout: ShardLayout
    rules: PlacementRules

    def expand(self, shards: beam.PCollection[int]) -> beam.PCollection[tuple[int, list[Placement]]]:
        """Apply `draw_placements` to each shard."""
        return shards | "DrawPlacements" >> beam.Map(_expand_shard, self.layout, self.rules)


def _expand_shard(shard: int, layout: ShardLayout, rules: PlacementRules) -> tuple[int, list[Placement]]:
    with _STAGE.timed():
        placements = draw_placements(layout, rules, layout.example_ids(shard))
    return shard, placements
