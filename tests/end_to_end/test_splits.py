"""Nothing leaks between the splits of datasets that were really built: told by their records and by their pixels."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import NAME, Inputs, build, dataset_folder, read_examples, shard_files

BACKGROUNDS, FOREGROUNDS = 5, 4
EXAMPLES = BACKGROUNDS * FOREGROUNDS * 2

HELD_OUT = {"background": 2, "foreground": 2}


@pytest.fixture(scope="module", params=list(HELD_OUT))
def held_out_by(request: pytest.FixtureRequest) -> str:
    """Split by background or by foreground."""
    return request.param


@pytest.fixture(scope="module")
def data_dir(held_out_by: str, inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lossless, without depth, two of five backgrounds or two of four foregrounds held out."""
    folder = tmp_path_factory.mktemp(held_out_by)
    flags = (f"--image_size={IMAGE_SIZE}", "--placements=1", "--depth_model=none", "--jpeg_quality=png")
    fraction = HELD_OUT[held_out_by] / (BACKGROUNDS if held_out_by == "background" else FOREGROUNDS)
    assert build(folder, inputs, *flags, f"--test_fraction={fraction}", f"--split_by={held_out_by}") == 0
    return folder


@pytest.fixture(scope="module")
def examples(data_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """The records of each split."""
    folder = dataset_folder(data_dir)
    return {split: read_examples(sorted(folder.glob(f"{NAME}-{split}.*"))) for split in ("train", "test")}


def companion(data_dir: Path, kind: str) -> list[dict[str, Any]]:
    return read_examples(shard_files(data_dir, f"{NAME}_{kind}"))


def test_no_held_out_picture_is_on_the_other_side(held_out_by: str, examples: dict[str, list[dict[str, Any]]]) -> None:
    field, other = ("bg", "fg") if held_out_by == "background" else ("fg", "bg")
    train, test = ({example[field] for example in examples[split]} for split in ("train", "test"))
    assert not train & test
    assert len(test) == HELD_OUT[held_out_by]
    assert train | test == set(range(BACKGROUNDS if held_out_by == "background" else FOREGROUNDS))
    # Only what was asked for is held out.
    everything = set(range(FOREGROUNDS if held_out_by == "background" else BACKGROUNDS))
    assert all({example[other] for example in split} == everything for split in examples.values())
    ids = [example["example_id"] for split in examples.values() for example in split]
    assert sorted(ids) == list(range(EXAMPLES))


def test_pixels_say_the_same_as_the_records(data_dir: Path, examples: dict[str, list[dict[str, Any]]]) -> None:
    backgrounds = {row["id"]: row["image"] for row in companion(data_dir, "background")}
    for example in (example for split in examples.values() for example in split):
        shares = {i: (image == example["fg_bg"]).all(axis=-1).mean() for i, image in backgrounds.items()}
        shown = max(shares, key=lambda i: shares[i])
        assert shown == example["bg"]
        # Without doubt: more than half of this picture, and next to nothing of any other, is to be seen.
        assert shares[shown] > 0.5 > 0.1 > max(share for i, share in shares.items() if i != shown)


def test_companions_hold_the_pictures_of_both_sides(data_dir: Path) -> None:
    assert [row["id"] for row in companion(data_dir, "background")] == list(range(BACKGROUNDS))
    assert [row["id"] for row in companion(data_dir, "foreground")] == list(range(FOREGROUNDS))


def test_the_split_is_documented(data_dir: Path, held_out_by: str, examples: dict[str, list[dict[str, Any]]]) -> None:
    folder = dataset_folder(data_dir)
    configuration = json.loads((folder / "manifest.json").read_text())["configuration"]
    assert configuration["split_by"] == held_out_by
    assert configuration["test_fraction"] in (0.4, 0.5)
    sizes = {split: len(rows) for split, rows in examples.items()}
    told = json.loads((folder / "statistics.json").read_text())["splits"]
    assert {name: split["examples"] for name, split in told.items()} == sizes
    info = json.loads((folder / "dataset_info.json").read_text())
    assert {split["name"]: sum(map(int, split["shardLengths"])) for split in info["splits"]} == sizes
    card = (folder / "README.md").read_text()
    assert f"the splits share no {held_out_by}" in card.replace("\n", " ").replace("  ", " ")


def test_manifest_names_what_is_held_out(
    held_out_by: str, data_dir: Path, examples: dict[str, list[dict[str, Any]]]
) -> None:
    manifest = json.loads((dataset_folder(data_dir) / "manifest.json").read_text())
    labels = [one["label"] for one in manifest["inputs"][f"{held_out_by}s"]]
    field = "bg" if held_out_by == "background" else "fg"
    assert manifest["held_out"] == sorted({labels[example[field]] for example in examples["test"]})


def test_a_picture_under_two_names_may_not_be_on_both_sides(
    held_out_by: str, inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copied = Inputs(tmp_path / "backgrounds", tmp_path / "foregrounds")
    shutil.copytree(inputs.backgrounds, copied.backgrounds)
    shutil.copytree(inputs.foregrounds, copied.foregrounds)
    folder = copied.backgrounds if held_out_by == "background" else copied.foregrounds
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        shutil.copy(path, path.with_stem(path.stem + "_again"))
    flags = ("--placements=1", f"--image_size={IMAGE_SIZE}", f"--split_by={held_out_by}")
    # With an odd number held out, at least one is without its twin.
    assert build(tmp_path / "data", copied, *flags, f"--test_fraction={1 / len(list(folder.rglob('*.*')))}") == 2
    err = capfd.readouterr().err
    assert "_again" in err
    assert "are the same picture" in err
    assert not (tmp_path / "data").exists()
    assert build(tmp_path / "data", copied, *flags) == 0
