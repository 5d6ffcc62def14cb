"""Default Beam options for builds that a program starts, not the command line."""

from typing import Any

import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from fgbg.errors import InputError
from pipeline.common.runner import complete_beam_options


def complete(options: PipelineOptions) -> tuple[Any, str, int]:
    beam_options = complete_beam_options(options)
    direct = beam_options.view_as(DirectOptions)
    return beam_options.view_as(StandardOptions).runner, direct.direct_running_mode, direct.direct_num_workers


@pytest.mark.parametrize("flags", [[], ["--runner=DirectRunner"], ["--runner=direct"], ["--job_name=mine"]])
def test_local_runner_uses_several_threads(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert complete(PipelineOptions(flags)) == ("FnApiRunner", "multi_threading", 3)


@pytest.mark.parametrize(
    "options",
    [
        PipelineOptions(["--direct_num_workers=1"]),
        PipelineOptions(["--direct_running_mode=in_memory"]),
    ],
)
def test_flags_set_workers(options: PipelineOptions) -> None:
    assert complete(options) == ("FnApiRunner", "in_memory", 1)


def test_keywords_set_workers() -> None:
    options = PipelineOptions([], direct_running_mode="multi_processing", direct_num_workers=2)
    assert complete(options) == ("FnApiRunner", "multi_processing", 2)


def test_runner_instance_is_kept() -> None:
    options, runner = PipelineOptions([]), FnApiRunner()
    options.view_as(StandardOptions).runner = runner
    assert complete(options) == (runner, "in_memory", 1)


@pytest.mark.parametrize("name", ["DaskRunner", "apache_beam.runners.dask.dask_runner.DaskRunner"])
def test_dask_runner_is_rejected(name: str) -> None:
    with pytest.raises(InputError, match="loses parts of this pipeline"):
        complete_beam_options(PipelineOptions([f"--runner={name}"]))
