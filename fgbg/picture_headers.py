"""Type and size of a stored JPEG or PNG from its first bytes: known before memory is reserved for its pixels."""

import struct
from typing import NamedTuple

SIGNATURES = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n"}

_PNG = SIGNATURES["PNG"]
_START_OF_IMAGE = 2
_PNG_HEADER = struct.Struct(">I4sIIBB")
_CHUNK = struct.Struct(">I4s")
_CHUNK_CRC_BYTES = 4
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}

# Of JPEG, ITU-T T.81 table B.1: those that start a frame, and those that have no length.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PLAIN = frozenset((0x01, *range(0xD0, 0xD9)))
_END, _SCAN = 0xD9, 0xDA


class PictureHeader(NamedTuple):
    """`kind` is "PNG" or "JPEG"; `bits` are those of one channel."""

    kind: str
    width: int
    height: int
    channels: int
    bits: int


def read_header(data: bytes) -> PictureHeader | None:
    """The header of a picture, or None if this is neither a PNG nor a JPEG or is cut off.

    >>> jpeg = b"\\xff\\xd8\\xff\\xc0" + bytes([0, 17, 8, 0, 5, 0, 7, 3])
    >>> read_header(jpeg)
    PictureHeader(kind='JPEG', width=7, height=5, channels=3, bits=8)
    """
    if data.startswith(_PNG):
        return _png_header(data)
    return _jpeg_header(data) if data.startswith(SIGNATURES["JPEG"]) else None


def _png_header(data: bytes) -> PictureHeader | None:
    if len(data) < len(_PNG) + _PNG_HEADER.size:
        return None
    length, name, width, height, bits, colour = _PNG_HEADER.unpack_from(data, len(_PNG))
    if length != 13 or name != b"IHDR" or colour not in _PNG_CHANNELS or not _has_all_chunks(data):
        return None
    return PictureHeader("PNG", width, height, _PNG_CHANNELS[colour], bits)


def _has_all_chunks(data: bytes) -> bool:
    """OpenCV reserves as much memory as a chunk says it has, up to 4 GB, and fills it with zeros if it ends early."""
    position = len(_PNG)
    while position + _CHUNK.size <= len(data):
        length, name = _CHUNK.unpack_from(data, position)
        position += _CHUNK.size + length + _CHUNK_CRC_BYTES
        if name == b"IEND":
            return position <= len(data)
    return False


def _jpeg_header(data: bytes) -> PictureHeader | None:
    position = _START_OF_IMAGE
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _PLAIN:
            position += 2
        elif marker in (_END, _SCAN):
            return None
        elif marker in _FRAMES:
            if position + 10 > len(data):
                return None
            bits, height, width, channels = struct.unpack_from(">BHHB", data, position + 4)
            return PictureHeader("JPEG", width, height, channels, bits)
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None
