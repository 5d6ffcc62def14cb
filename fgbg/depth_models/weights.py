"""Reads a weights file of the DenseDepth family: legacy Keras HDF5, by the layer and weight names it records.

Nothing in the file is executed: no model is deserialised, `model_config` is not looked at. Which network of the family
it is follows from the layer names and the kernel shapes, so that a smaller network loads without a flag.

Besides Keras's own attributes two optional ones on the file's root are understood (`ATTRIBUTE_KIND`,
`ATTRIBUTE_INPUT_SIZE`). The published files have neither: they are metric, 640x480.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import h5py
import numpy as np
import numpy.typing as npt

from fgbg.depth_models.densedepth import DenseDepthArchitecture, Layer, describe_layers
from fgbg.errors import InputError, RunError

Kind = Literal["metric", "relative"]
# Arrays by the layer's name (as published, with "/") and the weight's name.
Weights = dict[str, dict[str, npt.NDArray[np.float32]]]

ATTRIBUTE_KIND = "fgbg_kind"  # "metric" or "relative"
ATTRIBUTE_INPUT_SIZE = "fgbg_input_size"  # [width, height] that the network was made for
DEFAULT_INPUT_SIZE = (640, 480)
_LARGEST_SIDE = 16_384

_MAGIC = b"\x89HDF\r\n\x1a\n"
# Keras numbers unnamed layers by what else the process had built: the number carries no meaning.
_UNNAMED = re.compile(r"(input|zero_padding2d|leaky_re_lu)(_\d+)?")
# What a stored weight's last part may carry beside its name: "kernel:0", "kernel_1:0", Keras 3's "kernel".
_WEIGHT_NAME = re.compile(r"(kernel|bias|gamma|beta|moving_mean|moving_variance)(_\d+)?(:0)?")

# Datasets by the layer's name with "_" for "/" (Keras 3 writes it so) and the weight's name.
_Stored = dict[str, dict[str, h5py.Dataset]]


@dataclass(frozen=True, slots=True)
class WeightsInfo:
    """What a weights file says about itself: `sha256` in hexadecimal, `input_size` as (width, height)."""

    sha256: str
    architecture: DenseDepthArchitecture
    kind: Kind
    input_size: tuple[int, int]


def inspect_weights(path: Path, shown: str) -> WeightsInfo:
    """Checks every layer name and weight shape without reading the arrays; messages call the file `shown`.

    Raises InputError: not found, not HDF5 (says so when it is an HTML page), truncated, not Keras, another graph.
    """
    with _open_hdf5(path, shown) as file:
        group = file.get("model_weights", file)
        names = _strings(group, "layer_names", shown)
        stored = {name.replace("/", "_"): _datasets(group, name, shown) for name in names}
        architecture = _infer_architecture(stored, shown)
        _check_graph(names, stored, describe_layers(architecture), shown)
        kind, input_size = _own_attributes(file, shown)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return WeightsInfo(digest, architecture, kind, input_size)


def read_weights(path: Path, shown: str, layers: Iterable[Layer], sha256: str | None = None) -> Weights:
    """The arrays of `layers` from a file that `inspect_weights` accepted and that has this sha256, if one is given.

    Raises InputError when an array holds values that are not finite numbers, RunError when the sha256 is another.
    """
    # The open file is hashed and read, whatever gets its name meanwhile.
    with path.open("rb") as stream:
        if sha256 is not None and hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
            raise RunError(
                f"{shown}: the weights have changed since they were checked; restore them and run the same command"
                " again."
            )
        return _read_arrays(stream, path, shown, layers)


def _read_arrays(stream: BinaryIO, path: Path, shown: str, layers: Iterable[Layer]) -> Weights:
    weights: Weights = {}
    with _open_hdf5(path, shown, stream) as file:
        group = file.get("model_weights", file)
        names = {name.replace("/", "_"): name for name in _strings(group, "layer_names", shown)}
        for layer in layers:
            if not layer.weights:
                continue
            datasets = _datasets(group, names[layer.keras_name], shown)
            arrays = {name: np.asarray(datasets[name], dtype=np.float32) for name, _ in layer.weights}
            for name, array in arrays.items():
                if not np.isfinite(array).all():
                    raise InputError(f"{shown}: layer {layer.name}: {name} holds values that are not finite numbers")
            weights[layer.name] = arrays
    return weights


def check_is_hdf5(path: Path, shown: str) -> None:
    """Raises InputError when the file is missing or does not begin as HDF5 does."""
    if not path.is_file():
        raise InputError(f"{shown}: there is no such weights file")
    with path.open("rb") as stream:
        head = stream.read(1024)
    if head.startswith(_MAGIC):
        return
    if not head:
        what = "the file is empty"
    elif b"<html" in head.lower() or b"<!doctype html" in head.lower():
        what = "this is an HTML page (a download page, most likely), not a weights file in HDF5"
    else:
        what = "this is not a weights file in HDF5"
    raise InputError(f"{shown}: {what}; fetch it again")


@contextmanager
def _open_hdf5(path: Path, shown: str, stream: BinaryIO | None = None) -> Iterator[h5py.File]:
    check_is_hdf5(path, shown)
    try:
        with h5py.File(stream or path, "r") as file:
            yield file
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        # What h5py raises, here or while its objects are read, when the bytes do not hang together; names and numbers
        # may then be of any kind.
        size = path.stat().st_size
        raise InputError(f"{shown}: the file ends early or is damaged ({size:,} bytes here); fetch it again") from error


def _text(value: object) -> str:
    """An HDF5 string: bytes or str, depending on who wrote the file."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _strings(group: h5py.Group, attribute: str, shown: str) -> list[str]:
    """A list of strings among a group's attributes, which Keras splits in numbered parts when it is over 64 kB."""
    if attribute in group.attrs:
        return [_text(value) for value in group.attrs[attribute]]
    parts: list[Any] = []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{attribute}{len(parts)}"])
    if not parts:
        raise InputError(f"{shown}: this HDF5 file is not Keras weights in the legacy layout (it has no {attribute})")
    return [_text(value) for part in parts for value in part]


