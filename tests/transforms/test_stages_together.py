"""The stages in somebody's own Beam pipeline, fused or with their elements sent from worker to worker."""

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from fgbg.companions import companion_shards
from tests.dataset_helpers import SmallDataset, summarize
from transforms.companions import WriteCompanions
from transforms.compositing import CompositeExamples
from transforms.placements import ExpandPlacements
from transforms.shards import WriteShards
from transforms.summaries import SummarizeShardsFn


@pytest.mark.parametrize("redistributed", [False, True])
def test_stages_come_to_what_the_functions_make(tmp_path: Path, redistributed: bool) -> None:
    expected = SmallDataset(tmp_path / "expected")
    summary = summarize(expected.write_shards())
    made = SmallDataset(tmp_path / "made")

    def between(label: str) -> beam.PTransform:
        return label >> (beam.Reshuffle() if redistributed else beam.Map(lambda element: element))

    with beam.Pipeline(runner="FnApiRunner") as root:
        summaries = (
            root
            | beam.Create(range(made.layout.num_shards))
            | ExpandPlacements(made.layout, made.rules)
            | between("SendPlacements")
            | CompositeExamples(made.paths)
            | between("SendImages")
            | WriteShards(made.files, made.layout, made.encoding)
            | between("SendSummaries")
            | beam.CombineGlobally(SummarizeShardsFn())
        )
        assert_that(summaries, equal_to([summary]))

    for shard in summary["small", "train"].ordered_shards + summary["small", "test"].ordered_shards:
        assert Path(made.files.path(shard.file)).read_bytes() == Path(expected.files.path(shard.file)).read_bytes()


def test_companions_are_summarized_too(tmp_path: Path) -> None:
    expected = {
        key: split for key, split in SmallDataset(tmp_path / "expected").write_all().items() if key[0] != "small"
    }
    dataset = SmallDataset(tmp_path / "made")
    with beam.Pipeline(runner="FnApiRunner") as root:
        summary = (
            root
            | beam.Create(companion_shards("background", 3) + companion_shards("foreground", 2))
            | beam.Reshuffle()
            | WriteCompanions(dataset.companions, dataset.paths, dataset.schema)
            | beam.CombineGlobally(SummarizeShardsFn())
        )
        assert_that(summary, equal_to([expected]))


def test_writing_counts_examples(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    root = beam.Pipeline(runner="FnApiRunner")
    _ = (
        root
        | beam.Create(range(dataset.layout.num_shards))
        | ExpandPlacements(dataset.layout, dataset.rules)
        | CompositeExamples(dataset.paths)
        | WriteShards(dataset.files, dataset.layout, dataset.encoding)
    )
    counters = root.run().metrics().query()["counters"]
    assert {counter.key.metric.name: counter.committed for counter in counters} == {
        "examples": 36,
        "shards": dataset.layout.num_shards,
        "bytes": sum(path.stat().st_size for path in Path(dataset.files.directory).glob("small-*")),
    }
