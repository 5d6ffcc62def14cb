"""From decoded examples to the fields of their records: JPEG, PNG, numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fgbg.images import Pixels, encode_mask, encode_png, encode_rgb, mask_box
from fgbg.records import Fields, Value
from transforms.compositing import ExampleBatch
from transforms.placements import Placement


@dataclass(frozen=True, slots=True)
class ExampleEncoding:
    """How examples are encoded.

    Attributes:
        jpeg_quality: 1 .. 100, or None for lossless PNG composites.
        background_class: class id of every background.
        foreground_class: class id of every foreground.
    """

    jpeg_quality: int | None
    background_class: tuple[int, ...]
    foreground_class: tuple[int, ...]


def encode_example(
    encoding: ExampleEncoding,
    placement: Placement,
    fg_bg: Pixels,
    mask: Pixels,
    depth: npt.NDArray[np.integer] | None,
) -> Fields:
    """The fields of one example: `fg_bg` uint8 [H, W, 3], `mask` uint8 [H, W], `depth` uint8 or uint16 [H, W] or None.

    See `fgbg.features` for their meaning.
    """
    fields: dict[str, Value] = {
        "fg_bg": encode_rgb(fg_bg, encoding.jpeg_quality),
        "mask": encode_mask(mask),
        "bg": placement.background,
        "fg": placement.foreground,
        "bg_class": encoding.background_class[placement.background],
        "fg_class": encoding.foreground_class[placement.foreground],
        "flipped": int(placement.flipped),
        "placement": placement.placement,
        "bbox": mask_box(mask),
        "example_id": placement.example_id,
    }
    if depth is not None:
        fields["depth"] = encode_png(depth)
    return fields


def encode_batch(encoding: ExampleEncoding, batch: ExampleBatch) -> Iterator[Fields]:
    """The fields of each example of a batch, in order, encoded one at a time."""
    for i, placement in enumerate(batch.placements):
        depth = None if batch.depth is None else batch.depth[i]
        yield encode_example(encoding, placement, batch.fg_bg[i], batch.mask[i], depth)
