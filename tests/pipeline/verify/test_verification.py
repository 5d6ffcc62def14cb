"""What `verify` compares with what, without running it: single pictures, records, shards, documents."""

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fgbg.companions import companion_shards
from fgbg.documents import fingerprint, make_statistics, make_tfds_files
from fgbg.finished import StoredShard
from fgbg.images import Pixels, encode_mask, encode_png, encode_rgb
from fgbg.records import Fields, RecordForm, WrongRecordError, parse_record, serialize_record
from fgbg.shard_files import ShardSummary
from fgbg.stored_pictures import PictureForm
from pipeline.verify.companions import CompanionCheck, UnpackedPictures
from pipeline.verify.documents import ExpectedShard, check_manifest, check_presence, check_statistics, check_tfds_file
from pipeline.verify.examples import Example, ExampleRules, check_example
from pipeline.verify.faults import Fault, Faults
from pipeline.verify.pictures import check_mask, check_same_pixels, decode_field, within_jpeg_error
from pipeline.verify.shards import ShardCheck, ShardReport
from pipeline.verify.verdict import Verdict, common_picture
from tests.dataset_helpers import IMAGE_SIZE, SmallDataset, summarize
from transforms.assets import Assets
from transforms.buffers import BufferPool
from transforms.companions import write_companion
from transforms.encoding import encode_example
from transforms.recipe import Recipe

# Faults.


def test_places_of_faults() -> None:
    assert str(Fault("shard", "is missing")) == "shard: is missing"
    assert str(Fault("shard", "is cut off", 0)) == "shard, record 0: is cut off"
    assert str(Fault("shard", "is 1", 3, "bg")) == "shard, record 3, bg: is 1"
    assert str(Fault("a.json", "is 1", field="b")) == "a.json, b: is 1"


def test_a_few_faults_are_kept_and_all_are_counted() -> None:
    faults = Faults()
    assert not faults
    for number in range(20):
        faults.add(Fault("shard", "is wrong", number))
    faults.extend(faults)
    assert faults.count == 40
    assert [fault.record for fault in faults.first] == [0, 1, 2, 3, 4]
    assert Faults.from_json(faults.to_json()) == faults


@pytest.mark.parametrize(
    ("backgrounds", "foregrounds", "told"),
    [
        ({1: 2}, {0: 1, 1: 1}, "background b1"),
        ({0: 1, 1: 1}, {1: 2}, "foreground f1"),
        ({1: 1}, {1: 1}, ""),
        ({0: 1, 1: 1}, {0: 1, 1: 1}, ""),
        ({}, {}, ""),
    ],
)
def test_what_wrong_records_have_in_common(backgrounds: dict, foregrounds: dict, told: str) -> None:
    wrong = {"background": Counter(backgrounds), "foreground": Counter(foregrounds)}
    sentence = common_picture(wrong, {"background": ["b0", "b1"], "foreground": ["f0", "f1"]})
    assert (told in sentence) if told else (sentence == "")


def test_a_verdict_tells_the_first_fault_first() -> None:
    verdict = Verdict("here", checked=["records"], unchecked=["inputs"])
    assert verdict.describe().splitlines()[1:] == [
        "here is right.",
        "",
        "  Checked:",
        "    records",
        "",
        "  Not checked:",
        "    inputs",
    ]
    for number in range(2):
        verdict.faults.add(Fault("shard", "is wrong", number))
    assert "here is wrong." in verdict.describe()
    assert verdict.complaint() == "shard, record 0: is wrong (1 more is wrong)\n  shard, record 1: is wrong"


# Pictures.


def photograph(side: int = 50) -> Pixels:
    """Smooth, with edges and noise."""
    y, x = np.mgrid[0:side, 0:side]
    waves = np.stack([127 + 110 * np.sin((x * (c + 1) + y) / 9) for c in range(3)], axis=-1)
    waves[10:30, 20:40] = (200, 30, 60)
    return (waves + np.random.default_rng(0).normal(0, 3, waves.shape)).clip(0, 255).astype(np.uint8)


def rgb(data: bytes) -> Pixels:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("quality", [30, 75, 90, 100])
@pytest.mark.parametrize("flags", [{"optimize": True}, {"progressive": True}])
def test_other_encoders_are_within_jpeg_error(quality: int, flags: dict) -> None:
    """Here with other roundings of the colour conversion: some values are one off."""
    original, file = photograph(), io.BytesIO()
    off = np.random.default_rng(1).choice([-1, 0, 1], original.shape, p=[0.1, 0.8, 0.1])
    Image.fromarray((original + off).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality, **flags)
    assert within_jpeg_error(rgb(file.getvalue()), original, rgb(encode_rgb(original, quality)))


@pytest.mark.parametrize("quality", [75, 90, 100])
def test_changed_pictures_are_not_within_jpeg_error(quality: int) -> None:
    original = photograph()
    here = rgb(encode_rgb(original, quality))
    shifted = np.roll(original, 1, axis=1)
    patched = original.copy()
    patched[40:48, 40:48] = 255 - patched[40:48, 40:48]
    swapped = original[..., ::-1]
    for changed in (shifted, patched, swapped):
        assert not within_jpeg_error(rgb(encode_rgb(changed, quality)), original, here)


