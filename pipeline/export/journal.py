"""Files that grow part by part, and how far each was when the last finished part ended."""

import errno
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from fgbg.checked_json import entries, integer, mapping, read_json
from fgbg.errors import InputError
from pipeline.export.stores import OutputFolder

_STATE = "state.json"
_COUNT = integer(0, 2**62)
_STATE_FORM = entries({"parts": _COUNT, "sizes": mapping(_COUNT, keys=lambda _: True)})


class Journal:
    """What a stopped run appended to the files after its last finished part is cut off again.

    So every finished part is in them once and as a whole.

    Args:
        output: the folder that is being made.
        folder: name of a folder in it, for the files.

    Attributes:
        parts: how many are finished.
    """

    def __init__(self, output: OutputFolder, folder: str) -> None:
        self._output = output
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        state = self.path(_STATE)
        content: dict[str, Any] = {"parts": 0, "sizes": {}}
        if state.exists():
            content = _read_state(state)
        self.parts: int = content["parts"]
        self._sizes: dict[str, int] = content["sizes"]

    def path(self, name: str) -> Path:
        """Where a file lies."""
        return self._output.folder / self._folder / name

    def open(self, name: str) -> BinaryIO:
        """A file, open for reading and writing, at its end.

        Raises:
            OSError: it cannot be opened or is shorter than it was.
        """
        if name not in self._files:
            path, size = self.path(name), self._sizes.get(name, 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            file = self._files[name] = path.open("r+b" if path.exists() else "w+b")
            if file.seek(0, os.SEEK_END) < size:
                raise OSError(errno.EIO, "it has lost bytes since; delete the folder to export again", str(path))
            file.truncate(size)
            file.seek(size)
        return self._files[name]

    def end_part(self) -> None:
        """What has been appended counts from now on."""
        for name, file in self._files.items():
            file.flush()
            self._sizes[name] = file.tell()
        self.parts += 1
        state = {"parts": self.parts, "sizes": self._sizes}
        self._output.write(f"{self._folder}/{_STATE}", json.dumps(state).encode())

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def _read_state(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = read_json(str(path))
        _STATE_FORM(content, "")
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); delete the folder to export again.") from error
    return content
