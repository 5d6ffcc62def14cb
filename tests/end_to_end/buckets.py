"""Google Cloud Storage without an account: Beam's own filesystem for gs:// over objects in memory."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from apache_beam.io.gcp.gcsfilesystem import GCSFileSystem
from apache_beam.io.gcp.gcsio import MAX_BATCH_OPERATION_SIZE, parse_gcs_path
from google.api_core.exceptions import NotFound


@dataclass
class Buckets:
    """What Beam's filesystem asks of the service, answered from a dictionary: path -> content.

    Attributes:
        objects: that dictionary.
        undeletable: paths that may not be deleted.
        requests: how many there were.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    undeletable: set[str] = field(default_factory=set)
    requests: int = 0

    def replace_service(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on every gs:// path of this process is one of these objects."""
        monkeypatch.setattr(GCSFileSystem, "_gcsIO", lambda _: self)

    def upload(self, folder: Path, path: str) -> str:
        """Copy a local folder; where it is now."""
        for file in folder.rglob("*"):
            if file.is_file():
                self.objects[f"{path}/{file.relative_to(folder)}"] = file.read_bytes()
        return path

    def download(self, path: str, folder: Path) -> Path:
        """The inverse of `upload`."""
        for name, data in self.objects.items():
            if name.startswith(f"{path}/"):
                file = folder / name.removeprefix(f"{path}/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        return folder

    def exists(self, path: str) -> bool:
        self._ask(path)
        return path in self.objects

    def list_files(self, prefix: str, with_metadata: bool) -> Iterator[tuple[str, tuple[int, float]]]:
        assert with_metadata
        self._ask(prefix, object_optional=True)
        return ((path, (len(data), 0.0)) for path, data in list(self.objects.items()) if path.startswith(prefix))

    def _status(self, path: str) -> dict[str, float]:
        self._ask(path)
        return {"size": len(self.objects[path]), "updated": 0.0}

    def open(self, path: str, mode: str, mime_type: str) -> io.BytesIO:
        self._ask(path)
        if mode == "wb":
            return _Upload(self.objects, path)
        if path not in self.objects:
            raise NotFound(f"No such object: {path}")
        return io.BytesIO(self.objects[path])

    def copy_batch(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, None]]:
        for source, destination in pairs:
            self.objects[destination] = self.objects[source]
        return [(*pair, None) for pair in pairs]

    def delete_batch(self, paths: Sequence[str]) -> list[tuple[str, int | None]]:
        self.requests += -(-len(paths) // MAX_BATCH_OPERATION_SIZE)
        for path in set(paths) - self.undeletable:
            self.objects.pop(path, None)
        return [(path, 403 if path in self.undeletable else None) for path in paths]

    def delete(self, path: str, recursive: bool) -> None:
        """Everything below a path, of which Beam logs alone what could not be deleted."""
        assert recursive
        self.delete_batch([name for name, _ in self.list_files(path, with_metadata=True)])

    def _ask(self, path: str, *, object_optional: bool = False) -> None:
        """A request; Beam refuses paths that do not name an object."""
        parse_gcs_path(path, object_optional)
        self.requests += 1


class _Upload(io.BytesIO):
    """An object that is there once it is closed."""

    def __init__(self, objects: dict[str, bytes], path: str) -> None:
        super().__init__()
        self._objects, self._path = objects, path

    def close(self) -> None:
        if not self.closed:
            self._objects[self._path] = self.getvalue()
        super().close()
