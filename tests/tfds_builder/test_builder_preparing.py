"""Preparing the datasets with TFDS: same bytes as the command, resuming, errors, reading."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from fgbg.errors import InputError
from pipeline.build import resume
from tests.end_to_end.helpers import ROOT, Inputs, build, dataset_folder, stop_when
from tests.fgbg.depth_models.helpers import write_random_weights
from tests.tfds_builder.builder_helpers import (
    BACKGROUNDS,
    EXAMPLES,
    FLAGS,
    FOREGROUNDS,
    OPTIONS,
    draw_manual_dir,
    ids,
    modification_times,
    prepare,
    run_python,
    shards,
    small_config,
    tfds_build,
)
from tfds_builder import FgBgDepthConfig

NAMES = ("fg_bg_depth", "fg_bg_depth_background", "fg_bg_depth_foreground")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Input pictures; tests must not change them."""
    return draw_manual_dir(tmp_path_factory.mktemp("manual"))


@pytest.fixture(scope="module")
def manual_dir(inputs: Inputs) -> Path:
    return inputs.backgrounds.parent


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs) -> Path:
    """A dataset by `python -m pipeline build`; tests must not change it."""
    data_dir = tmp_path_factory.mktemp("by_command")
    assert build(data_dir, inputs, *FLAGS) == 0
    return data_dir


@pytest.fixture(scope="module")
def by_builder(tmp_path_factory: pytest.TempPathFactory, manual_dir: Path) -> tfds.core.DatasetBuilder:
    """A prepared builder; tests must not change its dataset."""
    return prepare(tmp_path_factory.mktemp("by_builder"), small_config(), manual_dir)


def test_a_dataset_among_its_inputs_is_refused(manual_dir: Path, tmp_path: Path) -> None:
    photos = shutil.copytree(manual_dir / "backgrounds", tmp_path / "photos")
    with pytest.raises(InputError, match=r"--data_dir: the dataset's folder .* and --backgrounds .* lie in each other"):
        prepare(photos / "data", small_config(backgrounds=str(photos)), manual_dir)
    assert not (photos / "data/fg_bg_depth").exists()


def test_shards_equal_those_of_the_command(by_builder: tfds.core.DatasetBuilder, by_command: Path) -> None:
    for name in NAMES:
        expected = shards(dataset_folder(by_command, name))
        assert expected
        assert shards(by_builder.data_dir_root / name / "small/1.0.0") == expected
    manifest, expected_manifest = (
        json.loads((folder / "manifest.json").read_bytes())
        for folder in (by_builder.data_path, dataset_folder(by_command))
    )
    assert manifest == expected_manifest


def test_shards_with_depth_equal_those_of_the_command(inputs: Inputs, manual_dir: Path, tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path / "tiny.h5", kind="metric", input_size=(64, 64))
    builder = prepare(
        tmp_path / "builder", small_config(depth_model=str(weights), depth_bits=8, placements=1), manual_dir
    )
    assert build(tmp_path, inputs, *FLAGS, f"--depth_model={weights}", "--depth_bits=8", "--placements=1") == 0
    assert shards(builder.data_path) == shards(dataset_folder(tmp_path))
    _, (mask, depth) = next(iter(builder.as_dataset(split="train", as_supervised=True)))
    assert (mask.shape, depth.shape, depth.dtype.name) == ((48, 48, 1), (48, 48, 1), "uint8")


def test_only_the_datasets_remain_in_the_folder(by_builder: tfds.core.DatasetBuilder) -> None:
    data_dir = Path(by_builder.data_dir_root)
    assert {str(path.relative_to(data_dir)) for path in data_dir.rglob("*") if path.is_dir()} == {
        "downloads",
        "downloads/extracted",
        *(name for name in NAMES),
        *(f"{name}/small" for name in NAMES),
        *(f"{name}/small/1.0.0" for name in NAMES),
        "fg_bg_depth/small/1.0.0/images",
    }


def test_info_before_and_after_preparing(manual_dir: Path, tmp_path: Path) -> None:
    builder = tfds.builder("fg_bg_depth", data_dir=tmp_path, config=small_config())
    before = builder.info
    assert before.splits == {}
    assert before.features["bg"].num_classes is None
    assert before.supervised_keys == ("fg_bg", "mask")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    after = builder.info
    assert after.full_name == "fg_bg_depth/small/1.0.0"
    assert after.splits["train"].num_examples == EXAMPLES
    assert after.features["bg"].names[:3] == ["river/b0", "river/b1", "street/b2"]
    assert after.features.get_tensor_info() == before.features.get_tensor_info()
    assert {name: str(field) for name, field in after.features.items()} == {
        name: str(field) for name, field in tfds.builder_from_directory(builder.data_dir).info.features.items()
    }


