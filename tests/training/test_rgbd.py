"""Reading RGB-D data in the layout of NYU Depth V2, and training on it."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fgbg.depth_models.model import load_depth_model
from training.rgbd import batch, find_pairs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pairs: 8-bit depth, 16-bit depth, and partly unknown depth."""
    root = tmp_path / "nyu"
    kitchen = root / "data" / "nyu2_train" / "kitchen"
    kitchen.mkdir(parents=True)
    depths: list[npt.NDArray[Any]] = [
        np.full((48, 64), 51, np.uint8),
        np.full((48, 64), 2500, np.uint16),
        np.full((48, 64), 255, np.uint8),
    ]
    depths[2][:, :32] = 0
    for index, depth in enumerate(depths):
        Image.fromarray(np.full((48, 64, 3), (250, 60 * index, 0), np.uint8)).save(kitchen / f"{index}.png")
        Image.fromarray(depth).save(kitchen / f"{index}_depth.png")
    rows = [f"data/nyu2_train/kitchen/{k}.png,data/nyu2_train/kitchen/{k}_depth.png\n" for k in range(3)]
    (root / "data" / "nyu2_train.csv").write_text("".join(rows))
    return root


def test_depth_pictures_are_converted_to_metres(folder: Path) -> None:
    pairs = find_pairs(folder)
    assert len(pairs.names) == 3
    for index, metres in enumerate((2.0, 2.5, 10.0)):
        picture, depth = pairs.read(index)
        assert picture.shape == (48, 64, 3)
        np.testing.assert_allclose(depth, metres)


def test_zip_file_gives_the_same_batches_as_the_folder(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "nyu.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in folder.rglob("*.*"):
            opened.write(path, path.relative_to(folder).as_posix())
    for step in range(3):
        for one, other in zip(
            batch(find_pairs(folder), step, 2, (64, 64), 0),
            batch(find_pairs(archive), step, 2, (64, 64), 0),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


def test_batch(folder: Path) -> None:
    images, targets = batch(find_pairs(folder), 0, 3, (64, 32), 0)
    assert images.shape == (3, 32, 64, 3)
    assert images.dtype == np.uint8
    assert sorted(targets[:, 0, 0].tolist()) == pytest.approx([1, 4, 5])


def test_missing_files_are_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"0 files named other\.csv"):
        find_pairs(folder, "other.csv")
    (folder / "data" / "nyu2_train" / "kitchen" / "1_depth.png").unlink()
    with pytest.raises(ValueError, match="has no data/nyu2_train/kitchen/1_depth"):
        find_pairs(folder)


@pytest.mark.slow
def test_command_line_trains_and_exports_metric_weights(folder: Path, tmp_path: Path) -> None:
    run, weights = tmp_path / "run", tmp_path / "own.h5"
    small = "--input_size 64x64 --blocks 1 1 1 1 --growth_rate 4 --stem_filters 8 --decoder_filters 32 --batch 2"
    script = (
        "import sys; from training import export, train_rgbd; sys.argv[1:] = "
        f"{[str(folder), str(run), '--steps', '2', *small.split()]!r}; train_rgbd.main(); "
        f"sys.argv[1:] = {[str(run), str(weights)]!r}; export.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "settings.json").read_text())["examples"] == 3
    model = load_depth_model(weights)
    assert model.kind == "metric"
    assert model.input_size == (64, 64)
