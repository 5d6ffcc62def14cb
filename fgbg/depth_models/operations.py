"""How much arithmetic a depth network is, counted from its layers: for estimates and benchmarks."""

from collections.abc import Sequence
from math import prod

from fgbg.depth_models.densedepth import Layer
from fgbg.depth_models.mixing import MIXED


def count_operations(layers: Sequence[Layer], input_size: tuple[int, int]) -> float:
    """Multiplications and additions of one image of `input_size` (width, height).

    Those of the convolutions and of the matrices of a mixed block; all else is a few thousandths of them.
    """
    channels = {layer.name: layer.channels for layer in layers}
    # Side of a layer's output as a fraction of the input's.
    scale: dict[str, float] = {}
    total = 0.0
    for layer in layers:
        after = scale[layer.inputs[-1]] / layer.stride if layer.inputs else 1.0
        if layer.kind == "BilinearUpSampling2D":
            after *= 2
        scale[layer.name] = after
        width, height = (side * after for side in input_size)
        if layer.kind == MIXED:
            source, skip = (channels[name] for name in layer.inputs)
            mixing = 9 * source * (width / 2) * (height / 2)
            rows = 2 * height * (3 * height / 2) * (3 * width / 2) / 2
            columns = 2 * width * (3 * width / 2) * height / 2
            total += 2 * layer.channels * (mixing + rows + columns + 9 * skip * width * height)
        elif layer.kind == "Conv2D":
            total += 2 * width * height * prod(dict(layer.weights)["kernel"])
    return total
