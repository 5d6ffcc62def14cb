"""Pictures with measured depth in the layout in which NYU Depth V2 is distributed for DenseDepth.

The data are a zip file or a folder with a CSV file of two columns without a header at any depth:

    data/nyu2_train/living_room_0038_out/37.jpg,data/nyu2_train/living_room_0038_out/37.png

Paths are relative to the root of the zip file or folder, or to a parent folder of the CSV file. 8-bit depth pictures
store metres = value / 255 * 10, 16-bit ones millimetres. A value of 0 is unknown depth and counts as the maximum depth,
as in DenseDepth.
"""

import csv
import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fgbg.depth_models.images import FARTHEST_METRES, NEAREST_METRES, resize_pictures
from training.loop import Batch

_EIGHT_BIT_METRES = 10.0
_MILLIMETRES = 1000.0
# Probabilities of mirroring an example and of permuting its channels, as in the paper (section 3.4).
_MIRRORED, _SWAPPED = 0.5, 0.25


@dataclass(frozen=True, slots=True)
class Pairs:
    """A zip file or folder and the paths of its (picture, depth) pairs."""

    root: Path
    names: tuple[tuple[str, str], ...]

    def read(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """Return one pair: RGB, uint8 [h, w, 3], and metres, float32 [h, w]."""
        picture, depth = (Image.open(io.BytesIO(_read(self.root, name))) for name in self.names[index])
        return np.asarray(picture.convert("RGB")), metres_from_picture(np.asarray(depth))


def find_pairs(root: Path, csv_name: str = "nyu2_train.csv") -> Pairs:
    """Return all pairs in the CSV file.

    Raises:
        ValueError: there is not exactly one such CSV file, it has no rows, or a path does not exist.
    """
    names = _names(root)
    lists = [name for name in names if PurePosixPath(name).name == csv_name]
    if len(lists) != 1:
        raise ValueError(f"{root} contains {len(lists)} files named {csv_name}; exactly one is required")
    rows = [row for row in csv.reader(io.StringIO(_read(root, lists[0]).decode())) if row]
    folders = ["", *(f"{parent}/" for parent in PurePosixPath(lists[0]).parents if str(parent) != ".")]
    pairs = tuple((_resolve(row[0], folders, names, root), _resolve(row[1], folders, names, root)) for row in rows)
    if not pairs:
        raise ValueError(f"{root}: {lists[0]} has no rows")
    return Pairs(root, pairs)


def metres_from_picture(depth: npt.NDArray) -> npt.NDArray[np.float32]:
    """Convert a depth picture, uint8 or uint16 [h, w], to metres in 0.1 .. 10, float32 [h, w].

    >>> metres_from_picture(np.array([[0, 51, 255]], np.uint8)).tolist()
    [[10.0, 2.0, 10.0]]
    >>> metres_from_picture(np.array([[20, 2500, 65535]], np.uint16)).tolist()
    [[0.10000000149011612, 2.5, 10.0]]
    """
    # Pillow decodes 16-bit pictures to int32.
    unit = _EIGHT_BIT_METRES / 255 if depth.dtype == np.uint8 else 1 / _MILLIMETRES
    metres = depth.astype(np.float64) * unit
    metres[depth == 0] = FARTHEST_METRES
    return np.clip(metres, NEAREST_METRES, FARTHEST_METRES).astype(np.float32)


def batch(pairs: Pairs, step: int, count: int, size: tuple[int, int], seed: int) -> Batch:
    """Return the batch of a step, a pure function of its arguments; size is (width, height) of the images.

    - images, uint8 [count, height, width, 3]
    - targets, float32 [count, height/2, width/2]: y = 1000 / centimetres
    """
    total = len(pairs.names)
    images, targets = [], []
    random = np.random.default_rng([seed, 1, step])
    for position in range(step * count, (step + 1) * count):
        epoch, offset = divmod(position, total)
        image, metres = pairs.read(int(_order(seed, epoch, total)[offset]))
        image = resize_pictures(image[np.newaxis], size)[0]
        metres = cv2.resize(metres, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_NEAREST)
        if random.random() < _MIRRORED:
            image, metres = image[:, ::-1], metres[:, ::-1]
        if random.random() < _SWAPPED:
            image = image[..., random.permutation(3)]
        images.append(image)
        targets.append(10 / metres)
    return np.stack(images), np.stack(targets)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, total: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, 0, epoch]).permutation(total)


def _names(root: Path) -> frozenset[str]:
    if root.is_dir():
        return frozenset(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    with zipfile.ZipFile(root) as opened:
        return frozenset(opened.namelist())


def _read(root: Path, name: str) -> bytes:
    if root.is_dir():
        return (root / name).read_bytes()
    # Opened for each read, because several threads cannot share one open zip file.
    with zipfile.ZipFile(root) as opened:
        return opened.read(name)


def _resolve(name: str, folders: list[str], names: frozenset[str], root: Path) -> str:
    name = name.strip()
    for folder in folders:
        if folder + name in names:
            return folder + name
    raise ValueError(f"{root} has no {name}, which its CSV file lists")
