"""How far a build is, told by the shard files that are finished: right on every runner, and after a resume too."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

_POLL_SECONDS = 1.0
_REMOTE_POLL_SECONDS = 15.0
_LINE_SECONDS = 10.0


@contextmanager
def shown_progress(
    *, total: int, finished: int, count: Callable[[], int], remote: bool, file: TextIO, unit: str = "examples"
) -> Iterator[None]:
    """Show examples made, examples/s and time left while the block runs.

    A bar on a terminal, otherwise a line now and then.

    Args:
        total: examples of the dataset.
        finished: examples that an earlier run made; they do not count for the speed.
        count: how many examples are finished now; called from a thread.
        remote: whether counting is slow.
        file: where to.
        unit: what is counted, in the plural.
    """
    stop = threading.Event()
    reporter = _Reporter(total, finished, file, unit)

    def watch() -> None:
        while not stop.wait(_REMOTE_POLL_SECONDS if remote else _POLL_SECONDS):
            reporter.update(count())

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
        reporter.finish(count())
    finally:
        stop.set()
        thread.join()
        reporter.close()


class _Reporter:
    def __init__(self, total: int, finished: int, file: TextIO, unit: str) -> None:
        self._unit = unit
        self._total = total
        self._initial = finished
        self._file = file
        self._start = self._last_line = time.monotonic()
        self._bar = None
        if file.isatty():
            # smoothing: whole shards arrive at once, so the speed of the last moment says little.
            self._bar = tqdm(
                total=total,
                initial=finished,
                unit=f" {unit}",
                file=file,
                smoothing=0.05,
                # Some terminals tell no width, which tqdm would take for none at all.
                ncols=shutil.get_terminal_size().columns,
                leave=True,
            )

    def update(self, finished: int) -> None:
        if self._bar is not None:
            self._bar.update(finished - self._bar.n)
        elif time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._print_line(finished)

    def finish(self, finished: int) -> None:
        if self._bar is not None:
            self._bar.update(finished - self._bar.n)
        else:
            self._print_line(finished)

    def _print_line(self, finished: int) -> None:
        self._last_line = time.monotonic()
        elapsed = self._last_line - self._start
        rate = (finished - self._initial) / elapsed
        left = tqdm.format_interval((self._total - finished) / rate) if rate else "?"
        speed = f"{rate:,.{0 if rate >= 10 else 1}f} {self._unit}/s"
        print(
            f"{finished:,} of {self._total:,} {self._unit} ({finished / self._total:.0%}), {speed},"
            f" {tqdm.format_interval(elapsed)} gone, {left} left",
            file=self._file,
            flush=True,
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
