"""`verify`: right datasets are found right, and whatever somebody changes in one is found and named."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgbg.images import encode_mask, encode_png, encode_rgb
from fgbg.package_versions import package_versions
from fgbg.records import Value, open_writer, parse_record, read_records, serialize_record
from fgbg.stored_pictures import PictureForm
from pipeline import commands
from pipeline.verify.pictures import decode_field
from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import (
    NAME,
    ONE_WORKER,
    TWO_PROCESSES,
    TWO_THREADS,
    VERSION,
    Inputs,
    build,
    content,
    dataset_folder,
    draw_background,
    shard_files,
)
from tests.fgbg.depth_models.helpers import write_random_weights

# 5 x 4 x 2 x 2 = 80 examples: 64 in train, 16 in test, in 7 + 2 shards.
FLAGS = (f"--image_size={IMAGE_SIZE}", "--placements=2", "--examples_per_shard=10", "--test_fraction=0.2", *ONE_WORKER)
TRAIN = f"{NAME}-train.tfrecord-0000"


@dataclass(frozen=True)
class Copy:
    """A dataset of one's own, to be tampered with. `name` is that of the dataset or of a companion."""

    data_dir: Path

    def folder(self, name: str = NAME) -> Path:
        return dataset_folder(self.data_dir, name)

    def json(self, file: str) -> Any:
        return json.loads((self.folder() / file).read_text())

    def write_json(self, file: str, changed: Any) -> None:
        (self.folder() / file).write_text(json.dumps(changed))

    def shard(self, index: int, name: str = NAME) -> Path:
        """The file of a shard of `train`."""
        return shard_files(self.data_dir, name)[index if name != NAME else index + 2]

    def fix_manifest(self) -> None:
        """What a careful tamperer does: make the manifest agree with the shards."""
        manifest = self.json("manifest.json")
        for name, splits in manifest["shards"].items():
            for shards in splits.values():
                for shard in shards:
                    data = (self.folder(name) / shard["file"]).read_bytes()
                    shard |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self.write_json("manifest.json", manifest)

    def change_records(
        self, path: Path, change: Callable[[list[dict[str, Any]]], Sequence[dict[str, Any]] | None]
    ) -> None:
        """Write a shard again, with right CRCs, and fix the manifest."""
        file_format = "array_record" if ".array_record-" in path.name else "tfrecord"
        records = [parse_record(record) for record in read_records(path, file_format)]
        changed = change(records)
        with open_writer(path, file_format) as writer:
            for fields in records if changed is None else changed:
                writer.write(serialize_record(fields))
        self.fix_manifest()

    def change_field(self, path: Path, record: int, name: str, value: Value | Callable[[Any], Value]) -> None:
        """Change one field of one record."""

        def change(records: list[dict[str, Any]]) -> None:
            records[record][name] = value(records[record][name]) if callable(value) else value

        self.change_records(path, change)


def verify(copy: Copy, *flags: str) -> int:
    """`verify` in this process; its exit status."""
    return commands.run(["verify", str(copy.folder()), *(flags or ONE_WORKER)])


def complaint(copy: Copy, capfd: pytest.CaptureFixture[str], *flags: str) -> str:
    """What is said first of a dataset that is wrong."""
    capfd.readouterr()
    assert verify(copy, *flags, *ONE_WORKER) == 1
    out, err = capfd.readouterr()
    assert f"{copy.folder()} is wrong." in out
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("fgbg: ")]
    return line.removeprefix("fgbg: ")


def made(data_dir: Path, inputs: Inputs, *flags: str) -> Copy:
    assert build(data_dir, inputs, *FLAGS, *flags) == 0
    return Copy(data_dir)