def test_stored_pictures_must_be_what_they_should() -> None:
    image = photograph(16)
    png = encode_rgb(image, None)
    assert np.array_equal(decode_field("image", png, PictureForm("PNG", np.uint8, (16, 16, 3))), image)
    assert np.array_equal(decode_field("image", png, PictureForm("PNG", np.uint8, (0, 0, 3))), image)
    for data, kind, dtype, shape, told in (
        (png, "JPEG", np.uint8, (16, 16, 3), "is no JPEG"),
        (b"", "PNG", np.uint8, (16, 16, 3), "is no PNG"),
        (png[:100], "PNG", np.uint8, (16, 16, 3), "is a damaged PNG"),
        (png, "PNG", np.uint8, (16, 15, 3), r"is uint8 \[16, 16, 3\] instead of uint8 \[16, 15, 3\]"),
        (png, "PNG", np.uint8, (16, 16), "instead of"),
        (png, "PNG", np.uint16, (16, 16, 3), "instead of uint16"),
        (png, "PNG", np.uint8, (0, 0, 4), r"instead of uint8 \[any, any, 4\]"),
    ):
        with pytest.raises(WrongRecordError, match=told):
            decode_field("image", data, PictureForm(kind, dtype, shape))


def test_masks_must_be_binary_and_equal() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5, 3:6] = 255
    check_mask(mask, mask)
    for value, told in ((1, "is not binary: 1 at row 4, column 5"), (0, "in 1 pixels, the first at row 4, column 5")):
        changed = mask.copy()
        changed[4, 5] = value
        with pytest.raises(WrongRecordError, match=told):
            check_mask(changed, mask)


def test_pixels_are_counted_whatever_their_channels() -> None:
    image = photograph(16)
    changed = image.copy()
    changed[3, 4] ^= 1
    changed[9, 2, 1] ^= 1
    with pytest.raises(WrongRecordError, match="in 2 pixels, the first at row 3, column 4"):
        check_same_pixels("fg_bg", changed, image)


# Records.


def test_records_have_exactly_their_fields() -> None:
    kinds = {"image": "bytes_list", "id": "int64_list", "bbox": "float_list"}
    right: Fields = {"image": b"x", "id": 0, "bbox": (0.5, 1.0)}
    assert parse_record(serialize_record(right), RecordForm(kinds)) == {"image": b"x", "id": 0, "bbox": [0.5, 1.0]}
    for fields, field, told in (
        ({"image": b"x", "bbox": (0.5,)}, "id", "is missing"),
        ({**right, "id": b"0"}, "id", "is a bytes_list of 1 instead of a int64_list"),
        ({**right, "more": 1}, "more", "is no field"),
    ):
        with pytest.raises(WrongRecordError, match=told) as caught:
            parse_record(serialize_record(fields), RecordForm(kinds))
        assert caught.value.field == field
    with pytest.raises(WrongRecordError, match=r"is no tf\.train\.Example"):
        parse_record(b"\xff\xff\xff", RecordForm(kinds))


@pytest.fixture
def dataset(tmp_path: Path) -> SmallDataset:
    return SmallDataset(tmp_path, depth_bits=16)


def test_each_field_of_a_record_is_compared(dataset: SmallDataset) -> None:
    batch = dataset.batch(0)
    fields = encode_example(dataset.encoding, batch.placements[0], batch.fg_bg[0], batch.mask[0], None)
    example = Example(fields, batch.fg_bg[0], batch.mask[0])
    rules = ExampleRules(lossless=True, depth_bits=16, same_encoder=True)
    depth = np.full((IMAGE_SIZE, IMAGE_SIZE), 700, np.uint16)
    right: dict[str, Any] = {**fields, "depth": encode_png(depth)}
    for decode in (False, True):
        checked = check_example(serialize_record(right), example, rules, decode=decode)
        assert checked.depth is not None
        assert np.array_equal(checked.depth, depth)
        assert checked.same_bytes
    changes = {
        **{
            name: right[name] + 1 for name in ("example_id", "bg", "fg", "flipped", "placement", "bg_class", "fg_class")
        },
        "bbox": (0.0, 0.0, 0.5, 0.5),
        "mask": encode_mask(255 - batch.mask[0]),
        "fg_bg": encode_rgb(255 - batch.fg_bg[0], None),
        "depth": encode_png(depth * 0),
    }
    assert changes.keys() == right.keys()
    for field, value in changes.items():
        with pytest.raises(WrongRecordError) as caught:
            check_example(serialize_record({**right, field: value}), example, rules, decode=False)
        assert caught.value.field == field


# Shards.


def write_companions(dataset: SmallDataset) -> list[ShardSummary]:
    return [
        write_companion(shard, dataset.companions[kind], dataset.paths, dataset.schema)
        for kind, pictures in (("background", 3), ("foreground", 2))
        for shard in companion_shards(kind, pictures)
    ]


