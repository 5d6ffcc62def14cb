"""The command line: quiet start, signals, the exit status of an interrupt. `pipeline.commands` does the rest."""

import importlib.util
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from fgbg import __version__

_INTERRUPTED = 1
_WRONG_SYSTEM = 2
# They write nothing that could be resumed.
_COMMANDS_WITHOUT_PROGRESS = ("plan", "verify", "report")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed at run time, 2 wrong use or bad input."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        print(f"fgbg {__version__}")
        return 0
    if importlib.util.find_spec("fcntl") is None:
        print("fgbg: This program runs on Linux and macOS; on Windows, use its Linux subsystem (WSL).", file=sys.stderr)
        return _WRONG_SYSTEM
    _quieten()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        # Not before: what this imports takes seconds, can be interrupted as well, and logs while it is imported.
        from fgbg.depth_models.environment import fix_environment
        from pipeline import commands

        fix_environment(own_process=True)
        status = commands.run(given)
        if status == commands.RUN_FAILURE:
            _exit_at_once(status)
    except KeyboardInterrupt:
        nothing = given and given[0] in _COMMANDS_WITHOUT_PROGRESS
        finished = "cut-outs" if given and given[0] == "cutout" else "shards"
        kept = "" if nothing else f" Finished {finished} are kept; the same command resumes from there."
        print(f"\nfgbg: Interrupted.{kept}", file=sys.stderr)
        _exit_at_once(_INTERRUPTED)
    return status


def _quieten() -> None:
    """Silence what libraries say about themselves; what goes wrong still comes as an exception."""
    logging.basicConfig(level=logging.ERROR)
    for name in ("apache_beam", "absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As Python has it for stderr: a name that the terminal cannot show must not end a command.
        sys.stdout.reconfigure(errors="backslashreplace")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _exit_at_once(status: int) -> NoReturn:
    # The runner's threads are in the middle of a shard and would hold up a normal exit until they are through with all
    # of theirs, and print what goes wrong for them as well. Nothing they write has a final name yet.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
