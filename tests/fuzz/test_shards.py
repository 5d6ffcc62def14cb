"""Damaged records and shard files."""

import contextlib
from pathlib import Path

import pytest

from fgbg.records import (
    WrongRecordError,
    example_form,
    open_writer,
    parse_record,
    read_failures,
    read_records,
    serialize_record,
)
from fgbg.settings import FILE_FORMATS
from pipeline.verify.files import stored_records
from tests.fuzz.mutations import damaged, fuzz
from tests.pictures_helpers import make_schema

NUMBERS = {"bg": 2, "fg": 1, "bg_class": 1, "fg_class": 1, "flipped": 0, "placement": 1, "example_id": 31}
RECORD = serialize_record({"fg_bg": b"c" * 50, "mask": b"m" * 20, "bbox": (0.0, 0.25, 0.5, 1.0), **NUMBERS})


def test_records() -> None:
    schema = make_schema(16)
    form = example_form(schema.backgrounds, schema.foregrounds, 3, with_depth=False)

    def check(record: bytes) -> None:
        for one in (None, form):
            with contextlib.suppress(WrongRecordError):
                fields = parse_record(record, one)
                if one is form:
                    assert 0 <= fields["bg"] < 3
                    assert fields["flipped"] in (0, 1)
                    assert all(isinstance(fields[name], int) for name in NUMBERS)

    fuzz(damaged([RECORD, b""]), check, examples=500)


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_shard_files(file_format: str, tmp_path: Path) -> None:
    path = tmp_path / "shard"
    with open_writer(path, file_format) as writer:
        for _ in range(5):
            writer.write(RECORD)
    original = path.read_bytes()

    def check(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(*read_failures()):
            for _ in read_records(path, file_format):
                pass
        with contextlib.suppress(WrongRecordError):
            for _ in stored_records(path, file_format, 5):
                pass

    fuzz(damaged([original]), check)
