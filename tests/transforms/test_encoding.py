"""Encoding: what is lossless is lossless, and boxes are those of the masks."""

import io
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fgbg.images import encode_mask, encode_png, encode_rgb, encode_rgba, mask_box
from tests.pictures_helpers import Pixels, photo
from transforms.encoding import ExampleEncoding, encode_example
from transforms.placements import Placement

PLACEMENT = Placement(example_id=41, background=1, foreground=0, flipped=True, placement=3, x=2, y=1, width=4, height=5)
RGB = photo(20, 16)
MASK = np.where(photo(20, 16)[..., 0] > 128, np.uint8(255), np.uint8(0))
DEPTH = np.random.default_rng(0).integers(0, 65_536, (16, 20), np.uint16)


def decode(data: bytes) -> npt.NDArray[np.integer]:
    """By OpenCV, as stored."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def decode_rgb(data: bytes) -> Pixels:
    return cv2.cvtColor(decode(data), cv2.COLOR_BGR2RGB)


def test_png_composites_are_lossless() -> None:
    assert np.array_equal(decode_rgb(encode_rgb(RGB, None)), RGB)


@pytest.mark.parametrize(("quality", "error"), [(100, 2), (90, 6)])
def test_jpeg_composites_are_near(quality: int, error: float) -> None:
    # As smooth as a photograph; a swapped channel would be far off.
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    smooth = np.dstack([np.tile(ramp, (64, 1)), np.tile(ramp[::-1], (64, 1)), np.tile(ramp[:, np.newaxis], 64)])
    decoded = decode_rgb(encode_rgb(smooth, quality))
    assert np.abs(decoded.astype(int) - smooth).mean() < error


def test_jpeg_quality_counts() -> None:
    assert len(encode_rgb(photo(64, 64), 30)) < len(encode_rgb(photo(64, 64), 90))


@pytest.mark.parametrize("mask", [MASK, MASK * 0, MASK | 255, MASK[:1, :1]])
def test_masks_are_lossless(mask: Pixels) -> None:
    decoded = decode(encode_mask(mask))
    assert np.array_equal(decoded, mask)


@pytest.mark.parametrize("depth", [DEPTH, DEPTH.astype(np.uint8)])
def test_depth_is_lossless(depth: npt.NDArray[np.integer]) -> None:
    decoded = decode(encode_png(depth))
    assert decoded.dtype == depth.dtype
    assert np.array_equal(decoded, depth)


def test_cutouts_are_lossless_even_where_transparent() -> None:
    rgba = np.dstack([RGB, RGB[..., 0]])
    rgba[:4, :, 3] = 0
    assert np.array_equal(cv2.cvtColor(decode(encode_rgba(rgba)), cv2.COLOR_BGRA2RGBA), rgba)


@given(st.data())
def test_box_is_the_masks(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 30))
    mask = np.zeros((height, width), np.uint8)
    for _ in range(data.draw(st.integers(1, 5))):
        mask[data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))] = 255
    rows, columns = np.nonzero(mask)
    assert mask_box(mask) == (
        rows.min() / height,
        columns.min() / width,
        (rows.max() + 1) / height,
        (columns.max() + 1) / width,
    )


def test_fields_of_an_example() -> None:
    encoding = ExampleEncoding(jpeg_quality=None, background_class=(5, 6), foreground_class=(7,))
    fields: dict[str, Any] = dict(encode_example(encoding, PLACEMENT, RGB, MASK, DEPTH))
    images = {name: fields.pop(name) for name in ("fg_bg", "mask", "depth")}
    assert np.array_equal(decode_rgb(images["fg_bg"]), RGB)
    assert np.array_equal(decode(images["mask"]), MASK)
    assert np.array_equal(decode(images["depth"]), DEPTH)
    assert fields == {
        "bg": 1,
        "fg": 0,
        "bg_class": 6,
        "fg_class": 7,
        "flipped": 1,
        "placement": 3,
        "bbox": mask_box(MASK),
        "example_id": 41,
    }


def test_without_depth_there_is_no_field() -> None:
    encoding = ExampleEncoding(90, (0, 0), (0,))
    assert "depth" not in encode_example(encoding, PLACEMENT, RGB, MASK, None)


def test_composites_are_jpeg_unless_told_otherwise() -> None:
    for quality, file_format in ((90, "JPEG"), (None, "PNG")):
        fields: Mapping[str, Any] = encode_example(ExampleEncoding(quality, (0, 0), (0,)), PLACEMENT, RGB, MASK, None)
        assert Image.open(io.BytesIO(fields["fg_bg"])).format == file_format
