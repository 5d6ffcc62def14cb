"""Memory for the images of a shard, used again for the next one.

The kernel clears fresh memory page by page; for the arrays of a shard that takes about as long as blending its images.
"""

import weakref
from collections import deque

import numpy as np

from transforms.pictures import Pixels


class BufferPool:
    """Uninitialised uint8 arrays whose memory is taken back when nobody holds them or a view of them any more.

    Safe to use from several threads. Elements of a pipeline may therefore be kept as long as anyone likes.
    """

    def __init__(self, most_kept: int = 4) -> None:
        # No lock: the garbage collector may give an array back at any point, also in a thread that would be holding it.
        # Every single call of a deque is safe.
        self._free: deque[Pixels] = deque(maxlen=most_kept)

    def take(self, shape: tuple[int, ...]) -> Pixels:
        """A uint8 array of this shape; its values are arbitrary."""
        size = int(np.prod(shape))
        memory = self._reuse(size)
        if memory is None:
            memory = np.empty(size, np.uint8)
        # Through a memoryview, the array is what its views keep alive; a plain slice would be skipped by them in favour
        # of the memory below it, which would then come back while views are still in use.
        array = np.frombuffer(memory.data, np.uint8, count=size)
        weakref.finalize(array, self._give_back, memory).atexit = False
        return array.reshape(shape)

    def _reuse(self, size: int) -> Pixels | None:
        for _ in range(len(self._free)):
            try:
                memory = self._free.popleft()
            except IndexError:  # another thread was faster
                break
            # Shards of a split differ by one example at most; much larger memory is kept for who needs it.
            if size <= memory.size <= 2 * size:
                return memory
            self._free.append(memory)
        return None

    def _give_back(self, memory: Pixels) -> None:
        self._free.append(memory)
