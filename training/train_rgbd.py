"""Trains a network of the DenseDepth family from scratch on pictures with measured depth.

    python -m training.train_rgbd nyu_data.zip RUN                                  # the published size; needs a GPU
    python -m training.train_rgbd FOLDER RUN --input_size 224x224 --blocks 3 4 6 4 \\
        --growth_rate 16 --stem_filters 32 --decoder_filters 256                    # a small one

`rgbd` describes the layout of the data. The loss and its weights are those of DenseDepth. Targets are y = 1000 /
centimetres, so the network predicts metres. A run can be stopped at any time; the same command resumes it. `python -m
training.export RUN WEIGHTS.h5` writes the weights for `build --depth_model WEIGHTS.h5`.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import tensorflow as tf

from fgbg.depth_models.densedepth import DenseDepthArchitecture
from fgbg.depth_models.images import check_input_size
from training.distill import SETTINGS, add_network_flags, build_student
from training.loop import Pace, Schedule, train
from training.losses import LossWeights, depth_loss
from training.rgbd import batch, find_pairs

# y ranges from 1 (10 m) to 100 (0.1 m).
PAPER = LossWeights(pointwise=0.1, gradient=1.0, structure=1.0, pair=0.0, range=100.0)
PUBLISHED = DenseDepthArchitecture()


@dataclass(frozen=True, slots=True)
class Supervision:
    """The training objective: the loss of DenseDepth with equal weights for all pixels."""

    weights: LossWeights = PAPER

    def __call__(self, network: keras.Model, images: tf.Tensor, targets: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the losses of a batch by `rgbd.batch`."""
        output = network(tf.cast(images, tf.float32) / 255, training=True)[..., 0]
        return {"loss": depth_loss(targets, output, tf.ones_like(targets), self.weights)}


def main() -> None:
    """Run the command line."""
    arguments = _parser().parse_args()
    if arguments.threads:
        tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(arguments.seed)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    size = arguments.input_size
    check_input_size(size)
    pairs = find_pairs(arguments.data, arguments.csv)
    architecture = DenseDepthArchitecture(
        tuple(arguments.blocks), arguments.growth_rate, arguments.stem_filters, arguments.decoder_filters
    )
    network = build_student(architecture, (size[1], size[0]), arguments.precision, arguments.init)
    schedule = Schedule(arguments.steps, arguments.rate, arguments.warmup, arguments.minutes)
    arguments.run.mkdir(parents=True, exist_ok=True)
    record = {
        "architecture": asdict(architecture),
        "size": size,
        "kind": "metric",
        "examples": len(pairs.names),
        "batch": arguments.batch,
        "losses": asdict(PAPER),
        "precision": arguments.precision,
        "schedule": asdict(schedule),
    }
    (arguments.run / SETTINGS).write_text(json.dumps(record, indent=1))
    step = train(
        network,
        Supervision(),
        lambda number: batch(pairs, number, arguments.batch, size, arguments.seed),
        schedule,
        arguments.run,
        Pace(compiled=arguments.xla),
    )
    print(f"Finished {step} steps. Export the weights: python -m training.export {arguments.run} WEIGHTS.h5")


def _size(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="zip file or folder")
    parser.add_argument("run", type=Path, help="folder for the checkpoint and the log")
    parser.add_argument("--csv", default="nyu2_train.csv", help="name of its CSV file (nyu2_train.csv)")
    parser.add_argument("--input_size", type=_size, default=(640, 480), help="WxH of the network's input (640x480)")
    parser.add_argument("--steps", type=int, default=250_000, help="20 passes over 50,000 pairs (250000)")
    parser.add_argument("--minutes", type=float, help="stop after this time; the learning rate anneals over it")
    parser.add_argument("--batch", type=int, default=4, help="pairs per step (4)")
    parser.add_argument("--rate", type=float, default=1e-4, help="peak learning rate (1e-4)")
    parser.add_argument("--warmup", type=int, default=200, help="steps of linear warm-up (200)")
    add_network_flags(parser, PUBLISHED)
    return parser


if __name__ == "__main__":
    main()
