"""Images as the bytes of JPEG and PNG files."""

import cv2
import numpy as np
import numpy.typing as npt

from fgbg.errors import RunError

# A mask pixel is set where the placed alpha is at least this.
MASK_THRESHOLD = 128

Pixels = npt.NDArray[np.uint8]


# Masks have long runs of equal bytes, which the default filter breaks up: without it they are a third smaller and
# faster.
_MASK_PNG = (cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)


def encode_rgb(rgb: Pixels, jpeg_quality: int | None) -> bytes:
    """Encode uint8 [H, W, 3] as JPEG of the given quality, or losslessly as PNG for None."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if jpeg_quality is None:
        return encode_png(bgr)
    return _encode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, jpeg_quality))


def encode_rgba(rgba: Pixels) -> bytes:
    """Encode uint8 [H, W, 4] losslessly as PNG."""
    return encode_png(cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))


def encode_mask(mask: Pixels) -> bytes:
    """Encode a binary uint8 [H, W] as PNG."""
    return _encode(".png", mask, _MASK_PNG)


def encode_png(image: npt.NDArray[np.integer]) -> bytes:
    """Encode uint8 or uint16 [H, W] or BGR(A) [H, W, c] losslessly as PNG."""
    # No compression level: naming one, even the default, makes OpenCV 3.5 times slower at the same size.
    return _encode(".png", image, ())


def mask_box(mask: Pixels) -> tuple[float, float, float, float]:
    """ymin, xmin, ymax, xmax of the pixels that are set, as fractions of the height and width.

    >>> mask_box(np.array([[0, 0], [0, 255]], np.uint8))
    (0.5, 0.5, 1.0, 1.0)
    """
    x, y, width, height = cv2.boundingRect(mask)
    rows, columns = mask.shape
    return y / rows, x / columns, (y + height) / rows, (x + width) / columns


def _encode(suffix: str, image: npt.NDArray[np.integer], parameters: tuple[int, ...]) -> bytes:
    done, data = cv2.imencode(suffix, image, parameters)
    if not done:
        raise RunError(f"OpenCV could not encode an image of {image.dtype} {image.shape} as {suffix}.")
    return data.tobytes()
