"""Seconds that one look at the finished shards takes, for so many of them on the local disk.

    python benchmarks/progress_scale.py [--shards 1000 10000 100000]

Half of the shards are there, spread over all of them, as while a build runs. Once as the progress bar of the launcher
counts them, again and again, and once as all workers together look for them, when a build starts.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fgbg.cross_product import CrossProduct, ShardLayout, make_splits
from fgbg.shard_files import DatasetFiles
from transforms.finding import FinishedExamples, find_finished, shard_spans


def main() -> None:
    """Make empty files, look, print a line for each number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=[1000, 10_000, 100_000])
    for shards in parser.parse_args().shards:
        with tempfile.TemporaryDirectory() as scratch:
            look(Path(scratch), shards)


def look(scratch: Path, shards: int) -> None:
    """Print how long both ways of looking take."""
    product = CrossProduct(shards, 3, 1)
    splits = make_splits(product, test_fraction=0.0, split_by="example", seed=0)
    layout = ShardLayout(product, splits, 6, 0)
    files = DatasetFiles(str(scratch), "many", "1.0.0", "tfrecord")
    folder = Path(files.directory)
    folder.mkdir(parents=True)
    for index in range(0, shards, 2):
        os.close(os.open(folder / files.shard_name("train", index, shards), os.O_CREAT))
    finished = FinishedExamples(files, layout)
    counting = timed(finished.count)
    finding = timed(lambda: [find_finished(files, span) for span in shard_spans(layout)])
    print(f"{shards:,} shards: {counting:.2f} s to count, {finding:.2f} s to find", flush=True)


def timed(function: Callable[[], object]) -> float:
    """Seconds, the least of three."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
