"""Pixel statistics: exact for any order and grouping."""

import json
import math
from functools import reduce
from operator import add
from random import Random

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from fgbg.statistics import Moments
from transforms.moments import MomentsFn

Images = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@st.composite
def images(draw: st.DrawFn, channels: int | None = None) -> Images:
    """Draw uint8 or uint16 [n, height, width, channels], with few distinct values or all."""
    dtypes: list[type[np.uint8 | np.uint16]] = [np.uint8, np.uint16]
    dtype = draw(st.sampled_from(dtypes)) if channels is None else np.uint8
    shape = (*(draw(st.integers(1, 6)) for _ in range(3)), channels or draw(st.sampled_from([1, 3])))
    top = draw(st.sampled_from([1, 2, 200, np.iinfo(dtype).max + 1]))
    return np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, top, shape, dtype)


@given(images())
def test_moments_equal_numpy(images: Images) -> None:
    moments = Moments.of(images)
    pixels = images.reshape(-1, images.shape[-1]).astype(object)  # Python integers, which do not overflow
    assert moments.count == len(pixels)
    assert moments.total == tuple(pixels.sum(axis=0))
    assert moments.total_squares == tuple((pixels * pixels).sum(axis=0))
    assert moments.minimum == tuple(pixels.min(axis=0))
    assert moments.maximum == tuple(pixels.max(axis=0))


@given(images())
def test_mean_and_std_equal_numpy(images: Images) -> None:
    moments = Moments.of(images)
    pixels = images.reshape(-1, images.shape[-1]).astype(float)
    np.testing.assert_allclose(moments.mean, pixels.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(moments.std, pixels.std(axis=0), rtol=1e-12, atol=1e-12)


@given(images(channels=3))
def test_histogram_of_bytes(images: Images) -> None:
    expected = [np.bincount(images[..., c].ravel(), minlength=256).tolist() for c in range(3)]
    assert list(map(list, Moments.of(images).histogram)) == expected


def test_histogram_of_16_bits_has_bins_of_64() -> None:
    moments = Moments.of(np.array([[0], [63], [64], [65_535]], np.uint16))
    assert (moments.shift, len(moments.histogram[0])) == (6, 1_024)
    assert {k: count for k, count in enumerate(moments.histogram[0]) if count} == {0: 2, 1: 1, 1_023: 1}


def test_std_of_nearly_constant_pixels_is_exact() -> None:
    # Far from zero and nearly constant: in floating point, mean of squares minus squared mean is only rounding error.
    depth = np.full((1_000, 1_000, 1), 65_534, np.uint16)
    depth[0, 0] = 65_535
    m = 1e-6
    assert Moments.of(depth).std[0] == pytest.approx(math.sqrt(m * (1 - m)), rel=1e-12)


def test_long_arrays_are_counted_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1_000, 3), np.uint8)
    whole = Moments.of(pixels)
    monkeypatch.setattr("fgbg.statistics._HISTOGRAM_PIXELS", 7)
    assert Moments.of(pixels) == whole


@given(st.lists(images(channels=3), min_size=2, max_size=6), st.randoms())
def test_sums_do_not_depend_on_order_or_grouping(parts: list[Images], random: Random) -> None:
    whole = Moments.of(np.concatenate([part.reshape(-1, 3) for part in parts]))
    moments = [Moments.of(part) for part in parts]
    random.shuffle(moments)
    cut = random.randrange(1, len(moments))
    assert reduce(add, moments) == whole
    assert reduce(add, moments[:cut]) + reduce(add, moments[cut:]) == whole


@given(share=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_moments_of_masks_equal_moments_of_images(share: float, seed: int) -> None:
    masks = np.where(np.random.default_rng(seed).random((3, 8, 8)) < share, np.uint8(255), np.uint8(0))
    assert Moments.of_masks(masks) == Moments.of(masks[..., np.newaxis])


@given(seed=st.integers(0, 2**32))
def test_std_of_a_mask_follows_from_its_mean(seed: int) -> None:
    masks = np.random.default_rng(seed).choice(np.array([0, 255], np.uint8), (3, 8, 8), p=[0.8, 0.2])
    moments = Moments.of_masks(masks)
    m = moments.mean[0] / 255
    assert moments.std[0] / 255 == pytest.approx(math.sqrt(m * (1 - m)), rel=1e-12)


@given(images())
def test_moments_survive_json(images: Images) -> None:
    moments = Moments.of(images)
    assert Moments.from_json(json.loads(json.dumps(moments.to_json()))) == moments


def test_moments_of_different_kinds_cannot_be_added() -> None:
    grey, colour = Moments.of(np.zeros((2, 1), np.uint8)), Moments.of(np.zeros((2, 3), np.uint8))
    for other in (colour, Moments.of(np.zeros((2, 1), np.uint16))):
        with pytest.raises(ValueError, match="different kinds"):
            grey + other


@pytest.mark.parametrize(
    ("images", "error"), [(np.zeros((2, 1), np.float32), TypeError), (np.zeros((0, 3), np.uint8), ValueError)]
)
def test_moments_reject_floats_and_empty_arrays(images: Images, error: type[Exception]) -> None:
    with pytest.raises(error):
        Moments.of(images)


def test_moments_fn_in_a_pipeline() -> None:
    random = np.random.default_rng(0)
    batches = [random.integers(0, 256, (n, 4, 4, 3), np.uint8) for n in (1, 5, 2, 7)]
    with beam.Pipeline(runner="FnApiRunner") as root:
        moments = root | beam.Create(batches) | beam.Reshuffle() | beam.CombineGlobally(MomentsFn())
        assert_that(moments, equal_to([Moments.of(np.concatenate(batches))]))


def test_moments_fn_per_key() -> None:
    images = {key: np.full((2, 2, 1), key, np.uint8) for key in (1, 2)}
    with beam.Pipeline(runner="FnApiRunner") as root:
        moments = root | beam.Create([*images.items(), *images.items()]) | beam.CombinePerKey(MomentsFn())
        expected = [(key, Moments.of(np.concatenate([image, image]))) for key, image in images.items()]
        assert_that(moments, equal_to(expected))


def test_moments_fn_without_input_gives_none() -> None:
    with beam.Pipeline(runner="FnApiRunner") as root:
        moments = root | beam.Create([]) | beam.CombineGlobally(MomentsFn())
        assert_that(moments, equal_to([None]))
