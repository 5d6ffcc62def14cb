"""Measures the accuracy of cut-outs: pastes cut-outs with known alpha into photographs and cuts them out again.

    python benchmarks/cutout_quality.py --foregrounds CUTOUTS --backgrounds samples/backgrounds/nature [--models ...]

Each foreground is pasted near the centre of one background with a longest side of 640 pixels. It covers 10 to 40 % of
the picture if its shape allows; foregrounds that cover less are skipped. Each sub-folder of the backgrounds has its own
row in the table. An object in the background, such as a monument, counts as an error if it is cut out, too.
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

from pipeline.cutout.cut_out import cut_out
from pipeline.cutout.models import Model, load_model
from pipeline.cutout.options import GRABCUT, MODELS
from transforms import pictures
from transforms.inputs import find_pictures

_SIDE = 640
_MIN_COVERAGE, _MAX_COVERAGE = 0.1, 0.4

# The table has a row for each interval between these fractions of the picture that the object covers.
_COVERAGES = (_MIN_COVERAGE, 0.2, _MAX_COVERAGE, 1.0)


@dataclass(frozen=True)
class Score:
    """The accuracy of one cut-out.

    Attributes:
        iou: intersection over union of the masks.
        error: mean absolute error of alpha.
        flagged: whether it is flagged for review.
        seconds: duration of cutting out.
    """

    iou: float
    error: float
    flagged: bool
    seconds: float


@dataclass(frozen=True)
class Case:
    """One composite photograph and the score of a model on it.

    Attributes:
        kind: sub-folder of the background.
        coverage: fraction of the picture that the object covers.
        score: accuracy of the cut-out.
    """

    kind: str
    coverage: float
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
        coverage = float((truth >= 0.5).mean())
        if coverage >= _MIN_COVERAGE:
            kind = background.label.rpartition("/")[0]
            for name, model in models.items():
                cases[name].append(Case(kind, coverage, score(photo, truth, model)))
    for name, scored in cases.items():
        columns = "pictures | IoU, mean | median | alpha error, mean | flagged | IoU of the others | s each"
        print(f"\n| {name} | {columns} |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for title, group in groups(scored):
            print(row(title, [case.score for case in group]))


def groups(cases: Sequence[Case]) -> Iterator[tuple[str, list[Case]]]:
    """Yield (title, cases): all cases, then one group per kind of background if there are several, then by coverage.

    Empty groups are skipped.
    """
    yield "all", list(cases)
    if len(kinds := sorted({case.kind for case in cases})) > 1:
        for kind in kinds:
            yield kind, [case for case in cases if case.kind == kind]
    for low, high in pairwise(_COVERAGES):
        if group := [case for case in cases if low <= case.coverage < high]:
            yield f"coverage {low:.0%} to {high:.0%}", group


def row(title: str, scores: Sequence[Score]) -> str:
    """Return one row of the table."""
    iou, error, seconds = (np.array([getattr(one, key) for one in scores]) for key in ("iou", "error", "seconds"))
    flagged = np.array([one.flagged for one in scores])
    others = iou[~flagged].mean() if not flagged.all() else float("nan")
    return (
        f"| {title} | {len(scores)} | {iou.mean():.3f} | {np.median(iou):.3f} | {error.mean():.4f}"
        f" | {flagged.mean():.0%} | {others:.3f} | {np.median(seconds):.2f} |"
    )


def paste(foreground: bytes, background: bytes, random: np.random.Generator) -> tuple[Image.Image, npt.NDArray]:
    """Paste a foreground into a background: the composite, and the alpha of the object, float64 [h, w] in 0 .. 1."""
    scene = pictures.decode_picture(background).convert("RGB")
    factor = _SIDE / max(scene.size)
    scene = scene.resize((round(scene.width * factor), round(scene.height * factor)), Image.Resampling.LANCZOS)
    cutout = pictures.load_foreground(foreground, _SIDE)
    opaque = cutout[..., 3].sum() / 255
    scale = (random.uniform(_MIN_COVERAGE, _MAX_COVERAGE) * scene.width * scene.height / opaque) ** 0.5
    scale = min(
        scale, *(0.95 * available / side for available, side in zip(scene.size, cutout.shape[1::-1], strict=True))
    )
    width, height = (max(1, round(side * scale)) for side in cutout.shape[1::-1])
    cutout = pictures.resize_cutout(cutout, (width, height))
    left = round((scene.width - width) * random.uniform(0.3, 0.7))
    top = round((scene.height - height) * random.uniform(0.3, 0.7))
    scene.paste(Image.fromarray(cutout).convert("RGB"), (left, top), Image.fromarray(cutout[..., 3]))
    truth = np.zeros(scene.size[::-1])
    truth[top : top + height, left : left + width] = cutout[..., 3] / 255
    return scene, truth


def score(photo: Image.Image, truth: npt.NDArray, model: Model) -> Score:
    """Cut the object out and compare the result with the true alpha."""
    start = time.perf_counter()
    result = cut_out(photo, model)
    seconds = time.perf_counter() - start
    alpha = np.zeros_like(truth)
    if result.rgba is not None:
        left, top, width, height = result.box
        alpha[top : top + height, left : left + width] = result.rgba[..., 3] / 255
    found, expected = alpha >= 0.5, truth >= 0.5
    iou = (found & expected).sum() / (found | expected).sum()
    return Score(iou, float(np.abs(alpha - truth).mean()), bool(result.review_flags), seconds)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
