"""One record against the example that it should hold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from transforms.depth import quantize_depth
from transforms.depth_models.images import FARTHEST_METRES, NEAREST_METRES
from transforms.pictures import Pixels
from transforms.records import Fields, Value
from transforms.verification.faults import WrongRecordError
from transforms.verification.pictures import check_mask, check_same_pixels, decode_stored, within_jpeg_error

# The order in which fields are looked at: what says which example it is comes first, so that a record in the wrong
# place is told as that.
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
    stored = parse_strictly(record, kinds)
    for name in _NUMBERS:
        check_value(name, stored[name], example.fields[name])
    if decode or stored["mask"] != example.fields["mask"]:
        check_mask(decode_stored("mask", stored["mask"], "PNG", np.uint8, example.mask.shape), example.mask)
    box = np.array(example.fields["bbox"], np.float32)
    if not np.array_equal(box, np.array(stored["bbox"], np.float32)):
        raise WrongRecordError("bbox", f"is {stored['bbox']} instead of {box.tolist()}, the box of the mask")
    same_bytes = _check_composite(stored["fg_bg"], example, rules, decode=decode)
    depth = None if rules.depth_bits is None else _check_depth(stored["depth"], rules.depth_bits, example.mask.shape)
    return CheckedExample(stored, depth, same_bytes)


def kind_of(value: Value) -> str:
    """The kind of list in which tf.train.Example keeps a value."""
    return _KINDS[type(value)]


def parse_strictly(record: bytes, kinds: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a record: exactly those of `kinds`, one bytes or integer value or a list of floats each.

    Raises:
        WrongRecordError: the record cannot be parsed, or a field is missing, too much or of another kind.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        raise WrongRecordError(None, "is no tf.train.Example") from None
    fields: dict[str, Any] = {}
    for name, kind in kinds.items():
        found = features[name].WhichOneof("kind") if name in features else None
        if found is None:
            raise WrongRecordError(name, "is missing")
        values = getattr(features[name], found).value
        if found != kind or (kind != "float_list" and len(values) != 1):
            raise WrongRecordError(name, f"is a {found} of {len(values)} instead of a {kind}")
        fields[name] = list(values) if kind == "float_list" else values[0]
    if more := sorted(features.keys() - kinds.keys()):
        raise WrongRecordError(more[0], "is no field of this dataset")
    return fields


def check_value(name: str, stored: Any, expected: Any) -> None:
    """Compare numbers.

    Raises:
        WrongRecordError: they differ.
    """
    if stored != expected:
        raise WrongRecordError(name, f"is {stored} instead of {expected}")


def _check_composite(stored: bytes, example: Example, rules: ExampleRules, *, decode: bool) -> bool:
    fresh = example.fields["fg_bg"]
    same_bytes = stored == fresh
    if same_bytes and not decode:
        return True
    kind = "PNG" if rules.lossless else "JPEG"
    pixels = decode_stored("fg_bg", stored, kind, np.uint8, example.fg_bg.shape)
    if rules.lossless:
        check_same_pixels("fg_bg", pixels, example.fg_bg)
        return same_bytes
    here = cv2.imdecode(np.frombuffer(fresh, np.uint8), cv2.IMREAD_COLOR_RGB)  # type: ignore[arg-type]
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
    depth = decode_stored("depth", stored, "PNG", np.uint16 if bits == 16 else np.uint8, tuple(shape))
    nearest, farthest = quantize_depth(np.array([NEAREST_METRES, FARTHEST_METRES], np.float32), bits).tolist()
    if depth.min() < nearest or depth.max() > farthest:
        raise WrongRecordError("depth", f"is {depth.min()} .. {depth.max()}, outside of {nearest} .. {farthest}")
    return depth
