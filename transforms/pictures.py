"""From picture files to the arrays that are composited: decoding, colour conversion, cropping, resizing.

All functions are pure. Resizing averages areas in float64 (OpenCV's area filter works in single precision on bytes,
whose rounding may differ between processors) and rounds once.
"""

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

from transforms.errors import InputError

Pixels = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

# Twice Pillow's warning threshold, which is where Pillow itself refuses.
MAX_PIXELS = 178_956_970

# A mask pixel is set where the placed alpha is at least this.
MASK_THRESHOLD = 128

# Larger cut-outs are first reduced to this many times the largest placement: a quarter of a pixel of blur at most, and
# a photograph of any size costs a bounded amount of memory.
OVERSAMPLING = 4

# Values of an image that may be held as float64 all at once: 32 MiB.
_SMALL_IMAGE = 1 << 22

# TIFF tag: 0 where the value 0 is white.
_PHOTOMETRIC = 262

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")


class PictureError(InputError):
    """A picture cannot be used. The message is the reason alone; the caller knows the file's name."""


def load_background(data: bytes, image_size: int) -> Pixels:
    """A background photograph as it is composited: centre square, area-resized to uint8 [image_size, image_size, 3].

    Transparent pictures are laid on white.

    Raises:
        PictureError: the bytes cannot be decoded.
    """
    image = decode_picture(data)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = np.asarray(image.crop((left, top, left + side, top + side)))
    return _rounded(resize_area(square, (image_size, image_size)))


def load_foreground(data: bytes, longest_side: int) -> Pixels:
    """A cut-out ready to be placed: RGBA uint8 [h, w, 4], cropped to the box in which alpha > 0.

    Its longest side is at most OVERSAMPLING times `longest_side`, the largest placement.

    Raises:
        PictureError: the bytes cannot be decoded, or their alpha channel does not cut anything out.
    """
    image = decode_picture(data)
    if image.mode != "RGBA":
        raise PictureError("has no alpha channel; cut it out first: fgbg cutout")
    rgba = np.asarray(image)
    alpha = rgba[..., 3]
    if alpha.max() == 0:
        raise PictureError("is fully transparent; nothing would be pasted")
    if alpha.max() < MASK_THRESHOLD:
        raise PictureError(
            f"is nowhere more than half opaque (largest alpha {alpha.max()} of 255); its mask would be empty"
        )
    if alpha.min() == 255:
        raise PictureError("is fully opaque; cut it out first: fgbg cutout")
    x, y, width, height = cv2.boundingRect(alpha)
    rgba = np.ascontiguousarray(rgba[y : y + height, x : x + width])
    reduction = OVERSAMPLING * longest_side / max(width, height)
    if reduction < 1:
        rgba = resize_cutout(rgba, (max(1, round(width * reduction)), max(1, round(height * reduction))))
    return rgba


def decode_picture(data: bytes) -> Image.Image:
    """Decode a picture upright into 8-bit RGB, or RGBA if it has any kind of transparency.

    Grey, palette, CMYK, 16-bit and grey-with-alpha pictures are converted; of animations and multi-page files the first
    picture counts. Embedded colour profiles are not applied, as in the training code's own decoders.

    Raises:
        PictureError: no picture, truncated, damaged, a decompression bomb or pixels without a known range.
    """
    if not data:
        raise PictureError("is an empty file")
    with _reasons(data), Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        opened.load()
        image = _upright(opened)
        if image.mode in _SIXTEEN_BIT_MODES:
            # Pillow inverts 8-bit TIFFs in which 0 is white, but not those of 16 bits.
            image = _from_sixteen_bit(image, white_is_zero=getattr(opened, "tag_v2", {}).get(_PHOTOMETRIC) == 0)
        if image.mode == "F":
            raise PictureError(
                "has floating point pixels, whose range is unknown; save it with 8 or 16 bits per channel"
            )
        transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
        return image.convert("RGBA" if transparent else "RGB")


def resize_area(image: npt.NDArray[np.unsignedinteger], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Resize [h, w, c] of unsigned integers to (width, height) by averaging areas, or bilinearly where it is enlarged.

    Returns float64 [height, width, c], not rounded.
    """
    channels = image.shape[-1]
    # All channels together are faster; one at a time keeps the float64 copy of a large photograph small.
    step = channels if image.size <= _SMALL_IMAGE else 1
    parts = [_resize_planes(image[..., c : c + step].astype(np.float64), size) for c in range(0, channels, step)]
    return np.concatenate(parts, axis=-1)


def resize_cutout(rgba: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize a cut-out to (width, height), weighting colours by alpha, so that no hidden colour bleeds into the edge.

    RGBA uint8 [h, w, 4] in, straight (not premultiplied) RGBA uint8 [height, width, 4] out; colour 0 where alpha is 0.
    """
    alpha = cv2.extractChannel(rgba, 3)
    mean_alpha = resize_area(alpha[..., np.newaxis], size)
    out_alpha = _rounded(mean_alpha)
    premultiplied = np.multiply(
        cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), dtype=np.uint16
    )
    colour = _rounded(resize_area(premultiplied, size) / np.where(out_alpha == 0, np.inf, mean_alpha))
    return np.concatenate([colour, out_alpha], axis=-1)


def has_mask_at(rgba: Pixels, size: tuple[int, int]) -> bool:
    """Whether at least one pixel of the cut-out, resized to (width, height), belongs to its mask."""
    alpha = cv2.extractChannel(rgba, 3)
    return bool(_rounded(resize_area(alpha[..., np.newaxis], size)).max() >= MASK_THRESHOLD)


def _resize_planes(planes: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    height, width = planes.shape[:2]
    shrinks = size[0] <= width and size[1] <= height
    if size != (width, height):
        planes = cv2.resize(planes, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return planes.reshape(size[1], size[0], -1)  # OpenCV drops the axis of a single channel


def _rounded(values: npt.NDArray[np.float64]) -> Pixels:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, struct.error):  # damaged EXIF says nothing of the orientation; the pixels are fine
        return image


def _from_sixteen_bit(image: Image.Image, *, white_is_zero: bool) -> Image.Image:
    # Pillow's own conversion clips 16-bit grey at 255 instead of scaling it.
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise PictureError("has 32-bit pixels, whose range is unknown; save it with 8 or 16 bits per channel")
    grey = Image.fromarray((((65535 - values if white_is_zero else values) * 255 + 32767) // 65535).astype(np.uint8))
    transparent_value = image.info.get("transparency")
    if isinstance(transparent_value, int):
        grey.putalpha(Image.fromarray(np.where(values == transparent_value, 0, 255).astype(np.uint8)))
    return grey


@contextlib.contextmanager
def _reasons(data: bytes) -> Iterator[None]:
    """Say in one sentence why Pillow could not decode a picture."""
    # TFDS sets this for the whole process when it shows examples, and half a photograph would pass for a whole one.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
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
