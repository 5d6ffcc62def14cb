"""The terminal: what we say is heard, what libraries say meanwhile is kept back unless something unexpected happens."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from transforms.errors import InputError, RunError

_MOST_NOISE = 100_000


@contextmanager
def quiet_libraries() -> Iterator[TextIO]:
    """Yield the standard error for our own use; all else that arrives there while the block runs is held back.

    TensorFlow's notices come from C++ before any log level is read, and Beam prints the traceback of an exception
    several times over before it raises it; both would tear the progress bar. What was held back is shown if the block
    ends with an error that is not one of ours.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as noise, os.fdopen(terminal, "w", encoding="utf-8", errors="replace") as spoken:
        os.dup2(noise.fileno(), 2)
        try:
            yield spoken
        except (InputError, RunError, KeyboardInterrupt):
            raise
        except BaseException:
            sys.stderr.flush()
            noise.seek(max(0, noise.seek(0, os.SEEK_END) - _MOST_NOISE))
            spoken.write(noise.read().decode(errors="replace"))
            raise
        finally:
            sys.stderr.flush()
            spoken.flush()
            os.dup2(terminal, 2)
