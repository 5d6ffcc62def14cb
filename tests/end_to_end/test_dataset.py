"""What a build leaves: read back by TFDS alone, by Pillow and by hand, and compared with the inputs."""

import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from fgbg.depth_models.model import load_depth_model
from pipeline.build.build_plan import BuildPlan, make_plan
from pipeline.parser import parse
from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import NAME, Inputs, build, dataset_folder, draw_inputs, read_examples, shard_files
from transforms.pictures import load_background, load_foreground, resize_cutout
from transforms.placements import Placement, draw_placements

BACKGROUNDS, FOREGROUNDS, PLACEMENTS = 5, 4, 3
EXAMPLES = BACKGROUNDS * FOREGROUNDS * 2 * PLACEMENTS
BATCH = 4

# Next to fg_bg, mask and depth.
FIELDS = ("bg", "fg", "bg_class", "fg_class", "flipped", "placement", "bbox", "example_id")

COMMON = (f"--image_size={IMAGE_SIZE}", f"--placements={PLACEMENTS}", "--examples_per_shard=10")


@dataclass(frozen=True)
class Dataset:
    """A finished build and its records, in stored order."""

    data_dir: Path
    plan: BuildPlan
    examples: dict[str, list[dict[str, Any]]]

    @property
    def folder(self) -> Path:
        return dataset_folder(self.data_dir)

    @property
    def all_examples(self) -> list[dict[str, Any]]:
        return [example for split in self.examples.values() for example in split]

    def placements(self) -> list[Placement]:
        """What was drawn for `all_examples`."""
        ids = np.array([example["example_id"] for example in self.all_examples])
        return draw_placements(self.plan.layout, self.plan.rules, ids)

    def json(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / name).read_bytes())


def make_dataset(data_dir: Path, inputs: Inputs, *flags: str) -> Dataset:
    assert build(data_dir, inputs, *COMMON, *flags) == 0
    _, options, _ = parse(["build", *inputs.flags, f"--data_dir={data_dir}", *COMMON, *flags])
    plan = make_plan(options)
    shards = shard_files(data_dir) if options.file_format == "tfrecord" else []
    splits: dict[str, list[Path]] = {}
    for path in shards:
        splits.setdefault(path.name.removeprefix(f"{NAME}-").partition(".")[0], []).append(path)
    return Dataset(data_dir, plan, {name: read_examples(files) for name, files in splits.items()})


@pytest.fixture(scope="module")
def bad_inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """The usual inputs and two that cannot be used."""
    inputs = draw_inputs(tmp_path_factory.mktemp("bad_inputs"), IMAGE_SIZE)
    Image.new("RGBA", (30, 30), "red").save(inputs.foregrounds / "dog/opaque.png")
    (inputs.backgrounds / "notes.txt").write_text("no picture")
    return inputs


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory, bad_inputs: Inputs, weights: Path) -> Dataset:
    """PNG composites, 16-bit depth, all in `train`, two inputs left out."""
    return make_dataset(
        tmp_path_factory.mktemp("lossless"),
        bad_inputs,
        "--jpeg_quality=png",
        f"--depth_model={weights}",
        f"--depth_batch_size={BATCH}",
        "--skip_bad_inputs",
    )


@pytest.fixture(scope="module")
def jpeg(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs) -> Dataset:
    """JPEG composites, no depth, two of five backgrounds held out."""
    return make_dataset(tmp_path_factory.mktemp("jpeg"), inputs, "--depth_model=none", "--test_fraction=0.4")


@pytest.fixture(scope="module")
def array_record(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs, weights: Path) -> Dataset:
    """ArrayRecord files with 8-bit depth."""
    return make_dataset(
        tmp_path_factory.mktemp("array_record"),
        inputs,
        "--file_format=array_record",
        f"--depth_model={weights}",
        "--depth_bits=8",
        "--jpeg_quality=png",
    )


