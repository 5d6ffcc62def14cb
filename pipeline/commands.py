"""Which command runs, and what exit status its end has."""

import sys
from collections.abc import Sequence

from pipeline import options
from pipeline.run_build import run_build
from pipeline.run_plan import run_plan
from transforms.errors import InputError, RunError

SUCCESS, RUN_FAILURE, WRONG_USE = 0, 1, 2

_COMMANDS = {"build": run_build, "plan": run_plan}


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name; its errors become one line each."""
    try:
        command, build_options, beam_flags = options.parse(arguments)
        _COMMANDS[command](build_options, beam_flags)
    except InputError as error:
        print(f"fgbg: {error}", file=sys.stderr)
        return WRONG_USE
    except RunError as error:
        print(f"fgbg: {error}", file=sys.stderr)
        return RUN_FAILURE
    return SUCCESS