def stored(summary: ShardSummary) -> StoredShard:
    return StoredShard(summary.file, summary.examples, summary.size, summary.sha256)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_reports_of_right_shards_are_what_was_written(
    tmp_path: Path, file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the files alone: the companions instead of the pictures, a few examples at a time."""
    monkeypatch.setattr("pipeline.verify.shards._CHUNK_BYTES", 4 * 4 * IMAGE_SIZE**2)
    dataset = SmallDataset(tmp_path, file_format=file_format)
    shards, companions = dataset.write_shards(), write_companions(dataset)
    unpacked = UnpackedPictures(str(tmp_path / "unpacked"))
    found = []
    for kind, labels in (("background", dataset.schema.backgrounds), ("foreground", dataset.schema.foregrounds)):
        check = CompanionCheck(
            kind, dataset.companions[kind], labels, IMAGE_SIZE, dataset.rules.longest, cropped=True, unpacked=unpacked
        )
        report = check.run({one.file: stored(one) for one in companions})
        assert not report.faults
        found += report.summaries
    assert found == companions
    assert tuple(report.sizes[index] for index in range(2)) == dataset.rules.cutout_sizes
    for index in range(3):
        assert np.array_equal(unpacked.load_background(index), dataset.assets.background(index))
    for index in range(2):
        assert np.array_equal(unpacked.load_cutout(index), dataset.assets.cutout(index))

    recipe = Recipe(dataset.layout, dataset.rules, dataset.encoding, dataset.schema)
    rules = ExampleRules(lossless=True, depth_bits=None, same_encoder=True)
    shard_check = ShardCheck(dataset.files, recipe, unpacked, rules)
    for number, summary in enumerate(shards):
        examined = shard_check.run(number, stored(summary), Assets(unpacked), BufferPool())
        assert not examined.faults
        assert examined.summary == summary
        assert examined.records == examined.same_bytes == summary.examples
        assert ShardReport.from_json(examined.to_json()) == examined


# Documents.


@pytest.fixture
def written(dataset: SmallDataset) -> tuple[SmallDataset, list[ShardSummary]]:
    return dataset, [*dataset.write_shards(), *write_companions(dataset)]


def test_manifests_list_what_belongs_there(dataset: SmallDataset) -> None:
    identity = {"configuration": {"seed": 0}, "depth_model": None, "inputs": {}}
    shard = {"file": "a", "examples": 3, "bytes": 9, "sha256": "0"}
    manifest = {**identity, "fingerprint": fingerprint(identity), "shards": {"small": {"train": [shard]}}}
    expected = [ExpectedShard(dataset.files, "train", "a", 3)]
    assert check_manifest(manifest, expected) == ({"a": StoredShard("a", 3, 9, "0")}, Faults())
    for changed, told in (
        ({"configuration": {"seed": 1}}, "fingerprint: is not that"),
        ({"shards": {"small": {"train": []}}}, "shards: does not list a"),
        ({"shards": {"small": {"train": [shard, shard | {"file": "b"}]}}}, "shards: lists b"),
        ({"shards": {"small": {"train": [shard | {"examples": 4}]}}}, "shards: says that a has 4 examples"),
    ):
        _, faults = check_manifest({**manifest, **changed}, expected)
        assert faults.count == 1
        assert told in str(faults.first[0])


def test_shards_must_be_there_and_no_others(dataset: SmallDataset) -> None:
    expected = [ExpectedShard(dataset.files, "train", name, 3) for name in ("a", "b")]
    assert not check_presence(expected, {"a": 1, "b": 1})
    faults = check_presence(expected, {"b": 1, "c": 1})
    assert [str(fault) for fault in faults.first] == ["a: is missing", "c: is no shard of this dataset; remove it"]


def test_statistics_are_compared_number_by_number(written: tuple[SmallDataset, list[ShardSummary]]) -> None:
    dataset, shards = written
    computed = make_statistics(summarize(shards), dataset.metadata)
    text = json.dumps(computed)
    assert not check_statistics(text.encode(), computed)
    changed = json.loads(text)
    changed["kinds"]["depth"]["stored"]["total"][0] += 1
    del changed["splits"]["test"]["kinds"]["mask"]["pixels"]
    changed["splits"]["train"]["more"] = 3
    faults = check_statistics(json.dumps(changed).encode(), computed)
    assert [fault.field for fault in faults.first] == [
        "kinds.depth.stored.total[0]",
        "splits.train.more",
        "splits.test.kinds.mask.pixels",
    ]
    assert check_statistics(b"{", computed).count == 1


def test_files_for_tfds_but_for_their_prose(written: tuple[SmallDataset, list[ShardSummary]]) -> None:
    dataset, shards = written
    for files, contents in make_tfds_files(summarize(shards), dataset.metadata):
        for name, data in contents.items():
            assert check_tfds_file(files, name, data).count == 1
            files.write(name, data.replace(b"Sub-folder", b"Another folder"))
            assert not check_tfds_file(files, name, data)
        files.write("dataset_info.json", contents["dataset_info.json"].replace(b"1.0.0", b"1.0.1"))
        assert check_tfds_file(files, "dataset_info.json", contents["dataset_info.json"]).count == 1
