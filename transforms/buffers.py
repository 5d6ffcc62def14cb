"""A pool of memory for the images of a shard, which later shards reuse.

The kernel zeroes new memory page by page. For the arrays of a shard, that takes about as long as blending its images.
"""

import weakref
from collections import deque

import numpy as np

from fgbg.images import Pixels


class BufferPool:
    """Provides uninitialised uint8 arrays, and reuses their memory when nothing refers to an array or a view of it.

    A runner may therefore keep elements for any length of time. Safe for use by several threads.

    Args:
        most_kept: maximum number of free blocks of memory in the pool.
    """

    def __init__(self, most_kept: int = 4) -> None:
        # A deque instead of a lock: the garbage collector may return an array at any point, even in a thread that holds
        # the lock, which would deadlock. Each call of a deque is atomic.
        self._free: deque[Pixels] = deque(maxlen=most_kept)

    def take(self, shape: tuple[int, ...]) -> Pixels:
        """Return a uint8 array of this shape with arbitrary values."""
        size = int(np.prod(shape))
        memory = self._reuse(size)
        if memory is None:
            memory = np.empty(size, np.uint8)
        # Views must keep `array` alive, because its end returns the memory to the pool. NumPy sets the base of a view
        # to the owner of the memory, so a view of a plain slice would keep only `memory` alive. A memoryview prevents
        # that.
        array = np.frombuffer(memory.data, np.uint8, count=size)
        weakref.finalize(array, self._return, memory).atexit = False
        return array.reshape(shape)

    def _reuse(self, size: int) -> Pixels | None:
        for _ in range(len(self._free)):
            try:
                memory = self._free.popleft()
            except IndexError:  # another thread took the last block
                break
            # Shards of a split differ by at most one example. A much larger block stays for the arrays that need it.
            if size <= memory.size <= 2 * size:
                return memory
            self._free.append(memory)
        return None

    def _return(self, memory: Pixels) -> None:
        self._free.append(memory)
