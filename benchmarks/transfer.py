"""How well a network that is trained on the dataset alone finds the foreground in real video.

    python benchmarks/transfer.py --scenes SCENES --backgrounds DIR --foregrounds DIR --output transfer/

For each variant (benchmarks/transfer_variants.py) and seed: `build` makes a dataset, and the U-Net of
examples/train_unet.py is trained on pairs (background, composite) to predict the mask. Then each network is applied to
the pairs (clean plate, frame) of real scenes with hand-made truth. Its only threshold is 0.5. The score is
F = 2TP / (2TP + FP + FN) over all frames of a scene; each scene weighs the same. docs/transfer.md describes the scenes
and the table.

Finished trainings are kept in the output folder: the same command resumes, and trains only what is missing. It leaves
table.md, results.json and sheet.png there. The sheet shows the frames of SCENES, which may not be yours to publish.
"""

import argparse
import functools
import hashlib
import itertools
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

# `python benchmarks/transfer.py` has only benchmarks/ on its path.
sys.path.insert(0, str(Path(__file__).parents[1]))

from transfer_baselines import OPENCV, Method, best_threshold, difference_above, score
from transfer_report import Result, Run, draw_sheet, tables
from transfer_scenes import Scene, load_scenes
from transfer_scores import Counts, Image
from transfer_training import (
    Network,
    Settings,
    Training,
    build,
    digest_of_pictures,
    train,
    write_atomically,
)
from transfer_variants import VARIANTS

_SCORES = "scores.json"


def train_missing(trainings: Sequence[Training], output: Path) -> None:
    """Train what is not in the output folder yet. Trainings that follow each other share a dataset if they can."""
    missing = [training for training in trainings if not training.folder(output).exists()]
    if len(missing) < len(trainings):
        print(f"Resuming: {len(trainings) - len(missing)} of {len(trainings)} trainings are finished.", flush=True)
    for data_dir, group in itertools.groupby(missing, key=lambda training: training.dataset(output)):
        for training in group:
            print(f"Training {training.name}, seed {training.seed} ...", flush=True)
            build(training, data_dir)
            train(training, data_dir, training.folder(output))
        # `build` resumes what an interruption leaves, but not what is half deleted.
        shutil.rmtree(data_dir.rename(data_dir.with_suffix(".deleted")))
    shutil.rmtree(output / "datasets", ignore_errors=True)


def run_of(scenes: Sequence[Scene], choose: Callable[[Scene, Image], Method]) -> Run:
    """The scores of a method, which is chosen for each scene and plate."""

    def count(plate: Callable[[Scene], Image | None]) -> dict[str, Counts]:
        pairs = ((scene, image) for scene in scenes if (image := plate(scene)) is not None)
        return {scene.name: score(scene, image, choose(scene, image)) for scene, image in pairs}

    return Run(count(lambda scene: scene.plate), count(lambda scene: scene.ghosted))


def run_of_network(network: Network, folder: Path, scenes: Sequence[Scene], digest: str) -> Run:
    """The scores of a network. They are kept in its folder for the scenes of this digest."""
    path = folder / _SCORES
    if path.exists() and (kept := json.loads(path.read_text()))["scenes_sha256"] == digest:
        return Run(
            *({name: Counts(**counts) for name, counts in kept[plate].items()} for plate in ("clean", "ghosted"))
        )
    run = run_of(scenes, functools.partial(_always, network))
    write_atomically(path, json.dumps({"scenes_sha256": digest, **asdict(run)}, indent=1) + "\n")
    return run


