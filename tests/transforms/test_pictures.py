"""Decoding, colour conversion, cropping and resizing, against references that share no code with them."""

import contextlib
import io
import struct
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from fgbg.images import MASK_THRESHOLD
from tests.pictures_helpers import Pixels, bomb, cutout, encoded, photo, png
from transforms.pictures import (
    PictureError,
    crop_to_alpha,
    decode_picture,
    first_without_mask,
    has_mask_at,
    load_background,
    load_foreground,
    resize_area,
    resize_cutout,
)
from transforms.placements import placed_size

RGB = photo(24, 18)
RGBA = cutout(24, 18)
GREY = RGB[..., 0]
DEEP = np.random.default_rng(1).integers(0, 65536, (18, 24, 4), np.uint16)
# What an 8-bit viewer would show of DEEP.
SHALLOW = np.rint(DEEP / 257).astype(np.uint8)
PALETTE = Image.fromarray(RGB).quantize(8)
INDICES = np.asarray(PALETTE)
COLOURS = np.asarray(PALETTE.convert("RGB"))


def grey(values: npt.NDArray[np.integer], alpha: npt.NDArray[np.integer] | None = None) -> Pixels:
    return np.dstack([values] * 3 + ([] if alpha is None else [alpha])).astype(np.uint8)


def by_opencv(image: npt.NDArray[np.integer], suffix: str = ".png") -> bytes:
    """RGB(A) as OpenCV writes it."""
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    bgr = cv2.cvtColor(image, codes[image.shape[2]]) if image.ndim == 3 else image
    return cv2.imencode(suffix, bgr)[1].tobytes()


