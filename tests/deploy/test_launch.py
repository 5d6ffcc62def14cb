"""The launcher of the Flex Template: complete runs on a local runner, and staging of a job for Dataflow."""

import json
import runpy
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from apache_beam.runners.dataflow.internal import apiclient

from deploy import launch
from pipeline import commands
from tests.end_to_end.buckets import Buckets
from tests.end_to_end.helpers import Inputs, content, dataset_folder, draw_inputs, shard_files

FLAGS = ("--image_size=48", "--placements=2", "--examples_per_shard=10", "--jpeg_quality=png")
# Flags that a Flex Template adds to the parameters.
ON_DATAFLOW = (
    "--runner=DataflowRunner",
    "--project=a-project",
    "--region=us-central1",
    "--job_name=a-job",
    "--temp_location=gs://work/tmp",
    "--staging_location=gs://work/staging",
    "--service_account_email=fgbg@a-project.iam.gserviceaccount.com",
    "--sdk_container_image=us-central1-docker.pkg.dev/a-project/fgbg/worker-gpu:1",
    "--experiments=use_runner_v2,no_use_multiple_sdk_containers",
    "--dataflow_service_options=worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver",
    "--max_num_workers=10",
    "--machine_type=g2-standard-8",
    "--labels=goog-dataflow-provided-template-type=flex",
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return draw_inputs(tmp_path_factory.mktemp("inputs"), 48)


@pytest.mark.slow
def test_launch_writes_the_same_shards_as_build(inputs: Inputs, tmp_path: Path) -> None:
    assert commands.run(["build", *inputs.flags, *FLAGS, f"--data_dir={tmp_path / 'built'}"]) == 0
    parameters = (*inputs.flags, *FLAGS, f"--data_dir={tmp_path / 'launched'}")
    assert launch.main([*parameters, "--overwrite=false", "--skip_bad_inputs=true"]) == 0
    built, launched = (
        {path.name: path.read_bytes() for path in shard_files(tmp_path / name)} for name in ("built", "launched")
    )
    assert built == launched


def test_second_launch_removes_the_build_folder_and_is_an_error(
    inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    parameters = [*inputs.flags, *FLAGS, f"--data_dir={tmp_path}"]
    assert launch.main(parameters) == 0
    folder = dataset_folder(tmp_path)
    before = content(folder)
    for _ in range(2):
        capfd.readouterr()
        assert launch.main(parameters) == 2
        assert f"fgbg: {folder} is complete: there is nothing to launch." in capfd.readouterr().err
    assert content(folder) == {path: data for path, data in before.items() if ".build" not in str(path)}
    assert commands.run(["verify", str(folder)]) == 0


def test_wrong_flag_is_one_sentence(inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert launch.main([*inputs.flags, f"--data_dir={tmp_path}", "--overwrite=perhaps"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("fgbg: ")
    assert "--overwrite" in line


@pytest.mark.slow
def test_launch_stages_the_job_and_does_not_wait(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    buckets = Buckets()
    buckets.replace_service(monkeypatch)
    monkeypatch.setattr(socket, "getaddrinfo", _refuse)
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    monkeypatch.setattr(apiclient.DataflowApplicationClient, "stage_file", _stage_in(buckets))
    buckets.upload(inputs.backgrounds, "gs://pictures/backgrounds")
    buckets.upload(inputs.foregrounds, "gs://pictures/foregrounds")
    pictures = ("--backgrounds=gs://pictures/backgrounds", "--foregrounds=gs://pictures/foregrounds")
    parameters = (*pictures, *FLAGS, "--data_dir=gs://datasets", "--skip_bad_inputs=true")
    arguments = [launch.__file__, *parameters, *ON_DATAFLOW, "--template_location=gs://work/job_object"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(launch.__file__, run_name="__main__")
    assert ended.value.code == 0

    assert "gs://datasets/fg_bg_depth/1.0.0/.build/configuration.json" in buckets.objects
    assert not any(name.startswith("gs://datasets/fg_bg_depth/1.0.0/fg_bg_depth-") for name in buckets.objects)
    job = json.loads(buckets.objects["gs://work/job_object"])
    assert job["type"] == "JOB_TYPE_BATCH"
    (workers,) = job["environment"]["workerPools"]
    assert workers["machineType"] == "g2-standard-8"
    assert workers["autoscalingSettings"]["maxNumWorkers"] == 10
    (container,) = workers["sdkHarnessContainerImages"]
    assert not any("dataflow_python_sdk" in name for name in buckets.objects)
    assert container["containerImage"] == "us-central1-docker.pkg.dev/a-project/fgbg/worker-gpu:1"
    assert {"use_runner_v2", "no_use_multiple_sdk_containers"} <= set(job["environment"]["experiments"])
    flags = {option["key"]: option["value"] for option in job["environment"]["sdkPipelineOptions"]["display_data"]}
    assert "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver" in flags["dataflow_service_options"]


def _refuse(*address: object, **_: object) -> None:
    raise AssertionError(f"unexpected connection to {address}")


def _stage_in(buckets: Buckets) -> Callable[..., None]:
    def stage_file(_: object, folder: str, name: str, stream: BinaryIO, *__: object, **___: object) -> None:
        buckets.objects[f"{folder}/{name}"] = stream.read()

    return stage_file
