"""The graph against the layer table of the published file."""

import csv
from pathlib import Path

import pytest

from fgbg.depth_models.densedepth import DenseDepthArchitecture, describe_layers
from tests.fgbg.depth_models.helpers import TINY

Row = tuple[str, str, int, tuple[str, ...]]


def published_table() -> list[Row]:
    """Name, type, parameters and connections of each layer, from the printed summary of nyu.h5."""
    with (Path(__file__).parent / "data" / "published_layers.csv").open() as file:
        return [
            (row["name"], row["type"], int(row["params"]), tuple(row["connections"].split()))
            for row in csv.DictReader(file)
        ]


def test_description_of_the_default_equals_the_published_table() -> None:
    layers = describe_layers(DenseDepthArchitecture())
    assert [(layer.name, layer.kind, layer.parameters, layer.inputs) for layer in layers] == published_table()
    assert len(layers) == 617
    assert sum(bool(layer.weights) for layer in layers) == 347


@pytest.mark.slow
def test_keras_network_of_the_default_equals_the_published_table() -> None:
    from fgbg.depth_models.keras_network import build_network

    network = build_network(describe_layers(DenseDepthArchitecture()))

    def sources(layer: object) -> tuple[str, ...]:
        (node,) = layer._inbound_nodes  # type: ignore[attr-defined]
        return tuple(tensor._keras_history.operation.name for tensor in node.input_tensors)

    found = [
        (layer.name, type(layer).__name__, layer.count_params(), sources(layer) if layer.name != "input_1" else ())
        for layer in network.layers
    ]
    expected = [
        (name.replace("/", "_"), kind, params, tuple(source.replace("/", "_") for source in connections))
        for name, kind, params, connections in published_table()
    ]
    assert sorted(found) == sorted(expected)
    assert network.count_params() == 42_816_089
    assert sum(weight.shape.num_elements() for weight in network.trainable_variables) == 42_657_689
    assert sum(weight.shape.num_elements() for weight in network.non_trainable_variables) == 158_400
    assert network.output_shape == (None, None, None, 1)


def test_smaller_networks_have_the_same_kinds_of_layers() -> None:
    kinds = {layer.kind for layer in describe_layers(DenseDepthArchitecture())}
    assert {layer.kind for layer in describe_layers(TINY)} == kinds
