"""Compositing: bit-exact equality with Pillow's paste, and exact masks."""

import pickle
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.pictures_helpers import Pixels, photo, write_pictures
from transforms.assets import Assets
from transforms.compositing import ExampleBatch, blend, composite, composite_batch
from transforms.placements import Placement


def paste(background: Pixels, cutout: Pixels, x: int, y: int) -> Pixels:
    """Return the composite by Pillow's paste."""
    image, foreground = Image.fromarray(background), Image.fromarray(cutout)
    image.paste(foreground, (x, y), foreground)
    return np.asarray(image)


def place(width: int, height: int, x: int = 0, y: int = 0, *, flipped: bool = False) -> Placement:
    return Placement(7, 0, 0, flipped, 0, x, y, width, height)


def draw(placement: Placement, assets: Assets) -> tuple[Pixels, Pixels]:
    """Return fg_bg and mask, written over the values of an earlier example."""
    fg_bg, mask = np.full((16, 16, 3), 77, np.uint8), np.full((16, 16), 77, np.uint8)
    composite(placement, assets, fg_bg, mask)
    return fg_bg, mask


@pytest.fixture
def assets(tmp_path: Path) -> Assets:
    return Assets(write_pictures(tmp_path, image_size=16))


def test_blend_is_exact_for_all_values() -> None:
    """For every b, f and a, the result is correctly rounded and equals that of Pillow."""
    b, f = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij")
    b, f = np.dstack([b] * 3), np.dstack([f] * 3)
    products = b.astype(np.int32)[..., 0], f.astype(np.int32)[..., 0]
    for a in range(256):
        cutout = np.dstack([f, np.full((256, 256), a, np.uint8)])
        blended = b.copy()
        blend(blended, cutout)
        # Exact halves cannot occur because 255 is odd.
        exact = (2 * (products[0] * (255 - a) + products[1] * a) + 255) // 510
        assert np.array_equal(blended, np.dstack([exact] * 3))
        assert np.array_equal(blended, paste(b, cutout, 0, 0))


@given(st.data())
def test_blend_equals_pillow_paste(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    x, y = data.draw(st.integers(0, 20 - width)), data.draw(st.integers(0, 20 - height))
    seed = data.draw(st.integers(0, 2**32))
    background = photo(20, 20, seed)
    cutout = np.random.default_rng(seed + 1).integers(0, 256, (height, width, 4), np.uint8)
    expected = paste(background, cutout, x, y)
    blend(background[y : y + height, x : x + width], cutout)
    assert np.array_equal(background, expected)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize(
    "box", [(8, 5, 3, 6), (8, 5, 0, 0), (8, 5, 8, 11), (16, 11, 0, 5), (1, 1, 15, 15), (1, 16, 0, 0), (16, 1, 0, 9)]
)
def test_composite_equals_pillow_paste(assets: Assets, box: tuple[int, int, int, int], flipped: bool) -> None:
    width, height, x, y = box
    fg_bg, _ = draw(place(width, height, x, y, flipped=flipped), assets)
    cutout = np.ascontiguousarray(assets.placed(0, width, height, flipped=flipped))
    assert np.array_equal(fg_bg, paste(assets.background(0), cutout, x, y))


@pytest.mark.parametrize("box", [(8, 5, 3, 6), (16, 11, 0, 5), (1, 1, 15, 15), (1, 16, 0, 0), (16, 1, 0, 9)])
def test_mask_is_255_where_alpha_is_at_least_128(assets: Assets, box: tuple[int, int, int, int]) -> None:
    width, height, x, y = box
    _, mask = draw(place(width, height, x, y), assets)
    expected = np.zeros((16, 16), np.uint8)
    expected[y : y + height, x : x + width][assets.placed(0, width, height, flipped=False)[..., 3] >= 128] = 255
    assert np.array_equal(mask, expected)


def test_mask_threshold_lies_between_127_and_128(monkeypatch: pytest.MonkeyPatch, assets: Assets) -> None:
    alphas = np.zeros((1, 4, 4), np.uint8)
    alphas[0, :, 3] = [127, 128, 0, 255]
    monkeypatch.setattr(assets, "placed", lambda *_, **__: alphas)
    _, mask = draw(place(4, 1), assets)
    assert mask[0].tolist() == [0, 255, 0, 255] + [0] * 12


def test_flipped_composite_is_the_exact_mirror_image(assets: Assets) -> None:
    _, plain = draw(place(9, 6, 2, 3), assets)
    _, mirrored = draw(place(9, 6, 16 - 9 - 2, 3, flipped=True), assets)
    assert plain.any()
    assert np.array_equal(mirrored, plain[:, ::-1])


def test_pixels_outside_the_box_equal_the_background(assets: Assets) -> None:
    fg_bg, _ = draw(place(8, 5, 3, 6), assets)
    outside = np.ones((16, 16), bool)
    outside[6:11, 3:11] = False
    assert np.array_equal(fg_bg[outside], assets.background(0)[outside])


def test_batch_contains_its_examples_in_order(assets: Assets) -> None:
    placements = [place(8, 5, 3, 6), place(4, 4, 12, 12, flipped=True), place(16, 11, 0, 0)]
    batch = composite_batch(placements, assets, 16)
    assert len(batch) == 3
    for i, placement in enumerate(placements):
        fg_bg, mask = draw(placement, assets)
        assert np.array_equal(batch.fg_bg[i], fg_bg)
        assert np.array_equal(batch.mask[i], mask)


def test_batch_survives_pickling(assets: Assets) -> None:
    batch = composite_batch([place(8, 5, 3, 6)], assets, 16)
    copy = pickle.loads(pickle.dumps(batch))
    assert copy.placements == batch.placements
    assert np.array_equal(copy.fg_bg, batch.fg_bg)
    assert np.array_equal(copy.mask, batch.mask)


def test_coder_estimates_the_size_of_a_batch_without_pickling(monkeypatch: pytest.MonkeyPatch, assets: Assets) -> None:
    batch = composite_batch([place(4, 4), place(5, 3)], assets, 16)
    coder = beam.coders.registry.get_coder(tuple[int, ExampleBatch])
    decoded = coder.decode(coder.encode((7, batch)))[1]
    np.testing.assert_array_equal(decoded.fg_bg, batch.fg_bg)
    assert decoded.placements == batch.placements
    monkeypatch.setattr(pickle, "dumps", lambda *_, **__: pytest.fail("pickled"))
    assert coder.get_impl().estimate_size((7, batch)) >= batch.fg_bg.nbytes + batch.mask.nbytes
