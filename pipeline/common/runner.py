"""Beam's runners as the commands need them: from flags to options, to a pipeline, to a job; errors in one sentence."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    TestOptions,
    _BeamArgumentParser,
)
from apache_beam.runners.runner import PipelineResult

from fgbg import filesystems
from fgbg.errors import InputError, RunError, restored
from pipeline.common.flags import OneSentenceParser, describe_unknown, flags_of
from pipeline.common.local_runner import LocalRunner

_LOCAL_RUNNER = "FnApiRunner"
# All others are passed through: those that lack something say so themselves.
_REFUSED_RUNNERS = {
    "Dask": "loses parts of this pipeline without a word",
    "Interactive": "runs only what the cells of a notebook define",
    **dict.fromkeys(("KafkaStreams", "Trivial"), "has no side inputs, without which statistics cannot be added up"),
}
# What Beam's options say of workers when nobody has.
_BEAMS_WORKERS = ("in_memory", 1)
# More threads than this wait for each other in one Python process; more processes can be asked for by Beam's flags.
_MOST_THREADS = 4


class _BeamParser(OneSentenceParser, _BeamArgumentParser):
    """Beam's own parser, for flags that are values known at run time only, with our errors."""


def beam_options(flags: Sequence[str], command: str, own_flags: type) -> PipelineOptions:
    """Beam's own options from the flags that are not ours; the local runner with a worker per core by default.

    Args:
        flags: what `parse` left.
        command: whose flags they were.
        own_flags: the dataclass of the command's own flags.

    Raises:
        InputError: Beam does not know a flag either, or the runner is refused.
    """
    parser = _BeamParser(prog=f"fgbg {command}", add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for kind in PipelineOptions.__subclasses__():
        kind._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(flags))
    if unknown:
        ours = [f"--{name}" for name, flag in flags_of(own_flags).items() if not flag.positional]
        theirs = [option for action in parser._actions for option in action.option_strings]
        hint = describe_unknown(unknown, command, [*ours, *theirs])
        raise InputError(f"Neither this program nor Apache Beam knows {unknown[0]}; {hint}")
    options = PipelineOptions(list(flags))
    filesystems.use_options(options)
    return complete_beam_options(options, all_cores=command in ("verify", "report"))


def complete_beam_options(options: PipelineOptions, *, all_cores: bool = False) -> PipelineOptions:
    """The same options with what they leave open filled in: the local runner, with one thread per core.

    With `all_cores`, on machines that have more of them than threads can use: one process per core.

    Raises:
        InputError: the runner is known to lose data or not to run this pipeline.
    """
    runner = options.view_as(StandardOptions)
    # A name, None or, in a program, a runner, whose text has its class.
    named = str(runner.runner).lower()
    if named in ("none", "direct", "directrunner", "switchingdirectrunner"):
        # DirectRunner would first try to download another runner; this is the engine it falls back to.
        runner.runner = _LOCAL_RUNNER
    for refused, reason in _REFUSED_RUNNERS.items():
        if refused.lower() in named:
            raise InputError(f"--runner: the {refused} runner {reason}; name another runner.")
    direct = options.view_as(DirectOptions)
    told = (
        any(flag.startswith("--direct_") for flag in options._flags or ())
        or (direct.direct_running_mode, direct.direct_num_workers) != _BEAMS_WORKERS
    )
    if runner.runner == _LOCAL_RUNNER and not told:
        cores = os.cpu_count() or 1
        in_threads = cores <= _MOST_THREADS or not all_cores
        direct.direct_running_mode = "multi_threading" if in_threads else "multi_processing"
        direct.direct_num_workers = min(cores, _MOST_THREADS) if in_threads else cores
    return options


def is_local(options: PipelineOptions) -> bool:
    """Whether the pipeline runs in this process or its children."""
    embedded = options.view_as(PortableOptions).job_endpoint == "embed"
    return embedded or options.view_as(StandardOptions).runner == _LOCAL_RUNNER


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
def new_pipeline(options: PipelineOptions) -> Iterator[beam.Pipeline]:
    """An empty pipeline for the runner that the options name.

    Raises:
        InputError: there is no such runner, or it lacks an option or a package.
    """
    ours = options.view_as(StandardOptions).runner == _LOCAL_RUNNER
    try:
        pipeline = beam.Pipeline(LocalRunner() if ours else None, options)
    except (ValueError, ImportError, AttributeError) as error:
        raise InputError(f"--runner: {' '.join(str(error).split())}") from error
    try:
        yield pipeline
    finally:
        # Beam tidies up after itself only when the pipeline is run.
        shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)


@contextmanager
def report_failures(command: str = "build", then: str = "; it resumes from the finished shards") -> Iterator[None]:
    """Raise the error that a worker raised in place of what the runner made of it, if the user can do about it.

    Args:
        command: the command that runs.
        then: what happens when the same command is run again.
    """
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        if (original := restored(error, stopped=command, then=then)) is None:
            raise
        raise original from error


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
