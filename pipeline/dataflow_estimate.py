"""Hours and dollars of a build on Dataflow workers: arithmetic on stated figures, no measurement of a cloud.

The work of one example comes from the examples that `plan` really makes; machines, prices and the speed of accelerators
come from the tables here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from transforms.card import format_bytes
from transforms.errors import InputError

# Dollars, of Dataflow's batch workers: not those of bare machines, which are lower. Rounded figures to plan with, not
# looked up on the day: those of GPUs are list prices of bare machines and a fifth more.
PRICES_OF = "about the list prices of us-central1 in 2025"
VCPU_HOUR = 0.056
GIGABYTE_HOUR = 0.003557
DISK_GIGABYTE_HOUR = 0.000054
STORAGE_GIGABYTE_MONTH = 0.020

# What Dataflow takes when nothing is said.
DEFAULT_MACHINE = "n1-standard-1"
DEFAULT_DISK_GIGABYTES = 25

# Assumptions. From asking for a machine to its first shard: the machine, its driver, the image, the libraries.
START_MINUTES = 5
# Of a thread that waits for a picture from a bucket in the same region.
FETCH_SECONDS = 0.02
# Beside a GPU all work is done by the threads of one process; of more of them Python makes no use.
MOST_THREADS = 4
# How much of its peak a GPU reaches, in full float32 and in bfloat16: small batches and channels, memory-bound layers.
UTILISATION = {"float32": 0.3, "bfloat16": 0.1}


@dataclass(frozen=True, slots=True)
class Machine:
    """A worker's machine type: its processors as Dataflow bills them, and its memory."""

    name: str
    vcpus: int
    gigabytes: float


@dataclass(frozen=True, slots=True)
class Gpu:
    """A kind of GPU.

    Attributes:
        dollars: an hour.
        float32: peak, TFLOP/s, without TensorFloat-32, which the networks do not use.
        bfloat16: peak, TFLOP/s, dense, or None if it computes that in float32.
        machines: how the names of the machine types begin that can have it.
        machine: the one to assume if none is named.
    """

    dollars: float
    float32: float
    bfloat16: float | None
    machines: str
    machine: str

    def computes_in(self, precision: str) -> str:
        """The precision that it really computes in."""
        return precision if self.bfloat16 else "float32"

    def peak(self, precision: str) -> float:
        """TFLOP/s in a precision that it computes in."""
        return self.bfloat16 if precision == "bfloat16" and self.bfloat16 else self.float32


@dataclass(frozen=True, slots=True)
class Accelerators:
    """What each worker has beside its processors: so many GPUs of one kind, of which a process uses one."""

    name: str
    count: int

    @property
    def gpu(self) -> Gpu:
        """The kind."""
        return GPUS[self.name]


# vCPUs and memory in GB for each unit of the number in the type's name: a vCPU or, where that ends in g, a GPU.
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

# Peaks as NVIDIA states them for the boards that Google's machines have.
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
    """Workers, all alike.

    Attributes:
        workers: how many.
        machine: their machine type.
        accelerators: what each of them has, or None.
        disk_gigabytes: of each.
    """

    workers: int
    machine: Machine
    accelerators: Accelerators | None
    disk_gigabytes: int

    @property
    def dollars_an_hour(self) -> float:
        """Of one worker."""
        gpus = self.accelerators.count * self.accelerators.gpu.dollars if self.accelerators else 0
        machine = self.machine.vcpus * VCPU_HOUR + self.machine.gigabytes * GIGABYTE_HOUR
        return machine + self.disk_gigabytes * DISK_GIGABYTE_HOUR + gpus


