"""The loss of DenseDepth, and the additional terms for distilling composites.

The loss of DenseDepth (I. Alhashim and P. Wonka, "High Quality Monocular Depth Estimation via Transfer Learning", 2018,
section 3.2) compares maps of inverse depth. It is the sum of a point-wise term (mean absolute difference), a gradient
term (mean absolute difference of the image gradients in x and y) and (1 - SSIM) / 2, with weights 0.1, 1 and 1.

All maps are float32 [n, h, w]. Unless stated otherwise, functions return a scalar.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

# SSIM uses a Gaussian window of 11 pixels with standard deviation 1.5 and two constants that stabilise the quotients
# (Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004).
_WINDOW, _DEVIATION = 11, 1.5
_K1, _K2 = 0.01, 0.03


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the terms. `range` is the span of the values of the maps, which SSIM needs."""

    pointwise: float = 0.25
    gradient: float = 1.0
    structure: float = 1.0
    pair: float = 0.5
    range: float = 9.0


def depth_loss(target: tf.Tensor, output: tf.Tensor, weight: tf.Tensor, weights: LossWeights) -> tf.Tensor:
    """Return the sum of the three terms of DenseDepth; `weight` [n, h, w] weights the pixels in the first two."""
    return (
        weights.pointwise * pointwise_loss(target, output, weight)
        + weights.gradient * gradient_loss(target, output, weight)
        + weights.structure * structure_loss(target, output, weights.range)
    )


def pointwise_loss(target: tf.Tensor, output: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Return the weighted mean absolute difference of each map, averaged over the maps."""
    return _weighted_mean(tf.abs(output - target), weight)


def gradient_loss(target: tf.Tensor, output: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Return the mean absolute difference of the gradients in x plus that in y; gradients are finite differences."""
    difference = output - target
    rows = tf.abs(difference[:, 1:] - difference[:, :-1])
    columns = tf.abs(difference[:, :, 1:] - difference[:, :, :-1])
    return _weighted_mean(rows, weight[:, 1:]) + _weighted_mean(columns, weight[:, :, 1:])


def structure_loss(target: tf.Tensor, output: tf.Tensor, value_range: float) -> tf.Tensor:
    """Return (1 - SSIM) / 2, with the mean SSIM of all windows inside the map."""
    return (1 - tf.reduce_mean(structural_similarity(target, output, value_range))) / 2


def structural_similarity(a: tf.Tensor, b: tf.Tensor, value_range: float) -> tf.Tensor:
    """Return the SSIM of each window inside the maps: [n, h - 10, w - 10]."""
    height, width = a.shape[1:3]
    # Two matrix products: on a CPU, they and their gradient are several times faster than a one-channel convolution.
    rows, columns = (tf.constant(gaussian_windows(side)) for side in (height, width))

    def blur(x: tf.Tensor) -> tf.Tensor:
        return tf.einsum("ih,nhw,jw->nij", rows, x, columns)

    mean_a, mean_b = blur(a), blur(b)
    variances = blur(a * a + b * b) - mean_a**2 - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (_K1 * value_range) ** 2, (_K2 * value_range) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def pair_loss(
    target: tf.Tensor, output: tf.Tensor, bare_target: tf.Tensor, bare_output: tf.Tensor, weight: tf.Tensor
) -> tf.Tensor:
    """Return the mean absolute difference of (composite - bare) between student and teacher."""
    return _weighted_mean(tf.abs((output - bare_output) - (target - bare_target)), weight)


def focus_weight(region: tf.Tensor, focus: float) -> tf.Tensor:
    """Return pixel weights [n, h, w]: `focus` in the cut-out and the ring around it (region > 0), 1 elsewhere."""
    return tf.where(region > 0, tf.constant(focus, tf.float32), tf.constant(1.0))


def gaussian_windows(side: int) -> npt.NDArray[np.float32]:
    """Return the window at each position along `side` pixels: float32 [side - 10, side], rows sum to 1."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    kernel = np.exp(-(offsets**2) / (2 * _DEVIATION**2))
    matrix = np.zeros((side - _WINDOW + 1, side))
    for row in range(len(matrix)):
        matrix[row, row : row + _WINDOW] = kernel / kernel.sum()
    return matrix.astype(np.float32)


def _weighted_mean(values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    totals = tf.reduce_sum(values * weight, axis=(1, 2)) / tf.reduce_sum(weight, axis=(1, 2))
    return tf.reduce_mean(totals)
