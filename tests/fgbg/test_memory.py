"""What threads hold of a budget together."""

import threading
import time

from fgbg.memory import ByteBudget


def hold_in_threads(budget: ByteBudget, sizes: list[int]) -> tuple[int, int]:
    """Let each size be held by a thread of its own; the most bytes and the most threads at a time."""
    lock, held, most = threading.Lock(), [], [0, 0]

    def work(size: int) -> None:
        with budget.hold(size):
            with lock:
                held.append(size)
                most[:] = max(most[0], sum(held)), max(most[1], len(held))
            time.sleep(0.01)
            with lock:
                held.remove(size)

    threads = [threading.Thread(target=work, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
    return most[0], most[1]


def test_never_more_than_the_total() -> None:
    most_bytes, most_threads = hold_in_threads(ByteBudget(100), [30] * 20)
    assert most_bytes <= 90
    assert most_threads > 1


def test_what_is_larger_than_the_total_is_held_alone() -> None:
    most_bytes, _ = hold_in_threads(ByteBudget(100), [40, 1_000, 40, 1_000, 40])
    assert most_bytes == 1_000


def test_large_requests_are_not_overtaken() -> None:
    budget, order = ByteBudget(100), []

    def work(name: str, size: int) -> None:
        with budget.hold(size):
            order.append(name)

    with budget.hold(60):
        threads = []
        for name, size in (("large", 90), ("small", 10)):
            threads.append(threading.Thread(target=work, args=(name, size)))
            threads[-1].start()
            time.sleep(0.1)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == ["large", "small"]


def test_an_error_gives_the_bytes_back() -> None:
    budget = ByteBudget(10)
    for _ in range(3):
        try:
            with budget.hold(10):
                raise OSError
        except OSError:
            pass
    with budget.hold(10):
        pass
