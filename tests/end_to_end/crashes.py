"""A process that is killed before any one of its changes to the disk, without killing a process.

Python reports every operation on files to audit hooks, and a hook that raises prevents it. From the n-th change below a
folder on, all further ones fail: nothing is tidied up, as after SIGKILL.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class KilledError(Exception):
    """The process would not live any more."""


class _Watch:
    """Counts the changes below a folder and prevents those from the `last` one on."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.last: int | None = None
        self.changes: list[str] = []
        self._lock = threading.Lock()

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None or not (event in _CHANGES or event == "open"):
            return
        if event == "open" and not _writes(arguments):
            return
        paths = list(_paths(arguments))
        if not any(path.startswith(self.folder) for path in paths):
            return
        if event == "os.mkdir" and Path(paths[0]).is_dir():
            return  # which changes nothing
        with self._lock:
            self.changes.append(f"{event} {' '.join(paths)}")
            dead = self.last is not None and len(self.changes) > self.last
        if dead:
            raise KilledError(f"before {event} {arguments}")


def _writes(arguments: tuple[Any, ...]) -> bool:
    return isinstance(arguments[2], int) and bool(arguments[2] & _WRITING)


def _paths(arguments: tuple[Any, ...]) -> Iterator[str]:
    """What an operation names; relative to a folder that is open if it says so."""
    folders = [value for value in arguments[1:] if isinstance(value, int) and value >= 0]
    for name in arguments[:2]:
        if isinstance(name, (str, os.PathLike)):
            path = os.fspath(name)
            if not path.startswith("/") and folders:
                with suppress(OSError):
                    path = f"{Path(f'/proc/self/fd/{folders[-1]}').readlink()}/{path}"
            yield path


_WATCH = _Watch()
_installed = False


@contextmanager
def killed_after(changes: int | None, folder: Path) -> Iterator[list[str]]:
    """Prevent all changes below a folder after so many of them, or none; what was tried is in the list."""
    global _installed
    if not _installed:
        sys.addaudithook(_WATCH.hook)  # for ever: Python can remove none
        _installed = True
    _WATCH.changes, _WATCH.last, _WATCH.folder = [], changes, str(folder)
    try:
        yield _WATCH.changes
    finally:
        _WATCH.folder = None
