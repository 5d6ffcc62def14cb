"""What all stages share: metrics, and errors that survive the runner."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.metrics import Metrics

from fgbg.errors import portable_errors


class Stage:
    """Beam metrics of one stage, in the namespace of its name, and its errors.

    Use it in `process` only: Beam drops metrics that are updated in `setup`.

    Args:
        name: name of the stage.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._milliseconds = Metrics.distribution(name, "milliseconds")

    def count(self, counter: str, number: int = 1) -> None:
        """Add `number` to the counter of this name."""
        Metrics.counter(self._name, counter).inc(number)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the duration of the block to the distribution `milliseconds`; raise its errors as `portable_errors`."""
        start = time.perf_counter()
        with portable_errors():
            yield
        self._milliseconds.update(round((time.perf_counter() - start) * 1000))
