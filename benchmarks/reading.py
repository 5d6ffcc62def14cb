"""Compares the speed of reading a dataset with that of reading the same images from individual files.

    python benchmarks/reading.py --backgrounds DIR --foregrounds DIR [--placements 1] [--depth_model nyu] [--rounds 5]

The benchmark builds the same dataset in both file formats and writes the JPEG and PNG bytes of its first examples to
individual files: `fg_bg/00000000.jpg`, `mask/00000000.png` and so on. Then each reader reads and decodes these examples
once per round, after one round that is not timed:

- with tf.data and as many threads as cores: `tfds.load`, and tf.data over the list of files;
- in one thread without TensorFlow: `tfds.data_source` of ArrayRecord files in random order, and a loop over the files
  in the same order with OpenCV, which TFDS uses for decoding, or with Pillow.

Each reader decodes all images, or only the mask: TFDS by `PartialDecoding` or `SkipDecoding`, the others by opening
only the masks. All data are in the page cache. On a cold or remote disk, opening a file per image would dominate.
Examples/s are medians over the rounds. The ratios are relative to tf.data over files and to OpenCV over files.
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
    """Build the same dataset in both file formats."""
    for file_format, folder in _DATA_DIRS.items():
        command = [sys.executable, "-m", "pipeline", "build", "--data_dir", str(scratch / folder)]
        command += ["--backgrounds", str(arguments.backgrounds), "--foregrounds", str(arguments.foregrounds)]
        command += ["--file_format", file_format, "--placements", str(arguments.placements)]
        command += ["--image_size", str(arguments.image_size), "--depth_model", arguments.depth_model]
        command += [f"--direct_num_workers={arguments.cores}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def write_loose_files(scratch: Path, examples: int) -> list[str]:
    """Write each encoded image of the first examples to a file and return the names of the image fields."""
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
    """Exhaust an iterable and return its length."""
    return sum(1 for _ in examples)


@dataclass(frozen=True)
class Examples:
    """Examples read one after another in a given order. It can be iterated repeatedly."""

    order: list[int]
    read: Callable[[int], Any]

    def __iter__(self) -> Iterator[Any]:
        return map(self.read, self.order)


def new_readers(scratch: Path, fields: list[str], examples: int) -> dict[str, Iterable[Any]]:
    """Return the readers by name. Each iteration over a reader reads and decodes `examples` examples."""
    import cv2
    import numpy as np
    import tensorflow as tf
    import tensorflow_datasets as tfds
    from PIL import Image

    paths = {name: [str(path) for path in sorted((scratch / "loose" / name).iterdir())] for name in fields}
    order = np.random.default_rng(0).permutation(examples).tolist()
    types = {"fg_bg": tf.uint8, "mask": tf.uint8, "depth": tf.uint16}

    def tfds_load(selected: list[str]) -> Iterable[Any]:
        partial = tfds.decode.PartialDecoding(dict.fromkeys(selected, True)) if selected != fields else None
        data_dir = scratch / _DATA_DIRS["tfrecord"]
        return tfds.load(_NAME, split="train", data_dir=data_dir, decoders=partial).take(examples).prefetch(16)

    def tf_files(selected: list[str]) -> Iterable[Any]:
        def read(*example_paths: Any) -> list[Any]:
            return [
                tf.io.decode_jpeg(tf.io.read_file(path))
                if name == "fg_bg"
                else tf.io.decode_png(tf.io.read_file(path), dtype=types[name])
                for name, path in zip(selected, example_paths, strict=True)
            ]

        files = tf.data.Dataset.from_tensor_slices(tuple(paths[name] for name in selected))
        return files.map(read, tf.data.AUTOTUNE).prefetch(16)

    def data_source(selected: list[str]) -> Iterable[Any]:
        skipped = {name: tfds.decode.SkipDecoding() for name in fields if name not in selected}
        data_dir = scratch / _DATA_DIRS["array_record"]
        source = tfds.data_source(_NAME, split="train", data_dir=data_dir, decoders=skipped or None)
        return Examples(order, lambda i: source[i])

    def opencv(selected: list[str]) -> Iterable[Any]:
        return Examples(order, lambda i: [cv2.imread(paths[name][i], cv2.IMREAD_UNCHANGED) for name in selected])

    def pillow(selected: list[str]) -> Iterable[Any]:
        return Examples(order, lambda i: [np.asarray(Image.open(paths[name][i])) for name in selected])

    return {
        f"{title}{', mask only' if selected != fields else ''}": new_reader(selected)
        for selected in (fields, ["mask"])
        for title, new_reader in (
            ("`tfds.load`", tfds_load),
            ("tf.data over files", tf_files),
            ("`tfds.data_source`", data_source),
            ("OpenCV over files", opencv),
            ("Pillow over files", pillow),
        )
    }


def main() -> None:
    """Build the datasets, run the readers in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backgrounds", type=Path, required=True)
    parser.add_argument("--foregrounds", type=Path, required=True)
    parser.add_argument("--placements", type=int, default=1)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--depth_model", default="none")
    parser.add_argument("--examples", type=int, default=4_000, help="examples to read, at most those of the dataset")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    # Set before TensorFlow is imported, which starts as many threads as there are available cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        build_both(arguments, scratch)
        fields = write_loose_files(scratch, arguments.examples)
        examples = count((scratch / "loose/mask").iterdir())
        readers = new_readers(scratch, fields, examples)
        seconds: dict[str, list[float]] = {name: [] for name in readers}
        for number in range(arguments.rounds + 1):
            for name, reader in readers.items():
                start = time.perf_counter()
                if count(reader) != examples:
                    raise RuntimeError(f"{name} did not read all {examples} examples")
                # The first round is not timed because it traces graphs and opens files.
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
