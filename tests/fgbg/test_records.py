"""Records: what TFDS itself would write, readable back, in both file formats."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgbg.errors import RunError
from fgbg.features import background_features, example_features, foreground_features
from fgbg.images import encode_mask, encode_png, encode_rgb, encode_rgba
from fgbg.records import Fields, open_writer, parse_record, read_records, serialize_record
from fgbg.settings import FILE_FORMATS
from tests.pictures_helpers import cutout, make_schema, photo

RGB = photo(16, 16)
MASK = np.where(RGB[..., 0] > 99, np.uint8(255), np.uint8(0))
RGBA = cutout(12, 8)


def example(depth_bits: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of an example as we write them, and its values as TFDS takes them."""
    depth = np.random.default_rng(0).integers(0, 1 << (depth_bits or 16), (16, 16, 1))
    depth = depth.astype(np.uint8 if depth_bits == 8 else np.uint16)
    numbers = {"bg": 2, "fg": 1, "bg_class": 0, "fg_class": 1, "placement": 19, "example_id": 2**40}
    box = (0.125, 0.25, 0.5, 0.9375)
    fields: dict[str, Any] = {
        "fg_bg": encode_rgb(RGB, None),
        "mask": encode_mask(MASK),
        "flipped": 1,
        "bbox": box,
        **numbers,
    }
    values = {
        "fg_bg": RGB,
        "mask": MASK[..., np.newaxis],
        "flipped": True,
        "bbox": np.array(box, np.float32),
        **numbers,
    }
    if depth_bits:
        fields["depth"] = encode_png(depth[..., 0])
        values["depth"] = depth
    return fields, values


@pytest.mark.parametrize("depth_bits", [None, 8, 16])
def test_records_are_those_of_tfds(depth_bits: int | None) -> None:
    import tensorflow as tf

    features = example_features(make_schema(depth_bits=depth_bits))
    fields, values = example(depth_bits)
    # Images encoded already, since the PNGs of two encoders differ in their bytes.
    images = {name: fields[name] for name in ("fg_bg", "mask", "depth") if name in fields}
    by_tfds = features.serialize_example({**values, "bbox": _bbox(fields["bbox"])})
    ours = tf.train.Example.FromString(serialize_record(fields))
    theirs = tf.train.Example.FromString(by_tfds)
    for name, data in images.items():
        theirs.features.feature[name].bytes_list.value[:] = [data]
    assert ours == theirs


@pytest.mark.parametrize("depth_bits", [None, 8, 16])
def test_tfds_reads_what_was_written(depth_bits: int | None) -> None:
    features = example_features(make_schema(depth_bits=depth_bits))
    fields, values = example(depth_bits)
    read = features.deserialize_example_np(serialize_record(fields))
    assert read.keys() == values.keys()
    if depth_bits:
        assert read["depth"].dtype == (np.uint8 if depth_bits == 8 else np.uint16)
    for name, value in values.items():
        assert np.array_equal(read[name], value), name


def test_tfds_reads_the_companions() -> None:
    schema = make_schema()
    background: Fields = {"image": encode_rgb(RGB, None), "id": 2, "class": 1}
    read = background_features(schema).deserialize_example_np(serialize_record(background))
    assert np.array_equal(read["image"], RGB)
    foreground: Fields = {"image": encode_rgba(RGBA), "mask": encode_mask(RGBA[..., 3]), "id": 1, "class": 0}
    read = foreground_features(schema).deserialize_example_np(serialize_record(foreground))
    assert np.array_equal(read["image"], RGBA)
    assert np.array_equal(read["mask"][..., 0], RGBA[..., 3])


def test_same_fields_give_the_same_bytes() -> None:
    fields, _ = example(16)
    assert serialize_record(dict(reversed(fields.items()))) == serialize_record(fields)


@pytest.mark.parametrize("depth_bits", [None, 16])
def test_parse_record_inverts_serialize_record(depth_bits: int | None) -> None:
    fields, _ = example(depth_bits)
    assert parse_record(serialize_record(fields)) == {**fields, "bbox": list(fields["bbox"])}


def test_zero_and_nothing_are_values() -> None:
    assert parse_record(serialize_record({"fg": 0, "image": b""})) == {"fg": 0, "image": b""}


@pytest.mark.parametrize("file_format", FILE_FORMATS)
@pytest.mark.parametrize("limit", [None, 1, 3, 9])
def test_records_come_back_in_order(tmp_path: Path, file_format: str, limit: int | None) -> None:
    records = [b"first", b"", b"third" * 1_000]
    with open_writer(tmp_path / "shard", file_format) as writer:
        for record in records:
            writer.write(record)
    assert list(read_records(tmp_path / "shard", file_format, limit)) == records[:limit]


def test_array_records_can_be_read_one_by_one(tmp_path: Path) -> None:
    from array_record.python.array_record_module import ArrayRecordReader

    with open_writer(tmp_path / "shard", "array_record") as writer:
        writer.write(b"record")
    # Groups of more would be unpacked as a whole for every record that a reader picks.
    assert "group_size:1," in ArrayRecordReader(str(tmp_path / "shard")).writer_options_string()


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_files_do_not_depend_on_when_they_are_written(tmp_path: Path, file_format: str) -> None:
    for name in ("a", "b"):
        with open_writer(tmp_path / name, file_format) as writer:
            writer.write(b"record")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, file_format: str) -> None:
    path = tmp_path / "nowhere/shard"
    with pytest.raises(RunError, match=f"Cannot write the temporary file {path}: .*No such file"):
        with open_writer(path, file_format) as writer:
            writer.write(b"record")


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_other_failures_pass_through(tmp_path: Path, file_format: str) -> None:
    with pytest.raises(RunError, match="OpenCV could not encode"):
        with open_writer(tmp_path / "shard", file_format):
            raise RunError("OpenCV could not encode an image.")


def _bbox(box: tuple[float, ...]) -> object:
    from tensorflow_datasets import features

    return features.BBox(*box)
