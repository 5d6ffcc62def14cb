"""Runners that are somebody else's: Beam's flags reach them as they were given, and they get the whole pipeline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.job.utils import struct_to_dict
from apache_beam.runners.portability.local_job_service import LocalJobServicer

from fgbg.errors import InputError
from pipeline.build.options import BuildOptions
from pipeline.common.runner import beam_options, is_local
from pipeline.parser import parse
from tests.end_to_end.helpers import Inputs, build, shard_files

SERVICES = (
    pytest.param(
        {"runner": "FlinkRunner", "flink_master": "flink:8081", "flink_version": "1.19", "parallelism": 3}, id="Flink"
    ),
    pytest.param({"runner": "SparkRunner", "spark_master_url": "spark://spark:7077", "spark_version": "3"}, id="Spark"),
    pytest.param({"runner": "PrismRunner", "prism_log_level": "warn"}, id="Prism"),
    pytest.param({"runner": "PortableRunner", "sdk_worker_parallelism": "2"}, id="portable"),
)


class _JobService(LocalJobServicer):
    """What stands where a cluster's would, and runs jobs here."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Any] = {}
        self.port = self.start_grpc_server()

    def create_beam_job(self, preparation_id: str, job_name: str, pipeline: Any, options: Any) -> Any:
        told = struct_to_dict(options)
        self.told = {key.removeprefix("beam:option:").removesuffix(":v1"): value for key, value in told.items()}
        return super().create_beam_job(preparation_id, job_name, pipeline, options)


@pytest.fixture
def service() -> Iterator[_JobService]:
    service = _JobService()
    yield service
    service.stop()


@pytest.mark.parametrize("given", SERVICES)
def test_a_job_service_gets_the_pipeline_and_all_flags(
    given: dict[str, Any], service: _JobService, inputs: Inputs, tmp_path: Path
) -> None:
    flags = ("--image_size=48", "--placements=1", "--examples_per_shard=10", "--jpeg_quality=png")
    given = given | {"job_endpoint": f"localhost:{service.port}", "environment_type": "LOOPBACK", "job_name": "mine"}
    assert build(tmp_path / "there", inputs, *flags, *(f"--{name}={value}" for name, value in given.items())) == 0
    # Numbers travel as text; which runner hands the job over is nothing to the service.
    assert {name: service.told[name] for name in given if name != "runner"} == {
        name: str(value) for name, value in given.items() if name != "runner"
    }

    assert build(tmp_path / "here", inputs, *flags) == 0
    made = [[path.read_bytes() for path in shard_files(tmp_path / side)] for side in ("here", "there")]
    assert made[0] == made[1]
    assert len(made[0]) == 4


@pytest.mark.parametrize(
    "given",
    [
        *SERVICES,
        {"runner": "FlinkRunner", "flink_master": "flink:8081", "flink_submit_uber_jar": True},
        {"runner": "SparkRunner", "spark_submit_uber_jar": True, "spark_rest_url": "http://spark:6066"},
        {"runner": "PortableRunner", "job_endpoint": "jobs:8099", "artifact_endpoint": "jobs:8098"},
        {"runner": "PortableRunner", "environment_type": "DOCKER", "environment_config": "eu.gcr.io/p/image:1"},
        {"runner": "DataflowRunner", "project": "a-project", "region": "europe-west4", "temp_location": "gs://w/tmp"},
        {"runner": "DataflowRunner", "machine_type": "g2-standard-8", "disk_size_gb": 50, "max_num_workers": 20},
        {"runner": "DataflowRunner", "sdk_container_image": "eu.gcr.io/p/image:1", "sdk_location": "container"},
        {"runner": "DataflowRunner", "setup_file": "./setup.py", "no_auth": True, "save_main_session": True},
        {"runner": "DataflowRunner", "experiments": ["use_runner_v2"], "dataflow_service_options": ["enable_prime"]},
        {"runner": "BundleBasedDirectRunner"},
    ],
)
def test_flags_are_passed_through_unchanged(given: dict[str, Any]) -> None:
    flags = []
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        flags += [f"--{name}" if one is True else f"--{name}={one}" for one in values]
    _, ours, left = parse(["build", "--seed=3", *flags])
    assert (ours.seed, left) == (3, flags)
    before = PipelineOptions(flags).get_all_options()
    after = beam_options(left, "build", BuildOptions)
    assert after.get_all_options() == before
    assert {name: before[name] for name in given} == given
    assert not is_local(after)


@pytest.mark.parametrize(
    ("runner", "told"),
    [
        ("DaskRunner", "the Dask runner loses parts of this pipeline without a word"),
        ("apache_beam.runners.dask.dask_runner.DaskRunner", "the Dask runner loses"),
        ("InteractiveRunner", "the Interactive runner runs only what the cells of a notebook define"),
        ("interactive", "the Interactive runner runs only"),
        ("KafkaStreamsRunner", "the KafkaStreams runner has no side inputs"),
        ("apache_beam.runners.trivial_runner.TrivialRunner", "the Trivial runner has no side inputs"),
    ],
)
def test_runners_that_are_refused(runner: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        beam_options([f"--runner={runner}"], "build", BuildOptions)


def test_a_runner_that_cannot_take_the_job_is_told_in_one_sentence(
    inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path, inputs, "--image_size=48", "--placements=1", "--runner=PortableRunner") == 1
    assert "fgbg: PortableRunner did not take the job: NotImplementedError: You must specify a --job_endpoint" in (
        capfd.readouterr().err
    )
