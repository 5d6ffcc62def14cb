"""Where exported pictures are kept: in a local folder, as plain files unless another store is used."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from fgbg import filesystems
from fgbg.errors import InputError
from fgbg.naming import is_plain_path

# Takes the kind, the path and the bytes of a picture.
Add = Callable[[str, str, bytes], None]


class OutputFolder:
    """A local folder in which files appear under their names only when they are complete.

    With plain system calls, unlike `fgbg.filesystems`: there are a million small files, and Beam takes twice as
    long for each.

    Args:
        folder: where files go.
        temporary_folder: for unfinished files, on the same disk; what an earlier run left there is deleted.

    Raises:
        InputError: a link in the folder leads to another place, where nothing is written or deleted.
    """

    def __init__(self, folder: Path, temporary_folder: Path) -> None:
        self.folder = folder
        self._inside: set[Path] = set()
        filesystems.check_inside(str(folder), str(temporary_folder / "whole"))
        self._temporary_folder = temporary_folder
        shutil.rmtree(temporary_folder, ignore_errors=True)
        temporary_folder.mkdir(parents=True)
        self._numbers = itertools.count()

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """A temporary path to write to while the block runs; if that ends well, the file gets its name."""
        temporary = self._temporary_folder / str(next(self._numbers))
        try:
            yield temporary
            self.publish(temporary, name)
        finally:
            temporary.unlink(missing_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        temporary = self._temporary_folder / "whole"
        temporary.write_bytes(data)
        self.publish(temporary, name)

    def publish(self, path: Path, name: str) -> None:
        """Give a complete file on the same disk its name."""
        target = self.folder / name
        if target.parent not in self._inside:
            filesystems.check_inside(str(self.folder), str(target))
            self._inside.add(target.parent)
        try:
            path.replace(target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)


class Store(Protocol):
    """Keeps the pictures of one part of a dataset after the other."""

    def part(self) -> AbstractContextManager[Add]:
        """Take the pictures of a part; all of them are there when the block ends well."""
        ...

    def finish(self) -> list[str]:
        """All parts are there: leave what people get, and name the archives among it."""
        ...


def checked_path(path: str) -> str:
    """The path of a picture, which is a plain name in plain folders whatever the dataset holds.

    Raises:
        InputError: it is none.
    """
    if not is_plain_path(path):
        raise InputError(f"The picture {path!r} cannot be exported: its path leads out of the export.")
    return path


class FileStore:
    """Every picture is a file under its path."""

    def __init__(self, output: OutputFolder) -> None:
        self._output = output

    @contextmanager
    def part(self) -> Iterator[Add]:
        """Write each picture at once."""
        yield lambda _kind, path, data: self._output.write(checked_path(path), data)

    def finish(self) -> list[str]:
        """Nothing is left to do."""
        return []
