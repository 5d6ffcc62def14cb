"""Stopped in every way and run again; and what is refused because it is not the same build."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fgbg import filesystems, package_versions
from fgbg.errors import RunError
from fgbg.shard_files import ShardSummary, write_shard
from pipeline.build import resume, run_build
from pipeline.build.build_plan import BuildPlan, make_plan
from pipeline.build.options import BuildOptions
from pipeline.parser import parse
from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import (
    LOOPBACK,
    NAME,
    ONE_WORKER,
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
from tests.fgbg.depth_models.helpers import write_random_weights
from transforms import shards

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
                "fgbg: Interrupted. Finished shards are kept; the same command resumes from there."
            ]
            assert stderr.endswith("resumes from there.\n")

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
    assert "Resuming: 216 examples already written." in stderr
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
        ("--seed=7", "seed: stored 0, requested 7"),
        ("--placements=5", "placements: stored 6, requested 5"),
        ("--image_size=40", "image_size: stored 48, requested 40"),
        ("--jpeg_quality=80", "jpeg_quality: stored png, requested 80"),
        ("--fg_scale=0.3,0.5", "fg_scale: stored [0.4, 0.55], requested [0.3, 0.5]"),
        ("--examples_per_shard=13", "examples_per_shard: stored 12, requested 13"),
        ("--test_fraction=0.2", "test_fraction: stored 0.0, requested 0.2"),
        ("--file_format=array_record", "file_format: stored tfrecord, requested array_record"),
        ("--depth_model={weights}", "depth_bits: stored None, requested 16"),
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
    assert "seed: stored 0, requested 7" in line
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
        expected = "backgrounds river/b9 is new"
    else:
        (others.foregrounds / "dog/f2.png").unlink()
        expected = "foregrounds dog/f2 is missing"
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


def test_a_truncated_shard_is_made_again(stopped: Path, uninterrupted: Path, inputs: Inputs) -> None:
    shard = shard_files(stopped)[2]
    os.truncate(shard, shard.stat().st_size - 5)
    assert build(stopped, inputs, *FLAGS) == 0
    assert content(stopped) == content(uninterrupted)


def test_shards_without_summaries_are_made_again(stopped: Path, uninterrupted: Path, inputs: Inputs) -> None:
    before = finished(stopped)
    shutil.rmtree(dataset_folder(stopped) / ".build/summaries")
    shutil.rmtree(dataset_folder(stopped, f"{NAME}_background") / ".build")
    assert build(stopped, inputs, *FLAGS) == 0
    assert not finished(stopped).items() & before.items()
    assert content(stopped) == content(uninterrupted)


def test_a_shard_with_other_bytes_is_noticed_and_made_again(
    stopped: Path, uninterrupted: Path, inputs: Inputs, capfd: pytest.CaptureFixture[str]
) -> None:
    shard = shard_files(stopped)[2]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    capfd.readouterr()
    assert build(stopped, inputs, *FLAGS) == 1
    (line,) = our_lines(capfd.readouterr().err)
    assert f"{shard} has {len(data):,} bytes of sha256 {hashlib.sha256(data).hexdigest()}" in line
    assert "run the same command again" in line
    assert not (dataset_folder(stopped) / "manifest.json").exists()
    assert build(stopped, inputs, *FLAGS) == 0
    assert content(stopped) == content(uninterrupted)


@pytest.fixture
def during_build(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has something done once, after a build has made its first shard."""

    def do(something: Callable[[], None]) -> None:
        write_shard = shards.write_shard
        to_do = [something]

        def write(*arguments: Any, **named: Any) -> ShardSummary:
            summary = write_shard(*arguments, **named)
            if to_do:
                to_do.pop()()
            return summary

        monkeypatch.setattr(shards, "write_shard", write)

    return do


