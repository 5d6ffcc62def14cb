"""The same bytes from every local runner and any number of workers."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import LOOPBACK, ONE_WORKER, TWO_PROCESSES, TWO_THREADS, Inputs, build, content


@pytest.fixture(scope="module")
def flags(weights: Path) -> tuple[str, ...]:
    return (
        f"--image_size={IMAGE_SIZE}",
        "--placements=3",
        "--examples_per_shard=10",
        "--test_fraction=0.2",
        f"--depth_model={weights}",
    )


@pytest.fixture(scope="module")
def by_one_worker(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs, flags: tuple[str, ...]) -> dict[str, bytes]:
    data_dir = tmp_path_factory.mktemp("one_worker")
    assert build(data_dir, inputs, *flags, *ONE_WORKER) == 0
    return content(data_dir)


@pytest.mark.slow
@pytest.mark.parametrize(
    "runner",
    [
        pytest.param(TWO_THREADS, id="two threads"),
        pytest.param(TWO_PROCESSES, id="two processes"),
        pytest.param(LOOPBACK, id="portable local job service, loopback"),
    ],
)
def test_same_files_as_from_one_worker(
    runner: tuple[str, ...],
    by_one_worker: dict[str, bytes],
    flags: tuple[str, ...],
    inputs: Inputs,
    tmp_path: Path,
) -> None:
    assert build(tmp_path, inputs, *flags, *runner) == 0
    made = content(tmp_path)
    assert sorted(made) == sorted(by_one_worker)
    assert [name for name in made if made[name] != by_one_worker[name]] == []


def test_another_seed_gives_other_shards_of_the_same_pictures(
    by_one_worker: dict[str, bytes], inputs: Inputs, flags: tuple[str, ...], tmp_path: Path
) -> None:
    assert build(tmp_path, inputs, *flags[:4], "--depth_model=none", "--seed=1") == 0
    made = content(tmp_path)
    same = {name for name in made if "tfrecord" in name and made[name] == by_one_worker.get(name)}
    assert {name.partition("/")[0] for name in same} == {"fg_bg_depth_background", "fg_bg_depth_foreground"}
