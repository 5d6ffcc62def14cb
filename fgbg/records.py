"""Records: one tf.train.Example each, in TFRecord or ArrayRecord files."""

import contextlib
import errno
import itertools
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgbg import filesystems
from fgbg.errors import RunError
from fgbg.features import Labels
from fgbg.naming import printable

Value = bytes | int | Sequence[float]
Fields = Mapping[str, Value]

# Of the parts of a TFRecord file, see `_whole_records`. Protocol buffers end at 2 GiB.
_LENGTH = struct.Struct("<QI")
_DATA_CRC_BYTES = 4
_MOST_RECORD_BYTES = 1 << 30
LEAST_RECORD_BYTES = _LENGTH.size + _DATA_CRC_BYTES

_LONGEST_NAME = 60


class WrongRecordError(Exception):
    """A record is not what it should be; `field` is None if that is true of the record as a whole."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class RecordForm:
    """Which fields the records of a dataset have.

    Attributes:
        kinds: the kind of list of tf.train.Example in which each field is kept.
        check: raises WrongRecordError where the values of the fields cannot be right, whichever example they are of.
    """

    kinds: Mapping[str, str]
    check: Callable[[dict[str, Any]], None] = lambda _: None


def example_form(backgrounds: Labels, foregrounds: Labels, placements: int, *, with_depth: bool) -> RecordForm:
    """The form of the examples that are made of these pictures."""
    images = ("fg_bg", "mask", *(("depth",) if with_depth else ()))
    numbers = ("bg", "fg", "bg_class", "fg_class", "flipped", "placement", "example_id")
    limits = {"bg": len(backgrounds.names), "fg": len(foregrounds.names), "flipped": 2, "placement": placements}

    def check(fields: dict[str, Any]) -> None:
        _check_below(fields, limits)
        bg, fg = fields["bg"], fields["fg"]
        check_value("bg_class", fields["bg_class"], backgrounds.class_ids[bg])
        check_value("fg_class", fields["fg_class"], foregrounds.class_ids[fg])
        number = ((bg * limits["fg"] + fg) * 2 + fields["flipped"]) * placements + fields["placement"]
        check_value("example_id", fields["example_id"], number)
        box = fields["bbox"]
        if len(box) != 4 or not all(0 <= edge <= 1 for edge in box) or box[0] > box[2] or box[1] > box[3]:
            raise WrongRecordError("bbox", "is no box of four numbers from 0 to 1")

    return RecordForm(
        dict.fromkeys(images, "bytes_list") | dict.fromkeys(numbers, "int64_list") | {"bbox": "float_list"}, check
    )


def companion_form(kind: str, labels: Labels) -> RecordForm:
    """The form of the records of a companion dataset: `kind` is "background" or "foreground"."""
    images = ("image",) if kind == "background" else ("image", "mask")
    limits = {"id": len(labels.names)}

    def check(fields: dict[str, Any]) -> None:
        _check_below(fields, limits)
        check_value("class", fields["class"], labels.class_ids[fields["id"]])

    return RecordForm(dict.fromkeys(images, "bytes_list") | dict.fromkeys(("id", "class"), "int64_list"), check)


def check_value(name: str, stored: Any, expected: Any) -> None:
    """Compare numbers.

    Raises:
        WrongRecordError: they differ.
    """
    if stored != expected:
        raise WrongRecordError(name, f"is {stored} instead of {expected}")


def _check_below(fields: dict[str, Any], limits: Mapping[str, int]) -> None:
    for name, limit in limits.items():
        if not 0 <= fields[name] < limit:
            raise WrongRecordError(name, f"is {fields[name]} instead of one of 0 to {limit - 1:,}")


def serialize_record(fields: Fields) -> bytes:
    """One tf.train.Example of bytes, integers and float lists, with the same bytes for the same fields.

    TFDS's own serializer takes eight times as long because it checks every value against the features again; the tests
    prove that both give the same record.
    """
    import tensorflow as tf  # heavy: only the processes that write need it

    example = tf.train.Example()
    features = example.features.feature
    for name, value in fields.items():
        if isinstance(value, bytes):
            features[name].bytes_list.value.append(value)
        elif isinstance(value, int):
            features[name].int64_list.value.append(value)
        else:
            features[name].float_list.value.extend(value)
    return example.SerializeToString(deterministic=True)


def parse_record(record: bytes, form: RecordForm | None = None) -> dict[str, Any]:
    """The inverse of `serialize_record`: a single value for bytes and integers, a list for floats.

    Args:
        record: the bytes of a record, which may come from anybody.
        form: exactly which fields it must have, and which values they may have; or None for any that can be written.

    Raises:
        WrongRecordError: the record cannot be parsed, or a field is missing, too much, of another kind or out of range.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        raise WrongRecordError(None, "is no tf.train.Example") from None
    kinds = {name: features[name].WhichOneof("kind") for name in features} if form is None else form.kinds
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
        raise WrongRecordError(printable(more[0], _LONGEST_NAME), "is no field of this dataset")
    if form is not None:
        form.check(fields)
    return fields


