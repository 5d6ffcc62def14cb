"""How far a build is, told by the shard files that are finished: right on every runner, and after a resume too."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TextIO

from tqdm import tqdm

_POLL_SECONDS = 1.0
_REMOTE_POLL_SECONDS = 15.0
# Waiting so many times as long as counting took leaves the machine to those who make what is counted.
_WAIT_PER_COUNT = 25
_LAST_COUNT_SECONDS = 5.0
_LINE_SECONDS = 10.0


@contextmanager
def progress_bar(
    *, total: int, finished: int, count: Callable[[], int], remote: bool, file: TextIO, unit: str = "examples"
) -> Iterator[None]:
    """Show examples made, examples/s and time left while the block runs.

    A bar on a terminal, otherwise a line now and then. Nothing that goes wrong with counting, or takes long, has an
    effect on the block or its end.

    Args:
        total: examples of the dataset.
        finished: examples that an earlier run made; they do not count for the speed.
        count: how many examples are finished now; called from a thread.
        remote: whether counting is slow.
        file: where to.
        unit: what is counted, in the plural.
    """
    watch = _Watch(_Reporter(total, finished, file, unit), count, _REMOTE_POLL_SECONDS if remote else _POLL_SECONDS)
    watch.start()
    try:
        yield
        watch.count_once_more()
    finally:
        watch.close()


class _Watch(threading.Thread):
    """Counts and reports until the end."""

    def __init__(self, reporter: "_Reporter", count: Callable[[], int], seconds: float) -> None:
        super().__init__(name="progress", daemon=True)
        self._reporter = reporter
        self._count = count
        self._seconds = seconds
        self._done = threading.Event()
        self._closed = False
        self._turn = threading.Lock()

    def run(self) -> None:
        """Count now and then, and again at the end."""
        wait = self._seconds
        while not self._done.wait(wait):
            start = time.monotonic()
            self._report(self._reporter.update)
            wait = max(self._seconds, _WAIT_PER_COUNT * (time.monotonic() - start))
        self._report(self._reporter.finish)

    def count_once_more(self) -> None:
        """Report the state of the end, unless that takes too long."""
        self._done.set()
        self.join(_LAST_COUNT_SECONDS)

    def close(self) -> None:
        """Report nothing more, also if a count is still under way."""
        self._done.set()
        with self._turn:
            self._closed = True
            self._reporter.close()

    def _report(self, report: Callable[[int], None]) -> None:
        if self._closed:
            return
        try:
            said = partial(report, self._count())
        except Exception as error:
            # Filesystems and their libraries raise what they like; the next count may succeed.
            reason = " ".join(f"{error}".split())
            said = partial(self._reporter.note, f"Cannot count finished {self._reporter.unit} at the moment: {reason}")
        with self._turn:
            if not self._closed:
                said()


class _Reporter:
    def __init__(self, total: int, finished: int, file: TextIO, unit: str) -> None:
        self.unit = unit
        self._total = total
        self._initial = finished
        self._file = file
        self._start = self._last_line = time.monotonic()
        self._noted = False
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

    def note(self, sentence: str) -> None:
        """Print a line, the first time only."""
        if not self._noted:
            self._noted = True
            self._write(sentence)

    def _print_line(self, finished: int) -> None:
        self._last_line = time.monotonic()
        elapsed = self._last_line - self._start
        rate = (finished - self._initial) / elapsed
        left = tqdm.format_interval((self._total - finished) / rate) if rate else "?"
        speed = f"{rate:,.{0 if rate >= 10 else 1}f} {self.unit}/s"
        self._write(
            f"{finished:,} of {self._total:,} {self.unit} ({finished / self._total:.0%}), {speed},"
            f" elapsed {tqdm.format_interval(elapsed)}, remaining {left}"
        )

    def _write(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=self._file)
        else:
            print(line, file=self._file, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
