"""Reading, listing and writing whole files through Beam's filesystems, so that every path may be local, gs:// or other.

Everything the project writes goes through `write_bytes` or `publish_file`: the data go to a temporary name first and
get their final name by a rename, so that no reader ever sees half a file.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.errors import InputError, RunError

_COPY_CHUNK = 1 << 20
_DELETING_TRIES = 10
_GLOB_CHARACTERS = frozenset("*?[")


def is_glob(path: str) -> bool:
    """Whether `path` holds a wildcard.

    >>> is_glob("photos/*.jpg"), is_glob("photos")
    (True, False)
    """
    return not _GLOB_CHARACTERS.isdisjoint(path)


def join(folder: str, *names: str) -> str:
    """`folder` and `names` as one path of the folder's filesystem.

    Raises:
        InputError: Beam has no access to such paths.
    """
    with _accessible(folder):
        return FileSystems.join(folder, *names)


def exists(path: str) -> bool:
    """Whether a file or folder of this name is there; object stores have a folder if they have anything below it.

    Raises:
        InputError: Beam has no access to such paths.
    """
    with _accessible(path):
        filesystem = FileSystems.get_filesystem(path)
        if filesystem.exists(path):
            return True
        if filesystem.has_dirs():
            return False
        (below,) = filesystem.match([_everything_below(path)], limits=[1])
        return bool(below.metadata_list)


def list_files(folder_or_glob: str) -> dict[str, int]:
    """Path -> size in bytes of every file below a folder, or of every file a glob matches, sorted by path.

    A folder whose name holds `[`, `*` or `?` is listed as that folder. Local folders that cannot be read
    stand for what is in them, with a `/` at the end.

    Raises:
        InputError: Beam has no access to such paths.
    """
    pattern = folder_or_glob
    is_folder = not is_glob(pattern) or exists(pattern)
    if FileSystems.get_scheme(pattern) is None:
        return _list_local(pattern, is_folder=is_folder)
    with _accessible(folder_or_glob):
        (match,) = FileSystems.match([_everything_below(pattern) if is_folder else pattern])
    # Consoles of object stores show empty folders with the help of empty objects whose names end with a slash.
    files = (found for found in match.metadata_list if not found.path.endswith("/"))
    return dict(sorted((found.path, found.size_in_bytes) for found in files))


def _everything_below(folder: str) -> str:
    return FileSystems.join(_literal(folder), "**")


def _literal(path: str) -> str:
    """A pattern that matches this path alone."""
    return "".join(f"[{c}]" if c in _GLOB_CHARACTERS else c for c in path)


def _list_local(folder_or_glob: str, *, is_folder: bool) -> dict[str, int]:
    """Like Beam's listing, which silently passes over links to folders, dangling links and unreadable folders."""
    if is_folder:
        return dict(sorted(_walk(folder_or_glob)))
    root = "/".join(itertools.takewhile(lambda part: not is_glob(part), folder_or_glob.split("/")))
    pattern = re.compile(FileSystems.get_filesystem(folder_or_glob).translate_pattern(folder_or_glob))
    files: Iterable[tuple[str, int]]
    if not root and not folder_or_glob.startswith("/"):
        files = ((path.removeprefix("./"), size) for path, size in _walk("."))
    else:
        files = _walk(root or "/")
    return dict(sorted((path, size) for path, size in files if pattern.match(path) and not path.endswith("/")))


def _walk(root: str) -> Iterator[tuple[str, int]]:
    unreadable: list[OSError] = []
    for folder, names, files in os.walk(root, followlinks=True, onerror=unreadable.append):
        here = Path(folder).resolve()
        # A link to a folder above would be followed for ever.
        names[:] = [name for name in names if not here.is_relative_to((here / name).resolve())]
        for path in (join(folder, name) for name in files):
            try:
                yield path, Path(path).stat().st_size
            except FileNotFoundError:  # whoever reads it will tell
                yield path, 0
    for error in unreadable:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            yield f"{error.filename}/", 0


def list_prefix(folder: str, prefix: str) -> dict[str, int]:
    """Name -> size in bytes of the files directly in a folder whose names begin with `prefix`.

    Nothing else is looked at, however much there is. There may be no such folder.

    Raises:
        InputError: Beam has no access to such paths.
    """
    if FileSystems.get_scheme(folder) is None:
        try:
            with os.scandir(folder) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.name.startswith(prefix)}
        except FileNotFoundError:
            return {}
    start = join(folder, prefix)
    with _accessible(folder):
        (match,) = FileSystems.match([_literal(start) + "*"])
    here = len(start) - len(prefix)
    return {found.path[here:]: found.size_in_bytes for found in match.metadata_list}


def read_bytes(path: str) -> bytes:
    """The whole content of a file, as stored (never unpacked because of a .gz suffix).

    Raises:
        OSError: the file is not there or cannot be read.
    """
    with (
        _told_as_os_error(),
        FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file,
    ):
        return bytes(file.read())


def digest(path: str) -> tuple[int, str]:
    """Size in bytes and sha256 of a file.

    Raises:
        OSError: the file is not there or cannot be read.
    """
    sha256, size = hashlib.sha256(), 0
    with (
        _told_as_os_error(),
        FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file,
    ):
        while chunk := file.read(_COPY_CHUNK):
            sha256.update(chunk)
            size += len(chunk)
    return size, sha256.hexdigest()


