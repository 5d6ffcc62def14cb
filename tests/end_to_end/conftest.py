"""Inputs that the end-to-end tests share."""

import os
from pathlib import Path

import pytest

from tests.depth_models.helpers import write_random_weights
from tests.end_to_end.helpers import ROOT, Inputs, draw_inputs

IMAGE_SIZE = 48


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Five backgrounds and four foregrounds, not to be changed."""
    return draw_inputs(tmp_path_factory.mktemp("inputs"), IMAGE_SIZE)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small depth network with random weights."""
    return write_random_weights(tmp_path_factory.mktemp("weights") / "tiny.h5", kind="metric", input_size=(64, 64))


@pytest.fixture(autouse=True, scope="session")
def _importable_by_workers():
    """Worker processes start with nothing but the environment."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
