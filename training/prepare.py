"""Creates labelled composites for training. Creating them during training would make it a third slower.

    python -m training.prepare DATA --pictures FOLDER --teacher TEACHER.onnx

FOLDER contains backgrounds/ and foregrounds/; the flag can be repeated. DATA gets one folder per part. A part is a pure
function of the settings and its number, so the same command resumes a stopped run:

    part-00000/bare.npy           uint8 [b, S, S, 3]      crops of backgrounds
    part-00000/bare_target.npy    float16 [b, S/2, S/2]   y of the teacher for `bare` (see `targets`)
    part-00000/fg_bg.npy          uint8 [n, S, S, 3]      composites over `bare`
    part-00000/target.npy         float16 [n, S/2, S/2]   y of the teacher for `fg_bg`
    part-00000/region.npy         uint8 [n, S/2, S/2]     2 in the cut-out, 1 in the ring around it, 0 outside
    part-00000/bare_index.npy     int32 [n]               index into `bare` of the background

Composites in which the teacher does not detect the object would teach the student to ignore objects, so only a fraction
of them is kept. Held-out pictures (see `sources`) are never used.
"""

import argparse
import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from training.sources import Pool, split_pictures
from training.synthesis import IN_CUTOUT, IN_RING, Augmentation, Painter, region_map
from training.targets import output_from_inverse
from training.teacher import Teacher, TeacherSettings

