"""The networks of benchmarks/transfer.py: trained on a dataset of `build`, kept in a folder, and applied to frames."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_datasets as tfds
from transfer_scores import Histogram, Image, Mask, difference
from transfer_variants import Variant

from examples.train_unet import learning_rate, mask_loss, unet
from tfds_builder import reading

_ROOT = Path(__file__).parents[1]
# Raise it when a change of this file makes networks that were trained before incomparable with new ones.
_REVISION = 1
_NAME = "fg_bg_depth"
# What all variants share. One placement of 100 x 100 pictures makes 20,000 examples, more than a training takes.
_FLAGS = ("--depth_model=none", "--placements=1")
# Examples to choose the threshold of the difference on.
_SAMPLE = 300
# The probability above which a pixel is foreground: the same for all networks and scenes.
_FOREGROUND = 0.5
# The network halves its images four times.
_MULTIPLE = 16

_RECORD = "training.json"
_WEIGHTS = "network.weights.h5"


@dataclass(frozen=True)
class Settings:
    """What a training takes besides the variant and the seed: the same for all trainings that are compared."""

    backgrounds: Path
    foregrounds: Path
    steps: int
    batch_size: int
    filters: int
    image_size: int


@dataclass(frozen=True)
class Training:
    """One variant and seed.

    The seed decides placements and order of the dataset, the weights at the start, and the augmentation.

    Attributes:
        name: of the variant.
        inputs: sha256 of all pictures: see `digest_of_pictures`.
    """

    name: str
    variant: Variant
    seed: int
    settings: Settings
    inputs: str

    @property
    def build_flags(self) -> tuple[str, ...]:
        """The flags of `build` that decide the dataset, besides the pictures."""
        size = f"--image_size={self.settings.image_size}"
        return (*_FLAGS, size, f"--seed={self.seed}", *self.variant.flags)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the trained network. Equal identities are the same training."""
        return {
            "revision": _REVISION,
            "variant": self.name,
            "build_flags": list(self.build_flags),
            "jitter_apart": self.variant.jitter_apart,
            "seed": self.seed,
            "steps": self.settings.steps,
            "batch_size": self.settings.batch_size,
            "filters": self.settings.filters,
            "inputs_sha256": self.inputs,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }

    def folder(self, output: Path) -> Path:
        """Where the finished training is kept. It is there only if the training is finished."""
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()
        return output / "trainings" / f"{self.name}-{self.seed}-{digest[:12]}"

    def dataset(self, output: Path) -> Path:
        """The data directory of its dataset, which other variants may share."""
        words = [self.inputs, *self.build_flags]
        return output / "datasets" / hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]


def digest_of_pictures(*folders: Path) -> str:
    """The sha256 of the names and contents of all files below the folders.

    Raises:
        ValueError: a folder is missing or empty.
    """
    digest = hashlib.sha256()
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            raise ValueError(f"{folder} contains no pictures.")
        for path in files:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def build(training: Training, data_dir: Path) -> None:
    """Build the dataset of a training, or resume an interrupted build.

    Raises:
        RuntimeError: `build` failed; it has said why.
    """
    command = [sys.executable, "-m", "pipeline", "build", f"--data_dir={data_dir}", f"--name={_NAME}"]
    command += [f"--backgrounds={training.settings.backgrounds}", f"--foregrounds={training.settings.foregrounds}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [*command, *training.build_flags], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise RuntimeError(f"`build` failed for the variant {training.name}:\n{done.stdout}")


def train(training: Training, data_dir: Path, folder: Path) -> None:
    """Train on a dataset, choose the threshold of the difference on it, and leave both in `folder`.

    The folder appears when all of it is complete.
    """
    settings = training.settings
    keras.utils.set_random_seed(training.seed)
    builder = tfds.builder(_NAME, data_dir=data_dir)
    backgrounds = reading.load_backgrounds(builder)
    stored = reading.join_backgrounds(builder.as_dataset(split="train"), backgrounds).repeat()
    augmented = reading.augment(
        stored.shuffle(500, seed=training.seed), seed=training.seed, jitter_apart=training.variant.jitter_apart
    )
    batches = reading.training_pairs(augmented, builder, depth=False).batch(settings.batch_size).prefetch(2)
    model = unet(None, settings.filters, None)
    # On processors, compiled steps take twice the time.
    compiled = bool(tf.config.list_physical_devices("GPU"))
    model.compile(keras.optimizers.Adam(learning_rate(settings.steps)), mask_loss, jit_compile=compiled)
    loss = model.fit(batches, steps_per_epoch=settings.steps, verbose=0).history["loss"][-1]

    mean, std = reading.colour_statistics(builder)
    record = training.identity | {
        "threshold": _best_threshold(augmented),
        "mean": mean.tolist(),
        "std": std.tolist(),
        "mean_loss": loss,
    }
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model.save_weights(partial / _WEIGHTS)
    (partial / _RECORD).write_text(json.dumps(record, indent=1) + "\n")
    partial.rename(folder)


def _best_threshold(augmented: tf.data.Dataset) -> int:
    """The threshold of the difference that has the best F over training examples."""
    histogram = Histogram()
    for example in augmented.take(_SAMPLE).as_numpy_iterator():
        inside = example["mask"][..., 0] > 0
        histogram.add(difference(example["background"], example["fg_bg"]), inside, ~inside)
    return histogram.best_threshold()


class Network:
    """A finished training, applied to frames of any size."""

    def __init__(self, folder: Path, filters: int) -> None:
        record = json.loads((folder / _RECORD).read_text())
        self.threshold: int = record["threshold"]
        self._mean, self._std = (np.asarray(record[key], np.float32) for key in ("mean", "std"))
        self._model = unet(None, filters, None)
        self._model.load_weights(folder / _WEIGHTS)

    def probability(self, plate: Image, frame: Image) -> npt.NDArray[np.float32]:
        """Of foreground, float32 [H, W], for a frame and its plate, uint8 [H, W, 3] of any size."""
        height, width = frame.shape[:2]
        pair = [((pad(image) / np.float32(255) - self._mean) / self._std)[np.newaxis] for image in (plate, frame)]
        # Not `predict`, which after some sizes compiles for unknown sizes, for which Keras cannot enlarge bilinearly.
        return np.asarray(self._model(pair, training=False))[0, :height, :width, 0]

    def __call__(self, plate: Image) -> Callable[[Image], Mask]:
        """What finds the foreground, bool [H, W], in a frame with this plate."""
        return lambda frame: self.probability(plate, frame) > _FOREGROUND


def pad(image: Image) -> Image:
    """An image [H, W, C] reflected at its right and lower border until both sides are multiples of 16."""
    return np.pad(image, [(0, -image.shape[0] % _MULTIPLE), (0, -image.shape[1] % _MULTIPLE), (0, 0)], "reflect")


def write_atomically(path: Path, text: str) -> None:
    """A file that is there completely or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
