"""Shards: complete or not there, the same bytes each time, with a summary that tells all."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fgbg.claims import Ticket
from fgbg.errors import RunError
from fgbg.records import Fields, parse_record, read_records
from fgbg.settings import FILE_FORMATS
from fgbg.shard_files import DatasetFiles, FieldSummary, ShardSummary, read_summary, write_shard
from fgbg.statistics import Moments
from tests.dataset_helpers import SmallDataset
from transforms.shards import summarize_batch


@pytest.fixture
def dataset(tmp_path: Path) -> SmallDataset:
    return SmallDataset(tmp_path, depth_bits=16)


def files_in(dataset: SmallDataset) -> list[str]:
    """All files of the dataset's folder."""
    folder = Path(dataset.files.directory)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def fail_after(count: int, error: BaseException) -> Iterator[Fields]:
    """So many examples, then an error."""
    for i in range(count):
        yield {"fg_bg": b"jpeg", "example_id": i}
    raise error


@pytest.mark.parametrize(
    ("index", "count", "name"),
    [
        (7, 400, "fg_bg_depth-test.array_record-00007-of-00400"),
        (99_999, 100_000, "fg_bg_depth-test.array_record-099999-of-100000"),
    ],
)
def test_shard_names_are_those_of_tfds(index: int, count: int, name: str) -> None:
    import tensorflow_datasets as tfds

    files = DatasetFiles("/data", "fg_bg_depth", "1.0.0", "array_record")
    template = tfds.core.ShardedFileTemplate(
        data_dir="/data", dataset_name="fg_bg_depth", split="test", filetype_suffix="array_record"
    )
    assert files.shard_name("test", index, count) == name
    assert template.sharded_filepath(shard_index=index, num_shards=count).name == name


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_a_shard_holds_its_examples_in_order(tmp_path: Path, file_format: str) -> None:
    dataset = SmallDataset(tmp_path, file_format=file_format)
    summary = dataset.write(1)
    records = map(parse_record, read_records(Path(dataset.files.path(summary.file)), file_format))
    assert [record["example_id"] for record in records] == dataset.layout.example_ids(1).tolist()


def test_summary_tells_of_the_file(dataset: SmallDataset) -> None:
    summary = dataset.write(0)
    data = Path(dataset.files.path(summary.file)).read_bytes()
    assert (summary.dataset, summary.split, summary.index, summary.count) == ("small", "train", 0, 3)
    assert (summary.examples, summary.size) == (8, len(data))
    assert summary.sha256 == hashlib.sha256(data).hexdigest()


def test_summary_tells_of_the_images(dataset: SmallDataset) -> None:
    summary, batch = dataset.write(0), dataset.batch(0)
    records = [parse_record(record) for record in read_records(Path(dataset.files.path(summary.file)), "tfrecord")]
    assert {name: field.moments for name, field in summary.fields.items()} == summarize_batch(batch)
    for name, field in summary.fields.items():
        assert field.encoded_bytes == sum(len(record[name]) for record in records)


def test_moments_are_of_all_images_before_encoding(dataset: SmallDataset) -> None:
    batch = dataset.batch(0)
    assert batch.depth is not None
    assert summarize_batch(batch) == {
        "fg_bg": Moments.of(batch.fg_bg),
        "mask": Moments.of(batch.mask[..., np.newaxis]),
        "depth": Moments.of(batch.depth[..., np.newaxis]),
    }
    assert "depth" not in summarize_batch(replace(batch, depth=None))


def test_a_shard_and_its_summary_are_all_that_is_left(dataset: SmallDataset) -> None:
    name = dataset.write(0).file
    assert files_in(dataset) == [f".build/summaries/{name}.json", name]


def test_writing_again_gives_the_same_bytes(dataset: SmallDataset) -> None:
    first = dataset.write(0)
    data = Path(dataset.files.path(first.file)).read_bytes()
    assert dataset.write(0) == first
    assert Path(dataset.files.path(first.file)).read_bytes() == data


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_shard_that_failed(dataset: SmallDataset, error: BaseException) -> None:
    with pytest.raises(type(error)):
        write_shard(dataset.files, split="train", index=0, count=1, examples=fail_after(3, error), moments={})
    assert files_in(dataset) == []


def test_the_summary_is_there_before_the_shard(dataset: SmallDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed: list[str] = []
    rename = os.rename

    def record(source: str, destination: str) -> None:
        renamed.append(Path(destination).name)
        rename(source, destination)

    monkeypatch.setattr(os, "rename", record)
    name = dataset.write(0).file
    assert renamed == [f"{name}.json", name]


def test_summaries_survive_json(dataset: SmallDataset) -> None:
    summary = dataset.write(0)
    summary.fields["image"] = FieldSummary(7, None)
    assert ShardSummary.from_json(summary.to_json()) == summary


def test_finished_shards_are_summed_from_their_summaries(dataset: SmallDataset) -> None:
    summary = dataset.write(0)
    assert read_summary(dataset.files, summary.file, summary.size) == summary


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"5", b"[" * 9999, b'{"dataset": "small"}', b"\xff"])
def test_a_damaged_summary_is_none(dataset: SmallDataset, content: bytes | None) -> None:
    summary = dataset.write(0)
    path = Path(dataset.files.summary_path(summary.file))
    path.unlink() if content is None else path.write_bytes(content)
    assert read_summary(dataset.files, summary.file, summary.size) is None


def test_a_summary_of_other_fields_is_none(dataset: SmallDataset) -> None:
    summary = dataset.write(0)
    path = Path(dataset.files.summary_path(summary.file))
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "blue"}))
    assert read_summary(dataset.files, summary.file, summary.size) is None


def test_a_summary_of_another_file_or_configuration_is_none(dataset: SmallDataset) -> None:
    summary = dataset.write(0)
    assert read_summary(dataset.files, summary.file, summary.size - 1) is None
    claimed = replace(dataset.files, claim=Ticket(dataset.files.claim_path, "another"))
    assert read_summary(claimed, summary.file, summary.size) is None


@pytest.mark.parametrize("state", [None, "another", "damaged"])
def test_nothing_appears_without_the_claim(dataset: SmallDataset, state: str | None) -> None:
    claim = Path(dataset.files.claim_path)
    claim.parent.mkdir(parents=True)
    dataset.files = replace(dataset.files, claim=Ticket(str(claim), "mine"))
    claim.write_text('{"fingerprint": "mine"}')
    assert dataset.write(0).fingerprint == "mine"
    made = files_in(dataset)
    before = Path(dataset.files.path(made[-1])).read_bytes()

    if state is None:
        claim.unlink()
    else:
        claim.write_text("{" if state == "damaged" else '{"fingerprint": "another"}')
    # Neither a new file nor another content of one that is there.
    for write in (lambda: dataset.write(1), lambda: dataset.files.write("README.md", b"x"), lambda: dataset.write(0)):
        with pytest.raises(
            RunError, match=r"^The claim .* no longer exists|^The claim .* belongs to another configuration"
        ):
            write()
    assert [name for name in files_in(dataset) if "configuration" not in name] == [
        name for name in made if "configuration" not in name
    ]
    assert Path(dataset.files.path(made[-1])).read_bytes() == before


@pytest.mark.parametrize("moments", [(None, None), (None, Moments.of(np.zeros((1, 1), np.uint8)))])
def test_field_sums_without_moments_have_none(moments: tuple[Moments | None, Moments | None]) -> None:
    assert FieldSummary(1, moments[0]) + FieldSummary(2, moments[1]) == FieldSummary(3, None)
