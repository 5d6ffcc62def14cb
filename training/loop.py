"""The training loop: seeded, with a progress bar, and resumable from a checkpoint as if it had never stopped.

A run folder holds `checkpoint.npz` (every variable of the network and of the optimizer, the step and the seconds
spent) and `log.jsonl` (one line of averaged losses every hundred steps). A batch is a function of the step alone, so
that a run that was stopped and resumed sees the same batches as one that was not.
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
# (network, batch as tensors) -> scalars by name; the one called "loss" is minimised.
Objective = Callable[..., dict[str, tf.Tensor]]

CHECKPOINT = "checkpoint.npz"
LOG = "log.jsonl"

# Seconds; the first step, which is compiled, is the longest.
_LONGEST_STEP = 60.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """A learning rate that rises linearly to `peak` and falls along a cosine to zero.

    It ends after `steps`, or after `minutes` of training if those come first (None: never), all resumed runs together.
    With minutes the rate depends on the machine's speed, so a run is only repeatable without them.
    """

    steps: int
    peak: float = 1e-3
    warmup: int = 200
    minutes: float | None = None

    def progress(self, step: int, seconds: float) -> float:
        """0 at the beginning, 1 at the end."""
        spent = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(step / self.steps, spent))

    def rate(self, step: int, seconds: float) -> float:
        """The learning rate of a step.

        >>> [round(Schedule(1000, 1.0, 100).rate(step, 0), 3) for step in (49, 500, 1000)]
        [0.497, 0.5, 0.0]
        """
        falling = 0.5 * (1 + math.cos(math.pi * self.progress(step, seconds)))
        return self.peak * min(1.0, (step + 1) / max(1, self.warmup)) * falling


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a run reports and saves, and when this call stops though the schedule has not ended.

    compiled: whether XLA compiles the step. stop_after: steps, None for the schedule's end.
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
    """Trains `network` in place with Adam, from the run's checkpoint if it has one; returns the step reached."""
    optimizer = keras.optimizers.Adam(schedule.peak)
    optimizer.build(network.trainable_variables)
    run.mkdir(parents=True, exist_ok=True)
    step, seconds = load_checkpoint(run / CHECKPOINT, network, optimizer)
    first = step
    update = tf.function(_step(network, optimizer, objective), jit_compile=pace.compiled)
    stepped = saved = time.monotonic()
    losses: list[dict[str, tf.Tensor]] = []

    def save() -> None:
        save_checkpoint(run / CHECKPOINT, network, optimizer, step, seconds)

    def ended() -> bool:
        return schedule.progress(step, seconds) >= 1 or (
            pace.stop_after is not None and step - first >= pace.stop_after
        )

    with (
        prefetched(batch_of, step) as batches,
        tqdm(initial=step, total=schedule.steps, desc="Training", mininterval=1) as bar,
    ):
        while not ended():
            optimizer.learning_rate = schedule.rate(step, seconds)
            losses.append(update(*(tf.constant(array) for array in next(batches))))
            step += 1
            now = time.monotonic()
            # A machine that slept, or a process that was paused, did not train meanwhile.
            seconds += min(now - stepped, _LONGEST_STEP)
            stepped = now
            bar.update()
            if len(losses) == pace.log_every:
                means = {name: float(np.mean([loss[name] for loss in losses])) for name in losses[0]}
                if not math.isfinite(means["loss"]):
                    raise FloatingPointError(f"the loss is {means['loss']} at step {step}; use a lower learning rate")
                with (run / LOG).open("a") as log:
                    log.write(json.dumps({"step": step, "seconds": round(seconds, 1), **means}) + "\n")
                bar.set_postfix({name: f"{value:.3f}" for name, value in means.items()})
                losses.clear()
            if now - saved > 60 * pace.save_minutes:
                save()
                saved = now
    save()
    return step


def save_checkpoint(
    path: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer, step: int, seconds: float
) -> None:
    """Writes everything that a run needs to go on, under a temporary name until it is complete."""
    variables = [*network.variables, *optimizer.variables]
    arrays: dict[str, Any] = {f"v{index}": np.asarray(variable) for index, variable in enumerate(variables)}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("wb") as stream:
        np.savez(stream, step=step, seconds=seconds, **arrays)
    unfinished.replace(path)


def load_checkpoint(
    path: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer | None = None
) -> tuple[int, float]:
    """Puts a checkpoint into network and optimizer; returns (step, seconds), (0, 0) where there is no file yet.

    Raises ValueError when it belongs to another network.
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
def prefetched(batch_of: Callable[[int], Batch], step: int, ahead: int = 4) -> Iterator[Iterator[Batch]]:
    """The batches from `step` on, made in a thread while the network trains."""
    ready: queue.Queue[Batch | Exception] = queue.Queue(ahead)
    stopped = threading.Event()

    def fill() -> None:
        number = step
        while not stopped.is_set():
            item: Batch | Exception
            try:
                item = batch_of(number)
            except Exception as error:  # raised again where the batch is awaited
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
