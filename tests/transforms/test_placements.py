"""Placements: bounds, distribution, and dependence on seed and example id alone."""

import dataclasses
from fractions import Fraction

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from fgbg.cross_product import CrossProduct, ShardLayout, make_splits
from transforms.placements import ExpandPlacements, Placement, PlacementRules, draw_placements, placed_size, side_range

sizes = st.tuples(st.integers(1, 5_000), st.integers(1, 5_000))


@st.composite
def rules(draw: st.DrawFn) -> PlacementRules:
    """Draw rules for three cut-outs."""
    image_size = draw(st.integers(1, 300))
    shortest = draw(st.integers(1, image_size))
    longest = draw(st.integers(shortest, image_size))
    cutout_sizes = tuple(draw(sizes) for _ in range(3))
    return PlacementRules(image_size, shortest, longest, cutout_sizes, draw(st.integers(0, 2**64 - 1)))


def make_layout(backgrounds: int = 4, foregrounds: int = 3, placements: int = 5) -> ShardLayout:
    product = CrossProduct(backgrounds, foregrounds, placements)
    return ShardLayout(product, make_splits(product, test_fraction=0, split_by="background", seed=0), 25, seed=0)


def draw_all(layout: ShardLayout, rules: PlacementRules) -> list[Placement]:
    return draw_placements(layout, rules, np.arange(layout.product.size))


LAYOUT = make_layout()


@given(rules=rules())
def test_placements_lie_inside_the_image(rules: PlacementRules) -> None:
    for one in draw_all(LAYOUT, rules):
        assert 0 <= one.x < one.x + one.width <= rules.image_size
        assert 0 <= one.y < one.y + one.height <= rules.image_size


@given(rules=rules())
def test_longest_side_is_in_its_range(rules: PlacementRules) -> None:
    assert all(rules.shortest <= max(one.width, one.height) <= rules.longest for one in draw_all(LAYOUT, rules))


@given(size=sizes, side=st.integers(1, 1_000))
def test_placed_size_keeps_the_aspect_ratio_to_the_nearest_pixel(size: tuple[int, int], side: int) -> None:
    placed = placed_size(size, side)
    assert max(placed) == side
    for pixels, before in zip(placed, size, strict=True):
        exact = Fraction(before * side, max(size))
        assert pixels == 1 if exact < 1 else abs(pixels - exact) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("image_size", "fg_scale", "sides"),
    [(224, (0.4, 0.55), (90, 123)), (16, (1, 1), (16, 16)), (16, (0.01, 0.01), (1, 1))],
)
def test_side_range(image_size: int, fg_scale: tuple[float, float], sides: tuple[int, int]) -> None:
    assert side_range(image_size, fg_scale) == sides


def test_positions_are_uniform() -> None:
    # A 4x2 cut-out has 5 x 7 positions in an 8x8 image, including the four corners.
    layout = make_layout(backgrounds=1, foregrounds=1, placements=3_500)
    drawn = draw_all(layout, PlacementRules(8, 4, 4, ((4, 2),), seed=0))
    counts = np.zeros((7, 5))
    for one in drawn:
        counts[one.y, one.x] += 1
    assert np.abs((counts - 200) / np.sqrt(200)).max() < 4


def test_sizes_are_uniform() -> None:
    layout = make_layout(backgrounds=1, foregrounds=1, placements=2_000)
    drawn = draw_all(layout, PlacementRules(32, 10, 19, ((8, 3),), seed=0))
    widths = np.bincount([one.width for one in drawn], minlength=20)
    assert np.abs((widths[10:] - 400) / np.sqrt(400)).max() < 4


def test_cutout_as_large_as_the_image_has_one_position() -> None:
    assert {(one.x, one.y) for one in draw_all(LAYOUT, PlacementRules(16, 16, 16, ((5, 5),) * 3, seed=0))} == {(0, 0)}


@given(rules=rules(), data=st.data())
def test_placements_do_not_depend_on_order_or_batches(rules: PlacementRules, data: st.DataObject) -> None:
    ids = np.array(data.draw(st.permutations(range(LAYOUT.product.size))))
    cut = data.draw(st.integers(0, len(ids)))
    batches = draw_placements(LAYOUT, rules, ids[:cut]) + draw_placements(LAYOUT, rules, ids[cut:])
    assert sorted(batches, key=lambda one: one.example_id) == draw_all(LAYOUT, rules)


def test_seed_changes_the_placements() -> None:
    rules = PlacementRules(224, 90, 123, ((100, 80),) * 3, seed=0)
    pairs = zip(draw_all(LAYOUT, rules), draw_all(LAYOUT, dataclasses.replace(rules, seed=1)), strict=True)
    assert sum(a == b for a, b in pairs) == 0


def test_plain_and_flipped_placements_are_independent() -> None:
    layout = make_layout(backgrounds=1, foregrounds=1, placements=2_000)
    drawn = draw_all(layout, PlacementRules(224, 90, 123, ((100, 80),), seed=0))
    values = np.array([(one.width, one.x, one.y) for one in drawn], float)
    plain, flipped = values[:2_000], values[2_000:]
    assert (plain != flipped).any(axis=1).all()
    # Three standard deviations of the correlation of 2,000 independent pairs.
    assert np.abs(np.corrcoef(plain.T, flipped.T)[:3, 3:]).max() < 3 / np.sqrt(2_000)


def test_coordinates_follow_from_the_example_id() -> None:
    drawn = draw_all(make_layout(2, 1, 2), PlacementRules(16, 4, 8, ((3, 2),), seed=0))
    assert [(one.background, one.foreground, one.flipped, one.placement) for one in drawn] == [
        (background, 0, flipped, placement)
        for background in (0, 1)
        for flipped in (False, True)
        for placement in (0, 1)
    ]


def test_placements_are_stable_across_versions() -> None:
    rules = PlacementRules(224, 90, 123, ((100, 80), (30, 60), (9, 9)), seed=0)
    drawn = draw_placements(LAYOUT, rules, np.array([0, 47, 119]))
    assert [(one.x, one.y, one.width, one.height) for one in drawn] == BOXES


def test_expand_placements_yields_the_examples_of_each_shard_in_storage_order() -> None:
    rules = PlacementRules(16, 4, 8, ((3, 2), (2, 3), (5, 5)), seed=0)
    expected = [
        (shard, draw_placements(LAYOUT, rules, LAYOUT.example_ids(shard))) for shard in range(LAYOUT.num_shards)
    ]
    with beam.Pipeline(runner="FnApiRunner") as root:
        shards = root | beam.Create(range(LAYOUT.num_shards)) | ExpandPlacements(LAYOUT, rules)
        assert_that(shards | beam.Reshuffle(), equal_to(expected))


BOXES = [(32, 17, 90, 72), (158, 96, 53, 106), (47, 42, 92, 92)]
