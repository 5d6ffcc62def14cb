"""Measures time and memory of launching 10,000 backgrounds x 10,000 foregrounds x 2 x 20 = 4 billion examples.

    python benchmarks/launch_scale.py [--pictures 100 10000] [flags of build, such as --depth_model=none]

For each number of backgrounds and foregrounds, it generates tiny pictures and measures the command `plan` and the
construction of the graph of `build` up to its submission to a runner.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from process_tree import measure

_GRAPH = """
import sys, time
import apache_beam as beam
from pipeline import graph
from pipeline.parser import parse
from pipeline.build.build_plan import make_plan
from pipeline.build.resume import open_dataset
_, options, _ = parse(sys.argv[1:])
plan = make_plan(options)
start = time.perf_counter()
pipeline = beam.Pipeline(runner="FnApiRunner")
graph.build(pipeline, plan, open_dataset(plan))
size = pipeline.to_runner_api().ByteSize()
print(f"graph of {size / 1e6:.2f} MB for {plan.layout.num_shards:,} shards in {time.perf_counter() - start:.1f} s")
"""


def main() -> None:
    """Run both measurements for each number of pictures and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, nargs="+", default=[100, 10_000])
    arguments, flags = parser.parse_known_args()
    for pictures in arguments.pictures:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            make_pictures(folder, pictures)
            inputs = [f"--{kind}={folder / kind}" for kind in ("backgrounds", "foregrounds")]
            build_flags = [*inputs, f"--data_dir={folder / 'data'}", *flags]
            plan = measure([sys.executable, "-m", "pipeline", "plan", *build_flags])
            graph = measure([sys.executable, "-c", _GRAPH, "build", *build_flags])
            print(
                f"{pictures:,} + {pictures:,} pictures: plan {plan.seconds:.0f} s, {plan.peak_rss / 1e6:,.0f} MB;"
                f" graph {graph.seconds:.0f} s, {graph.peak_rss / 1e6:,.0f} MB"
                f" ({graph.output.splitlines()[-1]})",
                flush=True,
            )


def make_pictures(folder: Path, number: int) -> None:
    """Write `number` different backgrounds of 64x64 pixels and as many foregrounds of 48x48 pixels."""
    for kind in ("backgrounds", "foregrounds"):
        (folder / kind).mkdir()
    colours = np.random.default_rng(0).integers(0, 256, (number, 4, 4, 3), np.uint8)
    for i, colour in enumerate(colours):
        cv2.imwrite(str(folder / "backgrounds" / f"{i:05}.jpg"), cv2.resize(colour, (64, 64)))
        cutout = np.zeros((48, 48, 4), np.uint8)
        cutout[8:40, 8:40, :3] = cv2.resize(colour, (32, 32))
        cutout[8:40, 8:40, 3] = 255
        cv2.imwrite(str(folder / "foregrounds" / f"{i:05}.png"), cutout)


if __name__ == "__main__":
    main()
