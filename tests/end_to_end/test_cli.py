"""The command line: exit status, one sentence for every mistake, help, `plan`, and the progress that people see."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.options.pipeline_options import PipelineOptions, S3Options
from PIL import Image

from fgbg import __version__
from pipeline import commands
from pipeline.build import resume
from pipeline.build.options import BuildOptions
from pipeline.cli import main
from pipeline.common.runner import beam_options, is_local
from pipeline.parser import parse
from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import (
    NAME,
    ROOT,
    Inputs,
    build,
    content,
    dataset_folder,
    draw_inputs,
    our_lines,
    shard_files,
    start,
)
from tests.pictures_helpers import without_home

FLAGS = (f"--image_size={IMAGE_SIZE}", "--placements=2", "--examples_per_shard=10")

# DESIGN 2.1
BUILD_FLAGS = (
    *("--backgrounds", "--foregrounds", "--data_dir", "--name", "--version", "--placements", "--image_size"),
    *("--fg_scale", "--seed", "--depth_model", "--depth_engine", "--depth_precision", "--depth_input_size"),
    *("--depth_batch_size", "--depth_bits", "--jpeg_quality", "--examples_per_shard", "--file_format"),
    *("--test_fraction", "--split_by", "--skip_bad_inputs", "--overwrite"),
)


def error_of(capfd: pytest.CaptureFixture[str], arguments: list[str], status: int = 2) -> str:
    """The one line that a wrong command line gives."""
    assert commands.run(arguments) == status
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("fgbg: ")
    return line


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--placements=0", "--placements: 0 must be an integer >= 1"),
        ("--placements=many", "--placements: many must be an integer"),
        ("--image_size=15", "--image_size: 15 must be an integer >= 16"),
        ("--examples_per_shard=0", "--examples_per_shard"),
        ("--seed=-1", "--seed"),
        ("--seed=0.5", "--seed"),
        ("--fg_scale=0.5,0.4", "--fg_scale: 0.5,0.4 must be LO,HI"),
        ("--fg_scale=0.5,1.1", "--fg_scale"),
        ("--fg_scale=0", "--fg_scale"),
        ("--fg_scale=nan", "--fg_scale"),
        ("--fg_scale=a,b", "--fg_scale: a is not a number"),
        ("--fg_scale=0.1,0.2,0.3", "--fg_scale"),
        ("--jpeg_quality=0", "--jpeg_quality: 0 must be 1 .. 100 or `png`"),
        ("--jpeg_quality=101", "--jpeg_quality"),
        ("--jpeg_quality=webp", "--jpeg_quality"),
        ("--test_fraction=1", "--test_fraction: 1 must be at least 0 and less than 1"),
        ("--test_fraction=-0.1", "--test_fraction"),
        ("--test_fraction=nan", "--test_fraction"),
        ("--test_fraction=0.05", "--test_fraction 0.05 of 5 backgrounds leaves the test split empty"),
        ("--test_fraction=0.95", "--test_fraction 0.95 of 5 backgrounds leaves the train split empty"),
        ("--split_by=class", "--split_by"),
        ("--name=My-Data", "--name: My-Data must consist of"),
        ("--version=1.0", "--version: 1.0 must be MAJOR.MINOR.PATCH, such as 1.0.0"),
        ("--file_format=zip", "--file_format"),
        ("--depth_model=nowhere.h5", "nowhere.h5"),
        ("--depth_model=/nowhere/model.h5", "/nowhere/model.h5"),
        ("--depth_engine=torch", "--depth_engine"),
        ("--depth_precision=float16", "--depth_precision"),
        ("--depth_input_size=640", "--depth_input_size: 640 must be WIDTHxHEIGHT"),
        ("--depth_batch_size=0", "--depth_batch_size"),
        ("--depth_bits=12", "--depth_bits"),
        ("--backgrounds=/nowhere", "--backgrounds: there is no folder /nowhere"),
        ("--foregrounds=/nowhere/*.png", "--foregrounds: no file matches /nowhere/*.png"),
        ("--backgrounds=", "--backgrounds: the path is empty"),
        ("--data_dir=", "--data_dir: the path is empty"),
        ("--placement=3", "did you mean --placements?"),
        ("--plaecments=3", "did you mean --placements?"),
        ("--runer=DirectRunner", "did you mean --runner?"),
        ("--completely_unknown", "--completely_unknown"),
        ("stray", "stray"),
        ("--runner=DaskRunner", "Dask"),
        ("--runner=apache_beam.runners.dask.dask_runner.DaskRunner", "Dask"),
        ("--runner=NoSuchRunner", "NoSuchRunner"),
        ("--direct_num_workers=many", "--direct_num_workers"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    flag: str, told: str, inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / "data"
    line = error_of(capfd, ["build", *inputs.flags, f"--data_dir={data_dir}", flag])
    assert told in line
    assert not data_dir.exists()


def test_a_runner_that_lacks_an_option(capfd: pytest.CaptureFixture[str]) -> None:
    """Dataflow lacks its package, or where it is installed the project."""
    paths = [f"--{name}=gs://a-bucket/{name}" for name in ("backgrounds", "foregrounds", "data_dir")]
    assert "--runner: " in error_of(capfd, ["build", *paths, "--runner=DataflowRunner"])


@pytest.mark.parametrize("flag", ["--depth_input_size=100x100", "--depth_input_size=0x64"])
def test_depth_input_size_must_suit_the_network(
    flag: str, inputs: Inputs, weights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = error_of(capfd, ["build", *inputs.flags, f"--data_dir={tmp_path}", f"--depth_model={weights}", flag])
    assert "32" in line


def test_weights_that_are_none(inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "weights.h5"
    weights.write_bytes(b"not HDF5 at all")
    line = error_of(capfd, ["build", *inputs.flags, f"--data_dir={tmp_path}", f"--depth_model={weights}"])
    assert str(weights) in line


def test_unknown_commands(capfd: pytest.CaptureFixture[str]) -> None:
    line = error_of(capfd, ["biuld"])
    assert "build" in line


def test_all_bad_inputs_are_listed_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bad = draw_inputs(tmp_path, IMAGE_SIZE)
    good = bad.backgrounds / "river/b0.png"
    (bad.backgrounds / "cut.png").write_bytes(good.read_bytes()[:400])
    (bad.backgrounds / "empty.jpg").touch()
    (bad.backgrounds / "notes.txt").write_text("no picture")
    shutil.copy(good, bad.backgrounds / "wide.png")  # there is a wide.bmp
    (bad.backgrounds / ".DS_Store").touch()
    (bad.backgrounds / "__MACOSX").mkdir()
    (bad.backgrounds / "__MACOSX/b0.png").touch()
    rgba = np.full((20, 20, 4), 255, np.uint8)
    for name, alpha in (("opaque", 255), ("clear", 0), ("faint", 100)):
        rgba[..., 3] = alpha
        Image.fromarray(rgba).save(bad.foregrounds / f"{name}.png")
    Image.fromarray(rgba[..., :3]).save(bad.foregrounds / "plain.jpg")

    arguments = ["build", *bad.flags, f"--data_dir={tmp_path / 'data'}", *FLAGS]
    assert commands.run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err
    first, *listed = err.splitlines()
    assert first.startswith("fgbg: 8 of 17 input pictures cannot be used")
    assert "--skip_bad_inputs" in first
    reasons = {Path(line.split()[0]).name: line for line in listed}
    assert set(reasons) == {
        "cut.png",
        "empty.jpg",
        "notes.txt",
        "wide.png",
        "opaque.png",
        "clear.png",
        "faint.png",
        "plain.jpg",
    }
    for name, reason in {
        "cut.png": "is truncated",
        "empty.jpg": "is an empty file",
        "notes.txt": "is no picture",
        "wide.png": "has the same name",
        "opaque.png": "is fully opaque",
        "clear.png": "is fully transparent",
        "faint.png": "is nowhere more than half opaque",
        "plain.jpg": "has no alpha channel",
    }.items():
        assert reason in reasons[name]
    assert "cutout" in reasons["plain.jpg"]
    assert not (tmp_path / "data").exists()

    assert commands.run([*arguments, "--skip_bad_inputs"]) == 0
    err = capfd.readouterr().err
    assert err.count("Left out: ") == 8


def test_no_usable_input_at_all(inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(inputs.backgrounds / "river/b0.png", photos)
    arguments = ["build", f"--backgrounds={inputs.backgrounds}", f"--foregrounds={photos}", "--skip_bad_inputs"]
    assert commands.run([*arguments, f"--data_dir={tmp_path}"]) == 2
    assert f"--foregrounds: not one picture of {photos} can be used" in capfd.readouterr().err


def test_an_empty_folder(inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = error_of(capfd, ["build", f"--backgrounds={tmp_path}", f"--foregrounds={inputs.foregrounds}"])
    assert f"the folder {tmp_path} holds no pictures" in line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["build", "--data_dir=file:///a/b%20c"],
            "--data_dir: file:///a/b%20c is a URL of a local file; give the plain path /a/b c",
        ),
        (
            ["plan", "--depth_model=file:/a/b.h5"],
            "--depth_model: file:/a/b.h5 is a URL of a local file; give the plain",
        ),
        (["verify", "file:///a"], "DIR: file:///a is a URL of a local file; give the plain path /a"),
        (["export", "a", "--format=zip", "--output=file:///a"], "--output: file:///a is a URL of a local file"),
        (["build", "--depth_model=ftp://a/b.h5"], "Cannot use ftp://a/b.h5: there are no ftp:// paths"),
        (["plan", "--data_dir=Mu\udcf1oz"], "--data_dir: the path {here}/Mu\\xf1oz is not UTF-8; rename the folder"),
        (["build", "--backgrounds=\udcff"], "--backgrounds: the path {here}/\\xff is not UTF-8"),
        (["build", "--depth_model=\udcff/a.h5"], "--depth_model: the path {here}/\\xff/a.h5 is not UTF-8"),
        (["report", "\udcff"], "DIR: the path {here}/\\xff is not UTF-8"),
        (["export", "a", "--format=zip", "--output=\udcff"], "--output: the path {here}/\\xff is not UTF-8"),
        (["cutout", "--photos=\udcff", "--output=a"], "--photos: the path {here}/\\xff is not UTF-8"),
        (["build", "--backgrounds", "a.jpg", "b.jpg", "c.jpg"], "quote the pattern, such as '*.jpg'."),
        (["build", "--backgrounds", "d/a.jpg", "d/b.jpg", "--seed=3"], "quote the pattern, such as 'd/*.jpg'."),
        (["verify", "d", "a.jpg"], "quote the pattern, such as '*.jpg'."),
        (["export", "d", "d/b.jpg", "--format=zip", "--output=o"], "quote the pattern, such as 'd/*.jpg'."),
        (["cutout", "--output=o", "--photos", "a.jpg", "b.jpg"], "quote the pattern, such as '*.jpg'."),
        (["build", "nowhere.jpg"], "see `fgbg build --help`."),
        (["export", "d", "--format=zip", "--output=o", "--limits=3"], "did you mean --limit?"),
    ],
)
def test_paths_that_mean_something_else(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg", "d/a.jpg", "d/b.jpg"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert told.format(here=tmp_path) in error_of(capfd, arguments)


def test_a_user_without_home(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    without_home(monkeypatch)
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", "~/tensorflow_datasets")
    advice = "is not known; set HOME, or give a path that does not begin with ~"
    assert error_of(capfd, ["plan"]) == f"fgbg: --data_dir: the home folder in ~/tensorflow_datasets {advice}."
    for name, arguments in (
        ("--backgrounds", ["plan", "--backgrounds=~/a", "--data_dir=a"]),
        ("DIR", ["verify", "~/a"]),
    ):
        assert f"argument {name}: the home folder in ~/a {advice}; see" in error_of(capfd, arguments)


def test_a_working_directory_that_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    line = error_of(capfd, ["plan", "--data_dir=a"])
    assert line.startswith("fgbg: argument --data_dir: a begins in the working directory, which was deleted;")


def test_filesystems_know_the_options_of_beam_where_no_pipeline_is_made(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without them, Beam's filesystem for S3 cannot make a client."""
    monkeypatch.setattr(FileSystems, "_pipeline_options", None)

    class Store(LocalFileSystem):
        def __init__(self, pipeline_options: PipelineOptions) -> None:
            super().__init__(pipeline_options)
            self._options = pipeline_options.view_as(S3Options)

        @classmethod
        def scheme(cls) -> str:
            return "asks"

        def exists(self, path: str) -> bool:
            raise ValueError(self._options.s3_region_name)

    flags = ["--s3_region_name=somewhere", "--data_dir=a", "--depth_model=none"]
    assert error_of(capfd, ["plan", "--backgrounds=asks://b/*", *flags]) == "fgbg: Cannot use asks://b/*: somewhere"


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["plan"]])
def test_systems_without_locks(arguments: list[str]) -> None:
    """Such as Windows, which has no `fcntl`."""
    program = "import sys; sys.modules['fcntl'] = None; from pipeline.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "fgbg: This program runs on Linux and macOS; on Windows, use its Linux subsystem (WSL).\n"


