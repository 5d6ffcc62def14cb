"""Stopped in every way and run again; and what is refused because it is not the same build."""

import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import resume, run_build
from pipeline.build_plan import BuildPlan, make_plan
from pipeline.options import BuildOptions
from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import (
    LOOPBACK,
    NAME,
    TWO_PROCESSES,
    Inputs,
    build,
    content,
    dataset_folder,
    draw_background,
    draw_inputs,
    living_members,
    our_lines,
    shard_files,
    start,
    stop_when,
)
from transforms import filesystems

# 240 examples in 20 shards; lossless, so that a shard takes a moment.
SHARDS = 20
FLAGS = (f"--image_size={IMAGE_SIZE}", "--placements=6", "--examples_per_shard=12", "--jpeg_quality=png")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs) -> Path:
    """A complete dataset, not to be changed."""
    data_dir = tmp_path_factory.mktemp("uninterrupted")
    assert build(data_dir, inputs, *FLAGS) == 0
    assert len(shard_files(data_dir)) == SHARDS
    return data_dir


@pytest.fixture
def complete(uninterrupted: Path, tmp_path: Path) -> Path:
    """A complete dataset to play with."""
    return Path(shutil.copytree(uninterrupted, tmp_path / "complete"))


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs) -> Path:
    """What `stopped` is a copy of, not to be changed."""
    data_dir = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(resume, "close_dataset", lambda _: None)
        assert build(data_dir, inputs, *FLAGS) == 0
    for name in ("manifest.json", "README.md", "dataset_info.json"):
        (dataset_folder(data_dir) / name).unlink()
    for path in (*shard_files(data_dir)[3:5], *shard_files(data_dir, f"{NAME}_foreground")):
        path.unlink()
    return data_dir


@pytest.fixture
def stopped(stopped_once: Path, tmp_path: Path) -> Path:
    """As a kill leaves it that hit just before the end, but with two shards and a companion unmade as well."""
    return Path(shutil.copytree(stopped_once, tmp_path / "stopped"))


def finished(data_dir: Path) -> dict[str, int]:
    """When each finished shard was made."""
    return {path.name: path.stat().st_mtime_ns for path in shard_files(data_dir)}


def assert_no_partial_files(data_dir: Path, reference: Path) -> None:
    """Whatever has a final name is complete: it has the bytes that it has in an uninterrupted build."""
    expected = content(reference)
    for name, data in content(data_dir).items():
        if "/.build/" not in name:
            assert data == expected[name], name


@pytest.mark.slow
def test_stopped_five_times_in_three_ways(uninterrupted: Path, inputs: Inputs, tmp_path: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in shard_files(uninterrupted)}

    def made(number: int) -> Callable[[int], bool]:
        def happened(before: int) -> bool:
            shards = shard_files(tmp_path)
            assert all(path.stat().st_size == sizes[path.name] for path in shards)
            return len(shards) >= min(max(number, before + 1), SHARDS)

        return happened

    manifest = dataset_folder(tmp_path) / "manifest.json"
    kept: dict[str, int] = {}
    for number, happened in (
        (signal.SIGKILL, made(1)),
        (signal.SIGINT, made(3)),
        (signal.SIGTERM, made(5)),
        (signal.SIGKILL, made(SHARDS - 1)),
        (signal.SIGKILL, lambda before: manifest.exists()),
    ):
        process = start("build", *inputs.flags, f"--data_dir={tmp_path}", *FLAGS)
        _, stderr = stop_when(process, number, partial(happened, len(kept)))
        assert finished(tmp_path).items() >= kept.items(), "a finished shard was made again"
        kept = finished(tmp_path)
        assert_no_partial_files(tmp_path, uninterrupted)
        assert "Traceback" not in stderr
        if number == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        else:
            assert process.returncode == 1
            assert our_lines(stderr) == [
                "fgbg: Interrupted. Finished shards are kept; the same command goes on from there."
            ]
            assert stderr.endswith("goes on from there.\n")

    assert build(tmp_path, inputs, *FLAGS) == 0
    assert finished(tmp_path) == kept
    assert content(tmp_path) == content(uninterrupted)


