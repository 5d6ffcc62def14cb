"""Names, parts, stores and tables of exports, without a dataset."""

import contextlib
import csv
import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from fgbg.finished import StoredShard
from fgbg.images import encode_mask as encode_png_mask
from fgbg.images import mask_box
from pipeline.export import tables
from pipeline.export.archives import ArchiveStore, archive_piece, end_archive
from pipeline.export.journal import Journal
from pipeline.export.names import PictureNames
from pipeline.export.parts import make_parts
from pipeline.export.stores import FileStore, OutputFolder, Store
from pipeline.export.tables import CocoTable, LabelsTable
from tests.pictures_helpers import make_schema

SIDE = 16
LABELS = (make_schema(SIDE).backgrounds, make_schema(SIDE).foregrounds, SIDE)
NAMES = PictureNames(backgrounds=3, foregrounds=2, placements=3, suffix=".jpg")
PICTURES = [
    ("mask", "train/mask/a.png", b"mask a"),
    ("mask", "train/mask/b.png", b"mask b"),
    ("fg_bg", "train/fg_bg/a.jpg", b"composite" * 1000),
]


def output_in(folder: Path) -> OutputFolder:
    return OutputFolder(folder, folder / "tmp")


def below(folder: Path) -> dict[str, bytes]:
    """Everything with a final name."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {name: path.read_bytes() for path in paths if not (name := str(path.relative_to(folder))).startswith("tmp/")}


def example(number: int, *, empty: bool = False) -> tuple[dict[str, Any], np.ndarray]:
    """Fields of an example and its mask."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if not empty:
        mask[2 + number % 3 : 9, 3 : 12 - number % 2] = 255
        mask[4, 5] = 0
    fields = {"bg": number % 3, "fg": number % 2, "flipped": number % 2, "placement": 1, "example_id": number}
    return {**fields, "bbox": mask_box(mask), "mask": encode_png_mask(mask), "fg_bg": b"c"}, mask


def paths_of(fields: dict[str, Any]) -> dict[str, str]:
    own = NAMES.example_paths("train", fields)
    return own | NAMES.background_paths(fields["bg"]) | NAMES.foreground_paths(fields["fg"])


@pytest.mark.parametrize(
    ("placements", "path"),
    [(25, "test/mask/fg_3/fg_3_bg_007_f0_p00.png"), (26, "test/mask/fg_3/bg_007/fg_3_bg_007_f0_p00.png")],
)
def test_no_folder_holds_more_than_some_thousand_files(placements: int, path: str) -> None:
    names = PictureNames(backgrounds=100, foregrounds=9, placements=placements, suffix=".png")
    fields = {"bg": 7, "fg": 3, "flipped": 0, "placement": 0, "mask": b""}
    assert names.example_paths("test", fields)["mask"] == path


def test_a_name_is_of_one_example() -> None:
    paths = {
        NAMES.example_paths(split, {"bg": bg, "fg": fg, "flipped": flipped, "placement": placement})["fg_bg"]
        for split in ("train", "test")
        for bg in range(3)
        for fg in range(2)
        for flipped in range(2)
        for placement in range(3)
    }
    assert len(paths) == 2 * 3 * 2 * 2 * 3


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12), limit=st.none() | st.integers(1, 300))
def test_parts_are_the_front_of_every_split(lengths: list[int], limit: int | None) -> None:
    shards = [StoredShard(f"shard{i}", length, 0, "") for i, length in enumerate(lengths)]
    parts = make_parts({"train": shards, "test": shards[:1]}, limit)
    for split, expected in (("train", shards), ("test", shards[:1])):
        own = [part for part in parts if part.split == split]
        total = sum(shard.examples for shard in expected)
        assert sum(part.examples for part in own) == (total if limit is None else min(limit, total))
        assert [part.shard for part in own] == expected[: len(own)]
        assert all(part.examples == part.shard.examples for part in own[:-1])


def archive_store(folder: Path, numbers: dict[str, int]) -> tuple[ArchiveStore, Journal]:
    output = output_in(folder)
    journal = Journal(output, "tmp/journal")
    return ArchiveStore(output, journal, numbers), journal


def fill(store: Store, pictures: list[tuple[str, str, bytes]]) -> None:
    with store.part() as add:
        for picture in pictures:
            add(*picture)


def pictures_of(parts: int, each: int) -> list[list[tuple[str, str, bytes]]]:
    """Masks and composites, some parts of them."""
    return [
        [
            (kind, f"train/{kind}/{part}_{i}.png", f"{kind} {part} {i} ".encode() * (i + 1))
            for i in range(each)
            for kind in ("mask", "fg_bg")
        ]
        for part in range(parts)
    ]


