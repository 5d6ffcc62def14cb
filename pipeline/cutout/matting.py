"""Alpha matting: refines a rough alpha estimate and estimates the colours of the object. Pure functions.

Each pixel of a photograph I is a mix of foreground F and background B: I = alpha F + (1 - alpha) B. Networks estimate
alpha. Along soft edges, I contains the old background, which would be a halo on a new one, so F is estimated there.
"""

import threading
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fgbg.images import Pixels

Alpha = npt.NDArray[np.float32]

# Pixels with at least this alpha belong to the object, as in the masks of the dataset.
SOLID = 0.5

# Components smaller than this fraction of the largest one are removed. Holes smaller than this fraction of the object
# are filled; larger ones, such as the gap between an arm and the body, are real.
_SMALL_COMPONENT = 0.05
_SMALL_HOLE = 0.01

# How far soft edges, such as hair, may extend beyond the solid part, as a fraction of the picture's longest side.
_REACH = 1 / 32

# Alpha below this becomes 0 and alpha above 1 - this becomes 1, because networks rarely output exact 0 or 1.
_LOW_ALPHA = 0.2

# Radius of the guided filter as a fraction of the longest side, and its noise variance for colours in 0 .. 1.
_RADIUS = 1 / 100
_NOISE = 1e-4

# Number of rows of a full-size picture that are in memory as float32 at a time.
_ROWS = 256

# Numba aborts the process if two threads start its thread pool at the same time.
_NUMBA_LOCK = threading.Lock()


