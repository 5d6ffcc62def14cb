"""The weights reader: what it accepts and how it names what is wrong."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fgbg.depth_models.densedepth import DenseDepthArchitecture, Layer, describe_layers
from fgbg.depth_models.weights import ATTRIBUTE_INPUT_SIZE, inspect_weights, read_weights
from fgbg.errors import InputError
from tests.fgbg.depth_models.helpers import TINY, random_weights, write_random_weights, write_weights

LAYERS = describe_layers(TINY)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights") / "tiny.h5")


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy.h5"
    target.write_bytes(tiny.read_bytes())
    return target


def message(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        inspect_weights(path, "w.h5")
    text = str(caught.value)
    assert text.startswith("w.h5: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "architecture",
    [
        TINY,
        DenseDepthArchitecture((2, 1, 3, 1), growth_rate=4, stem_filters=8, decoder_filters=32),
        DenseDepthArchitecture((3, 4, 6, 4), growth_rate=16, stem_filters=32, decoder_filters=256),
    ],
)
def test_the_file_tells_which_network_it_is(tmp_path: Path, architecture: DenseDepthArchitecture) -> None:
    layers = describe_layers(architecture)
    weights = random_weights(layers)
    write_weights(tmp_path / "w.h5", layers, weights)
    info = inspect_weights(tmp_path / "w.h5", "w.h5")
    assert info.architecture == architecture
    assert (info.kind, info.input_size) == ("metric", (640, 480))
    found = read_weights(tmp_path / "w.h5", "w.h5", layers)
    for layer in layers:
        for name, _ in layer.weights:
            np.testing.assert_array_equal(found[layer.name][name], weights[layer.name][name])


def test_own_attributes(tmp_path: Path) -> None:
    info = inspect_weights(write_random_weights(tmp_path / "w.h5", kind="relative", input_size=(320, 256)), "w.h5")
    assert (info.kind, info.input_size) == ("relative", (320, 256))
    with h5py.File(tmp_path / "w.h5", "a") as file:
        file.attrs["fgbg_kind"] = "absolute"
    assert "fgbg_kind is 'absolute'" in message(tmp_path / "w.h5")


def rename_attribute_to_parts(group: h5py.Group) -> None:
    """What Keras does with a list of names over 64 kB."""
    names = group.attrs["layer_names"]
    del group.attrs["layer_names"]
    group.attrs["layer_names0"], group.attrs["layer_names1"] = names[:10], names[10:]


def make_names_text(group: h5py.Group) -> None:
    for holder in [group, *(group[name.decode()] for name in group.attrs["layer_names"])]:
        for key in ("layer_names", "weight_names"):
            if key in holder.attrs:
                names = [name.decode() for name in holder.attrs[key]]
                del holder.attrs[key]
                holder.attrs.create(key, names, dtype=h5py.string_dtype(), shape=(len(names),))


def renumber_unnamed_layers(group: h5py.Group) -> None:
    names = [name.decode() for name in group.attrs["layer_names"]]
    for old, new in {
        "input_1": "input_7",
        "leaky_re_lu_1": "leaky_re_lu",
        "zero_padding2d_2": "zero_padding2d",
    }.items():
        names[names.index(old)] = new
        group.move(old, new)
    group.attrs["layer_names"] = [name.encode() for name in names]


@pytest.mark.parametrize("change", [rename_attribute_to_parts, make_names_text, renumber_unnamed_layers])
def test_variants_of_the_layout_load(copy: Path, tiny: Path, change: Callable[[h5py.Group], None]) -> None:
    with h5py.File(copy, "a") as file:
        change(file["model_weights"])
    assert inspect_weights(copy, "w.h5").architecture == TINY
    expected, found = (read_weights(path, "w.h5", LAYERS) for path in (tiny, copy))
    np.testing.assert_equal(found, expected)


def test_a_file_of_weights_only_loads(tiny: Path, tmp_path: Path) -> None:
    with h5py.File(tiny) as source, h5py.File(tmp_path / "w.h5", "w") as target:
        for name, value in source["model_weights"].attrs.items():
            target.attrs[name] = value
        for name in source["model_weights"]:
            source.copy(f"model_weights/{name}", target)
    assert inspect_weights(tmp_path / "w.h5", "w.h5").architecture == TINY


def test_not_found(tmp_path: Path) -> None:
    assert message(tmp_path / "none.h5") == "w.h5: there is no such weights file"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html><head>Google Drive - Virus scan warning", "this is an HTML page"),
        (b"<HTML>", "this is an HTML page"),
        (b"PK\x03\x04", "this is not a weights file in HDF5"),
    ],
)
def test_not_hdf5(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "w.h5"
    path.write_bytes(content)
    assert expected in message(path)


@pytest.mark.parametrize("kept", [100, 5_000, 0.5, 0.999])
def test_truncated(copy: Path, kept: float) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    assert "the file ends early or is damaged" in message(copy)


def test_damaged_inside(copy: Path) -> None:
    content = bytearray(copy.read_bytes())
    for start in range(4_000, len(content), 20_000):
        content[start : start + 2_000] = bytes(2_000)
    copy.write_bytes(content)
    assert "the file ends early or is damaged" in message(copy)


def test_not_keras(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["numbers"] = np.arange(3)
    assert "not Keras weights in the legacy layout" in message(tmp_path / "w.h5")


def replace_layer(layers: tuple[Layer, ...], name: str, **weights: tuple[int, ...]) -> tuple[Layer, ...]:
    return tuple(
        Layer(name, layer.kind, layer.inputs, layer.channels, tuple(weights.items())) if layer.name == name else layer
        for layer in layers
    )


def write_zeros(path: Path, layers: tuple[Layer, ...]) -> Path:
    arrays = {layer.name: {name: np.zeros(shape, np.float32) for name, shape in layer.weights} for layer in layers}
    write_weights(path, layers, arrays)
    return path


def test_another_shape_is_named(tmp_path: Path) -> None:
    layers = replace_layer(LAYERS, "up2_convA", kernel=(3, 3, 40, 8), bias=(8,))
    text = message(write_zeros(tmp_path / "w.h5", layers))
    assert "layer up2_convA: kernel (3, 3, 44, 16) expected, got (3, 3, 40, 8)" in text


def test_missing_and_surplus_weights_are_named(tmp_path: Path) -> None:
    text = message(write_zeros(tmp_path / "a.h5", replace_layer(LAYERS, "conv3", kernel=(3, 3, 4, 1))))
    assert "layer conv3: bias (1,) expected, but it is missing" in text
    layers = replace_layer(LAYERS, "conv1/conv", kernel=(7, 7, 3, 16), bias=(16,))
    assert "layer conv1/conv: unexpected weights bias" in message(write_zeros(tmp_path / "b.h5", layers))


def test_missing_layers_are_named(tmp_path: Path) -> None:
    layers = tuple(layer for layer in LAYERS if layer.name not in ("up3_convB", "bn"))
    assert "layers bn, up3_convB are missing" in message(write_zeros(tmp_path / "w.h5", layers))


def test_extra_layers_are_named_even_without_weights(tmp_path: Path) -> None:
    """An activation after convA, as later versions of the code have, computes another function of the same weights."""
    extra = tuple(Layer(f"leaky_re_lu_{n}", "LeakyReLU", (), 1) for n in (5, 6))
    text = message(write_zeros(tmp_path / "w.h5", (*LAYERS, *extra)))
    assert "layers leaky_re_lu x2 do not belong to it" in text


def test_another_network_is_not_of_the_family(tmp_path: Path) -> None:
    layers = (Layer("dense", "Dense", (), 3, (("kernel", (2, 3)),)),)
    assert "not of the DenseDepth graph: no convolution conv2_block1_2_conv" in message(
        write_zeros(tmp_path / "w.h5", layers)
    )


def test_listed_but_not_stored(copy: Path) -> None:
    with h5py.File(copy, "a") as file:
        del file["model_weights/conv3/conv3/bias:0"]
    assert "layer conv3: conv3/bias:0 is listed but not stored" in message(copy)
    with h5py.File(copy, "a") as file:
        del file["model_weights/conv3"]
    assert "layer conv3 is listed but not stored" in message(copy)


def test_numbers_that_are_not_finite(copy: Path) -> None:
    with h5py.File(copy, "a") as file:
        file["model_weights/bn/bn/beta:0"][3] = np.nan
    inspect_weights(copy, "w.h5")
    with pytest.raises(InputError, match="layer bn: beta holds values that are not finite"):
        read_weights(copy, "w.h5", LAYERS)


@pytest.mark.parametrize("size", [(0, 64), (-64, 64), (64, 10**9), (64,), "large"])
def test_an_input_size_that_cannot_be(copy: Path, size: object) -> None:
    with h5py.File(copy, "a") as file:
        file.attrs[ATTRIBUTE_INPUT_SIZE] = size
    assert message(copy)


def test_names_that_are_no_text(copy: Path) -> None:
    """What one flipped bit in a name made: an error of the decoder."""
    with h5py.File(copy, "a") as file:
        file["model_weights"].attrs["layer_names"] = np.array([b"conv\xff"])
    assert "damaged" in message(copy)
