"""Exports a trained network as a weights file for `--depth_model`: legacy Keras HDF5, in float16.

    python -m training.export RUN WEIGHTS.h5

The layout is that of Keras 2 whole-model files without the model configuration: a group `model_weights` lists its
layers, and each layer lists its arrays. Two attributes on the root contain what cannot be inferred from the weights:
`fgbg_kind` ("relative" for a distilled student, "metric" for a network trained on measured depth) and
`fgbg_input_size`. Rounding the weights to float16 halves the size of the file and changes the output by less than the
difference between two training runs.
"""

import argparse
import json
from pathlib import Path

import h5py
import keras
import numpy as np

from fgbg.depth_models.densedepth import DenseDepthArchitecture, Layer, describe_layers
from fgbg.depth_models.weights import ATTRIBUTE_INPUT_SIZE, ATTRIBUTE_KIND, Kind, Weights
from training.distill import SETTINGS, build_student
from training.loop import CHECKPOINT, load_checkpoint


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run of `distill` or `train_rgbd`")
    parser.add_argument("weights", type=Path, help="output file")
    arguments = parser.parse_args()
    step = export_run(arguments.run, arguments.weights)
    print(f"{arguments.weights}: {arguments.weights.stat().st_size:,} bytes, from step {step}")


def export_run(run: Path, path: Path) -> int:
    """Write the weights of the checkpoint of a run and return its step.

    Raises:
        SystemExit: the run has no checkpoint.
    """
    settings = json.loads((run / SETTINGS).read_text())
    fields = settings["architecture"]
    architecture = DenseDepthArchitecture(**fields | {"blocks": tuple(fields["blocks"])})
    size = settings["size"]
    width, height = (size, size) if isinstance(size, int) else size
    network = build_student(architecture, (height, width))
    if not (run / CHECKPOINT).exists():
        raise SystemExit(f"{run} has no checkpoint yet")
    step, _ = load_checkpoint(run / CHECKPOINT, network)
    layers = describe_layers(architecture)
    write_weights(path, layers, get_weights(network, layers), settings.get("kind", "relative"), (width, height))
    return step


def get_weights(network: keras.Model, layers: tuple[Layer, ...]) -> Weights:
    """Return the arrays of a network by layer and weight name, the inverse of `set_weights`."""
    return {
        layer.name: dict(
            zip(
                (name for name, _ in layer.weights),
                network.get_layer(layer.keras_name).get_weights(),
                strict=True,
            )
        )
        for layer in layers
        if layer.weights
    }


def write_weights(
    path: Path, layers: tuple[Layer, ...], weights: Weights, kind: Kind, input_size: tuple[int, int]
) -> None:
    """Write a weights file in float16; input_size is (width, height). The same weights give the same bytes.

    Raises:
        ValueError: a value is beyond the range of float16.
    """
    with h5py.File(path, "w") as file:
        file.attrs[ATTRIBUTE_KIND], file.attrs[ATTRIBUTE_INPUT_SIZE] = kind, input_size
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([layer.name.encode() for layer in layers])
        for layer in layers:
            names = [f"{layer.name}/{name}:0" for name, _ in layer.weights]
            stored = group.create_group(layer.name)
            stored.attrs["weight_names"] = np.array([name.encode() for name in names], dtype="S")
            for name, (key, _) in zip(names, layer.weights, strict=True):
                with np.errstate(over="ignore"):
                    array = weights[layer.name][key].astype(np.float16)
                if not np.isfinite(array).all():
                    raise ValueError(f"layer {layer.name}: {key} is beyond the range of float16")
                stored.create_dataset(name, data=array)


if __name__ == "__main__":
    main()
