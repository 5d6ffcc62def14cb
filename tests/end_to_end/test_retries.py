"""Workers that fail, and runners that try again or let two workers make the same at the same time."""

import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.runners.portability.fn_api_runner.fn_runner import BundleManager

from tests.end_to_end.helpers import ONE_WORKER, TWO_THREADS, Inputs, build
from transforms import companions, depth, shards

SHARDS, COMPANIONS = 10, 2
# Beam's own local runner gives up at once.
_MOST_ATTEMPTS = 100

ProcessBundle = Callable[..., Any]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(params=["local", "store"])
def data_dir(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "data") if request.param == "local" else request.getfixturevalue("store") + "/data"


def let_runner(monkeypatch: pytest.MonkeyPatch, before: Callable[[Callable[[], Any]], None]) -> None:
    """Have the runner do something with every bundle before its one attempt that counts.

    `before` gets a function that is an attempt whose results are lost, as if its worker had died before they arrived.
    """
    process_bundle: ProcessBundle = BundleManager.process_bundle

    def process(self: BundleManager, *arguments: Any) -> Any:
        bundle = arguments[:4]  # without whether it is a dry run, which it never is
        before(lambda: process_bundle(self, *bundle, dry_run=True))
        return process_bundle(self, *bundle)

    # Its subclass hands parts of a bundle to several of the class itself.
    monkeypatch.setattr(BundleManager, "process_bundle", process)


class Troubled:
    """Fails twice for each thing it is asked for: the first time before it is done, the second time after that."""

    def __init__(self, function: Callable[..., Any], key: Callable[..., Any]) -> None:
        self._function = function
        self._key = key
        self._lock = threading.Lock()
        self.attempts: Counter[Any] = Counter()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        key = self._key(*arguments, **named)
        with self._lock:
            self.attempts[key] += 1
            attempt = self.attempts[key]
        if attempt == 1:
            raise OSError("The worker fails before.")
        result = self._function(*arguments, **named)
        if attempt == 2:
            raise OSError("The worker fails after.")
        return result


def test_failing_workers(
    data_dir: str,
    small_build: dict[str, bytes],
    small_flags: tuple[str, ...],
    inputs: Inputs,
    content_of: Callable[[str], dict[str, bytes]],
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def try_again(attempt: Callable[[], Any]) -> None:
        for _ in range(_MOST_ATTEMPTS):
            try:
                attempt()
            except RuntimeError as error:
                if "The worker fails" not in str(error):
                    raise
            else:
                return
        raise AssertionError("fails for ever")

    write = Troubled(shards.write_shard, lambda files, **place: (files.name, place["split"], place["index"]))
    predict = Troubled(depth.predict_depth, lambda model, images, **_: images.tobytes())
    monkeypatch.setattr(shards, "write_shard", write)
    monkeypatch.setattr(companions, "write_shard", write)
    monkeypatch.setattr(depth, "predict_depth", predict)
    let_runner(monkeypatch, try_again)

    assert build(data_dir, inputs, *small_flags, *TWO_THREADS) == 0

    # Failed before, failed after, lost, and made.
    assert len(write.attempts) == SHARDS + COMPANIONS
    assert len(predict.attempts) == SHARDS
    shards_written = [number for key, number in write.attempts.items() if not is_companion(key[0])]
    assert min([*shards_written, *predict.attempts.values()]) >= 4
    # Failed before, failed after; from then on the companion shard is there, and is not made again.
    assert {number for key, number in write.attempts.items() if is_companion(key[0])} == {2}
    assert content_of(data_dir) == small_build
    assert list(scratch.iterdir()) == []


def is_companion(name: str) -> bool:
    return "_background" in name or "_foreground" in name


def test_two_workers_that_make_the_same_at_the_same_time(
    data_dir: str,
    small_build: dict[str, bytes],
    small_flags: tuple[str, ...],
    inputs: Inputs,
    content_of: Callable[[str], dict[str, bytes]],
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def twice_at_once(attempt: Callable[[], Any]) -> None:
        with ThreadPoolExecutor(2) as threads:
            for lost in [threads.submit(attempt) for _ in range(2)]:
                lost.result()

    rename = FileSystems.rename
    attempts: Counter[str] = Counter()
    meeting: defaultdict[str, threading.Barrier] = defaultdict(lambda: threading.Barrier(2, timeout=60))
    lock = threading.Lock()

    def rename_together(sources: list[str], destinations: list[str]) -> None:
        """Not before the other worker has written its file as well."""
        name = destinations[0].rpartition("/")[2]
        with lock:
            attempts[name] += 1
            barrier = meeting[name] if "-of-" in name and attempts[name] <= 2 else None
        if barrier:
            barrier.wait()
        rename(sources, destinations)

    monkeypatch.setattr(FileSystems, "rename", rename_together)
    let_runner(monkeypatch, twice_at_once)

    assert build(data_dir, inputs, *small_flags, *ONE_WORKER) == 0

    # Both, of every shard and of its summary, and the one that counts; companion shards that are there stay.
    assert len(meeting) == 2 * (SHARDS + COMPANIONS)
    assert {attempts[name] for name in meeting if not is_companion(name)} == {3}
    assert {attempts[name] for name in meeting if is_companion(name)} == {2}
    assert content_of(data_dir) == small_build
    assert list(scratch.iterdir()) == []
