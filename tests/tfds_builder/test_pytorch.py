"""Random access from PyTorch without TensorFlow. Runs the code in docs/pytorch.md unchanged."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fgbg.documents import write_metadata
from fgbg.shard_files import DatasetFiles
from tests.dataset_helpers import SmallDataset

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed (extra `pytorch`)")

DOCUMENT = Path(__file__).parents[2] / "docs/pytorch.md"
NAME = "fg_bg_depth"
TRAIN = 24

READ_ALL = """
import json, sys
import tensorflow_datasets as tfds
import torch

def collate(examples):
    assert "tensorflow" not in sys.modules
    return {
        name: [[int(example["example_id"]), int(example[name].astype(int).sum())] for example in examples]
        for name in ("fg_bg", "mask", "depth")
    }

if __name__ == "__main__":
    workers = int(sys.argv[1])
    source = tfds.data_source("fg_bg_depth", split="train", data_dir="data/")
    loader = torch.utils.data.DataLoader(
        source, batch_size=5, shuffle=True, num_workers=workers, collate_fn=collate,
        multiprocessing_context="spawn" if workers else None,
    )
    found = {"fg_bg": [], "mask": [], "depth": []}
    for batch in loader:
        for name, pairs in batch.items():
            found[name] += pairs
    backwards = [int(source[i]["example_id"]) for i in reversed(range(len(source)))]
    print(json.dumps([found, backwards, "tensorflow" in sys.modules]))
"""


@pytest.fixture(scope="module", params=[16, 8], ids=["16-bit depth", "8-bit depth"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SmallDataset:
    """A dataset of ArrayRecord files in data/, under the default name."""
    dataset = SmallDataset(tmp_path_factory.mktemp("dataset"), depth_bits=request.param, file_format="array_record")
    data_dir = str(dataset.folder / "data")
    dataset.files = DatasetFiles(data_dir, NAME, "1.0.0", "array_record")
    dataset.companions = {
        kind: DatasetFiles(data_dir, f"{NAME}_{kind}", "1.0.0", "array_record") for kind in dataset.companions
    }
    write_metadata(dataset.write_all(), dataset.metadata)
    return dataset


def pictures(dataset: SmallDataset) -> dict[str, np.ndarray]:
    """Return the images of `train` before encoding, in storage order."""
    batches = [dataset.batch(shard) for shard in range(dataset.layout.num_shards)]
    return {
        name: np.concatenate([getattr(batch, name) for batch in batches])[:TRAIN] for name in ("fg_bg", "mask", "depth")
    }


def sums(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).sum(axis=1, dtype=np.int64)


def run(code: str, *arguments: str, folder: Path, python_path: Path | None = None) -> str:
    """Run code as a script in a process without this project and return its output."""
    script = folder / "script.py"
    script.write_text(code)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if python_path:
        environment["PYTHONPATH"] = str(python_path)
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_loader_yields_every_example_once_and_index_access_works(dataset: SmallDataset, workers: int) -> None:
    found, backwards, tensorflow = json.loads(run(READ_ALL, str(workers), folder=dataset.folder))
    assert not tensorflow
    stored = [int(i) for shard in range(dataset.layout.num_shards) for i in dataset.layout.example_ids(shard)][:TRAIN]
    assert backwards == stored[::-1]
    pixels = pictures(dataset)
    for name, pairs in found.items():
        assert sorted(pairs) == sorted([i, int(total)] for i, total in zip(stored, sums(pixels[name]), strict=True))


@pytest.mark.slow
def test_documented_code_runs_without_tensorflow(dataset: SmallDataset, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    if dataset.depth_bits == 8:
        assert "/ 1000" in code
        code = code.replace("/ 1000", "/ 255 * 10")
    # Importing this module fails in every process.
    (tmp_path / "tensorflow.py").write_text("raise ImportError('TensorFlow is not installed')")
    printed = run(code, folder=dataset.folder, python_path=tmp_path)
    batches = re.findall(r"\((\d+), 6, 16, 16\) (\S+) foreground, (\S+) m", printed)
    counts = np.array([int(count) for count, _, _ in batches])
    assert sorted(counts) == [8, 8, 8]
    pixels = pictures(dataset)
    assert np.mean([float(mean) for _, mean, _ in batches]) == pytest.approx((pixels["mask"] > 0).mean(), abs=1e-3)
    metres = pixels["depth"] / 1000 if dataset.depth_bits == 16 else pixels["depth"] / 255 * 10
    assert np.mean([float(mean) for _, _, mean in batches]) == pytest.approx(metres.mean(), abs=1e-2)
