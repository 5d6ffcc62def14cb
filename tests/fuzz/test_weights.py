"""Damaged weights files."""

import contextlib
from pathlib import Path

from fgbg.depth_models.densedepth import describe_layers
from fgbg.depth_models.weights import inspect_weights, read_weights
from fgbg.errors import InputError
from tests.fgbg.depth_models.helpers import write_random_weights
from tests.fuzz.mutations import damaged, fuzz


def test_weights(tmp_path: Path) -> None:
    original = write_random_weights(tmp_path / "tiny.h5", kind="metric", input_size=(64, 64)).read_bytes()
    path = tmp_path / "damaged.h5"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(InputError):
            info = inspect_weights(path, "weights")
            read_weights(path, "weights", describe_layers(info.architecture))

    fuzz(damaged([original]), check, examples=60)
