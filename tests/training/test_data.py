"""Training data: splits of pictures, prepared composites, and batches."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgbg.depth_models.images import depth_from_output
from tests.training.helpers import SIZE, BrightnessTeacher, write_pictures
from training.distill import Batching, Composites
from training.prepare import Recipe, detects_object, make_part, part_name
from training.sources import Pool, Split, split_pictures
from training.synthesis import Augmentation, Painter, region_map
from training.targets import output_from_inverse

RECIPE = Recipe(size=SIZE, bare=6, cutouts=3)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def split(pictures: Path) -> Split:
    return split_pictures([pictures], 0.4, 0)


@pytest.fixture(scope="module")
def data(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for part in range(2):
        painter = Painter(split.train, SIZE, RECIPE.augmentation)
        arrays = make_part(part, painter, BrightnessTeacher(), RECIPE, 1.2)
        (folder / part_name(part)).mkdir()
        for name, array in arrays.items():
            np.save(folder / part_name(part) / f"{name}.npy", array)
    return folder


def names(pool: Pool) -> set[str]:
    return {path.name for path in pool.backgrounds} | {f"fg {path.name}" for path in pool.foregrounds}


def test_every_picture_is_in_exactly_one_set(split: Split) -> None:
    assert not names(split.train) & names(split.held_out)
    assert len(names(split.train)) + len(names(split.held_out)) == 20
    assert split.held_out.backgrounds
    assert split.held_out.foregrounds


def test_split_depends_on_the_content_of_pictures(pictures: Path, split: Split, tmp_path: Path) -> None:
    """A picture stays in its set when it is renamed, moved or recompressed, and when a reduced copy is added."""
    (tmp_path / "backgrounds").mkdir()
    for path in (pictures / "backgrounds").rglob("*.png"):
        picture = Image.open(path).convert("RGB")
        picture.save(tmp_path / "backgrounds" / f"renamed {path.name}")
        picture.resize((96, 80), Image.Resampling.BOX).save(tmp_path / "backgrounds" / f"copy {path.stem}.jpg")
    shutil.copytree(pictures / "foregrounds", tmp_path / "foregrounds")
    other = split_pictures([tmp_path], 0.4, 0)
    for before, after in ((split.train, other.train), (split.held_out, other.held_out)):
        assert {f"renamed {path.name}" for path in before.backgrounds} == {path.name for path in after.backgrounds}


def test_seed_changes_the_split(pictures: Path, split: Split) -> None:
    assert names(split_pictures([pictures], 0.4, 1).held_out) != names(split.held_out)


def test_held_out_pictures_are_not_needed(pictures: Path, split: Split, tmp_path: Path) -> None:
    """A part is the same if the held-out pictures do not exist."""
    copy = tmp_path / "copy"
    copied = []
    for paths in (split.train.backgrounds, split.train.foregrounds):
        for path in paths:
            target = copy / path.relative_to(pictures)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        copied.append(tuple(copy / path.relative_to(pictures) for path in paths))
    parts = [
        make_part(0, Painter(pool, SIZE, RECIPE.augmentation), BrightnessTeacher(), RECIPE, 1.2)
        for pool in (split.train, Pool(*copied))
    ]
    for name, array in parts[0].items():
        np.testing.assert_array_equal(array, parts[1][name])


def test_part_contains_labelled_composites(data: Path) -> None:
    arrays = {path.stem: np.load(path) for path in (data / part_name(0)).glob("*.npy")}
    assert len(arrays["fg_bg"]) > 6
    teacher = BrightnessTeacher()
    for i, bare in enumerate(arrays["bare_index"]):
        region = np.kron(arrays["region"][i], np.ones((2, 2)))
        outside = region == 0
        changed = (arrays["fg_bg"][i] != arrays["bare"][bare]).any(axis=-1)
        assert changed[region == 2].mean() > 0.9
        assert changed[outside].mean() < 0.02
        label = output_from_inverse(teacher.inverse_depth(arrays["fg_bg"][i], (32, 32)))
        np.testing.assert_allclose(arrays["target"][i], label, atol=4e-3)


def test_composites_without_a_detected_object_are_dropped(split: Split) -> None:
    painter = Painter(split.train, SIZE, RECIPE.augmentation)
    arrays = make_part(0, painter, BrightnessTeacher(), Recipe(size=SIZE, bare=4, margin=9.0, unseen=0.0), 1.2)
    assert arrays["fg_bg"].shape == (0, SIZE, SIZE, 3)
    assert arrays["bare"].shape == (4, SIZE, SIZE, 3)


def test_detects_object() -> None:
    region = np.zeros((8, 8), np.uint8)
    region[2:6, 2:6] = 1
    region[3:5, 3:5] = 2
    bare = np.full((8, 8), 0.3, np.float32)
    inverse = np.where(region == 2, np.float32(0.4), bare)
    assert detects_object(inverse, bare, region, 0.08, 0.05)
    assert not detects_object(inverse, bare, region, 0.12, 0.05)
    assert not detects_object(inverse, bare + 0.07, region, 0.08, 0.05)
    assert not detects_object(inverse, bare, np.zeros_like(region), 0.08, 0.05)


def test_region_map() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[30:34, 30:34] = 255
    region = region_map(mask, (64, 64), ring=5)
    assert (region == 2).sum() == 16
    assert region[32, 26] == 1
    assert region[32, 22] == 0


def test_batches_depend_only_on_the_step(data: Path) -> None:
    batching = Batching(pairs=2, singles=1)
    sequential, random_access = Composites(data), Composites(data)
    batches = [sequential.batch(step, batching) for step in range(12)]
    for step in (11, 0, 5):
        for one, other in zip(batches[step], random_access.batch(step, batching), strict=True):
            np.testing.assert_array_equal(one, other)
    images, targets, regions, colours = batches[0]
    assert images.shape == (5, SIZE, SIZE, 3)
    assert images.dtype == np.uint8
    assert targets.shape == regions.shape == (5, 32, 32)
    assert not regions[3:].any()
    np.testing.assert_array_equal(colours[:2], colours[3:])


def test_batches_of_smaller_size_are_area_averages(data: Path) -> None:
    whole = Composites(data).batch(0, Batching(pairs=2))
    small = Composites(data).batch(0, Batching(pairs=2, size=SIZE // 2))
    assert [array.shape[1:3] for array in small[:3]] == [(32, 32), (16, 16), (16, 16)]
    means = whole[0].reshape(4, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small[0], means, atol=0.51)
    np.testing.assert_allclose(small[1], whole[1].reshape(4, 16, 2, 16, 2).mean(axis=(2, 4)), rtol=1e-5)


def test_pairs_share_background_and_mirroring(data: Path) -> None:
    for step in range(4):
        images, _, regions, _ = Composites(data).batch(step, Batching(pairs=3))
        for pair in range(3):
            outside = np.kron(regions[pair], np.ones((2, 2))) == 0
            same = (images[pair] == images[pair + 3]).all(axis=-1)
            assert same[outside].mean() > 0.98


def test_each_epoch_contains_every_composite_once(data: Path) -> None:
    composites = Composites(data)
    indices = [composites._index(position, 3) for position in range(2 * len(composites))]
    assert sorted(indices[: len(composites)]) == sorted(indices[len(composites) :]) == list(range(len(composites)))


def test_targets_are_converted_to_metres_by_the_common_formula() -> None:
    metres = depth_from_output(output_from_inverse(np.array([0, 0.6, 1.2], np.float32)))
    np.testing.assert_allclose(metres, [10, 10 / 5.5, 1], rtol=1e-6)


def test_augmentation_of_zero_keeps_the_picture(split: Split) -> None:
    nothing = Augmentation((1, 1), (0.5, 0.5), 0, 0, 0, 0, 0)
    painter = Painter(Pool(split.train.backgrounds[:1], split.train.foregrounds[:1]), SIZE, nothing)
    one = painter.bare(np.random.default_rng(0))
    assert abs(one.mean() - np.asarray(Image.open(split.train.backgrounds[0])).mean()) < 4
