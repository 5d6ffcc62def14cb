"""Counts of placements: by class, flipped, by area of the mask, and by position."""

from dataclasses import asdict, dataclass
from typing import Any

from fgbg.statistics import add_counts

# Each bin of the area histogram spans one hundredth of the image.
AREA_BINS = 100
# Masks are sampled at the centres of a grid with this many cells per side: fine enough to show where cut-outs lie.
COVERAGE_CELLS = 32


@dataclass(frozen=True, slots=True)
class PlacementCounts:
    """Counts over the examples of one or more shards. They are integers, so sums are exact in any order.

    Attributes:
        bg_class: number of examples per background class, by class id.
        fg_class: number of examples per foreground class, by class id.
        flipped: number of examples with a mirrored cut-out.
        area: number of examples by the fraction of the image inside the mask, from k / 100 to (k + 1) / 100 in bin k.
        coverage: number of examples whose mask contains the centre of each cell of a 32 x 32 grid, by row and column.
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
        """Return all counts as JSON values, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "PlacementCounts":
        """Return the counts that `to_json` wrote."""
        return cls(
            bg_class=tuple(fields["bg_class"]),
            fg_class=tuple(fields["fg_class"]),
            flipped=fields["flipped"],
            area=tuple(fields["area"]),
            coverage=tuple(map(tuple, fields["coverage"])),
        )


def no_placements(bg_classes: int, fg_classes: int) -> PlacementCounts:
    """The counts over no examples, for so many classes."""
    cells = ((0,) * COVERAGE_CELLS,) * COVERAGE_CELLS
    return PlacementCounts((0,) * bg_classes, (0,) * fg_classes, flipped=0, area=(0,) * AREA_BINS, coverage=cells)
