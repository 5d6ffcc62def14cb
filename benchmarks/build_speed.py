"""`build --depth_model none` against the usual script, in turn, on the same pictures and number of examples.

    python benchmarks/build_speed.py --backgrounds DIR --foregrounds DIR [--pictures 40] [--placements 3] [--rounds 3]
    python benchmarks/build_speed.py --backgrounds DIR --foregrounds DIR --presized --pictures 100 --placements 2

The usual script is what people write by hand: for each image open both files with PIL, paste, save a JPEG with
`optimize` and quality 30, paste the mask and save it too. It runs in one process, as those scripts do; `build` runs
with one worker and with two. As given, the pictures are larger than the composites, so the script resizes what it
opens; with `--presized` it gets copies of the right size, made beforehand and not timed, which is the best that such a
script can do. Each timing is of the whole command; "steady" is what remains of it per example after a run with one
placement is taken off: starting up, importing, checking the inputs. Medians over the rounds.
"""

import argparse
import itertools
import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from PIL import Image
from process_tree import measure

_SIDE = 200
# The mean longest side of the cut-outs that `build` places.
_LONGEST = 95


def usual_script(backgrounds: list[Path], foregrounds: list[Path], examples: int, out: Path) -> None:
    """Composites and masks the way they are usually made."""
    out.mkdir(parents=True)
    pairs = itertools.cycle(itertools.product(backgrounds, foregrounds))
    for number, (background_path, foreground_path) in zip(range(examples), pairs, strict=False):
        background = Image.open(background_path)
        foreground = Image.open(foreground_path)
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


def copy_pictures(folder: Path, out: Path, limit: int) -> Path:
    """Copies of `limit` pictures, spread over all of them."""
    found = pictures_below(folder)
    for path in [found[i * len(found) // limit] for i in range(limit)] if limit < len(found) else found:
        copy = out / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return out


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


def pictures_below(folder: Path) -> list[Path]:
    """All files, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def time_script(folders: tuple[Path, Path], examples: int, scratch: Path) -> float:
    """Seconds of the usual script."""
    command = [sys.executable, __file__, "--script", str(scratch / "script"), "--examples", str(examples)]
    command += ["--backgrounds", str(folders[0]), "--foregrounds", str(folders[1])]
    seconds = measure(command).seconds
    shutil.rmtree(scratch / "script")
    return seconds


def time_build(folders: tuple[Path, Path], placements: int, scratch: Path, workers: int) -> float:
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
    parser.add_argument("--pictures", type=int, default=40, help="of each kind")
    parser.add_argument("--placements", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--presized", action="store_true")
    parser.add_argument("--script", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--examples", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.script:
        backgrounds, foregrounds = pictures_below(arguments.backgrounds), pictures_below(arguments.foregrounds)
        usual_script(backgrounds, foregrounds, arguments.examples, arguments.script)
        return
    runs: dict[str, list[tuple[float, float]]] = {"usual script": [], "build, 1 worker": [], "build, 2 workers": []}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        ours = script = (
            copy_pictures(arguments.backgrounds, scratch / "backgrounds", arguments.pictures),
            copy_pictures(arguments.foregrounds, scratch / "foregrounds", arguments.pictures),
        )
        if arguments.presized:
            script = presize(*ours, scratch / "presized")
        short = 2 * len(pictures_below(ours[0])) * len(pictures_below(ours[1]))
        long = short * arguments.placements
        for number in range(arguments.rounds):
            runs["usual script"].append((time_script(script, short, scratch), time_script(script, long, scratch)))
            for workers, name in ((1, "build, 1 worker"), (2, "build, 2 workers")):
                times = [time_build(ours, placements, scratch, workers) for placements in (1, arguments.placements)]
                runs[name].append((times[0], times[1]))
            print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
    print(f"{long:,} examples of {_SIDE}x{_SIDE}, medians of {arguments.rounds} rounds\n")
    print(f"{'':18}{'seconds':>9}{'examples/s':>12}{'ratio':>7}{'steady ex./s':>14}{'ratio':>7}")
    whole = {name: statistics.median(second for _, second in times) for name, times in runs.items()}
    steady = {name: statistics.median(b - a for a, b in times) / (long - short) for name, times in runs.items()}
    for name in runs:
        print(
            f"{name:18}{whole[name]:9.1f}{long / whole[name]:12.0f}{whole['usual script'] / whole[name]:7.1f}"
            f"{1 / steady[name]:14.0f}{steady['usual script'] / steady[name]:7.1f}"
        )


if __name__ == "__main__":
    main()
