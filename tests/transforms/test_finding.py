"""Finished shards are found span by span, whatever else lies beside them."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from fgbg import filesystems
from fgbg.claims import Ticket
from fgbg.cross_product import CrossProduct, ShardLayout, make_splits
from fgbg.shard_files import DatasetFiles
from tests import object_store
from tests.dataset_helpers import SmallDataset
from transforms.finding import FindShards, FinishedExamples, find_finished, find_unfinished, shard_spans


def layout_of(shards: int, test_fraction: float = 0.0) -> ShardLayout:
    """Three examples in a shard, about."""
    product = CrossProduct(shards, 3, 1)
    splits = make_splits(product, test_fraction=test_fraction, split_by="example", seed=0)
    return ShardLayout(product, splits, 6, 0)


@given(shards=st.integers(3, 5000), test_fraction=st.sampled_from((0.0, 0.3)))
def test_spans_are_all_shards_once_and_in_order(shards: int, test_fraction: float) -> None:
    layout = layout_of(shards, test_fraction)
    numbers = [span.number(index) for span in shard_spans(layout) for index in span.indices]
    assert numbers == list(range(layout.num_shards))
    for span in shard_spans(layout):
        places = [layout.locate(span.number(index)) for index in span.indices]
        assert [place.index for place in places] == list(span.indices)
        assert {(place.split.name, place.count) for place in places} == {(span.split, span.count)}
        assert sum(place.stop - place.start for place in places) == span.examples


def files_in(place: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetFiles:
    """An empty dataset on the disk or in an object store."""
    monkeypatch.setenv(object_store.FOLDER_VARIABLE, str(folder))
    return DatasetFiles(str(folder) if place == "disk" else "store://bucket", "many", "1.0.0", "tfrecord")


def make_many(files: DatasetFiles) -> None:
    """Some of 2500 shards, and other files with names like theirs."""
    names = [files.shard_name("train", index, 2500) for index in (0, 999, 1000, 1001, 1999, 2000)]
    others = ["many-train.tfrecord-01001-of-02500.gz", "many-test.tfrecord-01002-of-02500"]
    for size, name in enumerate([*names, *others]):
        filesystems.write_bytes(files.path(name), b"x" * size, temporary_folder=files.temporary_folder)


@pytest.mark.parametrize("place", ["disk", "store"])
def test_spans_are_found_without_their_neighbours(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, files = layout_of(2500), files_in(place, tmp_path, monkeypatch)
    assert [find_finished(files, span) for span in shard_spans(layout)] == [{}, {}, {}]
    make_many(files)
    listed: list[int] = []

    def spy(folder: str, prefix: str) -> dict[str, int]:
        found = list_prefix(folder, prefix)
        listed.append(len(found))
        return found

    list_prefix = filesystems.list_prefix
    monkeypatch.setattr(filesystems, "list_prefix", spy)
    assert [find_finished(files, span) for span in shard_spans(layout)] == [
        {0: 0, 999: 1},
        {1000: 2, 1001: 3, 1999: 4},
        {2000: 5},
    ]
    # On the disk a listing would be one of the whole folder, for every span.
    assert listed == ([] if place == "disk" else [2, 4, 1])


@pytest.mark.parametrize("place", ["disk", "store"])
def test_counting_many_lists_a_local_folder_once(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, files = layout_of(2500), files_in(place, tmp_path, monkeypatch)
    examples = FinishedExamples(files, layout)
    assert examples.count() == 0
    make_many(files)
    if place == "disk":
        looks = count_calls(monkeypatch, os, ("listdir", "scandir", "stat"))
    assert examples.count() == sum(
        place.stop - place.start for place in map(layout.locate, (0, 999, 1000, 1001, 1999, 2000))
    )
    if place == "disk":
        assert looks == ["listdir"]


def count_calls(monkeypatch: pytest.MonkeyPatch, module: object, names: tuple[str, ...]) -> list[str]:
    """The names of these functions, in the order in which they are called from now on."""
    calls: list[str] = []

    def spy(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **keywords: Any) -> Any:
            calls.append(name)
            return function(*arguments, **keywords)

        return called

    for name in names:
        monkeypatch.setattr(module, name, spy(name, getattr(module, name)))
    return calls


def test_counting_follows_what_becomes_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = SmallDataset(tmp_path)
    examples = FinishedExamples(dataset.files, dataset.layout)
    assert examples.count() == 0
    made = 0
    for shard in range(dataset.layout.num_shards):
        made += dataset.write(shard).examples
        assert examples.count() == made
    assert made == 36
    looks = count_calls(monkeypatch, os, ("listdir", "scandir", "stat"))
    assert examples.count() == 36
    assert looks == []


def test_workers_find_what_is_to_be_made(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    summaries = [dataset.write(shard) for shard in range(dataset.layout.num_shards)]
    first, second, third, *rest = summaries
    Path(dataset.files.path(first.file)).unlink()
    Path(dataset.files.summary_path(second.file)).unlink()
    with Path(dataset.files.path(third.file)).open("ab") as shard:
        shard.write(b"more")
    assert len(rest) == dataset.layout.num_shards - 3 > 0
    with beam.Pipeline(runner="FnApiRunner") as root:
        found = root | beam.Create(shard_spans(dataset.layout)) | FindShards(dataset.files)
        assert_that(found, equal_to([0, 1, 2]))


def test_shards_of_another_configuration_are_made_again(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    claim = Ticket(dataset.files.claim_path, "mine")
    others = replace(dataset.files, claim=replace(claim, fingerprint="another"))
    ours = replace(dataset.files, claim=claim)
    for files, shards in ((others, [1]), (ours, [0, 2])):
        filesystems.write_bytes(
            claim.path, json.dumps({"fingerprint": files.fingerprint}).encode(), temporary_folder=files.temporary_folder
        )
        dataset.files = files
        for shard in shards:
            dataset.write(shard)
    found = [number for span in shard_spans(dataset.layout) for number in find_unfinished(ours, span)]
    assert found == [1, *range(3, dataset.layout.num_shards)]