def evaluate(networks: dict[str, list[tuple[Path, Network]]], scenes: Sequence[Scene], digest: str) -> list[Result]:
    """The results of the networks, by variant, and of all baselines."""
    results = []
    for name, ours in networks.items():
        print(f"Testing {name} ...", flush=True)
        runs = [run_of_network(network, folder, scenes, digest) for folder, network in ours]
        results.append(Result(f"U-Net, `{name}`", runs))
    print("Testing the baselines ...", flush=True)
    # Equal thresholds of several seeds are tested once.
    run_of_threshold = functools.cache(lambda t: run_of(scenes, functools.partial(_always, difference_above(t))))
    for name, ours in networks.items():
        thresholds = [network.threshold for _, network in ours]
        title = f"difference > {'/'.join(map(str, sorted(set(thresholds))))}, chosen on `{name}`"
        results.append(Result(title, [run_of_threshold(threshold) for threshold in thresholds]))
    best = run_of(scenes, lambda scene, plate: difference_above(best_threshold(scene, plate)))
    results.append(Result("difference, best threshold of each scene", [best]))
    for name, method in OPENCV.items():
        results.append(Result(name, [run_of(scenes, functools.partial(_always, method))]))
    return results


def _always(method: Method, scene: Scene, plate: Image) -> Method:
    return method


def run(arguments: argparse.Namespace) -> None:
    """Train, test, and write what came of it.

    Raises:
        ValueError: scenes or pictures will not do.
        RuntimeError: a build failed.
    """
    # Before the first training, because it takes hours until the scenes are needed.
    scenes = load_scenes(arguments.scenes, arguments.frames)
    digest = hashlib.sha256("".join(scene.digest() for scene in scenes).encode()).hexdigest()
    settings = Settings(
        arguments.backgrounds,
        arguments.foregrounds,
        arguments.steps,
        arguments.batch_size,
        arguments.filters,
        arguments.image_size,
    )
    inputs = digest_of_pictures(settings.backgrounds, settings.foregrounds)
    # Seeds are the outer loop, so that an interrupted run has compared all variants with the same seeds.
    trainings = [
        Training(name, VARIANTS[name], seed, settings, inputs)
        for seed in range(arguments.seeds)
        for name in arguments.variants
    ]
    train_missing(trainings, arguments.output)

    networks: dict[str, list[tuple[Path, Network]]] = {name: [] for name in arguments.variants}
    for training in trainings:
        folder = training.folder(arguments.output)
        networks[training.name].append((folder, Network(folder, settings.filters)))
    results = evaluate(networks, scenes, digest)
    text = tables(results, [scene.name for scene in scenes])
    write_atomically(arguments.output / "table.md", text)
    about = {"scenes_sha256": digest, "trainings": [training.identity for training in trainings]}
    figures = {result.name: [asdict(run) for run in result.runs] for result in results}
    write_atomically(arguments.output / "results.json", json.dumps(about | {"results": figures}, indent=1) + "\n")
    first = {f"{name}, seed 0": ours[0][1] for name, ours in networks.items()}
    draw_sheet(scenes, first, arguments.output / "sheet.png")
    print(f"\n{text}\n{arguments.output} contains table.md, results.json and sheet.png.")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, required=True, help="folder of real scenes; see docs/transfer.md")
    parser.add_argument("--backgrounds", type=Path, required=True, help="folder of photographs, for `build`")
    parser.add_argument("--foregrounds", type=Path, required=True, help="folder of cut-outs, for `build`")
    parser.add_argument("--output", type=Path, default=Path("transfer"), help="folder for trainings and results")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", type=_at_least_one, default=3, help="trainings of each variant")
    parser.add_argument("--steps", type=_at_least_one, default=720, help="of a training")
    parser.add_argument("--batch_size", type=_at_least_one, default=16, help="pairs of a step")
    parser.add_argument("--filters", type=_at_least_one, default=16, help="width of the network")
    parser.add_argument("--image_size", type=_at_least_one, default=128, help="of the dataset; a multiple of 16")
    parser.add_argument("--frames", type=_at_least_one, default=50, help="most frames of a scene, evenly spread")
    arguments = parser.parse_args()
    if arguments.image_size % 16:
        parser.error(f"--image_size {arguments.image_size} is not a multiple of 16.")
    if len(set(arguments.variants)) < len(arguments.variants):
        parser.error("--variants names a variant twice.")
    try:
        run(arguments)
    except ValueError as error:
        print(f"transfer: {error}", file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:
        sys.exit(f"transfer: {error}")


def _at_least_one(text: str) -> int:
    """An integer >= 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be an integer >= 1")
    return value


if __name__ == "__main__":
    main()
