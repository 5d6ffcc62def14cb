"""Evaluates a depth model and its baselines on composites of pictures that were held out of training.

    python -m training.evaluate WEIGHTS.h5 --pictures FOLDER --teacher TEACHER.onnx --picture OUT.png

The composites have the placements, sizes and blending of `build`. Pass the same FOLDER, held-out fraction and seed as
to `prepare`. The columns of the table:

    spearman    rank correlation with the map of the teacher, mean over images
    residual    correlation with the teacher after subtracting the mean teacher map from both, mean over images:
                the agreement that is specific to the image
    ring %      images whose cut-out is nearer than the ring of 12 pixels around it (means of inverse depth)
    bare %      images whose cut-out is nearer than the bare background at the same pixels
    margin      mean inverse depth of the cut-out minus that of the ring, on the scale of the teacher
    motorcycle  rank correlation with the true inverse depth of scikit-image's stereo_motorcycle
"""

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fgbg.depth_models.model import load_depth_model
from fgbg.random_bits import random_words, uniform_integers
from training.metrics import Map, contrast, pearson, spearman, vertical_ramp
from training.sources import Pool, split_pictures
from training.synthesis import Pixels, region_map
from training.targets import inverse_from_metres
from training.teacher import Teacher, TeacherSettings
from transforms.assets import AssetPaths, Assets
from transforms.compositing import composite
from transforms.placements import Placement, placed_size, side_range

# A separate random stream, so that the composites are independent of those in a dataset with the same seed.
_STREAM = 100
_FG_SCALE = (0.4, 0.55)

# Calibration of scikit-image's stereo_motorcycle from its documentation (Middlebury 2014, reduced).
_FOCAL, _BASELINE, _OFFSET = 994.978, 193.001, 31.086

COLUMNS = ("spearman", "residual", "ring %", "bare %", "margin", "motorcycle")


@dataclass(frozen=True, slots=True)
class Scenes:
    """n composites: fg_bg and bare uint8 [n, S, S, 3], region uint8 [n, S, S] (see `region_map`)."""

    fg_bg: Pixels
    bare: Pixels
    region: Pixels


@dataclass(frozen=True, slots=True)
class Maps:
    """Inverse depth of `Scenes`: composites and bare float32 [n, S, S]; bare is None for maps that ignore the image."""

    composites: npt.NDArray[np.float32]
    bare: npt.NDArray[np.float32] | None


