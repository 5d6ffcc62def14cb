"""Training steps, resuming, and the exported weights file."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgbg.depth_models.densedepth import describe_layers
from fgbg.depth_models.images import depth_from_output
from fgbg.depth_models.model import load_depth_model
from tests.training.helpers import SIZE, SMALLEST
from training.distill import Distillation, apply_colours, build_student
from training.export import get_weights, write_weights
from training.loop import CHECKPOINT, Batch, Pace, Schedule, load_checkpoint, prefetch, train
from training.losses import LossWeights

SCHEDULE = Schedule(steps=6, peak=1e-3, warmup=2)
OBJECTIVE = Distillation(LossWeights(), pairs=1, focus=4.0)


def batch_of(step: int) -> Batch:
    random = np.random.default_rng(step)
    images = random.integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    targets = random.uniform(1, 10, (3, SIZE // 2, SIZE // 2)).astype(np.float32)
    regions = random.integers(0, 3, targets.shape, dtype=np.uint8)
    colours = np.repeat(np.eye(3, 4, dtype=np.float32)[np.newaxis], 3, axis=0)
    return images, targets, regions, colours


def new_student() -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_student(SMALLEST, (SIZE, SIZE))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, Path]:
    network, run = new_student(), tmp_path_factory.mktemp("run")
    assert train(network, OBJECTIVE, batch_of, SCHEDULE, run, Pace(log_every=3)) == 6
    return network, run


@pytest.mark.slow
def test_resumed_run_gives_the_same_weights(trained: tuple[keras.Model, Path], tmp_path: Path) -> None:
    assert train(new_student(), OBJECTIVE, batch_of, SCHEDULE, tmp_path, Pace(stop_after=4)) == 4
    resumed = new_student()
    for variable in resumed.variables:
        variable.assign(variable + 1)  # the checkpoint replaces the initial weights
    assert train(resumed, OBJECTIVE, batch_of, SCHEDULE, tmp_path) == 6
    for one, other in zip(trained[0].variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)


def test_training_changes_all_weights_and_logs(trained: tuple[keras.Model, Path]) -> None:
    network, run = trained
    for one, other in zip(network.variables, new_student().variables, strict=True):
        assert not np.array_equal(np.asarray(one), np.asarray(other)), one.path
    assert len((run / "log.jsonl").read_text().splitlines()) == 2


def test_finished_run_does_no_more_steps(trained: tuple[keras.Model, Path]) -> None:
    network, run = new_student(), trained[1]
    assert train(network, OBJECTIVE, batch_of, SCHEDULE, run) == 6
    np.testing.assert_array_equal(network.get_weights()[0], trained[0].get_weights()[0])


def test_checkpoint_of_another_network_is_rejected(trained: tuple[keras.Model, Path]) -> None:
    other = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="another network"):
        load_checkpoint(trained[1] / CHECKPOINT, other)


def test_exported_weights_give_the_same_depth(trained: tuple[keras.Model, Path], tmp_path: Path) -> None:
    """The tolerance covers rounding of the weights to float16."""
    network, path = trained[0], tmp_path / "student.h5"
    layers = describe_layers(SMALLEST)
    write_weights(path, layers, get_weights(network, layers), "relative", (SIZE, SIZE))
    model = load_depth_model(path)
    assert model.kind == "relative"
    assert model.input_size == (SIZE, SIZE)
    images = batch_of(9)[0]
    inputs = images.astype(np.float32) / np.float32(255)
    output = network(inputs, training=False).numpy()[..., 0]
    np.testing.assert_allclose(model.raw(inputs), output, rtol=2e-3, atol=1e-2)
    expected = depth_from_output(output)
    assert np.abs(model.predict(images)[:, ::2, ::2].mean() - expected.mean()) < 0.05


def test_export_is_deterministic(trained: tuple[keras.Model, Path], tmp_path: Path) -> None:
    layers = describe_layers(SMALLEST)
    for name in ("a.h5", "b.h5"):
        write_weights(tmp_path / name, layers, get_weights(trained[0], layers), "relative", (SIZE, SIZE))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_export_rejects_values_beyond_float16(trained: tuple[keras.Model, Path], tmp_path: Path) -> None:
    layers = describe_layers(SMALLEST)
    weights = get_weights(trained[0], layers)
    weights["conv2"]["bias"] = weights["conv2"]["bias"] + 1e5
    with pytest.raises(ValueError, match="conv2: bias"):
        write_weights(tmp_path / "w.h5", layers, weights, "relative", (SIZE, SIZE))


def test_schedule_by_steps_and_by_minutes() -> None:
    rates = [SCHEDULE.rate(step, 1e9) for step in range(7)]
    assert rates[0] < rates[1] > rates[3] > rates[6] == 0
    timed = Schedule(steps=10**9, minutes=10, warmup=1)
    assert timed.rate(5, 0) == pytest.approx(1e-3)
    assert timed.rate(5, 300) == pytest.approx(5e-4)
    assert timed.progress(5, 601) == 1


def test_apply_colours_multiplies_by_the_matrix() -> None:
    images = np.full((1, 2, 2, 3), (10, 20, 250), np.uint8)
    matrix = np.array([[[0, 1, 0, 0], [2, 0, 0, 5], [0, 0, 1, 100]]], np.float32)
    result = apply_colours(tf.constant(images), tf.constant(matrix)).numpy()
    np.testing.assert_allclose(result[0, 0, 0], [20 / 255, 25 / 255, 1], rtol=1e-6)


def test_error_in_the_prefetch_thread_is_raised() -> None:
    def fail(step: int) -> Batch:
        raise OSError(f"no batch {step}")

    with prefetch(fail, 7) as batches, pytest.raises(OSError, match="no batch 7"):
        next(batches)
