"""Stored pictures: decoded, and compared with the pixels they should have."""

import numpy as np
import numpy.typing as npt

from fgbg.images import Pixels
from fgbg.records import WrongRecordError
from fgbg.stored_pictures import DecodeError, PictureForm

# Encoders of one standard that round differently were never further apart than this: in every block of 16 x 16 pixels,
# the mean squared error may exceed that of encoding here by a quarter and one squared grey level.
_BLOCK = 16
_EXCESS_FACTOR, _EXCESS = 1.25, 1.0


def decode_field(field: str, data: bytes, form: PictureForm) -> npt.NDArray:
    """The pixels of a picture in a record, RGB(A) if in colour.

    Raises:
        WrongRecordError: the picture is no such file, is damaged, or has another shape or type.
    """
    try:
        return form.decode(data)
    except DecodeError as error:
        raise WrongRecordError(field, str(error)) from error


def check_mask(stored: Pixels, computed: Pixels) -> None:
    """Compare a stored mask with the one that was computed again, both uint8 [H, W].

    Raises:
        WrongRecordError: it is not binary, or another.
    """
    grey = np.argwhere((stored != 0) & (stored != 255))
    if len(grey):
        row, column = grey[0]
        raise WrongRecordError("mask", f"is not binary: {stored[row, column]} at row {row}, column {column}")
    check_same_pixels("mask", stored, computed)


def check_same_pixels(field: str, stored: npt.NDArray, computed: npt.NDArray) -> None:
    """Compare pixels that must be equal.

    Raises:
        WrongRecordError: they are not.
    """
    different = stored != computed
    if different.any():
        row, column = np.argwhere(different)[0][:2]
        pixels = int(np.count_nonzero(different.reshape(*stored.shape[:2], -1).any(axis=-1)))
        raise WrongRecordError(
            field, f"differs from what is computed again in {pixels:,} pixels, the first at row {row}, column {column}"
        )


def within_jpeg_error(stored: Pixels, computed: Pixels, encoded_here: Pixels) -> bool:
    """Whether decoded JPEG pixels are as near to the picture as encoding it here comes, block by block.

    Args:
        stored: decoded from the dataset, uint8 [H, W, 3].
        computed: the picture before encoding.
        encoded_here: the picture after encoding and decoding it here with the same quality.
    """
    excess = _block_errors(stored, computed) - (_EXCESS_FACTOR * _block_errors(encoded_here, computed) + _EXCESS)
    return bool(excess.max() <= 0)


def _block_errors(image: Pixels, original: Pixels) -> npt.NDArray[np.float64]:
    """Mean squared error of each block of uint8 [H, W, 3]."""
    squares = ((image.astype(np.int64) - original) ** 2).sum(axis=2)
    rows, columns = (np.arange(0, length, _BLOCK) for length in squares.shape)
    sums = np.add.reduceat(np.add.reduceat(squares, rows, axis=0), columns, axis=1)
    heights, widths = (
        np.diff(np.append(starts, length)) for starts, length in zip((rows, columns), squares.shape, strict=True)
    )
    return sums / (3 * np.outer(heights, widths))
