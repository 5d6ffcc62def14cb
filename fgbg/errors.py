"""The two kinds of error that this project raises on purpose, and how they pass through a runner.

Both carry one sentence for the user: what is wrong, where, and how to fix it. The command line prints that sentence
without a traceback.
"""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Wrong usage or bad input: a flag, a picture or a weights file that the user can fix. Exit status 2."""


class RunError(RuntimeError):
    """A failure at run time, such as a full disk or an output that cannot be written. Exit status 1."""


class WorkerError(RuntimeError):
    """An error on its way from a worker to the launcher.

    Runners pass exceptions on as text: quoted, with tracebacks around it, or inside of another exception. The text of
    this one ends with a marker that survives this, from which `restored` makes the original error again.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)

    @classmethod
    def of(cls, error: Exception) -> "WorkerError":
        """This error with the marker of another one."""
        kind, text = _description(error)
        content = base64.urlsafe_b64encode(json.dumps([kind, text]).encode()).decode()
        return cls(f"{error} [fgbg-error:{content}]")


_MARKER = re.compile(r"\[fgbg-error:([A-Za-z0-9_=-]+)\]")
_OURS, _SYSTEM, _MEMORY = "ours", "system", "memory"


@contextmanager
def portable_errors() -> Iterator[None]:
    """Raise errors of the block that the user should see as `WorkerError`; for code that runs on workers."""
    try:
        yield
    except (InputError, RunError, OSError, MemoryError) as error:
        raise WorkerError.of(error) from error


def restored(error: Exception, *, stopped: str, then: str = "") -> RunError | None:
    """The error that a worker raised, from what the runner raised; None if it was none that the user can do about.

    Args:
        error: what the runner raised.
        stopped: the command that stopped, for the sentence about an error of the operating system.
        then: what happens when the same command is run again, such as "; it resumes from the finished shards".

    >>> marked = WorkerError.of(RunError("The disk is full."))
    >>> restored(ValueError(f"Traceback ... {str(marked)!r} [while running 'Write']"), stopped="build")
    RunError('The disk is full.')
    """
    if found := _MARKER.findall(str(error)):
        kind, text = json.loads(base64.urlsafe_b64decode(found[-1]))
    elif isinstance(error, (OSError, MemoryError)):
        kind, text = _description(error)
    else:
        return None
    if kind == _MEMORY:
        return RunError("Memory ran out; use fewer workers or fewer examples per shard.")
    if kind == _SYSTEM:
        return RunError(f"The {stopped} stopped: {text}. Fix that, then run the same command again{then}.")
    return RunError(text)


def _description(error: Exception) -> tuple[str, str]:
    if isinstance(error, MemoryError):
        return _MEMORY, ""
    if isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        return _SYSTEM, f"{error.strerror or error}{place}"
    return _OURS, str(error)
