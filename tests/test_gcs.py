"""Google Cloud Storage by Beam's own filesystem for it, with a bucket in a local folder instead of Google's."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from tests.object_store import Objects
from transforms import filesystems
from transforms.depth_models.locate import open_weights
from transforms.errors import InputError, RunError
from transforms.inputs import find_pictures

gcsio = pytest.importorskip("apache_beam.io.gcp.gcsio", reason="needs apache-beam[gcp]")
gcsfilesystem = pytest.importorskip("apache_beam.io.gcp.gcsfilesystem", reason="needs apache-beam[gcp]")
exceptions = pytest.importorskip("google.api_core.exceptions", reason="needs apache-beam[gcp]")

BUCKET = "gs://bucket"


class _Blob(io.BytesIO):
    def __init__(self, bucket: Objects, name: str) -> None:
        super().__init__()
        self._bucket, self._name = bucket, name

    def close(self) -> None:
        if not self.closed:
            self._bucket.put(self._name, self.getvalue())
        super().close()


class _GcsIO:
    """What GCSFileSystem asks of GcsIO, which does it over the network; names are checked by GcsIO's own function."""

    bucket: ClassVar[Objects]
    requests: ClassVar[list[str]]
    undeletable: ClassVar[str]

    def open(self, filename: str, mode: str, mime_type: str) -> io.BytesIO:
        self._ask("open", filename)
        if mode == "wb":
            return _Blob(self.bucket, filename)
        if not self._is_there(filename):
            raise exceptions.NotFound(f"GET {filename}: No such object")
        return io.BytesIO(self.bucket.get(filename))

    def exists(self, path: str) -> bool:
        self._ask("exists", path)
        return self._is_there(path)

    def list_files(self, path: str, with_metadata: bool) -> Iterator[tuple[str, tuple[int, float]]]:
        self._ask("list", path, object_optional=True)
        return ((name, (size, 0.0)) for name, size in self.bucket.sizes(path).items())

    def _status(self, path: str) -> dict[str, int]:
        self._ask("status", path)
        return {"size": len(self.bucket.get(path)), "updated": 0}

    def delete(self, path: str, recursive: bool = False) -> None:
        assert recursive
        self._ask("list", path)
        self.delete_batch(list(self.bucket.sizes(path)))  # what could not be deleted is only logged

    def delete_batch(self, paths: Sequence[str]) -> list[tuple[str, int | None]]:
        assert len(paths) <= gcsio.MAX_BATCH_OPERATION_SIZE
        self.requests.append(f"delete {len(paths)}")
        for path in paths:
            if path != self.undeletable:
                self.bucket.delete(path)
        return [(path, 403 if path == self.undeletable else None) for path in paths]

    def copy_batch(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, int | None]]:
        self.requests.append(f"copy {len(pairs)}")
        for source, target in pairs:
            self.bucket.put(target, self.bucket.get(source))
        return [(*pair, None) for pair in pairs]

    def _ask(self, what: str, path: str, *, object_optional: bool = False) -> None:
        gcsio.parse_gcs_path(path, object_optional)
        self.requests.append(f"{what} {path}")

    def _is_there(self, path: str) -> bool:
        return path in self.bucket.sizes(path)


@pytest.fixture(autouse=True)
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """The objects of all buckets by their whole address."""
    _GcsIO.bucket, _GcsIO.requests, _GcsIO.undeletable = Objects(tmp_path), [], ""
    monkeypatch.setattr(gcsfilesystem.GCSFileSystem, "_gcsIO", lambda self: _GcsIO())
    return _GcsIO.bucket


def fill(bucket: Objects, *names: str) -> None:
    for name in names:
        bucket.put(f"{BUCKET}/{name}", b"data")


def test_writing_and_reading(bucket: Objects) -> None:
    path = filesystems.join(BUCKET, "data/", "a[1]", "file.gz")
    assert path == f"{BUCKET}/data/a[1]/file.gz"
    filesystems.write_bytes(path, b"not packed", temporary_folder=f"{BUCKET}/data/tmp")
    filesystems.write_bytes(path, b"new", temporary_folder=f"{BUCKET}/data/tmp")
    assert filesystems.read_bytes(path) == b"new"
    assert bucket.content("") == {path: b"new"}
    assert filesystems.exists(path)


