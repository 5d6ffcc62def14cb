"""Inputs that the end-to-end tests share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import object_store
from tests.end_to_end.helpers import ROOT, Inputs, build, content, draw_inputs
from tests.fgbg.depth_models.helpers import write_random_weights

IMAGE_SIZE = 48


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Five backgrounds and four foregrounds, not to be changed."""
    return draw_inputs(tmp_path_factory.mktemp("inputs"), IMAGE_SIZE)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small depth network with random weights."""
    return write_random_weights(tmp_path_factory.mktemp("weights") / "tiny.h5", kind="metric", input_size=(64, 64))


@pytest.fixture(scope="session")
def small_flags(weights: Path) -> tuple[str, ...]:
    """80 examples with depth in 10 shards, in two splits."""
    return (
        f"--image_size={IMAGE_SIZE}",
        "--placements=2",
        "--examples_per_shard=8",
        "--test_fraction=0.2",
        f"--depth_model={weights}",
    )


@pytest.fixture(scope="session")
def small_build(
    tmp_path_factory: pytest.TempPathFactory, inputs: Inputs, small_flags: tuple[str, ...]
) -> dict[str, bytes]:
    """Every file that an untroubled build on the local disk makes of `small_flags`."""
    data_dir = tmp_path_factory.mktemp("small")
    assert build(data_dir, inputs, *small_flags) == 0
    return content(data_dir)


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of an empty object store."""
    monkeypatch.setenv(object_store.FOLDER_VARIABLE, str(tmp_path_factory.mktemp("store")))
    return "store://bucket"


@pytest.fixture
def content_of() -> Callable[[str], dict[str, bytes]]:
    """Reads every file below a data directory, wherever it is, by its relative path."""
    return lambda folder: object_store.here().content(folder) if "://" in folder else content(Path(folder))


@pytest.fixture(autouse=True, scope="session")
def _importable_by_workers() -> Iterator[None]:
    """Worker processes start with nothing but the environment."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
