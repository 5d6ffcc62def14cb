"""Mixing channels before upsampling computes the same as the published order of things."""

import numpy as np
import pytest

from fgbg.depth_models.densedepth import DenseDepthArchitecture, Layer, describe_layers
from fgbg.depth_models.mixing import MIXED, column_matrix, mix_before_upsampling, row_matrix, split_kernel
from tests.fgbg.depth_models.helpers import forward


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 2), (5, 4), (8, 7)])
def test_the_matrices_equal_upsampling_then_convolution(size: tuple[int, int]) -> None:
    height, width = size
    random = np.random.default_rng(0)
    x = random.standard_normal((2, height, width, 5)).astype(np.float32)
    kernel = random.standard_normal((3, 3, 5 + 2, 4)).astype(np.float32)
    layers = (
        Layer("x", "InputLayer", (), 5),
        Layer("up", "BilinearUpSampling2D", ("x",), 5, size=2),
        Layer("convA", "Conv2D", ("up",), 4, (("kernel", (3, 3, 5, 4)),), size=3),
        # `forward` gives the first channel of the last layer.
        Layer("last", "Conv2D", ("convA",), 1, (("kernel", (1, 1, 4, 1)),)),
    )
    mixing, skip_kernel = split_kernel(kernel, 5)
    np.testing.assert_array_equal(skip_kernel, kernel[:, :, 5:])
    z = np.stack([(x @ tap).reshape(2, height, width * 3 * 4) for tap in mixing], axis=1)
    rows = row_matrix(height) @ z.reshape(2, 3 * height, -1)
    columns = column_matrix(width) @ rows.reshape(2, 2 * height, 3 * width, 4)
    for channel in range(4):
        pick = np.zeros((1, 1, 4, 1), np.float32)
        pick[..., channel, 0] = 1
        expected = forward(layers, {"convA": {"kernel": kernel[:, :, :5]}, "last": {"kernel": pick}}, x)
        np.testing.assert_allclose(columns[..., channel], expected, atol=2e-5)


def test_three_blocks_change_and_nothing_else() -> None:
    published = describe_layers(DenseDepthArchitecture())
    mixed = mix_before_upsampling(published)
    changed = {layer.name: layer for layer in mixed if layer not in published}
    assert {name: (layer.kind, layer.inputs) for name, layer in changed.items()} == {
        "up1_convA": (MIXED, ("conv2", "pool3_pool")),
        "up2_convA": (MIXED, ("leaky_re_lu_1", "pool2_pool")),
        "up3_convA": (MIXED, ("leaky_re_lu_2", "pool1")),
    }
    gone = {layer.name for layer in published} - {layer.name for layer in mixed}
    assert gone == {f"up{block}_{part}" for block in (1, 2, 3) for part in ("upsampling2d", "concat")}
    assert [layer.weights for layer in mixed if layer.weights] == [
        layer.weights for layer in published if layer.weights
    ]
