"""From a rough opacity to a clean alpha channel and the colours of the object alone. Pure functions.

A photograph I is in every pixel a mix of foreground F and background B: I = alpha F + (1 - alpha) B. Networks tell
alpha; along soft edges I still holds the old background, which would be a halo on a new one, so F is estimated there.
"""

import threading
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from transforms.pictures import Pixels

Alpha = npt.NDArray[np.float32]

# Alpha from which a pixel belongs to the object, as in the masks of the dataset.
SOLID = 0.5

# Smaller pieces than this share of the largest one are specks, and smaller gaps than this share of the object are
# holes made by mistake; larger ones, as between an arm and a body, are meant.
_SPECK = 0.05
_HOLE = 0.01

# How far soft edges, such as hair, may reach beyond what is solid: share of the picture's longest side.
_REACH = 1 / 32

# Less than this is haze, more than 1 - this is opaque: networks are seldom sure.
_HAZE = 0.2

# Radius of the guided filter, share of the longest side, and what it takes for noise, in colours of 0 .. 1 squared.
_RADIUS = 1 / 100
_NOISE = 1e-4

# Rows of a full-size picture that are held as float32 all at once.
_ROWS = 256

# Numba's threads abort the process when they are started from two of ours at the same time.
_NUMBA = threading.Lock()


def refine_alpha(picture: Pixels, guess: Alpha) -> Alpha:
    """A guess moved to the edges that the picture shows, without haze; float32 [h, w] in 0 .. 1.

    He, Sun, Tang: Guided Image Filtering (2013), with a picture in colour as guide: in every window alpha is a linear
    function of the colour, the one nearest to the guess.

    Args:
        picture: uint8 [h, w, 3].
        guess: float32 [h, w] in 0 .. 1.
    """
    guess = _without_haze(guess)
    side = 2 * max(1, round(_RADIUS * max(guess.shape))) + 1
    guide = picture.astype(np.float32) / np.float32(255)

    def mean(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return cv2.blur(values, (side, side))

    mean_guide, mean_guess = mean(guide), mean(guess)
    variance = np.empty((*guess.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            covariance = mean(guide[..., i] * guide[..., j]) - mean_guide[..., i] * mean_guide[..., j]
            variance[..., i, j] = variance[..., j, i] = covariance + np.float32(_NOISE * (i == j))
    with_guess = mean(guide * guess[..., np.newaxis]) - mean_guide * mean_guess[..., np.newaxis]
    slope = np.linalg.solve(variance, with_guess[..., np.newaxis])[..., 0].astype(np.float32, copy=False)
    offset = mean_guess - (slope * mean_guide).sum(axis=-1)
    return _without_haze((mean(slope) * guide).sum(axis=-1) + mean(offset))


def clean_alpha(alpha: Alpha, *, only_largest: bool = False) -> Alpha:
    """Alpha without specks and holes: float32 [h, w] in 0 .. 1, in and out; 0 everywhere if nothing is solid.

    Args:
        alpha: of the whole picture.
        only_largest: keep the largest piece alone.
    """
    from scipy import ndimage  # comes with the extra `cutout`

    solid = alpha >= SOLID
    pieces, areas = label_pieces(solid)
    if not areas.size:
        return np.zeros_like(alpha)
    kept = np.arange(areas.size) == areas.argmax() if only_largest else areas >= _SPECK * areas.max()
    # A soft pixel goes with the piece it is nearest to.
    distance, (y, x) = ndimage.distance_transform_edt(~solid, return_indices=True)
    in_reach = distance <= _REACH * max(alpha.shape)
    alpha = np.where(_chosen(pieces, kept)[y, x] & in_reach, alpha, np.float32(0))

    gaps, gap_areas = label_pieces(alpha < SOLID)
    small = gap_areas < _HOLE * areas[kept].sum()
    border = np.unique(np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]]))
    small[border[border > 0] - 1] = False
    return np.where(_chosen(gaps, small), np.float32(1), alpha)


def label_pieces(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Connected pieces of a mask [h, w]: the number of each pixel's piece from 1 on, or 0; the area of each piece."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return labels, statistics[1:, cv2.CC_STAT_AREA]


def estimate_colours(picture: Pixels, alpha: Pixels) -> tuple[Pixels, Pixels]:
    """Foreground and background colours that mix to the picture, both smooth: two uint8 [h, w, 3].

    Germer, Uelwer, Conrad, Harmeling: Fast Multi-Level Foreground Estimation (2020), by PyMatting.

    Args:
        picture: uint8 [h, w, 3].
        alpha: uint8 [h, w].
    """
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    with _NUMBA:
        both: Any = estimate_foreground_ml(picture / np.float32(255), alpha / np.float32(255), return_background=True)
    foreground, background = (np.rint(np.clip(colour, 0, 1) * 255).astype(np.uint8) for colour in both)
    return foreground, background


def assemble(
    photo: Image.Image, alpha: Pixels, foreground: Pixels, background: Pixels
) -> tuple[Pixels, tuple[int, int, int, int]]:
    """The cut-out at the photograph's own size, and the box where alpha > 0, to which it is trimmed.

    RGBA uint8 [H, W, 4], colour 0 where alpha is 0; left, top, width, height in the photograph.

    Enlarged colour estimates are blurred, so they are moved by as little as makes them mix to the photograph again:
    with the remainder r = I - alpha F - (1 - alpha) B, that is F + alpha r / (alpha^2 + (1 - alpha)^2), the
    least-squares solution of smallest norm. Where alpha is 1 it is the photograph itself.

    Args:
        photo: RGB, of any size.
        alpha: uint8 [h, w], of a reduced copy; somewhere more than 0.
        foreground: uint8 [h, w, 3], likewise.
        background: uint8 [h, w, 3], likewise.
    """
    left, top, right, bottom = _full_size_box(alpha, photo.size)
    scale_x, scale_y = alpha.shape[1] / photo.width, alpha.shape[0] / photo.height
    sources = [Image.fromarray(array) for array in (alpha, foreground, background)]
    cutout = np.empty((bottom - top, right - left, 4), np.uint8)
    for first in range(top, bottom, _ROWS):
        last = min(first + _ROWS, bottom)
        # Pillow looks beyond the box, so there are no seams between strips.
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
    """Left, top, right and bottom in the photograph of what may be more than 0 once it is enlarged."""
    x, y, width, height = cv2.boundingRect(alpha)
    rows, columns = alpha.shape
    return (
        max(0, (x - 1) * size[0] // columns),
        max(0, (y - 1) * size[1] // rows),
        min(size[0], -(-(x + width + 1) * size[0] // columns)),
        min(size[1], -(-(y + height + 1) * size[1] // rows)),
    )


def _without_haze(alpha: Alpha) -> Alpha:
    return np.clip((alpha - np.float32(_HAZE)) / np.float32(1 - 2 * _HAZE), 0, 1)


def _chosen(labels: npt.NDArray[np.int32], chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.append(False, chosen)[labels]