def read_records(path: Path, file_format: str, limit: int | None = None) -> Iterator[bytes]:
    """The records of a local file in order, the first `limit` of them if given.

    Raises:
        OSError: this is no plain file.
        One of `read_failures()`: a record is damaged or cut off; those before it come first.
    """
    filesystems.check_plain_file(str(path))
    if file_format == "array_record":
        from array_record.python.array_record_module import ArrayRecordReader

        reader = ArrayRecordReader(str(path))
        try:
            # One after the other: in half the time of a range, and damage is found at its record, not before the first.
            for _ in range(min(reader.num_records(), limit or reader.num_records())):
                yield reader.read()
        finally:
            reader.close()
    else:
        yield from itertools.islice(_read_tfrecord(path), limit)


def read_failures() -> tuple[type[Exception], ...]:
    """What the readers of both formats raise when a file is damaged."""
    import tensorflow as tf

    return OSError, RuntimeError, IndexError, tf.errors.OpError


def _read_tfrecord(path: Path) -> Iterator[bytes]:
    """TensorFlow reserves as much memory as a record says it has, and ends the process if there is not so much.

    So lengths are compared with the size of the file before; the records in front of a wrong one are read.
    """
    import tensorflow as tf

    whole, wrong = _whole_records(path)
    yield from (record.numpy() for record in tf.data.TFRecordDataset(str(path)).take(whole))
    if wrong:
        raise OSError(errno.EIO, wrong)


def _whole_records(path: Path) -> tuple[int, str]:
    """How many records lie in a TFRecord file before its end or the first wrong length; and what is wrong, if anything.

    A record is its length (8 bytes), a CRC of that (4), the data, and a CRC of the data (4).
    """
    size, position, records = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while position < size:
            head = file.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                return records, f"truncated record at {position}"
            length, crc = _LENGTH.unpack(head)
            if crc != _masked_crc32c(head[:8]):
                return records, f"corrupted record at {position}"
            following = position + _LENGTH.size + length + _DATA_CRC_BYTES
            if following > size:
                return records, f"truncated record at {position}: it should have {length:,} bytes"
            if length > _MOST_RECORD_BYTES:
                return records, f"too large a record at {position}: it has {length:,} bytes"
            position, records = file.seek(following), records + 1
    return records, ""


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # Castagnoli's polynomial, reversed
        table.append(value)
    return tuple(table)


_CRC32C = _crc32c_table()


def _masked_crc32c(data: bytes) -> int:
    """As TFRecord stores it. For a few bytes: it is not fast.

    >>> hex(_masked_crc32c(b"123456789"))
    '0xc78ab0e5'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@contextlib.contextmanager
def open_writer(path: Path, file_format: str) -> Iterator[Any]:
    """A TFRecord or ArrayRecord writer of a local file, whose failures are reported in one sentence."""
    import tensorflow as tf  # heavy: only the processes that write need it

    failures: tuple[type[Exception], ...] = (OSError, tf.errors.OpError)
    try:
        if file_format == "array_record":
            from array_record.python.array_record_module import ArrayRecordWriter

            failures += (RuntimeError,)  # which is all that it raises

            # One record per group, as TFDS writes them: any record can be read alone.
            writer = ArrayRecordWriter(str(path), "group_size:1")
        else:
            writer = tf.io.TFRecordWriter(str(path))
        try:
            yield writer
        finally:
            writer.close()
    except RunError:
        raise
    except failures as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
        reason = reason.removeprefix(f"{path}; ")  # TensorFlow says it as well
        raise RunError(
            f"Cannot write the temporary file {path}: {reason}. Free space on its disk, then run the same command"
            " again: it resumes from the finished shards."
        ) from error