@pytest.mark.slow
def test_interrupted_worker_processes_do_not_stay_behind(uninterrupted: Path, inputs: Inputs, tmp_path: Path) -> None:
    process = start("build", *inputs.flags, f"--data_dir={tmp_path}", *FLAGS, "--placements=60", *TWO_PROCESSES)
    _, stderr = stop_when(process, signal.SIGINT, lambda: bool(shard_files(tmp_path)), group=False)
    assert process.returncode == 1
    assert len(our_lines(stderr)) == 1
    assert living_members(process) == []


def test_goes_on_from_what_is_there(
    stopped: Path, uninterrupted: Path, inputs: Inputs, capfd: pytest.CaptureFixture[str]
) -> None:
    before = finished(stopped)
    capfd.readouterr()
    assert build(stopped, inputs, *FLAGS) == 0
    stderr = capfd.readouterr().err
    assert "Going on after 216 finished examples." in stderr
    assert "240 of 240 examples (100%)" in stderr
    assert finished(stopped).items() > before.items()
    assert content(stopped) == content(uninterrupted)


def test_a_complete_dataset_is_left_alone(complete: Path, inputs: Inputs, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in complete.rglob("*")}
    assert build(complete, inputs, *FLAGS) == 0
    out, err = capfd.readouterr()
    assert "is complete already." in err
    assert "240 examples" in out
    assert {path: path.stat().st_mtime_ns for path in complete.rglob("*")} == before


