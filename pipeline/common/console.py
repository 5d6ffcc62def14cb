"""Terminal output: holds back what libraries write to standard error while a command runs."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from fgbg.errors import InputError, RunError

_MAX_BYTES = 100_000
_JOIN_SECONDS = 1.0

# Where `quiet_libraries` lets us speak while it holds back everything else.
_spoken: TextIO | None = None


def say(sentence: str) -> None:
    """Print a line on the standard error, also while libraries are kept quiet; from any thread."""
    print(f"\n{sentence}" if _spoken else sentence, file=_spoken or sys.stderr, flush=True)


@contextmanager
def quiet_libraries() -> Iterator[TextIO]:
    """Yield a stream to standard error for the command, and hold back all other output to standard error.

    TensorFlow logs from C++ before it reads any log level, and Beam prints the traceback of an exception several times
    before it raises the exception. Both would break the progress bar. If the block ends with an unexpected error, that
    is, any other than InputError, RunError and KeyboardInterrupt, the last part of the output is printed.
    """
    global _spoken
    sys.stderr.flush()
    terminal = os.dup(2)
    with _CapturedOutput() as captured, os.fdopen(terminal, "w", encoding="utf-8", errors="replace") as stream:
        os.dup2(captured.sink, 2)
        unexpected = False
        _spoken = stream
        try:
            yield stream
        except (InputError, RunError, KeyboardInterrupt):
            raise
        except BaseException:
            unexpected = True
            raise
        finally:
            _spoken = None
            sys.stderr.flush()
            os.dup2(terminal, 2)
            if unexpected:
                stream.write(captured.last().decode(errors="replace"))
            stream.flush()


class _CapturedOutput:
    """A pipe whose last part is kept in memory.

    It is not a file because on a full disk, writing the traceback would fail inside Beam, which then waits forever.
    """

    def __init__(self) -> None:
        self._last = bytearray()
        self._source, self.sink = os.pipe()
        self._reader = threading.Thread(target=self._read, name="captured-output", daemon=True)

    def __enter__(self) -> "_CapturedOutput":
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def last(self) -> bytes:
        """Return the last part of the output. Call it only after this process has stopped writing."""
        self._close()
        # Child processes can keep the pipe open, so the reader may not reach the end.
        self._reader.join(_JOIN_SECONDS)
        return bytes(self._last)

    def _close(self) -> None:
        if self.sink >= 0:
            os.close(self.sink)
            self.sink = -1

    def _read(self) -> None:
        while chunk := os.read(self._source, _MAX_BYTES):
            self._last += chunk
            del self._last[:-_MAX_BYTES]
        os.close(self._source)
