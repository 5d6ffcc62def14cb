"""Splits pictures into training and held-out sets and removes near-duplicates."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from transforms.pictures import SUFFIXES, decode_picture

# Two pictures are near-duplicates, such as copies of another size or crop, if at most this many of the 256 bits of
# their difference hashes differ.
_MAX_DIFFERENCE = 24
_HASH_SIDE = 16


@dataclass(frozen=True, slots=True)
class Pool:
    """Paths of backgrounds and foregrounds."""

    backgrounds: tuple[Path, ...]
    foregrounds: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures for training, and held-out pictures. They have no near-duplicates in common."""

    train: Pool
    held_out: Pool


def split_pictures(folders: list[Path], held_out: float, seed: int) -> Split:
    """Split FOLDER/backgrounds and FOLDER/foregrounds of all folders.

    The set of a picture depends only on `seed` and on its content. Renaming it, adding others or finding it in two
    packages does not move it to the other set. Of near-duplicates, the largest file is kept.
    """
    sides = [
        _split([path for folder in folders for path in list_pictures(folder / kind)], held_out, seed)
        for kind in ("backgrounds", "foregrounds")
    ]
    (train_backgrounds, held_backgrounds), (train_foregrounds, held_foregrounds) = sides
    return Split(Pool(train_backgrounds, train_foregrounds), Pool(held_backgrounds, held_foregrounds))


def list_pictures(folder: Path) -> list[Path]:
    """Return the paths of all pictures below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def difference_hash(data: bytes) -> npt.NDArray[np.bool_]:
    """Return a perceptual hash, bool [256]: whether each cell of a 16 x 17 grid is darker than the next.

    Unlike a checksum, it hardly changes when the picture is resized or recompressed.
    """
    image = decode_picture(data)
    if image.mode == "RGBA":
        image.paste((128, 128, 128), (0, 0), image.getchannel("A").point(lambda alpha: 255 - alpha))
    grey = np.asarray(image.convert("L"), np.float32)
    grid = cv2.resize(grey, (_HASH_SIDE + 1, _HASH_SIDE), interpolation=cv2.INTER_AREA)
    return (grid[:, 1:] > grid[:, :-1]).ravel()


def is_held_out(fingerprint: npt.NDArray[np.bool_], fraction: float, seed: int) -> bool:
    """Return whether the hash of seed and fingerprint, as a number in 0..1, is below `fraction`."""
    digest = hashlib.sha256(f"{seed}:".encode() + np.packbits(fingerprint).tobytes()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def _split(paths: list[Path], fraction: float, seed: int) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return (train, held out)."""
    paths = sorted(paths, key=lambda path: -path.stat().st_size)
    kept: list[Path] = []
    hashes = np.empty((0, _HASH_SIDE**2), bool)
    for path in paths:
        fingerprint = difference_hash(path.read_bytes())
        if (hashes != fingerprint).sum(axis=1).min(initial=_HASH_SIDE**2) <= _MAX_DIFFERENCE:
            continue
        kept.append(path)
        hashes = np.concatenate([hashes, fingerprint[np.newaxis]])
    held = {path for path, fingerprint in zip(kept, hashes, strict=True) if is_held_out(fingerprint, fraction, seed)}
    return tuple(sorted(set(kept) - held)), tuple(sorted(held))
