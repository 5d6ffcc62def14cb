"""`export` of real builds: the stored bytes, tables that say the truth, stopped anywhere and gone on with."""

import contextlib
import csv
import errno
import importlib.util
import io
import json
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from fgbg.records import parse_record, read_records
from pipeline import commands
from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import (
    NAME,
    VERSION,
    Inputs,
    build,
    content,
    dataset_folder,
    our_lines,
    shard_files,
    start,
    stop_when,
)

FORMATS = ("zip", "folder", "coco")
FLAGS = (f"--image_size={IMAGE_SIZE}", "--placements=3", "--examples_per_shard=10", "--test_fraction=0.4")
# 3 and 2 backgrounds x 4 foregrounds x 2 x 3 placements
EXAMPLES = {"train": 72, "test": 48}
COLUMNS = (
    *("example_id", "split", "bg_id", "bg_name", "bg_class", "fg_id", "fg_name", "fg_class", "flipped", "placement"),
    *("xmin", "ymin", "xmax", "ymax"),
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs, weights: Path) -> Path:
    """A dataset with depth in two splits, not to be changed."""
    folder = tmp_path_factory.mktemp("data")
    assert build(folder, inputs, *FLAGS, f"--depth_model={weights}") == 0
    return folder


@pytest.fixture(scope="module")
def exported(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Uninterrupted exports by their format, not to be changed."""
    folder = tmp_path_factory.mktemp("exported")
    for kind in FORMATS:
        assert export(data_dir, kind, folder / kind) == 0
    return {kind: folder / kind for kind in FORMATS}


def export(data_dir: Path, kind: str, output: Path, *flags: str) -> int:
    return commands.run(["export", str(dataset_folder(data_dir)), f"--format={kind}", f"--output={output}", *flags])


def error_of(capfd: pytest.CaptureFixture[str], status: int, expected: int = 2) -> str:
    """The one line that tells what is wrong."""
    assert status == expected
    (line,) = our_lines(capfd.readouterr().err)
    return line


def records_of(data_dir: Path, split: str, name: str = NAME, file_format: str = "tfrecord") -> list[dict[str, Any]]:
    """The fields of every example as they are stored."""
    files = [path for path in shard_files(data_dir, name) if f"{name}-{split}." in path.name]
    return [parse_record(record) for path in files for record in read_records(path, file_format)]


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def unpacked(archives: Path, folder: Path) -> Path:
    """All archives unpacked in one folder."""
    for path in archives.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    return folder


def test_pictures_are_the_stored_bytes(exported: dict[str, Path], data_dir: Path) -> None:
    output = exported["folder"]
    rows = rows_of(output)
    records = {split: records_of(data_dir, split) for split in EXAMPLES}
    assert {split: len(one) for split, one in records.items()} == EXAMPLES
    backgrounds, foregrounds = (
        {record["id"]: record for record in records_of(data_dir, "train", f"{NAME}_{kind}")}
        for kind in ("background", "foreground")
    )
    expected = [(split, record) for split, one in records.items() for record in one]
    for row, (split, record) in zip(rows, expected, strict=True):
        assert row["split"] == split
        for kind in ("fg_bg", "mask", "depth"):
            assert (output / row[f"{kind}_path"]).read_bytes() == record[kind]
        assert (output / row["bg_path"]).read_bytes() == backgrounds[record["bg"]]["image"]
        assert (output / row["fg_path"]).read_bytes() == foregrounds[record["fg"]]["image"]
        assert (output / row["fg_mask_path"]).read_bytes() == foregrounds[record["fg"]]["mask"]
    pictures = {row[name] for row in rows for name in row if name.endswith("_path")}
    tables = {"labels.csv", "README.md", "statistics.json", "export.json"}
    assert content(output).keys() == pictures | tables
    assert len(pictures) == 3 * sum(EXAMPLES.values()) + 5 + 2 * 4


def test_labels_say_what_tfds_reads(exported: dict[str, Path], data_dir: Path) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(dataset_folder(data_dir))
    names = {field: builder.info.features[field].int2str for field in ("bg", "fg", "bg_class", "fg_class")}
    expected = []
    for split in EXAMPLES:
        config = tfds.ReadConfig(interleave_cycle_length=1)
        for example in builder.as_dataset(split=split, read_config=config).as_numpy_iterator():
            y, x = np.nonzero(example["mask"][..., 0])
            expected.append(
                {
                    "example_id": example["example_id"],
                    "split": split,
                    "bg_id": example["bg"],
                    "fg_id": example["fg"],
                    **{f"{kind}_name": names[kind](example[kind]) for kind in ("bg", "fg")},
                    **{f"{kind}_class": names[f"{kind}_class"](example[f"{kind}_class"]) for kind in ("bg", "fg")},
                    "flipped": int(example["flipped"]),
                    "placement": example["placement"],
                    **{"xmin": x.min(), "ymin": y.min(), "xmax": x.max() + 1, "ymax": y.max() + 1},
                }
            )
    rows = rows_of(exported["folder"])
    assert [{name: row[name] for name in COLUMNS} for row in rows] == [
        {name: str(one[name]) for name in COLUMNS} for one in expected
    ]
    for row in rows:
        path = row["fg_bg_path"]
        name = f"fg_{row['fg_id']}_bg_{row['bg_id']}_f{row['flipped']}_p{row['placement']}.jpg"
        assert path == f"{row['split']}/fg_bg/fg_{row['fg_id']}/{name}"


def test_pictures_decode_to_what_tfds_decodes(exported: dict[str, Path], data_dir: Path) -> None:
    import tensorflow as tf
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(dataset_folder(data_dir))
    rows = {int(row["example_id"]): row for row in rows_of(exported["folder"])}
    for example in builder.as_dataset(split="test").as_numpy_iterator():
        row = rows[int(example["example_id"])]
        for kind in ("mask", "depth"):
            with Image.open(exported["folder"] / row[f"{kind}_path"]) as image:
                np.testing.assert_array_equal(np.asarray(image), example[kind][..., 0])
        # JPEG by the same decoder: others round otherwise.
        decoded = tf.io.decode_image((exported["folder"] / row["fg_bg_path"]).read_bytes())
        np.testing.assert_array_equal(decoded.numpy(), example["fg_bg"])


def test_archives_unpacked_are_the_folder(exported: dict[str, Path], tmp_path: Path) -> None:
    archives = {path.name for path in exported["zip"].glob("*.zip")}
    assert archives == {f"{kind}.zip" for kind in ("bg", "fg", "fg_mask", "fg_bg", "mask", "depth")}
    files = content(exported["folder"])
    for name in ("labels.csv", "README.md", "statistics.json", "export.json"):
        del files[name]
    assert content(unpacked(exported["zip"], tmp_path)) == files


def test_pictures_are_found_in_the_archives(exported: dict[str, Path]) -> None:
    assert (exported["zip"] / "labels.csv").read_bytes() == (exported["folder"] / "labels.csv").read_bytes()
    for kind in ("fg_bg", "mask", "depth", "bg", "fg", "fg_mask"):
        with zipfile.ZipFile(exported["zip"] / f"{kind}.zip") as archive:
            for row in rows_of(exported["zip"]):
                assert archive.getinfo(row[f"{kind}_path"]).compress_type == zipfile.ZIP_STORED


def test_coco(exported: dict[str, Path], data_dir: Path) -> None:
    output = exported["coco"]
    labels = {int(row["example_id"]): row for row in rows_of(exported["folder"])}
    shown = set()
    for split, number in EXAMPLES.items():
        coco = COCO(str(output / f"instances_{split}.json"))
        assert len(coco.getImgIds()) == len(coco.getAnnIds()) == number
        for record in records_of(data_dir, split):
            (image,) = coco.loadImgs(record["example_id"])
            (annotation,) = coco.imgToAnns[image["id"]]
            row = labels[record["example_id"]]
            with Image.open(io.BytesIO(record["mask"])) as mask:
                inside = np.asarray(mask) == 255
            np.testing.assert_array_equal(coco.annToMask(annotation), inside)
            assert annotation["area"] == inside.sum()
            left, top, width, height = annotation["bbox"]
            assert [left, top, left + width, top + height] == [
                int(row[key]) for key in ("xmin", "ymin", "xmax", "ymax")
            ]
            assert coco.loadCats(annotation["category_id"])[0]["name"] == row["fg_class"]
            assert (image["background"], annotation["foreground"]) == (row["bg_name"], row["fg_name"])
            assert (output / image["file_name"]).read_bytes() == record["fg_bg"]
            assert (output / image["depth_file_name"]).read_bytes() == record["depth"]
            assert image["background_file_name"] == row["bg_path"]
            assert (image["width"], image["height"]) == (IMAGE_SIZE, IMAGE_SIZE)
            shown |= {image["file_name"], image["depth_file_name"], image["background_file_name"]}
        assert "metres = depth / 1000" in coco.dataset["info"]["depth"]
    tables = {"instances_train.json", "instances_test.json", "README.md", "statistics.json", "export.json"}
    assert content(output).keys() == shown | tables


@pytest.mark.parametrize("kind", FORMATS)
def test_readme(kind: str, exported: dict[str, Path]) -> None:
    text = (exported[kind] / "README.md").read_text(encoding="utf-8")
    assert f"# {NAME}:{VERSION}" in text
    assert "120 examples (train 72, test 48) of 48x48 pixels" in text
    assert "metres = depth / 1000" in text
    assert ("ZIP64" in text) == (kind == "zip")
    if kind != "coco":
        columns = [name for name in rows_of(exported[kind])[0] if not name.endswith("_path")]
        assert all(f"`{name}`" in text for name in columns)


def test_split_and_limit(data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert export(data_dir, "folder", tmp_path / "one", "--split=test", "--limit=13") == 0
    assert "13 examples (test 13)" in capfd.readouterr().out
    ids = [int(row["example_id"]) for row in rows_of(tmp_path / "one")]
    assert ids == [record["example_id"] for record in records_of(data_dir, "test")[:13]]
    assert not (tmp_path / "one/train").exists()
    assert export(data_dir, "coco", tmp_path / "both", "--limit=50") == 0
    for split, number in (("train", 50), ("test", 48)):
        assert len(json.loads((tmp_path / f"both/instances_{split}.json").read_bytes())["images"]) == number


@pytest.mark.parametrize("flags", [("--file_format=array_record",), ("--jpeg_quality=png",)])
def test_other_datasets(flags: tuple[str, ...], inputs: Inputs, tmp_path: Path) -> None:
    assert build(tmp_path, inputs, *FLAGS[:2], *flags) == 0
    file_format = "array_record" if "array" in flags[0] else "tfrecord"
    assert export(tmp_path, "folder", tmp_path / "out") == 0
    rows = rows_of(tmp_path / "out")
    for row, record in zip(rows, records_of(tmp_path, "train", file_format=file_format), strict=True):
        assert row["fg_bg_path"].endswith(".png" if "png" in flags[0] else ".jpg")
        assert (tmp_path / "out" / row["fg_bg_path"]).read_bytes() == record["fg_bg"]
        assert "depth_path" not in row
    readme = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "`depth`" not in readme


def test_the_folder_may_be_a_link_and_have_a_config(
    data_dir: Path, exported: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (NAME, f"{NAME}_background", f"{NAME}_foreground"):
        shutil.copytree(data_dir / name / VERSION, tmp_path / name / "tiny" / VERSION)
    (tmp_path / "link").symlink_to(tmp_path / NAME / "tiny" / VERSION)
    monkeypatch.chdir(tmp_path)
    assert commands.run(["export", "link/", "--format=folder", "--output=out"]) == 0
    ours, others = content(tmp_path / "out"), content(exported["folder"])
    assert ours.pop("README.md") != others.pop("README.md")
    assert ours == others


class _KilledError(BaseException):
    pass


def publish_until(number: int) -> Callable[[Path, Path], Path]:
    """Renames as they go until this many are done."""
    rename = Path.replace
    left = number

    def replace(path: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise _KilledError
        return rename(path, target)

    return replace


def count_publications(data_dir: Path, kind: str, output: Path) -> int:
    number = 0
    rename = Path.replace

    def replace(path: Path, target: Path) -> Path:
        nonlocal number
        number += 1
        return rename(path, target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        assert export(data_dir, kind, output) == 0
    return number


def assert_nothing_half(output: Path, whole: dict[str, bytes]) -> None:
    """What has a final name has the bytes that it has in an uninterrupted export."""
    for name, data in content(output).items():
        if not name.startswith(".export/"):
            assert data == whole[name], name


@pytest.mark.parametrize("kind", FORMATS)
def test_stopped_anywhere_it_ends_with_the_same_bytes(
    kind: str, data_dir: Path, exported: dict[str, Path], tmp_path: Path
) -> None:
    """As a kill leaves it: nothing is tidied up, and no file more gets its name."""
    whole = content(exported[kind])
    total = count_publications(data_dir, kind, tmp_path / "counted")
    assert content(tmp_path / "counted") == whole
    moments = {*range(0, total, 4 if kind == "zip" else 97), *range(total - 3, total)}
    output = tmp_path / "out"
    for number in sorted(moments):
        shutil.rmtree(output, ignore_errors=True)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Path, "replace", publish_until(number))
            patched.setattr(Path, "unlink", lambda *_, **__: None)
            with pytest.raises(_KilledError):
                export(data_dir, kind, output)
        assert_nothing_half(output, whole)
        assert export(data_dir, kind, output) == 0
        assert content(output) == whole, number


def test_stopped_again_and_again_it_comes_to_an_end(
    data_dir: Path, exported: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every run gets five parts further at most, and none makes finished parts again."""
    for _ in range(20):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Path, "replace", publish_until(6))
            with contextlib.suppress(_KilledError):
                assert export(data_dir, "zip", tmp_path) == 0
                break
    else:
        pytest.fail("does not come to an end")
    assert content(tmp_path) == content(exported["zip"])
    assert "Resuming: " in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "moments"),
    [
        ("zip", [".export/configuration.json", ".export/journal/mask.zip", ".export/journal/train.lines", "fg_bg.zip"]),
        ("folder", ["bg/*.png", ".export/journal/train.lines", "train/mask/fg_3/*"]),
    ],
)
def test_killed_processes(kind: str, moments: list[str], inputs: Inputs, tmp_path: Path) -> None:
    assert build(tmp_path, inputs, f"--image_size={IMAGE_SIZE}", "--placements=60", "--examples_per_shard=200") == 0
    assert export(tmp_path, kind, tmp_path / "whole") == 0
    whole = content(tmp_path / "whole")
    output = tmp_path / "out"
    command = ("export", str(dataset_folder(tmp_path)), f"--format={kind}", f"--output={output}")
    for moment in moments:

        def happened(moment: str = moment) -> bool:
            return any(output.glob(moment))

        process = start(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stop_when(process, signal.SIGKILL, happened)
        assert_nothing_half(output, whole)
    assert export(tmp_path, kind, output) == 0
    assert content(output) == whole


def test_stopped_while_tidying_up(data_dir: Path, exported: dict[str, Path], tmp_path: Path) -> None:
    output = Path(shutil.copytree(exported["folder"], tmp_path / "out"))
    (output / ".export/tmp/abc").mkdir(parents=True)
    (output / ".export/configuration.json").write_text("{}")
    assert export(data_dir, "folder", output) == 0
    assert not (output / ".export").exists()


def test_a_complete_export_is_left_alone(
    data_dir: Path, exported: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = Path(shutil.copytree(exported["zip"], tmp_path / "out"))
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    assert export(data_dir, "zip", output) == 0
    out, err = capfd.readouterr()
    assert f"{output} is complete already." in err
    assert "120 examples (train 72, test 48)" in out
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
    (output / "mask.zip").write_bytes(b"")
    assert "was finished, but mask.zip is missing" in error_of(capfd, export(data_dir, "zip", output))


@pytest.mark.parametrize(
    ("kind", "flags", "told"),
    [
        ("folder", (), "--format: stored zip, requested folder"),
        ("zip", ("--split=test",), "--split: stored None, requested test"),
        ("zip", ("--limit=7",), "--limit: stored None, requested 7"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_another_export_is_refused(
    kind: str,
    flags: tuple[str, ...],
    told: str,
    finished: bool,
    data_dir: Path,
    exported: dict[str, Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if finished:
        shutil.copytree(exported["zip"], tmp_path, dirs_exist_ok=True)
    else:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Path, "replace", publish_until(3))
            with pytest.raises(_KilledError):
                export(data_dir, "zip", tmp_path)
    before = content(tmp_path)
    capfd.readouterr()
    line = error_of(capfd, export(data_dir, kind, tmp_path, *flags))
    assert f"--output: {tmp_path} contains another export ({told});" in line
    assert content(tmp_path) == before


def test_a_second_export_to_the_same_folder_is_refused(
    data_dir: Path, exported: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rename = Path.replace
    told: list[str] = []

    def replace(path: Path, target: Path) -> Path:
        if not told:
            told.append("")
            told[0] = error_of(capfd, export(data_dir, "zip", tmp_path))
        return rename(path, target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        assert export(data_dir, "zip", tmp_path) == 0
    assert f"another `export` is writing to {tmp_path}" in told[0]
    assert content(tmp_path) == content(exported["zip"])


def test_another_dataset_is_refused(
    inputs: Inputs, exported: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path, inputs, *FLAGS, "--seed=1") == 0
    capfd.readouterr()
    line = error_of(capfd, export(tmp_path, "zip", exported["zip"]))
    assert "the dataset's seed: stored 0, requested 1" in line


def test_a_folder_of_others_is_refused(data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/a.txt").write_text("dear")
    assert "contains files that fgbg did not write" in error_of(capfd, export(data_dir, "zip", tmp_path))
    assert "is a file; name a folder" in error_of(capfd, export(data_dir, "zip", tmp_path / "letters/a.txt"))
    assert list(content(tmp_path)) == ["letters/a.txt"]
    assert export(data_dir, "zip", tmp_path / "letters/new") == 0


def test_a_damaged_record_of_the_export_is_told(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "export.json").write_text("[")
    assert "export.json is damaged" in error_of(capfd, export(data_dir, "zip", tmp_path))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--format=zip"], "--output"),
        (["--output=out"], "--format"),
        (["--format=rar", "--output=out"], "--format"),
        (["--format=zip", "--output=gs://bucket/out"], "--output: gs://bucket/out is not on the local disk"),
        (["--format=zip", "--output="], "--output: the path is empty"),
        (["--format=zip", "--output=out", "--limit=0"], "--limit: 0 must be an integer >= 1"),
        (["--format=zip", "--output=out", "--split=validation"], "no split validation; it has train, test."),
        (["--format=zip", "--output=out", "--runner=DirectRunner"], "`export` does not know --runner=DirectRunner"),
    ],
)
def test_wrong_use(
    flags: list[str],
    told: str,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in error_of(capfd, commands.run(["export", str(dataset_folder(data_dir)), *flags]))
    assert list(tmp_path.iterdir()) == []


def test_lost_statistics_are_told(data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree(data_dir, tmp_path / "data"))
    (dataset_folder(copy) / "statistics.json").unlink()
    assert "statistics.json cannot be read" in error_of(capfd, export(copy, "zip", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_made_is_told(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    line = error_of(capfd, export(data_dir, "zip", tmp_path / "file/out"), expected=1)
    assert f"Cannot write {tmp_path}/file/out" in line
    assert "Not a directory" in line


@pytest.mark.parametrize("lost", ["manifest.json", "dataset_info.json"])
def test_an_unfinished_dataset_is_refused(
    lost: str, data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(data_dir, tmp_path / "data"))
    (dataset_folder(copy) / lost).unlink()
    line = error_of(capfd, export(copy, "zip", tmp_path / "out"))
    assert f"is no finished dataset: there is no {lost} in it" in line
    assert not (tmp_path / "out").exists()


def test_what_is_no_dataset_is_refused(data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path / "nowhere", data_dir, dataset_folder(data_dir, f"{NAME}_background")):
        status = commands.run(["export", str(folder), "--format=zip", f"--output={tmp_path / 'out'}"])
        assert f"{folder} is no finished dataset" in error_of(capfd, status)
    renamed = Path(shutil.copytree(dataset_folder(data_dir), tmp_path / "renamed"))
    status = commands.run(["export", str(renamed), "--format=zip", f"--output={tmp_path / 'out'}"])
    assert f"call it .../{NAME}/{VERSION} again" in error_of(capfd, status)
    (renamed / "manifest.json").write_text("{}")
    status = commands.run(["export", str(renamed), "--format=zip", f"--output={tmp_path / 'out'}"])
    assert "manifest.json is damaged or not of this program" in error_of(capfd, status)


@pytest.mark.parametrize("name", [NAME, f"{NAME}_foreground"])
def test_lost_shards_are_told_before_anything_is_written(
    name: str, data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(data_dir, tmp_path / "data"))
    lost = shard_files(copy, name)[0]
    lost.unlink()
    line = error_of(capfd, export(copy, "zip", tmp_path / "out"))
    assert f"1 of its shards are missing or have another size than the manifest says (the first is {lost.name})" in line
    assert not (tmp_path / "out").exists()


def test_a_damaged_shard_is_told_and_the_export_goes_on_when_it_is_mended(
    data_dir: Path, exported: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(data_dir, tmp_path / "data"))
    damaged = shard_files(copy)[7]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:9000] + bytes([whole[9000] ^ 1]) + whole[9001:])
    line = error_of(capfd, export(copy, "folder", tmp_path / "out"), expected=1)
    before, _, after = line.rpartition(" ")[0].partition("corrupted record at ")
    assert before == f"fgbg: Cannot read {damaged}: "
    assert after.endswith("; build the dataset")
    damaged.write_bytes(whole)
    assert export(copy, "folder", tmp_path / "out") == 0
    assert content(tmp_path / "out") == content(exported["folder"])


@pytest.mark.parametrize("kind", FORMATS)
def test_a_full_disk_is_told_and_the_export_goes_on(
    kind: str, data_dir: Path, exported: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rename = Path.replace
    finished = 0

    def replace(path: Path, target: Path) -> Path:
        nonlocal finished
        if finished == 1 + 8:  # the companions, the shards of train
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        renamed = rename(path, target)
        finished += target.name == "state.json"
        return renamed

    output = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        line = error_of(capfd, export(data_dir, kind, output), expected=1)
    assert "No space left on device. Free space there" in line
    assert export(data_dir, kind, output) == 0
    assert "Resuming: 72 examples already written." in capfd.readouterr().err
    assert content(output) == content(exported[kind])


def test_coco_needs_its_package(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = error_of(capfd, export(data_dir, "coco", tmp_path / "out"))
    assert line == "fgbg: --format coco needs pycocotools; install it with: pip install 'fgbg-depth[coco]'"
    assert not (tmp_path / "out").exists()


def test_people_need_nothing_of_this_project(exported: dict[str, Path]) -> None:
    """Python's own library and Pillow read an archive."""
    program = (
        "import csv, io, sys, zipfile; from PIL import Image\n"
        "row = next(csv.DictReader(open('labels.csv', newline='', encoding='utf-8')))\n"
        "with zipfile.ZipFile('mask.zip') as archive:\n"
        "    mask = Image.open(io.BytesIO(archive.read(row['mask_path'])))\n"
        "    assert mask.getbbox() == tuple(int(row[k]) for k in ('xmin', 'ymin', 'xmax', 'ymax'))\n"
    )
    subprocess.run([sys.executable, "-I", "-c", program], cwd=exported["zip"], check=True)
