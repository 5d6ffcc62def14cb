"""Compares the speed of `build --depth_model none` with that of a simple script on the same pictures.

    python benchmarks/build_speed.py --backgrounds DIR --foregrounds DIR [--placements 4] [--rounds 3]

For each example, the script opens both files with Pillow, pastes, saves a JPEG with `optimize` and quality 30, pastes
the mask and saves it, too. The pictures are larger than the composites, so "simple script" resizes them. "Presized
script" is the best case: it reads copies of the right size, whose creation is not timed. The script runs in one process
and on fewer examples, because its time per example is constant.

`build` runs with one and with two workers. Its rate over the whole command includes startup, imports and input checks.
The column "steady" excludes these by subtracting a run with one placement. All runs take turns; results are medians
over the rounds.
"""

import argparse
import itertools
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from process_tree import measure

_SIDE = 200
# Mean of the longest side of the cut-outs in `build`.
_LONGEST = 95
_SCRIPT_EXAMPLES = 4_000


def simple_script(backgrounds: list[Path], foregrounds: list[Path], out: Path) -> None:
    """Write composites and masks with Pillow."""
    pairs = list(itertools.product(backgrounds, foregrounds))
    for number in range(_SCRIPT_EXAMPLES):
        # Consecutive pairs share files. A stride that is coprime to their number visits all pairs in mixed order.
        background_path, foreground_path = pairs[number * 7919 % len(pairs)]
        background: Image.Image = Image.open(background_path)
        foreground: Image.Image = Image.open(foreground_path)
        if background.size != (_SIDE, _SIDE):
            background = background.convert("RGB").resize((_SIDE, _SIDE))
        if max(foreground.size) > _LONGEST:
            foreground = foreground.convert("RGBA")
            foreground.thumbnail((_LONGEST, _LONGEST))
        position = (random.randint(0, _SIDE - foreground.width), random.randint(0, _SIDE - foreground.height))
        background.paste(foreground, position, foreground)
        background.save(out / f"fg_bg_{number:06d}.jpg", optimize=True, quality=30)
        mask = Image.new("L", (_SIDE, _SIDE))
        mask.paste(foreground.getchannel("A"), position)
        mask.save(out / f"mask_{number:06d}.jpg", optimize=True, quality=30)


def pictures_below(folder: Path) -> list[Path]:
    """Return all files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def presize(backgrounds: Path, foregrounds: Path, out: Path) -> tuple[Path, Path]:
    """Write copies of all pictures in the size that the script needs and return their folders."""
    for path in pictures_below(backgrounds):
        copy = out / "bg" / path.relative_to(backgrounds).with_suffix(".jpg")
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("RGB").resize((_SIDE, _SIDE)).save(copy, quality=95)
    for path in pictures_below(foregrounds):
        copy = out / "fg" / path.relative_to(foregrounds).with_suffix(".png")
        copy.parent.mkdir(parents=True, exist_ok=True)
        cutout = Image.open(path).convert("RGBA")
        cutout.thumbnail((_LONGEST, _LONGEST))
        cutout.save(copy)
    return out / "bg", out / "fg"


def script_rate(folders: tuple[Path, Path], scratch: Path) -> float:
    """Return the examples/s of the simple script."""
    out = scratch / "script"
    out.mkdir()
    start = time.perf_counter()
    simple_script(pictures_below(folders[0]), pictures_below(folders[1]), out)
    seconds = time.perf_counter() - start
    shutil.rmtree(out)
    return _SCRIPT_EXAMPLES / seconds


def build_seconds(folders: tuple[Path, Path], placements: int, scratch: Path, workers: int) -> float:
    """Return the duration of `build` with `workers` threads in one process, seconds."""
    command = [sys.executable, "-m", "pipeline", "build", "--depth_model", "none", "--image_size", str(_SIDE)]
    command += ["--backgrounds", str(folders[0]), "--foregrounds", str(folders[1])]
    command += ["--data_dir", str(scratch / "build"), "--placements", str(placements)]
    command += [f"--direct_num_workers={workers}", "--direct_running_mode=multi_threading"]
    seconds = measure(command).seconds
    shutil.rmtree(scratch / "build")
    return seconds


def main() -> None:
    """Run all contestants in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backgrounds", type=Path, required=True)
    parser.add_argument("--foregrounds", type=Path, required=True)
    parser.add_argument("--placements", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    originals = (arguments.backgrounds, arguments.foregrounds)
    per_placement = 2 * len(pictures_below(originals[0])) * len(pictures_below(originals[1]))
    examples = per_placement * arguments.placements
    scripts: dict[str, list[float]] = {"simple script": [], "presized script": []}
    builds: dict[str, list[tuple[float, float]]] = {"build, 1 worker": [], "build, 2 workers": []}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        presized = presize(*originals, scratch / "presized")
        for number in range(arguments.rounds):
            scripts["simple script"].append(script_rate(originals, scratch))
            scripts["presized script"].append(script_rate(presized, scratch))
            for workers, name in ((1, "build, 1 worker"), (2, "build, 2 workers")):
                short = build_seconds(originals, 1, scratch, workers)
                long = build_seconds(originals, arguments.placements, scratch, workers)
                builds[name].append((examples / long, (examples - per_placement) / (long - short)))
            print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
    simple, fastest = (statistics.median(rates) for rates in scripts.values())
    print(f"examples/s at {_SIDE}x{_SIDE}, medians of {arguments.rounds} rounds; build: {examples:,} examples\n")
    print("| | examples/s | x simple | x presized | steady | x simple | x presized |")
    print("|---|---|---|---|---|---|---|")
    for name, rates in scripts.items():
        rate = statistics.median(rates)
        print(f"| {name} | {rate:,.0f} | {rate / simple:.1f} | {rate / fastest:.1f} | | | |")
    for name, pairs in builds.items():
        whole, steady = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"| {name} | {whole:,.0f} | {whole / simple:.1f} | {whole / fastest:.1f}"
            f" | {steady:,.0f} | {steady / simple:.1f} | {steady / fastest:.1f} |"
        )


if __name__ == "__main__":
    main()
