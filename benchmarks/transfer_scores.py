"""Scores of benchmarks/transfer.py: counted pixels, F, and differences of two images at every threshold at once."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """Pixels of a scene, over all its frames. Unknown pixels are in none of them.

    Attributes:
        hits: foreground that is called foreground (TP).
        false_alarms: background that is called foreground (FP).
        misses: foreground that is called background (FN).
        shadow: labelled shadow, which is background.
        shadow_alarms: labelled shadow that is called foreground.
    """

    hits: int = 0
    false_alarms: int = 0
    misses: int = 0
    shadow: int = 0
    shadow_alarms: int = 0

    @classmethod
    def of(cls, predicted: Mask, foreground: Mask, background: Mask, shadow: Mask) -> "Counts":
        """Those of one frame; the arguments are bool [H, W]."""
        found = (predicted & foreground, predicted & background, ~predicted & foreground, shadow, predicted & shadow)
        return cls(*(int(np.count_nonzero(pixels)) for pixels in found))

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.hits + other.hits,
            self.false_alarms + other.false_alarms,
            self.misses + other.misses,
            self.shadow + other.shadow,
            self.shadow_alarms + other.shadow_alarms,
        )

    @property
    def f(self) -> float:
        """F = 2 TP / (2 TP + FP + FN); 1 if there is no foreground and none is found."""
        called = 2 * self.hits + self.false_alarms + self.misses
        return 2 * self.hits / called if called else 1.0


def difference(plate: Image, frame: Image) -> Image:
    """The largest absolute difference of a channel: uint8 [H, W] of two images uint8 [H, W, 3]."""
    return np.abs(plate.astype(np.int16) - frame).max(axis=-1).astype(np.uint8)


@dataclass
class Histogram:
    """How many pixels of foreground and of background have each difference."""

    foreground: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    background: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, values: Image, foreground: Mask, background: Mask) -> None:
        """Count one frame: uint8 [H, W] and bool [H, W]."""
        self.foreground += np.bincount(values[foreground], minlength=256)
        self.background += np.bincount(values[background], minlength=256)

    def best_threshold(self) -> int:
        """The threshold t for which "difference > t is foreground" has the best F; the smallest of equal ones."""
        hits, false_alarms = (n.sum() - n.cumsum() for n in (self.foreground, self.background))
        called = hits + false_alarms + self.foreground.sum()
        return int(np.argmax(2 * hits / np.maximum(called, 1)))
