"""Trains a small U-Net that predicts mask and depth from a background and a composite; tests on unseen backgrounds.

    python -m pipeline build --data_dir data/ --depth_model mini --image_size 128 --placements 10 \\
        --test_fraction 0.25 --split_by background
    python examples/train_unet.py --data_dir data/ --output unet/

Training takes a few minutes on two cores for datasets of any size, because an epoch is a fixed number of batches. The
output is the network, its metrics, and a picture of training curves and predictions. The network is compared with
baselines. All choices, including thresholds, are made on `train`.

- Baselines for the mask: no pixel, every pixel, and the pixels where background and composite differ by more than a
  threshold. Composites are exact, so the last baseline is strong here. It is weak on photographs, where the light
  changes between two shots. The column "other light" repeats the test after changing brightness, contrast and
  saturation of the composite by up to 20 %.
- Baselines for depth: the mean, and the mean at each pixel. The ground truth is the prediction of the depth model of
  the dataset.

The bundled samples (7 backgrounds, 5 of them in `train`) are enough to test the code, but not to measure depth on
unseen scenes. Use about a hundred photographs for that.
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

# Maximum change of the light between the two pictures, in training and in the column "other light".
_OTHER_LIGHT = 0.2
# Number of examples for testing, and number of examples of `train` for choosing the threshold and computing means.
_SAMPLE = 300


def unet(side: int | None, filters: int, mean_depth: float | None) -> keras.Model:
    """Return a network from two images, float32 [n, side, side, 3], to mask (0..1) and depth (metres).

    Both outputs are float32 [n, side, side, 1]. The absolute difference of the images is an additional input, because
    it separates foreground from background on unseen scenes. Depth has an exponential activation; its initial value is
    `mean_depth`.

    Args:
        side: of the images, a multiple of 16; None for a network that accepts any such sides.
        filters: width of the network.
        mean_depth: in metres; None for a network whose only output is the mask.
    """
    background, fg_bg = keras.Input((side, side, 3), name="background"), keras.Input((side, side, 3), name="fg_bg")
    inputs = keras.layers.Concatenate()([background, fg_bg, keras.ops.abs(fg_bg - background)])
    widths = [filters, 2 * filters, 3 * filters, 4 * filters]
    # The body works at half resolution, in a quarter of the time. The inputs at full resolution are added at the end.
    x, skips = inputs, []
    for width in widths:
        x = _convolve(_convolve(x, width, strides=2), width)
        skips.append(x)
    for width, skip in zip(widths[-2::-1], skips[-2::-1], strict=True):
        x = keras.layers.Concatenate()([keras.layers.UpSampling2D(interpolation="bilinear")(x), skip])
        x = _convolve(_convolve(x, width), width)
    x = keras.layers.Concatenate()([keras.layers.UpSampling2D(interpolation="bilinear")(x), inputs])
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
    """Return the cross-entropy plus the Dice loss, which weights small and large objects equally."""
    entropy = keras.ops.mean(keras.losses.binary_crossentropy(truth, predicted))
    return entropy + keras.losses.dice(truth, predicted, axis=(1, 2, 3))


def depth_loss(truth: Any, predicted: Any) -> Any:
    """Return the mean absolute log ratio: a relative error has the same weight near and far."""
    return keras.ops.mean(keras.ops.abs(keras.ops.log(predicted) - keras.ops.log(keras.ops.maximum(truth, 0.1))))


def learning_rate(steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """A tenth of the steps to warm up, then down to zero along a cosine."""
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=3e-3, warmup_steps=steps // 10
    )


@dataclass(frozen=True)
class Sample:
    """The first examples of a split, in memory. They are a uniform sample of the split.

    Attributes:
        inputs: normalised backgrounds and composites, float32 [n, H, W, 3] each.
        fg_bg: composites, uint8 [n, H, W, 3].
        difference: maximum over the channels of the difference between composite and background, int16 [n, H, W].
        mask: bool [n, H, W].
        depth: metres, float32 [n, H, W].
        scenes: indices of the backgrounds.
    """

    inputs: tuple[Floats, Floats]
    fg_bg: npt.NDArray[np.uint8]
    difference: npt.NDArray[np.int16]
    mask: npt.NDArray[np.bool_]
    depth: Floats
    scenes: frozenset[int]

    @classmethod
    def of(cls, stored: tf.data.Dataset, builder: tfds.core.DatasetBuilder, examples: int) -> "Sample":
        """Return the first `examples` of a dataset with backgrounds."""
        batch = stored.take(examples).batch(examples)
        example = next(batch.as_numpy_iterator())
        inputs, (_, depth) = next(reading.training_pairs(batch, builder).as_numpy_iterator())
        difference = np.abs(example["fg_bg"].astype(np.int16) - example["background"]).max(axis=-1)
        scenes = frozenset(example["bg"].tolist())
        return cls(inputs, example["fg_bg"], difference, example["mask"][..., 0] > 0, depth[..., 0], scenes)


def iou(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    """Return the intersection over union of the pixels of all masks together."""
    return float((predicted & truth).sum() / max((predicted | truth).sum(), 1))


def depth_errors(predicted: Floats, truth: Floats) -> list[float]:
    """Return the mean absolute error in metres and the mean relative error."""
    error = np.abs(predicted - truth)
    return [float(error.mean()), float((error / np.maximum(truth, 0.1)).mean())]


def baselines(
    train: Sample, test: Sample, other_light: Sample
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the baselines by name: (IoU, IoU in other light) of masks, and the two errors of depth."""
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
    """Return a Markdown table with two columns of figures."""
    lines = [f"| {title} | {columns[0]} | {columns[1]} |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {a:.3f} | {b:.3f} |" for name, (a, b) in rows.items())])


