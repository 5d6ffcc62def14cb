"""Finding the input pictures and checking every one of them before anything is written."""

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

from transforms import filesystems, pictures
from transforms.errors import InputError
from transforms.naming import UNWRITABLE
from transforms.pictures import PictureError
from transforms.placements import placed_size

UNCLASSIFIED = "unclassified"

# Folder in which `cutout` keeps what is not ready to be a foreground, inside one that is ready to be named here.
ASIDE = "_cutout"

_NOT_PICTURES = ("thumbs.db", "desktop.ini")
_NOT_FOLDERS = ("__macosx", "lost+found", ASIDE)


@dataclass(frozen=True, slots=True)
class Picture:
    """An input picture that was found to be usable.

    Attributes:
        path: where it lies.
        label: its path below the input folder without suffix, with `/`.
        class_name: its sub-folder, or `unclassified`.
        sha256: of the file's bytes.
        width: of the cut-out before placement, or of the composite, pixels.
        height: likewise.
    """

    path: str
    label: str
    class_name: str
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class BadInput:
    """A picture that cannot be used, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


@dataclass(frozen=True, slots=True)
class CheckedInputs:
    """The usable pictures of one kind in a fixed order, and the others."""

    usable: tuple[Picture, ...]
    bad: tuple[BadInput, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    label: str
    class_name: str


def find_pictures(folder_or_glob: str, flag: str) -> tuple[list[_Found], list[BadInput]]:
    """List the files to use below a folder or matching a glob, in the order of their labels, and the refused ones.

    Hidden files and folders, what file managers leave behind and what `cutout` laid aside are passed over; other files
    that are no pictures by their suffix, and names that differ in the suffix alone, are refused.

    Raises:
        InputError: no such folder, or nothing in it.
    """
    root = root_folder(folder_or_glob)
    found: dict[str, _Found] = {}
    bad: list[BadInput] = []
    for path in filesystems.list_files(folder_or_glob):
        below = PurePosixPath(path.replace(os.sep, "/")[len(root) :].lstrip("/"))
        if _is_litter(below):
            continue
        # Without spaces at the ends, which TFDS cuts off when it reads names back.
        label = below.with_suffix("").as_posix().strip()
        class_name = below.parent.as_posix().strip()
        if path.endswith("/"):
            bad.append(BadInput(path, "is a folder that cannot be read; mend its permissions or remove it"))
        elif below.suffix.lower() not in pictures.SUFFIXES:
            bad.append(BadInput(path, f"is no picture by its name (known suffixes: {' '.join(pictures.SUFFIXES)})"))
        elif not label or not UNWRITABLE.isdisjoint(map(unicodedata.category, label)):
            bad.append(BadInput(path, "has a control character in its name, or no name but spaces; rename it"))
        elif label in found:
            bad.append(BadInput(path, f"has the same name as {found[label].path} but for the suffix; rename one"))
        else:
            found[label] = _Found(path, label, UNCLASSIFIED if class_name == "." else class_name)
    if not found and not bad:
        if filesystems.is_glob(folder_or_glob) and not filesystems.exists(folder_or_glob):
            raise InputError(f"{flag}: no file matches {folder_or_glob}; check the pattern.")
        if not filesystems.exists(folder_or_glob):
            raise InputError(f"{flag}: there is no folder {folder_or_glob}; check the path.")
        if PurePosixPath(folder_or_glob).suffix.lower() in pictures.SUFFIXES:
            raise InputError(f"{flag}: {folder_or_glob} is one picture; name its folder, or a pattern that matches it.")
        raise InputError(f"{flag}: the folder {folder_or_glob} holds no pictures; put some in or name another.")
    return sorted(found.values(), key=lambda one: one.label), bad


def check_backgrounds(
    folder_or_glob: str, *, image_size: int, most: int | None = None, on_checked: Callable[[], None] = lambda: None
) -> CheckedInputs:
    """Find the backgrounds, or only so many of them, and decode every one.

    Raises:
        InputError: there is no such folder, or nothing in it.
    """

    def check(data: bytes) -> tuple[int, int]:
        with pictures.decoded_picture(data):
            return image_size, image_size

    found, bad = find_pictures(folder_or_glob, "--backgrounds")
    return _check_all(found[:most], bad, check, on_checked)


def check_foregrounds(
    folder_or_glob: str,
    *,
    sides: Sequence[int],
    most: int | None = None,
    on_checked: Callable[[], None] = lambda: None,
) -> CheckedInputs:
    """Find the foregrounds, or only so many; decode each and prove that it leaves a mask at every longest side.

    Raises:
        InputError: there is no such folder, or nothing in it.
    """

    def check(data: bytes) -> tuple[int, int]:
        rgba = pictures.load_foreground(data, max(sides))
        height, width = rgba.shape[:2]
        missing = pictures.first_without_mask(rgba, [placed_size((width, height), side) for side in sides])
        if missing is not None:
            raise PictureError(
                f"is so thin that no pixel is half opaque when its longest side is {sides[missing]} pixels; its mask"
                " would be empty; use a larger --fg_scale or --image_size"
            )
        return width, height

    found, bad = find_pictures(folder_or_glob, "--foregrounds")
    return _check_all(found[:most], bad, check, on_checked)


def _check_all(
    found: Iterable[_Found],
    bad: Iterable[BadInput],
    check: Callable[[bytes], tuple[int, int]],
    on_checked: Callable[[], None],
) -> CheckedInputs:
    def check_one(one: _Found) -> Picture | BadInput:
        try:
            with filesystems.read_within_budget(one.path) as data:
                width, height = check(data)
                sha256 = hashlib.sha256(data).hexdigest()
        except PictureError as error:
            return BadInput(one.path, str(error))
        except OSError as error:
            return BadInput(one.path, f"cannot be read ({error.strerror or error})")
        finally:
            on_checked()
        return Picture(one.path, one.label, one.class_name, sha256, width, height)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(check_one, found))
    usable = tuple(result for result in results if isinstance(result, Picture))
    refused = [result for result in results if isinstance(result, BadInput)]
    return CheckedInputs(usable, tuple(sorted([*bad, *refused], key=lambda one: one.path)))


def root_folder(folder_or_glob: str) -> str:
    """The folder that labels are relative to: the folder itself, or the part of a glob before its first wildcard."""
    if not filesystems.is_glob(folder_or_glob) or filesystems.exists(folder_or_glob):
        return folder_or_glob.rstrip("/")
    fixed = []
    for part in folder_or_glob.split("/")[:-1]:
        if filesystems.is_glob(part):
            break
        fixed.append(part)
    return "/".join(fixed)


def _is_litter(below: PurePosixPath) -> bool:
    return (
        any(part.startswith(".") or part.lower() in _NOT_FOLDERS for part in below.parts)
        or below.name.lower() in _NOT_PICTURES
    )
