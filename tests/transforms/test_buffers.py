"""Buffer pool: memory is reused, but never while an array or a view of it is alive."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from transforms.buffers import BufferPool


def test_arrays_have_the_requested_shape() -> None:
    array = BufferPool().take((2, 3, 4))
    assert (array.shape, array.dtype, array.flags.writeable) == ((2, 3, 4), np.uint8, True)


def test_free_memory_is_reused() -> None:
    pool = BufferPool()
    array = pool.take((10, 10))
    address = array.ctypes.data
    del array
    assert pool.take((9, 11)).ctypes.data == address


def test_memory_in_use_is_not_reused() -> None:
    pool = BufferPool()
    arrays = [pool.take((100,)) for _ in range(6)]
    for i, array in enumerate(arrays):
        array[...] = i
    assert [array.min() for array in arrays] == [array.max() for array in arrays] == list(range(6))


def test_a_view_keeps_its_memory() -> None:
    pool = BufferPool()
    view = pool.take((10, 10))[3:, ::2].T
    view[...] = 1
    pool.take((10, 10))[...] = 2
    assert (view == 1).all()


def test_much_larger_memory_is_not_reused_for_a_small_array() -> None:
    pool = BufferPool()
    large = pool.take((1_000,))
    large[...] = 1
    del large
    memory = pool.take((10,)).base
    assert memory is not None
    assert memory.nbytes < 1_000
    assert pool.take((1_000,)).size == 1_000


def test_pool_keeps_at_most_the_given_number_of_blocks() -> None:
    pool = BufferPool(most_kept=2)
    arrays = [pool.take((100,)) for _ in range(5)]
    del arrays
    assert len(pool._free) == 2


def test_threads_never_share_memory() -> None:
    pool = BufferPool()

    def work(value: int) -> bool:
        for _ in range(300):
            array = pool.take((100,))
            array[...] = value
            if not (array == value).all():
                return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(8)))
