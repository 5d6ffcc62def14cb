"""For training code on tf.data: backgrounds joined to the composites, augmentation, depth in metres, normalised pairs.

    builder = tfds.builder("fg_bg_depth", data_dir="data/")
    train = builder.as_dataset(split="train", shuffle_files=True)
    train = reading.join_backgrounds(train, reading.load_backgrounds(builder)).shuffle(1000)
    train = reading.augment(train, seed=0)
    train = reading.training_pairs(train, builder).batch(32).prefetch(tf.data.AUTOTUNE)
    # ((background, fg_bg), (mask, depth))

Until `training_pairs`, examples are dictionaries of the fields as they are stored, and any step can be left out.
"""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_datasets as tfds

from fgbg.features import EIGHT_BIT_RANGE_METRES, MILLIMETRES_PER_METRE
from fgbg.picture_headers import PictureHeader, read_header

Example = dict[str, tf.Tensor]

# The pictures a network sees, and the maps it is to predict.
_INPUTS = ("background", "fg_bg")
_TARGETS = ("mask", "depth")

# Weights of red, green and blue in the brightness that a grey picture shows (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


def load_backgrounds(builder: tfds.core.DatasetBuilder) -> tf.Tensor:
    """The decoded backgrounds of the companion dataset NAME_background as one table: row `bg` is that background.

    Returns:
        uint8 [B, H, W, 3], in main memory: 15 MB for 100 backgrounds of 224x224.

    Raises:
        ValueError: the companion is not beside the dataset, does not hold every background once, or holds a picture
            of another size.
    """
    names = builder.info.features["bg"].names
    path = _companion_folder(builder)
    if not (path / "dataset_info.json").exists():
        raise ValueError(f"There is no {path}: keep the companion datasets beside {builder.data_path}.")
    companion = tfds.builder_from_directory(path)
    # Pictures are decoded when their sizes are known to be right: until then they may be of any size.
    stored = companion.as_dataset(split="train", decoders={"image": tfds.decode.SkipDecoding()})
    rows = list(stored.as_numpy_iterator())
    if companion.info.features["id"].names != names or sorted(row["id"] for row in rows) != list(range(len(names))):
        raise ValueError(f"{path} does not hold the backgrounds of {builder.data_path}: they are of different builds.")
    rows.sort(key=lambda row: row["id"])
    side = builder.info.features["fg_bg"].shape[0]
    for row in rows:
        if read_header(row["image"]) != PictureHeader("PNG", side, side, 3, 8):
            raise ValueError(f"Background {row['id']} of {path} is no RGB PNG of {side} x {side} pixels.")
    images = [tf.io.decode_png(row["image"], channels=3).numpy() for row in rows]
    # A tensor, because tf.data copies arrays into its graph as constants; on the processor, where tf.data works.
    with tf.device("CPU:0"):
        return tf.constant(np.stack(images))


def join_backgrounds(dataset: tf.data.Dataset, backgrounds: tf.Tensor) -> tf.data.Dataset:
    """Add to every example, or batch of examples, `background`: uint8 [..., H, W, 3], the one that its `bg` names.

    Args:
        dataset: examples with `bg`.
        backgrounds: uint8 [B, H, W, 3] of `load_backgrounds`.
    """
    return dataset.map(
        lambda example: example | {"background": tf.gather(backgrounds, example["bg"])}, tf.data.AUTOTUNE
    )


def depth_metres(builder: tfds.core.DatasetBuilder, depth: tf.Tensor) -> tf.Tensor:
    """Stored depth, uint16 or uint8 of any shape, to metres, float32 of that shape.

    Raises:
        ValueError: the dataset has no depth.
    """
    if "depth" not in builder.info.features:
        raise ValueError(f"The dataset {builder.name} has no depth: build it with another --depth_model than none.")
    if builder.info.features["depth"].np_dtype == np.uint16:
        return tf.cast(depth, tf.float32) / MILLIMETRES_PER_METRE
    return tf.cast(depth, tf.float32) / 255 * EIGHT_BIT_RANGE_METRES


