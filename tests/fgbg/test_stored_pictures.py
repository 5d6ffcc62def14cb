"""Headers say what decoding gives, and nothing is decoded that is not what it should be."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from fgbg import stored_pictures
from fgbg.images import encode_mask, encode_png, encode_rgb, encode_rgba
from fgbg.picture_headers import PictureHeader, read_header
from fgbg.stored_pictures import DecodeError, PictureForm
from tests.pictures_helpers import cutout, photo


def jpeg(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


RGB = photo(20, 12)
IMAGE = Image.fromarray(RGB)
PNG = encode_rgb(RGB, None)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (encode_rgb(RGB, None), PictureHeader("PNG", 20, 12, 3, 8)),
        (encode_rgb(RGB, 90), PictureHeader("JPEG", 20, 12, 3, 8)),
        (jpeg(IMAGE, progressive=True), PictureHeader("JPEG", 20, 12, 3, 8)),
        (jpeg(IMAGE, comment=b"x" * 70, icc_profile=b"p" * 70_000), PictureHeader("JPEG", 20, 12, 3, 8)),
        (jpeg(IMAGE.convert("L")), PictureHeader("JPEG", 20, 12, 1, 8)),
        (encode_rgba(cutout(12, 8)), PictureHeader("PNG", 12, 8, 4, 8)),
        (encode_png(RGB[..., 0].astype(np.uint16)), PictureHeader("PNG", 20, 12, 1, 16)),
        (PNG[:20], None),
        (encode_rgb(RGB, 90)[:20], None),
        (PNG[:33] + (0xFE000001).to_bytes(4, "big") + PNG[37:], None),
        (PNG[:-1], None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_headers(data: bytes, header: PictureHeader | None) -> None:
    assert read_header(data) == header


def test_pictures_of_another_size_or_type_are_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(stored_pictures.cv2, "imdecode", decode)
    grey = encode_mask(RGB[..., 0])
    for data, form, told in (
        (grey, PictureForm("PNG", np.uint8, (12, 21)), r"is uint8 \[12, 20\] instead of uint8 \[12, 21\]"),
        (grey, PictureForm("PNG", np.uint16, (12, 20)), r"is uint8 \[12, 20\] instead of uint16"),
        (grey, PictureForm("PNG", np.uint8, (12, 20, 3)), r"instead of uint8 \[12, 20, 3\]"),
        (grey, PictureForm("PNG", np.uint8, (0, 0), longest_side=19), r"instead of uint8 \[up to 19, up to 19\]"),
        (grey, PictureForm("JPEG", np.uint8, (12, 20)), "is no JPEG"),
        (grey[:25], PictureForm("PNG", np.uint8, (12, 20)), "is a damaged PNG"),
    ):
        with pytest.raises(DecodeError, match=told):
            form.decode(data)


def test_pixels_are_those_of_opencv() -> None:
    data = encode_rgb(RGB, 90)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(PictureForm("JPEG", np.uint8, (12, 20, 3)).decode(data), expected)
    np.testing.assert_array_equal(PictureForm("PNG", np.uint8, (12, 20, 3)).decode(encode_rgb(RGB, None)), RGB)