def test_version() -> None:
    """At once, for which nothing large may be imported."""
    program = (
        "import sys; from pipeline.cli import main; main(['--version'])\n"
        "assert not {'apache_beam', 'numpy', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fgbg {__version__}\n", "")
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_version_with_a_value_is_that_of_the_dataset() -> None:
    assert parse(["--version", "2.0.0", "--data_dir=a"])[1].version == "2.0.0"


def test_a_terminal_that_cannot_show_a_name(inputs: Inputs, tmp_path: Path) -> None:
    name = tmp_path / "photos/Muñoz.txt"
    name.parent.mkdir()
    name.touch()
    shutil.copy(inputs.backgrounds / "river/b0.png", name.parent)
    flags = (f"--backgrounds={name.parent}", f"--foregrounds={inputs.foregrounds}", "--depth_model=none")
    process = start(
        "plan", *flags, "--skip_bad_inputs", f"--data_dir={tmp_path}", environment={"PYTHONIOENCODING": "ascii"}
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "Mu\\xf1oz.txt is no picture by its name" in out


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["build", "--help"], ["plan", "--help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 100
    if len(arguments) == 1:
        assert "build" in out
        assert "plan" in out
    else:
        assert [flag for flag in BUILD_FLAGS if not re.search(rf"{flag}\b", out)] == []
        assert "Beam" in out


@pytest.mark.parametrize("arguments", [[], ["--seed=3"], ["build", "--seed=3"]])
def test_build_is_the_command_if_none_is_named(arguments: list[str]) -> None:
    command, values, beam_flags = parse(arguments)
    assert command == "build"
    assert values.seed == (3 if arguments else 0)
    assert beam_flags == []
    assert Path(values.backgrounds, "city").is_dir()
    assert Path(values.foregrounds, "person").is_dir()


def test_beam_flags_pass_through() -> None:
    flags = ["--runner=DataflowRunner", "--project=p", "--region", "europe-west4", "--temp_location=gs://bucket/tmp"]
    command, _, beam_flags = parse(["build", "--seed=3", *flags, "--experiments=one", "--experiments=two"])
    assert command == "build"
    given = beam_options(beam_flags, "build", BuildOptions).get_all_options()
    assert given["runner"] == "DataflowRunner"
    assert given["project"] == "p"
    assert given["region"] == "europe-west4"
    assert given["temp_location"] == "gs://bucket/tmp"
    assert set(given["experiments"]) >= {"one", "two"}


@pytest.mark.parametrize("flags", [[], ["--runner=DirectRunner"], ["--runner", "direct"]])
def test_the_local_runner_uses_threads(flags: list[str]) -> None:
    given = beam_options(flags, "build", BuildOptions)
    assert is_local(given)
    assert given.get_all_options()["runner"] == "FnApiRunner"
    assert given.get_all_options()["direct_running_mode"] == "multi_threading"
    assert given.get_all_options()["direct_num_workers"] >= 1


def test_plan_counts_and_writes_nothing(inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data_dir = tmp_path / "data"
    before = content(tmp_path)
    flags = (*FLAGS, "--test_fraction=0.4", f"--data_dir={data_dir}")
    assert commands.run(["plan", *inputs.flags, *flags]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert f"= {5 * 4 * 2 * 2} examples of 48x48" in out
    assert f"into {dataset_folder(data_dir)}" in out
    assert re.search(r"bg +5\b", out)
    assert re.search(r"fg +4\b", out)
    assert re.search(r"fg_bg +80\b", out)
    assert re.search(r"train +48 +5\b", out)
    assert re.search(r"test +32 +4\b", out)
    assert "from 64 examples made to see" in out
    assert "of depth" not in out
    assert not data_dir.exists()
    assert content(tmp_path) == before

    told = re.search(r"About ([\d.]+ \w+) in 9 shards", out)
    assert told is not None
    planned = _bytes(told[1])
    assert commands.run(["build", *inputs.flags, *flags]) == 0
    made = sum(path.stat().st_size for path in shard_files(data_dir))
    assert planned == pytest.approx(made, rel=0.1)
    assert len(shard_files(data_dir)) == 9


def test_plan_of_few_examples(inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folders = (f"--backgrounds={inputs.backgrounds}/street/*", f"--foregrounds={inputs.foregrounds}/cat/*")
    flags = ("--placements=1", "--depth_model=none", "--image_size=48", f"--data_dir={tmp_path}")
    assert commands.run(["plan", *folders, *flags]) == 0
    out = capfd.readouterr().out
    assert "= 8 examples of 48x48" in out
    assert "from 8 examples made to see" in out


def test_plan_with_depth(inputs: Inputs, weights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data_dir = tmp_path / "data"
    assert commands.run(["plan", *inputs.flags, *FLAGS, f"--depth_model={weights}", f"--data_dir={data_dir}"]) == 0
    out = capfd.readouterr().out
    assert re.search(r"depth +80\b", out)
    assert "images/s" in out
    assert not data_dir.exists()


def _bytes(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"B": 1, "kB": 1e3, "MB": 1e6}[unit]


def test_summary_tells_where_how_many_and_how_to_load(
    inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path, inputs, *FLAGS, "--name=mine", "--version=2.1.0") == 0
    out, err = capfd.readouterr()
    assert str(tmp_path / "mine/2.1.0") in out
    assert "80 examples (train 80)" in out
    assert "without depth" in out
    assert f'tfds.load("mine:2.1.0", split="train", data_dir="{tmp_path}")' in out
    assert "mean" in out
    assert "5 backgrounds x 4 foregrounds x 2 x 2 placements = 80 examples in 8 shards" in err
    # Not a terminal: plain lines, no bar.
    assert "80 of 80 examples (100%)" in err
    assert "\r" not in err
    assert "\x1b" not in err


@pytest.mark.slow
def test_bar_on_a_terminal_goes_on_from_finished_examples(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = tmp_path / "data"
    monkeypatch.setattr(resume, "close_dataset", lambda _: None)
    assert build(data_dir, inputs, *FLAGS) == 0
    for path in (*shard_files(data_dir)[5:], dataset_folder(data_dir) / "manifest.json"):
        path.unlink()

    ours, theirs = pty.openpty()
    process = start("build", *inputs.flags, f"--data_dir={data_dir}", *FLAGS, stderr=theirs)
    os.close(theirs)
    seen = b""
    while chunk := _read(ours):
        seen += chunk
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "80 examples (train 80)" in out
    shown = seen.decode().replace("\r\n", "\n")
    assert "Resuming: 50 examples already written." in shown
    bars = re.findall(r"(\d+)/80 \[", shown)
    assert bars[0] == "50"
    assert bars[-1] == "80"
    assert "examples/s" in shown
    # Nothing but what was made, the announcements and the bar.
    assert not re.search(r"oneDNN|WARNING|cuda|TFRecordDataset", shown)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other side has been closed
        return b""


@pytest.mark.slow
def test_as_a_command(tmp_path: Path) -> None:
    """What only a process of its own shows: no traceback, no chatter of libraries, and the exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", f"--data_dir={tmp_path}", "--name=Bad Name", "--skip_bad_inputs"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == len(our_lines(done.stderr)) == 1
    assert list(tmp_path.iterdir()) == []


def test_name_of_the_companions(inputs: Inputs, tmp_path: Path) -> None:
    assert build(tmp_path, inputs, *FLAGS) == 0
    assert {path.name for path in tmp_path.iterdir()} == {NAME, f"{NAME}_background", f"{NAME}_foreground"}


ODD_NAMES = (
    *("a|b", "`x`", "<img src=x>", "**bold**", "_low_", "a,b", 'say "hi"', "back\\slash", "%s {0}", "$HOME"),
    *(
        "# one",
        "-rf",
        "é",
        "e\u0301",
        "👨\u200d👩",
        "  in  side  ",
        "\u200bzero",
        "\u202eright",
        "[x](y)",
        "a.b..",
        "`",
        "~",
    ),
)


def test_odd_names_are_stored_as_they_are(inputs: Inputs, tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    photos = tmp_path / "photos"
    for name in ODD_NAMES:
        (photos / name).mkdir(parents=True)
        shutil.copy(inputs.backgrounds / "river/b0.png", photos / name / f"{name}.png")
    odd = Inputs(photos, inputs.foregrounds)
    assert build(tmp_path / "data", odd, *FLAGS, "--examples_per_shard=400") == 0
    labels = tfds.builder_from_directory(dataset_folder(tmp_path / "data")).info.features
    assert labels["bg"].names == sorted(f"{name}/{name}".strip() for name in ODD_NAMES)
    assert labels["bg_class"].names == sorted(name.strip() for name in ODD_NAMES)
    card = (dataset_folder(tmp_path / "data") / "README.md").read_text()
    # As they are on a card, neither markup nor cells of their own.
    for shown in (r"a\|b", r"\<img src=x\>", r"\*\*bold\*\*", r"\`x\`", r"\[x\](y)", r"back\\slash"):
        assert f"\n| {shown} | 1 | 16 |\n" in card


def test_names_that_are_not_utf_8_are_left_out_and_listed(
    inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = Inputs(tmp_path / "photos", inputs.foregrounds)
    shutil.copytree(inputs.backgrounds, bad.backgrounds)
    for name in (b"Mu\xf1oz.png", b"`\xff`\n|.png", b"\xff/a.txt"):
        path = bad.backgrounds / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        shutil.copy(inputs.backgrounds / "river/b0.png", path)
    assert build(tmp_path / "data", bad, *FLAGS) == 2
    assert f"\n  {bad.backgrounds}/Mu\\xf1oz.png has a name that is not UTF-8, here escaped" in capfd.readouterr().err
    assert not (tmp_path / "data").exists()

    assert build(tmp_path / "data", bad, *FLAGS, "--skip_bad_inputs") == 0
    err = capfd.readouterr().err
    folder = dataset_folder(tmp_path / "data")
    listed = {one["path"]: one["reason"] for one in json.loads((folder / "manifest.json").read_text())["skipped"]}
    not_utf_8 = "has a name that is not UTF-8, here escaped; rename it"
    assert listed == {
        f"{bad.backgrounds}/Mu\\xf1oz.png": not_utf_8,
        f"{bad.backgrounds}/`\\xff`\\n|.png": not_utf_8,
        f"{bad.backgrounds}/\\xff/a.txt": "is no picture by its name (known suffixes: .jpg .jpeg .png .webp .bmp .tif"
        " .tiff)",
    }
    card = (folder / "README.md").read_text()
    assert f"- `{bad.backgrounds}/Mu\\xf1oz.png` {not_utf_8}\n" in card
    assert f"- `` {bad.backgrounds}/`\\xff`\\n|.png `` {not_utf_8}\n" in card
    assert f"Left out: {bad.backgrounds}/Mu\\xf1oz.png {not_utf_8}\n" in err
    assert commands.run(["verify", str(folder)]) == 0


@pytest.mark.parametrize(
    "broken",
    [
        "fgbg.documents.make_tfds_files",
        "fgbg.documents.make_statistics",
        "fgbg.documents.make_manifest",
        "fgbg.documents.to_json",
        "fgbg.card.card.render_card",
        "fgbg.card.card.pictures_sheet",
    ],
)
def test_documents_that_cannot_be_made_fail_before_anything_is_written(
    broken: str, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "no such character")

    monkeypatch.setattr(broken, fail)
    with pytest.raises(UnicodeEncodeError):
        build(tmp_path / "data", inputs, *FLAGS)
    assert not (tmp_path / "data").exists()


def test_manifest_knows_the_program(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build(tmp_path, inputs, *FLAGS) == 0
    path = dataset_folder(tmp_path) / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest["made_with"]["fgbg-depth"] == __version__
    # Another version goes on, and verifies, where the format is the same; manifests of before have none.
    monkeypatch.setattr("fgbg.package_versions.__version__", "99.0.0")
    assert build(tmp_path, inputs, *FLAGS) == 0
    del manifest["made_with"]["fgbg-depth"]
    path.write_text(json.dumps(manifest))
    assert build(tmp_path, inputs, *FLAGS) == 0
    assert commands.run(["verify", str(dataset_folder(tmp_path))]) == 0


def leave_free(monkeypatch: pytest.MonkeyPatch, free: int) -> list[Path]:
    """Let the disk have so many bytes left; the folders that are asked for."""
    asked: list[Path] = []

    def usage(folder: Path) -> Any:
        asked.append(folder)
        return SimpleNamespace(free=free)

    monkeypatch.setattr("shutil.disk_usage", usage)
    return asked


@pytest.mark.parametrize("command", ["plan", "build"])
def test_a_disk_that_is_too_small_is_told_and_not_refused(
    command: str, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = [command, *inputs.flags, *FLAGS, f"--data_dir={tmp_path}/not/there"]
    asked = leave_free(monkeypatch, 70_000)
    assert commands.run(flags) == 0
    out, err = capfd.readouterr()
    (line,) = (line for line in (out + err).splitlines() if "Warning" in line)
    told = rf" *Warning: about ([\d.]+ \w+) are going to be written and 70.0 kB are free in {tmp_path}/not/there; free"
    matched = re.match(told, line)
    assert matched
    expected = _bytes(matched[1])
    (folder,) = asked
    assert folder == tmp_path if command == "plan" else folder.is_relative_to(tmp_path)
    if command == "build":
        made = sum(path.stat().st_size for path in shard_files(tmp_path / "not/there"))
        assert expected == pytest.approx(made, rel=0.1)


def test_a_disk_that_is_large_enough_is_not_mentioned(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    leave_free(monkeypatch, 400_000)  # less than its pixels, more than its files
    assert build(tmp_path, inputs, *FLAGS) == 0
    out, err = capfd.readouterr()
    assert "Warning" not in out + err


def test_only_what_is_left_to_make_must_fit(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resume, "close_dataset", lambda _: None)
    assert build(tmp_path, inputs, *FLAGS) == 0
    monkeypatch.undo()
    for path in (*shard_files(tmp_path)[6:], dataset_folder(tmp_path) / "manifest.json"):
        path.unlink()
    leave_free(monkeypatch, 70_000)
    assert build(tmp_path, inputs, *FLAGS) == 0
    err = capfd.readouterr().err
    assert "Resuming: 60 examples already written" in err
    assert "Warning" not in err


def test_disks_elsewhere_are_not_measured(
    inputs: Inputs, store: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert leave_free(monkeypatch, 0) == []
    assert commands.run(["plan", *inputs.flags, *FLAGS, f"--data_dir={store}/data"]) == 0
    assert "Warning" not in capfd.readouterr().out