READ_WITH_TFDS_ALONE = """
import hashlib, json, shutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pipeline", "transforms", "tfds_builder", "tests"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import tensorflow_datasets as tfds

data_dir, moved_to, arrays, depthless = sys.argv[1:]

def describe(value):
    digest = hashlib.sha256(value.tobytes()).hexdigest() if hasattr(value, "tobytes") else None
    return [list(value.shape), str(value.dtype), digest]

def ids(dataset):
    return [int(example["example_id"]) for example in tfds.as_numpy(dataset)]

found = {}
dataset, info = tfds.load("fg_bg_depth", data_dir=data_dir, split="train", with_info=True)
found["examples"] = {
    int(example["example_id"]): {name: describe(value) for name, value in example.items()}
    for example in tfds.as_numpy(dataset)
}
found["splits"] = {name: [split.num_examples, split.num_shards, split.num_bytes] for name, split in info.splits.items()}
found["names"] = {name: info.features[name].names for name in ("bg", "fg", "bg_class", "fg_class")}
found["first ten"] = ids(tfds.load("fg_bg_depth:1.0.0", data_dir=data_dir, split="train[:10]"))
found["one percent"] = ids(tfds.load("fg_bg_depth", data_dir=data_dir, split="train[:1%]"))
found["halves"] = [ids(tfds.load("fg_bg_depth", data_dir=data_dir, split=s)) for s in ("train[:50%]", "train[50%:]")]
composite, (mask, depth) = tfds.load("fg_bg_depth", data_dir=data_dir, split="train", as_supervised=True).element_spec
found["supervised"] = [[list(spec.shape), spec.dtype.name] for spec in (composite, mask, depth)]
builder = tfds.builder_from_directory(data_dir + "/fg_bg_depth/1.0.0")
found["from directory"] = ids(builder.as_dataset(split="train"))
frame = tfds.as_dataframe(dataset.take(7), info)
found["frame"] = [len(frame), sorted(frame.columns)]
companions = {}
for kind in ("background", "foreground"):
    rows, about = tfds.load("fg_bg_depth_" + kind, data_dir=data_dir, split="train", with_info=True)
    companions[kind] = [
        [about.features["id"].int2str(int(row["id"])), about.features["class"].int2str(int(row["class"])),
         {name: describe(row[name]) for name in ("image", "mask") if name in row}]
        for row in tfds.as_numpy(rows)
    ]
found["companions"] = companions
shutil.move(data_dir, moved_to)
found["moved"] = ids(tfds.load("fg_bg_depth", data_dir=moved_to, split="train"))

source = tfds.data_source("fg_bg_depth", data_dir=arrays, split="train")
found["source"] = [int(source[i]["example_id"]) for i in range(len(source))]
found["source depth"] = describe(source[3]["depth"])
found["source fields"] = sorted(source[0])

pair = tfds.load("fg_bg_depth", data_dir=depthless, split="test", as_supervised=True).element_spec
found["depthless supervised"] = [[list(spec.shape), spec.dtype.name] for spec in pair]
found["depthless fields"] = sorted(tfds.load("fg_bg_depth", data_dir=depthless, split="test").element_spec)
found["ours"] = [name for name in sys.modules if name.partition(".")[0] in ("pipeline", "transforms", "tfds_builder")]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def read_by_tfds(
    lossless: Dataset, jpeg: Dataset, array_record: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What a process sees that has TFDS and nothing of this project."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    copy = shutil.copytree(lossless.data_dir, elsewhere / "before")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            READ_WITH_TFDS_ALONE,
            str(copy),
            str(elsewhere / "after" / "the move"),
            str(array_record.data_dir),
            str(jpeg.data_dir),
        ],
        cwd=elsewhere,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def digest(array: npt.ArrayLike) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.mark.slow
def test_tfds_reads_every_example_without_our_code(read_by_tfds: dict[str, Any], lossless: Dataset) -> None:
    assert read_by_tfds["ours"] == []
    side = IMAGE_SIZE
    assert len(read_by_tfds["examples"]) == EXAMPLES
    for example in lossless.all_examples:
        read = read_by_tfds["examples"][str(example["example_id"])]
        assert read == {
            "fg_bg": [[side, side, 3], "uint8", digest(example["fg_bg"])],
            "mask": [[side, side, 1], "uint8", digest(example["mask"])],
            "depth": [[side, side, 1], "uint16", digest(example["depth"].astype(np.uint16))],
            "bg": [[], "int64", digest(np.int64(example["bg"]))],
            "fg": [[], "int64", digest(np.int64(example["fg"]))],
            "bg_class": [[], "int64", digest(np.int64(example["bg_class"]))],
            "fg_class": [[], "int64", digest(np.int64(example["fg_class"]))],
            "flipped": [[], "bool", digest(np.bool_(example["flipped"]))],
            "placement": [[], "int32", digest(np.int32(example["placement"]))],
            "bbox": [[4], "float32", digest(np.array(example["bbox"], np.float32))],
            "example_id": [[], "int64", digest(np.int64(example["example_id"]))],
        }


@pytest.mark.slow
def test_tfds_slices_names_and_splits(read_by_tfds: dict[str, Any], lossless: Dataset) -> None:
    stored = [example["example_id"] for example in lossless.all_examples]
    size = sum(path.stat().st_size for path in shard_files(lossless.data_dir))
    assert read_by_tfds["splits"] == {"train": [EXAMPLES, 12, size]}
    assert sorted(read_by_tfds["first ten"]) == sorted(stored[:10])
    assert read_by_tfds["one percent"] == stored[:1]
    first, second = read_by_tfds["halves"]
    assert sorted([*first, *second]) == list(range(EXAMPLES))
    assert sorted(read_by_tfds["from directory"]) == sorted(read_by_tfds["moved"]) == list(range(EXAMPLES))
    assert read_by_tfds["frame"] == [7, sorted(["fg_bg", "mask", "depth", *FIELDS])]
    assert read_by_tfds["names"] == {
        "bg": ["river/b0", "river/b1", "street/b2", "street/b3", "wide"],
        "fg": ["cat/f0", "cat/f1", "dog/f2", "dog/f3"],
        "bg_class": ["river", "street", "unclassified"],
        "fg_class": ["cat", "dog"],
    }
    side = IMAGE_SIZE
    assert read_by_tfds["supervised"] == [
        [[side, side, 3], "uint8"],
        [[side, side, 1], "uint8"],
        [[side, side, 1], "uint16"],
    ]


@pytest.mark.slow
def test_tfds_reads_array_records_by_index(read_by_tfds: dict[str, Any], array_record: Dataset) -> None:
    stored = [
        int(i) for n in range(array_record.plan.layout.num_shards) for i in array_record.plan.layout.example_ids(n)
    ]
    assert read_by_tfds["source"] == stored
    assert read_by_tfds["source depth"][:2] == [[IMAGE_SIZE, IMAGE_SIZE, 1], "uint8"]
    assert read_by_tfds["source fields"] == sorted(["fg_bg", "mask", "depth", *FIELDS])


@pytest.mark.slow
def test_a_dataset_without_depth_has_no_depth_field(read_by_tfds: dict[str, Any], jpeg: Dataset) -> None:
    assert read_by_tfds["depthless fields"] == sorted(["fg_bg", "mask", *FIELDS])
    assert read_by_tfds["depthless supervised"] == [
        [[IMAGE_SIZE, IMAGE_SIZE, 3], "uint8"],
        [[IMAGE_SIZE, IMAGE_SIZE, 1], "uint8"],
    ]
    assert set(jpeg.json("statistics.json")["kinds"]) == {"bg", "fg", "fg_mask", "fg_bg", "mask"}
    assert jpeg.json("manifest.json")["depth_model"] is None


@pytest.mark.slow
def test_tfds_reads_the_companions(read_by_tfds: dict[str, Any], lossless: Dataset) -> None:
    plan = lossless.plan
    expected: dict[str, list[Any]] = {"background": [], "foreground": []}
    for picture in plan.backgrounds:
        pixels = load_background(Path(picture.path).read_bytes(), IMAGE_SIZE)
        shown = {"image": [[IMAGE_SIZE, IMAGE_SIZE, 3], "uint8", digest(pixels)]}
        expected["background"].append([picture.label, picture.class_name, shown])
    for picture in plan.foregrounds:
        pixels = load_foreground(Path(picture.path).read_bytes(), plan.rules.longest)
        height, width = pixels.shape[:2]
        mask = np.where(pixels[..., 3] >= 128, 255, 0).astype(np.uint8)
        shown = {
            "image": [[height, width, 4], "uint8", digest(pixels)],
            "mask": [[height, width, 1], "uint8", digest(mask)],
        }
        expected["foreground"].append([picture.label, picture.class_name, shown])
    assert read_by_tfds["companions"] == expected


def test_every_example_is_there_once_and_says_what_it_is(lossless: Dataset, jpeg: Dataset) -> None:
    for dataset in (lossless, jpeg):
        assert sorted(example["example_id"] for example in dataset.all_examples) == list(range(EXAMPLES))
        for example in dataset.all_examples:
            factors = (example["bg"] * FOREGROUNDS + example["fg"]) * 2 + example["flipped"]
            assert example["example_id"] == factors * PLACEMENTS + example["placement"]
            assert example["bg_class"] == [0, 0, 1, 1, 2][example["bg"]]
            assert example["fg_class"] == [0, 0, 1, 1][example["fg"]]
            assert {"fg_bg", "mask", *FIELDS} <= set(example)
        assert not [example for example in dataset.all_examples if ("depth" in example) != (dataset is lossless)]


def test_stored_encodings(lossless: Dataset, jpeg: Dataset) -> None:
    for example in lossless.all_examples:
        assert example["fg_bg format"] == ("PNG", "RGB")
        assert example["mask format"] == ("PNG", "L")
        assert example["depth format"][0] == "PNG"
        assert example["depth"].max() > 255  # not 8 bits
    assert {example["fg_bg format"] for example in jpeg.all_examples} == {("JPEG", "RGB")}


def test_masks_are_binary_and_boxes_are_theirs(lossless: Dataset) -> None:
    for example in lossless.all_examples:
        mask = example["mask"]
        assert set(np.unique(mask)) == {0, 255}
        rows, columns = np.nonzero(mask)
        box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        np.testing.assert_array_equal(example["bbox"], np.float32(np.array(box) / IMAGE_SIZE))


def composite_with_pillow(dataset: Dataset, placement: Placement) -> tuple[Image.Image, np.ndarray]:
    """Composite and mask, drawn with Pillow from the input files."""
    background = Path(dataset.plan.backgrounds[placement.background].path)
    with Image.open(background) as opened:
        photo = opened.convert("RGB")
    if min(photo.size) == IMAGE_SIZE:
        left, top = (photo.width - IMAGE_SIZE) // 2, (photo.height - IMAGE_SIZE) // 2
        photo = photo.crop((left, top, left + IMAGE_SIZE, top + IMAGE_SIZE))
    else:
        photo = Image.fromarray(load_background(background.read_bytes(), IMAGE_SIZE))
    data = Path(dataset.plan.foregrounds[placement.foreground].path).read_bytes()
    cutout = Image.fromarray(
        resize_cutout(load_foreground(data, dataset.plan.rules.longest), (placement.width, placement.height))
    )
    if placement.flipped:
        cutout = ImageOps.mirror(cutout)
    photo.paste(cutout, (placement.x, placement.y), cutout)
    mask = Image.new("L", photo.size)
    mask.paste(cutout.getchannel("A").point(lambda alpha: 255 if alpha >= 128 else 0), (placement.x, placement.y))
    return photo, np.asarray(mask)


def test_lossless_composites_equal_pillows_paste(lossless: Dataset) -> None:
    for example, placement in zip(lossless.all_examples, lossless.placements(), strict=True):
        composite, mask = composite_with_pillow(lossless, placement)
        np.testing.assert_array_equal(example["fg_bg"], np.asarray(composite))
        np.testing.assert_array_equal(example["mask"], mask)


def test_jpeg_composites_differ_by_the_encoding_alone(jpeg: Dataset) -> None:
    for example, placement in zip(jpeg.all_examples, jpeg.placements(), strict=True):
        composite, mask = composite_with_pillow(jpeg, placement)
        np.testing.assert_array_equal(example["mask"], mask)
        encoded = io.BytesIO()
        composite.save(encoded, "JPEG", quality=90)
        with Image.open(encoded) as opened:
            unavoidable = np.abs(np.asarray(opened, int) - np.asarray(composite, int)).mean()
        error = np.abs(np.asarray(example["fg_bg"], int) - np.asarray(composite, int)).mean()
        assert error < unavoidable + 0.5


def test_statistics_equal_numpy_over_all_decoded_pixels(lossless: Dataset) -> None:
    kinds = lossless.json("statistics.json")["kinds"]
    for kind, one in (("fg_bg", 255), ("mask", 255), ("depth", 10_000)):
        pixels = np.stack([example[kind] for example in lossless.all_examples]).astype(np.int64)
        pixels = pixels.reshape(-1, 3 if kind == "fg_bg" else 1)
        stored = kinds[kind]["stored"]
        assert kinds[kind]["images"] == EXAMPLES
        assert stored["count"] == kinds[kind]["pixels"] == len(pixels)
        assert stored["total"] == pixels.sum(axis=0).tolist()
        assert stored["total_squares"] == (pixels**2).sum(axis=0).tolist()
        assert stored["minimum"] == pixels.min(axis=0).tolist()
        assert stored["maximum"] == pixels.max(axis=0).tolist()
        assert sum(stored["histogram"][0]) == len(pixels)
        assert kinds[kind]["mean"] == (pixels.mean(axis=0) / one).tolist()
        np.testing.assert_allclose(kinds[kind]["std"], pixels.std(axis=0) / one, rtol=1e-12)
        np.testing.assert_allclose(kinds[kind]["mean_255"], pixels.mean(axis=0) / one * 255, rtol=1e-12)
    mean = kinds["mask"]["mean"][0]
    assert kinds["mask"]["std"][0] == pytest.approx(math.sqrt(mean * (1 - mean)), rel=1e-12)
    metres = np.stack([example["depth"] for example in lossless.all_examples]) / 1000
    assert kinds["depth"]["mean_metres"] == pytest.approx(metres.mean(), rel=1e-12)
    assert kinds["depth"]["std_metres"] == pytest.approx(metres.std(), rel=1e-12)


def test_statistics_are_of_the_images_before_jpeg(lossless: Dataset, jpeg: Dataset) -> None:
    before = lossless.json("statistics.json")["kinds"]
    kinds = jpeg.json("statistics.json")["kinds"]
    for kind in ("bg", "fg_bg", "mask"):
        assert kinds[kind]["stored"] == before[kind]["stored"]
    assert kinds["fg_bg"]["encoded_bytes"] < before["fg_bg"]["encoded_bytes"]


def test_statistics_of_each_split_add_up(jpeg: Dataset) -> None:
    statistics = jpeg.json("statistics.json")
    for split, examples in jpeg.examples.items():
        masks = np.stack([example["mask"] for example in examples])
        described = statistics["splits"][split]
        assert described["examples"] == len(examples)
        assert described["kinds"]["mask"]["mean"] == [masks.mean() / 255]
    assert statistics["examples"] == EXAMPLES
    assert statistics["bytes"] == sum(path.stat().st_size for path in shard_files(jpeg.data_dir))


@pytest.mark.parametrize("name", ["lossless", "jpeg", "array_record"])
def test_manifest_is_true(name: str, request: pytest.FixtureRequest) -> None:
    dataset: Dataset = request.getfixturevalue(name)
    manifest = dataset.json("manifest.json")
    for kind, pictures in (("backgrounds", dataset.plan.backgrounds), ("foregrounds", dataset.plan.foregrounds)):
        assert [one["label"] for one in manifest["inputs"][kind]] == [picture.label for picture in pictures]
        for one, picture in zip(manifest["inputs"][kind], pictures, strict=True):
            assert one["sha256"] == hashlib.sha256(Path(picture.path).read_bytes()).hexdigest()
    names = (NAME, f"{NAME}_background", f"{NAME}_foreground")
    assert set(manifest["shards"]) == set(names)
    for dataset_name, expected in zip(names, (EXAMPLES, BACKGROUNDS, FOREGROUNDS), strict=True):
        shards = [shard for split in manifest["shards"][dataset_name].values() for shard in split]
        assert sorted(shard["file"] for shard in shards) == [
            path.name for path in shard_files(dataset.data_dir, dataset_name)
        ]
        assert sum(shard["examples"] for shard in shards) == expected
        for shard in shards:
            data = (dataset_folder(dataset.data_dir, dataset_name) / shard["file"]).read_bytes()
            assert shard["bytes"] == len(data)
            assert shard["sha256"] == hashlib.sha256(data).hexdigest()


def test_manifest_counts_the_examples_of_every_shard(jpeg: Dataset) -> None:
    for split, shards in jpeg.json("manifest.json")["shards"][NAME].items():
        for shard in shards:
            assert shard["examples"] == len(read_examples([jpeg.folder / shard["file"]])), split


def test_inputs_left_out_are_in_manifest_and_card(lossless: Dataset, bad_inputs: Inputs, jpeg: Dataset) -> None:
    opaque = str(bad_inputs.foregrounds / "dog/opaque.png")
    notes = str(bad_inputs.backgrounds / "notes.txt")
    assert {one["path"] for one in lossless.json("manifest.json")["skipped"]} == {opaque, notes}
    card = (lossless.folder / "README.md").read_text()
    assert f"`{opaque}` is fully opaque" in card
    assert f"`{notes}` is no picture" in card
    assert jpeg.json("manifest.json")["skipped"] == []


def test_card_shows_counts_and_examples(lossless: Dataset) -> None:
    card = (lossless.folder / "README.md").read_text()
    for kind, images in (
        ("bg", BACKGROUNDS),
        ("fg", FOREGROUNDS),
        *((k, EXAMPLES) for k in ("fg_bg", "mask", "depth")),
    ):
        assert f"| {kind} | {images} |" in card
    assert "metres = depth / 1000" in card
    with Image.open(lossless.folder / "images/examples.png") as sheet:
        assert len(sheet.getcolors(1 << 20) or ()) > 100


def test_nothing_of_the_work_is_left(lossless: Dataset) -> None:
    assert sorted(path.name for path in lossless.data_dir.iterdir()) == [
        NAME,
        f"{NAME}_background",
        f"{NAME}_foreground",
    ]
    assert not list(lossless.data_dir.rglob(".*"))


@pytest.mark.parametrize(("name", "bits", "unit"), [("lossless", 16, 0.001), ("array_record", 8, 10 / 255)])
def test_depth_is_what_the_model_gives(
    name: str, bits: int, unit: float, weights: Path, request: pytest.FixtureRequest
) -> None:
    dataset: Dataset = request.getfixturevalue(name)
    examples = dataset.all_examples or read_array_records(shard_files(dataset.data_dir)[0])
    model = load_depth_model(weights, batch_size=BATCH)
    metres = model.predict(np.stack([example["fg_bg"] for example in examples]))
    stored = np.stack([example["depth"] for example in examples])
    # Half a unit of rounding, and what another grouping into batches may do to the last float32 bits.
    assert np.abs(stored * unit - metres).max() <= unit / 2 + 1e-4
    assert metres.max() - metres.min() > 1
    manifest = dataset.json("manifest.json")
    assert manifest["configuration"]["depth_bits"] == bits
    assert manifest["depth_model"]["kind"] == "metric"
    assert manifest["depth_model"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert str(stored.dtype) == f"uint{bits}" or bits == 16  # Pillow widens 16-bit pictures


def read_array_records(path: Path) -> list[dict[str, Any]]:
    """Composites and depth of an ArrayRecord file."""
    import tensorflow as tf
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(path))
    examples = []
    for record in reader.read_all():
        features = tf.train.Example.FromString(record).features.feature
        images = {name: features[name].bytes_list.value[0] for name in ("fg_bg", "depth")}
        examples.append({name: np.asarray(Image.open(io.BytesIO(data))) for name, data in images.items()})
    reader.close()
    return examples


def test_held_out_backgrounds(jpeg: Dataset) -> None:
    train, test = ({example["bg"] for example in jpeg.examples[split]} for split in ("train", "test"))
    assert (len(train), len(test)) == (3, 2)
    assert not train & test


@pytest.mark.parametrize("split_by", ["foreground", "example"])
def test_held_out_foregrounds_or_examples(split_by: str, tmp_path: Path, inputs: Inputs) -> None:
    dataset = make_dataset(tmp_path, inputs, "--depth_model=none", "--test_fraction=0.25", f"--split_by={split_by}")
    train, test = dataset.examples["train"], dataset.examples["test"]
    assert len(test) == EXAMPLES // 4
    ids = [{example["example_id"] for example in examples} for examples in (train, test)]
    assert not ids[0] & ids[1]
    assert len(ids[0] | ids[1]) == EXAMPLES
    foregrounds = [{example["fg"] for example in examples} for examples in (train, test)]
    if split_by == "foreground":
        assert not foregrounds[0] & foregrounds[1]
        assert len(foregrounds[1]) == 1
    else:
        assert len(foregrounds[1]) == FOREGROUNDS
