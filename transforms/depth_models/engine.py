"""What an engine is: a depth network compiled for one input size and one batch size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Engine:
    """Functions over exactly `batch_size` images; a caller with fewer pads.

    run: float32 [batch, h, w, 3] in 0..1 -> float32 [batch, h/2, w/2], the network's own output y.
    predict: uint8 [batch, H, W, 3] -> float32 [batch, H, W] metres, with the resizing on the device; None where there
    is no device apart from the processor.
    """

    batch_size: int
    run: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
    predict: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]] | None = None
