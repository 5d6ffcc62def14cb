"""Index arithmetic for examples, splits and shards. No table of all examples is ever built.

An example is a point in the cross product background x foreground x {plain, flipped} x placement. Its row-major index
in the product is its `example_id`. A split is a subset of the product in pseudo-random order, divided into shards of
nearly equal size.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fgbg.errors import InputError
from fgbg.random_bits import HELD_OUT_STREAM, random_words, shuffled_indices

Ids = npt.NDArray[np.int64]


class Coordinates(NamedTuple):
    """The four coordinates of n examples, each int64 [n]."""

    background: Ids
    foreground: Ids
    flipped: Ids
    placement: Ids


@dataclass(frozen=True, slots=True)
class CrossProduct:
    """The product background x foreground x {plain, flipped} x placement, in row-major order.

    >>> product = CrossProduct(backgrounds=100, foregrounds=100, placements=20)
    >>> product.size
    400000
    >>> [int(factor[0]) for factor in product.coordinates(np.array([399_999]))]
    [99, 99, 1, 19]
    """

    backgrounds: int
    foregrounds: int
    placements: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Length of each axis."""
        return (self.backgrounds, self.foregrounds, 2, self.placements)

    @property
    def size(self) -> int:
        """Number of examples."""
        return self.backgrounds * self.foregrounds * 2 * self.placements

    def coordinates(self, example_ids: Ids) -> Coordinates:
        """Return the coordinates of each example id."""
        return Coordinates(*np.unravel_index(example_ids, self.shape))

    def example_ids(self, coordinates: Coordinates) -> Ids:
        """Return ((background * F + foreground) * 2 + flipped) * P + placement, the inverse of `coordinates`."""
        return np.ravel_multi_index(coordinates, self.shape)


@dataclass(frozen=True, slots=True)
class Split:
    """A named subset of the cross product.

    Attributes:
        name: "train" or "test".
        backgrounds: indices of the backgrounds in this split.
        foregrounds: indices of the foregrounds in this split.
        start: first position in the shuffled product of these backgrounds and foregrounds.
        stop: position after the last one. The range covers the whole product unless the dataset is split by example.
    """

    name: str
    backgrounds: tuple[int, ...]
    foregrounds: tuple[int, ...]
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of examples."""
        return self.stop - self.start


def make_splits(product: CrossProduct, *, test_fraction: float, split_by: str, seed: int) -> tuple[Split, ...]:
    """Return the splits: `train` alone if `test_fraction` is 0, otherwise `train` and `test`.

    `split_by` names what is held out for `test`: backgrounds, foregrounds or examples.

    Raises:
        InputError: the fraction leaves one of the splits empty.
    """
    backgrounds, foregrounds = tuple(range(product.backgrounds)), tuple(range(product.foregrounds))
    if test_fraction == 0:
        return (Split("train", backgrounds, foregrounds, 0, product.size),)
    total = {"background": product.backgrounds, "foreground": product.foregrounds, "example": product.size}[split_by]
    held_out = round(test_fraction * total)
    if not 0 < held_out < total:
        empty = "test" if held_out == 0 else "train"
        raise InputError(
            f"--test_fraction {test_fraction:g} of {total} {split_by}s leaves the {empty} split empty:"
            f" add {split_by}s or choose another fraction."
        )
    if split_by == "example":
        return (
            Split("train", backgrounds, foregrounds, held_out, product.size),
            Split("test", backgrounds, foregrounds, 0, held_out),
        )
    order = np.argsort(random_words(seed, HELD_OUT_STREAM, np.arange(total))[:, 0], kind="stable").tolist()
    train, test = tuple(sorted(order[held_out:])), tuple(sorted(order[:held_out]))
    per_picture = product.size // total
    splits = []
    for name, chosen in (("train", train), ("test", test)):
        size = len(chosen) * per_picture
        if split_by == "background":
            splits.append(Split(name, chosen, foregrounds, 0, size))
        else:
            splits.append(Split(name, backgrounds, chosen, 0, size))
    return tuple(splits)


def held_out_pictures(splits: tuple[Split, ...], split_by: str) -> tuple[int, ...]:
    """Return the indices of the backgrounds or foregrounds (see `split_by`) that occur only in `test`.

    Empty if there is no test split or if the dataset is split by example.

    >>> splits = make_splits(CrossProduct(2, 3, 1), test_fraction=0.5, split_by="background", seed=0)
    >>> len(held_out_pictures(splits, "background"))
    1
    """
    if len(splits) == 1 or split_by == "example":
        return ()
    return splits[1].backgrounds if split_by == "background" else splits[1].foregrounds


@dataclass(frozen=True, slots=True)
class ShardRange:
    """The range of a shard within its split: shard `index` of `count` contains the positions start .. stop-1."""

    split: Split
    index: int
    count: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """Assignment of the examples of all splits to numbered shards.

    A seeded pseudo-random permutation orders the examples, so any prefix of a split is a uniform sample of it.
    """

    product: CrossProduct
    splits: tuple[Split, ...]
    examples_per_shard: int
    seed: int

    def shards_of(self, split: Split) -> int:
        """Return the number of shards in a split."""
        return -(-split.size // self.examples_per_shard)

    @property
    def num_shards(self) -> int:
        """Total number of shards. Their numbers are 0 .. num_shards-1: first those of `train`, then those of `test`."""
        return sum(map(self.shards_of, self.splits))

    def locate(self, shard: int) -> ShardRange:
        """Return the split and the range of positions of a shard.

        Raises:
            IndexError: the number is not below `num_shards`.
        """
        index = shard
        for split in self.splits:
            count = self.shards_of(split)
            if index < count:
                # Balanced as in TFDS: shard lengths differ by at most one, so the last shard is not tiny.
                return ShardRange(split, index, count, split.size * index // count, split.size * (index + 1) // count)
            index -= count
        raise IndexError(f"shard {shard} of {self.num_shards}")

    def example_ids(self, shard: int) -> Ids:
        """Return the example ids of a shard in storage order: int64 [n]."""
        shard_range = self.locate(shard)
        split = shard_range.split
        shape = (len(split.backgrounds), len(split.foregrounds), 2, self.product.placements)
        positions = np.arange(split.start + shard_range.start, split.start + shard_range.stop)
        background, foreground, flipped, placement = np.unravel_index(
            shuffled_indices(positions, int(np.prod(shape)), self.seed), shape
        )
        return self.product.example_ids(
            Coordinates(
                np.asarray(split.backgrounds)[background], np.asarray(split.foregrounds)[foreground], flipped, placement
            )
        )
