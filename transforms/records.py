"""Records: one tf.train.Example each, in TFRecord or ArrayRecord files."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transforms.errors import RunError

FILE_FORMATS = ("tfrecord", "array_record")

Value = bytes | int | Sequence[float]
Fields = Mapping[str, Value]


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


def parse_record(record: bytes) -> dict[str, Any]:
    """The inverse of `serialize_record`: a single value for bytes and integers, a list for floats."""
    import tensorflow as tf

    fields: dict[str, Any] = {}
    for name, feature in tf.train.Example.FromString(record).features.feature.items():
        if feature.WhichOneof("kind") == "float_list":
            fields[name] = list(feature.float_list.value)
        else:
            values = feature.bytes_list.value or feature.int64_list.value
            fields[name] = values[0]
    return fields


def read_records(path: Path, file_format: str, limit: int | None = None) -> Iterator[bytes]:
    """The records of a local file in order, the first `limit` of them if given."""
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
        import tensorflow as tf

        yield from itertools.islice((record.numpy() for record in tf.data.TFRecordDataset(str(path))), limit)


@contextlib.contextmanager
def open_writer(path: Path, file_format: str) -> Iterator[Any]:
    """A TFRecord or ArrayRecord writer of a local file, whose failures are told in one sentence."""
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
            " again: it goes on from the finished shards."
        ) from error
