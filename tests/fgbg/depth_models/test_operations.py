"""Operations counted by hand, and those of the published network."""

from pathlib import Path

import pytest

from fgbg.depth_models.densedepth import DenseDepthArchitecture, Layer, describe_layers
from fgbg.depth_models.mixing import mix_before_upsampling
from fgbg.depth_models.model import depth_model_operations
from fgbg.depth_models.operations import count_operations

PUBLISHED = describe_layers(DenseDepthArchitecture())


def test_convolutions_are_counted_at_the_size_of_their_output() -> None:
    layers = (
        Layer("in", "InputLayer", (), 3),
        Layer("a", "Conv2D", ("in",), 8, (("kernel", (3, 3, 3, 8)),), size=3, stride=2),
        Layer("up", "BilinearUpSampling2D", ("a",), 8, size=2),
        Layer("b", "Conv2D", ("up",), 1, (("kernel", (1, 1, 8, 1)), ("bias", (1,)))),
    )
    # 16 x 8 outputs of 27 products for each of 8 channels, then 32 x 16 outputs of 8 products.
    assert count_operations(layers, (32, 16)) == 2 * 16 * 8 * 27 * 8 + 2 * 32 * 16 * 8


@pytest.mark.parametrize(("size", "gigaflop"), [((640, 480), 245), ((224, 224), 40)])
def test_published_network(size: tuple[int, int], gigaflop: int) -> None:
    assert round(count_operations(PUBLISHED, size) / 1e9) == gigaflop


def test_mixing_before_upsampling_saves_operations() -> None:
    assert round(count_operations(mix_before_upsampling(PUBLISHED), (640, 480)) / 1e9) == 183


def test_operations_of_a_weights_file_at_its_own_or_another_size() -> None:
    at_own_size = depth_model_operations("mini")
    assert round(at_own_size / 1e9, 2) == 1.44
    assert depth_model_operations("mini", input_size=(448, 224)) == 2 * at_own_size


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such weights file"):
        depth_model_operations(tmp_path / "none.h5")
