"""Estimates the hours and dollars of a build on Dataflow from stated figures. Nothing is measured on Google Cloud.

The time per example comes from the examples that `plan` builds on this machine. Machines, prices and the speed of
accelerators come from the tables in this module.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from fgbg.errors import InputError
from fgbg.formatting import format_bytes

# US dollars for Dataflow batch workers, whose prices are higher than those of Compute Engine. They are rounded figures
# for planning and not current prices. The prices of GPUs are Compute Engine list prices plus one fifth.
PRICES_OF = "about the list prices of us-central1 in 2025"
VCPU_HOUR = 0.056
GIGABYTE_HOUR = 0.003557
DISK_GIGABYTE_HOUR = 0.000054
STORAGE_GIGABYTE_MONTH = 0.020

# Defaults of Dataflow.
DEFAULT_MACHINE = "n1-standard-1"
DEFAULT_DISK_GIGABYTES = 25

# Assumptions. Minutes from requesting a worker to its first shard: start of the machine, driver, image and libraries.
START_MINUTES = 5
# Seconds that a thread waits for a picture from a bucket in the same region.
FETCH_SECONDS = 0.02
# On a worker with a GPU, the threads of one process do all work. Python does not benefit from more threads than this.
MAX_THREADS = 4
# Fraction of its peak that a GPU reaches. It is low because batches and channels are small and layers are memory-bound.
UTILISATION = {"float32": 0.3, "bfloat16": 0.1}


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine type of Compute Engine.

    Attributes:
        name: its name, such as n1-standard-4.
        vcpus: number of vCPUs, as billed.
        gigabytes: memory, GB.
    """

    name: str
    vcpus: int
    gigabytes: float


@dataclass(frozen=True, slots=True)
class Gpu:
    """A model of GPU.

    Attributes:
        dollars: price per hour.
        float32: peak TFLOP/s in float32 without TensorFloat-32, which the networks do not use.
        bfloat16: dense peak TFLOP/s in bfloat16, or None if it computes bfloat16 in float32.
        machines: prefix of the machine types that support it.
        machine: default machine type.
    """

    dollars: float
    float32: float
    bfloat16: float | None
    machines: str
    machine: str

    def computes_in(self, precision: str) -> str:
        """Return the precision in which the GPU computes if `precision` is requested."""
        return precision if self.bfloat16 else "float32"

    def peak(self, precision: str) -> float:
        """Return the peak TFLOP/s in a precision that the GPU supports."""
        return self.bfloat16 if precision == "bfloat16" and self.bfloat16 else self.float32


@dataclass(frozen=True, slots=True)
class Accelerators:
    """The GPUs of a worker: `count` of one model. A process uses only one of them."""

    name: str
    count: int

    @property
    def gpu(self) -> Gpu:
        """The model of GPU."""
        return GPUS[self.name]


# vCPUs and GB of memory per unit of the number at the end of a machine type: a vCPU, or a GPU if the name ends in g.
_MACHINES = {
    "n1-standard": (1, 3.75),
    "n1-highmem": (1, 6.5),
    "n1-highcpu": (1, 0.9),
    **{f"{series}-standard": (1, 4.0) for series in ("n2", "n2d", "n4", "e2", "c2", "c2d", "c3", "t2d", "g2")},
    **{f"{series}-highmem": (1, 8.0) for series in ("n2", "n2d", "n4", "e2", "c2d", "c3")},
    **{f"{series}-highcpu": (1, 1.0) for series in ("n2", "n2d", "e2")},
    "a2-highgpu": (12, 85.0),
    "a2-ultragpu": (12, 170.0),
    "a3-highgpu": (26, 234.0),
}

