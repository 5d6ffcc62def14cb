"""From the bytes of a picture file to upright 8-bit RGB or RGBA, or one sentence why not."""

import contextlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps

from fgbg.errors import InputError
from fgbg.memory import PIXELS
from transforms.damage import find_damage, without_large_texts

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")

# Twice Pillow's warning threshold, which is where Pillow itself refuses.
MAX_PIXELS = 178_956_970

# Pillow keeps four bytes of each pixel, and converting or turning makes a second copy.
_BYTES_PER_PIXEL = 8

# Of arrays while a picture is resized: float64 and what becomes of it, a strip at a time where it is large.
_WORKING_BYTES_PER_PIXEL = 32
_MOST_WORKING_BYTES = 64 << 20

# TIFF tag: 0 where the value 0 is white.
_PHOTOMETRIC = 262

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")

# Rows that are converted at once.
_STRIP = 256

_PILLOW = re.compile(r"PIL\.")


# Pillow keeps a picture in blocks of 16 MiB, which the C library returns to the system only when it happens to suit it:
# with eight threads, most of eight large pictures stayed in memory. From 32 MiB on, it returns every block at once.
Image.core.set_block_size(64 << 20)


class PictureError(InputError):
    """A picture cannot be used. The message is the reason alone; the caller knows the file's name."""


@contextlib.contextmanager
def decoded_picture(data: bytes) -> Iterator[Image.Image]:
    """`decode_picture`, where threads that decode at the same time use a bounded amount of memory together.

    The picture must not be kept after the block.

    Raises:
        PictureError: as `decode_picture`.
    """
    with _opened(data) as header:
        pixels = header.width * header.height
    with PIXELS.hold(pixels * _BYTES_PER_PIXEL + min(pixels * _WORKING_BYTES_PER_PIXEL, _MOST_WORKING_BYTES)):
        yield decode_picture(data)


def decode_picture(data: bytes) -> Image.Image:
    """Decode a picture upright into 8-bit RGB, or RGBA if it has any kind of transparency.

    Grey, palette, CMYK, 16-bit and grey-with-alpha pictures are converted; of animations and multi-page files the first
    picture counts. Embedded colour profiles are not applied, as in the training code's own decoders.

    Raises:
        PictureError: no picture, truncated, damaged, a decompression bomb or pixels without a known range.
    """
    with _opened(data) as opened:
        if damage := find_damage(data):
            raise PictureError(
                "is truncated" if _ends_early(data) else f"is damaged ({damage}); replace it with an intact copy"
            )
        opened.load()
        image = _upright(_with_transparent_colour(opened, data))
        if image.mode in _SIXTEEN_BIT_MODES:
            # Pillow inverts 8-bit TIFFs in which 0 is white, but not those of 16 bits.
            image = _from_sixteen_bit(image, white_is_zero=getattr(opened, "tag_v2", {}).get(_PHOTOMETRIC) == 0)
        if image.mode == "F":
            raise PictureError(
                "has floating point pixels, whose range is unknown; save it with 8 or 16 bits per channel"
            )
        transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
        mode = "RGBA" if transparent else "RGB"
        return image if image.mode == mode else image.convert(mode)


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[ImageFile.ImageFile]:
    """A picture of which Pillow has read the header; whatever else is read of it in the block fails in one sentence."""
    if not data:
        raise PictureError("is an empty file")
    with _reasons(data), Image.open(io.BytesIO(without_large_texts(data)), formats=FORMATS) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        yield opened


def _upright(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            return ImageOps.exif_transpose(image)
    except (SyntaxError, struct.error):  # damaged EXIF says nothing of the orientation; the pixels are fine
        pass
    return image


def _with_transparent_colour(image: ImageFile.ImageFile, data: bytes) -> Image.Image:
    """Pillow compares the transparent colour of a PNG, as it is in the file, with pixels that were scaled to 8 bits."""
    colour = image.info.get("transparency")
    if image.format != "PNG" or image.mode not in ("1", "L", "RGB") or colour is None:
        return image
    bits = data[24]
    if bits < 16:
        most = (1 << bits) - 1  # higher bits mean nothing
        scaled = [(value & most) * 255 // most for value in np.atleast_1d(colour).tolist()]
        image.info["transparency"] = scaled[0] if isinstance(colour, int) else tuple(scaled)
        return image
    with _opened(data) as lower:
        # The other byte of each 16-bit value.
        lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]
        alpha = Image.new("L", image.size)
        for top in range(0, image.height, _STRIP):
            box = (0, top, image.width, min(top + _STRIP, image.height))
            values = np.asarray(image.crop(box)).astype(np.uint16) << 8 | np.asarray(lower.crop(box))
            alpha.paste(Image.fromarray(np.where((values == colour).all(-1), 0, 255).astype(np.uint8)), box)
    del image.info["transparency"]
    image.putalpha(alpha)
    return image


def _from_sixteen_bit(image: Image.Image, *, white_is_zero: bool) -> Image.Image:
    # Pillow's own conversion clips 16-bit grey at 255 instead of scaling it.
    transparent_value = image.info.get("transparency")
    has_alpha = isinstance(transparent_value, int)
    converted = Image.new("LA" if has_alpha else "L", image.size)
    for top in range(0, image.height, _STRIP):
        box = (0, top, image.width, min(top + _STRIP, image.height))
        values = np.asarray(image.crop(box)).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise PictureError("has 32-bit pixels, whose range is unknown; save it with 8 or 16 bits per channel")
        bytes_ = (((65535 - values if white_is_zero else values) * 255 + 32767) // 65535).astype(np.uint8)
        strip = Image.fromarray(bytes_)
        if has_alpha:
            strip.putalpha(Image.fromarray(np.where(values == transparent_value, 0, 255).astype(np.uint8)))
        converted.paste(strip, box)
    return converted


@contextlib.contextmanager
def _reasons(data: bytes) -> Iterator[None]:
    """Say in one sentence why Pillow could not decode a picture."""
    # TFDS sets this for the whole process when it shows examples, and half a photograph would pass for a whole one.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    _silence_warnings()
    try:
        yield
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"has more than {MAX_PIXELS:,} pixels and is refused as a decompression bomb; scale it down"
        ) from error
    except Image.UnidentifiedImageError as error:
        if _ends_early(data):
            raise PictureError("is truncated") from error
        raise PictureError("is no JPEG, PNG, WebP, BMP or TIFF picture, or is damaged") from error
    except PictureError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error, zlib.error) as error:
        reason = str(error) or type(error).__name__
        if "truncated" in reason.lower() or _ends_early(data):
            raise PictureError("is truncated") from error
        raise PictureError(f"cannot be decoded ({reason})") from error


def _silence_warnings() -> None:
    """Pillow warns of metadata and of large pictures, without their names; damage is an error here."""
    quiet = ("ignore", None, Warning, _PILLOW, 0)
    if quiet not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)


def _ends_early(data: bytes) -> bool:
    """Whether a file lacks its end, which Pillow does not tell apart from other damage in all formats."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    if data[:4] == b"RIFF":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if data[:4] in (b"II*\0", b"MM\0*"):
        order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
        directory = int.from_bytes(data[4:8], order)
        entries = int.from_bytes(data[directory : directory + 2], order)
        return len(data) < directory + 2 + 12 * entries + 4
    return False