def main() -> None:
    """Run the command line."""
    arguments = _parser().parse_args()
    cv2.setNumThreads(1)
    pool = split_pictures(arguments.pictures, arguments.held_out, arguments.seed).held_out
    pool = Pool(
        filter_paths(pool.backgrounds, arguments.backgrounds), filter_paths(pool.foregrounds, arguments.foregrounds)
    )
    print(f"{len(pool.backgrounds)} backgrounds and {len(pool.foregrounds)} foregrounds held out")
    scenes = draw_scenes(pool, arguments.count, arguments.size, arguments.seed)
    size = tuple(arguments.input_size) if arguments.input_size else None
    settings = TeacherSettings(arguments.teacher, arguments.scale, tuple(arguments.mean), tuple(arguments.std), size)
    teacher = Teacher(settings)
    model = load_depth_model(arguments.weights, engine=arguments.engine)

    def predict_by_teacher(images: Pixels) -> npt.NDArray[np.float32]:
        return np.stack([teacher.inverse_depth(image, image.shape[1::-1]) for image in images])

    def predict_by_model(images: Pixels) -> npt.NDArray[np.float32]:
        return inverse_from_metres(model.predict(images), settings.near)

    teacher_maps = Maps(predict_by_teacher(scenes.fg_bg), predict_by_teacher(scenes.bare))
    mean = teacher_maps.composites.mean(axis=0)
    rows: dict[str, Maps] = {
        "vertical ramp": repeat(vertical_ramp(*mean.shape), arguments.count),
        "mean teacher map": repeat(mean, arguments.count),
        "teacher": teacher_maps,
        arguments.weights.name: Maps(predict_by_model(scenes.fg_bg), predict_by_model(scenes.bare)),
    }
    predictors: dict[str, Callable[[Pixels], npt.NDArray[np.float32]]] = {
        "vertical ramp": lambda images: vertical_ramp(*images.shape[1:3])[np.newaxis],
        "mean teacher map": lambda images: cv2.resize(mean, images.shape[2:0:-1])[np.newaxis],
        "teacher": predict_by_teacher,
        arguments.weights.name: predict_by_model,
    }
    table = {}
    for name, maps in rows.items():
        table[name] = score(maps, teacher_maps, scenes.region) | {"motorcycle": motorcycle(predictors[name])}
    print(as_markdown(table))
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1))
    if arguments.picture:
        sheet = contact_sheet(scenes, teacher_maps, rows[arguments.weights.name], settings.near)
        cv2.imwrite(str(arguments.picture), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def filter_paths(paths: tuple[Path, ...], pattern: str) -> tuple[Path, ...]:
    """Return the paths that match a regular expression.

    Raises:
        SystemExit: no path matches.
    """
    selected = tuple(path for path in paths if re.search(pattern, str(path)))
    if not selected:
        raise SystemExit(f"no held-out picture matches {pattern!r}")
    return selected


def draw_scenes(pool: Pool, count: int, size: int, seed: int) -> Scenes:
    """Return composites of random pairs with placements as in `build`. All pictures are about equally frequent."""
    shortest, longest = side_range(size, _FG_SCALE)
    paths = tuple(map(str, pool.backgrounds)), tuple(map(str, pool.foregrounds))
    assets = Assets(AssetPaths(*paths, image_size=size, longest_side=longest))
    words = random_words(seed, _STREAM, np.arange(2 * count))
    sides = shortest + uniform_integers(words[:, 0], longest - shortest + 1)
    fg_bg, bare = np.empty((2, count, size, size, 3), np.uint8)
    region = np.empty((count, size, size), np.uint8)
    for i in range(count):
        background, foreground = (
            i % len(pool.backgrounds),
            int(uniform_integers(words[i, 3:], len(pool.foregrounds))[0]),
        )
        rows, columns = assets.cutout(foreground).shape[:2]
        width, height = placed_size((columns, rows), int(sides[i]))
        x = int(uniform_integers(words[i, 1:2], size - width + 1)[0])
        y = int(uniform_integers(words[i, 2:3], size - height + 1)[0])
        flipped = bool(words[count + i, 0] >> np.uint64(63))
        mask = np.empty((size, size), np.uint8)
        composite(Placement(i, background, foreground, flipped, 0, x, y, width, height), assets, fg_bg[i], mask)
        bare[i] = assets.background(background)
        region[i] = region_map(mask, (size, size))
    return Scenes(fg_bg, bare, region)


def repeat(inverse: Map, count: int) -> Maps:
    """Return the same map for each of `count` pictures."""
    return Maps(np.broadcast_to(inverse, (count, *inverse.shape)), None)


def score(maps: Maps, teacher_maps: Maps, region: Pixels) -> dict[str, float]:
    """Return all columns except `motorcycle`. `bare %` is NaN for maps that ignore the picture."""
    mean = teacher_maps.composites.mean(axis=0)
    count = len(region)
    contrasts = [
        contrast(maps.composites[i], None if maps.bare is None else maps.bare[i], region[i]) for i in range(count)
    ]
    pairs = list(zip(maps.composites, teacher_maps.composites, strict=True))
    bare = float("nan") if maps.bare is None else 100 * float(np.mean([one.lift > 0 for one in contrasts]))
    return {
        "spearman": float(np.mean([spearman(one, truth) for one, truth in pairs])),
        "residual": float(np.mean([pearson(one - mean, truth - mean) for one, truth in pairs])),
        "ring %": 100 * float(np.mean([one.margin > 0 for one in contrasts])),
        "bare %": bare,
        "margin": float(np.mean([one.margin for one in contrasts])),
    }


def motorcycle(predict: Callable[[Pixels], npt.NDArray[np.float32]]) -> float:
    """Return the rank correlation with measured depth on a photograph that no model here was trained on."""
    from skimage.data import stereo_motorcycle  # needed only here

    left, _, disparity = stereo_motorcycle()
    known = np.isfinite(disparity) & (disparity > 0)
    depth = _FOCAL * _BASELINE / (disparity[known] + _OFFSET)
    return spearman(predict(left[np.newaxis])[0][known], 1 / depth)


def as_markdown(table: dict[str, dict[str, float]]) -> str:
    """Return the table as Markdown."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, values in table.items():
        cells = [
            "-" if np.isnan(values[column]) else f"{values[column]:.{1 if '%' in column else 3}f}" for column in COLUMNS
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def contact_sheet(scenes: Scenes, teacher_maps: Maps, model_maps: Maps, near: float, count: int = 14) -> Pixels:
    """Return a sheet, uint8 [h, w, 3], with two examples per row: background, composite, teacher map, model map."""
    tiles = []
    for i in np.linspace(0, len(scenes.fg_bg) - 1, count).astype(int):
        coloured = [colour_map(maps[i], near) for maps in (teacher_maps.composites, model_maps.composites)]
        tiles.append(np.concatenate([scenes.bare[i], scenes.fg_bg[i], *coloured], axis=1))
    rows = [np.concatenate(tiles[k : k + 2], axis=1) for k in range(0, count - 1, 2)]
    return np.concatenate(rows)


def colour_map(inverse: Map, near: float) -> Pixels:
    """Return inverse depth as colours (bright = near) on a fixed scale: uint8 [h, w, 3]."""
    levels = np.rint(np.clip(inverse / near, 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="weights file to evaluate")
    parser.add_argument("--pictures", type=Path, action="append", required=True, help="as for `prepare`")
    parser.add_argument("--teacher", type=Path, required=True, help="ONNX depth model")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="as for `prepare`, like --mean, --std and --input_size"
    )
    parser.add_argument("--mean", type=float, nargs=3, default=(0, 0, 0))
    parser.add_argument("--std", type=float, nargs=3, default=(1, 1, 1))
    parser.add_argument("--input_size", type=int, nargs=2)
    parser.add_argument("--held_out", type=float, default=0.12, help="as for `prepare`")
    parser.add_argument("--seed", type=int, default=0, help="as for `prepare`")
    parser.add_argument("--backgrounds", default="", help="only pictures whose path matches this regular expression")
    parser.add_argument("--foregrounds", default="", help="only pictures whose path matches this regular expression")
    parser.add_argument("--count", type=int, default=300, help="composites (300)")
    parser.add_argument("--size", type=int, default=224, help="side of the composites (224)")
    parser.add_argument("--engine", default="keras", help="keras or openvino")
    parser.add_argument("--picture", type=Path, help="output file for a picture of some composites and their depth")
    parser.add_argument("--json", type=Path, help="output file for the table")
    return parser


if __name__ == "__main__":
    main()