SETTINGS_FILE = "settings.json"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of the parts.

    The teacher detects an object if the mean inverse depth of the object exceeds that of the ring around it by more
    than `margin` and that of the bare background at the same pixels by more than `lift`.

    Attributes:
        seed: seed of all random choices.
        size: side of the square images, pixels.
        bare: backgrounds per part.
        cutouts: composites per background.
        margin: see above, on the scale of the teacher.
        lift: see above, on the scale of the teacher.
        unseen: fraction of the composites without a detected object that is kept.
        augmentation: distribution of the random changes.
    """

    seed: int = 0
    size: int = 224
    bare: int = 128
    cutouts: int = 3
    margin: float = 0.08
    lift: float = 0.05
    unseen: float = 0.15
    augmentation: Augmentation = field(default_factory=Augmentation)


def main() -> None:
    """Run the command line."""
    arguments = _parser().parse_args()
    split = split_pictures(arguments.pictures, arguments.held_out, arguments.seed)
    recipe = Recipe(arguments.seed, arguments.size, cutouts=arguments.cutouts, unseen=arguments.unseen)
    size = tuple(arguments.input_size) if arguments.input_size else None
    teacher = TeacherSettings(arguments.teacher, arguments.scale, tuple(arguments.mean), tuple(arguments.std), size)
    arguments.data.mkdir(parents=True, exist_ok=True)
    _write_settings(arguments.data, recipe, split.train, split.held_out)
    print(f"Training pictures: {len(split.train.backgrounds)} backgrounds, {len(split.train.foregrounds)} foregrounds")
    missing = [part for part in range(arguments.parts) if not (arguments.data / part_name(part)).is_dir()]
    with ProcessPoolExecutor(arguments.workers, initializer=_start, initargs=(split.train, recipe, teacher)) as pool:
        written = pool.map(_write_part, [arguments.data] * len(missing), missing)
        kept = list(tqdm(written, total=len(missing), desc="Parts"))
    print(f"{sum(kept)} composites kept in {len(missing)} new parts")


def part_name(part: int) -> str:
    """Return the name of the folder of a part."""
    return f"part-{part:05d}"


def make_part(part: int, painter: Painter, teacher: Teacher, recipe: Recipe, near: float) -> dict[str, npt.NDArray]:
    """Return the arrays of one part by name, a pure function of the arguments. The module docstring describes them."""
    random = np.random.default_rng([recipe.seed, part])
    half = (recipe.size // 2, recipe.size // 2)
    arrays: dict[str, list] = {name: [] for name in ("bare", "bare_target", "fg_bg", "target", "region", "bare_index")}
    for index in range(recipe.bare):
        bare = painter.bare(random)
        bare_inverse = teacher.inverse_depth(bare, half)
        arrays["bare"].append(bare)
        arrays["bare_target"].append(output_from_inverse(bare_inverse, near).astype(np.float16))
        for _ in range(recipe.cutouts):
            fg_bg, mask = painter.composite(bare, random)
            keep_unseen = random.random() < recipe.unseen
            region = region_map(mask, half)
            inverse = teacher.inverse_depth(fg_bg, half)
            if not keep_unseen and not detects_object(inverse, bare_inverse, region, recipe.margin, recipe.lift):
                continue
            arrays["fg_bg"].append(fg_bg)
            arrays["target"].append(output_from_inverse(inverse, near).astype(np.float16))
            arrays["region"].append(region)
            arrays["bare_index"].append(np.int32(index))
    size = recipe.size
    empty: dict[str, npt.NDArray] = {
        "fg_bg": np.empty((0, size, size, 3), np.uint8),
        "target": np.empty((0, *half), np.float16),
    }
    empty |= {"region": np.empty((0, *half), np.uint8), "bare_index": np.empty(0, np.int32)}
    return {name: np.stack(rows) if rows else empty[name] for name, rows in arrays.items()}


def detects_object(
    inverse: npt.NDArray[np.float32],
    bare_inverse: npt.NDArray[np.float32],
    region: npt.NDArray[np.uint8],
    margin: float,
    lift: float,
) -> bool:
    """Return whether the cut-out is nearer than the ring around it by `margin` and than the bare background by `lift`.

    All arrays are [h, w]. Means of inverse depth are compared. False if the cut-out or its ring has no pixels.
    """
    cutout, ring = region == IN_CUTOUT, region == IN_RING
    if not cutout.any() or not ring.any():
        return False
    inside = inverse[cutout].mean()
    return bool(inside - inverse[ring].mean() > margin and inside - bare_inverse[cutout].mean() > lift)


# The state of a worker process: a teacher cannot be pickled, and decoded pictures are too large to pickle.
_worker: tuple[Painter, Teacher, Recipe, float]


def _start(pool: Pool, recipe: Recipe, teacher: TeacherSettings) -> None:
    global _worker
    cv2.setNumThreads(1)
    painter = Painter(pool, recipe.size, recipe.augmentation)
    _worker = painter, Teacher(teacher), recipe, teacher.near


def _write_part(data: Path, part: int) -> int:
    painter, teacher, recipe, near = _worker
    arrays = make_part(part, painter, teacher, recipe, near)
    temporary = data / f".{part_name(part)}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name, array in arrays.items():
        np.save(temporary / f"{name}.npy", array)
    temporary.rename(data / part_name(part))
    return len(arrays["bare_index"])


def _write_settings(data: Path, recipe: Recipe, train: Pool, held_out: Pool) -> None:
    """Write the settings and pictures of the data.

    Raises:
        SystemExit: the folder contains data with other settings or pictures.
    """
    pictures = {
        side: {"backgrounds": [str(p) for p in pool.backgrounds], "foregrounds": [str(p) for p in pool.foregrounds]}
        for side, pool in (("train", train), ("held_out", held_out))
    }
    text = json.dumps({"recipe": asdict(recipe), "pictures": pictures}, indent=1)
    path = data / SETTINGS_FILE
    if path.exists() and path.read_text() != text:
        raise SystemExit(f"{data} contains data with other settings or pictures; use another folder")
    path.write_text(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="output folder")
    parser.add_argument("--pictures", type=Path, action="append", required=True, help="folder; may be repeated")
    parser.add_argument("--teacher", type=Path, required=True, help="ONNX depth model")
    parser.add_argument("--scale", type=float, default=1.0, help="teacher: factor for pixel values 0..255 (1)")
    parser.add_argument(
        "--mean", type=float, nargs=3, default=(0, 0, 0), help="teacher: subtracted after scaling (0 0 0)"
    )
    parser.add_argument(
        "--std", type=float, nargs=3, default=(1, 1, 1), help="teacher: divisor after subtraction (1 1 1)"
    )
    parser.add_argument(
        "--input_size", type=int, nargs=2, help="teacher: width and height, if its file does not fix them"
    )
    parser.add_argument(
        "--parts", type=int, default=105, help="number of parts of 128 backgrounds (105, for 40,000 candidates)"
    )
    parser.add_argument("--cutouts", type=int, default=3, help="composites per background (3)")
    parser.add_argument(
        "--unseen", type=float, default=0.15, help="fraction kept if the teacher detects no object (0.15)"
    )
    parser.add_argument("--size", type=int, default=224, help="side of the images (224)")
    parser.add_argument("--held_out", type=float, default=0.12, help="fraction of pictures held out of training (0.12)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    return parser


if __name__ == "__main__":
    main()
