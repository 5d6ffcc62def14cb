"""The pictures of the dataset card."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fgbg.card.pictures import (
    colour_depth,
    depth_in_metres,
    examples_sheet,
    histograms_plot,
    on_checkerboard,
    pictures_sheet,
)
from fgbg.statistics import Moments
from tests.pictures_helpers import Pixels, cutout, photo


def decode(png: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize(
    ("stored", "metres"), [(np.uint16(2_500), 2.5), (np.uint8(51), 2.0), (np.uint16(65_535), 65.535)]
)
def test_depth_in_metres(stored: np.integer, metres: float) -> None:
    assert depth_in_metres(np.array([[stored]])) == pytest.approx(metres)


def test_near_pixels_are_bright() -> None:
    colours = colour_depth(np.array([[1, 5, 9]], np.float32), 1, 9).astype(int).sum(axis=-1)[0]
    assert colours[0] > colours[1] > colours[2]


def test_constant_depth_can_be_coloured() -> None:
    assert colour_depth(np.full((2, 2), 3, np.float32), 3, 3).shape == (2, 2, 3)


def test_scale_is_drawn_for_depth_only() -> None:
    row = {"bg": photo(32, 32), "mask": np.zeros((32, 32), np.uint8)}
    without = decode(examples_sheet([row], []))
    with_depth = decode(examples_sheet([row], [np.linspace(1, 9, 1024, dtype=np.float32).reshape(32, 32)]))
    # One more tile, and the colour bar with its labels.
    assert with_depth.shape[1] - without.shape[1] > 192 + 60


@pytest.mark.parametrize("number", [1, 9, 10, 11, 100])
def test_sheet_contains_every_picture(number: int) -> None:
    images = [np.full((20, 30, 3), (255, 0, 0), np.uint8)] * number
    sheet = decode(pictures_sheet(images, [f"a/rather/long/name/of/a/picture/{i}" for i in range(number)]))
    assert (sheet == (255, 0, 0)).all(axis=-1).sum() == number * 20 * 30


def test_checkerboard_is_visible_where_a_cutout_is_transparent() -> None:
    rgba = cutout(64, 64)
    shown = on_checkerboard(rgba)
    assert np.array_equal(shown[rgba[..., 3] == 255], rgba[..., :3][rgba[..., 3] == 255])
    assert set(shown[rgba[..., 3] == 0].ravel().tolist()) == {204, 255}


def test_reduced_cutouts_have_no_fringe() -> None:
    # Invisible pixels are green and visible ones red: after reduction, no pixel may be green.
    rgba = np.zeros((600, 600, 4), np.uint8)
    rgba[..., 1] = 255
    rgba[100:500, 100:500] = (255, 0, 0, 255)
    sheet = decode(pictures_sheet([rgba], ["x"])).astype(int)
    assert (sheet[..., 1] - sheet[..., 0] <= 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_histograms_of_8_and_16_bit_depth_have_the_same_scale(dtype: type[np.uint8 | np.uint16]) -> None:
    colours = Moments.of(photo(32, 32))
    depth: npt.NDArray[Any] = np.full((8, 8, 1), 3_000 if dtype == np.uint16 else 77, dtype)
    kinds = {
        "bg": {"stored": colours.to_json()},
        "fg_bg": {"stored": colours.to_json()},
        "depth": {"stored": Moments.of(depth).to_json()},
    }
    plot = decode(histograms_plot(kinds))
    purple = np.flatnonzero((plot == (148, 103, 189)).all(axis=-1).any(axis=0))
    # All pixels are 3 m away and the axis starts at 0, so the bar is at the right end of the last third.
    assert purple.min() > plot.shape[1] * 0.9
