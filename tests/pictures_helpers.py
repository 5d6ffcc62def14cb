"""Tiny pictures of every kind, made on the spot."""

import io
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fgbg.features import Labels, Schema
from transforms.assets import AssetPaths

Pixels = npt.NDArray[np.uint8]


def photo(width: int = 12, height: int = 10, seed: int = 0) -> Pixels:
    """Noise, RGB: no pixel like another, so that nothing can be mixed up unseen."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def cutout(width: int = 12, height: int = 8, seed: int = 0) -> Pixels:
    """RGBA noise, opaque in the middle, half transparent around that, and one transparent pixel all around."""
    alpha = np.zeros((height, width), np.uint8)
    alpha[1:-1, 1:-1] = 100
    alpha[2:-2, 2:-2] = 255
    return np.dstack([photo(width, height, seed), alpha])


def encoded(image: Pixels | Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """The file's bytes as Pillow writes them."""
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def write(path: Path, content: Pixels | Image.Image | bytes) -> Path:
    """Write a picture, as PNG whatever its suffix, or any other bytes, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else encoded(content))
    return path


def png(width: int, height: int, bits: int, colour: int, rows: Iterable[bytes], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG made by hand, for kinds that no library writes; `chunks` go before the pixels."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def bomb() -> bytes:
    """A PNG of 70 bytes that says it has 3.6 billion pixels."""
    return png(60_000, 60_000, 8, 2, [])


def write_pictures(folder: Path, image_size: int = 16, longest_side: int = 8) -> AssetPaths:
    """Three backgrounds and two foregrounds, and where they lie."""
    backgrounds = [write(folder / f"backgrounds/{i}.png", photo(20 + i, 18, seed=i)) for i in range(3)]
    foregrounds = [write(folder / f"foregrounds/{i}.png", cutout(12 - i, 8 + i, seed=9 + i)) for i in range(2)]
    return AssetPaths(tuple(map(str, backgrounds)), tuple(map(str, foregrounds)), image_size, longest_side)


def make_schema(image_size: int = 16, *, lossless: bool = True, depth_bits: int | None = None) -> Schema:
    """The schema that fits `write_pictures`."""
    return Schema(
        image_size=image_size,
        backgrounds=Labels(("0", "1", "2"), ("river", "street", "river")),
        foregrounds=Labels(("0", "1"), ("dog", "cat")),
        lossless=lossless,
        depth_bits=depth_bits,
        depth_kind="metric" if depth_bits else None,
    )


def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user of a container who is in no list of users."""
    monkeypatch.delenv("HOME", raising=False)

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", unknown)
