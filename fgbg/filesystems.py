"""Reading, listing and writing whole files through Beam's filesystems, so that every path may be local, gs:// or other.

Everything the project writes goes through `write_bytes` or `publish_file`: the data go to a temporary name first and
get their final name by a rename, so that no reader ever sees half a file.
"""

import contextlib
import errno
import hashlib
import importlib.util
import itertools
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileSystem
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from fgbg.errors import InputError, RunError
from fgbg.memory import FILES

_COPY_CHUNK = 1 << 20
_DELETING_TRIES = 10
_GLOB_CHARACTERS = frozenset("*?[")

# By the scheme of paths: the package that Beam needs, what brings it, and what else Beam has to be told.
_CLOUDS = {
    "gs": ("google.cloud.storage", "fgbg-depth[gcp]", ""),
    "s3": (
        "boto3",
        "apache-beam[aws]",
        "credentials are those of boto3, or --s3_access_key_id, --s3_secret_access_key and --s3_region_name",
    ),
    "azfs": (
        "azure.storage.blob",
        "apache-beam[azure]",
        "it also needs --azure_connection_string=... or --blob_service_endpoint=https://ACCOUNT.blob.core.windows.net",
    ),
    "hdfs": ("hdfs", "apache-beam[hadoop]", "it also needs --hdfs_host=..., --hdfs_port=... and --hdfs_user=..."),
}


def use_options(options: PipelineOptions) -> None:
    """Let filesystems of clouds see Beam's options, such as --s3_region_name, also where no pipeline is made."""
    FileSystems.set_options(options)


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
    for folder, _, files in _walk_folders(root, unreadable.append):
        for path in (join(folder, name) for name in files):
            try:
                yield path, Path(path).stat().st_size
            except FileNotFoundError:  # whoever reads it will tell
                yield path, 0
    for error in unreadable:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            yield f"{error.filename}/", 0


def walk_folders(root: str) -> Iterator[tuple[str, Path]]:
    """Every local folder that a listing of this one looks into, itself first: its name there, and where it really is.

    Links are followed; nothing comes of what is not there or cannot be read.
    """
    for folder, real, _ in _walk_folders(root or ".", lambda _: None):
        yield folder, real


def _walk_folders(root: str, on_error: Callable[[OSError], None]) -> Iterator[tuple[str, Path, list[str]]]:
    """Name, real place and file names of a folder and all below it, through links."""
    for folder, names, files in os.walk(root, followlinks=True, onerror=on_error):
        here = Path(folder).resolve()
        # A link to a folder above would be followed for ever.
        names[:] = [name for name in names if not here.is_relative_to((here / name).resolve())]
        yield folder, here, files


def matches(folder_or_glob: str, path: str) -> bool:
    """Whether `list_files` of the former would list the latter if it were there."""
    if not is_glob(folder_or_glob) or exists(folder_or_glob):
        return path.startswith(f"{folder_or_glob.rstrip('/')}/")
    with _accessible(folder_or_glob):
        pattern = FileSystems.get_filesystem(folder_or_glob).translate_pattern(folder_or_glob)
    return re.match(pattern, path) is not None


def list_prefix(folder: str, prefix: str) -> dict[str, int]:
    """Name -> size in bytes of the files directly in a folder whose names begin with `prefix`.

    Nothing else is looked at, however much there is. There may be no such folder.

    Raises:
        InputError: Beam has no access to such paths.
    """
    if FileSystems.get_scheme(folder) is None:
        try:
            with os.scandir(folder) as entries:
                return dict(_sizes(entry for entry in entries if entry.name.startswith(prefix)))
        except FileNotFoundError:
            return {}
    start = join(folder, prefix)
    with _accessible(folder):
        (match,) = FileSystems.match([_literal(start) + "*"])
    here = len(start) - len(prefix)
    return {found.path[here:]: found.size_in_bytes for found in match.metadata_list}


def find_named(folder: str, names: Sequence[str]) -> dict[str, int]:
    """Name -> size in bytes of those of the named files that are directly in a folder.

    On the local disk each name is looked up, since a listing would read the whole folder; elsewhere what their names
    have in common is listed.

    Raises:
        InputError: Beam has no access to such paths.
    """
    if FileSystems.get_scheme(folder) is not None:
        shared = os.path.commonprefix(names)  # noqa: RUF071  # characters are what is wanted
        there = list_prefix(folder, shared)
        return {name: there[name] for name in names if name in there}
    found = {}
    for name in names:
        # Most are not there when a build starts, and a path object costs more than the look.
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118
            if stat.S_ISREG(status.st_mode):
                found[name] = status.st_size
    return found


