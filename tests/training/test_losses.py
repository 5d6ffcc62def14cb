"""The losses, compared with NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from training.losses import (
    LossWeights,
    depth_loss,
    focus_weight,
    gaussian_windows,
    gradient_loss,
    pair_loss,
    pointwise_loss,
    structural_similarity,
    structure_loss,
)

RANDOM = np.random.default_rng(0)
TARGET, OUTPUT, OTHER, ANOTHER = RANDOM.uniform(1, 10, (4, 2, 20, 24)).astype(np.float32)
WEIGHT = RANDOM.uniform(1, 4, TARGET.shape).astype(np.float32)


def weighted_mean(values: np.ndarray, weight: np.ndarray) -> float:
    return float(np.mean([np.average(one, weights=one_weight) for one, one_weight in zip(values, weight, strict=True)]))


def reference_similarity(a: np.ndarray, b: np.ndarray, value_range: float) -> np.ndarray:
    """Return the SSIM of each window as in the paper, with biased moments."""
    offsets = np.arange(-5, 6)
    kernel = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    kernel /= kernel.sum()
    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    result = np.empty((a.shape[0] - 10, a.shape[1] - 10))
    for row, column in np.ndindex(result.shape):
        x, y = (image[row : row + 11, column : column + 11].astype(np.float64) for image in (a, b))
        mean_x, mean_y = (kernel * x).sum(), (kernel * y).sum()
        var_x, var_y = (kernel * (x - mean_x) ** 2).sum(), (kernel * (y - mean_y) ** 2).sum()
        covariance = (kernel * (x - mean_x) * (y - mean_y)).sum()
        result[row, column] = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
            (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
        )
    return result


def test_pointwise() -> None:
    expected = weighted_mean(np.abs(OUTPUT - TARGET), WEIGHT)
    assert float(pointwise_loss(TARGET, OUTPUT, WEIGHT)) == pytest.approx(expected, rel=1e-5)


def test_gradient() -> None:
    rows = np.abs(np.diff(OUTPUT, axis=1) - np.diff(TARGET, axis=1))
    columns = np.abs(np.diff(OUTPUT, axis=2) - np.diff(TARGET, axis=2))
    expected = weighted_mean(rows, WEIGHT[:, 1:]) + weighted_mean(columns, WEIGHT[:, :, 1:])
    assert float(gradient_loss(TARGET, OUTPUT, WEIGHT)) == pytest.approx(expected, rel=1e-5)


def test_gradient_ignores_an_offset() -> None:
    assert float(gradient_loss(TARGET, TARGET + 3, WEIGHT)) == pytest.approx(0, abs=1e-5)


def test_similarity_equals_the_reference_in_each_window() -> None:
    result = structural_similarity(tf.constant(TARGET), tf.constant(OUTPUT), 9.0).numpy()
    expected = [reference_similarity(a, b, 9.0) for a, b in zip(TARGET, OUTPUT, strict=True)]
    np.testing.assert_allclose(result, expected, atol=2e-5)


def test_structure() -> None:
    assert float(structure_loss(tf.constant(TARGET), tf.constant(TARGET), 9.0)) == pytest.approx(0, abs=1e-5)
    assert float(structure_loss(tf.constant(TARGET), tf.constant(11 - TARGET), 9.0)) > 0.5


def test_windows_are_averages() -> None:
    np.testing.assert_allclose(gaussian_windows(20).sum(axis=1), 1, rtol=1e-6)


def test_pair() -> None:
    expected = weighted_mean(np.abs((OUTPUT - ANOTHER) - (TARGET - OTHER)), WEIGHT)
    assert float(pair_loss(TARGET, OUTPUT, OTHER, ANOTHER, WEIGHT)) == pytest.approx(expected, rel=1e-5)


def test_focus() -> None:
    assert focus_weight(tf.constant([[0, 1, 2]], tf.uint8), 4.0).numpy().tolist() == [[1, 4, 4]]


def test_depth_loss_is_the_weighted_sum_of_its_terms() -> None:
    weights = LossWeights(pointwise=2, gradient=3, structure=5, range=9)
    target, output = tf.constant(TARGET), tf.constant(OUTPUT)
    expected = (
        2 * pointwise_loss(target, output, WEIGHT)
        + 3 * gradient_loss(target, output, WEIGHT)
        + 5 * structure_loss(target, output, 9.0)
    )
    assert float(depth_loss(target, output, WEIGHT, weights)) == pytest.approx(float(expected), rel=1e-5)