def test_nothing_is_left_in_the_folder_for_temporary_files(
    stopped: Path, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    assert build(stopped, inputs, *FLAGS, "--seed=7") == 2
    assert build(stopped, inputs, *FLAGS) == 0
    assert build(stopped, inputs, *FLAGS) == 0
    assert list(scratch.iterdir()) == []


def test_leftovers_of_a_complete_dataset_are_tidied_up(complete: Path, uninterrupted: Path, inputs: Inputs) -> None:
    summaries = dataset_folder(complete) / ".build/summaries"
    summaries.mkdir(parents=True)
    (summaries / "leftover.json").touch()
    assert build(complete, inputs, *FLAGS) == 0
    assert content(complete) == content(uninterrupted)
    assert not summaries.parent.exists()


@pytest.mark.parametrize(
    ("flag", "difference"),
    [
        ("--seed=7", "seed is 0 there and 7 here"),
        ("--placements=5", "placements is 6 there and 5 here"),
        ("--image_size=40", "image_size is 48 there and 40 here"),
        ("--jpeg_quality=80", "jpeg_quality is png there and 80 here"),
        ("--fg_scale=0.3,0.5", "fg_scale is [0.4, 0.55] there and [0.3, 0.5] here"),
        ("--examples_per_shard=13", "examples_per_shard is 12 there and 13 here"),
        ("--test_fraction=0.2", "test_fraction is 0.0 there and 0.2 here"),
        ("--file_format=array_record", "file_format is tfrecord there and array_record here"),
        ("--depth_model={weights}", "depth_bits is None there and 16 here"),
    ],
)
def test_another_flag_is_refused(
    flag: str,
    difference: str,
    complete: Path,
    uninterrupted: Path,
    weights: Path,
    inputs: Inputs,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert build(complete, inputs, *FLAGS, flag.format(weights=weights)) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert difference in line
    assert str(dataset_folder(complete)) in line
    assert "--overwrite" in line
    assert content(complete) == content(uninterrupted)


def test_another_flag_is_refused_before_the_dataset_is_complete(
    stopped: Path, inputs: Inputs, capfd: pytest.CaptureFixture[str]
) -> None:
    before = content(stopped)
    capfd.readouterr()
    assert build(stopped, inputs, *FLAGS, "--seed=7") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "seed is 0 there and 7 here" in line
    assert content(stopped) == before


@pytest.mark.parametrize("change", ["changed", "added", "removed"])
def test_other_pictures_are_refused(
    change: str, complete: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    others = draw_inputs(tmp_path / "inputs", IMAGE_SIZE)
    if change == "changed":
        draw_background(others.backgrounds / "river/b0.png", IMAGE_SIZE, IMAGE_SIZE, 9)
        expected = "backgrounds river/b0 has changed"
    elif change == "added":
        draw_background(others.backgrounds / "river/b9.png", IMAGE_SIZE, IMAGE_SIZE, 9)
        expected = "backgrounds river/b9 is new here"
    else:
        (others.foregrounds / "dog/f2.png").unlink()
        expected = "foregrounds dog/f2 is missing here"
    assert build(complete, others, *FLAGS) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert expected in line


def test_the_same_pictures_elsewhere_are_the_same(complete: Path, uninterrupted: Path, tmp_path: Path) -> None:
    others = draw_inputs(tmp_path / "copied inputs", IMAGE_SIZE)
    assert build(complete, others, *FLAGS) == 0
    assert content(complete) == content(uninterrupted)


def test_overwrite_starts_anew(complete: Path, inputs: Inputs) -> None:
    (dataset_folder(complete) / "stray.txt").touch()
    before = finished(complete)
    assert build(complete, inputs, *FLAGS, "--seed=7", "--overwrite") == 0
    assert not finished(complete).items() & before.items()
    assert not (dataset_folder(complete) / "stray.txt").exists()
    assert json.loads((dataset_folder(complete) / "manifest.json").read_bytes())["configuration"]["seed"] == 7


@pytest.mark.parametrize("name", [NAME, f"{NAME}_background", f"{NAME}_foreground"])
def test_foreign_files_are_refused(
    name: str, tmp_path: Path, inputs: Inputs, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = dataset_folder(tmp_path, name)
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    assert build(tmp_path, inputs, *FLAGS) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert str(folder) in line
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / "thesis.txt"]


@pytest.mark.parametrize("damage", [b"", b'{"fingerprint": "12', b"[1, 2]", b"\xff\xfe"])
def test_damaged_configuration_is_told(
    damage: bytes, tmp_path: Path, inputs: Inputs, capfd: pytest.CaptureFixture[str]
) -> None:
    claim = dataset_folder(tmp_path) / ".build/configuration.json"
    claim.parent.mkdir(parents=True)
    claim.write_bytes(damage)
    assert build(tmp_path, inputs, *FLAGS) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{claim} is damaged" in line


def test_a_truncated_shard_is_noticed_on_resume(
    stopped: Path, uninterrupted: Path, inputs: Inputs, capfd: pytest.CaptureFixture[str]
) -> None:
    shard = shard_files(stopped)[2]
    size = shard.stat().st_size
    os.truncate(shard, size - 5)
    capfd.readouterr()
    assert build(stopped, inputs, *FLAGS) == 1
    (line,) = our_lines(capfd.readouterr().err)
    assert f"{shard.name} has {size - 5} bytes instead of the {size}" in line
    shard.unlink()  # as the message says
    assert build(stopped, inputs, *FLAGS) == 0
    assert content(stopped) == content(uninterrupted)


@pytest.mark.parametrize("loss", ["shard cut", "shard gone", "companion gone", "dataset_info.json"])
def test_losses_of_a_complete_dataset_are_noticed(
    loss: str, complete: Path, inputs: Inputs, capfd: pytest.CaptureFixture[str]
) -> None:
    if loss == "shard cut":
        lost = shard_files(complete)[2]
        os.truncate(lost, 100)
    else:
        lost = {
            "shard gone": shard_files(complete)[2],
            "companion gone": shard_files(complete, f"{NAME}_background")[0],
            "dataset_info.json": dataset_folder(complete) / "dataset_info.json",
        }[loss]
        lost.unlink()
    assert build(complete, inputs, *FLAGS) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert lost.name in line
    assert "--overwrite" in line


@pytest.mark.slow
def test_files_that_may_not_grow(uninterrupted: Path, inputs: Inputs, tmp_path: Path) -> None:
    limit = shard_files(uninterrupted)[0].stat().st_size // 2

    def forbid_large_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = start(
        "build",
        *inputs.flags,
        f"--data_dir={tmp_path}",
        *FLAGS,
        preexec_fn=forbid_large_files,
        restore_signals=False,
    )
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in stderr
    (line,) = our_lines(stderr)
    assert "File too large" in line
    assert "run the same command again" in line
    assert shard_files(tmp_path) == []
    assert_no_partial_files(tmp_path, uninterrupted)
    assert build(tmp_path, inputs, *FLAGS) == 0
    assert content(tmp_path) == content(uninterrupted)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for some of the shards."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("disks can be mounted by the administrator alone")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("runner", [(), TWO_PROCESSES], ids=["threads", "processes"])
def test_full_disk(
    runner: tuple[str, ...],
    small_disk: Path,
    uninterrupted: Path,
    inputs: Inputs,
) -> None:
    data_dir = small_disk / "data"
    scratch = small_disk / "tmp"
    scratch.mkdir()
    process = start(
        "build",
        *inputs.flags,
        f"--data_dir={data_dir}",
        *FLAGS,
        *runner,
        environment={"TMPDIR": str(scratch)},  # as where everything is on one disk
    )
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert living_members(process) == []
    assert "Traceback" not in stderr
    (line,) = our_lines(stderr)
    assert "No space left on device" in line
    assert "run the same command again" in line
    assert shard_files(data_dir)
    assert_no_partial_files(data_dir, uninterrupted)
    before = finished(data_dir)

    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert build(data_dir, inputs, *FLAGS) == 0
    assert finished(data_dir).items() > before.items()
    assert content(data_dir) == content(uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("runner", [(), TWO_PROCESSES, LOOPBACK], ids=["threads", "processes", "loopback"])
def test_a_picture_that_vanishes_meanwhile(
    runner: tuple[str, ...],
    uninterrupted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What a stage raises becomes the same one sentence on every runner."""
    inputs = draw_inputs(tmp_path / "inputs", IMAGE_SIZE)
    picture = inputs.backgrounds / "river/b1.png"
    hidden = tmp_path / "hidden.png"

    def check_and_hide(options: BuildOptions) -> BuildPlan:
        plan = make_plan(options)
        picture.rename(hidden)
        return plan

    data_dir = tmp_path / "data"
    with monkeypatch.context() as patched:
        patched.setattr(run_build, "checked_plan", check_and_hide)
        assert build(data_dir, inputs, *FLAGS, *runner) == 1
    (line,) = our_lines(capfd.readouterr().err)
    assert line.startswith(f"fgbg: Cannot read {picture}")
    assert line.endswith("restore it and run the same command again.")
    assert_no_partial_files(data_dir, uninterrupted)

    hidden.rename(picture)
    assert build(data_dir, inputs, *FLAGS) == 0
    assert content(data_dir) == content(uninterrupted)


def test_what_cannot_be_deleted(
    complete: Path, inputs: Inputs, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(filesystems, "shutil", SimpleNamespace(rmtree=refuse))
    assert build(complete, inputs, *FLAGS, "--overwrite") == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert f"Cannot delete {dataset_folder(complete)}" in line
    assert "Permission denied" in line


def test_output_below_a_file(tmp_path: Path, inputs: Inputs, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert build(tmp_path / "file" / "data", inputs, *FLAGS) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert str(tmp_path / "file") in line
    assert "Not a directory" in line


def test_output_that_cannot_be_made(inputs: Inputs, capfd: pytest.CaptureFixture[str]) -> None:
    assert build(Path("/proc/fgbg"), inputs, *FLAGS) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "Cannot write /proc/fgbg" in line