def test_folders_are_what_has_something_below(bucket: Objects) -> None:
    fill(bucket, "photos/dog/a.png", "photos/[old]/b.png", "shown by a console/")
    assert filesystems.exists(f"{BUCKET}/photos")
    assert filesystems.exists(f"{BUCKET}/photos/dog/")
    assert filesystems.exists(f"{BUCKET}/photos/[old]")
    assert filesystems.exists(f"{BUCKET}/shown by a console")
    assert not filesystems.exists(f"{BUCKET}/photo")
    assert not filesystems.exists(f"{BUCKET}/photos/[dog]")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (BUCKET, ["photos/[old]/b.png", "photos/a.png", "photos/dog/c.png", "photos2/d.png"]),
        (f"{BUCKET}/photos", ["photos/[old]/b.png", "photos/a.png", "photos/dog/c.png"]),
        (f"{BUCKET}/photos/", ["photos/[old]/b.png", "photos/a.png", "photos/dog/c.png"]),
        (f"{BUCKET}/photos/[old]", ["photos/[old]/b.png"]),
        (f"{BUCKET}/photos/*.png", ["photos/a.png"]),
        (f"{BUCKET}/photos/*/*.png", ["photos/[old]/b.png", "photos/dog/c.png"]),
        (f"{BUCKET}/photos/**.png", ["photos/[old]/b.png", "photos/a.png", "photos/dog/c.png"]),
        (f"{BUCKET}/nowhere", []),
    ],
)
def test_listing(asked: str, found: list[str], bucket: Objects) -> None:
    # The two that end with a slash are what a console leaves of "create a folder".
    fill(bucket, "photos/", "photos/a.png", "photos/dog/", "photos/dog/c.png", "photos/[old]/b.png", "photos2/d.png")
    assert filesystems.list_files(asked) == {f"{BUCKET}/{name}": 4 for name in found}


def test_folders_of_the_console_are_no_pictures(bucket: Objects) -> None:
    fill(bucket, "photos/", "photos/dog/", "photos/dog/a.png")
    (found,), bad = find_pictures(f"{BUCKET}/photos", "--backgrounds")
    assert (found.label, found.class_name, bad) == ("dog/a", "dog", [])
    fill(bucket, "empty/")
    with pytest.raises(InputError, match="the folder gs://bucket/empty holds no pictures"):
        find_pictures(f"{BUCKET}/empty", "--backgrounds")


def test_listing_by_prefix_asks_for_nothing_else(bucket: Objects) -> None:
    fill(bucket, "a[1]/set-train-00", "a[1]/set-train-01", "a[1]/set-test-00", "a[1]/set-train-0/deeper", "other")
    assert filesystems.list_prefix(f"{BUCKET}/a[1]", "set-train-0") == {"set-train-00": 4, "set-train-01": 4}


def test_deleting(bucket: Objects) -> None:
    fill(bucket, "a/b", "a[1]/b", "a[1]/c", "a1/b")
    filesystems.delete_file(f"{BUCKET}/a[1]/b")
    assert list(bucket.sizes("")) == [f"{BUCKET}/{name}" for name in ("a/b", "a1/b", "a[1]/c")]
    filesystems.delete_tree(f"{BUCKET}/a[1]")
    filesystems.delete_tree(f"{BUCKET}/a")
    assert list(bucket.sizes("")) == [f"{BUCKET}/a1/b"]
    filesystems.delete_file(f"{BUCKET}/nowhere")
    filesystems.delete_tree(f"{BUCKET}/nowhere")


def test_folders_are_deleted_with_few_requests(bucket: Objects) -> None:
    fill(bucket, *(f"work/{number}" for number in range(50)))
    filesystems.delete_tree(f"{BUCKET}/work")
    assert bucket.sizes("") == {}
    assert len(_GcsIO.requests) < 10


def test_what_is_left_of_a_folder_is_told(bucket: Objects) -> None:
    fill(bucket, "work/a", "work/b")
    _GcsIO.undeletable = f"{BUCKET}/work/b"
    with pytest.raises(
        RunError, match=r"Cannot delete gs://bucket/work: gs://bucket/work/b and 0 more are still there"
    ):
        filesystems.delete_tree(f"{BUCKET}/work")


def test_what_google_raises_is_told_as_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="404 GET gs://bucket/nowhere: No such object"):
        filesystems.read_bytes(f"{BUCKET}/nowhere")
    with pytest.raises(InputError, match=r"gs://bucket/nowhere\.h5: the weights file cannot be read"):
        with open_weights(f"{BUCKET}/nowhere.h5"):
            pass

    def refuse(*_: object, **__: object) -> None:
        raise exceptions.Forbidden("no permission\nfor you")

    for method in ("open", "exists", "list_files"):
        monkeypatch.setattr(_GcsIO, method, refuse)
    accesses: tuple[Callable[[str], object], ...] = (filesystems.exists, filesystems.list_files)
    for access in accesses:
        with pytest.raises(InputError, match=r"Cannot use gs://bucket/a: .*no permission"):
            access(f"{BUCKET}/a")
    with pytest.raises(RunError, match=r"Cannot write gs://bucket/a: 403 no permission for you\. "):
        filesystems.write_bytes(f"{BUCKET}/a", b"", temporary_folder=f"{BUCKET}/tmp")