def test_preparing_one_dataset_prepares_its_companions(manual_dir: Path, tmp_path: Path) -> None:
    backgrounds = tfds.load(
        "fg_bg_depth_background",
        data_dir=tmp_path,
        split="train",
        builder_kwargs={"config": small_config()},
        download_and_prepare_kwargs={"download_config": tfds.download.DownloadConfig(manual_dir=manual_dir)},
    )
    assert len(list(backgrounds)) == BACKGROUNDS
    before = modification_times(tmp_path)
    for name, length in (("fg_bg_depth_foreground", FOREGROUNDS), ("fg_bg_depth", EXAMPLES)):
        assert len(list(tfds.load(f"{name}/small", data_dir=tmp_path, split="train"))) == length
    assert modification_times(tmp_path) == before


def test_most_pictures_uses_the_first_pictures(manual_dir: Path, tmp_path: Path) -> None:
    info = prepare(tmp_path, small_config(most_pictures=2), manual_dir).info
    assert info.features["bg"].names == ["river/b0", "river/b1"]
    assert info.features["fg"].names == ["cat/f0", "cat/f1"]
    assert info.splits["train"].num_examples == 2 * 2 * 2 * OPTIONS["placements"]


def test_config_with_folders_of_pictures(inputs: Inputs, by_command: Path, tmp_path: Path) -> None:
    folders = {"backgrounds": str(inputs.backgrounds), "foregrounds": str(inputs.foregrounds)}
    builder = prepare(tmp_path, small_config(**folders))
    assert shards(builder.data_path) == shards(dataset_folder(by_command))


def test_samples_are_used_without_a_manual_dir(manual_dir: Path, tmp_path: Path) -> None:
    config = small_config(samples=True, most_pictures=1, placements=1)
    assert prepare(tmp_path / "samples", config).info.features["bg"].names == ["city/bridge-at-night"]
    shutil.copytree(manual_dir, tmp_path / "own/downloads/manual")
    assert prepare(tmp_path / "own", config).info.features["bg"].names == ["river/b0"]


