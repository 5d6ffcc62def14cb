"""docs/format.md names every key, field and column of a real build and its exports, and no other."""

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeline import commands
from tests.end_to_end.helpers import NAME, ROOT, Inputs, build, dataset_folder, read_examples, shard_files

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs/format.md").read_text(encoding="utf-8")
KINDS = ("bg", "fg", "fg_mask", "fg_bg", "mask", "depth")


def rows(heading: str) -> set[str]:
    """What stands in code in the first column of the tables below a heading, up to the next heading of any level."""
    below = re.split(rf"^#+ {re.escape(heading)}$", TEXT, flags=re.MULTILINE)[1]
    below = re.split(r"^#", below, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\|([^|]*)\|", below, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs, small_flags: tuple[str, ...]) -> Path:
    """With depth and two splits."""
    folder = tmp_path_factory.mktemp("data")
    assert build(folder, inputs, *small_flags) == 0
    return folder


def read(data_dir: Path, name: str) -> dict[str, Any]:
    return json.loads((dataset_folder(data_dir) / name).read_text())


def keys_of(values: Iterable[dict[str, Any]]) -> set[str]:
    return {key for value in values for key in value}


def test_records(data_dir: Path) -> None:
    for name, heading in ((NAME, "NAME"), (f"{NAME}_background",) * 2, (f"{NAME}_foreground",) * 2):
        (example, *_) = read_examples(shard_files(data_dir, name))
        # `read_examples` adds the encoding of each image under a name with a space.
        assert rows(heading.replace(NAME, "NAME")) == {key for key in example if " " not in key}


def test_manifest(data_dir: Path) -> None:
    manifest = read(data_dir, "manifest.json")
    assert rows("manifest.json") == manifest.keys()
    assert rows("configuration") == manifest["configuration"].keys()
    assert rows("depth_model") == manifest["depth_model"].keys()
    shard = manifest["shards"][NAME]["train"][0]
    picture = manifest["inputs"]["backgrounds"][0]
    for key in ("backgrounds", "foregrounds", "machine", *picture, *shard):
        assert f"`{key}`" in TEXT.split("## manifest.json")[1].split("###")[0]


def test_statistics(data_dir: Path) -> None:
    statistics = read(data_dir, "statistics.json")
    kinds = statistics["kinds"]
    assert set(kinds) == set(KINDS)
    expected = {*statistics, *statistics["splits"]["train"], *statistics["placements"]}
    expected |= keys_of(kinds.values()) | keys_of(kind["stored"] for kind in kinds.values() if "stored" in kind)
    assert rows("statistics.json") == expected


@pytest.mark.parametrize("kind", ["folder", "coco"])
def test_exports(data_dir: Path, tmp_path: Path, kind: str) -> None:
    assert commands.run(["export", str(dataset_folder(data_dir)), f"--format={kind}", f"--output={tmp_path}/out"]) == 0
    assert rows("export.json") == json.loads((tmp_path / "out/export.json").read_bytes()).keys()
    if kind == "folder":
        with (tmp_path / "out/labels.csv").open() as file:
            assert rows("labels.csv") == set(next(csv.reader(file)))
    else:
        tables = json.loads((tmp_path / "out/instances_train.json").read_text())
        below = TEXT.split("### instances_SPLIT.json")[1].split("###")[0]
        images, annotations = keys_of(tables["images"]), keys_of(tables["annotations"])
        ours = (images | annotations | tables["info"].keys()) - {
            *("file_name", "width", "height", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation"),
            *("description", "version"),
        }
        assert {key for key in ours if f"`{key}`" not in below} == set()