@dataclass(frozen=True, slots=True)
class Job:
    """What there is to do.

    Attributes:
        examples: how many.
        shards: in how many pieces.
        stored_bytes: of the finished dataset.
        core_seconds: of one core for an example without its depth.
        pictures: how many pictures an example fetches and decodes again.
        picture_seconds: of one core to decode one.
        depth_core_seconds: of one core for its depth, or 0 without.
        gpu_operations: of its depth, multiplications and additions, or 0 if no GPU would be used for it.
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
        """Of one thread for an example without its depth."""
        return self.core_seconds + self.pictures * (self.picture_seconds + FETCH_SECONDS)


@dataclass(frozen=True, slots=True)
class FleetEstimate:
    """What a job costs on a fleet.

    Attributes:
        cores: of a worker that make examples.
        busy_workers: how many of them have a shard to make.
        cores_rate: examples a second that a worker's cores can make.
        gpu_rate: depth maps a second by its GPU, or None where the cores make them.
        hours: from start to end.
        dollars: for these workers over these hours.
        storage_dollars: of the dataset, each month.
    """

    cores: int
    busy_workers: int
    cores_rate: float
    gpu_rate: float | None
    hours: float
    dollars: float
    storage_dollars: float


def parse_machine(name: str) -> Machine:
    """A machine type by its name.

    >>> parse_machine("n1-standard-4")
    Machine(name='n1-standard-4', vcpus=4, gigabytes=15.0)
    >>> parse_machine("a2-highgpu-2g").vcpus
    24

    Raises:
        InputError: it is not in the table.
    """
    match = re.fullmatch(r"(.+)-([1-9]\d*)(g?)", name)
    if not match or match[1] not in _MACHINES or bool(match[3]) != match[1].endswith("gpu"):
        known = ", ".join(f"{kind}-N{'g' if kind.endswith('gpu') else ''}" for kind in _MACHINES)
        raise InputError(f"--machine_type: no price is known of {name}, only of {known}.")
    vcpus, gigabytes = _MACHINES[match[1]]
    return Machine(name, int(match[2]) * vcpus, int(match[2]) * gigabytes)


def parse_accelerators(text: str) -> Accelerators:
    """What `type:NAME;count:N` means, whatever follows.

    >>> parse_accelerators("type:nvidia-l4;count:1;install-nvidia-driver")
    Accelerators(name='nvidia-l4', count=1)

    Raises:
        InputError: it is not in the table.
    """
    parts = dict(part.split(":", 1) for part in text.split(";") if ":" in part)
    name, count = parts.get("type", ""), parts.get("count", "1")
    if name not in GPUS or not re.fullmatch(r"[1-9]\d*", count):
        raise InputError(
            f"--accelerator: no price is known of {text}, only of type:NAME;count:N with {', '.join(GPUS)}."
        )
    return Accelerators(name, int(count))


def service_accelerator(service_options: Iterable[str]) -> str | None:
    """The accelerator among the values of Beam's --dataflow_service_options or --experiments, if there is one.

    >>> service_accelerator(["enable_prime", "worker_accelerator=type:nvidia-l4;count:1"])
    'type:nvidia-l4;count:1'
    """
    asked = [option for option in service_options if option.startswith("worker_accelerator=")]
    return asked[-1].partition("=")[2] if asked else None


def make_fleet(
    workers: int | None, machine_type: str | None, accelerator: str | None, disk_gigabytes: int | None
) -> Fleet:
    """A fleet from the values of flags, where None is what Dataflow would take.

    Raises:
        InputError: a machine type or accelerator is not in the tables, or one cannot have the other.
    """
    accelerators = parse_accelerators(accelerator) if accelerator else None
    machine = parse_machine(machine_type or (accelerators.gpu.machine if accelerators else DEFAULT_MACHINE))
    if accelerators and not machine.name.startswith(accelerators.gpu.machines):
        raise InputError(
            f"--machine_type: a {machine.name} cannot have a {accelerators.name}, which goes with"
            f" {accelerators.gpu.machines}... such as {accelerators.gpu.machine}."
        )
    return Fleet(workers or 1, machine, accelerators, disk_gigabytes or DEFAULT_DISK_GIGABYTES)


def estimate_fleet(job: Job, fleet: Fleet) -> FleetEstimate:
    """What the job costs on the fleet.

    Without a GPU, Dataflow runs a process on each vCPU, and a vCPU counts as one core of the machine that measured.
    With one, cores and GPU work at the same time on different shards, and the slower of them decides.
    """
    on_gpu = fleet.accelerators is not None and job.gpu_operations > 0
    cores = min(fleet.machine.vcpus, MOST_THREADS) if fleet.accelerators else fleet.machine.vcpus
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
        dollars=busy_workers * hours * fleet.dollars_an_hour,
        storage_dollars=job.stored_bytes / 1e9 * STORAGE_GIGABYTE_MONTH,
    )


def describe_fleet(job: Job, fleet: Fleet, estimate: FleetEstimate) -> str:
    """For people: the result, then every figure it follows from."""
    has = f" with {fleet.accelerators.count} {fleet.accelerators.name}" if fleet.accelerators else ""
    lines = [
        f"  On Dataflow, {fleet.workers} x {fleet.machine.name}{has}: about {_duration(estimate.hours)},"
        f" ${estimate.dollars:,.2f}. Never measured there; it follows from:",
        f"    work     {1 / job.core_seconds:,.0f} examples/s on one core here without depth, x {estimate.cores}"
        f" {'threads of one process' if fleet.accelerators else 'vCPU, each as good as that core'}",
    ]
    if job.pictures:
        lines.append(
            f"    pictures {job.pictures:.2f} for each example again, since not all fit in memory:"
            f" {FETCH_SECONDS * 1000:g} ms to fetch one (assumed), {job.picture_seconds * 1000:,.1f} to decode it"
        )
    lines += _describe_depth(job, fleet, estimate)
    if estimate.busy_workers < fleet.workers:
        lines.append(
            f"    shards   {job.shards:,}: work for {estimate.busy_workers} of the {fleet.workers} workers;"
            " a smaller --examples_per_shard makes more"
        )
    machine = fleet.machine
    lines += [
        f"    start    {START_MINUTES} minutes of every worker (assumed)",
        f"    price    ${fleet.dollars_an_hour:.3f} an hour and worker: {machine.vcpus} vCPU x ${VCPU_HOUR},"
        f" {machine.gigabytes:g} GB x ${GIGABYTE_HOUR}, disk {fleet.disk_gigabytes} GB x ${DISK_GIGABYTE_HOUR:.6f}"
        + (f", {fleet.accelerators.count} x ${fleet.accelerators.gpu.dollars:g}" if fleet.accelerators else ""),
        "    shuffle  numbers of shards and sums only: nothing to speak of",
        f"    storage  {format_bytes(job.stored_bytes)} x ${STORAGE_GIGABYTE_MONTH:.2f} a GB:"
        f" ${estimate.storage_dollars:,.2f} a month",
        f"    Prices are {PRICES_OF}: see cloud.google.com/dataflow/pricing for yours.",
    ]
    return "\n".join(lines)


def _describe_depth(job: Job, fleet: Fleet, estimate: FleetEstimate) -> list[str]:
    lines = []
    accelerators = fleet.accelerators
    if accelerators and estimate.gpu_rate:
        precision = accelerators.gpu.computes_in(job.precision)
        lines.append(
            f"    depth    {estimate.gpu_rate:,.0f} images/s on a GPU: {accelerators.gpu.peak(precision):g} TFLOP/s in"
            f" {precision} x {UTILISATION[precision]:.0%} (assumed) / {job.gpu_operations / 1e9:,.3g} GFLOP an image"
        )
        slower = "GPU" if estimate.gpu_rate < estimate.cores_rate else "vCPUs"
        lines.append(f"    limit    the {slower}; the other waits for it")
        if accelerators.count > 1:
            lines.append("    GPUs     a process uses one of them; all are paid for")
        return lines
    if job.depth_core_seconds:
        lines.append(f"    depth    {1 / job.depth_core_seconds:,.1f} images/s on one core here")
    if accelerators:
        lines.append("    GPUs     nothing here uses them: they are paid for all the same")
    return lines


def _duration(hours: float) -> str:
    """
    >>> _duration(0.5), _duration(30)
    ('30 minutes', '30.0 hours')
    """
    return f"{hours:,.1f} hours" if hours >= 2 else f"{hours * 60:,.0f} minutes"