def _allow() -> None:
    """Nothing stands against giving a file its name."""


def write_bytes(path: str, data: bytes, *, temporary_folder: str, before_rename: Callable[[], None] = _allow) -> None:
    """Write a small file that appears under its final name only when it is complete.

    Args:
        path: its final name.
        data: its content.
        temporary_folder: where it lies before.
        before_rename: called when it is complete; if it raises, the file never appears.

    Raises:
        RunError: the disk is full or the place cannot be written.
    """
    with _reported(path), _renamed_when_complete(path, temporary_folder, before_rename) as sink:
        sink.write(data)


def publish_file(local: Path, path: str, *, temporary_folder: str, before_rename: Callable[[], None] = _allow) -> None:
    """Copy a finished local file to `path`, where it appears only when it is complete.

    Args:
        local: the finished file.
        path: its final name.
        temporary_folder: where the copy lies before.
        before_rename: called when the copy is complete; if it raises, the file never appears.

    Raises:
        RunError: the disk is full or the place cannot be written.
    """
    with (
        _reported(path),
        local.open("rb") as source,
        _renamed_when_complete(path, temporary_folder, before_rename) as sink,
    ):
        while chunk := source.read(_COPY_CHUNK):
            sink.write(chunk)


def delete_file(path: str) -> None:
    """Delete a file; nothing happens when it is not there.

    Raises:
        RunError: it cannot be deleted.
    """
    with _reported(path, "delete"):
        if FileSystems.get_scheme(path) is None:
            Path(path).unlink(missing_ok=True)
        elif exists(path):
            FileSystems.delete([_literal(path)])


def local_folder(folder: str) -> Path | None:
    """The folder itself, made if need be, when it is on the local disk, else None."""
    if FileSystems.get_scheme(folder) is not None:
        return None
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path


def delete_tree(folder: str, *, kept: Collection[str] = ()) -> None:
    """Delete a folder, or everything below a prefix; nothing happens when it is not there.

    Args:
        folder: what to delete.
        kept: files below it that stay.

    Raises:
        RunError: it cannot be deleted.
    """
    with _reported(folder, "delete"):
        if any(path.startswith(f"{folder.rstrip('/')}/") for path in kept):
            _delete_but(folder, kept)
        elif FileSystems.get_scheme(folder) is None:
            _delete_local_tree(folder)
        elif exists(folder):
            FileSystems.delete([f"{folder.rstrip('/')}/"])
            # Of many objects that are deleted together, Beam does not tell which could not be.
            if leftovers := list(list_files(folder)):
                raise OSError(f"{leftovers[0]} and {len(leftovers) - 1} more are still there")


def _delete_but(folder: str, kept: Collection[str]) -> None:
    """Delete what is below a folder but for some files; of a local folder, what is directly in it one by one."""
    if FileSystems.get_scheme(folder) is not None:
        # Of a pattern in one go: there may be a million.
        FileSystems.delete([f"{_literal(folder.rstrip('/'))}/[!.]**"])
        others = [path for path in list_files(folder) if path not in kept]
        if others:
            FileSystems.delete([_literal(path) for path in others])
            if leftovers := [path for path in list_files(folder) if path not in kept]:
                raise OSError(f"{leftovers[0]} and {len(leftovers) - 1} more are still there")
        return
    stay = {Path(path) for path in kept}
    above = {parent for path in stay for parent in path.parents}
    for entry in sorted(Path(folder).iterdir()) if Path(folder).exists() else ():
        if entry in above:
            _delete_but(str(entry), kept)
        elif entry.is_dir() and not entry.is_symlink():
            _delete_local_tree(str(entry))
        elif entry not in stay:
            entry.unlink(missing_ok=True)


def _delete_local_tree(folder: str) -> None:
    for tries_left in reversed(range(_DELETING_TRIES)):
        if not Path(folder).exists():
            return
        try:
            shutil.rmtree(folder)
        except OSError as error:
            # Another worker was just writing or deleting there.
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT) or not tries_left:
                raise


@contextlib.contextmanager
def _accessible(path: str) -> Iterator[None]:
    try:
        with _told_as_os_error():
            yield
    except OSError as error:  # no such kind of path or its library is missing; no connection or right
        raise InputError(f"Cannot use {path}: {error}") from error


@contextlib.contextmanager
def _told_as_os_error() -> Iterator[None]:
    """Libraries of clouds have exceptions of their own, and Beam hands on some of them."""
    try:
        yield
    except (OSError, InputError, RunError):
        raise
    except Exception as error:
        raise OSError(" ".join(f"{error}".split())) from error


@contextlib.contextmanager
def _renamed_when_complete(path: str, temporary_folder: str, before_rename: Callable[[], None]) -> Iterator:
    # A unique name: a retried or duplicated bundle may write the same file at the same time, with the same bytes.
    temporary = join(temporary_folder, uuid.uuid4().hex)
    try:
        with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as sink:
            yield sink
        before_rename()
        local_folder(path.rpartition("/")[0])  # renaming makes no folders
        FileSystems.rename([temporary], [path])
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to tell
            delete_file(temporary)
        raise


@contextlib.contextmanager
def _reported(path: str, doing: str = "write") -> Iterator[None]:
    try:
        with _told_as_os_error():
            yield
    except OSError as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(
            f"Cannot {doing} {path}: {reason}. Free space there or mend its permissions, then run the same command"
            " again: it goes on from what is finished."
        ) from error
