"""Estimates of hours and dollars on Dataflow, compared with values computed by hand from the tables."""

from dataclasses import replace

import pytest

from fgbg.errors import InputError
from pipeline.build.dataflow_estimate import (
    GPUS,
    Accelerators,
    Fleet,
    Job,
    Machine,
    describe_fleet,
    estimate_fleet,
    make_fleet,
    parse_accelerators,
    parse_machine,
    service_accelerator,
)

T4 = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
# An example takes 1 ms of one core; its depth takes 2.43 GFLOP on a GPU or 100 ms of one core.
JOB = Job(
    examples=3_600_000,
    shards=4_500,
    stored_bytes=200e9,
    core_seconds=0.001,
    pictures=0,
    picture_seconds=0.01,
    depth_core_seconds=0.1,
    gpu_operations=2.43e9,
    precision="float32",
)


@pytest.mark.parametrize(
    ("name", "vcpus", "gigabytes"),
    [
        ("n1-standard-1", 1, 3.75),
        ("n1-highmem-8", 8, 52),
        ("n2-highcpu-16", 16, 16),
        ("e2-standard-2", 2, 8),
        ("g2-standard-12", 12, 48),
        ("a2-highgpu-1g", 12, 85),
        ("a2-ultragpu-4g", 48, 680),
        ("a3-highgpu-8g", 208, 1872),
    ],
)
def test_parse_machine(name: str, vcpus: int, gigabytes: float) -> None:
    assert parse_machine(name) == Machine(name, vcpus, gigabytes)


@pytest.mark.parametrize(
    "name", ["z9-standard-4", "n1-standard", "n1-standard-0", "n1-standard-4g", "a2-highgpu-1", ""]
)
def test_unknown_machine_type_lists_the_known_ones(name: str) -> None:
    with pytest.raises(
        InputError,
        match=r"^--machine_type: the price of .* is unknown\. Known machine types: .*n1-standard-N.*a2-highgpu-Ng",
    ) as error:
        parse_machine(name)
    assert "\n" not in str(error.value)


def test_parse_accelerators() -> None:
    assert parse_accelerators(T4) == Accelerators("nvidia-tesla-t4", 1)
    assert parse_accelerators("type:nvidia-l4;count:2;install-nvidia-driver:5xx") == Accelerators("nvidia-l4", 2)


@pytest.mark.parametrize("text", ["type:tpu;count:1", "nvidia-l4", "type:nvidia-l4;count:0", "count:1"])
def test_unknown_accelerator_lists_the_known_ones(text: str) -> None:
    with pytest.raises(InputError, match=r"^--accelerator: .*nvidia-tesla-t4.*nvidia-l4"):
        parse_accelerators(text)


def test_default_machine_of_each_gpu_supports_it() -> None:
    for name in GPUS:
        fleet = make_fleet(None, None, f"type:{name};count:1", None)
        assert fleet.accelerators is not None
        assert fleet.machine.name.startswith(fleet.accelerators.gpu.machines)


def test_default_fleet() -> None:
    machine = Machine("n1-standard-1", vcpus=1, gigabytes=3.75)
    assert make_fleet(None, None, None, None) == Fleet(1, machine, accelerators=None, disk_gigabytes=25)


def test_machine_that_does_not_support_the_gpu_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"n1-standard-4 does not support nvidia-l4.* such as g2-standard-4"):
        make_fleet(1, "n1-standard-4", "type:nvidia-l4;count:1", None)


def test_accelerator_of_service_options() -> None:
    assert service_accelerator([f"worker_accelerator={T4}", "other"]) == T4
    assert service_accelerator(["use_runner_v2"]) is None


def test_price_of_a_worker() -> None:
    # 4 x 0.056 + 15 x 0.003557 + 25 x 0.000054, plus 0.42 for the GPU
    assert make_fleet(1, "n1-standard-4", None, None).dollars_per_hour == pytest.approx(0.278705)
    assert make_fleet(1, "n1-standard-4", T4, None).dollars_per_hour == pytest.approx(0.698705)
    assert make_fleet(1, "n1-standard-4", None, 125).dollars_per_hour == pytest.approx(0.284105)


def test_gpu_limits_the_rate() -> None:
    estimate = estimate_fleet(JOB, make_fleet(10, "n1-standard-4", T4, None))
    assert estimate.cores_rate == pytest.approx(4000)
    assert estimate.gpu_rate == pytest.approx(8.1e12 * 0.3 / 2.43e9) == pytest.approx(1000)
    assert estimate.hours == pytest.approx(5 / 60 + 0.1)
    assert estimate.dollars == pytest.approx(10 * (5 / 60 + 0.1) * 0.698705)
    assert estimate.storage_dollars == pytest.approx(4)