# Peaks as published by NVIDIA for the boards in Google's machines.
GPUS = {
    "nvidia-tesla-p4": Gpu(0.72, 5.5, None, "n1-", "n1-standard-4"),
    "nvidia-tesla-p100": Gpu(1.752, 9.3, None, "n1-", "n1-standard-4"),
    "nvidia-tesla-v100": Gpu(2.976, 15.7, None, "n1-", "n1-standard-4"),
    "nvidia-tesla-t4": Gpu(0.42, 8.1, None, "n1-", "n1-standard-4"),
    "nvidia-l4": Gpu(0.672, 30.3, 121.0, "g2-", "g2-standard-4"),
    "nvidia-tesla-a100": Gpu(3.72, 19.5, 312.0, "a2-highgpu-", "a2-highgpu-1g"),
    "nvidia-a100-80gb": Gpu(4.7137, 19.5, 312.0, "a2-ultragpu-", "a2-ultragpu-1g"),
    "nvidia-h100-80gb": Gpu(11.755, 66.9, 989.0, "a3-highgpu-", "a3-highgpu-1g"),
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """A number of identical workers.

    Attributes:
        workers: number of workers.
        machine: machine type.
        accelerators: GPUs per worker, or None.
        disk_gigabytes: disk per worker, GB.
    """

    workers: int
    machine: Machine
    accelerators: Accelerators | None
    disk_gigabytes: int

    @property
    def dollars_per_hour(self) -> float:
        """Price of one worker per hour."""
        gpus = self.accelerators.count * self.accelerators.gpu.dollars if self.accelerators else 0
        machine = self.machine.vcpus * VCPU_HOUR + self.machine.gigabytes * GIGABYTE_HOUR
        return machine + self.disk_gigabytes * DISK_GIGABYTE_HOUR + gpus


@dataclass(frozen=True, slots=True)
class Job:
    """The work of a build.

    Attributes:
        examples: number of examples.
        shards: number of shards.
        stored_bytes: size of the finished dataset.
        core_seconds: time of one core per example, without depth.
        pictures: mean number of pictures per example that have to be read and decoded again.
        picture_seconds: time of one core to decode a picture.
        depth_core_seconds: time of one core per depth map, or 0 without depth.
        gpu_operations: multiplications and additions per depth map, or 0 if depth does not run on a GPU.
        precision: "float32" or "bfloat16".
    """

    examples: int
    shards: int
    stored_bytes: float
    core_seconds: float
    pictures: float
    picture_seconds: float
    depth_core_seconds: float
    gpu_operations: float
    precision: str

    @property
    def thread_seconds(self) -> float:
        """Time of one thread per example, without depth but including waiting for pictures."""
        return self.core_seconds + self.pictures * (self.picture_seconds + FETCH_SECONDS)


@dataclass(frozen=True, slots=True)
class FleetEstimate:
    """The estimated time and cost of a job on a fleet.

    Attributes:
        cores: cores of a worker that build examples.
        busy_workers: number of workers that have at least one shard to build.
        cores_rate: examples per second by the cores of a worker.
        gpu_rate: depth maps per second by the GPU of a worker, or None if the cores predict depth.
        hours: duration of the job.
        dollars: price of the workers for this duration.
        storage_dollars: price of storing the dataset per month.
    """

    cores: int
    busy_workers: int
    cores_rate: float
    gpu_rate: float | None
    hours: float
    dollars: float
    storage_dollars: float


def parse_machine(name: str) -> Machine:
    """Return the machine type of this name.

    >>> parse_machine("n1-standard-4")
    Machine(name='n1-standard-4', vcpus=4, gigabytes=15.0)
    >>> parse_machine("a2-highgpu-2g").vcpus
    24

    Raises:
        InputError: the name is not in the table.
    """
    match = re.fullmatch(r"(.+)-([1-9]\d*)(g?)", name)
    if not match or match[1] not in _MACHINES or bool(match[3]) != match[1].endswith("gpu"):
        known = ", ".join(f"{kind}-N{'g' if kind.endswith('gpu') else ''}" for kind in _MACHINES)
        raise InputError(f"--machine_type: the price of {name} is unknown. Known machine types: {known}.")
    vcpus, gigabytes = _MACHINES[match[1]]
    return Machine(name, int(match[2]) * vcpus, int(match[2]) * gigabytes)


def parse_accelerators(text: str) -> Accelerators:
    """Parse `type:NAME;count:N`; further options are ignored.

    >>> parse_accelerators("type:nvidia-l4;count:1;install-nvidia-driver")
    Accelerators(name='nvidia-l4', count=1)

    Raises:
        InputError: the format is wrong or the name is not in the table.
    """
    parts = dict(part.split(":", 1) for part in text.split(";") if ":" in part)
    name, count = parts.get("type", ""), parts.get("count", "1")
    if name not in GPUS or not re.fullmatch(r"[1-9]\d*", count):
        raise InputError(
            f"--accelerator: the price of {text} is unknown. Use type:NAME;count:N with one of {', '.join(GPUS)}."
        )
    return Accelerators(name, int(count))


def service_accelerator(service_options: Iterable[str]) -> str | None:
    """Return the accelerator in the values of --dataflow_service_options or --experiments, or None.

    >>> service_accelerator(["enable_prime", "worker_accelerator=type:nvidia-l4;count:1"])
    'type:nvidia-l4;count:1'
    """
    values = [option for option in service_options if option.startswith("worker_accelerator=")]
    return values[-1].partition("=")[2] if values else None


def make_fleet(
    workers: int | None, machine_type: str | None, accelerator: str | None, disk_gigabytes: int | None
) -> Fleet:
    """Return the fleet that the flags describe; None means the default of Dataflow.

    Raises:
        InputError: a machine type or accelerator is not in the tables, or the machine type does not support it.
    """
    accelerators = parse_accelerators(accelerator) if accelerator else None
    machine = parse_machine(machine_type or (accelerators.gpu.machine if accelerators else DEFAULT_MACHINE))
    if accelerators and not machine.name.startswith(accelerators.gpu.machines):
        raise InputError(
            f"--machine_type: {machine.name} does not support {accelerators.name}. Use a machine type that starts with"
            f" {accelerators.gpu.machines}, such as {accelerators.gpu.machine}."
        )
    return Fleet(workers or 1, machine, accelerators, disk_gigabytes or DEFAULT_DISK_GIGABYTES)


def estimate_fleet(job: Job, fleet: Fleet) -> FleetEstimate:
    """Estimate the time and cost of the job on the fleet.

    Without a GPU, Dataflow runs one process per vCPU. A vCPU counts as one core of the machine that ran `plan`. With a
    GPU, cores and GPU work on different shards at the same time, and the slower one determines the rate.
    """
    on_gpu = fleet.accelerators is not None and job.gpu_operations > 0
    cores = min(fleet.machine.vcpus, MAX_THREADS) if fleet.accelerators else fleet.machine.vcpus
    cores_rate = cores / (job.thread_seconds + (0 if on_gpu else job.depth_core_seconds))
    gpu_rate = None
    if on_gpu and fleet.accelerators:
        precision = fleet.accelerators.gpu.computes_in(job.precision)
        gpu_rate = fleet.accelerators.gpu.peak(precision) * 1e12 * UTILISATION[precision] / job.gpu_operations
    rate = min(cores_rate, gpu_rate or cores_rate)
    busy_workers = min(fleet.workers, ceil(job.shards / cores))
    hours = START_MINUTES / 60 + job.examples / (busy_workers * rate) / 3600
    return FleetEstimate(
        cores=cores,
        busy_workers=busy_workers,
        cores_rate=cores_rate,
        gpu_rate=gpu_rate,
        hours=hours,
        dollars=busy_workers * hours * fleet.dollars_per_hour,
        storage_dollars=job.stored_bytes / 1e9 * STORAGE_GIGABYTE_MONTH,
    )


def describe_fleet(job: Job, fleet: Fleet, estimate: FleetEstimate) -> str:
    """Return the estimate as text: the result, then all figures from which it is computed."""
    has = f" with {fleet.accelerators.count} {fleet.accelerators.name}" if fleet.accelerators else ""
    lines = [
        f"  On Dataflow, {fleet.workers} x {fleet.machine.name}{has}: about {_duration(estimate.hours)},"
        f" ${estimate.dollars:,.2f}. This is an estimate, not a measurement. It is computed from:",
        f"    work     {1 / job.core_seconds:,.0f} examples/s on one core of this machine without depth,"
        f" x {estimate.cores}"
        f" {'threads of one process' if fleet.accelerators else 'vCPU, each assumed as fast as this core'}",
    ]
    if job.pictures:
        lines.append(
            f"    pictures {job.pictures:.2f} per example are read again because not all fit in memory:"
            f" {FETCH_SECONDS * 1000:g} ms to read one (assumed), {job.picture_seconds * 1000:,.1f} ms to decode it"
        )
    lines += _describe_depth(job, fleet, estimate)
    if estimate.busy_workers < fleet.workers:
        lines.append(
            f"    shards   {job.shards:,}: only {estimate.busy_workers} of the {fleet.workers} workers have work;"
            " a smaller --examples_per_shard gives more shards"
        )
    machine = fleet.machine
    lines += [
        f"    start    {START_MINUTES} minutes per worker (assumed)",
        f"    price    ${fleet.dollars_per_hour:.3f} per worker and hour: {machine.vcpus} vCPU x ${VCPU_HOUR},"
        f" {machine.gigabytes:g} GB x ${GIGABYTE_HOUR}, disk {fleet.disk_gigabytes} GB x ${DISK_GIGABYTE_HOUR:.6f}"
        + (f", {fleet.accelerators.count} x ${fleet.accelerators.gpu.dollars:g}" if fleet.accelerators else ""),
        "    shuffle  shard numbers and sums only: negligible",
        f"    storage  {format_bytes(job.stored_bytes)} x ${STORAGE_GIGABYTE_MONTH:.2f} per GB:"
        f" ${estimate.storage_dollars:,.2f} per month",
        f"    Prices are {PRICES_OF}. See cloud.google.com/dataflow/pricing for current prices.",
    ]
    return "\n".join(lines)


def _describe_depth(job: Job, fleet: Fleet, estimate: FleetEstimate) -> list[str]:
    lines = []
    accelerators = fleet.accelerators
    if accelerators and estimate.gpu_rate:
        precision = accelerators.gpu.computes_in(job.precision)
        lines.append(
            f"    depth    {estimate.gpu_rate:,.0f} images/s on a GPU: {accelerators.gpu.peak(precision):g} TFLOP/s in"
            f" {precision} x {UTILISATION[precision]:.0%} (assumed) / {job.gpu_operations / 1e9:,.3g} GFLOP per image"
        )
        slower = "GPU" if estimate.gpu_rate < estimate.cores_rate else "vCPUs"
        lines.append(f"    limit    the {slower}")
        if accelerators.count > 1:
            lines.append("    GPUs     a process uses only one of them, but all are billed")
        return lines
    if job.depth_core_seconds:
        lines.append(f"    depth    {1 / job.depth_core_seconds:,.1f} images/s on one core of this machine")
    if accelerators:
        lines.append("    GPUs     this build does not use them, but they are billed")
    return lines


def _duration(hours: float) -> str:
    """Return a duration in minutes or hours.

    >>> _duration(0.5), _duration(30)
    ('30 minutes', '30.0 hours')
    """
    return f"{hours:,.1f} hours" if hours >= 2 else f"{hours * 60:,.0f} minutes"