def test_a_late_worker_of_another_configuration_writes_nothing(
    inputs: Inputs, uninterrupted: Path, tmp_path: Path, during_build: Callable[[Callable[[], None]], None]
) -> None:
    """It has made a shard of seed 7 when `build --overwrite` of seed 0 has begun."""
    late = make_plan(parse(["build", *inputs.flags, f"--data_dir={tmp_path}", *FLAGS, "--seed=7"])[1])
    assert build(tmp_path, inputs, *FLAGS, "--seed=7") == 0
    refused = []

    def publish() -> None:
        shard: dict[str, Any] = {"split": "train", "index": SHARDS - 1, "count": SHARDS}
        with pytest.raises(RunError, match="belongs to another configuration now") as error:
            write_shard(late.files, **shard, examples=[{"example_id": 1}], moments={})
        refused.append(error)
        with pytest.raises(RunError, match="belongs to another configuration now"):
            late.files.write("manifest.json", b"{}")
        # Nor does it close the dataset of others.
        resume.close_dataset(late.all_files)

    during_build(publish)
    assert build(tmp_path, inputs, *FLAGS, *ONE_WORKER, "--overwrite") == 0
    assert refused
    assert content(tmp_path) == content(uninterrupted)


@pytest.mark.parametrize("what", ["shard and summary", "shard"])
def test_a_shard_of_another_configuration_that_slips_in_is_found(
    what: str,
    inputs: Inputs,
    uninterrupted: Path,
    tmp_path: Path,
    during_build: Callable[[Callable[[], None]], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """As when a machine sleeps between looking at the claim and renaming a file."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(resume, "close_dataset", lambda _: None)
        assert build(tmp_path / "others", inputs, *FLAGS, "--seed=7") == 0
    others = {path.name: path for path in (dataset_folder(tmp_path / "others")).rglob("*") if path.is_file()}
    data_dir = tmp_path / "data"

    def slip_in() -> None:
        # A shard that has been made and one that has not.
        for name in {shard_files(data_dir)[0].name, shard_files(tmp_path / "others")[-1].name}:
            shutil.copy(others[name], dataset_folder(data_dir) / name)
            if what == "shard and summary":
                shutil.copy(others[f"{name}.json"], dataset_folder(data_dir) / ".build/summaries")

    during_build(slip_in)
    assert build(data_dir, inputs, *FLAGS, *ONE_WORKER) == 1
    (line,) = our_lines(capfd.readouterr().err)
    assert "has changed since it was made" in line
    assert not (dataset_folder(data_dir) / "manifest.json").exists()
    assert build(data_dir, inputs, *FLAGS) == 0
    assert content(data_dir) == content(uninterrupted)


def test_a_second_build_of_the_same_folder_is_refused(
    inputs: Inputs,
    uninterrupted: Path,
    tmp_path: Path,
    during_build: Callable[[Callable[[], None]], None],
) -> None:
    told = []

    def try_others() -> None:
        for flags in ([], ["--overwrite"], ["--seed=7", "--overwrite"]):
            process = start("build", *inputs.flags, f"--data_dir={tmp_path}", *FLAGS, *flags)
            told.append((our_lines(process.communicate(timeout=120)[1]), process.returncode))

    during_build(try_others)
    assert build(tmp_path, inputs, *FLAGS, *ONE_WORKER) == 0
    sentence = (
        f"fgbg: --data_dir: another `build` is writing to {dataset_folder(tmp_path)}; wait until it ends, then run the"
        " same command again."
    )
    assert told == [([sentence], 2)] * 3
    assert content(tmp_path) == content(uninterrupted)


def test_killed_before_it_had_the_claim(uninterrupted: Path, inputs: Inputs, tmp_path: Path) -> None:
    work_folder = dataset_folder(tmp_path) / ".build"
    (work_folder / "tmp").mkdir(parents=True)
    (work_folder / "lock").touch()
    (work_folder / "tmp/half").write_bytes(b'{"fingerpr')
    assert build(tmp_path, inputs, *FLAGS) == 0
    assert content(tmp_path) == content(uninterrupted)


def test_killed_while_it_deleted_what_was_there(
    complete: Path,
    uninterrupted: Path,
    inputs: Inputs,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Half of another dataset is left: neither resumed nor foreign, and the claim says what is to be done."""
    deleted: list[str] = []

    def delete(entry: str) -> None:
        if deleted:
            raise GeneratorExit  # which nothing catches
        deleted.append(entry)
        shutil.rmtree(entry)

    with monkeypatch.context() as patched:
        patched.setattr(filesystems, "_delete_local_tree", delete)
        with pytest.raises(GeneratorExit):
            build(complete, inputs, *FLAGS, "--seed=7", "--overwrite")
    assert deleted
    capfd.readouterr()
    assert build(complete, inputs, *FLAGS) == 2
    assert "contains another dataset (seed: stored 7, requested 0)" in capfd.readouterr().err
    assert build(complete, inputs, *FLAGS, "--seed=7") == 0
    assert build(complete, inputs, *FLAGS, "--overwrite") == 0
    assert content(complete) == content(uninterrupted)


@pytest.mark.parametrize("package", ["opencv-python-headless", "pillow", "numpy", "tensorflow"])
def test_another_encoder_is_refused(
    package: str,
    stopped: Path,
    uninterrupted: Path,
    inputs: Inputs,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before, installed = content(stopped), version(package)
    capfd.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr(package_versions, "version", lambda name: "99.1" if name == package else version(name))
        assert build(stopped, inputs, *FLAGS) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"was begun with {package} {installed} (installed: 99.1)" in line
    assert f"pip install '{package}=={installed}'" in line
    assert content(stopped) == before
    with monkeypatch.context() as patched:
        # Neither decides the bytes of a shard.
        others = ("apache-beam", "tensorflow-datasets")
        patched.setattr(package_versions, "version", lambda name: "99.1" if name in others else version(name))
        assert build(stopped, inputs, *FLAGS) == 0
    assert {path.name: path.read_bytes() for path in shard_files(stopped)} == {
        path.name: path.read_bytes() for path in shard_files(uninterrupted)
    }


def test_a_complete_dataset_of_another_encoder_is_left_alone(
    complete: Path, uninterrupted: Path, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_versions, "version", lambda name: "99.1" if name == "pillow" else version(name))
    assert build(complete, inputs, *FLAGS) == 0
    assert content(complete) == content(uninterrupted)


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


@pytest.mark.parametrize("kind", ["background", "foreground", "weights"])
def test_an_input_that_changes_meanwhile(
    kind: str,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It would be in the dataset under the sha256 of what it was."""
    inputs = draw_inputs(tmp_path / "inputs", IMAGE_SIZE)
    changed, other = {
        "background": (inputs.backgrounds / "river/b0.png", inputs.backgrounds / "street/b3.png"),
        "foreground": (inputs.foregrounds / "cat/f0.png", inputs.foregrounds / "cat/f1.png"),
        "weights": (Path(shutil.copy(weights, tmp_path)), write_random_weights(tmp_path / "other.h5", seed=1)),
    }[kind]
    original = changed.read_bytes()
    flags = (*FLAGS, f"--depth_model={tmp_path / weights.name}") if kind == "weights" else FLAGS

    def check_and_change(options: BuildOptions) -> BuildPlan:
        plan = make_plan(options)
        changed.write_bytes(other.read_bytes())
        return plan

    data_dir = tmp_path / "data"
    with monkeypatch.context() as patched:
        patched.setattr(run_build, "checked_plan", check_and_change)
        assert build(data_dir, inputs, *flags, *ONE_WORKER) == 1
    (line,) = our_lines(capfd.readouterr().err)
    assert str(changed) in line
    assert "changed since" in line
    assert not (dataset_folder(data_dir) / "dataset_info.json").exists()
    changed.write_bytes(original)
    assert build(data_dir, inputs, *flags) == 0


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
