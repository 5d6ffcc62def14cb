"""Which command runs, and what exit status its end has."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from fgbg import filesystems
from fgbg.errors import InputError, RunError
from fgbg.naming import printable
from pipeline import options
from pipeline.build.run_build import run_build
from pipeline.build.run_plan import run_plan
from pipeline.cutout.run_cutout import run_cutout
from pipeline.export.run_export import run_export
from pipeline.verify.run_report import run_report
from pipeline.verify.run_verify import run_verify

SUCCESS, RUN_FAILURE, WRONG_USE = 0, 1, 2

_COMMANDS: dict[str, Callable[[Any, Sequence[str]], None]] = {
    "build": run_build,
    "plan": run_plan,
    "verify": run_verify,
    "report": run_report,
    "export": run_export,
    "cutout": run_cutout,
}


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name; its errors become one line each."""
    try:
        command, values, beam_flags = options.parse(arguments)
        filesystems.use_options(PipelineOptions(beam_flags))
        _COMMANDS[command](values, beam_flags)
    except InputError as error:
        print(f"fgbg: {printable(str(error))}", file=sys.stderr)
        return WRONG_USE
    except RunError as error:
        print(f"fgbg: {printable(str(error))}", file=sys.stderr)
        return RUN_FAILURE
    return SUCCESS
