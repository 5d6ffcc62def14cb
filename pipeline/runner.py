"""Beam's runners as the commands need them: which kind it is, what it may not do, and its errors in one sentence."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TestOptions
from apache_beam.runners.runner import PipelineResult

from pipeline.options import is_local
from transforms.errors import InputError, RunError


def is_dataflow(options: PipelineOptions) -> bool:
    """Whether the pipeline runs on Google's machines."""
    return "dataflow" in str(options.view_as(StandardOptions).runner).lower()


def is_dry_run(options: PipelineOptions) -> bool:
    """Whether a job is only to be translated.

    Raises:
        InputError: the runner would run it nevertheless.
    """
    asked = bool(options.view_as(TestOptions).dry_run)
    if asked and not is_dataflow(options):
        raise InputError("--dry_run: only --runner=DataflowRunner knows it; `plan` tells what a build would make.")
    return asked


@contextmanager
def made_pipeline(options: PipelineOptions) -> Iterator[beam.Pipeline]:
    """An empty pipeline for the runner that the options name.

    Raises:
        InputError: there is no such runner, or it lacks an option or a package.
    """
    try:
        pipeline = beam.Pipeline(options=options)
    except (ValueError, ImportError, AttributeError) as error:
        raise InputError(f"--runner: {' '.join(str(error).split())}") from error
    try:
        yield pipeline
    finally:
        # Beam tidies up after itself only when the pipeline is run.
        shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)


@contextmanager
def told_failures(command: str = "build", again: str = ": it goes on from the finished shards") -> Iterator[None]:
    """Turn what a runner raises into the one sentence of the error that a stage raised, if it was one of ours.

    Args:
        command: what stopped.
        again: what happens when it is run again.
    """
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        # Runners hand on a worker's exception as text, or as another type with its text in it.
        told = re.findall(r"(?:RunError|InputError): (.*?)(?: \[while running|\\n|$)", f"{error}", flags=re.MULTILINE)
        if told:
            raise RunError(told[-1]) from error
        system = re.findall(r"Error: \[Errno \d+\] (.*?)(?: \[while running|\\n|$)", f"{error}", flags=re.MULTILINE)
        if system:
            raise RunError(
                f"The {command} stopped: {system[-1]}. Mend that, then run the same command again{again}."
            ) from error
        if isinstance(error, MemoryError) or "MemoryError" in f"{error}":
            smaller = "a smaller --examples_per_shard or " if command == "build" else ""
            raise RunError(f"Memory ran out; use {smaller}fewer workers.") from error
        raise


def submit(pipeline: beam.Pipeline) -> PipelineResult:
    """Start the pipeline; the local runner also ends it.

    Raises:
        RunError: the runner, its service or what it needs cannot be had.
    """
    if is_local(pipeline.options):
        return pipeline.run()
    try:
        return pipeline.run()
    except Exception as error:
        # Libraries of clouds and Beam's own clients raise what they like.
        runner = type(pipeline.runner).__name__
        reason = " ".join(str(error).split()) or "no reason given"
        raise RunError(f"{runner} did not take the job: {type(error).__name__}: {reason}") from error
