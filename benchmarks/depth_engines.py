"""Compares the speed of the depth engines with that of the original code, end to end on one machine.

    python -m benchmarks.depth_engines                     # every engine and precision at 640x480
    python -m benchmarks.depth_engines --unmixed           # also without mixing before upsampling, for comparison
    python -m benchmarks.depth_engines --weights nyu.h5    # published weights in place of random ones: same speed

The original code is Keras's `model.predict` on the published graph, with resizing by Pillow and scikit-image. Each
contender runs in its own process, so that its peak memory can be measured. The contenders take turns on the same
pictures, so other load on the machine affects them equally: the median over the rounds is the speed on a shared
machine, the best round is the speed on an idle one. GFLOP/s counts the operations that the contender computes, which
are fewer with mixing before upsampling. The peak is the best GFLOP/s of the same engine and precision on a stack of 3x3
convolutions, measured in the same turns. The difference is the median absolute difference to the depth of the original
code. Random weights are a hard test for it, because their output is much less smooth than that of a trained network.

Requires scikit-image (pip install scikit-image), and openvino for its rows.

Results on two cores of an AMD EPYC (AVX512-BF16), 640x480, idle machine: best s/image, and ratio to the 1.285 of the
original code. Mixing before upsampling (see fgbg.depth_models.mixing) saves 18 to 25 % and is used:

| | mixed | | unmixed | |
|---|---|---|---|---|
| keras float32 | 0.962 | 1.34 | 1.285 | 1.00 |
| keras bfloat16 | 0.581 | 2.21 | 0.738 | 1.74 |
| openvino float32 | 0.892 | 1.44 | 1.192 | 1.08 |
| openvino bfloat16 | 0.473 | 2.72 | 0.578 | 2.22 |

Tested and not used: freezing variables to constants (keras: saves 2 % in float32 and 6 % in bfloat16, but needs a
private function of TensorFlow); upsampling the nine mixed maps and adding them with shifts (openvino: same time, more
memory); pinned threads and two streams (openvino: no gain, and worker processes would share a core).
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fgbg.depth_models.densedepth import DenseDepthArchitecture, Layer, describe_layers
from fgbg.depth_models.mixing import mix_before_upsampling
from fgbg.depth_models.operations import count_operations
from tests.fgbg.depth_models.helpers import write_random_weights

Predict = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
PEAK_SIZE, PEAK_CHANNELS, PEAK_LAYERS = (160, 128), 256, 3


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the table. An empty `engine` is the original code."""

    name: str
    engine: str = ""
    precision: str = "float32"
    mixed: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """The work of a contender: weights file, input size (width, height), pictures per call and their size."""

    weights: str
    input_size: tuple[int, int]
    images: int
    image_size: int
    batch_size: int


def main() -> None:
    """Run the contenders in turn and print the table."""
    options = parse_options()
    contenders = [Contender("original code: Keras predict"), *engine_contenders(options.unmixed)]
    width, height = (int(side) for side in options.input_size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or str(write_published_size(Path(folder) / "random.h5"))
        job = Job(weights, (width, height), options.images, options.image_size, options.batch_size)
        results = race(contenders, job, options.rounds)
    layers = describe_layers(DenseDepthArchitecture())
    operations = {
        mixed: count_operations(mix_before_upsampling(layers) if mixed else layers, job.input_size) / 1e9
        for mixed in (True, False)
    }
    print(
        f"{width}x{height}, {job.images} pictures of {job.image_size}x{job.image_size} per call,"
        f" {options.rounds} rounds"
    )
    print(
        f"published graph: {operations[False]:.0f} GFLOP per image, mixed before upsampling: {operations[True]:.0f}\n"
    )
    print("| engine | s/image: median | ratio | best | ratio | GFLOP/s: best | of peak | peak GB | difference, m |")
    print("|---|---|---|---|---|---|---|---|---|")
    original = results[0]
    for contender, result in zip(contenders, results, strict=True):
        median, best = np.median(result.seconds), min(result.seconds)
        speed = operations[contender.mixed and bool(contender.engine)] * job.images / best
        print(
            f"| {contender.name} | {median / job.images:.3f} | {np.median(original.seconds) / median:.2f} "
            f"| {best / job.images:.3f} | {min(original.seconds) / best:.2f} "
            f"| {speed:.0f} | {speed / result.peak:.0%} of {result.peak:.0f} | {result.gigabytes:.2f} "
            f"| {np.median(np.abs(result.depth - original.depth)):.4f} |"
        )


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", help="weights file of the published graph (default: random weights)")
    parser.add_argument("--input_size", default="640x480", help="WxH of the network's input")
    parser.add_argument("--image_size", type=int, default=224, help="side of the pictures")
    parser.add_argument("--images", type=int, default=4, help="pictures per call")
    parser.add_argument("--batch_size", type=int, default=8, help="batch size of all contenders")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--unmixed", action="store_true", help="also measure each engine without mixing before upsampling"
    )
    return parser.parse_args()


