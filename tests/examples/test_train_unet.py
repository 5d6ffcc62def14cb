"""The U-Net example, run with its documented command on a tiny dataset."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.end_to_end.helpers import ROOT, Inputs, build, draw_inputs
from tests.fgbg.depth_models.helpers import write_random_weights

SCRIPT = ROOT / "examples/train_unet.py"
TINY = ("--epochs=6", "--steps=8", "--batch_size=8", "--filters=8")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return draw_inputs(tmp_path_factory.mktemp("inputs"), 32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights") / "tiny.h5", kind="metric", input_size=(64, 64))


def command(data_dir: Path, output: Path) -> list[str]:
    return [str(SCRIPT), f"--data_dir={data_dir}", f"--output={output}", *TINY]


@pytest.mark.slow
def test_network_learns_on_unseen_backgrounds(tmp_path: Path, inputs: Inputs, weights: Path) -> None:
    flags = ("--image_size=32", "--placements=2", "--test_fraction=0.4", f"--depth_model={weights}")
    assert build(tmp_path / "data", inputs, *flags) == 0
    done = subprocess.run(
        [sys.executable, *command(tmp_path / "data", tmp_path / "unet")],
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "unet/figures.json").read_text())
    history = figures["history"]
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    nothing, network = (figures["mask"][name][0] for name in ("nothing", "U-Net"))
    assert nothing == 0
    assert network > 0.5
    assert np.isfinite([figures["depth"][name] for name in ("mean", "mean of each place", "U-Net")]).all()
    assert "32 examples of 2 backgrounds that are not in the training split" in done.stdout
    assert "| U-Net |" in done.stdout
    with Image.open(tmp_path / "unet/unet.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 22) or ()) > 1000
    assert (tmp_path / "unet/unet.keras").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--test_fraction=0.4",), "has no depth: build it with another --depth_model than none"),
        ((), "has no test split: build it with --test_fraction 0.25"),
        (("--test_fraction=0.25", "--split_by=foreground"), "share backgrounds: build it with --split_by background"),
        (("--test_fraction=0.4", "--image_size=40"), "The images are 40 pixels wide"),
    ],
)
def test_unsuitable_dataset_is_one_sentence(
    tmp_path: Path,
    inputs: Inputs,
    weights: Path,
    flags: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    depth = "none" if "depth" in message else str(weights)
    assert build(tmp_path / "data", inputs, "--image_size=32", "--placements=1", f"--depth_model={depth}", *flags) == 0
    monkeypatch.setattr(sys, "argv", command(tmp_path / "data", tmp_path / "unet"))
    with pytest.raises(SystemExit, match=message):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert not (tmp_path / "unet").exists()


def test_missing_dataset_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", command(tmp_path / "nowhere", tmp_path / "unet"))
    with pytest.raises(SystemExit, match=r"There is no dataset .*nowhere/fg_bg_depth/1\.0\.0: build it first"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
