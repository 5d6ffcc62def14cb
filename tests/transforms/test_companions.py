"""The companion datasets: every picture once, as it was composited."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fgbg import companions
from fgbg.companions import CompanionShard, companion_shards, read_companion
from fgbg.images import Pixels
from fgbg.records import parse_record, read_records
from fgbg.shard_files import ShardSummary
from fgbg.statistics import Moments
from tests.dataset_helpers import SmallDataset
from transforms.companions import write_companion


def write(dataset: SmallDataset, kind: str) -> tuple[list[ShardSummary], list[dict]]:
    """All shards of a kind, and their records."""
    files = dataset.companions[kind]
    pictures = {"background": 3, "foreground": 2}[kind]
    summaries = [
        write_companion(shard, files, dataset.paths, dataset.schema) for shard in companion_shards(kind, pictures)
    ]
    return summaries, [
        parse_record(record) for one in summaries for record in read_records(Path(files.path(one.file)), "tfrecord")
    ]


def decode(data: bytes) -> Pixels:
    """RGB, RGBA or grey."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


@pytest.mark.parametrize(("pictures", "shards"), [(1, 1), (256, 1), (257, 2), (1_000, 4)])
def test_number_of_shards(pictures: int, shards: int) -> None:
    assert companion_shards("background", pictures) == [CompanionShard("background", i, shards) for i in range(shards)]


@pytest.mark.parametrize("per_shard", [1, 2, 256])
def test_backgrounds_as_they_were_composited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_shard: int) -> None:
    monkeypatch.setattr(companions, "PICTURES_PER_SHARD", per_shard)
    dataset = SmallDataset(tmp_path)
    _, records = write(dataset, "background")
    assert [(record["id"], record["class"]) for record in records] == [(0, 0), (1, 1), (2, 0)]
    for i, record in enumerate(records):
        assert np.array_equal(decode(record["image"]), dataset.assets.background(i))


@pytest.mark.parametrize("per_shard", [1, 2, 256])
def test_wanted_backgrounds_are_read_by_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_shard: int) -> None:
    monkeypatch.setattr(companions, "PICTURES_PER_SHARD", per_shard)
    dataset = SmallDataset(tmp_path)
    write(dataset, "background")
    read = read_companion(dataset.companions["background"], "background", dataset.schema.backgrounds, {0, 2})
    assert sorted(read) == [0, 2]
    for index, fields in read.items():
        assert np.array_equal(decode(fields["image"]), dataset.assets.background(index))


def test_shards_without_wanted_pictures_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companions, "PICTURES_PER_SHARD", 1)
    dataset = SmallDataset(tmp_path)
    summaries, _ = write(dataset, "background")
    for one in (0, 2):
        Path(dataset.companions["background"].path(summaries[one].file)).unlink()
    assert list(read_companion(dataset.companions["background"], "background", dataset.schema.backgrounds, [1])) == [1]


def test_foregrounds_with_their_masks(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    _, records = write(dataset, "foreground")
    assert [(record["id"], record["class"]) for record in records] == [(0, 1), (1, 0)]
    for i, record in enumerate(records):
        cutout = dataset.assets.cutout(i)
        assert np.array_equal(decode(record["image"]), cutout)
        assert np.array_equal(decode(record["mask"]), (cutout[..., 3] >= 128) * 255)


def test_moments_of_backgrounds(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    (summary,), _ = write(dataset, "background")
    images = np.stack([dataset.assets.background(i) for i in range(3)])
    assert {name: field.moments for name, field in summary.fields.items()} == {"image": Moments.of(images)}


def test_moments_of_foregrounds_are_those_of_their_masks(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    (summary,), records = write(dataset, "foreground")
    pixels = np.concatenate([decode(record["mask"]).ravel() for record in records])
    assert {name: field.moments for name, field in summary.fields.items()} == {
        "image": None,
        "mask": Moments.of(pixels[:, np.newaxis]),
    }