def with_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF with another value of a short tag."""
    entry = struct.pack("<HHI", tag, 3, 1)
    assert tiff.count(entry) == 1
    start = tiff.index(entry) + len(entry)
    return tiff[:start] + struct.pack("<H", value) + tiff[start + 2 :]


def frames(file_format: str, **options: object) -> bytes:
    """Several pictures in one file, the first being RGB."""
    return encoded(RGB, file_format, save_all=True, append_images=[Image.fromarray(255 - RGB)], **options)


def pairs(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


EXACT: dict[str, tuple[bytes, npt.ArrayLike]] = {
    "PNG": (encoded(RGB), RGB),
    "PNG with alpha": (encoded(RGBA), RGBA),
    "BMP": (encoded(RGB, "BMP"), RGB),
    "WebP": (encoded(RGB, "WEBP", lossless=True), RGB),
    "WebP with alpha": (encoded(RGBA, "WEBP", lossless=True, exact=True), RGBA),
    "TIFF": (encoded(RGB, "TIFF"), RGB),
    "TIFF with alpha": (encoded(RGBA, "TIFF", compression="tiff_lzw"), RGBA),
    "grey": (encoded(GREY), grey(GREY)),
    "grey BMP": (encoded(GREY, "BMP"), grey(GREY)),
    "grey with alpha": (encoded(Image.merge("LA", [Image.fromarray(GREY)] * 2)), grey(GREY, GREY)),
    "grey TIFF with alpha": (encoded(Image.merge("LA", [Image.fromarray(GREY)] * 2), "TIFF"), grey(GREY, GREY)),
    "grey with a transparent value": (
        png(2, 1, 8, 0, [b"\x07\x09"], (b"tRNS", pairs(7))),
        [[[7] * 3 + [0], [9] * 3 + [255]]],
    ),
    "RGB with a transparent colour": (
        png(2, 1, 8, 2, [bytes([1, 2, 3, 4, 5, 6])], (b"tRNS", pairs(1, 2, 3))),
        [[[1, 2, 3, 0], [4, 5, 6, 255]]],
    ),
    "8-bit grey, higher bits of the transparent value": (
        png(2, 1, 8, 0, [b"\x07\x09"], (b"tRNS", pairs(0x0107))),
        [[[7] * 3 + [0], [9] * 3 + [255]]],
    ),
    "4-bit grey with a transparent value": (
        png(3, 1, 4, 0, [b"\x5f\x00"], (b"tRNS", pairs(5))),
        [[[85] * 3 + [0], [255] * 4, [0] * 3 + [255]]],
    ),
    "2-bit grey with a transparent value": (
        png(4, 1, 2, 0, [b"\x1b"], (b"tRNS", pairs(2))),
        [[[0] * 3 + [255], [85] * 3 + [255], [170] * 3 + [0], [255] * 4]],
    ),
    "1-bit with transparent white": (
        png(2, 1, 1, 0, [b"\x40"], (b"tRNS", pairs(1))),
        [[[0] * 3 + [255], [255] * 3 + [0]]],
    ),
    "1-bit with transparent black": (
        png(2, 1, 1, 0, [b"\x40"], (b"tRNS", pairs(0))),
        [[[0] * 4, [255] * 4]],
    ),
    "16-bit RGB with a transparent colour": (
        # The last pixel differs from it in the lower byte alone, and is no more transparent than the others.
        png(3, 1, 16, 2, [pairs(257, 514, 771, 0, 0, 0, 257, 514, 770)], (b"tRNS", pairs(257, 514, 771))),
        [[[1, 2, 3, 0], [0, 0, 0, 255], [1, 2, 3, 255]]],
    ),
    "2-bit palette with alpha": (
        png(4, 1, 2, 3, [b"\x1b"], (b"PLTE", bytes(range(12))), (b"tRNS", bytes([0, 7, 200]))),
        [[[0, 1, 2, 0], [3, 4, 5, 7], [6, 7, 8, 200], [9, 10, 11, 255]]],
    ),
    "4-bit grey": (png(2, 1, 4, 0, [b"\x5f"]), [[[85] * 3, [255] * 3]]),
    "1-bit": (encoded(Image.fromarray(GREY > 99)), grey((GREY > 99) * 255)),
    "1-bit fax TIFF": (encoded(Image.fromarray(GREY > 99), "TIFF", compression="group4"), grey((GREY > 99) * 255)),
    "palette": (encoded(PALETTE), COLOURS),
    "palette BMP": (encoded(PALETTE, "BMP"), COLOURS),
    "palette with a transparent entry": (
        encoded(PALETTE, transparency=3),
        np.dstack([COLOURS, np.where(INDICES == 3, 0, 255)]),
    ),
    "palette with alpha": (encoded(PALETTE, transparency=bytes(range(0, 80, 10))), np.dstack([COLOURS, INDICES * 10])),
    "16-bit grey PNG": (by_opencv(DEEP[..., 0]), grey(SHALLOW[..., 0])),
    "16-bit grey TIFF": (by_opencv(DEEP[..., 0], ".tif"), grey(SHALLOW[..., 0])),
    "16-bit grey TIFF, 0 is white": (
        with_tag(encoded(Image.fromarray(DEEP[..., 0]), "TIFF"), 262, 0),
        grey(255 - SHALLOW[..., 0]),
    ),
    "8-bit grey TIFF, 0 is white": (with_tag(encoded(GREY, "TIFF"), 262, 0), grey(255 - GREY)),
    "16-bit grey with a transparent value": (
        png(2, 1, 16, 0, [pairs(257, 2570)], (b"tRNS", pairs(257))),
        [[[1] * 3 + [0], [10] * 3 + [255]]],
    ),
    "animated WebP": (frames("WEBP", lossless=True), RGB),
    "animated PNG": (frames("PNG"), RGB),
    "TIFF of several pages": (frames("TIFF"), RGB),
}

NEAR = {
    "JPEG": (encoded(np.full((9, 9, 3), (200, 100, 50), np.uint8), "JPEG"), np.full((9, 9, 3), (200, 100, 50)), 3),
    "grey JPEG": (encoded(np.full((9, 9), 77, np.uint8), "JPEG"), np.full((9, 9, 3), 77), 1),
    "CMYK JPEG": (
        encoded(Image.new("RGB", (9, 9), (200, 100, 50)).convert("CMYK"), "JPEG", quality=100),
        np.full((9, 9, 3), (200, 100, 50)),
        2,
    ),
    "CMYK TIFF": (encoded(Image.fromarray(RGB).convert("CMYK"), "TIFF"), RGB, 1),
    "two pictures of a camera": (frames("MPO"), np.asarray(Image.open(io.BytesIO(encoded(RGB, "JPEG")))), 0),
    # Pillow keeps the upper byte of these, where the nearest value would be right.
    "16-bit PNG": (by_opencv(DEEP[..., :3]), SHALLOW[..., :3], 1),
    "16-bit PNG with alpha": (by_opencv(DEEP), SHALLOW, 1),
    "16-bit TIFF": (by_opencv(DEEP[..., :3], ".tif"), SHALLOW[..., :3], 1),
    "16-bit TIFF with alpha": (by_opencv(DEEP, ".tif"), SHALLOW, 1),
    "16-bit grey with alpha": (
        png(2, 1, 16, 4, [pairs(1_000, 2_000, 65_535, 65_535)]),
        grey(np.array([[4, 255]]), np.array([[8, 255]])),
        1,
    ),
    # The file holds colours times alpha: 100 of alpha 128 stand for 199.
    "premultiplied TIFF": (
        with_tag(encoded(np.full((4, 4, 4), (100, 50, 20, 128), np.uint8), "TIFF"), 338, 1),
        np.full((4, 4, 4), (199, 100, 40, 128)),
        1,
    ),
}


@pytest.mark.parametrize("kind", EXACT)
def test_kinds_without_loss(kind: str) -> None:
    data, expected = EXACT[kind]
    assert np.array_equal(np.asarray(decode_picture(data)), expected)


@pytest.mark.parametrize("kind", NEAR)
def test_kinds_with_loss(kind: str) -> None:
    data, expected, tolerance = NEAR[kind]
    decoded = np.asarray(decode_picture(data)).astype(int)
    assert decoded.shape == np.shape(expected)
    assert np.abs(decoded - expected).max() <= tolerance


# How a camera of each orientation stores an upright picture, undone.
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(file_format: str, orientation: int) -> None:
    stored = np.asarray(decode_picture(encoded(RGB, file_format)))
    turned = decode_picture(encoded(RGB, file_format, exif=with_orientation(orientation)))
    assert np.array_equal(np.asarray(turned), UPRIGHT[orientation](stored))


@pytest.mark.parametrize("image", [GREY, PALETTE, Image.fromarray(DEEP[..., 0])], ids=["grey", "palette", "16-bit"])
def test_exif_orientation_of_other_kinds(image: Pixels | Image.Image) -> None:
    stored = np.asarray(decode_picture(encoded(image)))
    turned = decode_picture(encoded(image, exif=with_orientation(6)))
    assert np.array_equal(np.asarray(turned), UPRIGHT[6](stored))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"garbage", with_orientation(6).tobytes()[:14]])
def test_damaged_exif_does_no_harm(file_format: str, exif: bytes) -> None:
    stored = np.asarray(decode_picture(encoded(RGB, file_format)))
    assert np.array_equal(np.asarray(decode_picture(encoded(RGB, file_format, exif=exif))), stored)


DAMAGED = {
    "empty": (b"", "is an empty file"),
    "text": (b"not a picture", "is no JPEG, PNG, WebP, BMP or TIFF picture, or is damaged"),
    "GIF": (encoded(RGB, "GIF"), "is no JPEG, PNG, WebP, BMP or TIFF picture, or is damaged"),
    "no pixels": (png(0, 1, 8, 2, []), "is no JPEG, PNG, WebP, BMP or TIFF picture, or is damaged"),
    "bomb": (bomb(), "has more than 178,956,970 pixels and is refused as a decompression bomb; scale it down"),
    "floating point": (
        encoded(Image.new("F", (3, 3)), "TIFF"),
        "has floating point pixels, whose range is unknown; save it with 8 or 16 bits per channel",
    ),
    "32 bits": (
        encoded(Image.new("I", (3, 3), 70_000), "TIFF"),
        "has 32-bit pixels, whose range is unknown; save it with 8 or 16 bits per channel",
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_cannot_be_decoded(kind: str) -> None:
    data, reason = DAMAGED[kind]
    with pytest.raises(PictureError) as caught:
        decode_picture(data)
    assert str(caught.value) == reason


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kept", [0.02, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_truncated(
    file_format: str, options: dict[str, object], kept: float, lenient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a library has told Pillow to make do with what is there, as TFDS does."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    data = encoded(photo(64, 48), file_format, **options)
    with pytest.raises(PictureError) as caught:
        decode_picture(data[: int(kept * len(data))])
    assert str(caught.value) == "is truncated"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_random_damage_gives_a_picture_or_a_reason(file_format: str) -> None:
    random = np.random.default_rng(0)
    data = np.frombuffer(encoded(photo(20, 20), file_format), np.uint8)
    for _ in range(50):
        damaged = data.copy()
        damaged[random.integers(0, len(data), 5)] = random.integers(0, 256, 5)
        with contextlib.suppress(PictureError):  # any other exception would end a build with a traceback
            assert decode_picture(damaged.tobytes()).mode in ("RGB", "RGBA")


# Resizing.


def overlaps(before: int, after: int) -> npt.NDArray[np.int64]:
    """How much of each old pixel lies in each new one, in units of 1 / after pixels: int64 [after, before]."""
    old, new = np.arange(before) * after, np.arange(after)[:, np.newaxis] * before
    return np.clip(np.minimum(old + after, new + before) - np.maximum(old, new), 0, None)


def area_sums(plane: npt.NDArray[np.integer], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Exact mean over areas times the number of old pixels: int64 [height, width] of [h, w]."""
    return overlaps(plane.shape[0], size[1]) @ plane.astype(np.int64) @ overlaps(plane.shape[1], size[0]).T


