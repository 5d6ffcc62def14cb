"""What a runner can show of a build while it runs."""

from pathlib import Path

import apache_beam as beam
import pytest

from pipeline.build import graph, resume
from pipeline.build.build_plan import make_plan
from pipeline.build.resume import open_dataset
from pipeline.parser import parse
from tests.end_to_end.helpers import Inputs, dataset_folder, draw_inputs, shard_files


def test_every_stage_counts_and_takes_its_time(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "close_dataset", lambda _: None)
    inputs: Inputs = draw_inputs(tmp_path / "inputs", 48)
    (inputs.backgrounds / "broken.png").write_bytes(b"no picture")
    flags = ["--image_size=48", "--placements=2", "--examples_per_shard=10", "--depth_batch_size=4"]
    flags += [*inputs.flags, f"--depth_model={weights}", f"--data_dir={tmp_path}", "--skip_bad_inputs"]
    plan = make_plan(parse(["build", *flags])[1])

    root = beam.Pipeline(runner="FnApiRunner")
    graph.build(root, plan, open_dataset(plan))
    metrics = root.run().metrics().query()
    counters = {(one.key.metric.namespace, one.key.metric.name): one.committed for one in metrics["counters"]}
    shards = shard_files(tmp_path)
    assert counters == {
        ("WriteShards", "examples"): 80,
        ("WriteShards", "shards"): len(shards),
        ("WriteShards", "bytes"): sum(path.stat().st_size for path in shards),
        ("PredictDepth", "depth_batches"): 8 * 3,  # of 4, 4 and 2 images in every shard
        ("WriteCompanions", "pictures"): 5 + 4,
        ("CheckShards", "shards"): 8 + 2,
        ("WriteMetadata", "skipped_inputs"): 1,
    }
    times = {one.key.metric.namespace: one.committed for one in metrics["distributions"]}
    assert {one.key.metric.name for one in metrics["distributions"]} == {"milliseconds"}
    assert {stage: time.count for stage, time in times.items()} == {
        "FindShards": 1,
        "ExpandPlacements": 8,
        "CompositeExamples": 8,
        "PredictDepth": 8,
        "WriteShards": 8,
        "WriteCompanions": 2,
        "CheckShards": 10,
        "WriteMetadata": 1,
    }
    assert times["PredictDepth"].sum > 0
    assert (dataset_folder(tmp_path) / "dataset_info.json").exists()

    # Resuming after half of it.
    for path in (*shards[4:], dataset_folder(tmp_path) / "manifest.json"):
        path.unlink()
    root = beam.Pipeline(runner="FnApiRunner")
    graph.build(root, plan, open_dataset(plan))
    metrics = root.run().metrics().query()
    counters = {(one.key.metric.namespace, one.key.metric.name): one.committed for one in metrics["counters"]}
    assert counters["WriteShards", "shards"] == 4
    assert ("WriteCompanions", "pictures") not in counters
    assert counters["CheckShards", "shards"] == 8 + 2
