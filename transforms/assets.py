"""The input pictures as workers need them: decoded once per process, kept in bounded memory, shared by all threads."""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
from cachetools import LRUCache

from fgbg import filesystems
from fgbg.errors import RunError
from fgbg.images import Pixels
from fgbg.settings import PICTURE_MEMORY
from transforms import pictures

# Parts of it. Cut-outs and their placed versions recur far more often than backgrounds.
_BACKGROUNDS, _CUTOUTS, _PLACED = 1 / 2, 1 / 4, 1 / 4


class PictureSource(Protocol):
    """Where the pictures come from, ready to be composited. Travels to the workers instead of the pictures."""

    def load_background(self, index: int) -> Pixels:
        """uint8 [image_size, image_size, 3], RGB."""

    def load_cutout(self, index: int) -> Pixels:
        """RGBA uint8 [h, w, 4] before placement."""


@dataclass(frozen=True, slots=True)
class AssetPaths:
    """The picture files to composite, and how large.

    Attributes:
        backgrounds: path of every background, in the order of its index.
        foregrounds: path of every foreground, in the order of its index.
        image_size: side of the square composite, pixels.
        longest_side: largest longest side of a placed cut-out, pixels.
        background_sha256: of the file of every background when the inputs were checked, 32 bytes each; None if they
            were not.
        foreground_sha256: likewise.
    """

    backgrounds: tuple[str, ...]
    foregrounds: tuple[str, ...]
    image_size: int
    longest_side: int
    background_sha256: tuple[bytes, ...] | None = None
    foreground_sha256: tuple[bytes, ...] | None = None

    def load_background(self, index: int) -> Pixels:
        """uint8 [image_size, image_size, 3], RGB."""
        with _read(self.backgrounds, self.background_sha256, index) as data:
            return pictures.load_background(data, self.image_size)

    def load_cutout(self, index: int) -> Pixels:
        """RGBA uint8 [h, w, 4] before placement."""
        with _read(self.foregrounds, self.foreground_sha256, index) as data:
            return pictures.load_foreground(data, self.longest_side)


class _BoundedCache:
    """Least recently used arrays up to a total of `max_bytes`. Safe to use from several threads."""

    def __init__(self, max_bytes: float) -> None:
        self._arrays: LRUCache = LRUCache(max_bytes, getsizeof=lambda array: array.nbytes)
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], Pixels]) -> Pixels:
        with self._lock:
            array = self._arrays.get(key)
            if array is not None:
                return array
            making = self._making.setdefault(key, threading.Lock())
        with making:  # all threads begin with the same pictures, and only one of them decodes a large one
            with self._lock:
                array = self._arrays.get(key)
            if array is None:
                array = make()
                array.setflags(write=False)
            with self._lock:
                self._making.pop(key, None)
                if array.nbytes <= self._arrays.maxsize:
                    self._arrays[key] = array
        return array


class Assets:
    """Backgrounds and placed cut-outs on demand.

    Args:
        source: where they come from.
        memory: bytes of them to keep decoded.
    """

    def __init__(self, source: PictureSource, memory: int = PICTURE_MEMORY) -> None:
        self._source = source
        self._backgrounds = _BoundedCache(memory * _BACKGROUNDS)
        self._cutouts = _BoundedCache(memory * _CUTOUTS)
        self._placed = _BoundedCache(memory * _PLACED)

    def background(self, index: int) -> Pixels:
        """uint8 [image_size, image_size, 3], RGB, read-only."""
        return self._backgrounds.get(index, lambda: self._source.load_background(index))

    def cutout(self, index: int) -> Pixels:
        """RGBA uint8 [h, w, 4] before placement, read-only."""
        return self._cutouts.get(index, lambda: self._source.load_cutout(index))

    def placed(self, index: int, width: int, height: int, *, flipped: bool) -> Pixels:
        """RGBA uint8 [height, width, 4] as it is pasted, read-only."""
        plain = self._placed.get(
            (index, width, height), lambda: pictures.resize_cutout(self.cutout(index), (width, height))
        )
        return cv2.flip(plain, 1) if flipped else plain


def expected_cache_misses(
    *, backgrounds: int, background_bytes: float, cutouts: int, cutout_bytes: float, memory: int = PICTURE_MEMORY
) -> float:
    """How many of an example's two pictures a process decodes again, on average, since it no longer keeps them.

    Examples draw theirs at random, so whatever part of the pictures is kept, that part of the draws finds them.

    >>> expected_cache_misses(backgrounds=100, background_bytes=1 << 20, cutouts=100, cutout_bytes=1 << 20)
    0.0
    >>> expected_cache_misses(backgrounds=1024, background_bytes=1 << 20, cutouts=256, cutout_bytes=1 << 20)
    1.25
    """
    kinds = (
        (memory * _BACKGROUNDS, backgrounds * background_bytes),
        (memory * _CUTOUTS, cutouts * cutout_bytes),
    )
    return sum(max(0.0, 1 - kept / wanted) for kept, wanted in kinds)


@contextlib.contextmanager
def _read(paths: Sequence[str], sha256: Sequence[bytes] | None, index: int) -> Iterator[bytes]:
    path = paths[index]
    with contextlib.ExitStack() as stack:
        try:
            data = stack.enter_context(filesystems.read_within_budget(path))
        except OSError as error:
            raise RunError(
                f"Cannot read {path} ({error.strerror or error}), which existed when the inputs were checked; restore"
                " it and run the same command again."
            ) from error
        # Of the bytes that are decoded, every time: next to decoding it costs nothing.
        if sha256 is not None and hashlib.sha256(data).digest() != sha256[index]:
            raise RunError(
                f"{path} has changed since the inputs were checked; restore it and run the same command again, or add"
                " --overwrite to start again with what it is now."
            )
        yield data
