"""Finished shards are found span by span, whatever else lies beside them."""

import json
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from tests.dataset_helpers import SmallDataset
from transforms import filesystems
from transforms.claims import Ticket
from transforms.cross_product import CrossProduct, ShardLayout, make_splits
from transforms.finding import FindShards, FinishedExamples, find_finished, find_unfinished, shard_spans
from transforms.shards import DatasetFiles


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


def test_a_span_of_many_is_listed_without_its_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = layout_of(2500)
    files = DatasetFiles(str(tmp_path), "many", "1.0.0", "tfrecord")
    folder = Path(files.directory)
    folder.mkdir(parents=True)
    for index in (0, 999, 1000, 1001, 1999, 2000):
        (folder / files.shard_name("train", index, 2500)).write_bytes(b"x" * index)
    (folder / "many-train.tfrecord-01001-of-02500.gz").touch()
    (folder / "many-test.tfrecord-01002-of-02500").touch()
    listed: list[dict[str, int]] = []
    list_prefix = filesystems.list_prefix

    def spy(folder: str, prefix: str) -> dict[str, int]:
        listed.append(list_prefix(folder, prefix))
        return listed[-1]

    monkeypatch.setattr(filesystems, "list_prefix", spy)
    spans = shard_spans(layout)
    assert [find_finished(files, span) for span in spans] == [
        {0: 0, 999: 999},
        {1000: 1000, 1001: 1001, 1999: 1999},
        {2000: 2000},
    ]
    assert [len(names) for names in listed] == [2, 4, 1]


def test_counting_follows_what_becomes_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = SmallDataset(tmp_path)
    examples = FinishedExamples(dataset.files, dataset.layout)
    assert examples.count() == 0
    made = 0
    for shard in range(dataset.layout.num_shards):
        made += dataset.write(shard).examples
        assert examples.count() == made
    assert made == 36

    def refuse(folder: str, prefix: str) -> dict[str, int]:
        raise AssertionError("a complete span is listed again")

    monkeypatch.setattr(filesystems, "list_prefix", refuse)
    assert examples.count() == 36


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
