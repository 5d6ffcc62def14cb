"""Reading a dataset against reading the same images from loose files, in turn.

    python benchmarks/reading.py --backgrounds DIR --foregrounds DIR [--placements 1] [--depth_model nyu] [--rounds 5]

Builds a dataset of both file formats from the same pictures, and writes the very JPEG and PNG bytes of its first
examples to loose files: `fg_bg/00000000.jpg`, `mask/00000000.png` and so on. Then every way reads those examples and
decodes them, once per round after one that is not timed:

- with tf.data, as many threads as cores: `tfds.load`, and tf.data over the list of files;
- in one thread, without TensorFlow: `tfds.data_source` of ArrayRecord files in random order, and a loop over the files
  in the same order with OpenCV (which is what TFDS decodes with) or with Pillow.

Each way decodes all images, or the mask alone: with TFDS by `PartialDecoding` or `SkipDecoding`, from files by opening
only those. All of it is in the page cache: on a cold or remote disk, opening a file for each image is what takes
the time. Examples/s are medians over the rounds; the ratios are to tf.data over files and to OpenCV over files.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NAME = "fg_bg_depth"
_SUFFIXES = {"fg_bg": ".jpg", "mask": ".png", "depth": ".png"}
_DATA_DIRS = {"tfrecord": "records", "array_record": "arrays"}


def build_both(arguments: argparse.Namespace, scratch: Path) -> None:
    """The same dataset in both file formats."""
    for file_format, folder in _DATA_DIRS.items():
        command = [sys.executable, "-m", "pipeline", "build", "--data_dir", str(scratch / folder)]
        command += ["--backgrounds", str(arguments.backgrounds), "--foregrounds", str(arguments.foregrounds)]
        command += ["--file_format", file_format, "--placements", str(arguments.placements)]
        command += ["--image_size", str(arguments.image_size), "--depth_model", arguments.depth_model]
        command += [f"--direct_num_workers={arguments.cores}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def write_loose_files(scratch: Path, examples: int) -> list[str]:
    """The encoded images of the first examples, a file each; the names of the image fields."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(_NAME, data_dir=scratch / _DATA_DIRS["tfrecord"])
    fields = [name for name in _SUFFIXES if name in builder.info.features]
    decoders = {name: tfds.decode.SkipDecoding() for name in fields}
    for name in fields:
        (scratch / "loose" / name).mkdir(parents=True)
    dataset = builder.as_dataset(split="train", decoders=decoders).take(examples)
    for number, example in enumerate(dataset.as_numpy_iterator()):
        for name in fields:
            (scratch / "loose" / name / f"{number:08d}{_SUFFIXES[name]}").write_bytes(example[name])
    return fields


def count(examples: Iterable[Any]) -> int:
    """Exhaust an iterator."""
    return sum(1 for _ in examples)


@dataclass(frozen=True)
class Examples:
    """One after the other, in this order, as often as wanted."""

    order: list[int]
    read: Callable[[int], Any]

    def __iter__(self) -> Iterator[Any]:
        return map(self.read, self.order)


def ways(scratch: Path, fields: list[str], examples: int) -> dict[str, Iterable[Any]]:
    """By name: what reads and decodes that many examples, every time it is iterated over."""
    import cv2
    import numpy as np
    import tensorflow as tf
    import tensorflow_datasets as tfds
    from PIL import Image

    paths = {name: [str(path) for path in sorted((scratch / "loose" / name).iterdir())] for name in fields}
    order = np.random.default_rng(0).permutation(examples).tolist()
    types = {"fg_bg": tf.uint8, "mask": tf.uint8, "depth": tf.uint16}

    def tfds_load(wanted: list[str]) -> Iterable[Any]:
        partial = tfds.decode.PartialDecoding(dict.fromkeys(wanted, True)) if wanted != fields else None
        data_dir = scratch / _DATA_DIRS["tfrecord"]
        return tfds.load(_NAME, split="train", data_dir=data_dir, decoders=partial).take(examples).prefetch(16)

    def tf_files(wanted: list[str]) -> Iterable[Any]:
        def read(*chosen: Any) -> list[Any]:
            return [
                tf.io.decode_jpeg(tf.io.read_file(path))
                if name == "fg_bg"
                else tf.io.decode_png(tf.io.read_file(path), dtype=types[name])
                for name, path in zip(wanted, chosen, strict=True)
            ]

        listed = tf.data.Dataset.from_tensor_slices(tuple(paths[name] for name in wanted))
        return listed.map(read, tf.data.AUTOTUNE).prefetch(16)

    def data_source(wanted: list[str]) -> Iterable[Any]:
        skipped = {name: tfds.decode.SkipDecoding() for name in fields if name not in wanted}
        data_dir = scratch / _DATA_DIRS["array_record"]
        source = tfds.data_source(_NAME, split="train", data_dir=data_dir, decoders=skipped or None)
        return Examples(order, lambda i: source[i])

    def opencv(wanted: list[str]) -> Iterable[Any]:
        return Examples(order, lambda i: [cv2.imread(paths[name][i], cv2.IMREAD_UNCHANGED) for name in wanted])

    def pillow(wanted: list[str]) -> Iterable[Any]:
        return Examples(order, lambda i: [np.asarray(Image.open(paths[name][i])) for name in wanted])

    return {
        f"{title}{', mask only' if wanted != fields else ''}": way(wanted)
        for wanted in (fields, ["mask"])
        for title, way in (
            ("`tfds.load`", tfds_load),
            ("tf.data over files", tf_files),
            ("`tfds.data_source`", data_source),
            ("OpenCV over files", opencv),
            ("Pillow over files", pillow),
        )
    }


def main() -> None:
    """Build, read in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backgrounds", type=Path, required=True)
    parser.add_argument("--foregrounds", type=Path, required=True)
    parser.add_argument("--placements", type=int, default=1)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--depth_model", default="none")
    parser.add_argument("--examples", type=int, default=4_000, help="to read; fewer if the dataset has fewer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    # Before TensorFlow is imported, which makes as many threads as it may use cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        build_both(arguments, scratch)
        fields = write_loose_files(scratch, arguments.examples)
        examples = count((scratch / "loose/mask").iterdir())
        readers = ways(scratch, fields, examples)
        seconds: dict[str, list[float]] = {name: [] for name in readers}
        for number in range(arguments.rounds + 1):
            for name, reader in readers.items():
                start = time.perf_counter()
                if count(reader) != examples:
                    raise RuntimeError(f"{name} did not read all {examples} examples")
                # The first round traces graphs and opens files.
                if number:
                    seconds[name].append(time.perf_counter() - start)
            print(f"round {number} of {arguments.rounds} done", file=sys.stderr)
        shards = count((scratch / _DATA_DIRS["tfrecord"] / _NAME / "1.0.0").glob("*.tfrecord-*"))
    print(
        f"{examples:,} examples of {' + '.join(fields)} at {arguments.image_size}x{arguments.image_size}, medians of"
        f" {arguments.rounds} rounds on {arguments.cores} cores; {shards} shards or {examples * len(fields):,} files\n"
    )
    rates = {name: examples / statistics.median(taken) for name, taken in seconds.items()}
    print("| | examples/s | x tf.data over files | x OpenCV over files |")
    print("|---|---|---|---|")
    for name, rate in rates.items():
        _, _, rest = name.partition(", ")
        others = [rates[f"{other} over files{rest and ', ' + rest}"] for other in ("tf.data", "OpenCV")]
        print(f"| {name} | {rate:,.0f} | " + " | ".join(f"{rate / other:.1f}" for other in others) + " |")


if __name__ == "__main__":
    main()
