"""The `build` command: check, claim, run the pipeline, tidy up, tell what was made."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from tqdm import tqdm

from fgbg import filesystems
from fgbg.depth_models.catalogue import MODEL_NAMES
from fgbg.depth_models.engine import THREADS_VARIABLE, is_small
from fgbg.errors import InputError, RunError
from fgbg.formatting import format_bytes
from fgbg.settings import NO_DEPTH
from pipeline.build import graph, resume
from pipeline.build.build_plan import BuildPlan, make_plan
from pipeline.build.free_space import describe_lack_of_space, expected_bytes
from pipeline.build.options import BuildOptions
from pipeline.build.resume import Work, open_dataset, opened_dataset
from pipeline.common.console import quiet_libraries
from pipeline.common.progress import progress_bar
from pipeline.common.runner import (
    beam_options,
    is_dataflow,
    is_dry_run,
    is_local,
    new_pipeline,
    report_failures,
    submit,
)
from transforms.finding import FinishedExamples


def run_build(options: BuildOptions, beam_flags: Sequence[str]) -> None:
    """Make the dataset, or resume an earlier run, and print a summary.

    Raises:
        InputError: wrong use or bad inputs; nothing was written.
        RunError: the build stopped; finished shards are kept.
    """
    pipeline_options = beam_options(beam_flags, "build", BuildOptions)
    if is_dry_run(pipeline_options):
        translate_job(options, pipeline_options)
        print("The job was translated and not started (--dry_run): nothing was made.")
    else:
        print(summarize(build_dataset(options, pipeline_options, own_process=True)))


def build_dataset(options: BuildOptions, pipeline_options: PipelineOptions, *, own_process: bool = False) -> BuildPlan:
    """Make the dataset, or resume an earlier run; return what it was made from.

    Args:
        options: the flags.
        pipeline_options: Beam's.
        own_process: whether this process does nothing else, so that TensorFlow may be told how to use it.

    Raises:
        InputError: wrong use or bad inputs; nothing was written.
        RunError: the build stopped; finished shards are kept.
    """
    refuse_unreachable(options, pipeline_options)
    with new_pipeline(pipeline_options) as pipeline:
        plan = checked_plan(options)
        with opened_dataset(plan) as work:
            if work.complete:
                print(f"{plan.files.directory} is complete already.", file=sys.stderr)
                return plan
            announce(plan, work)
            if lack := describe_lack_of_space(
                plan, lambda: expected_bytes(plan), finished_examples=work.finished_examples
            ):
                print(lack, file=sys.stderr)
            if own_process:
                share_processors(plan, pipeline_options)
            try:
                run_pipeline(plan, work, pipeline)
            except RunError:
                # Where there are no locks, two of the same build may run, and the first to end closes the dataset.
                if not resume.is_complete(plan):
                    raise
                print(f"{plan.files.directory} was completed by another run of this build.", file=sys.stderr)
            # Again: a worker may have come late with what another had done.
            resume.close_dataset(plan.all_files)
    return plan


def translate_job(options: BuildOptions, pipeline_options: PipelineOptions) -> None:
    """Check everything and have Dataflow's job made, but not started; nothing is written beside what Beam stages.

    Raises:
        InputError: wrong use or bad inputs.
        RunError: Beam cannot make the job.
    """
    refuse_unreachable(options, pipeline_options)
    with new_pipeline(pipeline_options) as pipeline:
        plan = checked_plan(options)
        work = open_dataset(plan, only_look=True)
        announce(plan, work)
        graph.build(pipeline, plan, work)
        submit(pipeline)


def refuse_unreachable(options: BuildOptions, pipeline_options: PipelineOptions) -> None:
    """The local disk is not there on Google's machines.

    Raises:
        InputError: a path on the local disk, for a job on Dataflow.
    """
    if not is_dataflow(pipeline_options):
        return
    paths = {"--backgrounds": options.backgrounds, "--foregrounds": options.foregrounds, "--data_dir": options.data_dir}
    if options.depth_model not in (NO_DEPTH, *MODEL_NAMES):
        paths["--depth_model"] = options.depth_model
    for flag, path in paths.items():
        if "://" not in path:
            raise InputError(
                f"{flag}: Dataflow's workers cannot reach {path} on this disk; copy it to a bucket and name that, such"
                " as gs://my-bucket/..."
            )


def share_processors(plan: BuildPlan, pipeline_options: PipelineOptions) -> None:
    """Give each local worker processors of its own to predict depth on, where that is faster.

    All processors for one small picture wait for each other after every operation. The result is the same.
    """
    depth = plan.depth_fingerprint
    if depth is None or depth["engine"] != "keras" or not is_small(tuple(depth["input_size"])):
        return
    if is_local(pipeline_options):
        cores = os.cpu_count() or 1
        workers = min(pipeline_options.view_as(DirectOptions).direct_num_workers or cores, cores)
        # Inherited by worker processes; what the user set is left alone.
        os.environ.setdefault(THREADS_VARIABLE, str(cores // workers))


def checked_plan(options: BuildOptions) -> BuildPlan:
    """`make_plan` with a bar while the inputs are checked."""
    with tqdm(desc="Checking inputs", unit=" pictures", leave=False, disable=not sys.stderr.isatty()) as bar:
        return make_plan(options, on_checked=bar.update)


def announce(plan: BuildPlan, work: Work) -> None:
    """Say what is about to be made, and what was left out."""
    product = plan.layout.product
    print(
        f"{product.backgrounds} backgrounds x {product.foregrounds} foregrounds x 2 x {product.placements} placements"
        f" = {product.size:,} examples in {plan.layout.num_shards} shards, {_depth(plan)}",
        file=sys.stderr,
    )
    for bad in plan.skipped:
        print(f"Left out: {bad}", file=sys.stderr)
    if work.finished_examples:
        print(f"Resuming: {work.finished_examples:,} examples already written.", file=sys.stderr)


def run_pipeline(plan: BuildPlan, work: Work, pipeline: beam.Pipeline) -> None:
    """Run the graph to its end, showing progress.

    Raises:
        RunError: a stage or the runner failed.
    """
    graph.build(pipeline, plan, work)
    local = is_local(pipeline.options)
    with (
        # What a remote runner says, such as the address of the job, is for the user.
        quiet_libraries() if local else nullcontext(sys.stderr) as terminal,
        report_failures(),
        progress_bar(
            total=plan.layout.product.size,
            finished=work.finished_examples,
            count=FinishedExamples(plan.files, plan.layout).count,
            remote=not local,
            file=terminal,
        ),
    ):
        state = submit(pipeline).wait_until_finish()
    if not filesystems.exists(plan.files.path("dataset_info.json")):
        raise RunError(
            f"The runner ended with state {state} before the dataset was complete; run the same command again."
        )


def summarize(plan: BuildPlan) -> str:
    """Where the dataset is, how much it holds, its mean and std, and the line that loads it."""
    statistics: dict[str, Any] = json.loads(filesystems.read_bytes(plan.files.path("statistics.json")))
    splits = ", ".join(f"{name} {split['examples']:,}" for name, split in statistics["splits"].items())
    lines = [
        "",
        f"{plan.files.directory}",
        f"  {statistics['examples']:,} examples ({splits}), {format_bytes(statistics['bytes'])}, {_depth(plan)}",
        "",
        f"  {'kind':8}{'images':>10}{'size':>11}   mean, 0..1              std, 0..1",
    ]
    for name, kind in statistics["kinds"].items():
        mean, std = (" ".join(f"{value:.4f}" for value in kind.get(key, ())) for key in ("mean", "std"))
        size = format_bytes(kind["encoded_bytes"])
        lines.append(f"  {name:8}{kind['images']:>10,}{size:>11}   {mean:22}  {std}".rstrip())
    lines += [
        "",
        "  Load it:",
        f'    tfds.load("{plan.files.full_name}", split="train", data_dir="{plan.options.data_dir}")',
    ]
    return "\n".join(lines)


def _depth(plan: BuildPlan) -> str:
    if plan.depth_fingerprint is None:
        return "without depth"
    return f"depth by {plan.depth_fingerprint['weights']} ({plan.schema.depth_kind})"
