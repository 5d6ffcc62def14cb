"""Finding the input pictures and checking every one of them before anything is written."""

import hashlib
import itertools
import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fgbg import filesystems
from fgbg.errors import InputError
from fgbg.naming import UNWRITABLE, printable
from transforms import pictures
from transforms.pictures import PictureError
from transforms.placements import placed_size

UNCLASSIFIED = "unclassified"

# Folder in which `cutout` keeps what is not ready to be a foreground, inside one that is ready to be named here.
ASIDE = "_cutout"

# What no person names a picture or a folder of pictures: it is passed over. In small letters.
_NOT_PICTURES = frozenset(("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"))
_NOT_FOLDERS = frozenset(
    (
        *("__macosx", "lost+found", ASIDE),
        *("@eadir", "#recycle", "#snapshot"),  # Synology
        *("@recycle", "@recently-snapshot", "@__thumb"),  # QNAP
        *("$recycle.bin", "system volume information"),  # Windows
        *("network trash folder", "thevolumesettingsfolder"),  # macOS on network drives
    )
)
# Previews that Lightroom makes of its catalog.
_NOT_FOLDER_SUFFIX = ".lrdata"

# A person may have named these: their pictures are refused, never passed over silently.
_DOUBTFUL_FOLDERS = frozenset(("recycler", "recycled", "temporary items"))
_DOUBTFUL_FOLDER_SUFFIXES = (".photoslibrary", ".photolibrary", ".aplibrary", ".migratedphotolibrary", ".lrlibrary")


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
        return printable(f"{self.path} {self.reason}", one_line=True)


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

    Hidden files and folders, what other programs leave behind (file managers, network drives, photo software) and what
    `cutout` flagged for review are ignored; other files that are no pictures by their suffix, names that TFDS cannot
    store, and names that differ only in the suffix or in spaces at their ends, are refused.

    Raises:
        InputError: no such folder, or nothing in it.
    """
    root = root_folder(folder_or_glob)
    found: dict[str, _Found] = {}
    stems: dict[str, str] = {}
    bad: list[BadInput] = []
    for path in filesystems.list_files(folder_or_glob):
        below = _below(path, root)
        if _is_litter(below):
            continue
        # Without spaces at the ends, which TFDS cuts off when it reads names back.
        stem = below.with_suffix("").as_posix()
        label, class_name = stem.strip(), below.parent.as_posix().strip()
        if path.endswith("/"):
            bad.append(BadInput(path, "is a folder that cannot be read; fix its permissions or remove it"))
        elif folder := _doubtful_folder(below):
            maker = "which another program may have made; rename that folder if its pictures are yours"
            bad.append(BadInput(path, f"is in {folder}, {maker}"))
        elif below.suffix.lower() not in pictures.SUFFIXES:
            bad.append(BadInput(path, f"is no picture by its name (known suffixes: {' '.join(pictures.SUFFIXES)})"))
        elif reason := _unusable_name(label, class_name):
            bad.append(BadInput(path, reason))
        elif label in found:
            same = "the suffix" if stem == stems[label] else "spaces at its ends, which are not stored"
            bad.append(BadInput(path, f"has the same name as {found[label].path} but for {same}; rename one"))
        else:
            found[label] = _Found(path, label, UNCLASSIFIED if class_name == "." else class_name)
            stems[label] = stem
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


def find_overlap(folder_or_glob: str, folder: str, names: Iterable[str] | None = None) -> str | None:
    """The path by which inputs and another folder, which need not exist yet, overlap; None if they do not.

    They do if inputs lie in the folder, or if the folder lies among the inputs. Links are followed as they are when
    pictures are listed.

    Args:
        folder_or_glob: the inputs, or a single file.
        folder: where something is going to be written.
        names: paths below the folder. If given, a folder among the inputs counts only if one of these would be listed.
    """
    root = root_folder(folder_or_glob)
    if "://" in root or "://" in folder:
        visits = iter([(root, PurePosixPath(root.rstrip("/")))])
        target = PurePosixPath(folder.rstrip("/"))
    else:
        # The root may be a file, or not there.
        folders = itertools.chain([(root, Path(root).resolve())], filesystems.walk_folders(root))
        visits = ((visited, PurePosixPath(real)) for visited, real in folders)
        target = PurePosixPath(Path(folder).resolve())
    for visited, real in visits:
        if real.is_relative_to(target):
            return visited
        if target.is_relative_to(real):
            inside = filesystems.join(visited, *target.relative_to(real).parts)
            if names is None:
                return inside
            for path in (filesystems.join(inside, *name.split("/")) for name in names):
                if filesystems.matches(folder_or_glob, path) and not _is_litter(_below(path, root)):
                    return path
    return None


def _unusable_name(label: str, class_name: str) -> str | None:
    """Why TFDS could not store a name, if so."""
    if not label or not class_name:
        return "has no name but spaces, or lies in a folder that has none; rename it"
    categories = set(map(unicodedata.category, label))
    if "Cs" in categories:
        return "has a name that is not UTF-8, here escaped; rename it"
    if not UNWRITABLE.isdisjoint(categories):
        return "has a control character in its name, here escaped; rename it"
    return None


def _below(path: str, root: str) -> PurePosixPath:
    return PurePosixPath(path.replace(os.sep, "/")[len(root) :].lstrip("/"))


def _is_litter(below: PurePosixPath) -> bool:
    return below.name.lower() in _NOT_PICTURES or any(
        part.startswith(".") or part.lower() in _NOT_FOLDERS or part.lower().endswith(_NOT_FOLDER_SUFFIX)
        for part in below.parts
    )


def _doubtful_folder(below: PurePosixPath) -> str | None:
    """The first folder on the way that another program may have made, or a person."""
    return next(
        (
            part
            for part in below.parts[:-1]
            if part.lower() in _DOUBTFUL_FOLDERS or part.lower().endswith(_DOUBTFUL_FOLDER_SUFFIXES)
        ),
        None,
    )
