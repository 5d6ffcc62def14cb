"""Datasets that somebody made to do harm: every command refuses them in a sentence and writes nothing elsewhere."""

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgbg.records import _masked_crc32c
from pipeline import commands
from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import NAME, ONE_WORKER, ROOT, Inputs, content, our_lines, shard_files
from tests.end_to_end.test_verify import Copy, made

Change = Callable[[Copy], None]

COMMANDS = ("export zip", "export folder", "export coco", "verify", "report", "report --recompute")


@pytest.fixture(scope="module")
def honest(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Not to be changed."""
    return made(tmp_path_factory.mktemp("honest"), inputs)


@pytest.fixture(scope="module")
def honest_array_record(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return made(tmp_path_factory.mktemp("honest_array_record"), inputs, "--file_format=array_record")


@pytest.fixture
def copy(honest: Copy, tmp_path: Path) -> Copy:
    return Copy(Path(shutil.copytree(honest.data_dir, tmp_path / "data")))


@pytest.fixture
def array_record(honest_array_record: Copy, tmp_path: Path) -> Copy:
    return Copy(Path(shutil.copytree(honest_array_record.data_dir, tmp_path / "data")))


def run(command: str, copy: Copy) -> int:
    folder, output = str(copy.folder()), copy.data_dir.parent / "out"
    name, *more = command.split()
    if name == "export":
        return commands.run(["export", folder, f"--format={more[0]}", f"--output={output}"])
    return commands.run([name, folder, *more, *(ONE_WORKER if name == "verify" or more else ())])


def refused(command: str, copy: Copy, capfd: pytest.CaptureFixture[str], *, words: str = "") -> str:
    """The one sentence with which a command refuses a dataset; nothing beside its output has changed."""
    everything = copy.data_dir.parent
    shutil.rmtree(everything / "out", ignore_errors=True)
    before = outside(everything)
    capfd.readouterr()
    assert run(command, copy) in (1, 2)
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    (line,) = our_lines(err)
    assert len(line) < 1500, line
    assert line.isprintable()
    assert words in line
    assert outside(everything) == before
    return line


def outside(folder: Path) -> dict[str, bytes]:
    """The plain files, all but what an export writes: pipes and devices cannot be read to their ends."""
    below = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    return {name: path.read_bytes() for name, path in below.items() if not name.startswith("out/") and is_plain(path)}


def is_plain(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a link to itself
        return False


def edit(*keys: str | int, value: Any) -> Change:
    """Set one entry of the manifest."""

    def change(copy: Copy) -> None:
        manifest = copy.json("manifest.json")
        entry = manifest
        for key in keys[:-1]:
            entry = entry[key]
        entry[keys[-1]] = value
        copy.write_json("manifest.json", manifest)

    return change


def rename_split(name: str) -> Change:
    def change(copy: Copy) -> None:
        manifest = copy.json("manifest.json")
        splits = manifest["shards"][NAME]
        splits[name] = splits.pop("test")
        for shard in splits[name]:
            old = copy.folder() / shard["file"]
            shard["file"] = shard["file"].replace("-test.", f"-{name}.")
            if "\0" not in name and len(name) < 200:
                new = Path(os.path.normpath(copy.folder() / shard["file"]))
                new.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(old, new)
        copy.write_json("manifest.json", manifest)

    return change


NAMES = {
    "above": "../pwned",
    "absolute": "/pwned",
    "long": "x" * 5000,
    "NUL": "te\0st",
    "escape": "te\x1b[2Jst",
    "line feed": "te\nst",
    "upper case": "TEST",
    "decomposed": "te\u0301st",
    "reserved": "CON",
    "empty": "",
    "dot": ".",
    "backslash": "..\\pwned",
}
SHARD = ("shards", NAME, "train", 0)
ENTRIES: dict[str, Change] = {
    **{f"split {name}": rename_split(text) for name, text in NAMES.items()},
    **{f"file {name}": edit(*SHARD, "file", value=text) for name, text in NAMES.items()},
    **{f"name {name}": edit("configuration", "name", value=text) for name, text in NAMES.items()},
    **{f"version {name}": edit("configuration", "version", value=text) for name, text in NAMES.items()},
    **{
        f"label {name}": edit("inputs", "foregrounds", 0, "label", value=text)
        for name, text in NAMES.items()
        if name in ("above", "absolute", "long", "NUL", "escape", "line feed", "empty", "dot")
    },
    "class above": edit("inputs", "backgrounds", 0, "class", value="../../x"),
    "label twice": edit("inputs", "backgrounds", 0, "label", value="river/b1"),
    "other dataset": edit("shards", "other", value={"train": []}),
    "Arabic version": edit("configuration", "version", value="١.٠.٠"),
    "image_size": edit("configuration", "image_size", value=10**9),
    "image_size text": edit("configuration", "image_size", value="48"),
    "placements": edit("configuration", "placements", value=10**18),
    "many placements": edit("configuration", "placements", value=10**9),
    "examples_per_shard": edit("configuration", "examples_per_shard", value=10**18),
    "one example in a shard": edit("configuration", "examples_per_shard", value=1),
    "seed": edit("configuration", "seed", value=-1),
    "seed true": edit("configuration", "seed", value=True),
    "seed of 4,000 digits": edit("configuration", "seed", value=10**4000),
    "placed_sides": edit("configuration", "placed_sides", value=[10, 10**12]),
    "examples": edit(*SHARD, "examples", value=10**18),
    "examples in the file": edit(*SHARD, "examples", value=10**6),
    "bytes": edit(*SHARD, "bytes", value=10**30),
    "no examples": edit(*SHARD, "examples", value=0),
    "no shards": edit("shards", NAME, "train", value=[]),
    "no split": edit("shards", NAME, value={}),
    "no pictures": edit("inputs", "backgrounds", value=[]),
    "depth": edit("configuration", "depth_bits", value=16),
    "null": edit("configuration", value=None),
}


@pytest.mark.parametrize("what", ENTRIES)
def test_manifest_entries(what: str, copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    ENTRIES[what](copy)
    for command in COMMANDS:
        refused(command, copy, capfd)
    assert not (copy.data_dir.parent / "out").exists()


TEXTS = {
    "nested lists": b"[" * 1_000_000,
    "nested objects": b'{"a":' * 1_000_000,
    "deep enough to be parsed": b"[" * 500 + b"]" * 500,
    "brackets": b"[" + b"[]," * 500_000 + b"[]]",
    "NaN": b'{"configuration": NaN}',
    "infinite": b'{"configuration": 1e999}',
    "digits": b'{"configuration": ' + b"1" * 10_000 + b"}",
    "twins": b'{"configuration": {}, "configuration": {}}',
    "half a character": b'{"configuration": "\\ud800"}',
    "no UTF-8": b'{"configuration": "\xff"}',
    "nothing": b"",
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("what", TEXTS)
def test_manifests_that_are_none(what: str, copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    (copy.folder() / "manifest.json").write_bytes(TEXTS[what])
    for command in COMMANDS:
        refused(command, copy, capfd, words="manifest.json")


@pytest.mark.parametrize("name", ["manifest.json", "statistics.json"])
def test_documents_of_a_gigabyte_are_not_read(name: str, copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    os.truncate(copy.folder() / name, 1 << 30)
    for command in ("export zip", "report"):
        capfd.readouterr()
        assert run(command, copy) == 2
        (line,) = our_lines(capfd.readouterr().err)
        assert "1,073,741,824 bytes" in line


@pytest.mark.parametrize("what", TEXTS)
def test_statistics_that_are_none(what: str, copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    (copy.folder() / "statistics.json").write_bytes(TEXTS[what])
    for command in ("export zip", "report"):
        refused(command, copy, capfd, words="statistics.json is damaged")


def of_record(name: str, value: Any) -> Change:
    return lambda copy: copy.change_field(copy.shard(0), 0, name, value)


def png_claiming(width: int, height: int, colour: int) -> bytes:
    """A PNG of some hundred bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


RECORDS: dict[str, tuple[str, Change]] = {
    "flipped in bytes": ("flipped", of_record("flipped", b"/../../pwned")),
    "flipped twice": ("flipped", of_record("flipped", 2)),
    "bg": ("bg", of_record("bg", 10**12)),
    "fg": ("fg", of_record("fg", -1)),
    "placement": ("placement", of_record("placement", 10**12)),
    "example_id": ("example_id", of_record("example_id", -5)),
    "class": ("bg_class", of_record("bg_class", 7)),
    "box": ("bbox", of_record("bbox", (0.5, float("nan"), 1.0, 1.0))),
    "long box": ("bbox", of_record("bbox", (0.0,) * 1000)),
    "mask in numbers": ("mask", of_record("mask", 3)),
    "large mask": ("mask", of_record("mask", png_claiming(60_000, 60_000, 0))),
    "large composite": ("fg_bg", of_record("fg_bg", png_claiming(60_000, 60_000, 2))),
    "script": ("fg_bg", of_record("fg_bg", b"<script>")),
    "more": ("pwn\\x1b[2Jed", of_record("pwn\x1b[2Jed", 1)),
}


@pytest.mark.parametrize("what", RECORDS)
@pytest.mark.parametrize("command", COMMANDS[:4])
def test_records(what: str, command: str, copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    field, change = RECORDS[what]
    change(copy)
    shard = copy.shard(0).name
    line = refused(command, copy, capfd, words=f"{shard}, record 0")
    assert field in line or what in ("bg", "fg", "placement", "flipped twice")


def large_background(copy: Copy) -> None:
    copy.change_field(copy.shard(0, f"{NAME}_background"), 0, "image", png_claiming(60_000, 60_000, 2))


def large_foreground(copy: Copy) -> None:
    copy.change_field(copy.shard(0, f"{NAME}_foreground"), 1, "image", png_claiming(60_000, 60_000, 6))


def exchanged_ids(copy: Copy) -> None:
    copy.change_field(copy.shard(0, f"{NAME}_foreground"), 1, "id", 0)


@pytest.mark.parametrize("change", [large_background, large_foreground, exchanged_ids])
@pytest.mark.parametrize("command", ["export folder", "verify", "report"])
def test_companions(change: Change, command: str, copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    change(copy)
    refused(command, copy, capfd)


def grow(path: Path, head: bytes) -> None:
    path.write_bytes(head + path.read_bytes()[len(head) :])


def absurd_length(copy: Copy) -> None:
    length = struct.pack("<Q", 1 << 60)
    grow(copy.shard(0), length + struct.pack("<I", _masked_crc32c(length)))
    copy.fix_manifest()


def replaced(put: Callable[[Path], None]) -> Change:
    def change(copy: Copy) -> None:
        path = copy.shard(0)
        path.unlink()
        put(path)

    return change


FILES: dict[str, Change] = {
    "absurd length": absurd_length,
    "pipe": replaced(os.mkfifo),
    "folder": replaced(Path.mkdir),
    "dangling link": replaced(lambda path: path.symlink_to("/nowhere/at/all")),
    "link to itself": replaced(lambda path: path.symlink_to(path.name)),
    "endless": replaced(lambda path: path.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("command", COMMANDS[:4])
def test_shard_files(what: str, command: str, copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    name = copy.shard(0).name
    FILES[what](copy)
    assert name in refused(command, copy, capfd)


@pytest.mark.parametrize("command", ["export zip", "verify"])
@pytest.mark.parametrize("start", [0, 100, 5000])
def test_array_record_garbage(command: str, start: int, array_record: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    path = array_record.shard(0)
    data = path.read_bytes()
    path.write_bytes(data[:start] + b"\xff" * (len(data) - start))
    array_record.fix_manifest()
    assert path.name in refused(command, array_record, capfd)


@pytest.mark.parametrize("name", ["images", ".build", ".build/tmp"])
def test_report_writes_through_no_link(name: str, copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    elsewhere = copy.data_dir.parent / "elsewhere"
    (elsewhere / "tmp").mkdir(parents=True)
    (elsewhere / "tmp/precious").write_text("precious")
    link = copy.folder() / name
    shutil.rmtree(link, ignore_errors=True)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    refused("report", copy, capfd, words="remove the link")
    assert content(elsewhere) == {"tmp/precious": b"precious"}


def test_a_file_that_is_a_link_is_replaced(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (copy.folder() / "README.md").unlink()
    (copy.folder() / "README.md").symlink_to(tmp_path / "elsewhere")
    assert run("report", copy) == 0
    assert (tmp_path / "elsewhere").read_text() == "precious"
    assert not (copy.folder() / "README.md").is_symlink()


def test_shards_may_be_links_to_files(copy: Copy, tmp_path: Path) -> None:
    """As programs that keep versions of data leave them."""
    for path in shard_files(copy.data_dir):
        kept = tmp_path / path.name
        path.rename(kept)
        path.symlink_to(kept)
    for command in COMMANDS[:5]:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert run(command, copy) == 0


@pytest.mark.parametrize("name", ["train", "train/fg_bg", "bg", ".export", ".export/tmp", ".export/journal"])
def test_export_writes_through_no_link(name: str, copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    elsewhere, output = copy.data_dir.parent / "elsewhere", copy.data_dir.parent / "out"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("precious")
    # Stopped after its beginning, so that the folder is one of this export.
    assert run("export folder", copy) == 0
    (output / ".export").mkdir(exist_ok=True)
    finished = json.loads((output / "export.json").read_text())
    (output / ".export/configuration.json").write_text(json.dumps(finished))
    (output / "export.json").unlink()
    shutil.rmtree(output / name, ignore_errors=True)
    (output / name).symlink_to(elsewhere)
    capfd.readouterr()
    assert run("export folder", copy) == 2
    (line,) = our_lines(capfd.readouterr().err)
    assert "remove the link" in line
    assert content(elsewhere) == {"precious": b"precious"}


@pytest.mark.parametrize("state", ["{", "[]", '{"parts": -1, "sizes": {}}', '{"parts": 1, "sizes": {"a": "b"}}'])
def test_a_damaged_journal(state: str, copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    journal = copy.data_dir.parent / "out/.export/journal"
    journal.mkdir(parents=True)
    (journal / "state.json").write_text(state)
    capfd.readouterr()
    assert run("export zip", copy) == 2
    (line,) = our_lines(capfd.readouterr().err)
    assert "contains files that fgbg did not write" in line


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    """In a process of its own, whose memory is known."""
    code = f"""
import resource, struct
import numpy as np, tensorflow as tf
from pathlib import Path
from tests.end_to_end.test_hostile import png_claiming
from fgbg.checked_json import parse_json
from fgbg.stored_pictures import DecodeError, PictureForm
from fgbg.records import _masked_crc32c, read_records
list(tf.data.TFRecordDataset([]))
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = used()
def refused(call, *errors):
    try:
        call()
    except errors:
        return
    raise AssertionError(call)
picture = png_claiming(60_000, 60_000, 0)
refused(lambda: PictureForm("PNG", np.uint8, ({IMAGE_SIZE}, {IMAGE_SIZE})).decode(picture), DecodeError)
refused(lambda: PictureForm("PNG", np.uint8, (0, 0), 1000).decode(picture), DecodeError)
refused(lambda: parse_json(b"[" * 20_000_000), ValueError)
refused(lambda: parse_json(b"[" + b"[]," * 7_000_000 + b"[]]"), ValueError)
length = struct.pack("<Q", 1 << 60)
path = Path({str(tmp_path / "shard")!r})
path.write_bytes(length + struct.pack("<I", _masked_crc32c(length)) + bytes(100))
refused(lambda: list(read_records(path, "tfrecord")), OSError)
print(used() - before)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 300_000
