"""A small U-Net that sees a background and a composite, and predicts mask and depth, tested on unseen backgrounds.

    python -m pipeline build --data_dir data/ --depth_model mini --image_size 128 --placements 10 \\
        --test_fraction 0.25 --split_by background
    python examples/train_unet.py --data_dir data/ --output unet/

Takes some minutes on two cores, on datasets of any size: an epoch is a number of batches, not the whole dataset. Leaves
the network, its figures and a picture of curves and predictions. Everything is compared with what can be had without a
network, and all choices, thresholds included, are made on `train`.

- Mask: nothing, everything, and all pixels where background and composite differ by more than a threshold. Composites
  are exact, so that last one is strong here. It is not on photographs, where the light changes between two shots: the
  column "other light" repeats the test with brightness, contrast and saturation of the composite changed by up to 20 %.
- Depth: the mean, and the mean of each pixel's place. What counts as true is what the depth model of the dataset said.

With the bundled samples (7 backgrounds, 5 of them trained on) this proves that everything works, and little about depth
on unseen scenes. For that, use a hundred photographs.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_datasets as tfds

from tfds_builder import reading

Floats = npt.NDArray[np.float32]

# How far the light may change between the two pictures, in training and in the column "other light".
_OTHER_LIGHT = 0.2
# Examples to test on, and as many of `train` to choose a threshold and compute means.
_SAMPLE = 300


def unet(side: int | None, filters: int, mean_depth: float | None) -> keras.Model:
    """Two images, float32 [n, side, side, 3], to mask (0..1) and depth (metres), float32 [n, side, side, 1] each.

    The difference of the two is an input, because that is what tells foreground from background on scenes that were
    never seen. Depth is the exponential of what the last layer gives, which starts at the mean.

    Args:
        side: of the images, a multiple of 16; None for a network that takes images of any sides that are.
        filters: width of the network.
        mean_depth: in metres; None for a network that predicts the mask only, which is then its one output.
    """
    background, fg_bg = keras.Input((side, side, 3), name="background"), keras.Input((side, side, 3), name="fg_bg")
    seen = keras.layers.Concatenate()([background, fg_bg, keras.ops.abs(fg_bg - background)])
    widths = [filters, 2 * filters, 3 * filters, 4 * filters]
    # The body works at half the size, a quarter of the time; the full size comes in again at the end.
    x, passed_on = seen, []
    for width in widths:
        x = _convolve(_convolve(x, width, strides=2), width)
        passed_on.append(x)
    for width, skipped in zip(widths[-2::-1], passed_on[-2::-1], strict=True):
        x = keras.layers.Concatenate()([keras.layers.UpSampling2D(interpolation="bilinear")(x), skipped])
        x = _convolve(_convolve(x, width), width)
    x = keras.layers.Concatenate()([keras.layers.UpSampling2D(interpolation="bilinear")(x), seen])
    x = _convolve(x, filters)
    mask = keras.layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x)
    if mean_depth is None:
        return keras.Model([background, fg_bg], mask)
    start = keras.initializers.Constant(float(np.log(mean_depth)))
    depth = keras.layers.Conv2D(1, 1, activation="exponential", bias_initializer=start, name="depth")(x)
    return keras.Model([background, fg_bg], [mask, depth])


def _convolve(x: Any, width: int, strides: int = 1) -> Any:
    x = keras.layers.Conv2D(width, 3, strides, padding="same", use_bias=False)(x)
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))


def mask_loss(truth: Any, predicted: Any) -> Any:
    """Cross-entropy, and one minus the overlap (Dice), which counts small objects as much as large ones."""
    entropy = keras.ops.mean(keras.losses.binary_crossentropy(truth, predicted))
    return entropy + keras.losses.dice(truth, predicted, axis=(1, 2, 3))


def depth_loss(truth: Any, predicted: Any) -> Any:
    """The mean ratio of the two, as a logarithm: an error of a tenth counts the same near and far."""
    return keras.ops.mean(keras.ops.abs(keras.ops.log(predicted) - keras.ops.log(keras.ops.maximum(truth, 0.1))))


def learning_rate(steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """A tenth of the steps to warm up, then down to zero along a cosine."""
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=3e-3, warmup_steps=steps // 10
    )


@dataclass(frozen=True)
class Sample:
    """The first examples of a split, which are a fair sample of it, in memory.

    Attributes:
        inputs: normalised background and composite, float32 [n, H, W, 3].
        fg_bg: the composite, uint8 [n, H, W, 3].
        difference: largest difference of a channel between composite and background, [n, H, W].
        mask: bool [n, H, W].
        depth: metres, float32 [n, H, W].
        scenes: the backgrounds that occur.
    """

    inputs: tuple[Floats, Floats]
    fg_bg: npt.NDArray[np.uint8]
    difference: npt.NDArray[np.int16]
    mask: npt.NDArray[np.bool_]
    depth: Floats
    scenes: frozenset[int]

    @classmethod
    def of(cls, stored: tf.data.Dataset, builder: tfds.core.DatasetBuilder, examples: int) -> "Sample":
        """The first so many of the stored examples, with their backgrounds."""
        batch = stored.take(examples).batch(examples)
        example = next(batch.as_numpy_iterator())
        inputs, (_, depth) = next(reading.training_pairs(batch, builder).as_numpy_iterator())
        difference = np.abs(example["fg_bg"].astype(np.int16) - example["background"]).max(axis=-1)
        scenes = frozenset(example["bg"].tolist())
        return cls(inputs, example["fg_bg"], difference, example["mask"][..., 0] > 0, depth[..., 0], scenes)


def iou(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    """Intersection over union of the pixels of all masks together."""
    return float((predicted & truth).sum() / max((predicted | truth).sum(), 1))


def depth_errors(predicted: Floats, truth: Floats) -> list[float]:
    """Mean absolute error in metres, and as a fraction of the true depth."""
    error = np.abs(predicted - truth)
    return [float(error.mean()), float((error / np.maximum(truth, 0.1)).mean())]


def baselines(
    train: Sample, test: Sample, other_light: Sample
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """What can be had without a network: by name IoU and IoU in other light, and by name the two errors of depth."""
    threshold = max(range(0, 128, 2), key=lambda t: iou(train.difference > t, train.mask))
    masks = {
        "nothing": [0.0, 0.0],
        "everything": [float(test.mask.mean())] * 2,
        f"difference > {threshold}": [iou(s.difference > threshold, s.mask) for s in (test, other_light)],
    }
    depths = {
        "mean": depth_errors(np.full_like(test.depth, train.depth.mean()), test.depth),
        "mean of each place": depth_errors(np.broadcast_to(train.depth.mean(axis=0), test.depth.shape), test.depth),
    }
    return masks, depths


def table(title: str, columns: tuple[str, str], rows: dict[str, list[float]]) -> str:
    """Rows of two figures as Markdown."""
    lines = [f"| {title} | {columns[0]} | {columns[1]} |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {a:.3f} | {b:.3f} |" for name, (a, b) in rows.items())])


def draw(
    history: dict[str, list[float]],
    test: Sample,
    predicted: tuple[Floats, Floats],
    figures: dict[str, dict[str, list[float]]],
    path: Path,
) -> None:
    """Curves against the baselines, and below them some test examples beside what was predicted."""
    examples = [int(i) for i in np.linspace(0, len(test.mask) - 1, 6)]
    figure, axes = plt.subplots(len(examples) + 1, 6, figsize=(12, 2 * len(examples) + 3), layout="constrained")
    grid = axes[0, 0].get_gridspec()
    for axis in axes[0]:
        axis.remove()
    curves: tuple[tuple[str, dict[str, str], dict[str, list[float]]], ...] = (
        ("loss", {"train": "loss", "test": "val_loss"}, {}),
        ("IoU of masks", {"train": "mask_iou", "test": "val_mask_iou"}, figures["mask"]),
        ("error of depth, metres", {"train": "depth_error", "test": "val_depth_error"}, figures["depth"]),
    )
    for column, (title, lines, levels) in enumerate(curves):
        axis = figure.add_subplot(grid[0, 2 * column : 2 * column + 2], title=title, xlabel="epoch")
        for label, key in lines.items():
            axis.plot(range(1, len(history[key]) + 1), history[key], label=label)
        for number, (label, values) in enumerate((name, rows) for name, rows in levels.items() if name != "U-Net"):
            axis.axhline(values[0], color="grey", linestyle=("-", "--", ":")[number], label=label)
        axis.legend(fontsize="x-small")
    nearest, farthest = np.percentile(test.depth, [1, 99])
    for row, i in enumerate(examples, start=1):
        columns = {
            "composite": (test.fg_bg[i], None),
            "difference": (test.difference[i], (0, 255)),
            "mask": (test.mask[i], (0, 1)),
            "predicted mask": (predicted[0][i], (0, 1)),
            "depth": (test.depth[i], (nearest, farthest)),
            "predicted depth": (predicted[1][i], (nearest, farthest)),
        }
        for axis, (title, (image, limits)) in zip(axes[row], columns.items(), strict=True):
            low, high = limits or (None, None)
            axis.imshow(image, cmap="viridis_r" if "depth" in title else "grey", vmin=low, vmax=high)
            axis.set_axis_off()
            if row == 1:
                axis.set_title(title, fontsize="medium")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def load(arguments: argparse.Namespace) -> tuple[tfds.core.DatasetBuilder, dict[str, tf.data.Dataset]]:
    """The dataset, and its stored examples with their backgrounds: `train`, `test`, and `test` in other light.

    Raises:
        ValueError: it is not there, has nothing held out, lacks its companion, or four halvings of its images do not
            work out.
    """
    builder = tfds.builder(arguments.name, data_dir=arguments.data_dir)
    if not (builder.data_path / "dataset_info.json").exists():
        raise ValueError(f"There is no dataset {builder.data_path}: build it first.")
    if "test" not in builder.info.splits:
        raise ValueError(f"{builder.data_path} has no examples held out: build it with --test_fraction 0.25.")
    backgrounds = reading.load_backgrounds(builder)
    side = backgrounds.shape[1]
    if side % 16:
        raise ValueError(f"The images are {side} pixels wide: build them with --image_size a multiple of 16.")

    def change_light(number: tf.Tensor, example: reading.Example) -> reading.Example:
        seed = tf.stack([arguments.seed, number])
        return reading.jitter_colours(example, seed, jitter=0, jitter_apart=_OTHER_LIGHT)

    stored = {
        split: reading.join_backgrounds(builder.as_dataset(split=split), backgrounds) for split in ("train", "test")
    }
    return builder, stored | {"other light": stored["test"].enumerate().map(change_light)}


def fit(
    model: keras.Model, batches: tf.data.Dataset, test: Sample, arguments: argparse.Namespace
) -> dict[str, list[float]]:
    """Train, and tell losses and metrics of every epoch; nothing is chosen by those of `test`."""
    model.compile(
        keras.optimizers.Adam(learning_rate(arguments.epochs * arguments.steps)),
        loss=[mask_loss, depth_loss],
        metrics=[[keras.metrics.BinaryIoU([1], name="iou")], [keras.metrics.MeanAbsoluteError(name="error")]],
        # On processors, compiled steps take twice the time.
        jit_compile=bool(tf.config.list_physical_devices("GPU")),
    )
    return model.fit(
        batches,
        epochs=arguments.epochs,
        steps_per_epoch=arguments.steps,
        validation_data=(test.inputs, (test.mask[..., None].astype(np.float32), test.depth[..., None])),
        verbose=2,
    ).history


def train_and_test(arguments: argparse.Namespace) -> None:
    """Train, test on held-out backgrounds, and write what came of it.

    Raises:
        ValueError: the dataset will not do; see `load`. Or it has no depth, or its splits share backgrounds.
    """
    keras.utils.set_random_seed(arguments.seed)
    builder, stored = load(arguments)
    known, test, other_light = (Sample.of(examples, builder, _SAMPLE) for examples in stored.values())
    if known.scenes & test.scenes:
        raise ValueError(f"The splits of {builder.data_path} share backgrounds: build it with --split_by background.")

    shuffled = stored["train"].shuffle(500, seed=arguments.seed).repeat()
    augmented = reading.augment(shuffled, seed=arguments.seed, jitter_apart=_OTHER_LIGHT)
    batches = reading.training_pairs(augmented, builder).batch(arguments.batch_size).prefetch(2)
    model = unet(test.mask.shape[1], arguments.filters, float(known.depth.mean()))
    history = fit(model, batches, test, arguments)

    masks, depths = baselines(known, test, other_light)
    mask, depth = (array[..., 0] for array in model.predict(test.inputs, verbose=0))
    mask_in_other_light = model.predict(other_light.inputs, verbose=0)[0][..., 0]
    masks["U-Net"] = [iou(mask > 0.5, test.mask), iou(mask_in_other_light > 0.5, test.mask)]
    depths["U-Net"] = depth_errors(depth, test.depth)
    figures = {"mask": masks, "depth": depths}

    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    draw(history, test, (mask, depth), figures, output / "unet.png")
    model.save(output / "unet.keras")
    (output / "figures.json").write_text(json.dumps(figures | {"history": history}, indent=1) + "\n")
    print(f"\n{len(test.mask)} examples of {len(test.scenes)} backgrounds that were never trained on\n")
    print(table("mask", ("IoU", "IoU in other light"), masks), end="\n\n")
    print(table("depth", ("error, m", "relative"), depths))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="where `build` put the dataset")
    parser.add_argument("--name", default="fg_bg_depth", help="of the dataset")
    parser.add_argument("--output", default="unet", help="folder for the network, its figures and their picture")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50, help="batches in an epoch")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--filters", type=int, default=16, help="width of the network")
    parser.add_argument("--seed", type=int, default=0)
    try:
        train_and_test(parser.parse_args())
    except ValueError as error:
        sys.exit(f"train_unet: {error}")


if __name__ == "__main__":
    main()
