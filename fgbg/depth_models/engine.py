"""What an engine is: a depth network compiled for one input size and one batch size."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
import numpy.typing as npt

Precision = Literal["float32", "bfloat16"]

# Images go through the network a few at a time, since it is its activations that fill the memory: with this many pixels
# the process stays under 2 GB, and on a processor more of them are no faster.
PIXELS_AT_ONCE = 640 * 480

# TensorFlow's own: how many threads an operation may use. It is read when TensorFlow first computes in a process.
THREADS_VARIABLE = "TF_NUM_INTRAOP_THREADS"


def images_at_once(input_size: tuple[int, int], batch_size: int) -> int:
    """How many images of `input_size` (width, height) a processor takes at once, of at most `batch_size`.

    A batch is divided evenly, for the last part would be filled up otherwise.

    >>> images_at_once((640, 480), 8), images_at_once((224, 224), 8), images_at_once((224, 224), 4)
    (1, 4, 4)
    """
    width, height = input_size
    limit = max(1, PIXELS_AT_ONCE // (width * height))
    return ceil(batch_size / ceil(batch_size / limit))


def is_small(input_size: tuple[int, int]) -> bool:
    """Whether pictures of this (width, height) are so small that a processor each beats all processors for one.

    >>> is_small((224, 224)), is_small((640, 480))
    (True, False)
    """
    width, height = input_size
    return 4 * width * height <= PIXELS_AT_ONCE


@dataclass(frozen=True, slots=True)
class Engine:
    """Functions over exactly `batch_size` images; a caller with fewer pads.

    run: float32 [batch, h, w, 3] in 0..1 -> float32 [batch, h/2, w/2], the network's own output y.
    predict: uint8 [batch, H, W, 3] -> float32 [batch, H, W] metres, with the resizing on the device; None where there
    is no device apart from the processor. runs_at_once: how many threads may call at the same time.
    """

    batch_size: int
    run: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
    predict: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]] | None = None
    runs_at_once: int = 1
