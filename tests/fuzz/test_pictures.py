"""Damaged picture files: only the one error that says what is wrong with them."""

import contextlib
import io

import numpy as np
import pytest
from PIL import Image

from fgbg.images import encode_mask, encode_png, encode_rgb, encode_rgba
from fgbg.picture_headers import read_header
from fgbg.stored_pictures import DecodeError, PictureForm
from tests.fuzz.mutations import damaged, fuzz
from tests.pictures_helpers import cutout, photo
from transforms.pictures import PictureError, decode_picture, load_background, load_foreground

pytestmark = pytest.mark.filterwarnings("ignore")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def originals() -> list[bytes]:
    rgb, rgba = Image.fromarray(photo(24, 20)), Image.fromarray(cutout(20, 24))
    exif = Image.Exif()
    exif[274] = 6
    grey = rgb.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    return [
        saved(rgb, "JPEG", exif=exif),
        saved(rgb, "JPEG", progressive=True),
        saved(rgb.convert("CMYK"), "JPEG"),
        saved(grey, "JPEG"),
        saved(rgb, "PNG"),
        saved(rgba, "PNG"),
        saved(rgba.convert("LA"), "PNG"),
        saved(rgb.convert("P"), "PNG", transparency=3),
        saved(rgb.convert("1"), "PNG"),
        saved(deep, "PNG"),
        saved(rgb, "WEBP"),
        saved(rgba, "WEBP", lossless=True),
        saved(rgba, "WEBP", save_all=True, append_images=[rgba]),
        saved(rgb, "BMP"),
        saved(rgb.convert("P"), "BMP"),
        saved(rgb, "TIFF"),
        saved(rgba, "TIFF", compression="tiff_lzw"),
        saved(rgb, "TIFF", compression="jpeg"),
        saved(rgb, "TIFF", compression="tiff_adobe_deflate"),
        saved(grey.convert("1"), "TIFF", compression="group4"),
        saved(deep, "TIFF"),
        saved(grey.convert("F"), "TIFF"),
        saved(rgb, "TIFF", save_all=True, append_images=[rgb]),
    ]


def test_input_pictures() -> None:
    def check(data: bytes) -> None:
        for load in (decode_picture, lambda data: load_background(data, 16), lambda data: load_foreground(data, 16)):
            with contextlib.suppress(PictureError):
                load(data)

    fuzz(damaged(originals()), check, examples=400)


def test_stored_pictures() -> None:
    rgb = photo(16, 16)
    mask = np.where(rgb[..., 0] > 99, np.uint8(255), np.uint8(0))
    forms = [
        PictureForm("PNG", np.uint8, (16, 16, 3)),
        PictureForm("JPEG", np.uint8, (16, 16, 3)),
        PictureForm("PNG", np.uint8, (16, 16)),
        PictureForm("PNG", np.uint16, (16, 16)),
        PictureForm("PNG", np.uint8, (0, 0, 4), 64),
    ]

    def check(data: bytes) -> None:
        read_header(data)
        for form in forms:
            with contextlib.suppress(DecodeError):
                image = form.decode(data)
                assert image.dtype == form.dtype
                assert max(image.shape) <= 64

    depth = encode_png(rgb[..., 0].astype(np.uint16) * 100)
    stored = [encode_rgb(rgb, None), encode_rgb(rgb, 90), encode_mask(mask), depth, encode_rgba(cutout(12, 8))]
    fuzz(damaged(stored), check, examples=400)
