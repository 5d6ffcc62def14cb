"""Datasets of format 1, whose reduced cut-outs may have transparent rows at their edges."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import commands
from pipeline.build import build_plan
from tests.end_to_end.helpers import ONE_WORKER, Inputs, build, dataset_folder, draw_background, our_lines
from tests.pictures_helpers import write
from transforms import pictures

FLAGS = ("--image_size=16", "--placements=1", *ONE_WORKER)


@pytest.fixture
def large(tmp_path: Path) -> Inputs:
    """A cut-out that is reduced, with faint pixels far from it."""
    draw_background(tmp_path / "backgrounds/b.png", 20, 30, 0)
    rgba = np.zeros((200, 300, 4), np.uint8)
    rgba[50:150, 50:250] = (200, 100, 50, 255)
    rgba[0, 0] = rgba[-1, -1] = (0, 0, 0, 3)
    write(tmp_path / "foregrounds/f.png", rgba)
    return Inputs(tmp_path / "backgrounds", tmp_path / "foregrounds")


@pytest.fixture
def format_1(large: Inputs, tmp_path: Path) -> Path:
    """Data directory of a dataset as format 1 had it."""
    data_dir = tmp_path / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_plan, "FORMAT", 1)
        patch.setattr(pictures, "crop_to_alpha", lambda rgba: rgba)
        assert build(data_dir, large, *FLAGS) == 0
    return data_dir


def verify(data_dir: Path, *flags: str) -> int:
    return commands.run(["verify", str(dataset_folder(data_dir)), *flags, *ONE_WORKER])


def test_format_1_is_verified(format_1: Path, large: Inputs) -> None:
    assert verify(format_1, f"--backgrounds={large.backgrounds}", f"--foregrounds={large.foregrounds}") == 0


def test_cutouts_that_are_not_cropped_are_wrong_since_format_2(
    large: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "crop_to_alpha", lambda rgba: rgba)
        assert build(data_dir, large, *FLAGS) == 0
    assert verify(data_dir) == 1
    assert "image: is not cropped to the box in which it is not transparent" in capfd.readouterr().err


def test_format_1_is_not_resumed(format_1: Path, large: Inputs, capfd: pytest.CaptureFixture[str]) -> None:
    assert build(format_1, large, *FLAGS) == 2
    (line,) = our_lines(capfd.readouterr().err)
    assert "contains another dataset (format: stored 1, requested 2)" in line
