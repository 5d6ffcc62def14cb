"""Counts of placements."""

from pathlib import Path

import numpy as np
import pytest

from fgbg.placement_counts import PlacementCounts
from tests.dataset_helpers import SmallDataset
from transforms.compositing import ExampleBatch
from transforms.encoding import ExampleEncoding
from transforms.placements import Placement
from transforms.shards import count_placements

SIDE = 64


def batch_of(*boxes: tuple[int, int, int, int]) -> ExampleBatch:
    """Return a batch whose masks are 255 in these boxes (x, y, width, height); every second example is flipped."""
    masks = np.zeros((len(boxes), SIDE, SIDE), np.uint8)
    placements = []
    for i, (x, y, width, height) in enumerate(boxes):
        masks[i, y : y + height, x : x + width] = 255
        placements.append(Placement(i, i, 0, bool(i % 2), 0, x, y, width, height))
    return ExampleBatch(placements, np.zeros((len(boxes), SIDE, SIDE, 3), np.uint8), masks)


ENCODING = ExampleEncoding(90, background_class=(1, 0, 1), foreground_class=(0,))


def test_counts_of_a_batch() -> None:
    # Areas: a quarter of the image, the whole image, and four pixels, which is less than a hundredth.
    counts = count_placements(batch_of((0, 0, 32, 32), (0, 0, 64, 64), (63, 60, 1, 4)), ENCODING)
    assert (counts.bg_class, counts.fg_class, counts.flipped) == ((1, 2), (3,), 1)
    assert {k: n for k, n in enumerate(counts.area) if n} == {25: 1, 99: 1, 0: 1}
    coverage = np.array(counts.coverage)
    assert coverage.shape == (32, 32)
    assert (coverage[:16, :16] == 2).all()
    assert (coverage[:30, 16:] == 1).all()
    assert coverage[31, 31] == 2


@pytest.mark.parametrize("side", [16, 48, 224])
def test_coverage_does_not_depend_on_the_image_size(side: int) -> None:
    batch = batch_of((0, 0, 64, 64))
    full = ExampleBatch(batch.placements, batch.fg_bg, np.full((1, side, side), 255, np.uint8))
    assert np.array(count_placements(full, ENCODING).coverage).tolist() == np.ones((32, 32)).tolist()


def test_sum_of_counts_equals_counts_of_the_concatenation(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    first, second = (count_placements(dataset.batch(shard), dataset.encoding) for shard in (0, 1))
    a, b = dataset.batch(0), dataset.batch(1)
    mask = np.concatenate([a.mask, b.mask])
    together = ExampleBatch(a.placements + b.placements, np.concatenate([a.fg_bg, b.fg_bg]), mask)
    assert first + second == count_placements(together, dataset.encoding)
    assert PlacementCounts.from_json(first.to_json()) == first


def test_a_dataset_counts_every_example_once(tmp_path: Path) -> None:
    summary = SmallDataset(tmp_path).write_all()
    train, test = (summary["small", split].placements for split in ("train", "test"))
    assert train is not None
    assert test is not None
    counts = train + test
    assert sum(counts.bg_class) == sum(counts.fg_class) == sum(counts.area) == 36
    assert counts.flipped == 18
    assert summary["small_background", "train"].placements is None
