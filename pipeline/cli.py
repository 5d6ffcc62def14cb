"""The command line: which command runs, and what exit status its end has."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from transforms.errors import InputError, RunError

SUCCESS, RUN_FAILURE, WRONG_USE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed at run time, 2 wrong use or bad input."""
    _quieten()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        # Imported here, so that an interrupt during the seconds this takes is handled as well.
        from pipeline import options
        from pipeline.run_build import run_build
        from pipeline.run_plan import run_plan

        command, build_options, beam_flags = options.parse(sys.argv[1:] if arguments is None else arguments)
        {"build": run_build, "plan": run_plan}[command](build_options, beam_flags)
    except InputError as error:
        print(f"fgbg: {error}", file=sys.stderr)
        return WRONG_USE
    except RunError as error:
        print(f"fgbg: {error}", file=sys.stderr)
        return RUN_FAILURE
    except KeyboardInterrupt:
        print("\nfgbg: Interrupted. Finished shards are kept; the same command goes on from there.", file=sys.stderr)
        # The runner's threads are in the middle of a shard and would hold up a normal exit until they are through with
        # all of theirs. Nothing they write has a final name yet.
        _exit_at_once(RUN_FAILURE)
    return SUCCESS


def _quieten() -> None:
    """Silence what libraries say about themselves; what goes wrong still comes as an exception."""
    logging.basicConfig(level=logging.ERROR)
    for name in ("apache_beam", "absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _exit_at_once(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
