"""The terminal: what we say is heard, what libraries say meanwhile is kept back unless something unexpected happens."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from transforms.errors import InputError, RunError

_MOST_NOISE = 100_000
_LAST_NOISE_SECONDS = 1.0

# Where `quiet_libraries` lets us speak while it holds back everything else.
_spoken: TextIO | None = None


def say(sentence: str) -> None:
    """Print a line on the standard error, also while libraries are kept quiet; from any thread."""
    print(f"\n{sentence}" if _spoken else sentence, file=_spoken or sys.stderr, flush=True)


@contextmanager
def quiet_libraries() -> Iterator[TextIO]:
    """Yield the standard error for our own use; all else that arrives there while the block runs is held back.

    TensorFlow's notices come from C++ before any log level is read, and Beam prints the traceback of an exception
    several times over before it raises it; both would tear the progress bar. What was held back is shown if the block
    ends with an error that is not one of ours.
    """
    global _spoken
    sys.stderr.flush()
    terminal = os.dup(2)
    with _Noise() as noise, os.fdopen(terminal, "w", encoding="utf-8", errors="replace") as spoken:
        os.dup2(noise.sink, 2)
        unexpected = False
        _spoken = spoken
        try:
            yield spoken
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
                spoken.write(noise.last().decode(errors="replace"))
            spoken.flush()


class _Noise:
    """A pipe whose last part is kept in memory.

    Not a file: on a full disk, writing the traceback would fail inside of Beam, which then waits for ever.
    """

    def __init__(self) -> None:
        self._last = bytearray()
        self._source, self.sink = os.pipe()
        self._reader = threading.Thread(target=self._read, name="noise", daemon=True)

    def __enter__(self) -> "_Noise":
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def last(self) -> bytes:
        """What was written last; to be called when nobody here writes any more."""
        self._close()
        # Child processes may hold the pipe open for longer.
        self._reader.join(_LAST_NOISE_SECONDS)
        return bytes(self._last)

    def _close(self) -> None:
        if self.sink >= 0:
            os.close(self.sink)
            self.sink = -1

    def _read(self) -> None:
        while chunk := os.read(self._source, _MOST_NOISE):
            self._last += chunk
            del self._last[:-_MOST_NOISE]
        os.close(self._source)
