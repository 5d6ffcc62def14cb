"""The stages in somebody's own pipeline, run as the example's documentation says, compared with Pillow and NumPy."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.end_to_end.helpers import ROOT
from transforms import AssetPaths
from transforms.pictures import resize_cutout
from transforms.placements import draw_placements

SCRIPT = ROOT / "examples/own_pipeline.py"
# 7 backgrounds x 6 foregrounds x 2 x 2 placements of the samples.
EXAMPLES = 168
FOLDERS = ("backgrounds", "foregrounds")


@pytest.fixture(scope="module")
def output_and_text(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder with the output, and what was printed."""
    output = tmp_path_factory.mktemp("own") / "night"
    (command,) = re.findall(r"python (examples/own_pipeline\.py .*)", SCRIPT.read_text())
    words = [str(output) if word == "night/" else word for word in shlex.split(command)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return output, done.stdout


def test_every_example_once_and_exact_statistics(output_and_text: tuple[Path, str]) -> None:
    output, printed = output_and_text
    shards = [np.load(path) for path in sorted(output.iterdir())]
    fg_bg, mask = (np.concatenate([shard[name] for shard in shards]) for name in ("fg_bg", "mask"))
    assert fg_bg.shape == (EXAMPLES, 128, 128, 3)
    assert mask.shape == (EXAMPLES, 128, 128)
    assert set(np.unique(mask)) == {0, 255}
    assert len({image.tobytes() for image in fg_bg}) == EXAMPLES
    pixels = fg_bg.reshape(-1, 3).astype(np.float64)
    assert printed.strip() == f"mean {pixels.mean(axis=0).round(2)}, std {pixels.std(axis=0).round(2)}"


def test_composites_are_those_of_pillow_at_half_the_brightness(output_and_text: tuple[Path, str]) -> None:
    output, _ = output_and_text
    script = runpy.run_path(str(SCRIPT))
    backgrounds, foregrounds = (script["list_pictures"](ROOT / "samples" / kind) for kind in FOLDERS)
    paths = AssetPaths(backgrounds, foregrounds, script["IMAGE_SIZE"], script["LONGEST"])
    layout, rules = script["plan"](paths)
    placements = draw_placements(layout, rules, layout.example_ids(0))
    shard = np.load(output / "00000.npz")
    assert len(placements) == len(shard["fg_bg"])
    for placement, fg_bg, mask in zip(placements, shard["fg_bg"], shard["mask"], strict=True):
        cutout = resize_cutout(paths.load_cutout(placement.foreground), (placement.width, placement.height))
        pasted = Image.fromarray(cutout[:, ::-1] if placement.flipped else cutout)
        expected = Image.fromarray(paths.load_background(placement.background))
        expected.paste(pasted, (placement.x, placement.y), pasted)
        assert np.array_equal(fg_bg, np.asarray(expected) // 2)
        alpha = Image.new("L", expected.size)
        alpha.paste(pasted.getchannel("A"), (placement.x, placement.y))
        assert np.array_equal(mask > 0, np.asarray(alpha) >= 128)
