"""How good cut-outs are, by number: cut-outs with known alpha are pasted on photographs and cut out again.

    python benchmarks/cutout_quality.py --foregrounds CUTOUTS --backgrounds samples/backgrounds/nature [--models ...]

Each foreground is pasted near the middle of one background, 640 pixels wide or high, so that it fills 10 to 40 % of it
where its shape allows; those that fill less are left out. A background should not show an object of its own.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from transforms import pictures
from transforms.cutting.cut_out import cut_out
from transforms.cutting.models import GRABCUT, MODELS, load_model
from transforms.inputs import find_pictures

_SIDE = 640
_LEAST, _MOST = 0.1, 0.4


@dataclass(frozen=True)
class Score:
    """Of one cut-out."""

    iou: float
    error: float
    doubtful: bool
    seconds: float


def main() -> None:
    """Print a row for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--foregrounds", required=True)
    parser.add_argument("--backgrounds", required=True)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["u2netp", GRABCUT])
    arguments = parser.parse_args()
    backgrounds = [Path(one.path).read_bytes() for one in find_pictures(arguments.backgrounds, "--backgrounds")[0]]
    foregrounds = [Path(one.path).read_bytes() for one in find_pictures(arguments.foregrounds, "--foregrounds")[0]]
    models = {name: load_model(name) for name in arguments.models}
    scores: dict[str, list[Score]] = {name: [] for name in models}
    for number, foreground in enumerate(foregrounds):
        photo, truth = paste(foreground, backgrounds[number % len(backgrounds)], np.random.default_rng(number))
        if (truth >= 0.5).mean() >= _LEAST:
            for name, model in models.items():
                scores[name].append(score(photo, truth, model))
    print("| model | pictures | IoU, mean | median | alpha error, mean | laid aside | IoU of the others | s each |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, ours in scores.items():
        iou, error, seconds = (np.array([getattr(one, key) for one in ours]) for key in ("iou", "error", "seconds"))
        aside = np.array([one.doubtful for one in ours])
        others = iou[~aside].mean() if not aside.all() else float("nan")
        print(
            f"| {name} | {len(ours)} | {iou.mean():.3f} | {np.median(iou):.3f} | {error.mean():.4f}"
            f" | {aside.mean():.0%} | {others:.3f} | {np.median(seconds):.2f} |"
        )


def paste(foreground: bytes, background: bytes, random: np.random.Generator) -> tuple[Image.Image, npt.NDArray]:
    """A photograph made of two, and the alpha in it, float64 [h, w] in 0 .. 1."""
    scene = pictures.decode_picture(background).convert("RGB")
    factor = _SIDE / max(scene.size)
    scene = scene.resize((round(scene.width * factor), round(scene.height * factor)), Image.Resampling.LANCZOS)
    cutout = pictures.load_foreground(foreground, _SIDE)
    opaque = cutout[..., 3].sum() / 255
    scale = (random.uniform(_LEAST, _MOST) * scene.width * scene.height / opaque) ** 0.5
    scale = min(scale, *(0.95 * there / here for there, here in zip(scene.size, cutout.shape[1::-1], strict=True)))
    width, height = (max(1, round(side * scale)) for side in cutout.shape[1::-1])
    cutout = pictures.resize_cutout(cutout, (width, height))
    left = round((scene.width - width) * random.uniform(0.3, 0.7))
    top = round((scene.height - height) * random.uniform(0.3, 0.7))
    scene.paste(Image.fromarray(cutout).convert("RGB"), (left, top), Image.fromarray(cutout[..., 3]))
    truth = np.zeros(scene.size[::-1])
    truth[top : top + height, left : left + width] = cutout[..., 3] / 255
    return scene, truth


def score(photo: Image.Image, truth: npt.NDArray, model: object) -> Score:
    """Cut out and compare: intersection over union of the masks, mean absolute error of alpha."""
    start = time.perf_counter()
    result = cut_out(photo, model)
    seconds = time.perf_counter() - start
    alpha = np.zeros_like(truth)
    if result.rgba is not None:
        left, top, width, height = result.box
        alpha[top : top + height, left : left + width] = result.rgba[..., 3] / 255
    found, there = alpha >= 0.5, truth >= 0.5
    iou = (found & there).sum() / (found | there).sum()
    return Score(iou, float(np.abs(alpha - truth).mean()), bool(result.doubts), seconds)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
