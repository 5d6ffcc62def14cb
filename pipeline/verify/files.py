"""Shard files read again: whole, undamaged, as long as they should be, and as the manifest says."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fgbg.finished import StoredShard
from fgbg.records import WrongRecordError, read_failures, read_records
from fgbg.shard_files import DatasetFiles, local_shard
from pipeline.verify.faults import Fault, Faults

# Raises WrongRecordError when a record is not what it should be.
Compare = Callable[[bytes], None]


def _digest(path: Path) -> tuple[int, str]:
    """Bytes and sha256 of a local file."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def stored_records(path: Path, file_format: str, expected: int) -> Iterator[bytes]:
    """The records of a local shard, whose CRCs the readers of both formats check.

    Raises:
        WrongRecordError: a record is damaged, or there are not as many as expected.
    """
    failures = read_failures()
    records = read_records(path, file_format)
    for number in range(expected):
        try:
            record = next(records, None)
        except failures as error:
            what = "is cut off" if "truncated" in str(error).lower() else "does not match its CRC"
            left = expected - number - 1
            raise WrongRecordError(
                None, what + (f"; the {left:,} records after it cannot be read" if left else "")
            ) from error
        if record is None:
            raise WrongRecordError(None, f"is missing: the shard ends after {number:,} of {expected:,} records")
        yield record
    try:
        more = next(records, None) is not None
    except failures:
        more = True
    if more:
        raise WrongRecordError(None, f"follows the {expected:,} records that the shard should have")


def check_shard_file(
    files: DatasetFiles, stored: StoredShard, expected: int, comparisons: Iterable[Compare]
) -> tuple[Faults, int, str]:
    """Read a shard file, which is there, and compare each record.

    Args:
        files: its dataset.
        stored: what the manifest says of it.
        expected: how many records it should have.
        comparisons: one for each of these records, in order; taken one at a time.

    Returns:
        What is wrong, and the bytes and sha256 of the file.
    """
    faults = Faults()
    number = 0
    with local_shard(files, stored.file) as path:
        size, sha256 = _digest(path)
        records = stored_records(path, files.file_format, expected)
        try:
            for number, compare in enumerate(comparisons):
                record = next(records)
                try:
                    compare(record)
                except WrongRecordError as wrong:
                    faults.add(Fault(stored.file, wrong.reason, number, wrong.field))
            number = expected
            next(records, None)
        except WrongRecordError as wrong:
            faults.add(Fault(stored.file, wrong.reason, number))
    # Only if nothing else is wrong: a damaged record says more than the digest of its file.
    if not faults and size != stored.size:
        faults.add(Fault(stored.file, f"has {size:,} bytes instead of the {stored.size:,} of manifest.json"))
    if not faults and sha256 != stored.sha256:
        faults.add(Fault(stored.file, "has another sha256 than manifest.json says, though its records are right"))
    return faults, size, sha256
