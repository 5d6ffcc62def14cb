"""How good cut-outs are, by number: cut-outs with known alpha are pasted on photographs and cut out again.

    python benchmarks/cutout_quality.py --foregrounds CUTOUTS --backgrounds samples/backgrounds/nature [--models ...]

Each foreground is pasted near the middle of one background, 640 pixels wide or high, so that it fills 10 to 40 % of it
where its shape allows; those that fill less are left out. Sub-folders of the backgrounds are their kinds, each with a
row of its own. What a background shows of its own, such as a monument, counts as a mistake if it is cut out too.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from transforms import pictures
from transforms.cutting.cut_out import cut_out
from transforms.cutting.models import GRABCUT, MODELS, Model, load_model
from transforms.inputs import find_pictures

_SIDE = 640
_LEAST, _MOST = 0.1, 0.4

# Rows by how much of the picture the object fills: from this share up to the next.
_FILLS = (_LEAST, 0.2, _MOST, 1.0)


@dataclass(frozen=True)
class Score:
    """Of one cut-out."""

    iou: float
    error: float
    doubtful: bool
    seconds: float


@dataclass(frozen=True)
class Case:
    """A photograph made of two, and what a model made of it."""

    kind: str
    fill: float
    score: Score


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--foregrounds", required=True)
    parser.add_argument("--backgrounds", required=True)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["u2netp", GRABCUT])
    arguments = parser.parse_args()
    backgrounds = find_pictures(arguments.backgrounds, "--backgrounds")[0]
    foregrounds = find_pictures(arguments.foregrounds, "--foregrounds")[0]
    models = {name: load_model(name) for name in arguments.models}
    cases: dict[str, list[Case]] = {name: [] for name in models}
    for number, foreground in enumerate(foregrounds):
        background = backgrounds[number % len(backgrounds)]
        photo, truth = paste(
            Path(foreground.path).read_bytes(), Path(background.path).read_bytes(), np.random.default_rng(number)
        )
        fill = float((truth >= 0.5).mean())
        if fill >= _LEAST:
            kind = background.label.rpartition("/")[0]
            for name, model in models.items():
                cases[name].append(Case(kind, fill, score(photo, truth, model)))
    for name, ours in cases.items():
        columns = "pictures | IoU, mean | median | alpha error, mean | laid aside | IoU of the others | s each"
        print(f"\n| {name} | {columns} |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for title, group in groups(ours):
            print(row(title, [case.score for case in group]))


def groups(cases: Sequence[Case]) -> Iterator[tuple[str, list[Case]]]:
    """All, then by kind of background if there are kinds, then by fill; none is empty."""
    yield "all", list(cases)
    if len(kinds := sorted({case.kind for case in cases})) > 1:
        for kind in kinds:
            yield kind, [case for case in cases if case.kind == kind]
    for least, most in pairwise(_FILLS):
        if ours := [case for case in cases if least <= case.fill < most]:
            yield f"fill {least:.0%} to {most:.0%}", ours


def row(title: str, scores: Sequence[Score]) -> str:
    """Of the table."""
    iou, error, seconds = (np.array([getattr(one, key) for one in scores]) for key in ("iou", "error", "seconds"))
    aside = np.array([one.doubtful for one in scores])
    others = iou[~aside].mean() if not aside.all() else float("nan")
    return (
        f"| {title} | {len(scores)} | {iou.mean():.3f} | {np.median(iou):.3f} | {error.mean():.4f}"
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


def score(photo: Image.Image, truth: npt.NDArray, model: Model) -> Score:
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
