"""A bound on the memory that threads of a process use together, whatever their number."""

import contextlib
import threading
from collections.abc import Iterator


class ByteBudget:
    """So many bytes for all threads of a process. Who needs more than there are gets them alone.

    Threads are served in the order in which they ask, so that small requests cannot keep a large one waiting for ever.

    Args:
        total: bytes to hold at a time.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._held = 0
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free, and have them during the block.

        A thread must not ask for more of the same budget while it holds some.
        """
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._held == 0 or self._held + size <= self._total)
            self._held += size
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()


# A thread that holds bytes of a file may ask for those of its pixels, never the other way round.
FILES = ByteBudget(256 << 20)
PIXELS = ByteBudget(1 << 30)
