"""Distils a teacher into a small network, with the composites that `prepare` labelled.

    python -m training.distill DATA RUN --steps 24000
    python -m training.distill DATA RUN --minutes 120

A run can be stopped at any time; the same command resumes it. A batch consists of `--pairs` composites together with
their bare backgrounds, and `--singles` composites without them. `python -m training.export RUN WEIGHTS.h5` writes the
weights. `--size 128` trains on smaller pictures at three times the speed; use it for pretraining and pass its weights
to a run at full size with `--init`.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fgbg.depth_models.densedepth import SIDE_MULTIPLE, DenseDepthArchitecture, describe_layers
from fgbg.depth_models.keras_network import build_network, set_weights
from fgbg.depth_models.weights import inspect_weights, read_weights
from training.loop import Batch, Pace, Schedule, train
from training.losses import LossWeights, depth_loss, focus_weight, pair_loss
from training.synthesis import Augmentation, colour_matrix

STUDENT = DenseDepthArchitecture(blocks=(3, 4, 6, 4), growth_rate=16, stem_filters=32, decoder_filters=256)
SETTINGS = "settings.json"

# Applied in addition to the augmentation of `prepare`. It is weak because the labels are those of the unchanged
# picture.
JITTER = Augmentation(contrast=0.1, brightness=0.05, saturation=0.15, gain=0.04)


@dataclass(frozen=True, slots=True)
class Batching:
    """The composition of a batch.

    Attributes:
        pairs: number of composites with their bare backgrounds.
        singles: number of composites without backgrounds.
        seed: seed of the order and the augmentation.
        size: side of the images, pixels, or None for the size of the prepared images.
    """

    pairs: int = 4
    singles: int = 0
    seed: int = 0
    size: int | None = None


class Composites:
    """The parts that `prepare` wrote, memory-mapped."""

    def __init__(self, data: Path) -> None:
        folders = sorted(data.glob("part-*"))
        if not folders:
            raise SystemExit(f"{data} contains no composites; create them with `python -m training.prepare`")
        names = ("fg_bg", "target", "region", "bare_index", "bare", "bare_target")
        self._parts = [{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names} for folder in folders]
        self._rows = [(part, row) for part, arrays in enumerate(self._parts) for row in range(len(arrays["fg_bg"]))]
        self.size: int = self._parts[0]["fg_bg"].shape[1]
        self._order: tuple[tuple[int, int], npt.NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, step: int, batching: Batching) -> Batch:
        """Return the batch of a step with n = 2 pairs + singles images, a pure function of its arguments.

        - images, uint8 [n, S, S, 3]: composites of pairs, single composites, then the bare backgrounds of the pairs
        - targets, float32 [n, S/2, S/2]
        - regions, uint8 [n, S/2, S/2]: all 0 for bare backgrounds
        - colours, float32 [n, 3, 4]: colour changes (see `colour_matrix`), the same for both images of a pair

        Each single composite, and each pair as a whole, is mirrored with probability 0.5.
        """
        count = batching.pairs + batching.singles
        indices = [self._index(step * count + k, batching.seed) for k in range(count)]
        random = np.random.default_rng([batching.seed, 1, step])
        flips = random.random(count) < 0.5
        colours = [colour_matrix(JITTER, random) for _ in range(count)]
        examples = []
        for index, flip, colour in zip(indices, flips, colours, strict=True):
            part, row = self._rows[index]
            arrays = self._parts[part]
            examples.append((arrays["fg_bg"][row], arrays["target"][row], arrays["region"][row], flip, colour))
        for index, flip, colour in list(zip(indices, flips, colours, strict=True))[: batching.pairs]:
            part, row = self._rows[index]
            arrays = self._parts[part]
            bare = int(arrays["bare_index"][row])
            region = np.zeros_like(arrays["region"][row])
            examples.append((arrays["bare"][bare], arrays["bare_target"][bare], region, flip, colour))
        mirrored = [
            [array[:, ::-1] if flip else array for array in arrays] + [colour] for *arrays, flip, colour in examples
        ]
        images, targets, regions, matrices = (np.stack(column) for column in zip(*mirrored, strict=True))
        side = batching.size or self.size
        return (
            _resize(images, side, cv2.INTER_AREA),
            _resize(targets.astype(np.float32), side // 2, cv2.INTER_AREA),
            _resize(regions, side // 2, cv2.INTER_NEAREST),
            matrices.astype(np.float32),
        )

    def _index(self, position: int, seed: int) -> int:
        """Return the index of the composite at a position in an endless sequence of shuffled epochs."""
        epoch, offset = divmod(position, len(self))
        if self._order is None or self._order[0] != (seed, epoch):
            self._order = (seed, epoch), np.random.default_rng([seed, 0, epoch]).permutation(len(self))
        return int(self._order[1][offset])


@dataclass(frozen=True, slots=True)
class Distillation:
    """The training objective: the loss of DenseDepth plus the pair term.

    Attributes:
        weights: weights of the terms.
        pairs: number of pairs in a batch.
        focus: weight of the pixels in and around cut-outs, relative to 1 elsewhere.
    """

    weights: LossWeights
    pairs: int
    focus: float

    def __call__(
        self, network: keras.Model, images: tf.Tensor, targets: tf.Tensor, regions: tf.Tensor, colours: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Return the losses of a batch by `Composites.batch`."""
        output = network(apply_colours(images, colours), training=True)[..., 0]
        weight = focus_weight(regions, self.focus)
        depth = depth_loss(targets, output, weight, self.weights)
        if not self.pairs:
            return {"loss": depth}
        first, last = slice(None, self.pairs), slice(-self.pairs, None)
        pair = pair_loss(targets[first], output[first], targets[last], output[last], weight[first])
        return {"loss": depth + self.weights.pair * pair, "depth": depth, "pair": pair}


