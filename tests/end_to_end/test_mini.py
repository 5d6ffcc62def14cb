"""The bundled depth model: what a build makes when no model is named, and whether it sees what it should."""

import io
import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fgbg.depth_models.catalogue import BUNDLED_MODELS
from fgbg.depth_models.engine import THREADS_VARIABLE
from fgbg.depth_models.model import DepthModel, load_depth_model
from fgbg.records import parse_record, read_records
from pipeline import commands
from pipeline.build.build_plan import make_plan
from pipeline.build.options import BuildOptions
from pipeline.build.run_build import share_processors
from pipeline.common.runner import beam_options
from pipeline.parser import parse
from tests.end_to_end.helpers import dataset_folder, draw_inputs, shard_files
from training.metrics import contrast, spearman, vertical_ramp
from training.synthesis import region_map
from transforms.depth import quantize_depth

MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def mini() -> DepthModel:
    return load_depth_model("mini")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample pictures with two placements, no depth flag given."""
    data_dir = tmp_path_factory.mktemp("mini")
    assert commands.run([f"--data_dir={data_dir}", "--placements=2"]) == 0
    return data_dir


def decoded(data: bytes) -> npt.NDArray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.fixture(scope="module")
def rows(data_dir: Path) -> list[dict]:
    return [parse_record(record) for path in shard_files(data_dir) for record in read_records(path, "tfrecord")]


def test_it_is_the_default() -> None:
    assert parse(["build"])[1].depth_model == "mini"
    assert parse(["plan"])[1].depth_model == "mini"


def test_it_is_small_relative_and_needs_no_folder(mini: DepthModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert BUNDLED_MODELS["mini"].stat().st_size <= MOST_BYTES
    assert (mini.kind, mini.input_size) == ("relative", (224, 224))
    monkeypatch.setenv("FGBG_MODEL_DIR", "/nowhere")
    assert load_depth_model("mini").fingerprint == mini.fingerprint


def test_dataset_says_that_its_depth_is_relative(data_dir: Path) -> None:
    folder = dataset_folder(data_dir)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["depth_model"]["weights"] == "mini.h5"
    assert manifest["depth_model"]["kind"] == "relative"
    assert "not measured" in manifest["depth_meaning"]
    assert "not measured" in (folder / "README.md").read_text()
    assert "not measured" in (folder / "features.json").read_text()


def test_depth_is_what_the_model_says_of_each_composite(tmp_path: Path, mini: DepthModel) -> None:
    inputs = draw_inputs(tmp_path / "inputs", 64)
    lossless = ["--image_size=64", "--placements=1", "--jpeg_quality=png", "--depth_model=mini"]
    assert commands.run(["build", *inputs.flags, f"--data_dir={tmp_path / 'data'}", *lossless]) == 0
    rows = [parse_record(r) for path in shard_files(tmp_path / "data") for r in read_records(path, "tfrecord")]
    composites, depth = (np.stack([decoded(row[name]) for row in rows]) for name in ("fg_bg", "depth"))
    # A millimetre for sums in another order.
    difference = quantize_depth(mini.predict(composites), 16).astype(int) - depth
    assert np.abs(difference).max() <= 1


def test_metres_are_nominal_on_one_scale(rows: list[dict]) -> None:
    depth = np.stack([decoded(row["depth"]) for row in rows])
    assert depth.min() >= 900
    assert depth.max() <= 10_000
    assert depth.std(axis=(1, 2)).mean() > 500


def test_it_sees_scenes_and_cut_outs(rows: list[dict]) -> None:
    # Coarse limits that a broken file, or another order of channels or axes, would miss by far. The figures proper are
    # in the model card.
    margins, ramps = [], []
    for row in rows:
        inverse = np.float32(1000) / decoded(row["depth"]).astype(np.float32)
        mask = decoded(row["mask"])
        margins.append(contrast(inverse, None, region_map(mask, mask.shape[::-1])).margin)
        ramps.append(spearman(inverse, vertical_ramp(*inverse.shape)))
    assert np.mean(np.array(margins) > 0) > 0.7
    assert np.mean(ramps) > 0.5


@pytest.mark.parametrize(
    ("flags", "beam_flags", "threads"),
    [
        ([], [], str((os.cpu_count() or 1) // min(os.cpu_count() or 1, 4))),
        ([], ["--direct_running_mode=in_memory", "--direct_num_workers=1"], str(os.cpu_count())),
        (["--depth_input_size=640x480"], [], None),
        (["--depth_model=none"], [], None),
        ([], ["--runner=PortableRunner", "--job_endpoint=localhost:1"], None),
    ],
)
def test_local_workers_share_processors_for_small_pictures(
    flags: list[str], beam_flags: list[str], threads: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {name: text for name, text in os.environ.items() if name != THREADS_VARIABLE})
    _, build_options, _ = parse(["build", f"--data_dir={tmp_path}", "--placements=1", *flags])
    share_processors(make_plan(build_options), beam_options(beam_flags, "build", BuildOptions))
    assert os.environ.get(THREADS_VARIABLE) == threads
