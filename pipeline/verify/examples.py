"""One record against the example that it should hold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fgbg.depth_models.images import FARTHEST_METRES, NEAREST_METRES
from fgbg.images import Pixels
from fgbg.naming import printable
from fgbg.records import Fields, RecordForm, Value, WrongRecordError, check_value, parse_record
from fgbg.stored_pictures import PictureForm
from pipeline.verify.pictures import check_mask, check_same_pixels, decode_field, within_jpeg_error
from transforms.depth import quantize_depth

# The order in which fields are looked at: what says which example it is comes first, so that a record in the wrong
# place is reported as that.
_NUMBERS = ("example_id", "bg", "fg", "flipped", "placement", "bg_class", "fg_class")

_KINDS = {bytes: "bytes_list", int: "int64_list", tuple: "float_list"}


@dataclass(frozen=True, slots=True)
class Example:
    """What a record should hold.

    Attributes:
        fields: all fields but the depth, as a build would write them.
        fg_bg: the composite before encoding, uint8 [H, W, 3].
        mask: uint8 [H, W].
    """

    fields: Fields
    fg_bg: Pixels
    mask: Pixels


@dataclass(frozen=True, slots=True)
class ExampleRules:
    """How strictly records are compared.

    Attributes:
        lossless: whether composites are PNG.
        depth_bits: 16 or 8, or None without depth.
        same_encoder: whether JPEGs must have the bytes that encoding gives here.
    """

    lossless: bool
    depth_bits: int | None
    same_encoder: bool


@dataclass(frozen=True, slots=True)
class CheckedExample:
    """A record that is right.

    Attributes:
        fields: its fields.
        depth: its depth as stored, uint8 or uint16 [H, W], or None.
        same_bytes: whether the composite has the bytes that encoding gives here.
    """

    fields: Mapping[str, Any]
    depth: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | None
    same_bytes: bool


def check_example(record: bytes, example: Example, rules: ExampleRules, *, decode: bool) -> CheckedExample:
    """Compare a record with what it should hold.

    Pictures that have the very bytes of the computed picture, encoded, need no decoding; with `decode` they are decoded
    and compared nevertheless, which would show a broken encoder.

    Raises:
        WrongRecordError: the first field that is wrong, and why.
    """
    kinds = {name: kind_of(value) for name, value in example.fields.items()}
    if rules.depth_bits is not None:
        kinds["depth"] = "bytes_list"
    stored = parse_record(record, RecordForm(kinds))
    for name in _NUMBERS:
        check_value(name, stored[name], example.fields[name])
    if decode or stored["mask"] != example.fields["mask"]:
        check_mask(decode_field("mask", stored["mask"], PictureForm("PNG", np.uint8, example.mask.shape)), example.mask)
    box = np.array(example.fields["bbox"], np.float32)
    if not np.array_equal(box, np.array(stored["bbox"], np.float32)):
        there = printable(str(stored["bbox"]), 100)
        raise WrongRecordError("bbox", f"is {there} instead of {box.tolist()}, the box of the mask")
    same_bytes = _check_composite(stored["fg_bg"], example, rules, decode=decode)
    depth = None if rules.depth_bits is None else _check_depth(stored["depth"], rules.depth_bits, example.mask.shape)
    return CheckedExample(stored, depth, same_bytes)


def kind_of(value: Value) -> str:
    """The kind of list in which tf.train.Example keeps a value."""
    return _KINDS[type(value)]


def _check_composite(stored: bytes, example: Example, rules: ExampleRules, *, decode: bool) -> bool:
    fresh: bytes = example.fields["fg_bg"]  # type: ignore[assignment]
    same_bytes = stored == fresh
    if same_bytes and not decode:
        return True
    kind = "PNG" if rules.lossless else "JPEG"
    pixels = decode_field("fg_bg", stored, PictureForm(kind, np.uint8, example.fg_bg.shape))
    if rules.lossless:
        check_same_pixels("fg_bg", pixels, example.fg_bg)
        return same_bytes
    here = decode_field("fg_bg", fresh, PictureForm(kind, np.uint8, example.fg_bg.shape))
    if not within_jpeg_error(pixels, example.fg_bg, here):
        difference = int(np.abs(pixels.astype(int) - example.fg_bg).max())
        raise WrongRecordError(
            "fg_bg",
            f"is not the composite that is computed again: pixels differ by up to {difference}, which is more"
            " than JPEG's error",
        )
    if rules.same_encoder and not same_bytes:
        raise WrongRecordError(
            "fg_bg", "has other bytes than encoding the computed composite gives, though its pixels are near"
        )
    return same_bytes


def _check_depth(stored: bytes, bits: int, shape: Iterable[int]) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    depth = decode_field("depth", stored, PictureForm("PNG", np.uint16 if bits == 16 else np.uint8, tuple(shape)))
    nearest, farthest = quantize_depth(np.array([NEAREST_METRES, FARTHEST_METRES], np.float32), bits).tolist()
    if depth.min() < nearest or depth.max() > farthest:
        raise WrongRecordError("depth", f"is {depth.min()} .. {depth.max()}, outside of {nearest} .. {farthest}")
    return depth
