"""Damage that decoders pass over in silence, found from the file's bytes."""

import re
import struct
import zlib
from collections.abc import Iterator

import simplejpeg

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# The rest of a PNG is not needed for its pixels.
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")

# Texts are kept up to this size and this sum of sizes, bytes, unpacked: what Pillow reads of a PNG.
_MOST_TEXT = 1 << 20
_MOST_TEXTS = 64 << 20

# What libjpeg says when the image data are wrong; anything else it has to say is about metadata.
_WRONG_DATA = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")

# Many cameras write a few bytes too many at the end.
_SUPERFLUOUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_MOST_SUPERFLUOUS = 16

_START_OF_SCAN = 0xDA
_SEQUENTIAL = (0xC0, 0xC1)


def find_damage(data: bytes) -> str | None:
    """What is wrong with the pixels of a JPEG or PNG, though it can be decoded; None if nothing is known.

    Other formats have no checksums.
    """
    if data.startswith(b"\xff\xd8"):
        return _jpeg_damage(data)
    if data.startswith(_PNG_SIGNATURE):
        return _png_damage(data)
    return None


def without_large_texts(data: bytes) -> bytes:
    """The same PNG without texts so large that Pillow refuses them; anything else as it is.

    Image generators keep whole workflows in a picture.
    """
    if not data.startswith(_PNG_SIGNATURE):
        return data
    kept, start, total = [], 0, 0
    for name, begin, end in _png_chunks(data):
        if name in _TEXT_CHUNKS:
            size = _text_size(name, data[begin:end])
            total += size
            if size > _MOST_TEXT or total > _MOST_TEXTS:
                kept.append(data[start : begin - 8])
                start = end + 4
                total -= size
    return b"".join([*kept, data[start:]]) if start else data


def _jpeg_damage(data: bytes) -> str | None:
    try:
        intact = _only_image_data(data)
        # The smallest decoding: all of the data are read, but only a 64th of the pixels are computed.
        colours = simplejpeg.decode_jpeg_header(intact)[2]
        simplejpeg.decode_jpeg(
            intact, "CMYK" if colours in ("CMYK", "YCCK") else "GRAY", min_height=1, min_width=1, min_factor=8
        )
    except ValueError as error:
        reason = str(error)
        superfluous = _SUPERFLUOUS.search(reason)
        if superfluous and int(superfluous[1]) <= _MOST_SUPERFLUOUS:
            return None
        if any(words in reason for words in _WRONG_DATA):
            return reason.removeprefix("Corrupt JPEG data: ")
    return None


def _only_image_data(jpeg: bytes) -> bytes:
    """A JPEG without metadata, of which libjpeg might complain first; it tells only its first complaint.

    Some cameras leave out the end marker, so there is one more.
    """
    parts = [b"\xff\xd8"]
    position, sequential = 2, False
    while True:
        position = jpeg.find(b"\xff", position)
        while jpeg[position : position + 2] == b"\xff\xff":
            position += 1
        if position < 0 or position + 4 > len(jpeg):
            return jpeg
        marker, length = struct.unpack_from(">xBH", jpeg, position)
        segment = jpeg[position : position + 2 + length]
        position += 2 + length
        if marker == _START_OF_SCAN:
            if sequential:  # whose last three bytes mean nothing, and are wrong in some files
                segment = segment[:-3] + b"\0\x3f\0"
            return b"".join([*parts, segment, jpeg[position:], b"\xff\xd9"])
        sequential |= marker in _SEQUENTIAL
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            parts.append(segment)


def _png_damage(data: bytes) -> str | None:
    view = memoryview(data)
    for name, begin, end in _png_chunks(data):
        if name in _PIXEL_CHUNKS and zlib.crc32(view[begin - 4 : end]) != int.from_bytes(view[end : end + 4]):
            return f"a checksum of its {name.decode()} data is wrong"
    return None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of the content of every chunk that is complete."""
    begin = len(_PNG_SIGNATURE) + 8
    while begin <= len(data):
        length, name = struct.unpack_from(">I4s", data, begin - 8)
        end = begin + length
        if end + 4 > len(data):
            return
        yield name, begin, end
        begin = end + 12


def _text_size(name: bytes, content: bytes) -> int:
    """Bytes of a text, unpacked; as soon as they are too many, the exact number does not matter."""
    rest = content.partition(b"\0")[2]
    packed = None
    if name in (b"zTXt", b"iCCP"):
        packed = rest[1:]
    elif name == b"iTXt" and rest[:1] == b"\x01":
        packed = rest[2:].split(b"\0", 2)[-1]
    if packed is None:
        return len(rest)
    try:
        return len(zlib.decompressobj().decompress(packed, _MOST_TEXT + 1))
    except zlib.error:
        return 0
