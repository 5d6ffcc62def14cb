"""Changed manifests, statistics, summaries and claims: refused in a sentence, or good enough for all that follows."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from fgbg.card.card import render_card
from fgbg.card.pictures import histograms_plot, placements_plot
from fgbg.checked_json import parse_json
from fgbg.errors import InputError, RunError
from fgbg.finished import open_finished, refuse_incomplete
from fgbg.manifest import parse_manifest
from fgbg.shard_files import DatasetFiles, ShardSummary, read_summary
from fgbg.statistics_document import check_statistics_document
from pipeline.cutout.files import CutoutFiles, Record
from pipeline.verify import verification
from pipeline.verify.documents import check_manifest, check_statistics
from tests.dataset_helpers import SmallDataset
from tests.end_to_end.helpers import NAME, VERSION, build, draw_inputs
from tests.fuzz.mutations import changed_json, damaged, fuzz

FLAGS = ("--image_size=16", "--placements=1", "--test_fraction=0.4", "--examples_per_shard=8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose documents the tests write again."""
    data_dir = tmp_path_factory.mktemp("data")
    assert build(data_dir, draw_inputs(data_dir.parent / "inputs", 16), *FLAGS) == 0
    return data_dir / NAME / VERSION


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_bytes())


@pytest.fixture(scope="module")
def statistics(folder: Path) -> Any:
    return json.loads((folder / "statistics.json").read_bytes())


def test_manifests(folder: Path, manifest: Any) -> None:
    def check(changed: Any) -> None:
        (folder / "manifest.json").write_text(json.dumps(changed))
        with contextlib.suppress(InputError):
            dataset = open_finished(str(folder))
            with contextlib.suppress(InputError):
                refuse_incomplete(dataset)
            found = verification.open_verification(str(folder), "/nowhere", None)
            expected = list(itertools.islice(found._expected(), 100_000))
            assert len(expected) < 100_000
            str(check_manifest(dataset.manifest, expected))
            found._held_out()
            for shard in range(found.recipe.layout.num_shards):
                found.recipe.layout.locate(shard)

    try:
        fuzz(changed_json(manifest), check, examples=100)
    finally:
        (folder / "manifest.json").write_text(json.dumps(manifest))


def test_manifests_that_are_none(manifest: Any) -> None:
    def check(data: bytes) -> None:
        with contextlib.suppress(ValueError):
            parse_manifest(data)

    fuzz(damaged([json.dumps(manifest, ensure_ascii=False).encode(), b"[" * 3000, b'{"a":1e999}']), check, examples=300)


def test_statistics(manifest: Any, statistics: Any) -> None:
    files = DatasetFiles("/nowhere", NAME, VERSION, "tfrecord")

    def check(changed: Any) -> None:
        str(check_statistics(json.dumps(changed).encode(), statistics).first)
        try:
            check_statistics_document(changed, manifest)
        except ValueError:
            return
        render_card(changed, manifest, files)
        histograms_plot(changed["kinds"])
        placements_plot(changed["placements"], changed["examples"])

    fuzz(changed_json(statistics), check, examples=40)


def test_the_card_of_changed_manifests(manifest: Any, statistics: Any) -> None:
    files = DatasetFiles("/nowhere", NAME, VERSION, "tfrecord")

    def check(changed: Any) -> None:
        try:
            accepted = parse_manifest(json.dumps(changed).encode())
            check_statistics_document(statistics, accepted)
        except ValueError:
            return
        render_card(statistics, accepted, files)

    fuzz(changed_json(manifest), check)


def test_summaries(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    shards = dataset.write_shards()
    original = json.loads(shards[0].to_json())
    path = Path(dataset.files.summary_path(shards[0].file))

    def check(changed: Any) -> None:
        path.write_text(json.dumps(changed))
        with contextlib.suppress(RunError):
            summary = read_summary(dataset.files, shards[0].file, shards[0].size)
            assert summary is None or ShardSummary.from_json(summary.to_json()) == summary

    fuzz(changed_json(original), check, examples=80)


def test_records_of_cutouts(tmp_path: Path) -> None:
    files = CutoutFiles(str(tmp_path))
    record = Record("a/b", "0" * 64, "", ("doubt",), (30, 20), (1, 2, 3, 4), 0.5, b"thumbnail")
    path = Path(files.record("a"))
    path.parent.mkdir(parents=True)

    def check(changed: Any) -> None:
        path.write_text(json.dumps(changed))
        with contextlib.suppress(RunError):
            read = files.read_record("a")
            assert Record.from_json(read.to_json()) == read

    fuzz(changed_json(json.loads(record.to_json())), check)


def test_json() -> None:
    def check(data: bytes) -> None:
        with contextlib.suppress(ValueError):
            json.dumps(parse_json(data), ensure_ascii=False).encode()

    texts = [
        b'{"a": [1, -2.5e3, "\\u00e9\\ud83d\\ude00", null, true], "b": {"c": {}}}',
        b"[[[[[[[[[[]]]]]]]]]]",
        b"NaN",
    ]
    fuzz(damaged(texts), check, examples=400)
