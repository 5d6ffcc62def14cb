"""Helpers for tests of the TFDS builders: small configs, pictures, and new processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from tests.end_to_end.helpers import ROOT, Inputs, draw_inputs
from tfds_builder import FgBgDepthConfig

IMAGE_SIZE = 48
BACKGROUNDS, FOREGROUNDS, PLACEMENTS = 5, 4, 3
EXAMPLES = BACKGROUNDS * FOREGROUNDS * 2 * PLACEMENTS

OPTIONS: dict[str, Any] = {
    "image_size": IMAGE_SIZE,
    "placements": PLACEMENTS,
    "examples_per_shard": 10,
    "depth_model": "none",
}
FLAGS = tuple(f"--{name}={value}" for name, value in OPTIONS.items())


def small_config(name: str = "small", **options: Any) -> FgBgDepthConfig:
    """Return a config with a few small examples without depth."""
    return FgBgDepthConfig(name=name, **OPTIONS | options)


def draw_manual_dir(folder: Path) -> Inputs:
    """Write a `manual_dir` with five backgrounds and four foregrounds."""
    return draw_inputs(folder, IMAGE_SIZE)


def prepare(
    data_dir: Path, config: FgBgDepthConfig | str | None, manual_dir: Path | None = None, **download_config: Any
) -> tfds.core.DatasetBuilder:
    """Prepare `fg_bg_depth` and return its builder."""
    builder = tfds.builder("fg_bg_depth", data_dir=data_dir, config=config)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, **download_config))
    return builder


def shards(folder: Path) -> dict[str, bytes]:
    """Return the content of the shards in the folder of a dataset, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*-of-*"))}


def files_below(folder: Path) -> list[Path]:
    """Return all files below a folder. Converts TFDS paths, which do not support `**`."""
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def modification_times(folder: Path) -> dict[str, int]:
    """Return the modification time of each file below a folder, nanoseconds."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files_below(folder)}


def ids(dataset: Any) -> list[int]:
    """Return the example ids of a dataset in the order of reading."""
    return [int(example["example_id"]) for example in tfds.as_numpy(dataset)]


def run_python(code: str, *arguments: object, cwd: Path) -> Any:
    """Run code in a new process and return the last line that it prints, parsed as JSON."""
    return json.loads(_output([sys.executable, "-c", code, *map(str, arguments)], cwd).splitlines()[-1])


def tfds_build(*arguments: object, cwd: Path) -> str:
    """Run `tfds build` and return its output."""
    return _output([sys.executable, "-m", "tensorflow_datasets.scripts.cli.main", "build", *map(str, arguments)], cwd)


def _output(command: list[str], cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
