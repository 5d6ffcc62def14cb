"""The `plan` command: what a build would make, from a few examples really made in memory."""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    WorkerOptions,
)
from tqdm import tqdm

from fgbg.depth_models.model import depth_model_operations
from fgbg.formatting import format_bytes
from fgbg.images import Pixels
from fgbg.records import Value, serialize_record
from pipeline.build.build_plan import BuildPlan
from pipeline.build.dataflow_estimate import Fleet, Job, describe_fleet, estimate_fleet, make_fleet, service_accelerator
from pipeline.build.free_space import RECORD_FRAME, describe_lack_of_space, sample_placements
from pipeline.build.options import BuildOptions
from pipeline.build.run_build import checked_plan, share_processors
from pipeline.common.console import quiet_libraries
from pipeline.common.runner import beam_options, is_dataflow
from transforms.assets import Assets, expected_cache_misses
from transforms.compositing import composite_batch
from transforms.depth import predict_depth
from transforms.encoding import encode_batch
from transforms.shards import summarize_batch

_SAMPLE = 64
_PICTURES = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an example takes.

    Attributes:
        made: how many examples were made to find out.
        kind_bytes: encoded bytes of each kind.
        record_bytes: bytes of the whole record.
        composite_seconds: of one core, to composite and encode it.
        pictures: of its two, how many are decoded again, since not all fit in memory.
        picture_seconds: of one core, to decode one.
        depth_seconds: of the whole machine, to predict its depth.
    """

    made: int
    kind_bytes: dict[str, float]
    record_bytes: float
    composite_seconds: float
    pictures: float
    picture_seconds: float
    depth_seconds: float


def run_plan(options: BuildOptions, beam_flags: Sequence[str]) -> None:
    """Print what `build` would make; write nothing.

    Raises:
        InputError: wrong use or bad inputs.
    """
    pipeline_options = beam_options(beam_flags, "plan", BuildOptions)
    fleet = requested_fleet(options, pipeline_options)
    plan = checked_plan(options)
    share_processors(plan, pipeline_options)
    with quiet_libraries():
        estimate = measure(plan)
    print(describe_plan(plan, estimate))
    if fleet is not None:
        job = dataflow_job(plan, estimate)
        print()
        print(describe_fleet(job, fleet, estimate_fleet(job, fleet)))


def requested_fleet(options: BuildOptions, pipeline_options: PipelineOptions) -> Fleet | None:
    """The workers that the flags ask Dataflow for, or None if they ask for none.

    Raises:
        InputError: nothing is known of the machine type or the accelerator.
    """
    asked = pipeline_options.view_as(WorkerOptions)
    service = pipeline_options.view_as(GoogleCloudOptions).dataflow_service_options or []
    experiments = pipeline_options.view_as(DebugOptions).experiments or []
    accelerator = options.accelerator or service_accelerator([*experiments, *service])
    workers = asked.max_num_workers or asked.num_workers
    if not (is_dataflow(pipeline_options) or workers or asked.machine_type or accelerator):
        return None
    return make_fleet(workers, asked.machine_type, accelerator, asked.disk_size_gb)


def dataflow_job(plan: BuildPlan, estimate: Estimate) -> Job:
    """The whole build as work for remote workers."""
    settings = plan.depth_settings
    gpu_operations = 0.0
    if settings is not None and settings.engine == "keras":
        gpu_operations = depth_model_operations(settings.model, input_size=settings.input_size)
    size = plan.layout.product.size
    return Job(
        examples=size,
        shards=plan.layout.num_shards,
        stored_bytes=estimate.record_bytes * size,
        core_seconds=estimate.composite_seconds,
        pictures=estimate.pictures,
        picture_seconds=estimate.picture_seconds,
        depth_core_seconds=estimate.depth_seconds * (os.cpu_count() or 1),
        gpu_operations=gpu_operations,
        precision=settings.precision if settings else "float32",
    )


def measure(plan: BuildPlan) -> Estimate:
    """Make a few examples, spread over the whole dataset, and measure them."""
    placements = sample_placements(plan, _SAMPLE)
    assets = Assets(plan.asset_paths, plan.options.picture_memory)
    settings = plan.depth_settings
    model = settings.load() if settings else None

    def predict(images: Pixels) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        assert settings is not None
        assert model is not None
        return predict_depth(model, images, bits=settings.bits, batch_size=settings.batch_size)

    def make() -> tuple[list[Mapping[str, Value]], list[bytes], float, float]:
        start = time.perf_counter()
        batch = composite_batch(placements, assets, plan.options.image_size)
        summarize_batch(batch)
        composite_seconds = time.perf_counter() - start
        depth_seconds = 0.0
        if settings and model:
            images = batch.fg_bg[: settings.batch_size]
            start = time.perf_counter()
            with ThreadPoolExecutor(model.runs_at_once) as threads:
                runs = [threads.submit(predict, images) for _ in range(model.runs_at_once)]
                depth = runs[0].result()
            # Every depth map stands for several examples.
            batch = replace(batch, depth=depth[np.arange(len(batch)) % len(depth)])
            depth_seconds = (time.perf_counter() - start) / len(images) / len(runs)
        start = time.perf_counter()
        examples: list[Mapping[str, Value]] = list(encode_batch(plan.encoding, batch))
        records = [serialize_record(fields) for fields in examples]
        return examples, records, composite_seconds + time.perf_counter() - start, depth_seconds

    make()  # decodes pictures, loads libraries and builds the network, all of which a build does only once
    encoded, records, composite_seconds, depth_seconds = make()
    kinds = [name for name, value in encoded[0].items() if isinstance(value, bytes)]
    pictures, picture_seconds = measure_pictures(plan)
    return Estimate(
        made=len(placements),
        kind_bytes={kind: float(np.mean([len(fields[kind]) for fields in encoded])) for kind in kinds},  # type: ignore[arg-type]
        record_bytes=float(np.mean([len(record) for record in records])) + RECORD_FRAME,
        composite_seconds=composite_seconds / len(placements),
        pictures=pictures,
        picture_seconds=picture_seconds,
        depth_seconds=depth_seconds,
    )


def measure_pictures(plan: BuildPlan) -> tuple[float, float]:
    """How many pictures an example decodes again, and the seconds for one, from a few that are spread over all."""
    product, paths = plan.layout.product, plan.asset_paths

    def some(count: int) -> list[int]:
        return sorted({int(index) for index in np.linspace(0, count - 1, _PICTURES)})

    start = time.perf_counter()
    backgrounds = [paths.load_background(index).nbytes for index in some(product.backgrounds)]
    cutouts = [paths.load_cutout(index).nbytes for index in some(product.foregrounds)]
    seconds = time.perf_counter() - start
    again = expected_cache_misses(
        backgrounds=product.backgrounds,
        background_bytes=float(np.mean(backgrounds)),
        cutouts=product.foregrounds,
        cutout_bytes=float(np.mean(cutouts)),
        memory=plan.options.picture_memory,
    )
    return again, seconds / (len(backgrounds) + len(cutouts))


def describe_plan(plan: BuildPlan, estimate: Estimate) -> str:
    """For people."""
    product = plan.layout.product
    size = product.size
    lines = [
        f"{product.backgrounds} backgrounds x {product.foregrounds} foregrounds x 2 (plain, flipped)"
        f" x {product.placements} placements = {size:,} examples of"
        f" {plan.options.image_size}x{plan.options.image_size}",
        f"into {plan.files.directory}",
        "",
        f"  {'kind':8}{'images':>12}{'about':>12}",
        f"  {'bg':8}{product.backgrounds:>12,}",
        f"  {'fg':8}{product.foregrounds:>12,}",
    ]
    lines += [f"  {kind:8}{size:>12,}{format_bytes(each * size):>12}" for kind, each in estimate.kind_bytes.items()]
    lines += ["", f"  {'split':8}{'examples':>12}{'shards':>12}"]
    lines += [f"  {s.name:8}{s.size:>12,}{plan.layout.shards_of(s):>12,}" for s in plan.layout.splits]
    total = format_bytes(estimate.record_bytes * size)
    lines += ["", f"  About {total} in {plan.layout.num_shards:,} shards, from {estimate.made} examples made to see."]
    core_seconds = estimate.composite_seconds + estimate.pictures * estimate.picture_seconds
    per_worker = core_seconds * size
    if estimate.depth_seconds:
        hours = tqdm.format_interval(estimate.depth_seconds * size)
        rate = 1 / estimate.depth_seconds
        lines.append(
            f"  About {hours} (h:min:s) of depth on this machine ({rate:,.1f} images/s)"
            f" and {tqdm.format_interval(per_worker)} on one core for the rest."
        )
    else:
        lines.append(
            f"  About {tqdm.format_interval(per_worker)} on one core of this machine"
            f" ({1 / core_seconds:,.0f} examples/s); less in proportion to the workers."
        )
    if estimate.pictures:
        lines.append(
            f"  Not all pictures fit in memory: {estimate.pictures:.2f} of an example's two are decoded again, in"
            f" {estimate.picture_seconds * 1000:,.1f} ms each. Fewer or smaller pictures take less."
        )
    if lack := describe_lack_of_space(plan, lambda: estimate.record_bytes * size):
        lines.append(f"  {lack}")
    lines += [f"  Left out: {bad}" for bad in plan.skipped]
    return "\n".join(lines)
