"""From picture files to the arrays that are composited: cropping, reducing, and what makes a usable cut-out.

All functions are pure. Resizing averages areas in float64 and rounds once.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fgbg.companions import OVERSAMPLING
from fgbg.images import MASK_THRESHOLD, Pixels
from transforms.decoding import PictureError, decode_picture, decoded_picture
from transforms.resizing import Rows, resize_area, resize_rows, rounded

__all__ = [
    "MASK_THRESHOLD",
    "OVERSAMPLING",
    "SUFFIXES",
    "PictureError",
    "Pixels",
    "crop_to_alpha",
    "decode_picture",
    "decoded_picture",
    "first_without_mask",
    "has_mask_at",
    "load_background",
    "load_foreground",
    "resize_area",
    "resize_cutout",
]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


# The mean of pixels that are all at least this opaque belongs to the mask for certain: OpenCV leaves out parts of a
# pixel up to a thousandth, so at most 4 thousandths of the mean are missing.
_SOLID = MASK_THRESHOLD + 2


def load_background(data: bytes, image_size: int) -> Pixels:
    """A background photograph as it is composited: centre square, area-resized to uint8 [image_size, image_size, 3].

    Transparent pictures are laid on white.

    Raises:
        PictureError: the bytes cannot be decoded.
    """
    with decoded_picture(data) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2

        def rows(start: int, stop: int) -> Pixels:
            strip = image.crop((left, top + start, left + side, top + stop))
            if strip.mode == "RGBA":
                strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip).convert("RGB")
            return np.asarray(strip)

        return rounded(resize_rows(rows, (side, side, 3), (image_size, image_size)))


def load_foreground(data: bytes, longest_side: int) -> Pixels:
    """A cut-out ready to be placed: RGBA uint8 [h, w, 4], cropped to the box in which alpha > 0.

    Its longest side is at most OVERSAMPLING times `longest_side`, the largest placement. Loading it again from the
    result gives the same.

    Raises:
        PictureError: the bytes cannot be decoded, or their alpha channel does not cut anything out.
    """
    with decoded_picture(data) as image:
        if image.mode != "RGBA":
            raise PictureError("has no alpha channel; cut it out first: fgbg cutout")
        alpha = image.getchannel("A")
        box, counts = alpha.getbbox(), alpha.histogram()
        if box is None:
            raise PictureError("is fully transparent; nothing would be pasted")
        most = max(value for value, count in enumerate(counts) if count)
        if most < MASK_THRESHOLD:
            raise PictureError(
                f"is nowhere more than half opaque (largest alpha {most} of 255); its mask would be empty"
            )
        if not any(counts[:255]):
            raise PictureError("is fully opaque; cut it out first: fgbg cutout")
        del alpha
        left, top, right, bottom = box
        width, height = right - left, bottom - top

        def rows(start: int, stop: int) -> Pixels:
            return np.asarray(image.crop((left, top + start, right, top + stop)))

        reduction = OVERSAMPLING * longest_side / max(width, height)
        if reduction >= 1:
            return rows(0, height).copy()
        reduced = _resize_cutout_rows(
            rows, (width, height), (max(1, round(width * reduction)), max(1, round(height * reduction)))
        )
    # What is faint or thin at the edge is rounded to nothing.
    cutout = crop_to_alpha(reduced)
    if cutout.size == 0:
        raise PictureError(
            f"is so thin that nothing is left of it when its longest side is {longest_side} pixels; use a larger"
            " --fg_scale or --image_size"
        )
    return cutout


def crop_to_alpha(rgba: Pixels) -> Pixels:
    """The part of RGBA uint8 [h, w, 4] in which alpha > 0; it has no pixels if there is none."""
    x, y, width, height = cv2.boundingRect(cv2.extractChannel(rgba, 3))
    return np.ascontiguousarray(rgba[y : y + height, x : x + width])


def resize_cutout(rgba: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize a cut-out to (width, height), weighting colours by alpha, so that no hidden colour bleeds into the edge.

    RGBA uint8 [h, w, 4] in, straight (not premultiplied) RGBA uint8 [height, width, 4] out; colour 0 where alpha is 0.
    """
    return _resize_cutout_rows(lambda start, stop: rgba[start:stop], (rgba.shape[1], rgba.shape[0]), size)


def has_mask_at(rgba: Pixels, size: tuple[int, int]) -> bool:
    """Whether at least one pixel of the cut-out, resized to (width, height), belongs to its mask."""
    alpha = cv2.extractChannel(rgba, 3)
    return bool(rounded(resize_area(alpha[..., np.newaxis], size)).max() >= MASK_THRESHOLD)


def first_without_mask(rgba: Pixels, sizes: Sequence[tuple[int, int]]) -> int | None:
    """Index of the first (width, height) to which the cut-out cannot be resized without losing all of its mask.

    The same answer as `has_mask_at` gives for each of them, but resizing only where a solid block does not decide.
    """
    height, width = rgba.shape[:2]
    solid = (cv2.extractChannel(rgba, 3) >= _SOLID).astype(np.uint8)
    # A block of twice as many pixels as become one holds one of these areas as a whole, wherever it lies; where the
    # cut-out is enlarged, a block of two holds both neighbours of some new pixel.
    blocks = [(_block(width, size[0]), _block(height, size[1])) for size in sizes]
    ordered = sorted(set(blocks))
    held = bisect_left(ordered, True, key=lambda block: not _holds_block(solid, block))
    width, height = ordered[held - 1] if held else (0, 0)
    for index, (size, block) in enumerate(zip(sizes, blocks, strict=True)):
        if (block[0] > width or block[1] > height) and not has_mask_at(rgba, size):
            return index
    return None


def _block(before: int, after: int) -> int:
    return math.ceil(2 * max(1, before / after))


def _holds_block(solid: Pixels, block: tuple[int, int]) -> bool:
    """Whether a block of this width and height is 1 everywhere in uint8 [h, w] of 0 and 1."""
    if block[0] > solid.shape[1] or block[1] > solid.shape[0]:
        return False
    counts = cv2.boxFilter(solid, cv2.CV_32S, block, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return bool(counts.max() == block[0] * block[1])


def _resize_cutout_rows(rows: Rows, before: tuple[int, int], size: tuple[int, int]) -> Pixels:
    width, height = before
    mean_alpha = resize_rows(lambda start, stop: rows(start, stop)[..., 3:], (height, width, 1), size)
    out_alpha = rounded(mean_alpha)
    premultiplied = resize_rows(lambda start, stop: _premultiplied(rows(start, stop)), (height, width, 3), size)
    colour = rounded(premultiplied / np.where(out_alpha == 0, np.inf, mean_alpha))
    return np.concatenate([colour, out_alpha], axis=-1)


def _premultiplied(rgba: Pixels) -> npt.NDArray[np.uint16]:
    alpha = cv2.extractChannel(rgba, 3)
    return np.multiply(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), dtype=np.uint16)
