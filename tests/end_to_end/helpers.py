"""Tiny inputs, builds in this process or as a command, and a reader of shards that uses nothing of the project."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline import commands

ROOT = Path(__file__).parents[2]
NAME = "fg_bg_depth"
VERSION = "1.0.0"

ONE_WORKER = ("--direct_running_mode=in_memory", "--direct_num_workers=1")
TWO_THREADS = ("--direct_running_mode=multi_threading", "--direct_num_workers=2")
TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
LOOPBACK = ("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK")


@dataclass(frozen=True)
class Inputs:
    """Two folders of pictures."""

    backgrounds: Path
    foregrounds: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """Name the pictures, and no depth unless a later flag asks for it: most tests are not about depth."""
        return (f"--backgrounds={self.backgrounds}", f"--foregrounds={self.foregrounds}", "--depth_model=none")


def draw_inputs(folder: Path, side: int) -> Inputs:
    """Five backgrounds in two classes and one without, four cut-outs in two classes.

    The centre square of all but one background is `side` pixels, so that it is composited without resizing.
    """
    backgrounds, foregrounds = folder / "backgrounds", folder / "foregrounds"
    draw_background(backgrounds / "river/b0.png", side, side, 0)
    draw_background(backgrounds / "river/b1.png", side + 14, side, 1)
    draw_background(backgrounds / "street/b2.jpg", side, side + 20, 2)
    draw_background(backgrounds / "street/b3.png", side, side, 3)
    draw_background(backgrounds / "wide.bmp", 2 * side, 70, 4)
    draw_foreground(foregrounds / "cat/f0.png", 40, 60, 0)
    draw_foreground(foregrounds / "cat/f1.png", 70, 44, 1)
    draw_foreground(foregrounds / "dog/f2.png", 50, 50, 2)
    draw_foreground(foregrounds / "dog/f3.webp", 30, 64, 3)
    return Inputs(backgrounds, foregrounds)


def draw_background(path: Path, width: int, height: int, number: int) -> None:
    """Slanted waves with a little noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 110 * np.sin((x * (c + 1) + y * (number - 2)) / 17 + number) for c in range(3)]
    noise = np.random.default_rng(number).normal(0, 4, (height, width, 3))
    Image.fromarray((np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8)).save(path, quality=95)


def draw_foreground(path: Path, width: int, height: int, number: int) -> None:
    """A lopsided blob with a soft edge, in the middle of a transparent picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:height, 0:width]
    u, v = (x - width * 0.45) / (0.4 * width), (y - height / 2) / (0.42 * height)
    alpha = (1.2 - u * u - v * v + 0.3 * u * v) * 500
    colour = [40 * number + 2 * y, 200 - 2 * x, 100 + x + y]
    rgba = np.stack([*colour, alpha], axis=-1).clip(0, 255).astype(np.uint8)
    Image.fromarray(rgba, "RGBA").save(path, lossless=True)


def build(data_dir: Path | str, inputs: Inputs, *flags: str) -> int:
    """`build` in this process; its exit status."""
    return commands.run(["build", *inputs.flags, f"--data_dir={data_dir}", *flags])


def start(*arguments: str, environment: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """The command as a process group of its own, with the project importable by it and its workers."""
    defaults: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": _let_interrupt}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {}),
        start_new_session=True,
        text=True,
        stdin=subprocess.DEVNULL,
        **defaults | options,
    )


def _let_interrupt() -> None:
    """A shell lets what it runs in the background ignore SIGINT, and so would everything below it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stop_when(
    process: subprocess.Popen[str], number: signal.Signals, happened: Callable[[], bool], *, group: bool = True
) -> tuple[str, str]:
    """Send a signal once something has happened; what the process had to say until its end."""
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, f"ended before it could be stopped: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    if group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    return process.communicate(timeout=60)


def living_members(process: subprocess.Popen[str]) -> list[str]:
    """Processes of its group that go on after it, if there are any for more than a few seconds."""
    deadline = time.monotonic() + 20
    while True:
        command = ["ps", "-e", "-o", "pgid=,stat=,args="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = [line.split(maxsplit=2) for line in listed.splitlines()]
        living = [" ".join(row) for row in rows if row[0] == str(process.pid) and not row[1].startswith("Z")]
        if not living or time.monotonic() > deadline:
            return living
        time.sleep(0.1)


def dataset_folder(data_dir: Path, name: str = NAME) -> Path:
    return data_dir / name / VERSION


def shard_files(data_dir: Path, name: str = NAME) -> list[Path]:
    """The shards under their final names, in order."""
    return sorted(dataset_folder(data_dir, name).glob(f"{name}-*"))


def content(data_dir: Path) -> dict[str, bytes]:
    """Every file below a data directory by its relative path."""
    files = {}
    for path in sorted(data_dir.rglob("*")):
        # Threads of a build that failed in this process may be about to tidy up.
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            files[str(path.relative_to(data_dir))] = path.read_bytes()
    return files


def our_lines(stderr: str) -> list[str]:
    """The error messages of the program."""
    return [line for line in stderr.splitlines() if line.startswith("fgbg:")]


def read_examples(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Records of TFRecord files with their pictures decoded by Pillow, in order."""
    import tensorflow as tf

    examples = []
    for record in tf.data.TFRecordDataset([str(path) for path in files]).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        example: dict[str, Any] = {}
        for name, feature in features.items():
            kind = feature.WhichOneof("kind")
            values = list(getattr(feature, kind).value)
            if kind == "bytes_list":
                with Image.open(io.BytesIO(values[0])) as image:
                    example[name], example[f"{name} format"] = np.asarray(image), (image.format, image.mode)
            else:
                example[name] = values if kind == "float_list" else values[0]
        examples.append(example)
    return examples
