"""What training code on tf.data gets: joined, augmented, normalised."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st

from fgbg.documents import write_metadata
from fgbg.shard_files import write_shard
from tests.dataset_helpers import IMAGE_SIZE, SmallDataset
from tfds_builder import reading
from transforms.companions import background_examples

SEEDS = st.tuples(*[st.integers(0, 2**62)] * 2)


@pytest.fixture(scope="module", params=[16, 8, None], ids=["16-bit depth", "8-bit depth", "no depth"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SmallDataset:
    """36 examples, lossless."""
    dataset = SmallDataset(tmp_path_factory.mktemp("dataset"), depth_bits=request.param)
    write_metadata(dataset.write_all(), dataset.metadata)
    return dataset


@pytest.fixture(scope="module")
def metric(tmp_path_factory: pytest.TempPathFactory) -> SmallDataset:
    """With 16-bit depth."""
    dataset = SmallDataset(tmp_path_factory.mktemp("metric"), depth_bits=16)
    write_metadata(dataset.write_all(), dataset.metadata)
    return dataset


def builder_of(dataset: SmallDataset) -> tfds.core.DatasetBuilder:
    return tfds.builder_from_directory(dataset.files.directory)


def examples(builder: tfds.core.DatasetBuilder, split: str = "train") -> tf.data.Dataset:
    return builder.as_dataset(split=split, read_config=tfds.ReadConfig(interleave_cycle_length=1))


def arrays(dataset: tf.data.Dataset) -> Iterator[Any]:
    return iter(dataset.as_numpy_iterator())


def test_importing_brings_in_no_pipeline() -> None:
    heavy = "('apache_beam', 'transforms')"
    code = f"import sys; import tfds_builder.reading; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_backgrounds_are_those_that_were_composited(small: SmallDataset) -> None:
    table = reading.load_backgrounds(builder_of(small)).numpy()
    np.testing.assert_array_equal(table, [small.assets.background(i) for i in range(3)])


def test_backgrounds_go_by_id_in_whatever_order_they_are_stored(metric: SmallDataset, tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path, depth_bits=16)
    write_metadata(dataset.write_all(), dataset.metadata)
    rows = list(background_examples(dataset.assets, dataset.schema, range(3)))
    files = dataset.companions["background"]
    write_shard(files, split="train", index=0, count=1, examples=rows[::-1], moments={})
    table = reading.load_backgrounds(builder_of(dataset)).numpy()
    np.testing.assert_array_equal(table, reading.load_backgrounds(builder_of(metric)).numpy())


def test_a_config_has_its_own_companion(metric: SmallDataset, tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path, depth_bits=16)
    dataset.files = replace(dataset.files, config="tiny")
    dataset.companions = {kind: replace(files, config="tiny") for kind, files in dataset.companions.items()}
    write_metadata(dataset.write_all(), dataset.metadata)
    builder = builder_of(dataset)
    assert builder.data_path.parent.name == "tiny"
    table = reading.load_backgrounds(builder).numpy()
    np.testing.assert_array_equal(table, reading.load_backgrounds(builder_of(metric)).numpy())


def test_a_missing_companion_is_named(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    write_metadata(dataset.write_all(), dataset.metadata)
    builder = builder_of(dataset)
    shutil.rmtree(dataset.companions["background"].directory)
    with pytest.raises(ValueError, match=r"There is no .*small_background/1\.0\.0: keep the companion datasets"):
        reading.load_backgrounds(builder)


def test_a_companion_of_another_build_is_refused(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    write_metadata(dataset.write_all(), dataset.metadata)
    labels = Path(dataset.companions["background"].directory) / "id.labels.txt"
    labels.write_text("0\n1\nelsewhere\n")
    with pytest.raises(ValueError, match="they are of different builds"):
        reading.load_backgrounds(builder_of(dataset))


def test_a_background_of_another_size_is_not_decoded(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    write_metadata(dataset.write_all(), dataset.metadata)
    rows = [dict(row) for row in background_examples(dataset.assets, dataset.schema, range(3))]
    png = rows[1]["image"]
    assert isinstance(png, bytes)
    rows[1]["image"] = png[:16] + (60_000).to_bytes(4, "big") * 2 + png[24:]
    write_shard(dataset.companions["background"], split="train", index=0, count=1, examples=rows, moments={})
    with pytest.raises(ValueError, match=r"Background 1 of .* is no RGB PNG of 16 x 16 pixels"):
        reading.load_backgrounds(builder_of(dataset))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ('{"splits": []}', "is damaged"),
        ('{"splits": {"train": {"kinds": {"fg_bg": {"mean": "x", "std": 1}}}}}', "is damaged"),
        ('{"splits": {"train": {"kinds": {"fg_bg": {"mean": [0, 0, 0], "std": [1]}}}}}', "no usable mean"),
        ('{"splits": {"train": {"kinds": {"fg_bg": {"mean": [0, 0, NaN], "std": [0.1, 0.1, 0.1]}}}}}', "no usable"),
        ('{"splits": {"train": {"kinds": {"fg_bg": {"mean": [0, 0, 0], "std": [0.1, 0, 0.1]}}}}}', "no usable mean"),
    ],
)
def test_statistics_that_cannot_be_used(tmp_path: Path, text: str, told: str) -> None:
    dataset = SmallDataset(tmp_path)
    write_metadata(dataset.write_all(), dataset.metadata)
    Path(dataset.files.path("statistics.json")).write_text(text)
    with pytest.raises(ValueError, match=told):
        reading.colour_statistics(builder_of(dataset))


@pytest.mark.parametrize("batch", [False, True])
def test_every_example_gets_the_background_below_it(small: SmallDataset, batch: bool) -> None:
    builder = builder_of(small)
    stored = examples(builder).batch(7) if batch else examples(builder)
    joined = reading.join_backgrounds(stored, reading.load_backgrounds(builder))
    seen = set()
    for example in arrays(joined.unbatch() if batch else joined):
        np.testing.assert_array_equal(example["background"], small.assets.background(int(example["bg"])))
        # Lossless, and the placed cut-out does not reach everywhere.
        same = (example["background"] == example["fg_bg"]).all(axis=-1)
        assert same.mean() > 0.5
        assert not same[example["mask"][..., 0] > 0].all()
        seen.add(int(example["bg"]))
    assert len(seen) == 2


def test_depth_is_in_metres(small: SmallDataset) -> None:
    builder = builder_of(small)
    if small.depth_bits is None:
        with pytest.raises(ValueError, match="The dataset small has no depth: build it with another --depth_model"):
            reading.depth_metres(builder, tf.zeros([]))
        return
    for example in arrays(examples(builder)):
        metres = reading.depth_metres(builder, example["depth"]).numpy()
        assert metres.dtype == np.float32
        stored = example["depth"].astype(float)
        expected = stored / 1000 if small.depth_bits == 16 else stored / 255 * 10
        np.testing.assert_allclose(metres, expected, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "metres"), [(np.uint16, 65.535), (np.uint8, 10.0)])
def test_the_largest_depth(dtype: type, metres: float, small: SmallDataset) -> None:
    if small.depth_bits == 8 * np.dtype(dtype).itemsize:
        largest = reading.depth_metres(builder_of(small), tf.constant(np.iinfo(dtype).max, dtype))
        assert float(largest) == pytest.approx(metres, rel=1e-6)


def test_pairs_are_what_a_network_is_trained_on(small: SmallDataset) -> None:
    builder = builder_of(small)
    stored = list(arrays(examples(builder)))
    joined = reading.join_backgrounds(examples(builder), reading.load_backgrounds(builder))
    pairs = list(arrays(reading.training_pairs(joined, builder, depth=small.depth_bits is not None)))
    assert len(pairs) == len(stored) == 24
    composites = np.stack([example["fg_bg"] for example in stored]) / 255
    mean, std = composites.mean(axis=(0, 1, 2)), composites.std(axis=(0, 1, 2))
    for example, ((background, fg_bg), targets) in zip(stored, pairs, strict=True):
        expected = small.assets.background(int(example["bg"]))
        np.testing.assert_allclose(background, (expected / 255 - mean) / std, atol=1e-5)
        np.testing.assert_allclose(fg_bg, (example["fg_bg"] / 255 - mean) / std, atol=1e-5)
        mask, *depth = targets if small.depth_bits else (targets,)
        np.testing.assert_array_equal(mask, example["mask"] / 255)
        assert {array.dtype for array in (background, fg_bg, mask, *depth)} == {np.dtype(np.float32)}
        assert {array.shape for array in (mask, *depth)} == {(IMAGE_SIZE, IMAGE_SIZE, 1)}
    # Normalised over the split: mean 0, deviation 1.
    normalised = np.stack([fg_bg for (_, fg_bg), _ in pairs])
    np.testing.assert_allclose(normalised.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_a_network_can_be_fitted(metric: SmallDataset) -> None:
    import keras

    builder = builder_of(metric)
    dataset = reading.join_backgrounds(examples(builder), reading.load_backgrounds(builder))
    dataset = reading.training_pairs(reading.augment(dataset, seed=0), builder).batch(8)
    inputs = [keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3)) for _ in range(2)]
    both = keras.layers.Concatenate()(inputs)
    model = keras.Model(inputs, [keras.layers.Conv2D(1, 1, activation=a)(both) for a in ("sigmoid", "softplus")])
    model.compile(loss=["binary_crossentropy", "mae"])
    assert np.isfinite(model.fit(dataset, epochs=1, verbose=0).history["loss"]).all()


def test_pairs_need_backgrounds_and_depth(metric: SmallDataset, tmp_path: Path) -> None:
    builder = builder_of(metric)
    with pytest.raises(ValueError, match="use join_backgrounds before training_pairs"):
        reading.training_pairs(examples(builder), builder)
    depthless = SmallDataset(tmp_path)
    write_metadata(depthless.write_all(), depthless.metadata)
    builder = builder_of(depthless)
    joined = reading.join_backgrounds(examples(builder), reading.load_backgrounds(builder))
    with pytest.raises(ValueError, match="has no depth"):
        reading.training_pairs(joined, builder)


def test_statistics_are_those_of_the_split(metric: SmallDataset) -> None:
    builder = builder_of(metric)
    for split in ("train", "test"):
        pixels = np.stack([example["fg_bg"] for example in arrays(examples(builder, split))]) / 255
        mean, std = reading.colour_statistics(builder, split)
        np.testing.assert_allclose(mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-6)
        np.testing.assert_allclose(std, pixels.std(axis=(0, 1, 2)), rtol=1e-6)
        assert mean.dtype == std.dtype == np.float32
    with pytest.raises(ValueError, match="The dataset small has no split validation, only train, test"):
        reading.colour_statistics(builder, "validation")


def test_missing_statistics_are_named(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    write_metadata(dataset.write_all(), dataset.metadata)
    (Path(dataset.files.directory) / "statistics.json").unlink()
    with pytest.raises(ValueError, match=r"There is no .*statistics\.json, which `build` writes"):
        reading.colour_statistics(builder_of(dataset))


def slope_example(side: int = 32) -> dict[str, tf.Tensor]:
    """Images that tell their own place: red falls from left to right, green from top to bottom; so do the targets."""
    rows, columns = np.mgrid[0:side, 0:side]
    colours = np.stack([7 * columns, 7 * rows, 100 + 0 * rows], axis=-1).astype(np.uint8)
    depth = (1000 * columns + rows)[..., np.newaxis]
    mask = np.where((columns > 12) & (rows > 17), 255, 0)[..., np.newaxis]
    return {
        "fg_bg": tf.constant(colours),
        "background": tf.constant(colours),
        "mask": tf.constant(mask, tf.uint8),
        "depth": tf.constant(depth, tf.uint16),
        "bbox": tf.constant([18 / side, 13 / side, 1, 1]),
        "bg": tf.constant(3, tf.int64),
        "flipped": tf.constant(True),
    }


@given(seed=SEEDS, smallest=st.sampled_from([0.3, 0.6, 1.0]))
def test_all_images_move_together(seed: tuple[int, int], smallest: float) -> None:
    example = slope_example()
    changed = {
        name: value.numpy() for name, value in reading.augment_space(example, seed, smallest_crop=smallest).items()
    }
    assert {name: (value.shape, value.dtype) for name, value in changed.items()} == {
        name: (tuple(value.shape), value.dtype.as_numpy_dtype) for name, value in example.items()
    }
    columns, rows = np.divmod(changed["depth"][..., 0].astype(int), 1000)
    # Nearest neighbours carry whole pixels: what the depth says of a pixel's origin holds for its mask.
    np.testing.assert_array_equal(changed["mask"][..., 0], np.where((columns > 12) & (rows > 17), 255, 0))
    # Interpolated colours are at most a pixel off.
    assert np.abs(changed["fg_bg"][..., 0].astype(int) - 7 * columns).max() <= 7
    assert np.abs(changed["fg_bg"][..., 1].astype(int) - 7 * rows).max() <= 7
    np.testing.assert_array_equal(changed["fg_bg"], changed["background"])
    # The square is one, inside the image, not smaller than said, and not turned.
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height == width >= smallest * 32 - 1
    assert (np.diff(rows, axis=0) >= 0).all()
    assert (np.diff(columns, axis=1) >= 0).all() or (np.diff(columns, axis=1) <= 0).all()
    assert (changed["bg"], changed["flipped"]) == (3, True)


@given(seed=SEEDS)
def test_boxes_are_those_of_the_new_masks(seed: tuple[int, int]) -> None:
    changed = reading.augment_space(slope_example(), seed, smallest_crop=0.3)
    rows, columns = np.nonzero(changed["mask"].numpy()[..., 0])
    expected = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1] if len(rows) else [0, 0, 0, 0]
    np.testing.assert_array_equal(changed["bbox"], np.array(expected, np.float32) / 32)


def test_boxes_are_computed_as_they_are_stored(metric: SmallDataset) -> None:
    for example in examples(builder_of(metric)):
        np.testing.assert_array_equal(reading.mask_box(example["mask"]), example["bbox"])


def test_nothing_changes_without_flip_and_crop() -> None:
    example = slope_example()
    changed = reading.augment_space(example, (1, 2), flip=False, smallest_crop=1)
    for name, value in example.items():
        np.testing.assert_array_equal(changed[name], value)


def test_places_sizes_and_mirroring_vary() -> None:
    origins = []
    for seed in range(200):
        depth = reading.augment_space(slope_example(), (seed, 0), smallest_crop=0.5)["depth"].numpy()[..., 0]
        columns, rows = np.divmod(depth.astype(int), 1000)
        origins.append((columns.min(), rows.min(), np.ptp(rows) + 1, columns[0, 0] > columns[0, -1]))
    left, top, side, mirrored = np.array(origins).T
    assert 70 < mirrored.sum() < 130
    assert set(side) >= set(range(17, 32))
    assert abs(left.mean() - top.mean()) < 1.5
    assert max(left) > 10 < max(top)


@given(seed=SEEDS)
def test_jitter_keeps_equal_pixels_equal_and_targets_as_they_are(seed: tuple[int, int]) -> None:
    example = slope_example()
    background = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    mask = example["mask"].numpy() > 0
    example |= {
        "background": tf.constant(background),
        "fg_bg": tf.constant(np.where(mask, 255 - background, background)),
    }
    changed = reading.jitter_colours(example, seed)
    outside = ~mask[..., 0]
    np.testing.assert_array_equal(changed["fg_bg"].numpy()[outside], changed["background"].numpy()[outside])
    assert (changed["fg_bg"].numpy() != background).any()
    for name in example.keys() - {"fg_bg", "background"}:
        np.testing.assert_array_equal(changed[name], example[name])
    apart = reading.jitter_colours(example, seed, jitter_apart=0.1)
    np.testing.assert_array_equal(apart["background"], changed["background"])
    assert (apart["fg_bg"].numpy() != changed["fg_bg"].numpy()).any()


def test_no_jitter_changes_nothing() -> None:
    example = slope_example()
    changed = reading.jitter_colours(example, (1, 2), jitter=0)
    np.testing.assert_array_equal(changed["fg_bg"], example["fg_bg"])


def test_jitter_stays_within_its_bounds() -> None:
    grey = {"fg_bg": tf.fill([2, 2, 3], tf.constant(100, tf.uint8))}
    values = [int(reading.jitter_colours(grey, (seed, 0), jitter=0.1)["fg_bg"][0, 0, 0]) for seed in range(200)]
    # Contrast moves 100 to 97.25 .. 102.75 around 127.5 (saturation leaves grey alone), brightness by a tenth more.
    assert 87 <= min(values) < 92
    assert 108 < max(values) <= 113


def test_augmentation_follows_from_its_seed_and_differs_between_epochs(metric: SmallDataset) -> None:
    builder = builder_of(metric)
    joined = reading.join_backgrounds(examples(builder), reading.load_backgrounds(builder))

    def composites(seed: int) -> list[np.ndarray]:
        two_epochs = reading.augment(joined, seed=seed).repeat(2)
        return [example["fg_bg"] for example in arrays(two_epochs)]

    first, again, other = composites(0), composites(0), composites(1)
    np.testing.assert_array_equal(first, again)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))
    assert any((a != b).any() for a, b in zip(first[:24], first[24:], strict=True))


def test_partly_decoded_examples_will_do(metric: SmallDataset) -> None:
    builder = builder_of(metric)
    decoders = tfds.decode.PartialDecoding({"fg_bg": True, "mask": True, "bg": True})
    dataset = builder.as_dataset(split="train", decoders=decoders)
    joined = reading.join_backgrounds(dataset, reading.load_backgrounds(builder))
    pairs = reading.training_pairs(reading.augment(joined, seed=0), builder, depth=False)
    assert len(list(pairs)) == 24
