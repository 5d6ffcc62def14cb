"""What `cutout` leaves: cut-outs ready to be foregrounds, and beside them, where `build` does not look, all else."""

import base64
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from fgbg import filesystems
from fgbg.checked_json import entries, integer, listing, number, parse_json, text
from fgbg.claims import Ticket
from fgbg.errors import RunError
from transforms.inputs import ASIDE

_length = integer(0, 1_000_000)
_text = text(lambda _: True, "text")
_RECORD = entries(
    {
        **dict.fromkeys(("label", "sha256", "bad", "thumbnail"), _text),
        "doubts": listing(_text),
        "size": listing(_length, length=2),
        "box": listing(_length, length=4),
        "coverage": number(0, 1),
    }
)


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph to cut out.

    Attributes:
        path: where it lies.
        label: its path below the input folder without suffix, with `/`.
    """

    path: str
    label: str


@dataclass(frozen=True, slots=True)
class Record:
    """What became of a photograph.

    Attributes:
        label: the photograph's.
        sha256: of the photograph's bytes, or "" if they could not be read.
        bad: why it cannot be used, or "".
        doubts: why a person should look at the result; none if it looks fine.
        size: (width, height) of the photograph, upright, pixels.
        box: left, top, width and height of the cut-out in the photograph, pixels; all 0 if there is none.
        coverage: share of the photograph that is at least half opaque.
        thumbnail: of the cut-out, a small RGBA PNG; empty if there is none.
    """

    label: str
    sha256: str
    bad: str = ""
    doubts: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    coverage: float = 0.0
    thumbnail: bytes = b""

    @property
    def has_cutout(self) -> bool:
        """Whether a cut-out was written, if only aside."""
        return bool(self.thumbnail)

    def to_json(self) -> bytes:
        """As a small file; `from_json` reads it back."""
        content = asdict(replace(self, thumbnail=b""))
        content["thumbnail"] = base64.b64encode(self.thumbnail).decode()
        return json.dumps(content).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Record":
        """The inverse of `to_json`.

        Raises:
            ValueError: this is none.
        """
        content: dict[str, Any] = parse_json(data)
        _RECORD(content, "")
        content |= {name: tuple(content[name]) for name in ("doubts", "size", "box")}
        content["thumbnail"] = base64.b64decode(content["thumbnail"], validate=True)
        return cls(**content)


@dataclass(frozen=True, slots=True)
class CutoutFiles:
    """Where the files of one output folder lie.

    Attributes:
        directory: the output folder.
        claim: the claim without which nothing is written; None to only read.
    """

    directory: str
    claim: Ticket | None = None

    @property
    def aside(self) -> str:
        """What is in the output folder without being a foreground."""
        return filesystems.join(self.directory, ASIDE)

    def cutout(self, label: str, *, doubtful: bool) -> str:
        """Path of a cut-out."""
        folder = filesystems.join(self.aside, "doubtful") if doubtful else self.directory
        return filesystems.join(folder, *f"{label}.png".split("/"))

    def record(self, label: str) -> str:
        """Path of a record."""
        return filesystems.join(self._records, *f"{label}.json".split("/"))

    def path_aside(self, name: str) -> str:
        """Path of a file that tells of all cut-outs."""
        return filesystems.join(self.aside, name)

    def write(self, path: str, data: bytes) -> None:
        """Write a file that appears under its name only when it is complete.

        Raises:
            RunError: the disk is full, the place cannot be written, or the folder is claimed for another configuration.
        """
        filesystems.write_bytes(path, data, temporary_folder=self._temporary_folder, before_rename=self._check_claim)

    def tidy_up(self) -> None:
        """Delete unfinished files, which a run that was killed leaves."""
        filesystems.delete_tree(self._temporary_folder)

    def recorded(self) -> list[str]:
        """Labels of the photographs that have a record, sorted."""
        start = len(self._records) + 1
        paths = filesystems.list_files(self._records)
        return sorted(path[start : -len(".json")] for path in paths if path.endswith(".json"))

    def read_record(self, label: str) -> Record:
        """What became of a photograph.

        Raises:
            RunError: the record cannot be read.
        """
        path = self.record(label)
        try:
            return Record.from_json(filesystems.read_bytes(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} cannot be read ({error}); delete it and run the same command again.") from error

    def forget(self, label: str) -> None:
        """Delete the record of a photograph and its cut-outs, if there are any.

        Raises:
            RunError: they cannot be deleted.
        """
        # The record first: without it a photograph is not finished, even if this is interrupted.
        for path in (self.record(label), *(self.cutout(label, doubtful=doubtful) for doubtful in (False, True))):
            filesystems.delete_file(path)

    def _check_claim(self) -> None:
        if self.claim is not None:
            self.claim.check()

    @property
    def _temporary_folder(self) -> str:
        return filesystems.join(self.aside, "tmp")

    @property
    def _records(self) -> str:
        return filesystems.join(self.aside, "records")
