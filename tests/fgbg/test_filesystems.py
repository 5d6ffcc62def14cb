"""Files: complete under their final name or not there at all, and failures told in one sentence."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem

from fgbg import filesystems
from fgbg.errors import InputError, RunError


def publish(path: Path, data: bytes, temporary: Path) -> None:
    local = temporary.parent / "local"
    local.write_bytes(data)
    filesystems.publish_file(local, str(path), temporary_folder=str(temporary))
    local.unlink()


def write(path: Path, data: bytes, temporary: Path) -> None:
    filesystems.write_bytes(str(path), data, temporary_folder=str(temporary))


Write = Callable[[Path, bytes, Path], None]
both_ways = pytest.mark.parametrize("put", [write, publish])


def fail_with(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("path", ["a*", "a?b/c", "[ab]", "gs://bucket/a*.png"])
def test_globs(path: str) -> None:
    assert filesystems.is_glob(path)


def test_list_files_tells_sizes_in_order(tmp_path: Path) -> None:
    for name, size in (("b", 3), ("a/c", 0), ("a/b/d", 7)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    expected = {f"{tmp_path}/a/b/d": 7, f"{tmp_path}/a/c": 0, f"{tmp_path}/b": 3}
    assert list(filesystems.list_files(str(tmp_path)).items()) == list(expected.items())


@pytest.mark.parametrize("name", ["nowhere", "a-file", "nowhere/*.png", "a-file/*"])
def test_list_files_of_no_folder_is_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / "a-file").touch()
    assert filesystems.list_files(str(tmp_path / name)) == {}


def test_object_stores_are_listed_by_beam() -> None:
    pictures = {f"cloud://bucket/photos/{name}.png": i for i, name in enumerate(("a", "dog/b", "dog/[c]/d"))}
    _Cloud.objects = {**pictures, "cloud://bucket/else.png": 9}
    assert filesystems.list_files("cloud://bucket/photos") == pictures
    assert list(filesystems.list_files("cloud://bucket/photos/*/*.png")) == ["cloud://bucket/photos/dog/b.png"]
    assert filesystems.list_files("cloud://bucket/nowhere") == {}


@pytest.mark.parametrize("access", [filesystems.exists, filesystems.list_files])
def test_paths_that_beam_does_not_know_are_told(access: Callable[[str], object]) -> None:
    with pytest.raises(InputError) as caught:
        access("nowhere://bucket")
    assert str(caught.value) == (
        "Cannot use nowhere://bucket: there are no nowhere:// paths, only those of the local disk and gs://, s3://,"
        " azfs://, hdfs://."
    )


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("gs://b/x", "gs:// needs a package, pip install 'fgbg-depth[gcp]'."),
        ("s3://b/x", "s3:// needs a package, pip install 'apache-beam[aws]'; credentials are those of boto3, or"),
        (
            "azfs://a/b",
            "azfs:// needs a package, pip install 'apache-beam[azure]'; it also needs --azure_connection_str",
        ),
        (
            "hdfs://a",
            "hdfs:// needs a package, pip install 'apache-beam[hadoop]'; it also needs --hdfs_host=..., --hdf",
        ),
    ],
)
def test_clouds_whose_package_is_missing_are_told(monkeypatch: pytest.MonkeyPatch, path: str, told: str) -> None:
    for package in ("google.cloud.storage", "boto3", "azure", "hdfs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError) as caught:
        filesystems.list_files(path)
    assert str(caught.value).startswith(f"Cannot use {path}: {told}")


def test_what_fails_in_a_cloud_is_told_without_what_beam_says_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        inner = BeamIOError("List operation failed", {"cloud://bucket/": ValueError("no such bucket")})
        raise BeamIOError("Match operation failed", {"cloud://bucket/**": inner})

    monkeypatch.setattr(_Cloud, "match", refuse)
    with pytest.raises(InputError, match=r"^Cannot use cloud://bucket: no such bucket$"):
        filesystems.list_files("cloud://bucket")


def test_files_are_read_as_they_are_stored(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"not packed")
    assert filesystems.read_bytes(str(tmp_path / "a.gz")) == b"not packed"


def test_reading_what_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        filesystems.read_bytes(str(tmp_path / "nowhere"))


@both_ways
@pytest.mark.parametrize("size", [0, 10, (1 << 20) + 1])
def test_files_are_written_with_their_folders(tmp_path: Path, put: Write, size: int) -> None:
    path, data = tmp_path / "a/b/c.gz", os.urandom(size)
    put(path, data, tmp_path / "tmp")
    assert path.read_bytes() == data
    assert list((tmp_path / "tmp").iterdir()) == []


@both_ways
def test_a_file_is_replaced_at_once(tmp_path: Path, put: Write) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        put(path, b"new", tmp_path / "tmp")
        assert (reader.read(), path.read_bytes()) == (b"old", b"new")


@both_ways
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, put: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    create = FileSystems.create

    def create_on_full_disk(*arguments: Any, **options: Any) -> Any:
        return _Full(create(*arguments, **options))

    monkeypatch.setattr(FileSystems, "create", create_on_full_disk)
    with pytest.raises(RunError) as caught:
        put(tmp_path / "file", b"data", tmp_path / "tmp")
    assert str(caught.value) == (
        f"Cannot write {tmp_path}/file: No space left on device. Free space there or fix its permissions, then run the"
        " same command again: it resumes from what is finished."
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "local"] == []


@both_ways
def test_a_failed_rename_leaves_nothing_behind(tmp_path: Path, put: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "rename", fail_with(OSError(errno.EACCES, "Permission denied")))
    with pytest.raises(RunError, match=f"Cannot write {tmp_path}/file: .*Permission denied"):
        put(tmp_path / "file", b"data", tmp_path / "tmp")
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "local"] == []


@both_ways
def test_a_file_in_the_way_of_a_folder_is_told(tmp_path: Path, put: Write) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(RunError, match=f"Cannot write {tmp_path}/a/file: "):
        put(tmp_path / "a/file", b"data", tmp_path / "tmp")


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileSystems, "rename", fail_with(KeyboardInterrupt()))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "file", b"data", tmp_path / "tmp")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_deleting_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    filesystems.delete_file(str(tmp_path / "nowhere"))
    filesystems.delete_tree(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["a", "a[1]", "a*"])
def test_deleting(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    (folder / "b").mkdir(parents=True)
    (folder / "b/file").touch()
    (folder / "file").touch()
    (tmp_path / "a1").touch()
    filesystems.delete_file(str(folder / "file"))
    assert list(folder.iterdir()) == [folder / "b"]
    filesystems.delete_tree(str(folder))
    assert list(tmp_path.iterdir()) == [tmp_path / "a1"]


def test_only_local_folders_are_local(tmp_path: Path) -> None:
    assert filesystems.local_folder(str(tmp_path / "a/b")) == tmp_path / "a/b"
    assert (tmp_path / "a/b").is_dir()
    assert filesystems.local_folder("gs://bucket/a") is None


class _Cloud(LocalFileSystem):
    """A bucket: names and sizes, and no folders."""

    objects: ClassVar[dict[str, int]] = {}

    @classmethod
    def scheme(cls) -> str:
        return "cloud"

    def exists(self, path: str) -> bool:
        return path in self.objects

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        folder, _, name = path.rpartition("/")
        return folder, name

    def has_dirs(self) -> bool:
        return False

    def _list(self, prefix: str) -> Iterator[FileMetadata]:
        return (FileMetadata(path, size) for path, size in self.objects.items() if path.startswith(prefix))


class _Full:
    """A file on a full disk."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> None:
        self._file.write(data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    def __enter__(self) -> "_Full":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "endless", "folder"):
        with pytest.raises(OSError, match="is no plain file"):
            filesystems.read_bytes(str(tmp_path / name))
    with pytest.raises(OSError, match="null"):
        filesystems.read_bytes(f"{tmp_path}/a\0b")


def test_files_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(10))
    assert filesystems.read_bytes(str(tmp_path / "file"), most=10) == bytes(10)
    with pytest.raises(OSError, match="has 10 bytes"):
        filesystems.read_bytes(str(tmp_path / "file"), most=9)


def test_a_dangling_link_hides_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "a0").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a1").write_bytes(bytes(3))
    (tmp_path / "a2").symlink_to("a2")
    (tmp_path / "a3").mkdir()
    assert filesystems.list_prefix(str(tmp_path), "a") == {"a1": 3}


def test_links_that_lead_out_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "in").mkdir(parents=True)
    (folder / "out").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    (tmp_path / "alias").symlink_to(folder)
    for name in ("a", "in/a", "new/a"):
        filesystems.check_inside(str(folder), str(folder / name))
        filesystems.check_inside(str(tmp_path / "alias"), str(tmp_path / "alias" / name))
    for name in ("out/a", "../a", "in/../../a"):
        with pytest.raises(InputError, match="remove the link"):
            filesystems.check_inside(str(folder), str(folder / name))
    with pytest.raises(InputError, match="remove the link"):
        filesystems.check_inside(str(folder), str(folder / "loop/a"))