def test_both_stores_keep_the_same_files(tmp_path: Path) -> None:
    parts = pictures_of(3, 4)
    files = FileStore(output_in(tmp_path / "files"))
    archives, journal = archive_store(tmp_path / "archives", {"mask": 12, "fg_bg": 12})
    for part in parts:
        fill(files, part)
        fill(archives, part)
        journal.end_part()
    assert below(tmp_path / "archives") == {}
    assert (archives.finish(), files.finish()) == (["mask.zip", "fg_bg.zip"], [])
    kept = below(tmp_path / "archives")
    assert sorted(kept) == ["fg_bg.zip", "mask.zip"]
    for data in kept.values():
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
            assert {stat.filemode(entry.external_attr >> 16) for entry in archive.infolist()} == {"-rw-r--r--"}
            archive.extractall(tmp_path / "unpacked")
    expected = {path: data for part in parts for _, path, data in part}
    assert below(tmp_path / "unpacked") == below(tmp_path / "files") == expected


def test_small_archives_are_what_python_writes(tmp_path: Path) -> None:
    archives, _ = archive_store(tmp_path, {"mask": 3})
    for part in ([PICTURES[0]], [PICTURES[1], ("mask", "c.png", b"c")]):
        fill(archives, part)
    archives.finish()
    usual = io.BytesIO()
    with zipfile.ZipFile(usual, "w") as archive:
        for _, path, data in (*PICTURES[:2], ("mask", "c.png", b"c")):
            entry = zipfile.ZipInfo(path)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, data)
    assert below(tmp_path) == {"mask.zip": usual.getvalue()}


@pytest.mark.parametrize("number", [65_534, 65_535, 70_000])
def test_archives_of_very_many_pictures_can_be_read(tmp_path: Path, number: int) -> None:
    archives, _ = archive_store(tmp_path, {"mask": number})
    for start in range(0, number, 10_000):
        fill(archives, [("mask", f"{i}.png", b"%d" % i) for i in range(start, min(start + 10_000, number))])
    archives.finish()
    data = (tmp_path / "mask.zip").read_bytes()
    assert (b"PK\6\6" in data) == (number >= 65_535)
    with zipfile.ZipFile(tmp_path / "mask.zip") as archive:
        assert archive.namelist() == [f"{i}.png" for i in range(number)]
        assert all(archive.read(f"{i}.png") == b"%d" % i for i in (0, 9_999, 10_000, number - 1))


def test_archives_larger_than_four_gigabytes_can_be_read(tmp_path: Path) -> None:
    """Most of it a hole in the file: as if 5 GB of pictures were there."""
    hole = 5 << 30
    body, directory = ((tmp_path / name).open("w+b") for name in ("body", "directory"))
    with body, directory:
        with archive_piece(body, directory) as archive:
            archive.writestr(zipfile.ZipInfo("first.png"), b"first")
        body.seek(hole)
        with archive_piece(body, directory) as archive:
            archive.writestr(zipfile.ZipInfo("last.png"), b"last")
        end_archive(body, directory, 2)
    with zipfile.ZipFile(tmp_path / "body") as archive:
        assert archive.getinfo("last.png").header_offset == hole
        assert (archive.read("first.png"), archive.read("last.png")) == (b"first", b"last")


def test_archives_have_the_same_bytes_whenever_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, now in (("one", 1.0e9), ("other", 1.5e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        archives, _ = archive_store(tmp_path / name, {"mask": 2, "fg_bg": 1})
        fill(archives, PICTURES)
        archives.finish()
    assert below(tmp_path / "one") == below(tmp_path / "other") != {}


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, OSError])
def test_what_a_failed_part_appended_is_cut_off(tmp_path: Path, stopped: type[BaseException]) -> None:
    first, second = pictures_of(2, 4)
    whole, _ = archive_store(tmp_path / "whole", {"mask": 8, "fg_bg": 8})
    for part in (first, second):
        fill(whole, part)
    whole.finish()

    def export() -> None:
        archives, journal = archive_store(tmp_path / "out", {"mask": 8, "fg_bg": 8})
        with contextlib.closing(journal):
            fill(archives, first)
            journal.open("lines").write(b"first\n")
            journal.end_part()
            journal.open("lines").write(b"second\n")
            with archives.part() as add:
                add(*second[0])
                add(*second[1])
                raise stopped

    with pytest.raises(stopped):
        export()
    output = OutputFolder(tmp_path / "out", tmp_path / "out/elsewhere")
    journal = Journal(output, "tmp/journal")
    assert journal.parts == 1
    archives = ArchiveStore(output, journal, {"mask": 8, "fg_bg": 8})
    fill(archives, second)
    journal.open("lines").write(b"again\n")
    journal.end_part()
    archives.finish()
    assert below(tmp_path / "out") == below(tmp_path / "whole")
    assert journal.path("lines").read_bytes() == b"first\nagain\n"