def test_array_record(manual_dir: Path, tmp_path: Path) -> None:
    builder = tfds.builder("fg_bg_depth", data_dir=tmp_path, config=small_config(), file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    source = builder.as_data_source(split="train")
    assert sorted(source[i]["example_id"] for i in range(len(source))) == list(range(EXAMPLES))


def test_overwriting_with_other_pictures_and_another_format(manual_dir: Path, tmp_path: Path) -> None:
    pictures = Path(shutil.copytree(manual_dir, tmp_path / "pictures"))
    builder = prepare(tmp_path / "data", small_config(), pictures)
    (pictures / "backgrounds/river/b0.png").rename(pictures / "backgrounds/river/a0.png")
    download_config = tfds.download.DownloadConfig(
        manual_dir=pictures, download_mode=tfds.download.GenerateMode.REUSE_CACHE_IF_EXISTS
    )
    builder = tfds.builder("fg_bg_depth", data_dir=tmp_path / "data", config=small_config())
    builder.download_and_prepare(download_config=download_config, file_format="array_record")
    assert builder.info.features["bg"].names[0] == "river/a0"
    assert len(builder.as_data_source(split="train")) == EXAMPLES
    assert not list(builder.data_path.glob("*.tfrecord-*"))


def test_prepared_dataset_is_not_changed(manual_dir: Path, by_builder: tfds.core.DatasetBuilder) -> None:
    before = modification_times(by_builder.data_dir_root)
    builder = prepare(by_builder.data_dir_root, small_config(seed=7), manual_dir)
    assert ids(builder.as_dataset(split="train")) == ids(by_builder.as_dataset(split="train"))
    assert modification_times(by_builder.data_dir_root) == before


def test_tfds_load_reads_a_dataset_of_the_command(by_command: Path) -> None:
    before = modification_times(by_command)
    dataset, info = tfds.load("fg_bg_depth", data_dir=by_command, split="train", with_info=True)
    assert sorted(ids(dataset)) == list(range(EXAMPLES))
    assert info.features["fg_bg"].shape == (48, 48, 3)
    assert info.features["fg"].names == ["cat/f0", "cat/f1", "dog/f2", "dog/f3"]
    assert info.full_name == "fg_bg_depth/1.0.0"
    assert sorted(ids(tfds.load("fg_bg_depth/full", data_dir=by_command, split="train"))) == list(range(EXAMPLES))
    assert len(list(tfds.load("fg_bg_depth_background", data_dir=by_command, split="train"))) == BACKGROUNDS
    assert modification_times(by_command) == before


def test_tfds_load_reads_the_newest_version_of_the_command(inputs: Inputs, tmp_path: Path) -> None:
    for version in ("0.9.0", "2.0.0"):
        assert build(tmp_path, inputs, *FLAGS, "--placements=1", f"--version={version}") == 0
    before = modification_times(tmp_path)
    for name, version in (("fg_bg_depth", "2.0.0"), ("fg_bg_depth:0.9.0", "0.9.0")):
        dataset, info = tfds.load(name, data_dir=tmp_path, split="train", with_info=True)
        assert str(info.version) == version
        assert len(ids(dataset)) == EXAMPLES / OPTIONS["placements"]
    assert modification_times(tmp_path) == before


def test_unfinished_dataset_of_the_command_is_not_overwritten(
    inputs: Inputs, manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(resume, "close_dataset", lambda _: None)
        assert build(tmp_path, inputs, *FLAGS) == 0
    (dataset_folder(tmp_path) / "dataset_info.json").unlink()
    before = modification_times(tmp_path)
    with pytest.raises(InputError, match="image_size: stored 48, requested 224"):
        prepare(tmp_path, None, manual_dir)
    assert modification_times(tmp_path) == before


RESUMABLE: dict[str, Any] = {"placements": 6, "examples_per_shard": 12, "jpeg_quality": "png"}

PREPARE = """
import json, sys
import tensorflow_datasets as tfds
from tfds_builder import FgBgDepthConfig

data_dir, manual_dir, options = sys.argv[1:]
tfds.load(
    "fg_bg_depth",
    data_dir=data_dir,
    builder_kwargs={"config": FgBgDepthConfig(name="small", **json.loads(options))},
    download_and_prepare_kwargs={"download_config": tfds.download.DownloadConfig(manual_dir=manual_dir)},
)
"""


@pytest.mark.slow
def test_killed_build_is_resumed(manual_dir: Path, tmp_path: Path) -> None:
    uninterrupted = prepare(tmp_path / "uninterrupted", small_config(**RESUMABLE), manual_dir)
    expected = shards(uninterrupted.data_path)
    assert len(expected) == 20

    data_dir = tmp_path / "killed"
    folder = data_dir / "fg_bg_depth/small/1.0.0"
    command = [sys.executable, "-c", PREPARE, str(data_dir), str(manual_dir), json.dumps(OPTIONS | RESUMABLE)]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stop_when(process, signal.SIGKILL, lambda: len(list(folder.glob("*-of-*"))) >= 2)
    assert process.returncode == -signal.SIGKILL
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*-of-*")}
    assert 2 <= len(kept) < 20
    assert not (folder / "dataset_info.json").exists()

    resumed = prepare(data_dir, small_config(**RESUMABLE), manual_dir)
    assert shards(resumed.data_path) == expected
    assert modification_times(folder).items() >= kept.items()
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]
    assert len(ids(resumed.as_dataset(split="train"))) == 240


def test_tfds_show_examples_and_as_dataframe(by_builder: tfds.core.DatasetBuilder) -> None:
    dataset, info = by_builder.as_dataset(split="train"), by_builder.info
    mpl.use("agg")
    figure = tfds.show_examples(dataset, info, rows=2, cols=2, image_key="fg_bg")
    (image,) = figure.axes[0].images
    expected = next(iter(tfds.as_numpy(dataset)))["fg_bg"]
    assert len(figure.axes) == 4
    np.testing.assert_array_equal(image.get_array(), expected)

    frame = tfds.as_dataframe(dataset.take(3), info)
    assert list(frame["example_id"]) == ids(dataset.take(3))
    # Three rows with composite, mask and box.
    assert frame._repr_html_().count("<img") == 3 * 3
    assert "river/b0" in tfds.as_dataframe(dataset, info)._repr_html_()


LOAD_WITHOUT_TFDS_BUILDER = """
import json, sys
import tensorflow_datasets as tfds

info = tfds.builder("fg_bg_depth/mine", data_dir=sys.argv[1]).info
examples = tfds.load("fg_bg_depth/mine", data_dir=sys.argv[1], split="train")
ids = [int(example["example_id"]) for example in tfds.as_numpy(examples)]
print(json.dumps([sorted(ids), info.full_name, "tfds_builder" in sys.modules]))
"""


@pytest.mark.slow
def test_tfds_build(manual_dir: Path, by_command: Path, tmp_path: Path) -> None:
    out = tfds_build(
        "fg_bg_depth",
        "--imports=tfds_builder",
        "--config=" + json.dumps({"name": "mine"} | OPTIONS),
        "--data_dir=data",
        f"--manual_dir={manual_dir}",
        "--beam_pipeline_options=direct_running_mode=multi_threading,direct_num_workers=2",
        cwd=tmp_path,
    )
    assert f"num_examples={EXAMPLES}" in out
    assert shards(tmp_path / "data/fg_bg_depth/mine/1.0.0") == shards(dataset_folder(by_command))
    expected = [list(range(EXAMPLES)), "fg_bg_depth/mine/1.0.0", False]
    assert run_python(LOAD_WITHOUT_TFDS_BUILDER, tmp_path / "data", cwd=tmp_path) == expected


@pytest.mark.slow
def test_tfds_build_in_the_folder_of_a_builder(manual_dir: Path, by_command: Path, tmp_path: Path) -> None:
    tfds_build(
        "--config=" + json.dumps({"name": "mine"} | OPTIONS),
        f"--data_dir={tmp_path}",
        f"--manual_dir={manual_dir}",
        cwd=ROOT / "tfds_builder/fg_bg_depth",
    )
    assert shards(tmp_path / "fg_bg_depth/mine/1.0.0") == shards(dataset_folder(by_command))


@pytest.mark.slow
def test_tfds_build_of_the_tiny_config_needs_no_pictures(tmp_path: Path) -> None:
    tfds_build("fg_bg_depth/tiny", "--imports=tfds_builder", f"--data_dir={tmp_path}", cwd=tmp_path)
    info = tfds.builder("fg_bg_depth/tiny", data_dir=tmp_path).info
    assert info.splits["train"].num_examples == 4 * 4 * 2 * 20
    assert info.features["depth"].np_dtype == np.uint16


class TestErrors:
    """Errors are one sentence, and nothing is written."""

    @pytest.fixture(autouse=True)
    def _nothing_written(self, tmp_path: Path) -> Iterator[None]:
        yield
        assert not list(tmp_path.rglob("fg_bg_depth*"))

    @pytest.mark.parametrize("config", [small_config(), small_config(samples=True)])
    def test_manual_dir_does_not_exist(self, config: FgBgDepthConfig, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match=r"nowhere does not exist(.|\n)*`backgrounds`.*`foregrounds`"):
            prepare(tmp_path, config, tmp_path / "nowhere")

    def test_default_manual_dir_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match=rf"{tmp_path}/downloads/manual does not exist(.|\n)*`tiny`"):
            prepare(tmp_path, small_config())

    def test_manual_dir_without_foregrounds(self, inputs: Inputs, tmp_path: Path) -> None:
        shutil.copytree(inputs.backgrounds, tmp_path / "manual/backgrounds")
        with pytest.raises(InputError, match=rf"{tmp_path}/manual has no folder foregrounds; create it"):
            prepare(tmp_path, small_config(), tmp_path / "manual")

    def test_empty_folder(self, inputs: Inputs, tmp_path: Path) -> None:
        (tmp_path / "manual/backgrounds").mkdir(parents=True)
        shutil.copytree(inputs.foregrounds, tmp_path / "manual/foregrounds")
        with pytest.raises(InputError, match=rf"{tmp_path}/manual/backgrounds holds no pictures"):
            prepare(tmp_path, small_config(), tmp_path / "manual")

    def test_bad_picture(self, manual_dir: Path, tmp_path: Path) -> None:
        shutil.copytree(manual_dir, tmp_path / "manual")
        Image.new("RGB", (30, 30)).save(tmp_path / "manual/foregrounds/dog/opaque.png")
        with pytest.raises(InputError, match=r"dog/opaque.png has no alpha channel"):
            prepare(tmp_path, small_config(), tmp_path / "manual")

    @pytest.mark.parametrize(
        ("option", "value"),
        [("max_examples_per_split", 1), ("num_shards", 3), ("min_shard_size", 1), ("max_shard_size", 1 << 20)],
    )
    def test_unsupported_option(self, option: str, value: Any, manual_dir: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=rf"^{option} is not supported; .*FgBgDepthConfig"):
            prepare(tmp_path, small_config(), manual_dir, **{option: value})

    def test_unknown_file_format(self, manual_dir: Path, tmp_path: Path) -> None:
        builder = tfds.builder("fg_bg_depth", data_dir=tmp_path, config=small_config(), file_format="parquet")
        with pytest.raises(InputError, match=r"file_format: invalid choice: 'parquet'"):
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))

    def test_invalid_config(self, tmp_path: Path) -> None:
        with pytest.raises(Exception, match=r"argument --placements: 0 must be an integer >= 1"):
            tfds.builder("fg_bg_depth", data_dir=tmp_path, config=small_config(placements=0))