def apply_colours(images: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
    """Apply colour matrices, float32 [n, 3, 4], to images, uint8 [n, h, w, 3]: float32 [n, h, w, 3] in 0..1."""
    pixels = tf.cast(images, tf.float32)
    mixed = tf.einsum("nhwc,ndc->nhwd", pixels, colours[:, :, :3]) + colours[:, tf.newaxis, tf.newaxis, :, 3]
    return tf.clip_by_value(mixed / 255, 0.0, 1.0)


def _resize(maps: npt.NDArray, side: int, interpolation: int) -> npt.NDArray:
    """Resize maps [n, h, w, ...] to [n, side, side, ...]."""
    if maps.shape[1:3] == (side, side):
        return maps
    return np.stack([cv2.resize(one, (side, side), interpolation=interpolation) for one in maps])


def main() -> None:
    """Run the command line."""
    arguments = _parser().parse_args()
    if arguments.threads:
        tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(arguments.seed)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    composites = Composites(arguments.data)
    architecture = DenseDepthArchitecture(
        tuple(arguments.blocks), arguments.growth_rate, arguments.stem_filters, arguments.decoder_filters
    )
    size = arguments.size or composites.size
    if size % SIDE_MULTIPLE:
        raise SystemExit(f"--size {size} must be a multiple of {SIDE_MULTIPLE}")
    network = build_student(architecture, (size, size), arguments.precision, arguments.init)
    batching = Batching(arguments.pairs, arguments.singles, arguments.seed, size)
    weights = LossWeights(arguments.pointwise, arguments.gradient, arguments.structure, arguments.pair)
    schedule = Schedule(arguments.steps, arguments.rate, arguments.warmup, arguments.minutes)
    record = {
        "architecture": asdict(architecture),
        "size": size,
        "composites": len(composites),
        "batching": asdict(batching),
        "losses": asdict(weights),
        "focus": arguments.focus,
        "precision": arguments.precision,
        "schedule": asdict(schedule),
        "init": str(arguments.init) if arguments.init else None,
    }
    arguments.run.mkdir(parents=True, exist_ok=True)
    (arguments.run / SETTINGS).write_text(json.dumps(record, indent=1))
    objective = Distillation(weights, batching.pairs, arguments.focus)
    step = train(
        network,
        objective,
        lambda number: composites.batch(number, batching),
        schedule,
        arguments.run,
        Pace(compiled=arguments.xla),
    )
    print(f"Finished {step} steps. Export the weights: python -m training.export {arguments.run} WEIGHTS.h5")


def build_student(
    architecture: DenseDepthArchitecture, size: tuple[int, int], precision: str = "float32", init: Path | None = None
) -> keras.Model:
    """Return the network for inputs of `size` (height, width), with random weights or those of the file `init`.

    Raises:
        SystemExit: the file has another architecture.
    """
    layers = describe_layers(architecture)
    network = build_network(layers, size, dtype="mixed_bfloat16" if precision == "bfloat16" else "float32")
    if init:
        if inspect_weights(init, str(init)).architecture != architecture:
            raise SystemExit(f"--init {init} has another architecture")
        set_weights(network, layers, read_weights(init, str(init), layers))
    else:
        # A typical target value, so that the first steps do not have to shift the whole map.
        network.get_layer(layers[-1].keras_name).bias.assign([3.0])
    return network


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that `prepare` wrote")
    parser.add_argument("run", type=Path, help="folder for the checkpoint and the log")
    parser.add_argument("--steps", type=int, default=24_000)
    parser.add_argument("--minutes", type=float, help="stop after this time; the learning rate anneals over it")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate (1e-3)")
    parser.add_argument("--warmup", type=int, default=200, help="steps of linear warm-up (200)")
    parser.add_argument("--pairs", type=int, default=4, help="composites with their bare backgrounds per batch (4)")
    parser.add_argument("--singles", type=int, default=0, help="composites without backgrounds per batch (0)")
    parser.add_argument("--size", type=int, help="side of the images (default: that of the prepared images)")
    parser.add_argument("--focus", type=float, default=4.0, help="weight of pixels in and around cut-outs (4)")
    parser.add_argument("--pair", type=float, default=0.5, help="weight of the pair term (0.5)")
    parser.add_argument("--pointwise", type=float, default=0.25, help="weight of the point-wise term (0.25)")
    parser.add_argument("--gradient", type=float, default=1.0, help="weight of the gradient term (1)")
    parser.add_argument("--structure", type=float, default=1.0, help="weight of (1 - SSIM) / 2 (1)")
    add_network_flags(parser, STUDENT)
    return parser


def add_network_flags(parser: argparse.ArgumentParser, default: DenseDepthArchitecture) -> None:
    """Add the flags that all trainings share: precision, initial weights and architecture."""
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--xla", action="store_true", help="compile the step with XLA (for a GPU)")
    parser.add_argument("--threads", type=int, default=0, help="processor threads (0: all)")
    parser.add_argument("--init", type=Path, help="weights file to start from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blocks", type=int, nargs=4, default=default.blocks)
    parser.add_argument("--growth_rate", type=int, default=default.growth_rate)
    parser.add_argument("--stem_filters", type=int, default=default.stem_filters)
    parser.add_argument("--decoder_filters", type=int, default=default.decoder_filters)


if __name__ == "__main__":
    main()
