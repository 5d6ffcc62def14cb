"""What the pipeline makes of Beam's options when they come from a program and not from the command line."""

from typing import Any

import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline.runner import complete_beam_options
from transforms.errors import InputError


def completed(options: PipelineOptions) -> tuple[Any, str, int]:
    complete = complete_beam_options(options)
    direct = complete.view_as(DirectOptions)
    return complete.view_as(StandardOptions).runner, direct.direct_running_mode, direct.direct_num_workers


@pytest.mark.parametrize("flags", [[], ["--runner=DirectRunner"], ["--runner=direct"], ["--job_name=mine"]])
def test_the_local_runner_with_several_threads(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert completed(PipelineOptions(flags)) == ("FnApiRunner", "multi_threading", 3)


@pytest.mark.parametrize(
    "options",
    [
        PipelineOptions(["--direct_num_workers=1"]),
        PipelineOptions(["--direct_running_mode=in_memory"]),
    ],
)
def test_workers_that_were_asked_for_by_a_flag(options: PipelineOptions) -> None:
    assert completed(options) == ("FnApiRunner", "in_memory", 1)


def test_workers_that_were_asked_for_by_a_keyword() -> None:
    options = PipelineOptions([], direct_running_mode="multi_processing", direct_num_workers=2)
    assert completed(options) == ("FnApiRunner", "multi_processing", 2)


def test_a_runner_of_ones_own() -> None:
    options, runner = PipelineOptions([]), FnApiRunner()
    options.view_as(StandardOptions).runner = runner
    assert completed(options) == (runner, "in_memory", 1)


@pytest.mark.parametrize("name", ["DaskRunner", "apache_beam.runners.dask.dask_runner.DaskRunner"])
def test_the_dask_runner_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="loses parts of this pipeline"):
        complete_beam_options(PipelineOptions([f"--runner={name}"]))
