"""Placements: where each cut-out goes, how large it is, and whether it is mirrored.

A pure function of (seed, example_id): the same on every runner, in any order, however often a shard is tried again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import apache_beam as beam
import numpy as np

from transforms.cross_product import Ids, ShardLayout
from transforms.random_bits import PLACEMENT_STREAM, random_words, uniform_integers
from transforms.stages import Stage

_STAGE = Stage("ExpandPlacements")


@dataclass(frozen=True, slots=True)
class Placement:
    """One example before it is drawn. Lengths are pixels of the composite; the box lies fully inside it.

    Attributes:
        example_id: number in the cross product.
        background: index of the background.
        foreground: index of the foreground.
        flipped: mirrored left-right.
        placement: 0 .. placements-1, which of the random placements of this pair.
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
    """What placements are drawn from.

    Attributes:
        image_size: side of the square composite, pixels.
        shortest: smallest longest side of a placed cut-out, pixels.
        longest: largest longest side of a placed cut-out, pixels, at most `image_size`.
        cutout_sizes: (width, height) of every cut-out before placement, whose ratio is kept.
        seed: seed of the dataset.
    """

    image_size: int
    shortest: int
    longest: int
    cutout_sizes: tuple[tuple[int, int], ...]
    seed: int


def side_range(image_size: int, fg_scale: tuple[float, float]) -> tuple[int, int]:
    """Smallest and largest longest side in pixels for a range of fractions of the image side.

    >>> side_range(200, (0.4, 0.55))
    (80, 110)
    """
    smallest, largest = fg_scale
    return max(1, round(smallest * image_size)), max(1, round(largest * image_size))


def placed_size(cutout_size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """(width, height) of a cut-out whose longest side becomes `longest_side`, its ratio kept, at least one pixel each.

    >>> placed_size((300, 200), 90)
    (90, 60)
    """
    width, height = cutout_size
    scale = longest_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def draw_placements(layout: ShardLayout, rules: PlacementRules, example_ids: Ids) -> list[Placement]:
    """The placements of these examples, in their order.

    The longest side is uniform over shortest .. longest pixels, then the position is uniform over all positions at
    which the cut-out lies fully inside the image. Plain and flipped examples have ids of their own, so their draws are
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


class ExpandPlacements(beam.PTransform):
    """Shard numbers to the placements of the shard's examples.

    shard: int -> (shard, list[Placement]), in the order in which the shard stores them.
    """

    def __init__(self, layout: ShardLayout, rules: PlacementRules) -> None:
        super().__init__()
        self._layout = layout
        self._rules = rules

    def expand(self, shards: beam.PCollection[int]) -> beam.PCollection[tuple[int, list[Placement]]]:
        """Wire `draw_placements`."""
        return shards | "DrawPlacements" >> beam.ParDo(_ExpandPlacements(self._layout, self._rules))


class _ExpandPlacements(beam.DoFn):
    def __init__(self, layout: ShardLayout, rules: PlacementRules) -> None:
        self._layout = layout
        self._rules = rules

    def process(self, shard: int) -> Iterable[tuple[int, list[Placement]]]:
        with _STAGE.timed():
            placements = draw_placements(self._layout, self._rules, self._layout.example_ids(shard))
        yield shard, placements
