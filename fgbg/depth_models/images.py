"""What surrounds a depth network: resizing pictures and depth maps, and the meaning of the network's output."""

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fgbg.depth_models.densedepth import SIDE_MULTIPLE
from fgbg.errors import InputError

NEAREST_METRES = 0.1
FARTHEST_METRES = 10.0


def depth_from_output(output: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Metres from the network's y = 1000 / centimetres, any shape: clip(1000 / y, 10, 1000) centimetres, as published.

    Where y is not positive the published formula stands as it is: +0 gives the farthest depth, and any negative y
    (and -0), whose quotient is negative, the nearest.

    >>> depth_from_output(np.float32([2, 0.5, 1000, 0, -1])).tolist()
    [5.0, 10.0, 0.10000000149011612, 10.0, 0.10000000149011612]
    """
    with np.errstate(divide="ignore"):
        metres = np.divide(np.float32(10), output)
    return np.clip(metres, np.float32(NEAREST_METRES), np.float32(FARTHEST_METRES), out=metres)


def resize_pictures(pictures: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Bilinear, pixel centres aligned: uint8 [n, H, W, 3] -> uint8 [n, h, w, 3], `size` is (width, height).

    Shrinking averages over the pixels that fall together (Pillow's filter), which OpenCV's bilinear does not do;
    enlarging is the same in both and several times faster in OpenCV.
    """
    width, height = size
    if pictures.shape[1:3] == (height, width):
        return pictures
    if pictures.shape[1] > height or pictures.shape[2] > width:
        return np.stack([_shrink(picture, size) for picture in pictures])
    resized = np.empty((len(pictures), height, width, 3), np.uint8)
    for picture, target in zip(pictures, resized, strict=True):
        cv2.resize(picture, size, dst=target, interpolation=cv2.INTER_LINEAR)
    return resized


def _shrink(picture: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def resize_depth(depth: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Bilinear, pixel centres aligned: float32 [n, h, w] -> float32 [n, H, W], `size` is (width, height)."""
    if depth.shape[1:] == (size[1], size[0]):
        return depth
    return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in depth])


def bilinear_weights(old: int, new: int, *, averaging: bool) -> npt.NDArray[np.float32]:
    """The resizing above along one axis as a matrix, for engines that resize themselves: float32 [new, old].

    averaging: whether shrinking widens the triangle under which pixels are weighed, as for pictures and not for depth.

    >>> bilinear_weights(2, 4, averaging=False).tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    scale = old / new
    support = max(scale, 1.0) if averaging else 1.0
    centres = (np.arange(new) + 0.5) * scale - 0.5
    distances = np.abs(np.arange(old) - centres[:, None])
    weights = np.maximum(0, 1 - distances / support)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def check_input_size(size: tuple[int, int], flag: str = "input size") -> None:
    """Raises InputError, with the two nearest valid sizes, unless both sides are positive multiples of 32.

    >>> check_input_size((650, 480))
    Traceback (most recent call last):
    fgbg.errors.InputError: input size 650x480: sides must be multiples of 32; nearest: 640x480 and 672x480
    """
    if all(side > 0 and side % SIDE_MULTIPLE == 0 for side in size):
        return
    below = [max(SIDE_MULTIPLE, side // SIDE_MULTIPLE * SIDE_MULTIPLE) for side in size]
    above = [low if side == low else low + SIDE_MULTIPLE for side, low in zip(size, below, strict=True)]
    raise InputError(
        f"{flag} {size[0]}x{size[1]}: sides must be multiples of {SIDE_MULTIPLE}; "
        f"nearest: {below[0]}x{below[1]} and {above[0]}x{above[1]}"
    )