def refine_alpha(picture: Pixels, estimate: Alpha) -> Alpha:
    """Align an alpha estimate with the edges of the picture and remove low alpha: float32 [h, w] in 0 .. 1.

    He, Sun, Tang: Guided Image Filtering (2013), with the colour picture as guide: in each window, alpha is the linear
    function of the colour that is closest to the estimate.

    Args:
        picture: uint8 [h, w, 3].
        estimate: float32 [h, w] in 0 .. 1.
    """
    estimate = _remove_low_alpha(estimate)
    side = 2 * max(1, round(_RADIUS * max(estimate.shape))) + 1
    guide = picture.astype(np.float32) / np.float32(255)

    def mean(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return cv2.blur(values, (side, side))

    mean_guide, mean_estimate = mean(guide), mean(estimate)
    variance = np.empty((*estimate.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            covariance = mean(guide[..., i] * guide[..., j]) - mean_guide[..., i] * mean_guide[..., j]
            variance[..., i, j] = variance[..., j, i] = covariance + np.float32(_NOISE * (i == j))
    with_estimate = mean(guide * estimate[..., np.newaxis]) - mean_guide * mean_estimate[..., np.newaxis]
    slope = np.linalg.solve(variance, with_estimate[..., np.newaxis])[..., 0].astype(np.float32, copy=False)
    offset = mean_estimate - (slope * mean_guide).sum(axis=-1)
    return _remove_low_alpha((mean(slope) * guide).sum(axis=-1) + mean(offset))


def clean_alpha(alpha: Alpha, *, only_largest: bool = False) -> Alpha:
    """Remove small components and fill small holes: float32 [h, w] in 0 .. 1. All 0 if no pixel is solid.

    Args:
        alpha: alpha of the whole picture, float32 [h, w] in 0 .. 1.
        only_largest: whether to keep only the largest component.
    """
    from scipy import ndimage  # installed by the extra `cutout`

    solid = alpha >= SOLID
    components, areas = label_components(solid)
    if not areas.size:
        return np.zeros_like(alpha)
    kept = np.arange(areas.size) == areas.argmax() if only_largest else areas >= _SMALL_COMPONENT * areas.max()
    # A soft pixel belongs to the nearest component.
    distance, (y, x) = ndimage.distance_transform_edt(~solid, return_indices=True)
    in_reach = distance <= _REACH * max(alpha.shape)
    alpha = np.where(_select(components, kept)[y, x] & in_reach, alpha, np.float32(0))

    holes, hole_areas = label_components(alpha < SOLID)
    small = hole_areas < _SMALL_HOLE * areas[kept].sum()
    # Components of the background that touch the border of the picture are not holes.
    border = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    small[border[border > 0] - 1] = False
    return np.where(_select(holes, small), np.float32(1), alpha)


def label_components(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the connected components of a mask [h, w]: labels [h, w], 0 outside and 1 .. n inside, and areas [n]."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return labels, statistics[1:, cv2.CC_STAT_AREA]


def estimate_colours(picture: Pixels, alpha: Pixels) -> tuple[Pixels, Pixels]:
    """Return smooth foreground and background colours whose mix is the picture: two uint8 [h, w, 3].

    Germer, Uelwer, Conrad, Harmeling: Fast Multi-Level Foreground Estimation (2020), as implemented by PyMatting.

    Args:
        picture: uint8 [h, w, 3].
        alpha: uint8 [h, w].
    """
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    with _NUMBA_LOCK:
        both: Any = estimate_foreground_ml(picture / np.float32(255), alpha / np.float32(255), return_background=True)
    foreground, background = (np.rint(np.clip(colour, 0, 1) * 255).astype(np.uint8) for colour in both)
    return foreground, background


def assemble(
    photo: Image.Image, alpha: Pixels, foreground: Pixels, background: Pixels
) -> tuple[Pixels, tuple[int, int, int, int]]:
    """Return the cut-out at the resolution of the photograph, cropped to alpha > 0, and the box of that crop.

    The cut-out is RGBA uint8 [H, W, 4], with colour 0 where alpha is 0. The box is left, top, width and height in the
    photograph.

    Enlarging blurs the colour estimates, so they are corrected by the smallest amount that makes them mix to the
    photograph: with the residual r = I - alpha F - (1 - alpha) B, the foreground becomes
    F + alpha r / (alpha^2 + (1 - alpha)^2), the minimum-norm least-squares solution. Where alpha is 1, the result is
    the photograph.

    Args:
        photo: RGB, of any size.
        alpha: alpha of a reduced copy, uint8 [h, w], not all 0.
        foreground: colours of the reduced copy, uint8 [h, w, 3].
        background: colours of the reduced copy, uint8 [h, w, 3].
    """
    left, top, right, bottom = _full_size_box(alpha, photo.size)
    scale_x, scale_y = alpha.shape[1] / photo.width, alpha.shape[0] / photo.height
    sources = [Image.fromarray(array) for array in (alpha, foreground, background)]
    cutout = np.empty((bottom - top, right - left, 4), np.uint8)
    for first in range(top, bottom, _ROWS):
        last = min(first + _ROWS, bottom)
        # Pillow also reads pixels outside of the box, so there are no seams between strips.
        box = (left * scale_x, first * scale_y, right * scale_x, last * scale_y)
        size = (right - left, last - first)
        strip, f, b = (np.asarray(source.resize(size, Image.Resampling.BILINEAR, box)) for source in sources)
        picture = np.asarray(photo.crop((left, first, right, last)))
        a = (strip / np.float32(255))[..., np.newaxis]
        f, b = f.astype(np.float32), b.astype(np.float32)
        f += a * (picture - a * f - (1 - a) * b) / (a * a + (1 - a) * (1 - a))
        rows = slice(first - top, last - top)
        cutout[rows, :, :3] = np.rint(np.clip(f, 0, 255)) * (a > 0)
        cutout[rows, :, 3] = strip
    x, y, width, height = cv2.boundingRect(cutout[..., 3])
    return cutout[y : y + height, x : x + width], (left + x, top + y, width, height)


def _full_size_box(alpha: Pixels, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom in the photograph of the region where the enlarged alpha can be above 0."""
    x, y, width, height = cv2.boundingRect(alpha)
    rows, columns = alpha.shape
    return (
        max(0, (x - 1) * size[0] // columns),
        max(0, (y - 1) * size[1] // rows),
        min(size[0], -(-(x + width + 1) * size[0] // columns)),
        min(size[1], -(-(y + height + 1) * size[1] // rows)),
    )


def _remove_low_alpha(alpha: Alpha) -> Alpha:
    return np.clip((alpha - np.float32(_LOW_ALPHA)) / np.float32(1 - 2 * _LOW_ALPHA), 0, 1)


def _select(labels: npt.NDArray[np.int32], selected: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.append(False, selected)[labels]
