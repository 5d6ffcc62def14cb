"""Claims: which configuration may write into a folder, and on a local disk which process.

A claim is a small file in the folder that holds the configuration. It is written before anything else and deleted when
everything is there. Whoever writes a file looks at the claim just before the file gets its name: a worker that is late
finds that the claim is another's, and its file never appears.
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fgbg import filesystems
from fgbg.checked_json import parse_json
from fgbg.errors import InputError, RunError

CONFIGURATION = "configuration.json"
_LOCK = "lock"
_TEMPORARY = "tmp"

_MOST_DIFFERENCES = 5
# What flock says on disks that have no locks. Two writers are then as on an object store: the claim alone keeps other
# configurations out, and equal ones write equal bytes.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What writers need to know of a claim; it travels to the workers.

    Attributes:
        path: the file of the claim.
        fingerprint: what it says while it is ours.
    """

    path: str
    fingerprint: str

    def check(self) -> None:
        """Make sure that the folder is still claimed for this configuration.

        Raises:
            RunError: the claim no longer exists, or another configuration has it.
        """
        stored = _stored_fingerprint(self.path)
        if stored == self.fingerprint:
            return
        what = "no longer exists" if stored is None else "belongs to another configuration now"
        raise RunError(
            f"The claim {self.path} {what}: another command has finished, overwritten or deleted that folder, so"
            " nothing more was written to it; make sure that no other command works there and run the same command"
            " again."
        )

    def release(self) -> bool:
        """Delete the claim unless it belongs to another configuration; whether the folder is free or was ours.

        Raises:
            RunError: it cannot be deleted.
        """
        stored = _stored_fingerprint(self.path)
        if stored == self.fingerprint:
            filesystems.delete_file(self.path)
        return stored in (None, self.fingerprint)


def _stored_fingerprint(path: str) -> str | None:
    """What the claim says; None if there is none, "" if it says nothing of the kind."""
    if (data := _read(path)) is None:
        return None
    try:
        return str(parse_json(data)["fingerprint"])
    except (ValueError, KeyError, TypeError):
        return ""


def _read(path: str) -> bytes | None:
    """The content of a file, or None if there is none."""
    try:
        return filesystems.read_bytes(path)
    except OSError as error:
        if filesystems.exists(path):
            raise RunError(f"Cannot read {path}: {error.strerror or error}; run the same command again.") from error
        return None


@dataclass(frozen=True, slots=True)
class Wording:
    """What the sentences of a refusal say.

    Attributes:
        command: which command claims the folder.
        flag: which flag names the folder.
        content: what the folder contains if it is claimed for another configuration.
        remedy: what else to do than to use the stored flags, as an imperative.
    """

    command: str
    flag: str
    content: str
    remedy: str