@st.composite
def reductions(draw: st.DrawFn) -> tuple[Pixels, tuple[int, int]]:
    """RGBA pixels of any size, with much that is transparent, and a size that is not larger."""
    height, width = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rgba = random.integers(0, 256, (height, width, 4), np.uint8)
    rgba[..., 3] = random.choice(np.array([0, 0, 1, 128, 200, 255, 255], np.uint8), (height, width))
    return rgba, (draw(st.integers(1, width)), draw(st.integers(1, height)))


@given(reductions())
def test_area_resize_is_the_mean_over_areas(reduction: tuple[Pixels, tuple[int, int]]) -> None:
    image, size = reduction
    exact = np.dstack([area_sums(image[..., c], size) for c in range(4)]) / image[..., 0].size
    assert np.abs(resize_area(image, size) - exact).max() < 1e-4


@given(reductions())
def test_cutouts_are_reduced_by_area_weighted_by_alpha(reduction: tuple[Pixels, tuple[int, int]]) -> None:
    rgba, size = reduction
    small = resize_cutout(rgba, size).astype(float)
    alpha = area_sums(rgba[..., 3], size)
    assert np.abs(small[..., 3] - alpha / rgba[..., 3].size).max() < 0.501
    seen = small[..., 3] > 0
    for c in range(3):
        colour = area_sums(rgba[..., c].astype(np.int64) * rgba[..., 3], size)
        assert np.all(np.abs(small[..., c][seen] - colour[seen] / alpha[seen]) < 0.501)
        assert not small[..., c][~seen].any()