def test_cores_limit_the_rate() -> None:
    fleet = make_fleet(1, "a2-highgpu-1g", "type:nvidia-tesla-a100;count:1", None)
    estimate = estimate_fleet(replace(JOB, precision="bfloat16"), fleet)
    assert estimate.gpu_rate == pytest.approx(312e12 * 0.1 / 2.43e9)
    # 12 vCPUs, but only one process with 4 threads
    assert estimate.cores_rate == pytest.approx(4000)
    assert estimate.hours == pytest.approx(5 / 60 + 0.25)


def test_bfloat16_on_a_gpu_without_bfloat16_is_computed_in_float32() -> None:
    fleet = make_fleet(1, None, T4, None)
    assert estimate_fleet(replace(JOB, precision="bfloat16"), fleet) == estimate_fleet(JOB, fleet)


def test_depth_on_cores() -> None:
    estimate = estimate_fleet(JOB, make_fleet(10, "n1-standard-4", None, None))
    assert estimate.gpu_rate is None
    assert estimate.hours == pytest.approx(5 / 60 + 3_600_000 * 0.101 / 40 / 3600)
    assert estimate.dollars == pytest.approx(7.2696, rel=1e-4)


def test_pictures_read_again_slow_down_the_cores() -> None:
    fleet = make_fleet(10, "n1-standard-4", T4, None)
    job = replace(JOB, pictures=1.3)
    estimate = estimate_fleet(job, fleet)
    # 1 ms plus 1.3 x (20 + 10) ms, in each of 4 threads
    assert estimate.cores_rate == pytest.approx(4 / 0.040)
    assert estimate.hours == pytest.approx(5 / 60 + 1)
    text = describe_fleet(job, fleet, estimate)
    assert (
        "1.30 per example are read again because not all fit in memory: 20 ms to read one (assumed), 10.0 ms to" in text
    )
    assert "limit    the vCPUs\n" in text


def test_more_workers_than_shards() -> None:
    job = replace(JOB, shards=10, depth_core_seconds=0, gpu_operations=0)
    estimate = estimate_fleet(job, make_fleet(100, "n1-standard-4", None, None))
    assert estimate.busy_workers == 3
    assert estimate.hours == pytest.approx(5 / 60 + 3600 / 12 / 3600)


def test_description_contains_every_figure() -> None:
    fleet = make_fleet(10, "n1-standard-4", T4, None)
    assert describe_fleet(JOB, fleet, estimate_fleet(JOB, fleet)).splitlines() == [
        "  On Dataflow, 10 x n1-standard-4 with 1 nvidia-tesla-t4: about 11 minutes, $1.28. This is an estimate,"
        " not a measurement. It is computed from:",
        "    work     1,000 examples/s on one core of this machine without depth, x 4 threads of one process",
        "    depth    1,000 images/s on a GPU: 8.1 TFLOP/s in float32 x 30% (assumed) / 2.43 GFLOP per image",
        "    limit    the GPU",
        "    start    5 minutes per worker (assumed)",
        "    price    $0.699 per worker and hour: 4 vCPU x $0.056, 15 GB x $0.003557, disk 25 GB x $0.000054,"
        " 1 x $0.42",
        "    shuffle  shard numbers and sums only: negligible",
        "    storage  200.0 GB x $0.02 per GB: $4.00 per month",
        "    Prices are about the list prices of us-central1 in 2025. See cloud.google.com/dataflow/pricing for current"
        " prices.",
    ]


def test_description_names_billed_but_unused_gpus() -> None:
    two = make_fleet(1, "n1-standard-8", "type:nvidia-tesla-t4;count:2", None)
    assert "a process uses only one of them, but all are billed" in describe_fleet(JOB, two, estimate_fleet(JOB, two))
    job = replace(JOB, gpu_operations=0)
    assert "this build does not use them, but they are billed" in describe_fleet(job, two, estimate_fleet(job, two))


def test_description_names_idle_workers() -> None:
    fleet = make_fleet(100, "n1-standard-4", None, None)
    job = replace(JOB, shards=10)
    assert "10: only 3 of the 100 workers have work" in describe_fleet(job, fleet, estimate_fleet(job, fleet))
