"""Progress: it is right, costs little, and nothing that happens to it reaches what it shows."""

import io
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from pipeline.common import progress
from pipeline.common.progress import progress_bar


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(count: Callable[[], int], file: io.StringIO) -> AbstractContextManager[None]:
    return progress_bar(total=8, finished=0, count=count, remote=False, file=file)


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_failed_count_is_noted_once_and_the_next_one_counts(kind: type[io.StringIO]) -> None:
    calls = 0

    def count() -> int:
        nonlocal calls
        calls += 1
        if calls <= 3:
            raise OSError("503\nslow down")
        return 8 if ended.is_set() else 4

    file, ended = kind(), threading.Event()
    with show(count, file):
        wait_for(lambda: calls > 4)
        ended.set()
    assert file.getvalue().count("Cannot count finished examples at the moment: 503 slow down") == 1
    assert "8/8" in file.getvalue() or "8 of 8 examples (100%)" in file.getvalue()


def test_a_count_that_fails_at_the_end_fails_nothing() -> None:
    ended = threading.Event()

    def count() -> int:
        if ended.is_set():
            raise ValueError("gone")
        return 1

    file = io.StringIO()
    with show(count, file):
        wait_for(lambda: "1 of 8" in file.getvalue())
        ended.set()
    assert "at the moment: gone" in file.getvalue()


def test_a_slow_count_delays_nobody_and_says_nothing_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LAST_COUNT_SECONDS", 0.2)
    release, counted = threading.Event(), threading.Event()

    def count() -> int:
        counted.set()
        release.wait(20)
        return 8

    file = io.StringIO()
    start = time.monotonic()
    with show(count, file):
        assert counted.wait(20)
    assert time.monotonic() - start < 5
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "progress")
    file.close()  # as the terminal's is
    release.set()
    thread.join(20)
    assert not thread.is_alive()


def test_counting_takes_a_small_part_of_the_time() -> None:
    counts = 0

    def count() -> int:
        nonlocal counts
        counts += 1
        time.sleep(0.02)
        return counts

    with show(count, io.StringIO()):
        time.sleep(1.2)
        assert 1 <= counts <= 4


def test_an_error_of_the_block_stays_what_it_is() -> None:
    with pytest.raises(KeyError, match="mine"), show(lambda: 0, io.StringIO()):
        raise KeyError("mine")