@pytest.mark.parametrize("size", [(3, 3), (7, 5), (20, 12), (31, 45)])
def test_no_colour_bleeds_from_transparent_pixels(size: tuple[int, int]) -> None:
    rgba = np.full((12, 20, 4), (0, 255, 0, 0), np.uint8)
    rgba[3:9, 5:15] = (200, 0, 100, 255)
    resized = resize_cutout(rgba, size)
    seen = resized[..., 3] > 0
    assert seen.any()
    assert np.all(resized[seen][:, :3] == (200, 0, 100))


def test_same_size_changes_nothing_that_is_seen() -> None:
    resized = resize_cutout(RGBA, (24, 18))
    assert np.array_equal(resized[RGBA[..., 3] > 0], RGBA[RGBA[..., 3] > 0])
    assert np.array_equal(resized[..., 3], RGBA[..., 3])


@given(st.data())
def test_strips_give_the_same_bits(data: st.DataObject) -> None:
    """Whether the ratios are whole numbers or not, of either axis."""
    size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    ratios = st.one_of(st.integers(1, 7), st.floats(1, 4))
    width, height = (round(side * data.draw(ratios)) for side in size)
    kind, most = data.draw(st.sampled_from([(np.uint8, 255), (np.uint16, 255 * 255)]))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    image = random.integers(0, most + 1, (height, width, data.draw(st.integers(1, 4)))).astype(kind)
    at_once = resize_area(image, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transforms.resizing.STRIP_VALUES", data.draw(st.integers(0, image.size - 1)))
        assert np.array_equal(resize_area(image, size), at_once)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_large_backgrounds_are_loaded_in_strips(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = encoded(Image.fromarray(cutout(90, 70)).convert(mode))
    at_once = load_background(image, 19)
    monkeypatch.setattr("transforms.resizing.STRIP_VALUES", 999)
    assert np.array_equal(load_background(image, 19), at_once)


def test_large_foregrounds_are_loaded_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    image = encoded(cutout(90, 70))
    at_once = load_foreground(image, 4)
    monkeypatch.setattr("transforms.resizing.STRIP_VALUES", 999)
    assert np.array_equal(load_foreground(image, 4), at_once)


@given(st.data())
def test_sizes_without_a_mask_are_found_as_by_resizing_to_each(data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    width, height = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    alpha = random.choice(np.array([0, 0, 127, 128, 129, 255], np.uint8), (height, width))
    alpha[random.random((height, width)) < data.draw(st.floats(0, 1))] = 0
    for _ in range(data.draw(st.integers(0, 2))):  # blocks of any size
        x, y = random.integers(width), random.integers(height)
        alpha[y : y + random.integers(1, 25), x : x + random.integers(1, 25)] = random.choice([127, 128, 130, 255])
    rgba = np.dstack([np.zeros((height, width, 3), np.uint8), alpha])
    sizes = [placed_size((width, height), side) for side in data.draw(st.lists(st.integers(1, 90), min_size=1))]
    exhaustive = [index for index, size in enumerate(sizes) if not has_mask_at(rgba, size)]
    assert first_without_mask(rgba, sizes) == (exhaustive[0] if exhaustive else None)


def test_solid_cutouts_are_not_resized_to_find_their_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    rgba = np.full((300, 200, 4), 255, np.uint8)
    monkeypatch.setattr("transforms.pictures.has_mask_at", None)
    assert first_without_mask(rgba, [placed_size((200, 300), side) for side in range(10, 400)]) is None


@given(reductions())
def test_has_mask_at_tells_what_resizing_gives(reduction: tuple[Pixels, tuple[int, int]]) -> None:
    rgba, size = reduction
    assert has_mask_at(rgba, size) == (resize_cutout(rgba, size)[..., 3].max() >= MASK_THRESHOLD)


# Backgrounds and foregrounds.


@pytest.mark.parametrize(
    ("width", "height", "columns", "rows"),
    [(21, 12, slice(4, 16), slice(None)), (12, 21, slice(None), slice(4, 16)), (12, 12, slice(None), slice(None))],
)
def test_backgrounds_are_their_centre_square(width: int, height: int, columns: slice, rows: slice) -> None:
    image = photo(width, height)
    assert np.array_equal(load_background(encoded(image), 12), image[rows, columns])


def test_backgrounds_are_reduced_by_area() -> None:
    image = photo(30, 30)
    exact = np.dstack([area_sums(image[..., c], (8, 8)) for c in range(3)]) / 900
    assert np.abs(load_background(encoded(image), 8) - exact).max() < 0.501


def test_small_backgrounds_are_enlarged() -> None:
    background = load_background(encoded(np.full((1, 3, 3), 7, np.uint8)), 16)
    assert np.array_equal(background, np.full((16, 16, 3), 7))


def test_transparent_backgrounds_are_laid_on_white() -> None:
    image = np.full((4, 4, 4), (0, 0, 0, 0), np.uint8)
    image[:, :2, 3] = 255
    background = load_background(encoded(image), 4)
    assert background[0, :, 0].tolist() == [0, 0, 255, 255]


def test_foregrounds_are_cropped_to_their_alpha_box() -> None:
    image = np.zeros((30, 40, 4), np.uint8)
    image[5:9, 7:20] = (1, 2, 3, 255)
    image[4, 12] = (9, 9, 9, 1)  # the faintest pixel counts
    assert np.array_equal(load_foreground(encoded(image), 100), image[4:9, 7:20])


@pytest.mark.parametrize(("width", "height", "size"), [(400, 100, (40, 10)), (3, 400, (1, 40)), (39, 20, (39, 20))])
def test_large_foregrounds_are_reduced_to_four_times_their_placement(
    width: int, height: int, size: tuple[int, int]
) -> None:
    image = np.zeros((height + 2, width + 2, 4), np.uint8)
    image[1:-1, 1:-1] = (1, 2, 3, 255)
    foreground = load_foreground(encoded(image), 10)
    assert foreground.shape == (size[1], size[0], 4)
    assert np.all(foreground == (1, 2, 3, 255))


def faint_at_the_corners(width: int, height: int) -> Pixels:
    """Solid in the middle, and a single faint pixel at two corners."""
    image = np.zeros((height, width, 4), np.uint8)
    image[height // 4 : -(height // 4), width // 4 : -(width // 4)] = (1, 2, 3, 255)
    image[0, 0] = image[-1, -1] = (9, 9, 9, 3)
    return image


@pytest.mark.parametrize(("width", "height"), [(400, 300), (57, 1000), (320, 87), (41, 41)])
def test_reduced_foregrounds_are_cropped_again(width: int, height: int) -> None:
    foreground = load_foreground(encoded(faint_at_the_corners(width, height)), 10)
    assert np.array_equal(crop_to_alpha(foreground), foreground)
    assert max(foreground.shape) <= 40
    # What a dataset keeps can be loaded again.
    framed = np.pad(foreground, ((1, 1), (1, 1), (0, 0)))
    assert np.array_equal(load_foreground(encoded(framed), 10), foreground)


def test_foregrounds_that_vanish_when_they_are_reduced() -> None:
    image = np.zeros((6, 6_000, 4), np.uint8)
    image[0, 0] = image[5, -1] = 255
    with pytest.raises(PictureError) as caught:
        load_foreground(encoded(image), 2)
    assert str(caught.value) == (
        "is so thin that nothing is left of it when its longest side is 2 pixels; use a larger --fg_scale or"
        " --image_size"
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF"])
def test_pillow_does_not_warn(file_format: str) -> None:
    """It would not say of which picture, and of nothing that matters."""
    damaged_exif = b"Exif\0\0" + with_orientation(6).tobytes()[6:20]
    data = encoded(RGB, file_format, exif=damaged_exif) if file_format != "TIFF" else encoded(RGB, file_format)
    if file_format == "TIFF":
        entry = struct.pack("<HHI", 256, 4, 1)  # the width, said to be two
        data = data.replace(entry, struct.pack("<HHI", 256, 4, 2))
    with contextlib.suppress(PictureError):
        decode_picture(data)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (RGB, "has no alpha channel; cut it out first: fgbg cutout"),
        (np.dstack([RGB, GREY * 0]), "is fully transparent; nothing would be pasted"),
        (
            np.dstack([RGB, GREY * 0 + 255]),
            "is fully opaque; cut it out first: fgbg cutout",
        ),
        (
            np.dstack([RGB, GREY // 2]),
            "is nowhere more than half opaque (largest alpha 127 of 255); its mask would be empty",
        ),
    ],
    ids=["no alpha", "transparent", "opaque", "faint"],
)
def test_what_is_no_foreground(image: Pixels, reason: str) -> None:
    with pytest.raises(PictureError) as caught:
        load_foreground(encoded(image), 100)
    assert str(caught.value) == reason
