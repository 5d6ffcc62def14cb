"""Records of finished shards, each checked against the form that records of its dataset have."""

import re
from collections.abc import Iterator
from typing import Any

from fgbg.errors import RunError
from fgbg.records import RecordForm, WrongRecordError, parse_record, read_failures
from fgbg.shard_files import DatasetFiles, read_shard


def read_fields(
    files: DatasetFiles, shard: str, form: RecordForm, expected: int, *, all_of_it: bool = False
) -> Iterator[dict[str, Any]]:
    """The fields of the first `expected` records of a shard, in order.

    Args:
        files: its dataset.
        shard: its file name.
        form: what its records must look like.
        expected: how many are read.
        all_of_it: whether the shard must not have more.

    Raises:
        RunError: the shard cannot be read, has fewer records, or one of another form.
    """
    path, number = files.path(shard), 0
    try:
        for record in read_shard(files, shard, expected + all_of_it):
            if number < expected:
                yield parse_record(record, form)
            number += 1
    except WrongRecordError as wrong:
        raise RunError(f"{where(path, number, wrong.field)}: {wrong.reason}; build the dataset again.") from wrong
    except read_failures() as error:
        # TensorFlow also names its own operations.
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
        reason = re.sub(r"\{\{.*?\}\} | \[Op:.*", "", reason)
        raise RunError(f"Cannot read {path}: {reason}; build the dataset again.") from error
    if number < expected:
        raise RunError(f"{path} ends after {number} of {expected} records; build the dataset again.")
    if number > expected:
        raise RunError(f"{path} has more than {expected} records; build the dataset again.")


def where(path: str, record: int, field: str | None) -> str:
    """Which field of which record of which shard."""
    return f"{path}, record {record}{f', {field}' if field else ''}"
