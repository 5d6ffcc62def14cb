"""The job that Dataflow is handed, without account or network: its stages, its workers, the package they install."""

import socket
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from apache_beam.runners.portability.fn_api_runner import translations

from pipeline import commands
from tests.end_to_end.buckets import Buckets
from tests.end_to_end.helpers import ROOT, Inputs, content

FLAGS = ("--image_size=48", "--placements=2", "--examples_per_shard=10", "--jpeg_quality=png")
ON_DATAFLOW = (
    "--runner=DataflowRunner",
    "--dry_run=True",
    "--project=a-project",
    "--region=europe-west4",
    "--temp_location=gs://work/tmp",
    f"--setup_file={ROOT}/setup.py",
)
ON_GPUS = ("--accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver", "--min_ram=16GB")
IMAGE_CHAIN = {"ExpandPlacements", "CompositeExamples", "PredictDepth", "WriteShards"}


@pytest.fixture
def buckets(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    return buckets_with(inputs, monkeypatch)


@pytest.fixture(scope="module", params=[ON_GPUS, ()], ids=["on GPUs", "on any workers"])
def job(request: pytest.FixtureRequest, inputs: Inputs) -> "Job":
    """As it would be sent."""
    sent, looked_for = [], []

    def run_pipeline(*arguments: Any, **options: Any) -> Any:
        sent.append(translate(*arguments, **options))
        return sent[-1]

    def refuse(*address: object, **_: object) -> None:
        looked_for.append(address)
        raise OSError("there is no network")

    translate = DataflowRunner.run_pipeline
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(DataflowRunner, "run_pipeline", run_pipeline)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        monkeypatch.setattr(socket.socket, "connect", refuse)
        buckets = buckets_with(inputs, monkeypatch)
        before = set(buckets.objects)
        assert build_in_buckets("--depth_model=mini", *ON_DATAFLOW, *request.param) == 0
        # What Beam stages; the dataset's folder is not claimed.
        assert all(name.startswith("gs://work/") for name in set(buckets.objects) - before)
    assert looked_for == []
    return Job(sent[0].job.proto_pipeline, with_hints=bool(request.param))


def buckets_with(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    """The inputs in a bucket, gs://pictures."""
    buckets = Buckets()
    buckets.replace_service(monkeypatch)
    buckets.upload(inputs.backgrounds, "gs://pictures/backgrounds")
    buckets.upload(inputs.foregrounds, "gs://pictures/foregrounds")
    return buckets


def build_in_buckets(*flags: str) -> int:
    folders = ("--backgrounds=gs://pictures/backgrounds", "--foregrounds=gs://pictures/foregrounds")
    return commands.run(["build", *folders, "--data_dir=gs://datasets", *FLAGS, *flags])


class Job:
    """The pipeline of a job.

    Attributes:
        pipeline: as the service reads it.
        components: its parts by their id.
        with_hints: whether workers with GPUs were asked for.
    """

    def __init__(self, pipeline: beam_runner_api_pb2.Pipeline, *, with_hints: bool) -> None:
        self.pipeline = pipeline
        self.components = pipeline.components
        self.with_hints = with_hints

    def environments_of(self, *stages: str) -> set[str]:
        """Ids of the environments that the code of these stages runs in."""
        return {
            transform.environment_id
            for transform in self.components.transforms.values()
            if stage_of(transform) in stages and transform.spec.urn == common_urns.primitives.PAR_DO.urn
        }


def stage_of(transform: beam_runner_api_pb2.PTransform) -> str:
    return transform.unique_name.split("/")[0]


def test_stages(job: Job) -> None:
    (root,) = (job.components.transforms[root] for root in job.pipeline.root_transform_ids)
    assert {job.components.transforms[stage].unique_name for stage in root.subtransforms} == IMAGE_CHAIN | {
        "ListSpans",
        "SpreadSpans",
        "FindShards",
        "SpreadShards",
        "ListCompanions",
        "SpreadCompanions",
        "WriteCompanions",
        "GatherMade",
        "DescribeMade",
        "ExpectShards",
        "ExpectCompanions",
        "GatherShards",
        "AwaitShards",
        "CheckShards",
        "SummarizeShards",
        "WriteMetadata",
        "AwaitMetadata",
        "CloseDataset",
    }


def test_the_image_chain_has_workers_of_one_kind(job: Job) -> None:
    (environment,) = job.environments_of(*IMAGE_CHAIN)
    hints = dict(job.components.environments[environment].resource_hints)
    asked = {
        common_urns.resource_hints.ACCELERATOR.urn: b"type:nvidia-tesla-t4;count:1;install-nvidia-driver",
        common_urns.resource_hints.MIN_RAM_BYTES.urn: b"16000000000",
    }
    assert hints == (asked if job.with_hints else {})
    others = job.environments_of("FindShards", "WriteCompanions", "ReadSummaries", "WriteMetadata")
    assert len(others) == 1
    assert (environment in others) == (not job.with_hints)


def test_images_never_leave_a_worker(job: Job) -> None:
    """Beam's own optimizer makes one step of the image chain."""
    _, steps = translations.create_and_optimize_stages(
        job.pipeline,
        phases=translations.standard_optimize_phases(),
        known_runner_urns=frozenset((common_urns.primitives.GROUP_BY_KEY.urn, common_urns.primitives.IMPULSE.urn)),
        use_state_iterables=False,
    )
    together = [{stage_of(transform) for transform in step.transforms} & IMAGE_CHAIN for step in steps]
    assert [stages for stages in together if stages] == [IMAGE_CHAIN]


def test_workers_install_the_package(job: Job) -> None:
    for environment in job.components.environments.values():
        staged = {
            beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(artifact.role_payload).staged_name: artifact
            for artifact in environment.dependencies
        }
        # The name by which workers know what they are to install.
        file = beam_runner_api_pb2.ArtifactFilePayload.FromString(staged["workflow.tar.gz"].type_payload)
        with tarfile.open(file.path) as package:
            packed = {name.partition("/")[2] for name in package.getnames()}
        assert {"setup.py", "pipeline/build/graph.py", "fgbg/depth_models/bundled/mini.h5"} <= packed


def test_a_build_in_buckets_goes_on_and_is_the_same(
    buckets: Buckets, inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Run here, on Beam's own filesystem for gs://."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(buckets, "copy_batch", lambda pairs: _copied_until("-00005-of-", buckets, pairs))
        assert build_in_buckets("--depth_model=none") == 1
    assert "Cannot write gs://datasets/fg_bg_depth/1.0.0/" in capfd.readouterr().err
    assert build_in_buckets("--depth_model=none") == 0
    assert "Resuming: " in capfd.readouterr().err

    assert commands.run(["build", *inputs.flags, f"--data_dir={tmp_path}/here", *FLAGS]) == 0
    here, there = content(tmp_path / "here"), content(buckets.download("gs://datasets", tmp_path / "there"))
    assert there.keys() == here.keys()
    shards = [path for path in here if "tfrecord" in path]
    assert {path: there[path] for path in shards} == {path: here[path] for path in shards}
    assert build_in_buckets("--depth_model=none") == 0
    assert "is complete already" in capfd.readouterr().err


def _copied_until(part: str, buckets: Buckets, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, Any]]:
    """Objects get their final name, until one that is named like this."""
    if any(part in destination for _, destination in pairs):
        return [(*pair, OSError("503 Service Unavailable")) for pair in pairs]
    return list(Buckets.copy_batch(buckets, pairs))


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("flag", "path"), [("--data_dir", "/tmp/data"), ("--backgrounds", "/photos"), ("--depth_model", "/models/mine.h5")]
)
def test_what_workers_cannot_reach_is_refused(
    flag: str, path: str, dry_run: bool, buckets: Buckets, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = [one for one in ON_DATAFLOW if dry_run or not one.startswith("--dry_run")]
    assert build_in_buckets("--depth_model=none", *flags, f"{flag}={path}") == 2
    assert f"fgbg: {flag}: Dataflow's workers cannot reach {path} on this disk" in capfd.readouterr().err


def test_the_samples_are_out_of_reach_too(buckets: Buckets, capfd: pytest.CaptureFixture[str]) -> None:
    assert commands.run(["build", "--data_dir=gs://datasets", *ON_DATAFLOW]) == 2
    assert "--backgrounds: Dataflow's workers cannot reach" in capfd.readouterr().err


def test_a_dry_run_is_dataflows_alone(tmp_path: Path, inputs: Inputs, capfd: pytest.CaptureFixture[str]) -> None:
    assert commands.run(["build", *inputs.flags, f"--data_dir={tmp_path}", "--dry_run=True"]) == 2
    assert "--dry_run: only --runner=DataflowRunner knows it" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_deletes_nothing(buckets: Buckets, capfd: pytest.CaptureFixture[str]) -> None:
    assert build_in_buckets("--depth_model=none") == 0
    before = {name: data for name, data in buckets.objects.items() if name.startswith("gs://datasets")}
    assert build_in_buckets("--depth_model=none", "--overwrite", *ON_DATAFLOW) == 0
    assert "The job was translated and not started" in capfd.readouterr().out
    assert {name: data for name, data in buckets.objects.items() if name.startswith("gs://datasets")} == before
