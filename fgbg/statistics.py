"""Exact pixel statistics: integer sums that can be added in any order, and the mean and standard deviation from them.

The standard deviation is that of all pixels together, not the mean of per-image deviations. For a binary mask of mean m
it is sqrt(m * (1 - m)).
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# log2 of the width of a histogram bin: one value for 8 bits, 64 values (64 mm of depth) for 16 bits.
_SHIFT = {np.dtype(np.uint8): 0, np.dtype(np.uint16): 6}

# OpenCV counts in float32, which is exact up to 2**24 per bin.
_HISTOGRAM_PIXELS = 1 << 24


@dataclass(frozen=True, slots=True)
class Moments:
    """Integer sums over the pixels of one kind of image. Python integers do not overflow, so sums are exact.

    Attributes:
        count: number of pixels, the same for each channel.
        total: sum of values, per channel.
        total_squares: sum of squared values, per channel.
        minimum: smallest value, per channel.
        maximum: largest value, per channel.
        histogram: counts per channel; bin k counts the values k << shift .. ((k + 1) << shift) - 1.
        shift: log2 of the width of a bin.
    """

    count: int
    total: tuple[int, ...]
    total_squares: tuple[int, ...]
    minimum: tuple[int, ...]
    maximum: tuple[int, ...]
    histogram: tuple[tuple[int, ...], ...]
    shift: int

    @classmethod
    def of(cls, images: Integers) -> "Moments":
        """Return the moments of images, uint8 or uint16 [..., channels].

        >>> Moments.of(np.array([[0], [255]], np.uint8)).mean
        (127.5,)

        Raises:
            TypeError: the images are neither uint8 nor uint16.
            ValueError: the images have no pixels.
        """
        if images.dtype not in _SHIFT:
            raise TypeError(f"images must be uint8 or uint16, not {images.dtype}")
        if images.size == 0:
            raise ValueError("images have no pixels")
        return cls._from_counts(_histograms(images.reshape(-1, images.shape[-1])), _SHIFT[images.dtype])

    @classmethod
    def of_masks(cls, masks: npt.NDArray[np.uint8]) -> "Moments":
        """Return the moments of binary masks, uint8 [...] of 0 and 255: as `of` for one channel, ten times as fast."""
        counts = np.zeros((1, 256), np.int64)
        counts[0, 255] = np.count_nonzero(masks)
        counts[0, 0] = masks.size - counts[0, 255]
        return cls._from_counts(counts, shift=0)

    @classmethod
    def _from_counts(cls, counts: npt.NDArray[np.int64], shift: int) -> "Moments":
        """Return the moments for the number of occurrences of each value, int64 [channels, levels]."""
        channels = range(len(counts))
        present = [np.flatnonzero(channel).tolist() for channel in counts]
        bins = counts.reshape(len(counts), -1, 1 << shift).sum(axis=2)
        return cls(
            count=int(counts[0].sum()),
            total=tuple(sum(int(counts[c, v]) * v for v in present[c]) for c in channels),
            total_squares=tuple(sum(int(counts[c, v]) * v * v for v in present[c]) for c in channels),
            minimum=tuple(values[0] for values in present),
            maximum=tuple(values[-1] for values in present),
            histogram=tuple(tuple(channel) for channel in bins.tolist()),
            shift=shift,
        )

    def __add__(self, other: "Moments") -> "Moments":
        if (len(self.total), self.shift) != (len(other.total), other.shift):
            raise ValueError("moments of different kinds of images cannot be added")
        return Moments(
            count=self.count + other.count,
            total=add_counts(self.total, other.total),
            total_squares=add_counts(self.total_squares, other.total_squares),
            minimum=tuple(map(min, self.minimum, other.minimum)),
            maximum=tuple(map(max, self.maximum, other.maximum)),
            histogram=tuple(map(add_counts, self.histogram, other.histogram)),
            shift=self.shift,
        )

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean per channel, in stored units."""
        return tuple(total / self.count for total in self.total)

    @property
    def std(self) -> tuple[float, ...]:
        """Population standard deviation per channel, in stored units."""
        # The numerator of the variance is an exact integer: in floating point, the difference would cancel.
        return tuple(
            math.sqrt(self.count * squares - total * total) / self.count
            for total, squares in zip(self.total, self.total_squares, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Return all sums as JSON values, which `from_json` reads."""
        return {
            "count": self.count,
            "total": self.total,
            "total_squares": self.total_squares,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "histogram": self.histogram,
            "shift": self.shift,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Moments":
        """Return the moments that `to_json` wrote."""
        return cls(
            count=fields["count"],
            total=tuple(fields["total"]),
            total_squares=tuple(fields["total_squares"]),
            minimum=tuple(fields["minimum"]),
            maximum=tuple(fields["maximum"]),
            histogram=tuple(map(tuple, fields["histogram"])),
            shift=fields["shift"],
        )


def add_counts(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """Return the elementwise sum."""
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _histograms(pixels: Integers) -> npt.NDArray[np.int64]:
    """Count the occurrences of each value in pixels [n, channels]: int64 [channels, 256 or 65536]."""
    levels = 1 << (8 * pixels.dtype.itemsize)
    channels = pixels.shape[1]
    counts = np.zeros((channels, levels), np.int64)
    for start in range(0, len(pixels), _HISTOGRAM_PIXELS):
        chunk = pixels[start : start + _HISTOGRAM_PIXELS, np.newaxis]
        for c in range(channels):
            counts[c] += cv2.calcHist([chunk], [c], None, [levels], [0, levels]).ravel().astype(np.int64)
    return counts
