"""The DenseDepth graph as plain data: every layer, its inputs and the shapes of its weights.

One description serves everything that needs the graph: the Keras network, the OpenVINO network, the check of a weights
file (which therefore needs neither of them) and the count of operations.

The graph (I. Alhashim and P. Wonka, "High Quality Monocular Depth Estimation via Transfer Learning", 2018): a DenseNet
encoder, a 1x1 convolution, four blocks `bilinear x2 -> concatenate the skip -> 3x3 -> 3x3 -> LeakyReLU`, a 3x3
convolution to one channel. The defaults are the published network: DenseNet-169 and 1664 decoder filters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

BATCH_NORM_EPSILON = 1.001e-5
LEAKY_SLOPE = 0.2
# The encoder halves the sides five times, so that both must be multiples of this.
SIDE_MULTIPLE = 32

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DenseDepthArchitecture:
    """What distinguishes one network of the family from another.

    blocks: dense blocks in the encoder's four stages; growth_rate: channels that one dense block adds; stem_filters:
    channels of the first convolution; decoder_filters: channels of the 1x1 convolution between encoder and decoder,
    halved by each of the four decoder blocks.
    """

    blocks: tuple[int, int, int, int] = (6, 12, 32, 32)
    growth_rate: int = 32
    stem_filters: int = 64
    decoder_filters: int = 1664


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: `name` as published (with "/"), `kind` a Keras class name, `inputs` the names of the layers before it.

    weights: (name, shape) in the order in which Keras keeps them; convolution kernels are [height, width, in, out].
    channels: of the output. size: of a pooling window or the width of a zero padding. stride: of a convolution or a
    pooling. same: whether a convolution pads so as to keep the size.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    channels: int
    weights: tuple[tuple[str, Shape], ...] = ()
    size: int = 1
    stride: int = 1
    same: bool = True

    @property
    def keras_name(self) -> str:
        """The layer's name in Keras 3, which refuses a "/"."""
        return self.name.replace("/", "_")

    @property
    def parameters(self) -> int:
        """Number of weights, trainable or not."""
        return sum(prod(shape) for _, shape in self.weights)


def describe_layers(architecture: DenseDepthArchitecture) -> tuple[Layer, ...]:
    """Every layer in order of execution; the first is the input, the last gives y: float32 [n, h/2, w/2, 1].

    >>> sum(layer.parameters for layer in describe_layers(DenseDepthArchitecture()))
    42816089
    """
    graph = _Graph()
    _describe_encoder(graph, architecture)
    _describe_decoder(graph, architecture)
    return tuple(graph)


class _Graph:
    """Collects layers; every method appends one and returns its name, so that calls read like the network."""

    def __init__(self) -> None:
        self._layers: dict[str, Layer] = {}

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers.values())

    def channels(self, name: str) -> int:
        return self._layers[name].channels

    def add(self, layer: Layer) -> str:
        self._layers[layer.name] = layer
        return layer.name

    def unary(self, kind: str, name: str, source: str, size: int = 1, stride: int = 1) -> str:
        return self.add(Layer(name, kind, (source,), self.channels(source), size=size, stride=stride))

    def convolution(
        self,
        name: str,
        source: str,
        channels: int,
        size: int,
        *,
        stride: int = 1,
        same: bool = True,
        bias: bool = False,
    ) -> str:
        weights: tuple[tuple[str, Shape], ...] = (("kernel", (size, size, self.channels(source), channels)),)
        if bias:
            weights += (("bias", (channels,)),)
        return self.add(Layer(name, "Conv2D", (source,), channels, weights, size, stride, same))

    def batch_norm(self, name: str, source: str) -> str:
        channels = self.channels(source)
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        return self.add(
            Layer(name, "BatchNormalization", (source,), channels, tuple((weight, (channels,)) for weight in names))
        )

    def relu(self, name: str, source: str) -> str:
        return self.unary("Activation", name, source)

    def concatenate(self, name: str, sources: tuple[str, ...]) -> str:
        return self.add(Layer(name, "Concatenate", sources, sum(self.channels(source) for source in sources)))


def _describe_encoder(graph: _Graph, architecture: DenseDepthArchitecture) -> None:
    """DenseNet without its classifier (G. Huang et al., 2017), named as keras.applications names it."""
    x = graph.add(Layer("input_1", "InputLayer", (), 3))
    x = graph.unary("ZeroPadding2D", "zero_padding2d_1", x, size=3)
    x = graph.convolution("conv1/conv", x, architecture.stem_filters, 7, stride=2, same=False)
    x = graph.batch_norm("conv1/bn", x)
    x = graph.relu("conv1/relu", x)
    x = graph.unary("ZeroPadding2D", "zero_padding2d_2", x, size=1)
    x = graph.unary("MaxPooling2D", "pool1", x, size=3, stride=2)
    for stage, blocks in enumerate(architecture.blocks, start=2):
        for block in range(1, blocks + 1):
            x = _describe_dense_block(graph, f"conv{stage}_block{block}", x, architecture.growth_rate)
        if stage < 5:
            x = graph.batch_norm(f"pool{stage}_bn", x)
            x = graph.relu(f"pool{stage}_relu", x)
            x = graph.convolution(f"pool{stage}_conv", x, graph.channels(x) // 2, 1)
            x = graph.unary("AveragePooling2D", f"pool{stage}_pool", x, size=2, stride=2)
    x = graph.batch_norm("bn", x)
    graph.relu("relu", x)


def _describe_dense_block(graph: _Graph, name: str, source: str, growth_rate: int) -> str:
    x = graph.batch_norm(f"{name}_0_bn", source)
    x = graph.relu(f"{name}_0_relu", x)
    x = graph.convolution(f"{name}_1_conv", x, 4 * growth_rate, 1)
    x = graph.batch_norm(f"{name}_1_bn", x)
    x = graph.relu(f"{name}_1_relu", x)
    x = graph.convolution(f"{name}_2_conv", x, growth_rate, 3)
    return graph.concatenate(f"{name}_concat", (source, x))


def _describe_decoder(graph: _Graph, architecture: DenseDepthArchitecture) -> None:
    filters = architecture.decoder_filters
    x = graph.convolution("conv2", "relu", filters, 1, bias=True)
    for block, skip in enumerate(("pool3_pool", "pool2_pool", "pool1", "conv1/relu"), start=1):
        channels = filters // 2**block
        x = graph.unary("BilinearUpSampling2D", f"up{block}_upsampling2d", x, size=2)
        x = graph.concatenate(f"up{block}_concat", (x, skip))
        x = graph.convolution(f"up{block}_convA", x, channels, 3, bias=True)
        # The published weights were trained with no activation between the two convolutions.
        x = graph.convolution(f"up{block}_convB", x, channels, 3, bias=True)
        x = graph.unary("LeakyReLU", f"leaky_re_lu_{block}", x)
    graph.convolution("conv3", x, 1, 3, bias=True)
