"""ZIP archives that grow piece by piece, in memory that does not grow with them.

Python's zipfile keeps 430 bytes for each entry until it writes the directory at the end of the archive. Here it does
so after every piece, and what it wrote is moved to a file of its own, from where it returns when the archive is
complete.
"""

import os
import shutil
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from pipeline.export.journal import Journal
from pipeline.export.stores import Add, OutputFolder, checked_path

_UNIX = 3
_PLAIN_FILE = 0o100644 << 16

# From these on the numbers in the plain end record stand for "see the one of ZIP64".
_MOST_ENTRIES = 0xFFFF
_MOST_BYTES = 0xFFFFFFFF


@contextmanager
def archive_piece(body: BinaryIO, directory: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Append entries to an archive.

    Args:
        body: the archive without its directory, open for reading and writing at its end.
        directory: its directory so far, open for writing at its end.
    """
    with zipfile.ZipFile(body, "w") as archive:
        yield archive
        end = body.tell()
    body.seek(end)
    written = body.read()
    # APPNOTE.TXT 4.3.16: the size of the directory is 10 bytes before the end of an archive without a comment.
    (size,) = struct.unpack_from("<L", written, len(written) - 10)
    directory.write(written[:size])
    body.seek(end)
    body.truncate()


def end_archive(body: BinaryIO, directory: BinaryIO, entries: int) -> None:
    """Append the directory and the end records (PKWARE's APPNOTE.TXT 4.3.14 to 4.3.16): the archive is complete.

    Args:
        body: as `archive_piece` left it.
        directory: likewise, open for reading, too.
        entries: in all pieces together.
    """
    offset = body.seek(0, os.SEEK_END)
    directory.seek(0)
    shutil.copyfileobj(directory, body)
    end = body.tell()
    size = end - offset
    if entries >= _MOST_ENTRIES or max(offset, size) >= _MOST_BYTES:
        version, disk = 45, 0
        body.write(
            struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, version, version, disk, disk, entries, entries, size, offset)
        )
        body.write(struct.pack("<4sLQL", b"PK\6\7", disk, end, 1))
    shown = min(entries, _MOST_ENTRIES)
    sizes = (min(size, _MOST_BYTES), min(offset, _MOST_BYTES))
    body.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, shown, shown, *sizes, 0))


class ArchiveStore:
    """One ZIP archive for every kind of picture; all unpacked in one folder, they are what `FileStore` makes.

    Pictures are compressed already, so they are stored as they are. With the same pictures, archives have the same
    bytes: they tell neither the time nor the kind of machine.

    Args:
        output: where archives appear when they are complete.
        journal: where they grow.
        pictures: how many of each kind there are in all parts together.
    """

    def __init__(self, output: OutputFolder, journal: Journal, pictures: Mapping[str, int]) -> None:
        self._output = output
        self._journal = journal
        self._pictures = pictures

    @contextmanager
    def part(self) -> Iterator[Add]:
        """Add each picture to the archive of its kind."""
        pieces: dict[str, zipfile.ZipFile] = {}
        with ExitStack() as stack:

            def add(kind: str, path: str, data: bytes) -> None:
                if kind not in pieces:
                    pieces[kind] = stack.enter_context(archive_piece(*self._files(kind)))
                entry = zipfile.ZipInfo(checked_path(path))
                entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
                pieces[kind].writestr(entry, data)

            yield add

    def finish(self) -> list[str]:
        """Complete every archive."""
        names = []
        for kind, number in self._pictures.items():
            name = f"{kind}.zip"
            if not (self._output.folder / name).exists():
                body, directory = self._files(kind)
                end_archive(body, directory, number)
                body.flush()
                self._output.publish(self._journal.path(name), name)
            names.append(name)
        return names

    def _files(self, kind: str) -> tuple[BinaryIO, BinaryIO]:
        return self._journal.open(f"{kind}.zip"), self._journal.open(f"{kind}.directory")