def _datasets(group: h5py.Group, layer: str, shown: str) -> dict[str, h5py.Dataset]:
    """The weights of one layer by their bare names, such as "kernel"."""
    if layer not in group:
        raise InputError(f"{shown}: layer {layer} is listed but not stored; fetch the file again")
    datasets = {}
    for path in _strings(group[layer], "weight_names", shown):
        dataset = group[layer].get(path)
        if not isinstance(dataset, h5py.Dataset):
            raise InputError(f"{shown}: layer {layer}: {path} is listed but not stored; fetch the file again")
        last = path.rpartition("/")[2]
        match = _WEIGHT_NAME.fullmatch(last)
        datasets[match[1] if match else last] = dataset
    return datasets


def _infer_architecture(stored: _Stored, shown: str) -> DenseDepthArchitecture:
    """The network of the family that the file can only be, if it is one at all."""

    def output_channels(layer: str) -> int:
        kernel = stored.get(layer, {}).get("kernel")
        if kernel is None or len(kernel.shape) != 4:
            raise InputError(f"{shown}: the weights are not of the DenseDepth graph: no convolution {layer}")
        return int(kernel.shape[3])

    def blocks(stage: int) -> int:
        count = 0
        while f"conv{stage}_block{count + 1}_2_conv" in stored:
            count += 1
        return count

    return DenseDepthArchitecture(
        blocks=(blocks(2), blocks(3), blocks(4), blocks(5)),
        growth_rate=output_channels("conv2_block1_2_conv"),
        stem_filters=output_channels("conv1_conv"),
        decoder_filters=output_channels("conv2"),
    )


def _check_graph(names: list[str], stored: _Stored, layers: tuple[Layer, ...], shown: str) -> None:
    """Compares layer names, with and without weights, and every weight's shape with the graph."""
    expected = Counter(_comparable(layer.name) for layer in layers)
    found = Counter(_comparable(name) for name in names)
    # A layer without weights counts too: an activation more makes another function of the same weights.
    for what, difference in (("are missing", expected - found), ("do not belong to it", found - expected)):
        if difference:
            raise InputError(
                f"{shown}: the weights are not of the DenseDepth graph: layers {_listed(difference)} {what}"
            )
    for layer in layers:
        datasets = stored.get(layer.keras_name, {})
        for name, shape in layer.weights:
            if name not in datasets:
                raise InputError(f"{shown}: layer {layer.name}: {name} {shape} expected, but it is missing")
            if datasets[name].shape != shape:
                raise InputError(
                    f"{shown}: layer {layer.name}: {name} {shape} expected, got {datasets[name].shape}; "
                    "the weights are of another graph"
                )
        if surplus := sorted(datasets.keys() - dict(layer.weights).keys()):
            raise InputError(f"{shown}: layer {layer.name}: unexpected weights {', '.join(surplus)}")


def _comparable(name: str) -> str:
    match = _UNNAMED.fullmatch(name)
    return match[1] if match else name.replace("/", "_")


def _listed(names: Mapping[str, int]) -> str:
    """At most four names, then how many more: "a, b x2 and 3 more"."""
    shown = [name if count == 1 else f"{name} x{count}" for name, count in names.items()]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")


def _own_attributes(file: h5py.File, shown: str) -> tuple[Kind, tuple[int, int]]:
    kind: Any = _text(file.attrs.get(ATTRIBUTE_KIND, "metric"))
    if kind not in ("metric", "relative"):
        raise InputError(f"{shown}: attribute {ATTRIBUTE_KIND} is {kind!r}, expected 'metric' or 'relative'")
    width, height = (int(side) for side in file.attrs.get(ATTRIBUTE_INPUT_SIZE, DEFAULT_INPUT_SIZE))
    if not (1 <= width <= _LARGEST_SIDE and 1 <= height <= _LARGEST_SIDE):
        raise InputError(
            f"{shown}: attribute {ATTRIBUTE_INPUT_SIZE} is {width}x{height}, sides from 1 to 16,384 expected"
        )
    return kind, (width, height)
