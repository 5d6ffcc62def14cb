"""Metrics of one depth map: agreement with the teacher, and depth contrast of the cut-out.

All maps are inverse depth (larger = nearer), float32 [h, w]. `evaluate` averages the metrics over images.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.synthesis import IN_CUTOUT, IN_RING

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Differences of mean inverse depth between the cut-out and its surroundings, positive if the cut-out is nearer.

    Attributes:
        margin: cut-out minus the ring around it.
        lift: cut-out minus the bare background at the same pixels; NaN if there is no map of the background.
    """

    margin: float
    lift: float


def contrast(composite: Map, bare: Map | None, region: npt.NDArray[np.uint8]) -> Contrast:
    """Compare the cut-out with the ring around it (see `region_map`) and with the bare background."""
    inside = composite[region == IN_CUTOUT].mean()
    margin = inside - composite[region == IN_RING].mean()
    lift = np.nan if bare is None else inside - bare[region == IN_CUTOUT].mean()
    return Contrast(float(margin), float(lift))


def spearman(a: npt.NDArray, b: npt.NDArray) -> float:
    """Return the rank correlation of two arrays of the same size; ties have their mean rank. 0 if one is constant.

    >>> spearman(np.array([1, 2, 3, 4]), np.array([10, 20, 40, 90]))
    1.0
    """
    return pearson(ranks(a), ranks(b))


def ranks(values: npt.NDArray) -> npt.NDArray[np.float64]:
    """Return the mean rank of each value, flattened.

    >>> ranks(np.array([5, 1, 5])).tolist()
    [1.5, 0.0, 1.5]
    """
    _, inverse, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]


def pearson(a: npt.NDArray, b: npt.NDArray) -> float:
    """Return the linear correlation of two arrays of the same size. 0 if one is constant."""
    a, b = (values.ravel().astype(np.float64) - values.mean(dtype=np.float64) for values in (a, b))
    norm = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / norm, -1, 1)) if norm else 0.0


def vertical_ramp(height: int, width: int) -> Map:
    """Return a baseline map that is linear from 0 at the top (far) to 1 at the bottom (near)."""
    return np.repeat(np.linspace(0, 1, height, dtype=np.float32)[:, np.newaxis], width, axis=1)
