"""Hours and dollars on Dataflow, computed by hand from the tables."""

from dataclasses import replace

import pytest

from pipeline.dataflow_estimate import (
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
from transforms.errors import InputError

T4 = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
# 1 ms of a core, and 2.43 GFLOP or 100 ms of a core for depth.
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
def test_machines(name: str, vcpus: int, gigabytes: float) -> None:
    assert parse_machine(name) == Machine(name, vcpus, gigabytes)


@pytest.mark.parametrize(
    "name", ["z9-standard-4", "n1-standard", "n1-standard-0", "n1-standard-4g", "a2-highgpu-1", ""]
)
def test_unknown_machines_are_named_with_the_known_ones(name: str) -> None:
    with pytest.raises(
        InputError, match=r"^--machine_type: no price is known of .*n1-standard-N.*a2-highgpu-Ng"
    ) as error:
        parse_machine(name)
    assert "\n" not in str(error.value)


def test_accelerators() -> None:
    assert parse_accelerators(T4) == Accelerators("nvidia-tesla-t4", 1)
    assert parse_accelerators("type:nvidia-l4;count:2;install-nvidia-driver:5xx") == Accelerators("nvidia-l4", 2)


@pytest.mark.parametrize("text", ["type:tpu;count:1", "nvidia-l4", "type:nvidia-l4;count:0", "count:1"])
def test_unknown_accelerators_are_named_with_the_known_ones(text: str) -> None:
    with pytest.raises(InputError, match=r"^--accelerator: .*nvidia-tesla-t4.*nvidia-l4"):
        parse_accelerators(text)


def test_every_gpu_fits_the_machine_that_is_assumed_for_it() -> None:
    for name in GPUS:
        fleet = make_fleet(None, None, f"type:{name};count:1", None)
        assert fleet.accelerators is not None
        assert fleet.machine.name.startswith(fleet.accelerators.gpu.machines)


def test_what_flags_leave_open() -> None:
    machine = Machine("n1-standard-1", vcpus=1, gigabytes=3.75)
    assert make_fleet(None, None, None, None) == Fleet(1, machine, accelerators=None, disk_gigabytes=25)


def test_a_machine_that_cannot_have_the_gpu() -> None:
    with pytest.raises(InputError, match=r"n1-standard-4 cannot have a nvidia-l4.* such as g2-standard-4"):
        make_fleet(1, "n1-standard-4", "type:nvidia-l4;count:1", None)


def test_accelerator_of_service_options() -> None:
    assert service_accelerator([f"worker_accelerator={T4}", "other"]) == T4
    assert service_accelerator(["use_runner_v2"]) is None


def test_price_of_a_worker() -> None:
    # 4 x 0.056 + 15 x 0.003557 + 25 x 0.000054, and 0.42 for the GPU
    assert make_fleet(1, "n1-standard-4", None, None).dollars_an_hour == pytest.approx(0.278705)
    assert make_fleet(1, "n1-standard-4", T4, None).dollars_an_hour == pytest.approx(0.698705)
    assert make_fleet(1, "n1-standard-4", None, 125).dollars_an_hour == pytest.approx(0.284105)


def test_gpu_that_is_the_limit() -> None:
    estimate = estimate_fleet(JOB, make_fleet(10, "n1-standard-4", T4, None))
    assert estimate.cores_rate == pytest.approx(4000)
    assert estimate.gpu_rate == pytest.approx(8.1e12 * 0.3 / 2.43e9) == pytest.approx(1000)
    assert estimate.hours == pytest.approx(5 / 60 + 0.1)
    assert estimate.dollars == pytest.approx(10 * (5 / 60 + 0.1) * 0.698705)
    assert estimate.storage_dollars == pytest.approx(4)


def test_cores_that_are_the_limit() -> None:
    fleet = make_fleet(1, "a2-highgpu-1g", "type:nvidia-tesla-a100;count:1", None)
    estimate = estimate_fleet(replace(JOB, precision="bfloat16"), fleet)
    assert estimate.gpu_rate == pytest.approx(312e12 * 0.1 / 2.43e9)
    # 12 vCPUs, but one process of 4 threads
    assert estimate.cores_rate == pytest.approx(4000)
    assert estimate.hours == pytest.approx(5 / 60 + 0.25)


def test_bfloat16_on_a_gpu_that_does_not_have_it() -> None:
    fleet = make_fleet(1, None, T4, None)
    assert estimate_fleet(replace(JOB, precision="bfloat16"), fleet) == estimate_fleet(JOB, fleet)


def test_depth_on_processors() -> None:
    estimate = estimate_fleet(JOB, make_fleet(10, "n1-standard-4", None, None))
    assert estimate.gpu_rate is None
    assert estimate.hours == pytest.approx(5 / 60 + 3_600_000 * 0.101 / 40 / 3600)
    assert estimate.dollars == pytest.approx(7.2696, rel=1e-4)


def test_pictures_that_are_fetched_again() -> None:
    fleet = make_fleet(10, "n1-standard-4", T4, None)
    job = replace(JOB, pictures=1.3)
    estimate = estimate_fleet(job, fleet)
    # 1 ms, and 1.3 x (20 + 10) ms, by each of 4 threads
    assert estimate.cores_rate == pytest.approx(4 / 0.040)
    assert estimate.hours == pytest.approx(5 / 60 + 1)
    told = describe_fleet(job, fleet, estimate)
    assert "1.30 for each example again, since not all fit in memory: 20 ms to fetch one (assumed), 10.0 to" in told
    assert "limit    the vCPUs; the other waits for it" in told


def test_no_depth_on_more_workers_than_shards() -> None:
    job = replace(JOB, shards=10, depth_core_seconds=0, gpu_operations=0)
    estimate = estimate_fleet(job, make_fleet(100, "n1-standard-4", None, None))
    assert estimate.busy_workers == 3
    assert estimate.hours == pytest.approx(5 / 60 + 3600 / 12 / 3600)


def test_every_figure_is_told() -> None:
    fleet = make_fleet(10, "n1-standard-4", T4, None)
    assert describe_fleet(JOB, fleet, estimate_fleet(JOB, fleet)).splitlines() == [
        "  On Dataflow, 10 x n1-standard-4 with 1 nvidia-tesla-t4: about 11 minutes, $1.28. Never measured there; it"
        " follows from:",
        "    work     1,000 examples/s on one core here without depth, x 4 threads of one process",
        "    depth    1,000 images/s on a GPU: 8.1 TFLOP/s in float32 x 30% (assumed) / 2.43 GFLOP an image",
        "    limit    the GPU; the other waits for it",
        "    start    5 minutes of every worker (assumed)",
        "    price    $0.699 an hour and worker: 4 vCPU x $0.056, 15 GB x $0.003557, disk 25 GB x $0.000054, 1 x $0.42",
        "    shuffle  numbers of shards and sums only: nothing to speak of",
        "    storage  200.0 GB x $0.02 a GB: $4.00 a month",
        "    Prices are about the list prices of us-central1 in 2025: see cloud.google.com/dataflow/pricing for yours.",
    ]


def test_what_is_paid_for_and_not_used_is_told() -> None:
    two = make_fleet(1, "n1-standard-8", "type:nvidia-tesla-t4;count:2", None)
    assert "a process uses one of them; all are paid for" in describe_fleet(JOB, two, estimate_fleet(JOB, two))
    job = replace(JOB, gpu_operations=0)
    assert "nothing here uses them" in describe_fleet(job, two, estimate_fleet(job, two))


def test_idle_workers_are_told() -> None:
    fleet = make_fleet(100, "n1-standard-4", None, None)
    job = replace(JOB, shards=10)
    assert "10: work for 3 of the 100 workers" in describe_fleet(job, fleet, estimate_fleet(job, fleet))
