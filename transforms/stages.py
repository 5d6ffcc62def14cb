"""What every stage tells of itself while it runs: counters, and milliseconds per element."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.metrics import Metrics


class Stage:
    """The metrics of a stage, as a runner shows them.

    Count in `process`: what is counted in `setup` is lost.

    Args:
        name: of the stage.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._milliseconds = Metrics.distribution(name, "milliseconds")

    def count(self, what: str, number: int = 1) -> None:
        """Add to the counter of this name."""
        Metrics.counter(self._name, what).inc(number)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time that the block takes to the distribution `milliseconds`."""
        start = time.perf_counter()
        yield
        self._milliseconds.update(round((time.perf_counter() - start) * 1000))
