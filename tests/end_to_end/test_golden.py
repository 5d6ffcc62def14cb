"""The bytes of datasets made from the bundled samples, against digests that were recorded.

A failure means that the same inputs and flags no longer give the same bytes: undo that, or raise `FORMAT` and record:

    python -m tests.end_to_end.test_golden
"""

import hashlib
import json
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

from fgbg.settings import FORMAT
from pipeline import commands
from tests.end_to_end.helpers import ONE_WORKER

GOLDEN = Path(__file__).parents[1] / "golden/digests.json"

# What decodes, draws, shuffles and encodes.
PACKAGES = ("numpy", "opencv-python-headless", "pillow", "tensorflow")

# Cut-outs are as large as they are in the first and are reduced in the second. Depth is left out: its last bits depend
# on the processor.
DATASETS = {
    "default": ("--placements=1", "--test_fraction=0.2"),
    "small": ("--placements=1", "--image_size=64", "--jpeg_quality=png", "--file_format=array_record", "--seed=7"),
}


def versions() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES} | {"machine": platform.machine()}


def digests(name: str) -> dict[str, str]:
    """sha256 of every shard of a dataset."""
    with tempfile.TemporaryDirectory() as folder:
        status = commands.run(["build", "--depth_model=none", f"--data_dir={folder}", *DATASETS[name], *ONE_WORKER])
        assert status == 0
        shards = sorted(Path(folder).rglob("fg_bg_depth*-of-*"))
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}


@pytest.mark.parametrize("name", DATASETS)
def test_the_same_bytes_as_recorded(name: str) -> None:
    recorded = json.loads(GOLDEN.read_text())
    assert str(FORMAT) in recorded, "no digests of this format: run python -m tests.end_to_end.test_golden"
    golden = recorded[str(FORMAT)]
    if golden["versions"] != versions():
        pytest.skip(f"recorded with {golden['versions']}, and here are {versions()}")
    assert digests(name) == golden["datasets"][name]


if __name__ == "__main__":
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    known[str(FORMAT)] = {"versions": versions(), "datasets": {name: digests(name) for name in DATASETS}}
    GOLDEN.write_text(json.dumps(known, indent=2) + "\n")
