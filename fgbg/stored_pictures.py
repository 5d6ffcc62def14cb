"""Stored pictures back to pixels: the one place where bytes of a dataset are decoded.

Bytes of a dataset can come from anybody. A PNG of some hundred bytes may say that it has 60,000 x 60,000 pixels, so its
header is compared with what is expected before memory is reserved.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fgbg.errors import InputError
from fgbg.picture_headers import SIGNATURES, read_header

# Longest side of a picture of which no size is known.
_LONGEST_SIDE = 65_536


class DecodeError(InputError):
    """A stored picture is damaged or another than it should be. The message is the reason alone."""


@dataclass(frozen=True, slots=True)
class PictureForm:
    """What a stored picture must be.

    Attributes:
        kind: "JPEG" or "PNG".
        dtype: uint8 or uint16.
        shape: [H, W] or [H, W, channels]; 0 stands for any height or width.
        longest_side: the largest of these, pixels.
    """

    kind: str
    dtype: npt.DTypeLike
    shape: tuple[int, ...]
    longest_side: int = _LONGEST_SIDE

    def check(self, data: bytes) -> None:
        """Compare what a stored picture says of itself with this, without decoding it.

        Raises:
            DecodeError: it is no such picture, or of another size or type.
        """
        if not data.startswith(SIGNATURES[self.kind]):
            raise DecodeError(f"is no {self.kind}")
        header = read_header(data)
        if header is None:
            raise DecodeError(f"is a damaged {self.kind}")
        height, width, channels = *self.shape[:2], self.shape[2] if len(self.shape) == 3 else 1
        sides = ((header.height, height), (header.width, width))
        fits = all(is_ == wanted if wanted else 1 <= is_ <= self.longest_side for is_, wanted in sides)
        dtype = np.dtype(np.uint16 if header.bits == 16 else np.uint8)
        if not fits or (header.channels, dtype) != (channels, np.dtype(self.dtype)):
            there = [header.height, header.width, *([header.channels] if header.channels > 1 else [])]
            raise DecodeError(f"is {dtype} {there} instead of {self}")

    def decode(self, data: bytes) -> npt.NDArray:
        """The pixels of a stored picture, RGB(A) if in colour.

        Raises:
            DecodeError: it is no such picture, is damaged, or of another size or type.
        """
        self.check(data)
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            image = None
        if image is None:
            raise DecodeError(f"is a damaged {self.kind}")
        fits = len(image.shape) == len(self.shape) and all(
            wanted in (0, is_) for is_, wanted in zip(image.shape, self.shape, strict=True)
        )
        if not fits or image.dtype != self.dtype:
            raise DecodeError(f"is {image.dtype} {list(image.shape)} instead of {self}")
        if image.ndim == 3:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
        return image

    def __str__(self) -> str:
        any_side = "any" if self.longest_side == _LONGEST_SIDE else f"up to {self.longest_side}"
        return f"{np.dtype(self.dtype)} [{', '.join(str(length or any_side) for length in self.shape)}]"
