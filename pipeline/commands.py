"""Runs a command and turns its outcome into an exit status."""

import importlib
import sys
from collections.abc import Sequence

from fgbg.errors import InputError, RunError
from fgbg.naming import printable
from pipeline.parser import COMMANDS, parse

SUCCESS, RUN_FAILURE, WRONG_USE = 0, 1, 2


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name; its errors become one line each."""
    try:
        name, options, other_flags = parse(arguments)
        # Only now: a command imports Beam, OpenCV and more, which takes seconds.
        command = importlib.import_module(COMMANDS[name].module)
        getattr(command, f"run_{name}")(options, other_flags)
    except InputError as error:
        print(f"fgbg: {printable(str(error))}", file=sys.stderr)
        return WRONG_USE
    except RunError as error:
        print(f"fgbg: {printable(str(error))}", file=sys.stderr)
        return RUN_FAILURE
    return SUCCESS
