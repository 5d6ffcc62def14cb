"""Measures the wall time and the peak memory of a command and its child processes."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources that a command used.

    Attributes:
        seconds: wall time.
        peak_rss: peak of the sum of resident memory over the process tree, bytes. Shared pages count once per process.
        output: standard output and standard error.
    """

    seconds: float
    peak_rss: int
    output: str


def measure(command: Sequence[str], env: Mapping[str, str] | None = None) -> Usage:
    """Run a command and return its usage.

    Raises:
        RuntimeError: the command failed; the message contains its output.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    peak = 0

    def watch() -> None:
        nonlocal peak
        root = psutil.Process(process.pid)
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, sum(_rss(one) for one in [root, *root.children(recursive=True)]))
            time.sleep(_POLL_SECONDS)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, _ = process.communicate()
    watcher.join()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    return Usage(time.perf_counter() - start, peak, output)


def _rss(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