def test_a_journal_that_has_lost_bytes_is_told(tmp_path: Path) -> None:
    output = output_in(tmp_path)
    journal = Journal(output, "journal")
    journal.open("lines").write(b"1234")
    journal.end_part()
    journal.close()
    journal.path("lines").write_bytes(b"123")
    with pytest.raises(OSError, match="lost bytes"):
        Journal(output, "journal").open("lines")


def test_what_an_earlier_run_left_unfinished_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "tmp/earlier").mkdir(parents=True)
    (tmp_path / "tmp/earlier/0").write_bytes(b"half")
    output_in(tmp_path).write("a/b.txt", b"whole")
    assert below(tmp_path) == {"a/b.txt": b"whole"}
    assert not (tmp_path / "tmp/earlier").exists()


def write_table(table: tables.Table, folder: Path, examples: list[dict[str, Any]]) -> list[str]:
    """Of examples of one split."""
    folder.mkdir()
    path = folder / "train.lines"
    lines = (table.line("train", fields, paths_of(fields)) for fields in examples)
    path.write_text("".join(lines), encoding="utf-8")
    return table.write(output_in(folder), {"train": path})


def test_labels(tmp_path: Path) -> None:
    examples = [example(number) for number in range(5)]
    table = LabelsTable(*LABELS, ("fg_bg", "mask", "bg", "fg", "fg_mask"))
    fields = [fields for fields, _ in examples]
    assert write_table(table, tmp_path / "out", fields) == ["labels.csv"]
    with (tmp_path / "out/labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["example_id"]) for row in rows] == list(range(5))
    assert rows[3] == {
        "example_id": "3",
        "split": "train",
        "fg_bg_path": "train/fg_bg/fg_1/fg_1_bg_0_f1_p1.jpg",
        "mask_path": "train/mask/fg_1/fg_1_bg_0_f1_p1.png",
        "bg_path": "bg/bg_0.png",
        "fg_path": "fg/fg_1.png",
        "fg_mask_path": "fg_mask/fg_1.png",
        **{"bg_id": "0", "bg_name": "0", "bg_class": "river"},
        **{"fg_id": "1", "fg_name": "1", "fg_class": "cat"},
        **{"flipped": "1", "placement": "1"},
        **{"xmin": "3", "ymin": "2", "xmax": "11", "ymax": "9"},
    }
    for row, (_, mask) in zip(rows, examples, strict=True):
        xmin, ymin, xmax, ymax = (int(row[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
        inside = np.zeros_like(mask)
        inside[ymin:ymax, xmin:xmax] = mask[ymin:ymax, xmin:xmax]
        np.testing.assert_array_equal(inside, mask)
        assert mask[[ymin, ymax - 1]].any(axis=1).all()
        assert mask[:, [xmin, xmax - 1]].any(axis=0).all()


def test_coco(tmp_path: Path) -> None:
    examples = [example(number, empty=number == 2) for number in range(5)]
    fields = [fields for fields, _ in examples]
    table = CocoTable(*LABELS, {"description": 'A "test"'})
    assert write_table(table, tmp_path / "out", fields) == ["instances_train.json"]
    content = json.loads((tmp_path / "out/instances_train.json").read_text())
    assert content["info"] == {"description": 'A "test"', "split": "train"}
    assert [(one["id"], one["name"]) for one in content["categories"]] == [(1, "cat"), (2, "dog")]
    coco = COCO(str(tmp_path / "out/instances_train.json"))
    assert sorted(coco.getImgIds()) == list(range(5))
    for number, (_, mask) in enumerate(examples):
        annotations = coco.imgToAnns[number]
        if number == 2:
            assert annotations == []
            continue
        (annotation,) = annotations
        np.testing.assert_array_equal(coco.annToMask(annotation), mask > 0)
        assert annotation["area"] == (mask > 0).sum()
        assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
        assert coco.loadCats(annotation["category_id"])[0]["name"] == ("dog" if number % 2 == 0 else "cat")
        (image,) = coco.loadImgs(number)
        assert image["background_file_name"] == f"bg/bg_{number % 3}.png"
        assert "depth_file_name" not in image


def test_coco_of_empty_images_only(tmp_path: Path) -> None:
    fields, _ = example(0, empty=True)
    write_table(CocoTable(*LABELS, {}), tmp_path / "out", [fields])
    assert json.loads((tmp_path / "out/instances_train.json").read_text())["annotations"] == []


@given(side=st.integers(16, 4096), edges=st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_boxes_come_back_from_single_precision(side: int, edges: list[float]) -> None:
    pixels = [round(edge * side) for edge in edges]
    ymin, xmin, ymax, xmax = (float(np.float32(pixel / side)) for pixel in pixels)
    assert tables.pixel_box([ymin, xmin, ymax, xmax], side) == (pixels[1], pixels[0], pixels[3], pixels[2])
