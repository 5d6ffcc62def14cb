"""Example ids, splits and shards."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fgbg.cross_product import CrossProduct, ShardLayout, Split, make_splits
from fgbg.errors import InputError
from fgbg.settings import SPLIT_BY

products = st.builds(CrossProduct, st.integers(1, 7), st.integers(1, 6), st.integers(1, 4))


@st.composite
def layouts(draw: st.DrawFn, *split_by: str) -> ShardLayout:
    """Draw a layout that is split by one of `split_by`."""
    product, seed = draw(products), draw(st.integers(0, 2**64 - 1))
    fraction = draw(st.sampled_from([0.1, 0.3, 0.5, 0.9]))
    try:
        splits = make_splits(product, test_fraction=fraction, split_by=draw(st.sampled_from(split_by)), seed=seed)
    except InputError:
        assume(False)
    return ShardLayout(product, splits, draw(st.integers(3, 60)), seed)


def ids_by_split(layout: ShardLayout) -> dict[str, np.ndarray]:
    """Return the example ids of every split, in the order in which its shards store them."""
    ids: dict[str, list[np.ndarray]] = {split.name: [] for split in layout.splits}
    for shard in range(layout.num_shards):
        ids[layout.locate(shard).split.name].append(layout.example_ids(shard))
    return {name: np.concatenate(parts) for name, parts in ids.items()}


def layout_without_test_split(
    backgrounds: int, foregrounds: int, placements: int, examples_per_shard: int, seed: int = 0
) -> ShardLayout:
    """Return a layout whose examples are all in `train`."""
    product = CrossProduct(backgrounds, foregrounds, placements)
    splits = make_splits(product, test_fraction=0, split_by="background", seed=seed)
    return ShardLayout(product, splits, examples_per_shard, seed)


def test_example_ids_are_row_major_indices() -> None:
    product = CrossProduct(backgrounds=3, foregrounds=2, placements=4)
    factors = np.array(list(itertools.product(range(3), range(2), range(2), range(4)))).T
    assert np.array_equal(product.coordinates(np.arange(48)), factors)


@given(product=products, data=st.data())
def test_example_id_formula(product: CrossProduct, data: st.DataObject) -> None:
    example_id = data.draw(st.integers(0, product.size - 1))
    background, foreground, flipped, placement = (int(f) for f in product.coordinates(np.array(example_id)))
    pair = background * product.foregrounds + foreground
    assert (pair * 2 + flipped) * product.placements + placement == example_id


@given(product=products)
def test_example_ids_invert_coordinates(product: CrossProduct) -> None:
    ids = np.arange(product.size)
    assert np.array_equal(product.example_ids(product.coordinates(ids)), ids)


def test_zero_test_fraction_gives_train_only() -> None:
    splits = make_splits(CrossProduct(3, 2, 4), test_fraction=0, split_by="foreground", seed=0)
    assert splits == (Split("train", (0, 1, 2), (0, 1), 0, 48),)


@given(layout=layouts("background", "foreground", "example"))
def test_splits_partition_the_examples(layout: ShardLayout) -> None:
    ids = ids_by_split(layout)
    assert np.array_equal(np.sort(np.concatenate([ids["train"], ids["test"]])), np.arange(layout.product.size))


@pytest.mark.parametrize(("split_by", "factor"), [("background", 0), ("foreground", 1)])
@given(data=st.data())
def test_train_and_test_share_no_held_out_picture(split_by: str, factor: int, data: st.DataObject) -> None:
    layout = data.draw(layouts(split_by))
    seen = {name: set(layout.product.coordinates(ids)[factor].tolist()) for name, ids in ids_by_split(layout).items()}
    assert seen["train"].isdisjoint(seen["test"])


@given(
    product=st.builds(CrossProduct, st.integers(1, 300), st.integers(1, 300), st.integers(1, 40)),
    fraction=st.floats(0.001, 0.999),
    split_by=st.sampled_from(SPLIT_BY),
    seed=st.integers(0, 2**64 - 1),
)
def test_splits_of_any_size_are_disjoint_and_complete(
    product: CrossProduct, fraction: float, split_by: str, seed: int
) -> None:
    everything = {"background": product.backgrounds, "foreground": product.foregrounds, "example": product.size}
    held_out = round(fraction * everything[split_by])
    if held_out in (0, everything[split_by]):
        with pytest.raises(InputError, match="split empty"):
            make_splits(product, test_fraction=fraction, split_by=split_by, seed=seed)
        return
    train, test = make_splits(product, test_fraction=fraction, split_by=split_by, seed=seed)
    assert (train.name, test.name) == ("train", "test")
    assert train.size + test.size == product.size
    if split_by == "example":
        assert (test.start, test.stop, train.start, train.stop) == (0, held_out, held_out, product.size)
    for factor in ("background", "foreground"):
        sides = [getattr(split, f"{factor}s") for split in (train, test)]
        pictures = tuple(range(everything[factor]))
        if factor == split_by:
            assert len(sides[1]) == held_out
            assert tuple(sorted(sides[0] + sides[1])) == pictures
        else:
            assert sides == [pictures, pictures]


@pytest.mark.parametrize(("split_by", "held_out"), [("background", 600), ("foreground", 800), ("example", 800)])
def test_held_out_fraction_is_rounded_to_whole_pictures(split_by: str, held_out: int) -> None:
    # A fifth of 13 backgrounds is 2.6, which rounds to 3.
    product = CrossProduct(13, 10, 10) if split_by == "background" else CrossProduct(20, 10, 10)
    _, test = make_splits(product, test_fraction=0.2, split_by=split_by, seed=0)
    assert test.size == held_out


def test_seed_changes_the_held_out_pictures() -> None:
    product = CrossProduct(100, 2, 2)
    held_out = [make_splits(product, test_fraction=0.1, split_by="background", seed=seed)[1] for seed in (0, 1)]
    assert held_out[0].backgrounds != held_out[1].backgrounds


def test_held_out_pictures_are_stable_across_versions() -> None:
    _, test = make_splits(CrossProduct(100, 2, 2), test_fraction=0.05, split_by="background", seed=0)
    assert test.backgrounds == HELD_OUT


@pytest.mark.parametrize(
    ("fraction", "split_by", "message"),
    [
        (0.1, "background", "--test_fraction 0.1 of 3 backgrounds leaves the test split empty"),
        (0.9, "foreground", "--test_fraction 0.9 of 2 foregrounds leaves the train split empty"),
        (0.01, "example", "--test_fraction 0.01 of 48 examples leaves the test split empty"),
    ],
)
def test_empty_split_is_an_input_error(fraction: float, split_by: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_splits(CrossProduct(3, 2, 4), test_fraction=fraction, split_by=split_by, seed=0)


@given(product=products, examples_per_shard=st.integers(1, 50), seed=st.integers(0, 2**64 - 1))
def test_every_example_is_in_exactly_one_shard(product: CrossProduct, examples_per_shard: int, seed: int) -> None:
    layout = layout_without_test_split(
        product.backgrounds, product.foregrounds, product.placements, max(examples_per_shard, 5), seed
    )
    ids = np.concatenate([layout.example_ids(shard) for shard in range(layout.num_shards)])
    assert np.array_equal(np.sort(ids), np.arange(product.size))


@given(layout=layouts("background", "foreground", "example"))
def test_shard_lengths_are_balanced_and_bounded(layout: ShardLayout) -> None:
    places = [layout.locate(shard) for shard in range(layout.num_shards)]
    for split in layout.splits:
        lengths = [place.stop - place.start for place in places if place.split == split]
        assert sum(lengths) == split.size
        assert max(lengths) - min(lengths) <= 1
        assert 1 <= max(lengths) <= layout.examples_per_shard


@given(layout=layouts("background", "foreground", "example"))
def test_shards_are_numbered_in_the_order_of_splits(layout: ShardLayout) -> None:
    places = [layout.locate(shard) for shard in range(layout.num_shards)]
    numbers = [(place.split.name, place.index, place.count) for place in places]
    counts = [(split.name, layout.shards_of(split)) for split in layout.splits]
    assert numbers == [(name, index, count) for name, count in counts for index in range(count)]
    assert [len(layout.example_ids(shard)) for shard in range(layout.num_shards)] == [
        place.stop - place.start for place in places
    ]


def test_locate_rejects_a_number_past_the_last_shard() -> None:
    with pytest.raises(IndexError, match="shard 4 of 4"):
        layout_without_test_split(3, 2, 4, examples_per_shard=12).locate(4)


def test_prefix_of_a_split_is_a_uniform_sample() -> None:
    layout = layout_without_test_split(100, 100, 20, examples_per_shard=1_000)
    background, foreground, flipped, placement = layout.product.coordinates(layout.example_ids(0))
    # Each of the 100 pictures occurs 10 times on average in 1,000 examples.
    assert len(set(background.tolist())) > 95
    assert len(set(foreground.tolist())) > 95
    assert len(set(placement.tolist())) == 20
    assert 430 < flipped.sum() < 570


def test_order_of_examples_is_stable_across_versions() -> None:
    layout = layout_without_test_split(100, 100, 20, examples_per_shard=1_000)
    assert layout.example_ids(7)[:4].tolist() == FIRST_OF_SHARD_7


HELD_OUT = (53, 60, 67, 71, 81)
FIRST_OF_SHARD_7 = [374252, 197376, 177768, 321548]
