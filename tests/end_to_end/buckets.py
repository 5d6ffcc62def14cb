"""Google Cloud Storage without an account: Beam's own filesystem for gs:// over objects in memory."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from apache_beam.io.gcp.gcsfilesystem import GCSFileSystem


@dataclass
class Buckets:
    """What Beam's filesystem asks of the service, answered from a dictionary: path -> content."""

    objects: dict[str, bytes] = field(default_factory=dict)

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
        return path in self.objects

    def list_files(self, prefix: str, with_metadata: bool) -> Iterator[tuple[str, tuple[int, float]]]:
        assert with_metadata
        return ((path, (len(data), 0.0)) for path, data in list(self.objects.items()) if path.startswith(prefix))

    def _status(self, path: str) -> dict[str, float]:
        return {"size": len(self.objects[path]), "updated": 0.0}

    def open(self, path: str, mode: str, mime_type: str) -> io.BytesIO:
        if mode == "wb":
            return _Upload(self.objects, path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        return io.BytesIO(self.objects[path])

    def copy_batch(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, None]]:
        for source, destination in pairs:
            self.objects[destination] = self.objects[source]
        return [(*pair, None) for pair in pairs]

    def delete_batch(self, paths: Sequence[str]) -> list[tuple[str, None]]:
        for path in paths:
            self.objects.pop(path, None)
        return [(path, None) for path in paths]


class _Upload(io.BytesIO):
    """An object that is there once it is closed."""

    def __init__(self, objects: dict[str, bytes], path: str) -> None:
        super().__init__()
        self._objects, self._path = objects, path

    def close(self) -> None:
        if not self.closed:
            self._objects[self._path] = self.getvalue()
        super().close()
