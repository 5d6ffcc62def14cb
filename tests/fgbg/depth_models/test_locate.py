"""Finding weights: names, folders, fetching, other filesystems. Nothing here leaves the machine."""

import io
from pathlib import Path
from typing import ClassVar

import pytest
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem

from fgbg.depth_models import locate
from fgbg.depth_models.catalogue import PUBLISHED_MODELS, PublishedModel
from fgbg.depth_models.locate import locate_weights, open_weights
from fgbg.depth_models.model import depth_model_fingerprint
from fgbg.errors import InputError
from tests.fgbg.depth_models.helpers import write_random_weights
from tests.pictures_helpers import without_home


@pytest.fixture(autouse=True)
def _nothing_fetched_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FGBG_MODEL_DIR", raising=False)


def serve(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Makes "nyu" come from a file here."""
    monkeypatch.setitem(PUBLISHED_MODELS, "nyu", PublishedModel("nyu.h5", "https://page.example/nyu", file.as_uri()))


def cached(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "cache" / "fgbg-depth").iterdir()]


def test_a_path_is_itself(tmp_path: Path) -> None:
    assert locate_weights(str(tmp_path / "w.h5")) == str(tmp_path / "w.h5")
    assert locate_weights("gs://bucket/w.h5") == "gs://bucket/w.h5"


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"'nyx': there is no such .* the names known are mini, nyu, kitti"):
        locate_weights("nyx")


def test_the_folder_of_the_user_comes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path / "mine", tmp_path / "cache" / "fgbg-depth"):
        folder.mkdir(parents=True)
        (folder / "kitti.h5").touch()
    assert locate_weights("kitti") == str(tmp_path / "cache" / "fgbg-depth" / "kitti.h5")
    monkeypatch.setenv("FGBG_MODEL_DIR", str(tmp_path / "mine"))
    assert locate_weights("kitti") == str(tmp_path / "mine" / "kitti.h5")


def test_a_user_without_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_home(monkeypatch)
    monkeypatch.delenv("XDG_CACHE_HOME")
    with pytest.raises(InputError) as caught:
        locate_weights("nyu")
    assert str(caught.value) == (
        "fetched weights are kept in the home folder, which is not known; set HOME, XDG_CACHE_HOME or FGBG_MODEL_DIR"
    )
    (tmp_path / "nyu.h5").touch()
    monkeypatch.setenv("FGBG_MODEL_DIR", str(tmp_path))
    assert locate_weights("nyu") == str(tmp_path / "nyu.h5")


def test_a_name_is_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_random_weights(tmp_path / "served.h5")
    serve(monkeypatch, source)
    found = Path(locate_weights("nyu"))
    assert found == tmp_path / "cache" / "fgbg-depth" / "nyu.h5"
    assert found.read_bytes() == source.read_bytes()
    assert "Fetching nyu.h5: 100%" in capsys.readouterr().err
    assert cached(tmp_path) == ["nyu.h5"]
    source.unlink()
    assert locate_weights("nyu") == str(found)


def failure(tmp_path: Path) -> str:
    with pytest.raises(InputError) as caught:
        locate_weights("nyu")
    text = str(caught.value)
    assert "\n" not in text
    # Where to get the file and where to put it.
    assert "get it from https://page.example/nyu" in text
    assert f"put it at {tmp_path / 'cache' / 'fgbg-depth' / 'nyu.h5'}, or set $FGBG_MODEL_DIR" in text
    return text


def test_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, tmp_path / "nothing.h5")
    failure(tmp_path)
    assert cached(tmp_path) == []


def test_a_page_instead_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page").write_text("<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>")
    serve(monkeypatch, tmp_path / "page")
    assert "this is an HTML page" in failure(tmp_path)
    assert cached(tmp_path) == []


def test_a_transfer_that_ends_early_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_random_weights(tmp_path / "served.h5").read_bytes()
    serve(monkeypatch, tmp_path / "served.h5")

    class Response(io.BytesIO):
        headers = {"Content-Length": str(len(content))}  # noqa: RUF012

    monkeypatch.setattr(locate.urllib.request, "urlopen", lambda *_, **__: Response(content[:100_000]))
    assert f"the transfer ended after 100,000 of {len(content):,} bytes" in failure(tmp_path)
    assert cached(tmp_path) == []


def test_an_interrupted_transfer_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Response(io.BytesIO):
        headers: ClassVar[dict[str, str]] = {}

        def read(self, _size: int | None = -1, /) -> bytes:
            raise KeyboardInterrupt

    serve(monkeypatch, tmp_path / "served.h5")
    monkeypatch.setattr(locate.urllib.request, "urlopen", lambda *_, **__: Response())
    with pytest.raises(KeyboardInterrupt):
        locate_weights("nyu")
    assert cached(tmp_path) == []


class FakeBucket(LocalFileSystem):
    """A filesystem of another scheme, backed by a folder."""

    root = Path()

    @classmethod
    def scheme(cls) -> str:
        return "fakebucket"

    def open(self, path, mime_type="application/octet-stream", compression_type=CompressionTypes.AUTO):
        return (self.root / path.removeprefix("fakebucket://")).open("rb")


def test_weights_in_another_filesystem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeBucket, "root", tmp_path)
    assert FileSystems.get_filesystem("fakebucket://w.h5")
    local = write_random_weights(tmp_path / "w.h5")
    assert depth_model_fingerprint("fakebucket://w.h5") == depth_model_fingerprint(local)
    with open_weights("fakebucket://w.h5") as copy:
        assert copy.read_bytes() == local.read_bytes()
    assert not copy.exists()
    with pytest.raises(InputError, match=r"fakebucket://none\.h5: the weights file cannot be read"):
        depth_model_fingerprint("fakebucket://none.h5")
    with pytest.raises(InputError, match=r"Cannot use nosuch://w\.h5: there are no nosuch:// paths"):
        depth_model_fingerprint("nosuch://w.h5")
