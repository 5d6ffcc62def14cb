"""What is written when all shards are there: it adds up, it is readable by TFDS, and TFDS's own part comes last."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgbg.documents import make_manifest, make_statistics, write_metadata
from fgbg.errors import RunError
from fgbg.shard_files import DatasetFiles
from fgbg.summary import BuildSummary
from tests.dataset_helpers import SmallDataset


@pytest.fixture(scope="module", params=[16, 8, None], ids=["16-bit depth", "8-bit depth", "no depth"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallDataset, BuildSummary]:
    dataset = SmallDataset(tmp_path_factory.mktemp("dataset"), depth_bits=request.param)
    summary = dataset.write_all()
    write_metadata(summary, dataset.metadata)
    return dataset, summary


@pytest.fixture(scope="module")
def statistics(made: tuple[SmallDataset, BuildSummary]) -> dict[str, Any]:
    dataset, _ = made
    return json.loads(Path(dataset.files.path("statistics.json")).read_text())


def images(dataset: SmallDataset, kind: str) -> np.ndarray:
    """All images of a kind as they were before encoding: [n, H, W, channels]."""
    parts = [getattr(dataset.batch(shard), kind) for shard in range(dataset.layout.num_shards)]
    return np.concatenate(parts).reshape(36, 16, 16, -1)


def test_mean_and_std_are_those_of_all_pixels(
    made: tuple[SmallDataset, BuildSummary], statistics: dict[str, Any]
) -> None:
    dataset, _ = made
    for kind in {"fg_bg", "mask", "depth"} & statistics["kinds"].keys():
        one = 10_000 if kind == "depth" and dataset.depth_bits == 16 else 255
        pixels = images(dataset, kind).astype(float) / one
        told = statistics["kinds"][kind]
        np.testing.assert_allclose(told["mean"], pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(told["std"], pixels.std(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(np.array(told["mean_255"]) / 255, told["mean"])
        assert (told["images"], told["pixels"]) == (36, 36 * 256)


def test_std_of_the_mask_is_that_of_a_coin(statistics: dict[str, Any]) -> None:
    (mean,), (std,) = statistics["kinds"]["mask"]["mean"], statistics["kinds"]["mask"]["std"]
    assert std == pytest.approx(math.sqrt(mean * (1 - mean)), rel=1e-12)


def test_depth_is_told_in_metres(made: tuple[SmallDataset, BuildSummary], statistics: dict[str, Any]) -> None:
    dataset, _ = made
    if dataset.depth_bits is None:
        assert "depth" not in statistics["kinds"]
        return
    depth = images(dataset, "depth").astype(float)
    metres = depth / 1_000 if dataset.depth_bits == 16 else depth / 255 * 10
    told = statistics["kinds"]["depth"]
    assert told["mean_metres"] == pytest.approx(metres.mean())
    assert told["std_metres"] == pytest.approx(metres.std())
    assert (told["minimum_metres"], told["maximum_metres"]) == pytest.approx((metres.min(), metres.max()))


def test_kinds_are_counted(made: tuple[SmallDataset, BuildSummary], statistics: dict[str, Any]) -> None:
    dataset, _ = made
    counts = {kind: told["images"] for kind, told in statistics["kinds"].items()}
    depth = {"depth": 36} if dataset.depth_bits else {}
    assert counts == {"bg": 3, "fg": 2, "fg_mask": 2, "fg_bg": 36, "mask": 36, **depth}
    assert "mean" not in statistics["kinds"]["fg"]


def test_splits_are_told_apart(made: tuple[SmallDataset, BuildSummary], statistics: dict[str, Any]) -> None:
    _, summary = made
    splits = statistics["splits"]
    assert [(name, split["examples"]) for name, split in splits.items()] == [("train", 24), ("test", 12)]
    assert sum(split["bytes"] for split in splits.values()) == statistics["bytes"]
    test = summary["small", "test"].fields["mask"].moments
    assert test is not None
    assert splits["test"]["kinds"]["mask"]["mean"] == [test.mean[0] / 255]


def test_manifest_names_every_file(made: tuple[SmallDataset, BuildSummary]) -> None:
    dataset, _ = made
    manifest = json.loads(Path(dataset.files.path("manifest.json")).read_text())
    assert manifest["skipped"] == [{"path": "bg/cut.jpg", "reason": "is truncated"}]
    assert manifest["fingerprint"] == "f"
    listed = {
        (name, shard["file"]): shard["bytes"]
        for name, splits in manifest["shards"].items()
        for shards in splits.values()
        for shard in shards
    }
    data = Path(dataset.files.data_dir)
    assert listed == {
        (path.parts[-3], path.name): path.stat().st_size for path in data.glob("*/1.0.0/*.tfrecord-*") if path.is_file()
    }


def test_tfds_reads_every_dataset(made: tuple[SmallDataset, BuildSummary]) -> None:
    import tensorflow_datasets as tfds

    dataset, _ = made
    builders = {
        files.name: tfds.builder_from_directory(files.directory)
        for files in (dataset.files, *dataset.companions.values())
    }
    examples = {name: list(tfds.as_numpy(builder.as_dataset(split="all"))) for name, builder in builders.items()}
    assert sorted(example["example_id"] for example in examples["small"]) == list(range(36))
    assert [example["id"] for example in examples["small_background"]] == [0, 1, 2]
    assert [example["id"] for example in examples["small_foreground"]] == [0, 1]
    stored = {int(example["example_id"]): example for example in examples["small"]}
    batch = dataset.batch(0)
    for i, placement in enumerate(batch.placements):
        example = stored[placement.example_id]
        assert np.array_equal(example["fg_bg"], batch.fg_bg[i])
        assert np.array_equal(example["mask"][..., 0], batch.mask[i])
        if batch.depth is not None:
            assert np.array_equal(example["depth"][..., 0], batch.depth[i])


def test_tfds_knows_lengths_and_sizes(made: tuple[SmallDataset, BuildSummary]) -> None:
    import tensorflow_datasets as tfds

    dataset, summary = made
    info = tfds.builder_from_directory(dataset.files.directory).info
    for split in dataset.layout.splits:
        places = [
            place for place in map(dataset.layout.locate, range(dataset.layout.num_shards)) if place.split == split
        ]
        assert info.splits[split.name].shard_lengths == [place.stop - place.start for place in places]
        assert info.splits[split.name].num_bytes == summary["small", split.name].size
    depth = ("mask", "depth") if dataset.depth_bits else "mask"
    assert info.supervised_keys == ("fg_bg", depth)


# The order in which files appear.


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are written through DatasetFiles, in order."""
    names: list[str] = []
    write = DatasetFiles.write

    def record(self: DatasetFiles, name: str, data: bytes) -> None:
        names.append(f"{self.name}/{name}")
        write(self, name, data)

    monkeypatch.setattr(DatasetFiles, "write", record)
    return names


