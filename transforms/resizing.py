"""Resizing by averaging areas, in float64, of images of any size in bounded memory.

OpenCV's area filter works in single precision on bytes, whose rounding may differ between processors.
"""

import sys
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from fgbg.images import Pixels

Rows = Callable[[int, int], npt.NDArray[np.unsignedinteger]]
"""Gives the rows from the first up to the second number: unsigned integers [n, w, c]."""

# Values of an image that are held as float64 at once: 32 MiB.
STRIP_VALUES = 1 << 22


def resize_area(image: npt.NDArray[np.unsignedinteger], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Resize [h, w, c] of unsigned integers to (width, height) by averaging areas, or bilinearly where it is enlarged.

    Returns float64 [height, width, c], not rounded.
    """
    return resize_rows(lambda start, stop: image[start:stop], image.shape, size)


def resize_rows(rows: Rows, shape: tuple[int, ...], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """`resize_area` of an image of this shape, [h, w, c], that never has to be in memory as a whole.

    The result is the same, bit for bit, as if it were resized at once.
    """
    height, width, _ = shape
    shrinks = size[0] <= width and size[1] <= height
    if np.prod(shape) <= STRIP_VALUES or not shrinks or size == (width, height):
        return _resized(rows(0, height), size)
    if _is_whole(width, size[0]) and _is_whole(height, size[1]):
        return _by_whole_areas(rows, shape, size)
    columns = np.empty((height, size[0], shape[2]))
    strip = _strip_rows(shape)
    for start in range(0, height, strip):
        stop = min(start + strip, height)
        columns[start:stop] = _resized(rows(start, stop), (size[0], stop - start))
    if not _is_whole(height, size[1]):
        return _resized(columns, size)
    # As OpenCV adds up when only the other axis has fractions: alone, it would take its way for whole areas.
    step = height // size[1]
    weight = float(np.float32(1 / step))
    total = columns[::step] * weight
    for row in range(1, step):
        total += columns[row::step] * weight
    return total


def rounded(values: npt.NDArray[np.float64]) -> Pixels:
    """The nearest bytes."""
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _by_whole_areas(rows: Rows, shape: tuple[int, ...], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Each new pixel is the mean of the same whole number of old ones, so strips do not depend on each other."""
    step = shape[0] // size[1]
    strip = max(1, _strip_rows(shape) // step)
    result = np.empty((size[1], size[0], shape[2]))
    for start in range(0, size[1], strip):
        stop = min(start + strip, size[1])
        result[start:stop] = _resized(rows(start * step, stop * step), (size[0], stop - start))
    return result


def _strip_rows(shape: tuple[int, ...]) -> int:
    return max(1, STRIP_VALUES // (shape[1] * shape[2]))


def _is_whole(before: int, after: int) -> bool:
    """Whether OpenCV takes the ratio for a whole number; it computes it like this, and 49 / 1 is none."""
    ratio = 1 / (after / before)
    return abs(ratio - round(ratio)) < sys.float_info.epsilon


def _resized(values: npt.NDArray, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    height, width, channels = values.shape
    result = values.astype(np.float64, copy=False)
    if size != (width, height):
        shrinks = size[0] <= width and size[1] <= height
        result = cv2.resize(result, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return result.reshape(size[1], size[0], channels)  # OpenCV drops the axis of a single channel
