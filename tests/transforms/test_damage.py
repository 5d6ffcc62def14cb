"""Damage that decoders pass over in silence, and files that only look damaged."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.pictures_helpers import encoded, photo, png
from transforms.damage import find_damage, without_large_texts
from transforms.decoding import PictureError, decode_picture

# Like a photograph: smooth, with some noise.
SCENE = (np.asarray(Image.fromarray(photo(12, 10)).resize((480, 320))) // 16 * 15 + photo(480, 320) % 16).astype("u1")
JPEG = encoded(SCENE, "JPEG", quality=90)
PROGRESSIVE = encoded(SCENE, "JPEG", quality=90, progressive=True)
RESTARTING = encoded(SCENE, "JPEG", quality=90, restart_marker_rows=1)
END = b"\xff\xd9"


def zeros_inside(data: bytes, number: int = 4_000) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(number) + data[middle + number :]


@pytest.mark.parametrize("whole", [JPEG, PROGRESSIVE, RESTARTING], ids=["baseline", "progressive", "restarts"])
@pytest.mark.parametrize("damage", ["zeros", "cut", "a part missing", "a part twice"])
def test_damaged_jpegs_that_decode(whole: bytes, damage: str) -> None:
    middle = len(whole) // 2
    data = {
        "zeros": zeros_inside(whole),
        "cut": whole[:middle] + END,
        "a part missing": whole[:middle] + whole[middle + 500 :],
        "a part twice": whole[:middle] + whole[middle - 500 :],
    }[damage]
    Image.open(io.BytesIO(data)).load()  # Pillow decodes it without a word
    with pytest.raises(PictureError, match=r"^is damaged \(.*\); replace it with an intact copy$"):
        decode_picture(data)


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content


def with_scan_parameters(jpeg: bytes, parameters: bytes) -> bytes:
    """The three bytes that say which coefficients a scan has."""
    start = jpeg.index(b"\xff\xda") + 2
    end = start + struct.unpack_from(">H", jpeg, start)[0]
    return jpeg[: end - 3] + parameters + jpeg[end:]


THUMBNAIL = encoded(photo(8, 8), "JPEG")
INTACT = {
    "as written": JPEG,
    "bytes after the end": JPEG + bytes(5_000) + b"more",
    "another picture after the end": JPEG + THUMBNAIL,
    "no end marker": JPEG[:-2],
    "a few bytes too many": JPEG[:-2] + b"\x12\x34\x56\x78" + END,
    "filled up before the end": JPEG[:-2] + b"\xff" * 40 + END,
    "unknown JFIF version": JPEG[:11] + b"\x07" + JPEG[12:],
    "two JFIF segments": JPEG[:2] + segment(0xE0, b"JFIF\0\x07\1\0\0\1\0\1\0\0") + JPEG[2:],
    "strange Adobe segment": JPEG[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\x09") + JPEG[2:],
    "broken ICC profile": JPEG[:2] + segment(0xE2, b"ICC_PROFILE\0\x07\x03junk") + JPEG[2:],
    "thumbnail in EXIF": JPEG[:2] + segment(0xE1, b"Exif\0\0" + THUMBNAIL) + JPEG[2:],
    "comment": JPEG[:2] + segment(0xFE, END * 3) + JPEG[2:],
    "bytes between segments": JPEG[:20] + b"\0\0\0" + JPEG[20:],
    "filled up between segments": JPEG[:20] + b"\xff" * 3 + JPEG[20:],
    "meaningless scan parameters": with_scan_parameters(JPEG, b"\0\0\0"),
    "progressive": PROGRESSIVE,
    "restarts": RESTARTING,
    "CMYK": encoded(Image.fromarray(SCENE).convert("CMYK"), "JPEG"),
    "grey": encoded(SCENE[..., 0], "JPEG"),
    "RGB": encoded(SCENE, "JPEG", keep_rgb=True),
    "one pixel": encoded(photo(1, 1), "JPEG"),
    "camera with two pictures": encoded(SCENE, "MPO", save_all=True, append_images=[Image.fromarray(255 - SCENE)]),
}


@pytest.mark.parametrize("kind", INTACT)
def test_intact_jpegs(kind: str) -> None:
    assert find_damage(INTACT[kind]) is None


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [1, 50, 100])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 1}])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (16, 16), (97, 33)])
def test_jpegs_of_any_settings(size: tuple[int, int], options: dict, quality: int, subsampling: int) -> None:
    data = encoded(photo(*size), "JPEG", quality=quality, subsampling=subsampling, **options)
    assert find_damage(data) is None


def test_no_jpeg_at_all() -> None:
    assert find_damage(b"\xff\xd8") is None
    assert find_damage(b"\xff\xd8\xff\xe0\0\x10JFIF") is None
    assert find_damage(b"") is None


def test_pngs_with_a_wrong_checksum() -> None:
    """Pillow does not look at the checksums of the pixels, and stops before that of the compressed data."""
    data = bytearray(png(2, 2, 8, 0, [b"\1\2", b"\3\4"]))
    assert find_damage(bytes(data)) is None
    at = data.index(b"IDAT") + 4
    length = struct.unpack_from(">I", data, at - 8)[0]
    data[at : at + length] = zlib.compress(b"\0\1\2\0\7\4").ljust(length)[:length]
    Image.open(io.BytesIO(data)).load()
    with pytest.raises(PictureError) as caught:
        decode_picture(bytes(data))
    assert str(caught.value) == "is damaged (a checksum of its IDAT data is wrong); replace it with an intact copy"


def itxt(text: bytes, *, packed: bool, keyword: bytes = b"workflow") -> bytes:
    flags = b"\1\0" if packed else b"\0\0"
    return keyword + b"\0" + flags + b"\0\0" + (zlib.compress(text) if packed else text)


LARGE = b"x" * (3 << 20)
TEXTS = {
    "tEXt": (b"tEXt", b"prompt\0" + LARGE),
    "zTXt": (b"zTXt", b"prompt\0\0" + zlib.compress(LARGE)),
    "iTXt": (b"iTXt", itxt(LARGE, packed=False)),
    "packed iTXt": (b"iTXt", itxt(LARGE, packed=True)),
    "bomb": (b"zTXt", b"prompt\0\0" + zlib.compress(bytes(300 << 20))),
    "colour profile": (b"iCCP", b"profile\0\0" + zlib.compress(LARGE)),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_large_texts_do_no_harm(kind: str) -> None:
    data = png(2, 1, 8, 0, [b"\5\6"], TEXTS[kind], (b"tRNS", struct.pack(">H", 5)))
    assert np.asarray(decode_picture(data)).tolist() == [[[5, 5, 5, 0], [6, 6, 6, 255]]]


def test_many_texts_do_no_harm() -> None:
    data = png(1, 1, 8, 0, [b"\5"], *[(b"tEXt", b"k%d\0" % i + b"y" * (1 << 20)) for i in range(70)])
    assert np.asarray(decode_picture(data)).tolist() == [[[5, 5, 5]]]


def test_small_texts_are_kept() -> None:
    """They may say how the picture is turned."""
    data = png(1, 1, 8, 0, [b"\5"], (b"zTXt", b"k\0\0" + zlib.compress(b"text")), (b"tEXt", b"k\0text"))
    assert without_large_texts(data) is data