def test_what_makes_it_a_dataset_comes_last(tmp_path: Path, written: list[str]) -> None:
    dataset = SmallDataset(tmp_path)
    assert write_metadata(dataset.write_all(), dataset.metadata) == dataset.files.directory
    assert written[-1] == "small/dataset_info.json"
    for name in ("small_background", "small_foreground"):
        files = [path for path in written if path.startswith(f"{name}/")]
        assert files[-1] == f"{name}/dataset_info.json"


def test_a_lost_shard_leaves_no_dataset(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    summary = dataset.write_all()
    del summary["small", "test"].shards[0]
    with pytest.raises(RunError, match="of 2 shards were not made"):
        write_metadata(summary, dataset.metadata)
    assert not Path(dataset.files.path("dataset_info.json")).exists()


def test_the_same_summary_gives_the_same_bytes(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    summary = dataset.write_all()
    folder = Path(dataset.files.directory)
    contents = []
    for _ in range(2):
        write_metadata(summary, dataset.metadata)
        contents.append({path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert contents[0] == contents[1]


def test_names_that_are_not_ascii_stay_readable(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    metadata = dataset.metadata
    metadata.configuration["inputs"]["backgrounds"][0]["label"] = "Brücke 猫"
    write_metadata(dataset.write_all(), metadata)
    assert "Brücke 猫" in Path(dataset.files.path("manifest.json")).read_text(encoding="utf-8")


def test_statistics_and_manifest_are_what_is_written(made: tuple[SmallDataset, BuildSummary]) -> None:
    dataset, summary = made
    for name, content in (
        ("statistics.json", make_statistics(summary, dataset.metadata)),
        ("manifest.json", make_manifest(summary, dataset.metadata)),
    ):
        assert json.loads(Path(dataset.files.path(name)).read_text()) == json.loads(json.dumps(content))
