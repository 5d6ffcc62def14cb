"""`build --depth_model none` against the usual script, in turn, on the same pictures.

    python benchmarks/build_speed.py --backgrounds DIR --foregrounds DIR [--placements 4] [--rounds 3]

The usual script is what people write by hand: for each image open both files with PIL, paste, save a JPEG with
`optimize` and quality 30, paste the mask and save it too. As given, the pictures are larger than the composites, so the
script resizes what it opens; "presized" is the best that such a script can do: it gets copies of the right size, made
beforehand and not timed. It runs in one process, as those scripts do, and on fewer examples, since all of them take it
the same time. `build` runs with one worker and with two; its rate over the whole command includes starting up,
importing and checking the inputs, and "steady" leaves that out: a run with one placement is taken off. Medians over the
rounds.
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
# The mean longest side of the cut-outs that `build` places.
_LONGEST = 95
_SCRIPT_EXAMPLES = 4_000


def usual_script(backgrounds: list[Path], foregrounds: list[Path], out: Path) -> None:
    """Composites and masks the way they are usually made."""
    pairs = list(itertools.product(backgrounds, foregrounds))
    for number in range(_SCRIPT_EXAMPLES):
        # Neighbouring pairs share files; a stride without a common divisor visits all of them.
        background_path, foreground_path = pairs[number * 7919 % len(pairs)]
        background: Image.Image = Image.open(background_path)
        foreground: Image.Image = Image.open(foreground_path)
        if background.size != (_SIDE, _SIDE):
            background = background.convert("RGB").resize((_SIDE, _SIDE))
        if max(foreground.size) > _LONGEST:
            foreground = foreground.convert("RGBA")
            foreground.thumbnail((_LONGEST, _LONGEST))
        place = (random.randint(0, _SIDE - foreground.width), random.randint(0, _SIDE - foreground.height))
        background.paste(foreground, place, foreground)
        background.save(out / f"fg_bg_{number:06d}.jpg", optimize=True, quality=30)
        mask = Image.new("L", (_SIDE, _SIDE))
        mask.paste(foreground.getchannel("A"), place)
        mask.save(out / f"mask_{number:06d}.jpg", optimize=True, quality=30)


def pictures_below(folder: Path) -> list[Path]:
    """All files, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def presize(backgrounds: Path, foregrounds: Path, out: Path) -> tuple[Path, Path]:
    """Copies of all pictures in the size in which the script uses them."""
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
    """Examples/s of the usual script."""
    out = scratch / "script"
    out.mkdir()
    start = time.perf_counter()
    usual_script(pictures_below(folders[0]), pictures_below(folders[1]), out)
    seconds = time.perf_counter() - start
    shutil.rmtree(out)
    return _SCRIPT_EXAMPLES / seconds


def build_seconds(folders: tuple[Path, Path], placements: int, scratch: Path, workers: int) -> float:
    """Seconds of `build` on `workers` threads of one process."""
    command = [sys.executable, "-m", "pipeline", "build", "--depth_model", "none", "--image_size", str(_SIDE)]
    command += ["--backgrounds", str(folders[0]), "--foregrounds", str(folders[1])]
    command += ["--data_dir", str(scratch / "build"), "--placements", str(placements)]
    command += [f"--direct_num_workers={workers}", "--direct_running_mode=multi_threading"]
    seconds = measure(command).seconds
    shutil.rmtree(scratch / "build")
    return seconds


def main() -> None:
    """Run all in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backgrounds", type=Path, required=True)
    parser.add_argument("--foregrounds", type=Path, required=True)
    parser.add_argument("--placements", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    given = (arguments.backgrounds, arguments.foregrounds)
    unit = 2 * len(pictures_below(given[0])) * len(pictures_below(given[1]))
    examples = unit * arguments.placements
    scripts: dict[str, list[float]] = {"usual script": [], "presized script": []}
    builds: dict[str, list[tuple[float, float]]] = {"build, 1 worker": [], "build, 2 workers": []}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        presized = presize(*given, scratch / "presized")
        for number in range(arguments.rounds):
            scripts["usual script"].append(script_rate(given, scratch))
            scripts["presized script"].append(script_rate(presized, scratch))
            for workers, name in ((1, "build, 1 worker"), (2, "build, 2 workers")):
                short = build_seconds(given, 1, scratch, workers)
                long = build_seconds(given, arguments.placements, scratch, workers)
                builds[name].append((examples / long, (examples - unit) / (long - short)))
            print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
    usual, kindest = (statistics.median(rates) for rates in scripts.values())
    print(f"examples/s at {_SIDE}x{_SIDE}, medians of {arguments.rounds} rounds; build: {examples:,} examples\n")
    print("| | examples/s | x usual | x presized | steady | x usual | x presized |")
    print("|---|---|---|---|---|---|---|")
    for name, rates in scripts.items():
        rate = statistics.median(rates)
        print(f"| {name} | {rate:,.0f} | {rate / usual:.1f} | {rate / kindest:.1f} | | | |")
    for name, pairs in builds.items():
        whole, steady = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"| {name} | {whole:,.0f} | {whole / usual:.1f} | {whole / kindest:.1f}"
            f" | {steady:,.0f} | {steady / usual:.1f} | {steady / kindest:.1f} |"
        )


if __name__ == "__main__":
    main()
