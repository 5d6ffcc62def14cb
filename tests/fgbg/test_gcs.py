"""Google Cloud Storage by Beam's own filesystem for it."""

from collections.abc import Callable

import pytest
from google.api_core.exceptions import Forbidden

from fgbg import filesystems
from fgbg.depth_models.locate import open_weights
from fgbg.errors import InputError, RunError
from tests.end_to_end.buckets import Buckets
from transforms.inputs import find_pictures

BUCKET = "gs://bucket"


@pytest.fixture(autouse=True)
def buckets(monkeypatch: pytest.MonkeyPatch) -> Buckets:
    buckets = Buckets()
    buckets.replace_service(monkeypatch)
    return buckets


def fill(buckets: Buckets, *names: str) -> None:
    for name in names:
        buckets.objects[f"{BUCKET}/{name}"] = b"data"


def test_writing_and_reading(buckets: Buckets) -> None:
    path = filesystems.join(BUCKET, "data/", "a[1]", "file.gz")
    assert path == f"{BUCKET}/data/a[1]/file.gz"
    filesystems.write_bytes(path, b"not packed", temporary_folder=f"{BUCKET}/data/tmp")
    filesystems.write_bytes(path, b"new", temporary_folder=f"{BUCKET}/data/tmp")
    assert filesystems.read_bytes(path) == b"new"
    assert buckets.objects == {path: b"new"}
    assert filesystems.exists(path)


def test_folders_are_what_has_something_below(buckets: Buckets) -> None:
    fill(buckets, "photos/dog/a.png", "photos/[old]/b.png", "shown by a console/")
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
def test_listing(asked: str, found: list[str], buckets: Buckets) -> None:
    # The two that end with a slash are what a console leaves of "create a folder".
    fill(buckets, "photos/", "photos/a.png", "photos/dog/", "photos/dog/c.png", "photos/[old]/b.png", "photos2/d.png")
    assert filesystems.list_files(asked) == {f"{BUCKET}/{name}": 4 for name in found}


def test_folders_of_the_console_are_no_pictures(buckets: Buckets) -> None:
    fill(buckets, "photos/", "photos/dog/", "photos/dog/a.png")
    (found,), bad = find_pictures(f"{BUCKET}/photos", "--backgrounds")
    assert (found.label, found.class_name, bad) == ("dog/a", "dog", [])
    fill(buckets, "empty/")
    with pytest.raises(InputError, match="the folder gs://bucket/empty holds no pictures"):
        find_pictures(f"{BUCKET}/empty", "--backgrounds")


def test_listing_by_prefix_asks_for_nothing_else(buckets: Buckets) -> None:
    fill(buckets, "a[1]/set-train-00", "a[1]/set-train-01", "a[1]/set-test-00", "a[1]/set-train-0/deeper", "other")
    assert filesystems.list_prefix(f"{BUCKET}/a[1]", "set-train-0") == {"set-train-00": 4, "set-train-01": 4}


def test_deleting(buckets: Buckets) -> None:
    fill(buckets, "a/b", "a[1]/b", "a[1]/c", "a1/b")
    filesystems.delete_file(f"{BUCKET}/a[1]/b")
    assert sorted(buckets.objects) == [f"{BUCKET}/{name}" for name in ("a/b", "a1/b", "a[1]/c")]
    filesystems.delete_tree(f"{BUCKET}/a[1]")
    filesystems.delete_tree(f"{BUCKET}/a")
    assert sorted(buckets.objects) == [f"{BUCKET}/a1/b"]
    filesystems.delete_file(f"{BUCKET}/nowhere")
    filesystems.delete_tree(f"{BUCKET}/nowhere")


def test_folders_are_deleted_with_few_requests(buckets: Buckets) -> None:
    fill(buckets, *(f"work/{number}" for number in range(150)))
    filesystems.delete_tree(f"{BUCKET}/work")
    assert buckets.objects == {}
    assert buckets.requests < 10


def test_what_is_left_of_a_folder_is_told(buckets: Buckets) -> None:
    fill(buckets, "work/a", "work/b")
    buckets.undeletable.add(f"{BUCKET}/work/b")
    with pytest.raises(
        RunError, match=r"Cannot delete gs://bucket/work: gs://bucket/work/b and 0 more are still there"
    ):
        filesystems.delete_tree(f"{BUCKET}/work")


def test_what_google_raises_is_told_as_our_own(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="404 No such object: gs://bucket/nowhere"):
        filesystems.read_bytes(f"{BUCKET}/nowhere")
    with pytest.raises(InputError, match=r"gs://bucket/nowhere\.h5: the weights file cannot be read"):
        with open_weights(f"{BUCKET}/nowhere.h5"):
            pass

    def refuse(*_: object, **__: object) -> None:
        raise Forbidden("no permission\nfor you")

    for method in ("open", "exists", "list_files"):
        monkeypatch.setattr(buckets, method, refuse)
    accesses: tuple[Callable[[str], object], ...] = (filesystems.exists, filesystems.list_files)
    for access in accesses:
        with pytest.raises(InputError, match=r"Cannot use gs://bucket/a: .*no permission"):
            access(f"{BUCKET}/a")
    with pytest.raises(RunError, match=r"Cannot write gs://bucket/a: 403 no permission for you\. "):
        filesystems.write_bytes(f"{BUCKET}/a", b"", temporary_folder=f"{BUCKET}/tmp")
