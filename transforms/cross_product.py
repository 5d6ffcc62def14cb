"""Index arithmetic of the dataset: which example stands where, without a table of all examples.

An example is a point of the cross product background x foreground x {plain, flipped} x placement, and its number there
is its `example_id`. A split is a part of that product in pseudo-random order, cut into shards of nearly equal size.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.errors import InputError
from transforms.random_bits import HELD_OUT_STREAM, random_words, shuffled_indices

Ids = npt.NDArray[np.int64]

SPLIT_BY = ("background", "foreground", "example")


class Coordinates(NamedTuple):
    """The four factors of examples, each int64 [n]."""

    background: Ids
    foreground: Ids
    flipped: Ids
    placement: Ids


@dataclass(frozen=True, slots=True)
class CrossProduct:
    """background x foreground x {plain, flipped} x placement, in this (row-major) order.

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
        """Length of each factor."""
        return (self.backgrounds, self.foregrounds, 2, self.placements)

    @property
    def size(self) -> int:
        """Number of examples."""
        return self.backgrounds * self.foregrounds * 2 * self.placements

    def coordinates(self, example_ids: Ids) -> Coordinates:
        """The factors of each example id."""
        return Coordinates(*np.unravel_index(example_ids, self.shape))

    def example_ids(self, coordinates: Coordinates) -> Ids:
        """The inverse of `coordinates`: ((background * F + foreground) * 2 + flipped) * P + placement."""
        return np.ravel_multi_index(coordinates, self.shape)


@dataclass(frozen=True, slots=True)
class Split:
    """A named part of the cross product: some backgrounds, some foregrounds, and a range of their shuffled product.

    `start` and `stop` cut the shuffled sub-product; all of it unless the dataset is split by example.
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
    """Everything in `train`, or some backgrounds, foregrounds or examples held out in `test`.

    Raises:
        InputError: the fraction leaves one side empty.
    """
    backgrounds, foregrounds = tuple(range(product.backgrounds)), tuple(range(product.foregrounds))
    if test_fraction == 0:
        return (Split("train", backgrounds, foregrounds, 0, product.size),)
    total = {"background": product.backgrounds, "foreground": product.foregrounds, "example": product.size}[split_by]
    held_out = round(test_fraction * total)
    if not 0 < held_out < total:
        side = "test" if held_out == 0 else "train"
        raise InputError(
            f"--test_fraction {test_fraction:g} of {total} {split_by}s leaves the {side} split empty:"
            f" give more {split_by}s or another fraction."
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
    """The backgrounds or foregrounds, whichever `split_by` names, that occur in `test` alone; none if split by example.

    >>> splits = make_splits(CrossProduct(2, 3, 1), test_fraction=0.5, split_by="background", seed=0)
    >>> len(held_out_pictures(splits, "background"))
    1
    """
    if len(splits) == 1 or split_by == "example":
        return ()
    return splits[1].backgrounds if split_by == "background" else splits[1].foregrounds


@dataclass(frozen=True, slots=True)
class ShardRange:
    """Where a shard lies in its split: shard `index` of `count`, holding the shuffled positions start .. stop-1."""

    split: Split
    index: int
    count: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """How the examples of all splits are spread over numbered shards.

    Examples stand in the order of a seeded pseudo-random permutation, so any prefix of a split is a fair sample of it.
    """

    product: CrossProduct
    splits: tuple[Split, ...]
    examples_per_shard: int
    seed: int

    def shards_of(self, split: Split) -> int:
        """Number of shards of a split."""
        return -(-split.size // self.examples_per_shard)

    @property
    def num_shards(self) -> int:
        """Number of shards of all splits together; shards are numbered 0 .. num_shards-1, split after split."""
        return sum(map(self.shards_of, self.splits))

    def locate(self, shard: int) -> ShardRange:
        """The split and the range of positions a shard number stands for."""
        index = shard
        for split in self.splits:
            count = self.shards_of(split)
            if index < count:
                # Balanced as TFDS does it: lengths differ by one at most, no tiny last shard.
                return ShardRange(split, index, count, split.size * index // count, split.size * (index + 1) // count)
            index -= count
        raise IndexError(f"shard {shard} of {self.num_shards}")

    def example_ids(self, shard: int) -> Ids:
        """The examples of a shard in the order in which they are stored: int64 [n]."""
        place = self.locate(shard)
        split = place.split
        shape = (len(split.backgrounds), len(split.foregrounds), 2, self.product.placements)
        positions = np.arange(split.start + place.start, split.start + place.stop)
        background, foreground, flipped, placement = np.unravel_index(
            shuffled_indices(positions, int(np.prod(shape)), self.seed), shape
        )
        return self.product.example_ids(
            Coordinates(
                np.asarray(split.backgrounds)[background], np.asarray(split.foregrounds)[foreground], flipped, placement
            )
        )
