"""Peak memory of the whole process tree of `plan` and `build` with pictures as large as are accepted.

    python benchmarks/large_pictures.py [--threads 8]

A background of 168 megapixels as JPEG and as PNG, and a cut-out of 99 megapixels as PNG, made on the spot, without
depth. All other flags go to `plan` and `build`.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from process_tree import measure

_BACKGROUND = 14_000, 12_000
_CUTOUT = 9_950, 9_950


def main() -> None:
    """Make the pictures, run the commands and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=8)
    arguments, flags = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder))
        command = [sys.executable, "-m", "pipeline"]
        inputs = [f"--{kind}={folder}/{kind}" for kind in ("backgrounds", "foregrounds")]
        inputs += ["--depth_model=none", "--placements=2", "--examples_per_shard=1", *flags]
        threads = ["--direct_running_mode=multi_threading", f"--direct_num_workers={arguments.threads}"]
        for name, more in (("plan", []), ("build", [f"--data_dir={folder}/data", *threads])):
            usage = measure([*command, name, *inputs, *more])
            print(f"{name:>5}: peak {usage.peak_rss / 1e6:,.0f} MB, {usage.seconds:.0f} s", flush=True)


def make_pictures(folder: Path) -> None:
    """Write the backgrounds and the cut-out: smooth colours with some noise, which compress like photographs."""
    for kind in ("backgrounds", "foregrounds"):
        (folder / kind).mkdir()
    background = _photograph(*_BACKGROUND)
    background.save(folder / "backgrounds/large_jpeg.jpg", quality=90)
    background.save(folder / "backgrounds/large_png.png", compress_level=1)
    cutout = _photograph(*_CUTOUT)
    width, height = _CUTOUT
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    cutout.putalpha(Image.fromarray((255 * (x * x + y * y < 0.9)).astype(np.uint8)))
    cutout.save(folder / "foregrounds/large.png", compress_level=1)


def _photograph(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(0)
    smooth = Image.fromarray(random.integers(0, 240, (12, 14, 3), np.uint8)).resize((width, height))
    noise = Image.fromarray(random.integers(0, 16, (512, 512, 3), np.uint8))
    for top in range(0, height, 512):
        for left in range(0, width, 512):
            box = (left, top, min(left + 512, width), min(top + 512, height))
            part = np.asarray(smooth.crop(box)) + np.asarray(noise)[: box[3] - top, : box[2] - left]
            smooth.paste(Image.fromarray(part), box)
    return smooth


if __name__ == "__main__":
    main()