def draw(
    history: dict[str, list[float]],
    test: Sample,
    predicted: tuple[Floats, Floats],
    figures: dict[str, dict[str, list[float]]],
    path: Path,
) -> None:
    """Draw the training curves with the baselines, and test examples with their predictions."""
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
    """Return the builder and the examples with backgrounds of `train`, `test`, and `test` in other light.

    Raises:
        ValueError: the dataset or its companion does not exist, it has no test split, or the side of its images is not
            a multiple of 16.
    """
    builder = tfds.builder(arguments.name, data_dir=arguments.data_dir)
    if not (builder.data_path / "dataset_info.json").exists():
        raise ValueError(f"There is no dataset {builder.data_path}: build it first.")
    if "test" not in builder.info.splits:
        raise ValueError(f"{builder.data_path} has no test split: build it with --test_fraction 0.25.")
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
    """Train the network and return losses and metrics of each epoch. Those of `test` do not affect training."""
    model.compile(
        keras.optimizers.Adam(learning_rate(arguments.epochs * arguments.steps)),
        loss=[mask_loss, depth_loss],
        metrics=[[keras.metrics.BinaryIoU([1], name="iou")], [keras.metrics.MeanAbsoluteError(name="error")]],
        # On CPUs, compiled steps take twice the time.
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
    """Train, test on held-out backgrounds, and write the results.

    Raises:
        ValueError: the dataset is not suitable (see `load`), has no depth, or its splits share backgrounds.
    """
    keras.utils.set_random_seed(arguments.seed)
    builder, stored = load(arguments)
    train, test, other_light = (Sample.of(examples, builder, _SAMPLE) for examples in stored.values())
    if train.scenes & test.scenes:
        raise ValueError(f"The splits of {builder.data_path} share backgrounds: build it with --split_by background.")

    shuffled = stored["train"].shuffle(500, seed=arguments.seed).repeat()
    augmented = reading.augment(shuffled, seed=arguments.seed, jitter_apart=_OTHER_LIGHT)
    batches = reading.training_pairs(augmented, builder).batch(arguments.batch_size).prefetch(2)
    model = unet(test.mask.shape[1], arguments.filters, float(train.depth.mean()))
    history = fit(model, batches, test, arguments)

    masks, depths = baselines(train, test, other_light)
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
    print(f"\n{len(test.mask)} examples of {len(test.scenes)} backgrounds that are not in the training split\n")
    print(table("mask", ("IoU", "IoU in other light"), masks), end="\n\n")
    print(table("depth", ("error, m", "relative"), depths))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="the --data_dir of `build`")
    parser.add_argument("--name", default="fg_bg_depth", help="name of the dataset")
    parser.add_argument("--output", default="unet", help="output folder for the network, its metrics and the picture")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50, help="batches per epoch")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--filters", type=int, default=16, help="width of the network")
    parser.add_argument("--seed", type=int, default=0)
    try:
        train_and_test(parser.parse_args())
    except ValueError as error:
        sys.exit(f"train_unet: {error}")


if __name__ == "__main__":
    main()
