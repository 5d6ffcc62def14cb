"""A filesystem for Beam that is as inconvenient as the object stores of clouds, under `store://`.

No folders, only names with slashes in them; an object appears when what writes it is closed, as a whole, and also if
that is because of an error; renaming is copying and then deleting; what goes wrong is told by exceptions of its own.

Objects are kept as files of one folder, which the environment names, so that all processes see the same and what is
killed leaves what it had finished. A process knows the store once it has imported this module.
"""

import contextlib
import io
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata, FileSystem

FOLDER_VARIABLE = "FGBG_TEST_STORE"


class StoreError(Exception):
    """What a cloud's library raises: no OSError."""


class Objects:
    """Bytes by name, whole or not at all.

    Args:
        folder: where they are kept, one file each; what is being written is beside them.
    """

    def __init__(self, folder: Path) -> None:
        self._objects, self._unfinished = folder / "objects", folder / "unfinished"

    def get(self, name: str) -> bytes:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise StoreError(f"404 No such object: {name}") from None

    def put(self, name: str, data: bytes) -> None:
        for folder in (self._objects, self._unfinished):
            folder.mkdir(exist_ok=True)
        unfinished = self._unfinished / uuid.uuid4().hex
        unfinished.write_bytes(data)
        unfinished.replace(self._path(name))

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Name -> bytes of all that begin with the prefix, in order."""
        found = {}
        for path in self._objects.glob("*"):
            if (name := unquote(path.name)).startswith(prefix):
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    found[name] = path.stat().st_size
        return dict(sorted(found.items()))

    def changed(self, name: str) -> int:
        """When it was put there."""
        return self._path(name).stat().st_mtime_ns

    def content(self, prefix: str) -> dict[str, bytes]:
        """Every object below a prefix by the rest of its name."""
        return {name.removeprefix(prefix).lstrip("/"): self.get(name) for name in self.sizes(prefix)}

    def _path(self, name: str) -> Path:
        return self._objects / quote(name, safe="")


def here() -> Objects:
    """The store that this process and its children see."""
    return Objects(Path(os.environ[FOLDER_VARIABLE]))


def upload(folder: Path, prefix: str) -> str:
    """Put a file, or every file below a folder, into the store; its address there."""
    for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
        if path.is_file():
            here().put(f"{prefix}/{path.relative_to(folder)}" if path != folder else prefix, path.read_bytes())
    return prefix


class ObjectStore(FileSystem):
    """`store://BUCKET/NAME`; nearly line by line what Beam does for `gs://`."""

    @classmethod
    def scheme(cls) -> str:
        return "store"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *(path.strip("/") for path in paths)])

    def split(self, path: str) -> tuple[str, str]:
        folder, _, name = path.rpartition("/")
        return folder, name

    def mkdirs(self, path: str) -> None:
        raise StoreError("there are no folders")

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        return (FileMetadata(name, size) for name, size in here().sizes(dir_or_prefix).items())

    def create(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> io.BytesIO:
        return Upload(_checked(path))

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> io.BytesIO:
        return io.BytesIO(here().get(_checked(path)))

    def copy(self, source_file_names: Sequence[str], destination_file_names: Sequence[str]) -> None:
        for source, destination in zip(source_file_names, destination_file_names, strict=True):
            here().put(_checked(destination), here().get(_checked(source)))

    def rename(self, source_file_names: Sequence[str], destination_file_names: Sequence[str]) -> None:
        try:
            self.copy(source_file_names, destination_file_names)
            self.delete(source_file_names)
        except StoreError as error:
            raise BeamIOError("Rename operation failed", {tuple(source_file_names): error}) from error

    def exists(self, path: str) -> bool:
        return _checked(path) in here().sizes(path)

    def size(self, path: str) -> int:
        return self.metadata(path).size_in_bytes

    def last_updated(self, path: str) -> float:
        return 0.0

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(here().get(path)))

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            names = here().sizes(path) if path.endswith("/") else [m.path for m in self.match([path])[0].metadata_list]
            for name in names:
                here().delete(name)


class Upload(io.BytesIO):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            here().put(self._path, self.getvalue())
        super().close()


def _checked(path: str) -> str:
    if not re.fullmatch("store://[^/]+/.+", path):
        raise ValueError(f"Path must be in the form store://<bucket>/<object>. Encountered {path!r}")
    return path
