"""Where exported pictures are kept: plain files or ZIP archives, in a local folder."""

import itertools
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

# Takes the kind, the path and the bytes of a picture.
Add = Callable[[str, str, bytes], None]

# Python keeps 430 bytes in memory for every picture in an archive that it writes, and archives of more than 65,535
# files need ZIP64, which not all unpackers know.
_MOST_PER_ARCHIVE = 50_000

_UNIX = 3
_PLAIN_FILE = 0o100644 << 16


class OutputFolder:
    """A local folder in which files appear under their names only when they are complete.

    With plain system calls, unlike `transforms.filesystems`: there are a million small files, and Beam takes twice as
    long for each.

    Args:
        folder: where files go.
        temporary_folder: for unfinished files, on the same disk; what an earlier run left there is deleted.
    """

    def __init__(self, folder: Path, temporary_folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(temporary_folder, ignore_errors=True)
        # A name of its own: of two exports to one place at the same time the first fails, and no file is of both.
        self._temporary_folder = temporary_folder / uuid.uuid4().hex
        self._temporary_folder.mkdir(parents=True)
        self._numbers = itertools.count()

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """A temporary path to write to while the block runs; if that ends well, the file gets its name."""
        temporary = self._temporary_folder / str(next(self._numbers))
        try:
            yield temporary
            self._publish(temporary, name)
        finally:
            temporary.unlink(missing_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        temporary = self._temporary_folder / "whole"
        temporary.write_bytes(data)
        self._publish(temporary, name)

    def _publish(self, temporary: Path, name: str) -> None:
        path = self.folder / name
        try:
            temporary.replace(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)


class Store(Protocol):
    """Keeps the pictures of one part of a dataset after the other.

    Attributes:
        examples_per_part: a part should have at most so many, but has whole shards.
    """

    examples_per_part: int

    def part(self, label: str) -> AbstractContextManager[Add]:
        """Take the pictures of a part; all of them are there when the block ends well."""
        ...

    def archives(self, label: str, kinds: Iterable[str]) -> list[str]:
        """Names of the archives that a part with these kinds of pictures leaves, if there are any."""
        ...


class FileStore:
    """Every picture is a file under its path."""

    examples_per_part = 1

    def __init__(self, output: OutputFolder) -> None:
        self._output = output

    @contextmanager
    def part(self, label: str) -> Iterator[Add]:
        """Write each picture at once."""
        yield lambda _kind, path, data: self._output.write(path, data)

    def archives(self, label: str, kinds: Iterable[str]) -> list[str]:
        """None."""
        return []


class ArchiveStore:
    """One ZIP archive for every kind of picture in a part; all unpacked in one folder, they are what `FileStore` makes.

    Pictures are compressed already, so they are stored as they are. With the same pictures, archives have the same
    bytes: they tell neither the time nor the kind of machine.
    """

    examples_per_part = _MOST_PER_ARCHIVE

    def __init__(self, output: OutputFolder) -> None:
        self._output = output

    @contextmanager
    def part(self, label: str) -> Iterator[Add]:
        """Add each picture to the archive of its kind."""
        archives: dict[str, zipfile.ZipFile] = {}
        with ExitStack() as stack:

            def add(kind: str, path: str, data: bytes) -> None:
                if kind not in archives:
                    temporary = stack.enter_context(self._output.new_file(_archive_name(kind, label)))
                    archives[kind] = stack.enter_context(zipfile.ZipFile(temporary, "w"))
                entry = zipfile.ZipInfo(path)
                entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
                archives[kind].writestr(entry, data)

            yield add

    def archives(self, label: str, kinds: Iterable[str]) -> list[str]:
        """One for each kind."""
        return [_archive_name(kind, label) for kind in kinds]


def _archive_name(kind: str, label: str) -> str:
    """Name of the archive of a kind of pictures in a part; there may be only one part, with no label.

    >>> _archive_name("mask", "train-2-of-8"), _archive_name("bg", "")
    ('mask-train-2-of-8.zip', 'bg.zip')
    """
    return f"{kind}-{label}.zip" if label else f"{kind}.zip"