def list_local_names(folder: str) -> set[str] | None:
    """Names of all that is directly in a folder of the local disk, which may be missing; None if it is elsewhere."""
    if FileSystems.get_scheme(folder) is not None:
        return None
    try:
        return set(os.listdir(folder))  # noqa: PTH208  # a path object for each of a million names
    except FileNotFoundError:
        return set()


def _sizes(entries: Iterable[os.DirEntry[str]]) -> Iterator[tuple[str, int]]:
    """Names and sizes of plain files; what a link names may not be there, like a file that has just been deleted."""
    for entry in entries:
        with contextlib.suppress(OSError):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode):
                yield entry.name, status.st_size


def read_bytes(path: str, *, most: int | None = None) -> bytes:
    """The whole content of a file, as stored (never unpacked because of a .gz suffix).

    Args:
        path: which file.
        most: bytes that it may have, if its size is not to be trusted.

    Raises:
        OSError: the file is not there, is no plain file, cannot be read, or has more than `most` bytes.
    """
    check_plain_file(path)
    if most is not None and (size := file_size(path)) > most:
        raise OSError(errno.EFBIG, f"has {size:,} bytes, more than any such file of this program", path)
    with (
        _told_as_os_error(),
        FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file,
    ):
        return bytes(file.read())


def check_plain_file(path: str) -> None:
    """Refuse what is no file, and could be waited for or read for ever: pipes, devices, folders.

    Raises:
        OSError: this is no plain file or link to one, or it is not there.
    """
    if FileSystems.get_scheme(path) is None and not stat.S_ISREG(_status(path).st_mode):
        raise OSError(errno.EINVAL, "is no plain file", path)


def file_size(path: str) -> int:
    """Bytes of a file.

    Raises:
        OSError: it is not there.
    """
    if FileSystems.get_scheme(path) is None:
        return _status(path).st_size
    with _told_as_os_error():
        (match,) = FileSystems.match([_literal(path)])
        if not match.metadata_list:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return match.metadata_list[0].size_in_bytes


def check_inside(folder: str, path: str) -> None:
    """Refuse to write through a link that leads out of a folder; object stores have no links.

    Raises:
        InputError: the folder in which `path` lies is not below `folder`.
    """
    if FileSystems.get_scheme(folder) is None:
        try:
            root, parent = Path(folder).resolve(), Path(path).parent.resolve()
        except (OSError, RuntimeError) as error:  # a link to itself
            raise InputError(f"{path} cannot be written: {error}; remove the links in {folder}.") from error
        if not parent.is_relative_to(root):
            raise InputError(f"{path} lies outside of {folder}, in {parent}: remove the link that leads there.")


def _status(path: str) -> os.stat_result:
    try:
        return Path(path).stat()
    except ValueError as error:  # a NUL character
        raise OSError(errno.EINVAL, str(error), path) from error


@contextlib.contextmanager
def read_within_budget(path: str) -> Iterator[bytes]:
    """`read_bytes`, where threads that read at the same time hold a bounded number of bytes together.

    The bytes must not be kept after the block.

    Raises:
        OSError: the file is not there or cannot be read.
    """
    with FILES.hold(file_size(path)):
        yield read_bytes(path)


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
    require_known_scheme(path)
    try:
        with _told_as_os_error():
            yield
    except OSError as error:  # no such kind of path or its library is missing; no connection or right
        _, _, settings = _CLOUDS.get(FileSystems.get_scheme(path) or "", ("", "", ""))
        raise InputError(f"Cannot use {path}: {_innermost(error)}{settings and f' ({settings})'}") from error


def require_known_scheme(path: str) -> None:
    """Beam would name the package of Google's cloud whatever the path is.

    Raises:
        InputError: Beam knows no such paths, or the package that it needs for them is not installed.
    """
    scheme = FileSystems.get_scheme(path)
    if scheme is None:
        return
    package, extra, settings = _CLOUDS.get(scheme, ("", "", ""))
    if package and not _is_installed(package):
        also = f"; {settings}" if settings else ""
        raise InputError(f"Cannot use {path}: {scheme}:// needs a package, pip install '{extra}'{also}.")
    if scheme not in {kind.scheme() for kind in FileSystem.get_all_subclasses()}:
        known = ", ".join(f"{name}://" for name in _CLOUDS)
        raise InputError(
            f"Cannot use {path}: there are no {scheme}:// paths, only those of the local disk and {known}."
        )


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # a package that it is in
        return False


def _innermost(error: BaseException) -> str:
    """What went wrong, without the operations of Beam around it; for people."""
    while isinstance(error, BeamIOError) and (causes := list((error.exception_details or {}).values())):
        if not isinstance(causes[0], BaseException):
            break
        error = causes[0]
    return " ".join(f"{error}".split()) or type(error).__name__


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
            f"Cannot {doing} {path}: {reason}. Free space there or fix its permissions, then run the same command"
            " again: it resumes from what is finished."
        ) from error
