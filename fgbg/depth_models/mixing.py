"""An exact saving: mixing channels before upsampling instead of after it.

A decoder block computes conv3x3(concat(up(x), skip)). Mixing channels and resizing commute, so that this is

    sum over the 9 taps of shift(up(W_tap . x))  +  conv3x3(skip)

where `W_tap . x` runs on the small grid: a quarter of the multiplications, 67 of the published network's 245 GFLOP at
640x480. Shifting and upsampling one axis is one matrix for the three taps along it, so that the block becomes

    for each row tap:  z = x . [W_tap for the three column taps]      [h w, c] . [c, 3 k]
    rows:              t = R . [z for the three row taps]             [2h, 3h] . [3h, w 3 k]
    columns:           y = C . t                                      [2w, 3w] . [3w, k] for each of the 2h rows

equal to the original but for rounding. The last block is left alone: there the grid is so large and the channels so few
that the matrices would cost most of what they save.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fgbg.depth_models.densedepth import Layer

# The kind of layer that stands for upsampling, concatenation and convolution: inputs are x and the skip.
MIXED = "MixedUpSampling"
_BLOCKS = (1, 2, 3)


def mix_before_upsampling(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """The same network with upsampling, concatenation and convA of the first decoder blocks as one `MIXED` layer."""
    by_name = {layer.name: layer for layer in layers}
    for block in _BLOCKS:
        upsampling = by_name.pop(f"up{block}_upsampling2d")
        concatenation = by_name.pop(f"up{block}_concat")
        inputs = (upsampling.inputs[0], concatenation.inputs[1])
        convolution = by_name[f"up{block}_convA"]
        by_name[convolution.name] = replace(convolution, kind=MIXED, inputs=inputs)
    return tuple(by_name.values())


def split_kernel(
    kernel: npt.NDArray[np.float32], channels: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """convA's kernel [3, 3, channels + skip, k] as the two parts that a `MIXED` layer needs.

    For x: [row tap, channels, column tap * k]; for the skip: [3, 3, skip, k].
    """
    mixing = kernel[:, :, :channels].transpose(0, 2, 1, 3).reshape(3, channels, -1)
    return np.ascontiguousarray(mixing), np.ascontiguousarray(kernel[:, :, channels:])


def row_matrix(n: int) -> npt.NDArray[np.float32]:
    """R above: [2n, 3n], columns ordered by tap, then by row."""
    return np.ascontiguousarray(_shifted_doubling(n).transpose(1, 0, 2).reshape(2 * n, 3 * n))


def column_matrix(n: int) -> npt.NDArray[np.float32]:
    """C above: [2n, 3n], columns ordered by column, then by tap."""
    return np.ascontiguousarray(_shifted_doubling(n).transpose(1, 2, 0).reshape(2 * n, 3 * n))


def _shifted_doubling(n: int) -> npt.NDArray[np.float32]:
    """[tap, 2n, n]: what output i of a 3-tap convolution finds at i - 1, i and i + 1 of the doubled axis, 0 outside."""
    places = np.arange(-1, 2 * n + 1) * (n - 1) / (2 * n - 1)
    doubling = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(n)))
    doubling[[0, -1]] = 0
    return np.stack([doubling[tap : tap + 2 * n] for tap in range(3)]).astype(np.float32)
