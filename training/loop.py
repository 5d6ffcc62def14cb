"""The training loop: seeded, resumable, with a progress bar.

A run folder contains `checkpoint.npz` (all variables of the network and of the optimizer, the step and the training
time) and `log.jsonl` (one line of mean losses per hundred steps). A batch depends only on the step, so a resumed run
sees the same batches as an uninterrupted one.
"""

import json
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tqdm import tqdm

Batch = tuple[npt.NDArray, ...]
# (network, tensors of a batch) -> scalars by name; "loss" is minimised.
Objective = Callable[..., dict[str, tf.Tensor]]

CHECKPOINT = "checkpoint.npz"
LOG = "log.jsonl"

# Maximum training time that one step can add, seconds. The first step, which includes compilation, takes longest.
_MAX_STEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """A learning rate with linear warm-up to `peak` and cosine decay to zero.

    Training ends after `steps`, or earlier after `minutes` of training, including resumed runs. With `minutes`, the
    rate depends on the speed of the machine, so the run is not reproducible.

    Attributes:
        steps: maximum number of steps.
        peak: peak learning rate.
        warmup: number of warm-up steps.
        minutes: maximum training time, or None.
    """

    steps: int
    peak: float = 1e-3
    warmup: int = 200
    minutes: float | None = None

    def progress(self, step: int, seconds: float) -> float:
        """Return the progress from 0 at the start to 1 at the end."""
        elapsed = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(step / self.steps, elapsed))

    def rate(self, step: int, seconds: float) -> float:
        """Return the learning rate of a step.

        >>> [round(Schedule(1000, 1.0, 100).rate(step, 0), 3) for step in (49, 500, 1000)]
        [0.497, 0.5, 0.0]
        """
        decay = 0.5 * (1 + math.cos(math.pi * self.progress(step, seconds)))
        return self.peak * min(1.0, (step + 1) / max(1, self.warmup)) * decay


@dataclass(frozen=True, slots=True)
class Pace:
    """Settings of the loop that do not affect the result.

    Attributes:
        log_every: steps per line of the log.
        save_minutes: minutes between checkpoints.
        compiled: whether XLA compiles the step.
        stop_after: number of steps after which this call stops, or None for the end of the schedule.
    """

    log_every: int = 100
    save_minutes: float = 2.0
    compiled: bool = False
    stop_after: int | None = None


def train(
    network: keras.Model,
    objective: Objective,
    batch_of: Callable[[int], Batch],
    schedule: Schedule,
    run: Path,
    pace: Pace = Pace(),
) -> int:
    """Train `network` in place with Adam and return the last step. Resumes from the checkpoint of the run, if any.

    Raises:
        FloatingPointError: the loss is not finite.
        ValueError: the checkpoint belongs to another network.
    """
    optimizer = keras.optimizers.Adam(schedule.peak)
    optimizer.build(network.trainable_variables)
    run.mkdir(parents=True, exist_ok=True)
    step, seconds = load_checkpoint(run / CHECKPOINT, network, optimizer)
    first = step
    update = tf.function(_step(network, optimizer, objective), jit_compile=pace.compiled)
    last_step = last_save = time.monotonic()
    losses: list[dict[str, tf.Tensor]] = []

    def save() -> None:
        save_checkpoint(run / CHECKPOINT, network, optimizer, step, seconds)

    def finished() -> bool:
        return schedule.progress(step, seconds) >= 1 or (
            pace.stop_after is not None and step - first >= pace.stop_after
        )

    with (
        prefetch(batch_of, step) as batches,
        tqdm(initial=step, total=schedule.steps, desc="Training", mininterval=1) as bar,
    ):
        while not finished():
            optimizer.learning_rate = schedule.rate(step, seconds)
            losses.append(update(*(tf.constant(array) for array in next(batches))))
            step += 1
            now = time.monotonic()
            # Exclude time during which the machine slept or the process was paused.
            seconds += min(now - last_step, _MAX_STEP_SECONDS)
            last_step = now
            bar.update()
            if len(losses) == pace.log_every:
                means = {name: float(np.mean([loss[name] for loss in losses])) for name in losses[0]}
                if not math.isfinite(means["loss"]):
                    raise FloatingPointError(f"the loss is {means['loss']} at step {step}; use a lower --rate")
                with (run / LOG).open("a") as log:
                    log.write(json.dumps({"step": step, "seconds": round(seconds, 1), **means}) + "\n")
                bar.set_postfix({name: f"{value:.3f}" for name, value in means.items()})
                losses.clear()
            if now - last_save > 60 * pace.save_minutes:
                save()
                last_save = now
    save()
    return step


def save_checkpoint(
    path: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer, step: int, seconds: float
) -> None:
    """Write a checkpoint. It has a temporary name until it is complete."""
    variables = [*network.variables, *optimizer.variables]
    arrays: dict[str, Any] = {f"v{index}": np.asarray(variable) for index, variable in enumerate(variables)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as stream:
        np.savez(stream, step=step, seconds=seconds, **arrays)
    temporary.replace(path)


def load_checkpoint(
    path: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer | None = None
) -> tuple[int, float]:
    """Load a checkpoint into network and optimizer and return (step, seconds); (0, 0) if there is no file.

    Raises:
        ValueError: the checkpoint belongs to another network.
    """
    if not path.exists():
        return 0, 0.0
    variables = [*network.variables, *(optimizer.variables if optimizer else [])]
    with np.load(path) as arrays:
        shapes = [arrays[f"v{index}"].shape for index in range(min(len(variables), len(arrays) - 2))]
        if shapes != [tuple(variable.shape) for variable in variables]:
            raise ValueError(f"{path} is the checkpoint of another network")
        for index, variable in enumerate(variables):
            variable.assign(arrays[f"v{index}"])
        return int(arrays["step"]), float(arrays["seconds"])


@contextmanager
def prefetch(batch_of: Callable[[int], Batch], step: int, ahead: int = 4) -> Iterator[Iterator[Batch]]:
    """Yield an iterator over the batches from `step` on, which a thread prepares while the network trains."""
    ready: queue.Queue[Batch | Exception] = queue.Queue(ahead)
    stopped = threading.Event()

    def fill() -> None:
        number = step
        while not stopped.is_set():
            item: Batch | Exception
            try:
                item = batch_of(number)
            except Exception as error:  # raised by the consumer
                item = error
            number += 1
            while not stopped.is_set():
                try:
                    ready.put(item, timeout=0.1)
                    break
                except queue.Full:
                    continue

    def batches() -> Iterator[Batch]:
        while True:
            item = ready.get()
            if isinstance(item, Exception):
                raise item
            yield item

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        yield batches()
    finally:
        stopped.set()
        thread.join()


def _step(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, objective: Objective
) -> Callable[..., dict[str, tf.Tensor]]:
    def step(*batch: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = objective(network, *batch)
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(losses["loss"], variables), variables)
        return losses

    return step