@dataclass(frozen=True)
class Claim:
    """The claim of one command to its output.

    Attributes:
        folders: what it writes to; the first is the one that messages name.
        work_folder: where the claim, the lock and unfinished files lie, in the first folder.
        configuration: all that decides the output, with its `fingerprint`, ready for JSON.
        wording: of refusals.
    """

    folders: tuple[str, ...]
    work_folder: str
    configuration: Mapping[str, Any]
    wording: Wording

    @property
    def path(self) -> str:
        """The file of the claim."""
        return filesystems.join(self.work_folder, CONFIGURATION)

    @property
    def ticket(self) -> Ticket:
        """What workers need of it."""
        return Ticket(self.path, self.configuration["fingerprint"])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out while the block runs; see `locked`.

        Raises:
            InputError: another process works there.
            RunError: the folder cannot be written.
        """
        words = self.wording
        with locked(
            self.work_folder,
            f"{words.flag}: another `{words.command}` is writing to {self.folders[0]}; wait until it ends, then run the"
            " same command again.",
        ):
            yield

    def write(self, **state: Any) -> None:
        """Claim the folders.

        Args:
            **state: what else the claim says; see `stored`.

        Raises:
            RunError: the folder cannot be written.
        """
        content = json.dumps({**self.configuration, **state}, indent=1, ensure_ascii=False) + "\n"
        filesystems.write_bytes(
            self.path, content.encode(), temporary_folder=filesystems.join(self.work_folder, _TEMPORARY)
        )

    def stored(self, path: str | None = None) -> dict[str, Any] | None:
        """What the claim says, or another file that holds a configuration; None if there is no such file.

        Raises:
            InputError: the file is damaged, or holds another configuration; what differs is named.
        """
        path = path or self.path
        if (data := _read(path)) is None:
            return None
        try:
            content = parse_json(data)
            if not isinstance(content, dict):
                raise ValueError("it is not a JSON object")
            differences = self._differences(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.wording.flag}: {path} is damaged ({error}); {self.wording.remedy}.") from error
        if differences:
            if len(differences) > _MOST_DIFFERENCES:
                differences[_MOST_DIFFERENCES:] = [f"and {len(differences) - _MOST_DIFFERENCES} more"]
            raise InputError(
                f"{self.wording.flag}: {self.folders[0]} contains {self.wording.content} ({'; '.join(differences)});"
                f" use the stored flags and inputs, or {self.wording.remedy}."
            )
        return content

    def refuse_foreign(self) -> None:
        """Make sure that the folders are empty, but for what a run leaves that was killed before it had the claim.

        Raises:
            InputError: they are not.
        """
        ours = tuple(filesystems.join(self.work_folder, name) for name in (CONFIGURATION, _LOCK, _TEMPORARY))
        for folder in filter(filesystems.exists, self.folders):
            if any(not path.startswith(ours) for path in filesystems.list_files(folder)):
                raise InputError(
                    f"{self.wording.flag}: {folder} contains files that fgbg did not write; {self.wording.remedy}."
                )

    def delete_others(self) -> None:
        """Delete everything in the folders but the claim and the lock.

        Raises:
            RunError: something cannot be deleted.
        """
        # Unfinished files first: a late worker that gave one its final name afterwards would have looked at the claim
        # before, which was another's already.
        filesystems.delete_tree(filesystems.join(self.work_folder, _TEMPORARY))
        kept = (self.path, filesystems.join(self.work_folder, _LOCK))
        for folder in self.folders:
            filesystems.delete_tree(folder, kept=kept)

    def _differences(self, stored: dict[str, Any]) -> list[str]:
        if stored.get("fingerprint") == self.configuration["fingerprint"]:
            return []
        differences = describe_differences(stored, self.configuration)
        if not differences and "fingerprint" in stored:
            differences = ["its fingerprint does not fit its content"]
        return differences


def is_claimed(work_folder: str) -> bool:
    """Whether a command has begun to write to a folder and not ended."""
    return filesystems.exists(filesystems.join(work_folder, CONFIGURATION))


def describe_differences(stored: Mapping[str, Any], requested: Mapping[str, Any]) -> list[str]:
    """What differs between the configuration of a folder and the one that was asked for, each in some words."""
    differences = []
    for part in ("configuration", "depth_model"):
        old, new = stored.get(part) or {}, requested.get(part) or {}
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                name = key if part == "configuration" else f"depth model's {key}"
                differences.append(f"{name}: stored {old.get(key)}, requested {new.get(key)}")
    for kind in ("backgrounds", "foregrounds"):
        old, new = (
            {one["label"]: one["sha256"] for one in side.get("inputs", {}).get(kind, [])}
            for side in (stored, requested)
        )
        for label in sorted(old.keys() | new.keys()):
            if label not in new:
                differences.append(f"{kind} {label} is missing")
            elif label not in old:
                differences.append(f"{kind} {label} is new")
            elif old[label] != new[label]:
                differences.append(f"{kind} {label} has changed")
    return differences


@contextmanager
def locked(work_folder: str, refusal: str) -> Iterator[None]:
    """Hold the lock of a local folder while the block runs; the system unlocks what is killed.

    On filesystems without locks, such as object stores, the block just runs.

    Args:
        work_folder: where the file of the lock lies.
        refusal: the sentence for when another process has the lock.

    Raises:
        InputError: another process has the lock.
        RunError: the folder cannot be written.
    """
    if "://" in work_folder:
        yield
        return
    path = Path(work_folder, _LOCK)
    try:
        file = _open_locked(path)
    except BlockingIOError:
        raise InputError(refusal) from None
    except OSError as error:
        raise RunError(
            f"Cannot write {path}: {error.strerror or error}. Free space there or fix its permissions, then run the"
            " same command again."
        ) from error
    with file:
        try:
            yield
        finally:
            with suppress(OSError):
                if _is_file_at(file, path):
                    path.unlink()
                path.parent.rmdir()  # if nothing else is in it


def _open_locked(path: Path) -> BinaryIO:
    import fcntl  # which some systems lack; `--help` works on them nevertheless

    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return file
            file.close()
            raise
        # The process that had the lock may have deleted the file since it was opened here.
        if _is_file_at(file, path):
            return file
        file.close()


def _is_file_at(file: BinaryIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
