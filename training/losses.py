"""The loss of DenseDepth, and what distilling composites adds to it.

DenseDepth (I. Alhashim and P. Wonka, "High Quality Monocular Depth Estimation via Transfer Learning", 2018, section
3.2) adds a point-wise term (mean absolute difference), a term of gradients (mean absolute difference of the image
gradients in x and y) and (1 - SSIM) / 2, between maps of inverse depth. Its weights there are 0.1, 1 and 1.

All maps are float32 [n, h, w]; every function returns a scalar.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

# The window of SSIM: a Gaussian of deviation 1.5 over 11 pixels (Z. Wang et al., "Image Quality Assessment: From Error
# Visibility to Structural Similarity", 2004), and the constants that steady the quotients there.
_WINDOW, _DEVIATION = 11, 1.5
_K1, _K2 = 0.01, 0.03


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each term counts. range: span of the maps' values, which SSIM needs."""

    pointwise: float = 0.25
    gradient: float = 1.0
    structure: float = 1.0
    pair: float = 0.5
    range: float = 9.0


def depth_loss(target: tf.Tensor, output: tf.Tensor, weight: tf.Tensor, weights: LossWeights) -> tf.Tensor:
    """The three terms of DenseDepth; `weight` says how much each pixel counts in the first two."""
    return (
        weights.pointwise * pointwise_loss(target, output, weight)
        + weights.gradient * gradient_loss(target, output, weight)
        + weights.structure * structure_loss(target, output, weights.range)
    )


def pointwise_loss(target: tf.Tensor, output: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference, weighted within each map; all maps count the same."""
    return _weighted_mean(tf.abs(output - target), weight)


def gradient_loss(target: tf.Tensor, output: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of the gradients along x plus that along y: differences of neighbours."""
    difference = output - target
    rows = tf.abs(difference[:, 1:] - difference[:, :-1])
    columns = tf.abs(difference[:, :, 1:] - difference[:, :, :-1])
    return _weighted_mean(rows, weight[:, 1:]) + _weighted_mean(columns, weight[:, :, 1:])


def structure_loss(target: tf.Tensor, output: tf.Tensor, value_range: float) -> tf.Tensor:
    """(1 - SSIM) / 2, where SSIM is averaged over all windows that lie inside the map."""
    return (1 - tf.reduce_mean(structural_similarity(target, output, value_range))) / 2


def structural_similarity(a: tf.Tensor, b: tf.Tensor, value_range: float) -> tf.Tensor:
    """SSIM of every window inside the maps: [n, h - 10, w - 10]."""
    height, width = a.shape[1:3]
    # Two products of matrices: several times faster on a processor than a convolution of one channel, and its gradient.
    rows, columns = (tf.constant(gaussian_windows(side)) for side in (height, width))

    def blurred(x: tf.Tensor) -> tf.Tensor:
        return tf.einsum("ih,nhw,jw->nij", rows, x, columns)

    mean_a, mean_b = blurred(a), blurred(b)
    variances = blurred(a * a + b * b) - mean_a**2 - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = (_K1 * value_range) ** 2, (_K2 * value_range) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def pair_loss(
    target: tf.Tensor, output: tf.Tensor, bare_target: tf.Tensor, bare_output: tf.Tensor, weight: tf.Tensor
) -> tf.Tensor:
    """Mean absolute difference of what the cut-out changes: (composite - bare) of the student and of the teacher."""
    return _weighted_mean(tf.abs((output - bare_output) - (target - bare_target)), weight)


def focus_weight(region: tf.Tensor, focus: float) -> tf.Tensor:
    """Weight of every pixel: `focus` in the cut-out and in the ring around it (region > 0), 1 elsewhere."""
    return tf.where(region > 0, tf.constant(focus, tf.float32), tf.constant(1.0))


def gaussian_windows(side: int) -> npt.NDArray[np.float32]:
    """The window at each position inside `side` pixels: float32 [side - 10, side], rows sum to 1."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    kernel = np.exp(-(offsets**2) / (2 * _DEVIATION**2))
    matrix = np.zeros((side - _WINDOW + 1, side))
    for row in range(len(matrix)):
        matrix[row, row : row + _WINDOW] = kernel / kernel.sum()
    return matrix.astype(np.float32)


def _weighted_mean(values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    totals = tf.reduce_sum(values * weight, axis=(1, 2)) / tf.reduce_sum(weight, axis=(1, 2))
    return tf.reduce_mean(totals)
