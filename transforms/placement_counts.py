"""What was placed, counted: classes, mirrored ones, how much of the image the cut-outs cover, and where."""

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from transforms.compositing import ExampleBatch
from transforms.encoding import ExampleEncoding
from transforms.statistics import add_counts

# The share of the image inside the mask is counted in steps of a hundredth.
AREA_BINS = 100
# Masks are looked at in the middles of so many cells along each side: enough to see where cut-outs lie, and small.
COVERAGE_CELLS = 32


@dataclass(frozen=True, slots=True)
class PlacementCounts:
    """Counts over the examples of one or more shards; integers, which add exactly in any order.

    Attributes:
        bg_class: examples of each background class, by class id.
        fg_class: examples of each foreground class, by class id.
        flipped: mirrored examples.
        area: examples by the share of the image inside the mask; bin k holds k / 100 up to (k + 1) / 100.
        coverage: examples whose mask holds the middle of each cell of a 32 x 32 grid, by row and column.
    """

    bg_class: tuple[int, ...]
    fg_class: tuple[int, ...]
    flipped: int
    area: tuple[int, ...]
    coverage: tuple[tuple[int, ...], ...]

    def __add__(self, other: "PlacementCounts") -> "PlacementCounts":
        return PlacementCounts(
            bg_class=add_counts(self.bg_class, other.bg_class),
            fg_class=add_counts(self.fg_class, other.fg_class),
            flipped=self.flipped + other.flipped,
            area=add_counts(self.area, other.area),
            coverage=tuple(map(add_counts, self.coverage, other.coverage)),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "PlacementCounts":
        """The inverse of `to_json`."""
        return cls(
            bg_class=tuple(fields["bg_class"]),
            fg_class=tuple(fields["fg_class"]),
            flipped=fields["flipped"],
            area=tuple(fields["area"]),
            coverage=tuple(map(tuple, fields["coverage"])),
        )


def count_placements(batch: ExampleBatch, encoding: ExampleEncoding) -> PlacementCounts:
    """The counts of a batch; `encoding` knows the class of every picture."""
    side = batch.mask.shape[1]
    middles = ((np.arange(COVERAGE_CELLS) + 0.5) * side / COVERAGE_CELLS).astype(int)
    seen = batch.mask[:, middles[:, np.newaxis], middles] > 0
    inside = np.array([cv2.countNonZero(mask) for mask in batch.mask])
    areas = np.minimum(inside * AREA_BINS // (side * side), AREA_BINS - 1)
    bg_class = [encoding.background_class[placement.background] for placement in batch.placements]
    fg_class = [encoding.foreground_class[placement.foreground] for placement in batch.placements]
    return PlacementCounts(
        bg_class=_counted(bg_class, max(encoding.background_class) + 1),
        fg_class=_counted(fg_class, max(encoding.foreground_class) + 1),
        flipped=sum(placement.flipped for placement in batch.placements),
        area=_counted(areas, AREA_BINS),
        coverage=tuple(map(tuple, seen.sum(axis=0).tolist())),
    )


def no_placements(bg_classes: int, fg_classes: int) -> PlacementCounts:
    """The counts over no examples, for so many classes."""
    cells = ((0,) * COVERAGE_CELLS,) * COVERAGE_CELLS
    return PlacementCounts((0,) * bg_classes, (0,) * fg_classes, flipped=0, area=(0,) * AREA_BINS, coverage=cells)


def _counted(values: Any, length: int) -> tuple[int, ...]:
    return tuple(np.bincount(values, minlength=length).tolist())
