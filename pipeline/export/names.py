"""What the pictures of an exported dataset are called."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Beyond this, file managers and network disks become slow; a foreground's pictures are then sorted by background, too.
_MOST_FILES = 5000


@dataclass(frozen=True, slots=True)
class PictureNames:
    """Paths of pictures, for ids with as many digits as the numbers of pictures have.

    Attributes:
        backgrounds: how many.
        foregrounds: how many.
        placements: of each pair, plain, and as many flipped.
        suffix: of composites.
    """

    backgrounds: int
    foregrounds: int
    placements: int
    suffix: str

    def background(self, number: int) -> str:
        """Name of a background, without folder and suffix."""
        return f"bg_{_padded(number, self.backgrounds)}"

    def foreground(self, number: int) -> str:
        """Name of a foreground, without folder and suffix."""
        return f"fg_{_padded(number, self.foregrounds)}"

    def background_paths(self, number: int) -> dict[str, str]:
        """Kind -> path of the pictures of a background."""
        return {"bg": f"bg/{self.background(number)}.png"}

    def foreground_paths(self, number: int) -> dict[str, str]:
        """Kind -> path of the pictures of a foreground."""
        name = self.foreground(number)
        return {"fg": f"fg/{name}.png", "fg_mask": f"fg_mask/{name}.png"}

    def example_paths(self, split: str, fields: Mapping[str, Any]) -> dict[str, str]:
        """Kind -> path of the pictures of an example.

        >>> names = PictureNames(backgrounds=100, foregrounds=100, placements=20, suffix=".jpg")
        >>> names.example_paths("train", {"bg": 34, "fg": 12, "flipped": 1, "placement": 7, "depth": b""})["fg_bg"]
        'train/fg_bg/fg_012/fg_012_bg_034_f1_p07.jpg'
        """
        bg, fg = self.background(fields["bg"]), self.foreground(fields["fg"])
        folder = fg if self.backgrounds * 2 * self.placements <= _MOST_FILES else f"{fg}/{bg}"
        name = f"{fg}_{bg}_f{fields['flipped']}_p{_padded(fields['placement'], self.placements)}"
        paths = {kind: f"{split}/{kind}/{folder}/{name}.png" for kind in ("mask", "depth") if kind in fields}
        return {"fg_bg": f"{split}/fg_bg/{folder}/{name}{self.suffix}"} | paths


def _padded(number: int, count: int) -> str:
    return f"{number:0{len(str(count))}}"