@pytest.fixture(scope="session")
def original(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Not to be changed."""
    return made(tmp_path_factory.mktemp("original"), inputs)


@pytest.fixture(scope="session")
def original_array_record(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return made(tmp_path_factory.mktemp("array_record"), inputs, "--file_format=array_record", "--jpeg_quality=png")


@pytest.fixture(scope="session")
def original_depth(inputs: Inputs, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return made(tmp_path_factory.mktemp("depth"), inputs, "--placements=1", f"--depth_model={weights}")


def copied(original: Copy, folder: Path) -> Copy:
    shutil.copytree(original.data_dir, folder / "data")
    return Copy(folder / "data")


@pytest.fixture
def copy(original: Copy, tmp_path: Path) -> Copy:
    return copied(original, tmp_path)


@pytest.fixture
def array_record(original_array_record: Copy, tmp_path: Path) -> Copy:
    return copied(original_array_record, tmp_path)


@pytest.fixture
def depth(original_depth: Copy, tmp_path: Path) -> Copy:
    return copied(original_depth, tmp_path)


def flip_bit(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


# What is right.


def test_a_right_dataset(original: Copy, inputs: Inputs, capfd: pytest.CaptureFixture[str]) -> None:
    before = content(original.data_dir)
    assert (
        verify(original, f"--backgrounds={inputs.backgrounds}", f"--foregrounds={inputs.foregrounds}", *ONE_WORKER) == 0
    )
    out, err = capfd.readouterr()
    assert f"{original.folder()} is right." in out
    for told in (
        "shards: 9 of 9",
        "records: 80 of 80",
        "masks: 80 compared bit for bit",
        "composites: 80 compared with composites computed again and encoded; 80 have the same JPEG bytes",
        "companions: 5 backgrounds and 4 foregrounds",
        "input pictures: 5 backgrounds",
        "input pictures: 4 foregrounds",
        "statistics.json",
        "dataset_info.json, features.json",
    ):
        assert told in out
    assert "80 of 80 examples (100%)" in err
    assert content(original.data_dir) == before


def test_inputs_are_checked_only_where_they_are_known(
    original: Copy, inputs: Inputs, capfd: pytest.CaptureFixture[str]
) -> None:
    assert verify(original, f"--backgrounds={inputs.backgrounds}", *ONE_WORKER) == 0
    _, unchecked = capfd.readouterr().out.split("Not checked:")
    assert "input pictures: say where they are now with --foregrounds" in unchecked


def test_array_record_and_lossless_composites(original_array_record: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    assert verify(original_array_record) == 0
    assert "composites: 80 compared with composites computed again, bit for bit" in capfd.readouterr().out


def test_depth(original_depth: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    assert verify(original_depth) == 0
    out = capfd.readouterr().out
    assert "depth: 40 decoded; type, size and range" in out
    assert "whether depth is what the network predicts" in out.split("Not checked:")[1]


def test_depth_is_predicted_again_if_its_model_is_named(
    original_depth: Copy, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert verify(original_depth, f"--depth_model={weights}", *ONE_WORKER) == 0
    assert "depth: 40 spread over the shards predicted again: 40 are equal bit for bit" in capfd.readouterr().out


@pytest.mark.parametrize(
    "workers",
    [pytest.param(TWO_THREADS, id="threads"), pytest.param(TWO_PROCESSES, id="processes", marks=pytest.mark.slow)],
)
def test_any_number_of_workers(original: Copy, workers: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    assert verify(original, *workers) == 0
    assert "records: 80 of 80" in capfd.readouterr().out


def test_it_can_be_moved(copy: Copy, tmp_path: Path) -> None:
    copy.data_dir.rename(tmp_path / "elsewhere")
    assert verify(Copy(tmp_path / "elsewhere")) == 0


def test_jpegs_of_another_encoder_are_compared_by_their_pixels(
    copy: Copy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file with a comment stands for what another version of the encoder makes of the same pixels."""
    copy.change_field(copy.shard(0), 3, "fg_bg", lambda jpeg: jpeg[:2] + b"\xff\xfe\x00\x06well" + jpeg[2:])
    assert complaint(copy, capfd).startswith(f"{TRAIN}0-of-00007, record 3, fg_bg: has other bytes")

    here = package_versions()
    monkeypatch.setattr(
        "pipeline.verify.verification.package_versions", lambda: here | {"opencv-python-headless": "99"}
    )
    # The number of bytes is wrong still.
    assert verify(copy) == 1
    out, err = capfd.readouterr()
    assert "79 have the same JPEG bytes, the others may differ by JPEG's error, for opencv-python-headless " in out
    assert "fgbg: statistics.json, bytes: is " in err


# What is wrong with shards as files.


def test_a_flipped_bit_in_a_payload(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy.shard(1)
    records = list(read_records(path, "tfrecord"))
    flip_bit(path, path.read_bytes().index(records[4]) + 500)
    told = complaint(copy, capfd)
    assert told.startswith(
        f"{TRAIN}1-of-00007, record 4: does not match its CRC; the 4 records after it cannot be read"
    )


@pytest.mark.parametrize("position", [2, 9], ids=["length", "CRC of the length"])
def test_a_flipped_bit_in_a_header(copy: Copy, position: int, capfd: pytest.CaptureFixture[str]) -> None:
    flip_bit(copy.shard(2), position)
    copy.fix_manifest()
    assert complaint(copy, capfd).startswith(f"{TRAIN}2-of-00007, record 0: ")


def test_a_flipped_bit_in_an_array_record(array_record: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    path = array_record.shard(1)
    records = list(read_records(path, "array_record"))
    flip_bit(path, path.read_bytes().index(records[4][200:300]))
    array_record.fix_manifest()
    assert ".array_record-00001-of-00007, record 4: does not match its CRC" in complaint(array_record, capfd)


def test_bytes_that_no_reader_looks_at(array_record: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    """ArrayRecord pads its blocks."""
    path = array_record.shard(1)
    data = path.read_bytes()
    flip_bit(path, data.rindex(bytes(64)))
    assert list(read_records(path, "array_record"))
    assert "-00001-of-00007: has another sha256 than manifest.json says" in complaint(array_record, capfd)


@pytest.mark.parametrize("fixed_up", [False, True])
def test_a_truncated_shard(copy: Copy, fixed_up: bool, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy.shard(0)
    data = path.read_bytes()
    fifth = list(read_records(path, "tfrecord"))[5]
    path.write_bytes(data[: data.index(fifth) + 100])
    if fixed_up:
        copy.fix_manifest()
    assert complaint(copy, capfd).startswith(f"{TRAIN}0-of-00007, record 5: is cut off; the 3 records after it")


def test_a_truncated_array_record(array_record: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    path = array_record.shard(0)
    path.write_bytes(path.read_bytes()[:-1000])
    assert ".array_record-00000-of-00007, record 0: " in complaint(array_record, capfd)


def test_a_shard_that_lacks_its_last_record(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_records(copy.shard(3), lambda records: records[:-1])
    told = complaint(copy, capfd)
    assert told.startswith(f"{TRAIN}3-of-00007, record 8: is missing: the shard ends after 8 of 9 records")


def test_a_shard_with_one_record_too_many(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_records(copy.shard(3), lambda records: [*records, records[0]])
    assert complaint(copy, capfd).startswith(f"{TRAIN}3-of-00007, record 9: follows the 9 records")


def test_a_missing_shard(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.shard(6).unlink()
    assert complaint(copy, capfd) == f"{TRAIN}6-of-00007: is missing"


def test_a_missing_shard_that_the_manifest_does_not_list_either(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.shard(6).unlink()
    manifest = copy.json("manifest.json")
    manifest["shards"][NAME]["train"].pop()
    copy.write_json("manifest.json", manifest)
    assert complaint(copy, capfd).startswith(
        f"manifest.json, shards: does not list {TRAIN}6-of-00007 (1 more is wrong)"
    )


def test_a_stray_shard(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    stray = f"{NAME}-train.tfrecord-00007-of-00008"
    shutil.copy(copy.shard(0), copy.folder() / stray)
    assert complaint(copy, capfd) == f"{stray}: is no shard of this dataset; remove it"


def test_two_shards_in_each_others_place(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = copy.shard(0), copy.shard(3)
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    copy.fix_manifest()
    assert complaint(copy, capfd).startswith(f"{TRAIN}0-of-00007, record 0, example_id: is ")


# What is wrong with records.


def test_swapped_records(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_records(copy.shard(0), lambda records: [records[0], records[2], records[1], *records[3:]])
    told = complaint(copy, capfd)
    assert told.startswith(f"{TRAIN}0-of-00007, record 1, example_id: is ")
    assert told.endswith("(1 more is wrong)")


@pytest.mark.parametrize("name", ["bg", "fg", "flipped", "placement", "bg_class", "fg_class"])
def test_a_wrong_number(copy: Copy, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_field(copy.shard(4), 7, name, lambda value: 1 - value if value in (0, 1) else 0)
    assert complaint(copy, capfd).startswith(f"{TRAIN}4-of-00007, record 7, {name}: is ")


def test_a_wrong_box(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_field(copy.shard(0), 2, "bbox", lambda box: [box[0], box[1] + 1 / IMAGE_SIZE, *box[2:]])
    assert complaint(copy, capfd).startswith(f"{TRAIN}0-of-00007, record 2, bbox: is [")


def grey(data: bytes) -> bytes:
    mask = decode_field("mask", data, PictureForm("PNG", np.uint8, (IMAGE_SIZE, IMAGE_SIZE))).copy()
    mask[5, 6] = 100
    return encode_mask(mask)


def moved(data: bytes) -> bytes:
    mask = decode_field("mask", data, PictureForm("PNG", np.uint8, (IMAGE_SIZE, IMAGE_SIZE)))
    return encode_mask(np.roll(mask, 1, axis=1))


def test_a_grey_pixel_in_a_mask(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_field(copy.shard(5), 8, "mask", grey)
    assert complaint(copy, capfd) == f"{TRAIN}5-of-00007, record 8, mask: is not binary: 100 at row 5, column 6"


def test_a_moved_mask(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_field(copy.shard(5), 8, "mask", moved)
    assert complaint(copy, capfd).startswith(
        f"{TRAIN}5-of-00007, record 8, mask: differs from what is computed again in"
    )


def test_a_mask_stored_as_jpeg(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_field(copy.shard(5), 0, "mask", encode_rgb(np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8), 90))
    assert complaint(copy, capfd) == f"{TRAIN}5-of-00007, record 0, mask: is no PNG"


def other_placement(records: list[dict[str, Any]]) -> None:
    records[3]["fg_bg"] = records[6]["fg_bg"]


def test_a_composite_of_another_placement(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_records(copy.shard(6), other_placement)
    told = complaint(copy, capfd)
    assert told.startswith(f"{TRAIN}6-of-00007, record 3, fg_bg: is not the composite that is computed again")


def test_a_lossless_composite_of_another_placement(array_record: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    array_record.change_records(array_record.shard(6), other_placement)
    assert "-00006-of-00007, record 3, fg_bg: differs from what is computed again in" in complaint(array_record, capfd)


def test_a_damaged_composite(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_field(copy.shard(1), 1, "fg_bg", b"\xff\xd8\xff\xe0 nothing more")
    assert complaint(copy, capfd) == f"{TRAIN}1-of-00007, record 1, fg_bg: is a damaged JPEG"


def test_a_missing_field(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_records(copy.shard(0), lambda records: [records[0], records[1] | {"more": 1}, *records[2:]])
    assert complaint(copy, capfd) == f"{TRAIN}0-of-00007, record 1, more: is no field of this dataset"
    copy.change_records(
        copy.shard(0), lambda records: [{k: v for k, v in records[0].items() if k != "mask"}, *records[1:]]
    )
    assert complaint(copy, capfd) == f"{TRAIN}0-of-00007, record 0, mask: is missing (1 more is wrong)"


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (np.full((IMAGE_SIZE, IMAGE_SIZE), 99, np.uint16), "is 99 .. 99, outside of 100 .. 10000"),
        (np.full((IMAGE_SIZE, IMAGE_SIZE), 200, np.uint8), "is uint8 [48, 48] instead of uint16 [48, 48]"),
        (np.full((IMAGE_SIZE, 9), 200, np.uint16), "is uint16 [48, 9] instead of uint16 [48, 48]"),
    ],
)
def test_wrong_depth(depth: Copy, stored: np.ndarray, told: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = depth.shard(0)
    depth.change_field(path, 5, "depth", encode_png(stored))
    assert complaint(depth, capfd) == f"{path.name}, record 5, depth: {told}"


def test_other_depth_is_seen_by_its_statistics(depth: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    depth.change_field(depth.shard(0), 5, "depth", encode_png(np.full((IMAGE_SIZE, IMAGE_SIZE), 5000, np.uint16)))
    assert complaint(depth, capfd).startswith("statistics.json, ")


def test_other_depth_is_not_what_the_model_predicts(
    depth: Copy, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = depth.shard(0)
    depth.change_records(
        path, lambda records: [*records[:3], records[3] | {"depth": records[4]["depth"]}, *records[4:]]
    )
    flat = np.full((IMAGE_SIZE, IMAGE_SIZE), 5000, np.uint16)
    depth.change_field(path, 5, "depth", encode_png(flat))
    told = complaint(depth, capfd, f"--depth_model={weights}")
    assert told.startswith(f"{path.name}, record 3, depth: differs from what is predicted again by ")
    assert told.endswith("(1 more is wrong)")


def test_another_depth_model(
    original: Copy, original_depth: Copy, weights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = write_random_weights(tmp_path / "other.h5", kind="metric", input_size=(64, 64), seed=1)
    line = error_of(["verify", str(original_depth.folder()), f"--depth_model={other}"], capfd)
    assert f"--depth_model: {other} is not what the dataset was made with" in line
    line = error_of(["verify", str(original.folder()), f"--depth_model={weights}"], capfd)
    assert "was made without depth" in line


def test_the_first_of_many_is_told_and_all_are_counted(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.change_field(copy.shard(5), 8, "mask", grey)
    copy.change_field(copy.shard(2), 1, "placement", 5)
    copy.change_field(copy.shard(2), 6, "placement", 5)
    assert complaint(copy, capfd) == f"{TRAIN}2-of-00007, record 1, placement: is 5 instead of " + (
        f"{parse_record(list(read_records(copy.shard(2), 'tfrecord'))[1])['example_id'] % 2} (2 more are wrong)"
    )


# What is wrong beside the shards.


def test_edited_statistics(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    statistics = copy.json("statistics.json")
    mean = statistics["kinds"]["mask"]["mean"][0]
    statistics["kinds"]["mask"]["mean"][0] = 0.5
    copy.write_json("statistics.json", statistics)
    assert complaint(copy, capfd) == f"statistics.json, kinds.mask.mean[0]: is 0.5 instead of {mean}"


def test_an_edited_configuration(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    manifest = copy.json("manifest.json")
    manifest["configuration"]["seed"] = 1
    copy.write_json("manifest.json", manifest)
    assert complaint(copy, capfd).startswith("manifest.json, fingerprint: is not that of its configuration")


def test_edited_names_of_what_is_held_out(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    copy.write_json("manifest.json", copy.json("manifest.json") | {"held_out": ["river/b0"]})
    assert complaint(copy, capfd).startswith("manifest.json, held_out: is not what the splits hold out")


def test_edited_lengths_for_tfds(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    info = copy.json("dataset_info.json")
    info["splits"][0]["shardLengths"][0] = "8"
    copy.write_json("dataset_info.json", info)
    told = complaint(copy, capfd)
    assert told == f'{NAME}/dataset_info.json, splits[0].shardLengths[0]: is "8" instead of "9"'


def test_edited_names_for_tfds(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    (copy.folder() / "fg.labels.txt").write_text("a\nb\nc\nd\n")
    assert complaint(copy, capfd) == f"{NAME}/fg.labels.txt: does not have the names that the manifest has"


def test_features_that_are_gone(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    (copy.folder(f"{NAME}_background") / "features.json").unlink()
    assert complaint(copy, capfd) == f"{NAME}_background/features.json: is missing"


def brighter(data: bytes) -> bytes:
    image = decode_field("image", data, PictureForm("PNG", np.uint8, (IMAGE_SIZE, IMAGE_SIZE, 3))).copy()
    image[:9, :9] //= 2
    return encode_rgb(image, None)


def test_an_edited_background(copy: Copy, inputs: Inputs, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy.shard(0, f"{NAME}_background")
    shard = path.read_bytes()
    copy.change_field(path, 1, "image", brighter)
    # As a careful tamperer leaves it: composites do not fit.
    capfd.readouterr()
    assert verify(copy) == 1
    _, err = capfd.readouterr()
    assert "fg_bg: is not the composite" in err
    assert "(15 more are wrong)" in err
    assert "All wrong records have background river/b1: look at it in the background dataset." in err
    # With the inputs it is named.
    told = complaint(copy, capfd, f"--backgrounds={inputs.backgrounds}")
    assert told.startswith(f"{inputs.backgrounds}/river/b1.png: does not give the picture that the dataset has")
    # As a careless one leaves it.
    changed = path.read_bytes()
    path.write_bytes(shard)
    copy.fix_manifest()
    path.write_bytes(changed)
    assert complaint(copy, capfd).startswith(f"{path.name}: has ")


def test_an_edited_foreground_mask(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy.shard(0, f"{NAME}_foreground")

    def change(data: bytes) -> bytes:
        mask = decode_field("mask", data, PictureForm("PNG", np.uint8, (0, 0))).copy()
        mask[0, 0] = 255 - mask[0, 0]
        return encode_mask(mask)

    copy.change_field(path, 2, "mask", change)
    assert complaint(copy, capfd).startswith(
        f"{path.name}, record 2, mask: differs from what is computed again in 1 pix"
    )


def test_a_missing_companion(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy.shard(0, f"{NAME}_foreground")
    shutil.rmtree(path.parent)
    assert complaint(copy, capfd) == f"{path.name}: is missing"
    assert not path.parent.exists()


def test_changed_inputs(original: Copy, inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    now = Inputs(tmp_path / "backgrounds", tmp_path / "foregrounds")
    shutil.copytree(inputs.backgrounds, now.backgrounds)
    shutil.copytree(inputs.foregrounds, now.foregrounds)
    flags = (f"--backgrounds={now.backgrounds}", f"--foregrounds={now.foregrounds}")
    draw_background(now.backgrounds / "more.png", IMAGE_SIZE, IMAGE_SIZE, 9)
    assert verify(original, *flags, *ONE_WORKER) == 0
    changed = now.backgrounds / "street/b3.png"
    draw_background(changed, IMAGE_SIZE, IMAGE_SIZE, 9)
    (now.foregrounds / "dog/f2.png").unlink()
    told = complaint(original, capfd, *flags)
    assert told == f"{changed}: has changed since the dataset was made with it as background 3 (1 more is wrong)"


# Wrong use.


def error_of(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    assert commands.run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


def test_no_dataset(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "is no finished dataset" in error_of(["verify", str(tmp_path)], capfd)
    assert "is no finished dataset" in error_of(["verify", str(tmp_path / "nowhere")], capfd)
    assert list(tmp_path.iterdir()) == []


def test_no_folder_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert "DIR" in error_of(["verify"], capfd)


def test_an_unfinished_build(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    (copy.folder() / ".build").mkdir()
    (copy.folder() / ".build/configuration.json").write_text("{}")
    line = error_of(["verify", str(copy.folder())], capfd)
    assert "is not finished; run the same `build` command again" in line


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"configuration": 3}'])
def test_a_manifest_that_is_none(copy: Copy, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    (copy.folder() / "manifest.json").write_text(text)
    assert "manifest.json is damaged" in error_of(["verify", str(copy.folder())], capfd)


def test_a_format_of_another_time(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    manifest = copy.json("manifest.json")
    manifest["configuration"]["format"] = 99
    copy.write_json("manifest.json", manifest)
    assert "has format 99" in error_of(["verify", str(copy.folder())], capfd)


def test_a_renamed_dataset(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    other = copy.data_dir / "other" / VERSION
    other.parent.mkdir()
    copy.folder().rename(other)
    assert "has been renamed" in error_of(["verify", str(other)], capfd)


def test_inputs_that_are_nowhere(original: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    line = error_of(["verify", str(original.folder()), "--backgrounds=/nowhere"], capfd)
    assert "--backgrounds: there is no folder /nowhere" in line


def test_flags_that_nobody_knows(original: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    assert "did you mean --backgrounds?" in error_of(["verify", str(original.folder()), "--background=x"], capfd)


def test_workers_elsewhere_need_a_place_for_findings(original: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    flags = ["--runner=PortableRunner", "--job_endpoint=localhost:1"]
    assert "--temp_location" in error_of(["verify", str(original.folder()), *flags], capfd)
