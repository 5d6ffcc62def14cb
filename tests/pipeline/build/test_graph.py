"""The graph of a build: how large it is, and what it asks of workers."""

import hashlib
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from pipeline.build import build_plan, graph
from pipeline.build.build_plan import BuildPlan, make_plan
from pipeline.build.resume import open_dataset
from pipeline.parser import parse
from transforms.inputs import CheckedInputs, Picture

CHAIN = ("ExpandPlacements", "CompositeExamples", "PredictDepth", "WriteShards")


def plan_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: int, *flags: str) -> BuildPlan:
    """A plan for so many backgrounds and foregrounds, none of which is there."""

    def check(folder: str, **_: Any) -> CheckedInputs:
        names = [f"{i:05}" for i in range(pictures)]
        usable = [
            Picture(f"{folder}/{name}.png", name, "unclassified", hashlib.sha256(name.encode()).hexdigest(), 50, 40)
            for name in names
        ]
        return CheckedInputs(tuple(usable), ())

    monkeypatch.setattr(build_plan.inputs, "check_backgrounds", check)
    monkeypatch.setattr(build_plan.inputs, "check_foregrounds", check)
    _, options, _ = parse(["build", f"--data_dir={tmp_path}", *flags])
    return make_plan(options)


def translated(plan: BuildPlan) -> beam_runner_api_pb2.Pipeline:
    """The graph as runners get it."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    graph.build(pipeline, plan, open_dataset(plan))
    return pipeline.to_runner_api()


def hints_of(proto: beam_runner_api_pb2.Pipeline, stage: str) -> set[frozenset[tuple[str, bytes]]]:
    """Hints of every step of a stage."""
    components = proto.components
    steps = [
        transform
        for transform in components.transforms.values()
        if transform.unique_name.split("/")[0] == stage and transform.environment_id
    ]
    assert steps, stage
    return {frozenset(components.environments[step.environment_id].resource_hints.items()) for step in steps}


def test_four_billion_examples_are_a_small_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (translated(plan_of(tmp_path / str(number), monkeypatch, number)) for number in (1_000, 10_000))
    assert len(many.components.transforms) == len(few.components.transforms)
    # 20,000 paths, labels and sha256 are in it; a list of 5,000,000 shards would be 10 MB at the least.
    assert many.ByteSize() < 4e6


def test_all_stages_that_hold_images_ask_for_the_same_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
    proto = translated(plan_of(tmp_path, monkeypatch, 3, f"--accelerator={accelerator}", "--min_ram=16GB"))
    asked = [hints_of(proto, stage) for stage in CHAIN]
    expected = {
        ("beam:resources:accelerator:v1", accelerator.encode()),
        ("beam:resources:min_ram_bytes:v1", b"16000000000"),
    }
    assert asked == [{frozenset(expected)}] * len(CHAIN)
    assert hints_of(proto, "WriteMetadata") == {frozenset()}


def test_nothing_is_asked_of_workers_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proto = translated(plan_of(tmp_path, monkeypatch, 3))
    assert all(hints_of(proto, stage) == {frozenset()} for stage in CHAIN)