def engine_contenders(unmixed: bool) -> list[Contender]:
    """Return a contender for each installed engine and each precision."""
    engines = ["keras", "openvino"] if find_spec("openvino") else ["keras"]
    return [
        Contender(f"{engine} {precision}{'' if mixed else ', unmixed'}", engine, precision, mixed)
        for engine in engines
        for precision in ("float32", "bfloat16")
        for mixed in ((True, False) if unmixed else (True,))
    ]


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds of each call, depth of the pictures, peak resident memory, GFLOP/s on a stack of convolutions."""

    seconds: list[float]
    depth: npt.NDArray[np.float32]
    gigabytes: float
    peak: float


def race(contenders: list[Contender], job: Job, rounds: int) -> list[Result]:
    """Warm up each contender, then let all of them take turns."""
    context = multiprocessing.get_context("spawn")
    connections, processes = [], []
    for contender in contenders:
        parent, child = context.Pipe()
        process = context.Process(target=contend, args=(contender, job, child), daemon=True)
        process.start()
        depth = parent.recv()
        connections.append((parent, depth))
        processes.append(process)
    seconds: list[list[float]] = [[] for _ in contenders]
    for _ in range(rounds):
        for times, (connection, _) in zip(seconds, connections, strict=True):
            connection.send("predict")
            times.append(connection.recv())
    results = []
    for times, (connection, depth) in zip(seconds, connections, strict=True):
        connection.send("finish")
        results.append(Result(times, depth, *connection.recv()))
    for process in processes:
        process.join()
    return results


def contend(contender: Contender, job: Job, connection: Connection) -> None:
    """Run a contender: send its depth once, seconds for each "predict", and memory and peak for "finish"."""
    pictures = smooth_pictures(job.images, job.image_size)
    predict = load_engine(contender, job) if contender.engine else load_original(job)
    predict(pictures)
    depth = predict(pictures)
    gigabytes = peak_memory()
    convolve, operations = plain_convolutions(contender.engine or "keras", contender.precision)
    convolve()
    connection.send(depth)
    fastest = float("inf")
    while connection.recv() == "predict":
        connection.send(measure_seconds(lambda: predict(pictures)))
        fastest = min(fastest, *(measure_seconds(convolve) for _ in range(3)))
    connection.send((gigabytes, operations / fastest))


def measure_seconds(function: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def load_engine(contender: Contender, job: Job) -> Predict:
    """Return the prediction function of an engine."""
    import importlib

    from fgbg.depth_models.model import load_depth_model

    if not contender.mixed:
        module: Any = importlib.import_module(f"fgbg.depth_models.{contender.engine}_engine")
        module.mix_before_upsampling = lambda layers: layers
    options = {"engine": contender.engine, "precision": contender.precision}
    model = load_depth_model(job.weights, **options, input_size=job.input_size, batch_size=job.batch_size)
    return model.predict


def load_original(job: Job) -> Predict:
    """Return the prediction function of the original code, on our implementation of the published graph."""
    from PIL import Image
    from skimage.transform import resize

    from fgbg.depth_models.keras_network import build_network, set_weights
    from fgbg.depth_models.weights import read_weights

    layers = describe_layers(DenseDepthArchitecture())
    network = build_network(layers)
    set_weights(network, layers, read_weights(Path(job.weights), job.weights, layers))

    def predict(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        resized = [
            np.asarray(Image.fromarray(picture).resize(job.input_size, Image.Resampling.BILINEAR)) / 255
            for picture in pictures
        ]
        output = network.predict(np.array(resized, np.float32), batch_size=job.batch_size, verbose=0)
        depth = np.clip(1000 / output[..., 0], 10, 1000) / 1000
        size = pictures.shape[1:3]
        return 10 * np.stack([resize(d, size, order=1, preserve_range=True, mode="reflect") for d in depth])

    return predict


def plain_convolutions(engine: str, precision: str) -> tuple[Callable[[], object], float]:
    """Return a function that computes a stack of 3x3 convolutions, and its number of operations in 10^9."""
    import importlib

    module: Any = importlib.import_module(f"fgbg.depth_models.{engine}_engine")
    module.mix_before_upsampling = lambda layers: layers
    layers = [Layer("input", "InputLayer", (), 3)]
    for number in range(PEAK_LAYERS):
        before = layers[-1]
        kernel = ("kernel", (3, 3, before.channels, PEAK_CHANNELS))
        layers.append(Layer(f"conv{number}", "Conv2D", (before.name,), PEAK_CHANNELS, (kernel,), size=3))
    layers.append(Layer("last", "Conv2D", (layers[-1].name,), 1, (("kernel", (1, 1, PEAK_CHANNELS, 1)),)))
    random = np.random.default_rng(0)
    weights = {
        layer.name: {name: random.normal(0, 0.02, shape).astype(np.float32) for name, shape in layer.weights}
        for layer in layers
    }
    built = module.build_engine(tuple(layers), weights, PEAK_SIZE, 1, precision)
    inputs = random.random((1, PEAK_SIZE[1], PEAK_SIZE[0], 3), np.float32)
    operations = sum(layer.parameters for layer in layers) * 2 * PEAK_SIZE[0] * PEAK_SIZE[1] / 1e9
    return lambda: built.run(inputs), operations


def smooth_pictures(n: int, side: int) -> npt.NDArray[np.uint8]:
    """Return smooth waves, similar to photographs: uint8 [n, side, side, 3]."""
    rows, columns = np.mgrid[:side, :side] / 40
    waves = [
        np.stack([np.sin(rows + k), np.cos(columns * (k % 3 + 1)), np.sin(rows * columns / 3 + k)], -1)
        for k in range(n)
    ]
    return np.round((np.array(waves) + 1) / 2 * 255).astype(np.uint8)


def peak_memory() -> float:
    """Return the peak resident memory of this process, GB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


def write_published_size(path: Path) -> Path:
    """Write random weights for the published graph."""
    published = DenseDepthArchitecture()
    return write_random_weights(path, **{name: getattr(published, name) for name in published.__slots__})


if __name__ == "__main__":
    main()