def colour_statistics(
    builder: tfds.core.DatasetBuilder, split: str = "train"
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation of the composites of a split, of colours from 0 to 1: float32 [3] each.

    Raises:
        ValueError: the dataset has no statistics.json, or it says nothing that can be used of this split.
    """
    path = builder.data_path / "statistics.json"
    if not path.exists():
        raise ValueError(f"There is no {path}, which `build` writes: the dataset was copied without it.")
    try:
        splits = json.loads(path.read_text())["splits"]
        kinds = {name: described["kinds"]["fg_bg"] for name, described in splits.items()}
        colours = {
            name: (np.asarray(kind["mean"], np.float32), np.asarray(kind["std"], np.float32))
            for name, kind in kinds.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged; restore it or let `fgbg report --recompute` make it again.") from error
    if split not in colours:
        raise ValueError(f"The dataset {builder.name} has no split {split}, only {', '.join(colours)}.")
    mean, std = colours[split]
    # Pixels are divided by the deviation, and networks learn nothing from what is not a number.
    if mean.shape != (3,) or std.shape != (3,) or not (np.isfinite(mean).all() and (std > 0).all() and (std < 1).all()):
        raise ValueError(f"{path} has no usable mean and standard deviation of the colours of {split}.")
    return mean, std


def augment(
    dataset: tf.data.Dataset,
    *,
    seed: int,
    flip: bool = True,
    smallest_crop: float = 0.6,
    jitter: float = 0.2,
    jitter_apart: float = 0.0,
) -> tf.data.Dataset:
    """Each example through `augment_space` and `jitter_colours`, drawn from `seed` and different in every epoch."""
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2, drop_remainder=True)

    def change(example: Example, draw: tf.Tensor) -> Example:
        placed = augment_space(example, draw, flip=flip, smallest_crop=smallest_crop)
        return jitter_colours(placed, draw, jitter=jitter, jitter_apart=jitter_apart)

    return tf.data.Dataset.zip(dataset, seeds).map(change, tf.data.AUTOTUNE)


def augment_space(example: Example, seed: tf.Tensor, *, flip: bool = True, smallest_crop: float = 0.6) -> Example:
    """Mirror left-right (every other time) and cut out a random square, resized back: the same for all images.

    Colours are interpolated; mask and depth take the nearest pixel, so masks stay binary and no depth is made up
    between an object and what is behind it. The square is not bound to contain the object. `bbox` becomes the box of
    the new mask, all zeros if that is empty. Depth keeps its values: a cut-out is a longer lens, not another scene.
    `flipped` and the other fields tell the origin and stay.

    Args:
        example: one example, as stored; of its images [H, W, C] those that are there are changed.
        seed: integers [2]; decides everything.
        flip: whether to mirror.
        smallest_crop: side of the smallest square as a fraction of the image side; 1 to cut nothing out.
    """
    images = {name: example[name] for name in (*_INPUTS, *_TARGETS) if name in example}
    side = next(iter(images.values())).shape[0]
    draws = tf.random.stateless_uniform([4], seed)
    cut = tf.cast(tf.round(side * (smallest_crop + (1 - smallest_crop) * draws[0])), tf.int32)
    # Each of the side - cut + 1 places is equally likely.
    top, left = tf.unstack(tf.cast(draws[1:3] * tf.cast(side - cut + 1, tf.float32), tf.int32))
    mirror = tf.logical_and(flip, draws[3] < 0.5)

    def change(name: str, image: tf.Tensor) -> tf.Tensor:
        square = image[top : top + cut, left : left + cut]
        resized = tf.image.resize(square, [side, side], "nearest" if name in _TARGETS else "bilinear")
        resized = tf.cast(resized if name in _TARGETS else tf.round(resized), image.dtype)
        changed = tf.cond(mirror, lambda: resized[:, ::-1], lambda: resized)
        return tf.ensure_shape(changed, image.shape)

    changed = {name: change(name, image) for name, image in images.items()}
    if "bbox" in example and "mask" in example:
        changed["bbox"] = mask_box(changed["mask"])
    return example | changed


def mask_box(mask: tf.Tensor) -> tf.Tensor:
    """The box of a mask [H, W, 1]: float32 [ymin, xmin, ymax, xmax] in 0..1; all zeros if it is empty."""
    side = mask.shape[0]
    inside = mask[..., 0] > 0
    rows, columns = (tf.where(tf.reduce_any(inside, axis))[:, 0] for axis in (1, 0))
    box = tf.cond(
        tf.size(rows) > 0,
        lambda: tf.stack([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]),
        lambda: tf.zeros(4, tf.int64),
    )
    return tf.cast(box, tf.float32) / side


def jitter_colours(example: Example, seed: tf.Tensor, *, jitter: float = 0.2, jitter_apart: float = 0.0) -> Example:
    """Change brightness, contrast and saturation of `fg_bg` and `background`, never of what is to be predicted.

    Both get the same change, so the composite stays equal to the background outside the mask, as it was made. With
    `jitter_apart` the composite gets a second change of its own: for use on photographs, where the light has changed
    between the two and a plain difference is no mask.

    Args:
        example: one example, as stored; fg_bg, background: uint8 [..., 3].
        seed: integers [2]; decides everything.
        jitter: largest change of each of the three, as a factor of 1 - jitter .. 1 + jitter.
        jitter_apart: the same, of the composite alone.
    """
    # Not the numbers that `augment_space` draws from the same seed.
    together, apart = tf.unstack(tf.random.experimental.stateless_split(seed, 3)[1:])
    changed = {name: _change_colours(example[name], together, jitter) for name in _INPUTS if name in example}
    if jitter_apart and "fg_bg" in changed:
        changed["fg_bg"] = _change_colours(changed["fg_bg"], apart, jitter_apart)
    return example | changed


def training_pairs(
    dataset: tf.data.Dataset, builder: tfds.core.DatasetBuilder, *, depth: bool = True
) -> tf.data.Dataset:
    """Examples with `background` to what `fit` takes: ((background, fg_bg), (mask, depth)), all float32.

    background, fg_bg: [..., H, W, 3], minus the mean and divided by the standard deviation of the composites in
    `train`; both by the same, so that equal colours stay equal. mask: [..., H, W, 1], 0 or 1. depth: [..., H, W, 1],
    metres.

    Args:
        dataset: examples or batches of them, as stored, after `join_backgrounds`.
        builder: the dataset they come from.
        depth: False for ((background, fg_bg), mask).

    Raises:
        ValueError: `background` was not joined, or there is no depth or no statistics.json.
    """
    if "background" not in dataset.element_spec:
        raise ValueError("The examples have no background: use join_backgrounds before training_pairs.")
    mean, std = colour_statistics(builder)

    def normalise(image: tf.Tensor) -> tf.Tensor:
        return (tf.cast(image, tf.float32) / 255 - mean) / std

    def pair(example: Example) -> tuple[Any, Any]:
        inputs = tuple(normalise(example[name]) for name in _INPUTS)
        mask = tf.cast(example["mask"] > 0, tf.float32)
        return inputs, (mask, depth_metres(builder, example["depth"])) if depth else mask

    if depth:
        depth_metres(builder, tf.zeros([]))  # raises
    return dataset.map(pair, tf.data.AUTOTUNE)


def _companion_folder(builder: tfds.core.DatasetBuilder) -> Any:
    """DATA_DIR/NAME_background/[CONFIG/]VERSION of a dataset in DATA_DIR/NAME/[CONFIG/]VERSION."""
    folder = builder.data_path
    if "/" in builder.name or builder.name.startswith("."):
        raise ValueError(f"{folder} has no usable name of a dataset: {builder.name!r}.")
    dataset = folder.parent if folder.parent.name == builder.name else folder.parent.parent
    return dataset.parent / f"{builder.name}_background" / folder.relative_to(dataset)


def _change_colours(image: tf.Tensor, seed: tf.Tensor, amount: float) -> tf.Tensor:
    """uint8 [..., 3] in other light, by a function of each pixel alone."""
    brightness, contrast, saturation = tf.unstack(tf.random.stateless_uniform([3], seed, 1 - amount, 1 + amount))
    colours = tf.cast(image, tf.float32)
    grey = tf.reduce_sum(colours * _LUMA, axis=-1, keepdims=True)
    colours = grey + (colours - grey) * saturation
    # Around the same grey for all images, not each around its own mean: equal pixels of two images stay equal.
    colours = (127.5 + (colours - 127.5) * contrast) * brightness
    return tf.cast(tf.round(tf.clip_by_value(colours, 0, 255)), image.dtype)
