"""Inputs, weights and output all in an object store: the files of a local build, and nothing gets past the store."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fgbg import filesystems
from pipeline import commands
from tests import object_store
from tests.end_to_end.helpers import (
    NAME,
    ONE_WORKER,
    ROOT,
    TWO_PROCESSES,
    VERSION,
    Inputs,
    content,
    our_lines,
    start,
    stop_when,
)
from tests.object_store import Objects, ObjectStore, StoreError, here, upload

BUCKET = "store://bucket"
DATA = f"{BUCKET}/data"
DATASET = f"{DATA}/{NAME}/{VERSION}"


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs, weights: Path) -> Path:
    """The folder of a store with the pictures and the weights, not to be changed."""
    folder = tmp_path_factory.mktemp("uploaded")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(object_store.FOLDER_VARIABLE, str(folder))
        upload(inputs.backgrounds, f"{BUCKET}/inputs/backgrounds")
        upload(inputs.foregrounds, f"{BUCKET}/inputs/foregrounds")
        upload(weights, f"{BUCKET}/weights/{weights.name}")
        # What a console leaves of "create a folder".
        here().put(f"{BUCKET}/inputs/backgrounds/", b"")
        here().put(f"{DATASET}/", b"")
    return folder


@pytest.fixture(scope="module")
def flags(small_flags: tuple[str, ...], weights: Path) -> tuple[str, ...]:
    """As `small_flags`, but everything is in the store."""
    return (
        *small_flags,
        f"--backgrounds={BUCKET}/inputs/backgrounds",
        f"--foregrounds={BUCKET}/inputs/foregrounds",
        f"--depth_model={BUCKET}/weights/{weights.name}",
        f"--data_dir={DATA}",
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, uploaded: Path, flags: tuple[str, ...]) -> Path:
    """The folder of a store with a complete dataset too, not to be changed."""
    folder = Path(shutil.copytree(uploaded, tmp_path_factory.mktemp("built"), dirs_exist_ok=True))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(object_store.FOLDER_VARIABLE, str(folder))
        assert run("build", *flags) == 0
    return folder


@pytest.fixture
def without_dataset(tmp_path: Path, uploaded: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """A store with pictures and weights to play with."""
    shutil.copytree(uploaded, tmp_path / "store")
    monkeypatch.setenv(object_store.FOLDER_VARIABLE, str(tmp_path / "store"))
    return here()


@pytest.fixture
def complete(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """A store with a complete dataset to play with."""
    shutil.copytree(built, tmp_path / "store")
    monkeypatch.setenv(object_store.FOLDER_VARIABLE, str(tmp_path / "store"))
    return here()


def run(*arguments: str) -> int:
    return commands.run(arguments)


def dataset_files() -> dict[str, bytes]:
    """What is in the data directory but for the console's folder."""
    return {name: data for name, data in here().content(DATA).items() if not name.endswith("/")}


def shards() -> list[str]:
    return list(here().sizes(f"{DATASET}/{NAME}-"))


def assert_no_partial_files(reference: dict[str, bytes]) -> None:
    for name, data in dataset_files().items():
        if "/.build/" not in name:
            assert data == reference[name], name


def test_same_files_as_on_a_local_disk(complete: Objects, small_build: dict[str, bytes]) -> None:
    assert dataset_files() == small_build


def test_nothing_else_is_left_in_the_store(complete: Objects, uploaded: Path) -> None:
    def others(objects: Objects) -> dict[str, bytes]:
        return {name: data for name, data in objects.content("").items() if not name.startswith(DATA)}

    assert others(complete) == others(Objects(uploaded))


def test_a_complete_dataset_is_left_alone(
    complete: Objects, flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    before = complete.content("")
    assert run("build", *flags) == 0
    assert f"{DATASET} is complete already." in capfd.readouterr().err
    assert complete.content("") == before


def test_another_configuration_is_refused_or_overwritten(
    complete: Objects, flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    complete.put(f"{DATASET}/stray[1].txt", b"")
    before = complete.content("")
    capfd.readouterr()
    assert run("build", *flags, "--seed=7") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{DATASET} contains another dataset (seed: stored 0, requested 7)" in line
    assert complete.content("") == before

    others = ("--depth_model=none", "--seed=7", "--overwrite")
    assert run("build", *flags, *others) == 0
    assert json.loads(complete.get(f"{DATASET}/manifest.json"))["configuration"]["seed"] == 7
    assert not any("stray" in name or "/.build/" in name for name in complete.sizes(""))


def test_foreign_files_are_refused(
    without_dataset: Objects, flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    without_dataset.put(f"{DATASET}/thesis.txt", b"years of work")
    before = without_dataset.content("")
    assert run("build", *flags) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{DATASET} contains files that fgbg did not write" in line
    assert without_dataset.content("") == before


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--backgrounds=store://bucket/nowhere", "--backgrounds: there is no folder store://bucket/nowhere"),
        ("--backgrounds=store://bucket/nowhere/*.png", "--backgrounds: no file matches store://bucket/nowhere/*.png"),
        ("--foregrounds=store://bucket/weights", "store://bucket/weights/tiny.h5 is no picture by its name"),
        ("--depth_model=store://bucket/weights/nowhere.h5", "404 No such object: store://bucket/weights/nowhere.h5"),
    ],
)
def test_what_is_not_there_is_told(
    flag: str, told: str, without_dataset: Objects, flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("build", *flags, flag) == 2
    error = capfd.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert dataset_files() == {}


def test_a_plan_writes_nothing(
    without_dataset: Objects, flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    before = without_dataset.content("")
    assert run("plan", *flags) == 0
    out = capfd.readouterr().out
    assert "= 80 examples of 48x48" in out
    assert f"into {DATASET}" in out
    assert without_dataset.content("") == before


def test_verify(complete: Objects, flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    before = complete.content("")
    assert run("verify", DATASET, *flags[-4:-1]) == 0
    out = capfd.readouterr().out
    assert f"{DATASET} is right." in out
    assert "records: 80 of 80" in out
    assert "5 backgrounds in store://bucket/inputs/backgrounds; sha256" in out
    assert "predicted again" in out
    assert complete.content("") == before

    shard = shards()[3]
    complete.put(shard, complete.get(shard)[:-5])
    assert run("verify", DATASET) == 1
    assert shard.rpartition("/")[2] in capfd.readouterr().err


def test_report(complete: Objects) -> None:
    before = complete.content("")
    for name in complete.sizes(DATASET):
        if name.endswith((".png", "README.md")):
            complete.delete(name)
    assert complete.content("") != before
    assert run("report", DATASET) == 0
    assert complete.content("") == before


def test_export(complete: Objects, small_build: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in small_build.items():
        path = tmp_path / "local" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    before = complete.content("")
    assert run("export", DATASET, "--format=zip", f"--output={tmp_path / 'from store'}") == 0
    assert complete.content("") == before
    local = tmp_path / "local" / NAME / VERSION
    assert run("export", str(local), "--format=zip", f"--output={tmp_path / 'from local'}") == 0
    exported = content(tmp_path / "from store")
    assert exported == content(tmp_path / "from local")
    assert {"fg_bg", "mask", "depth", "bg", "fg"} <= {name.partition("-")[0].removesuffix(".zip") for name in exported}


def fail_once(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, call: int, *, afterwards: bool = False
) -> None:
    """Let one call of a method fail, instead of what it does or after that."""
    function: Callable = getattr(owner, method)
    calls = 0

    def counted(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call and not afterwards:
            raise StoreError(f"503 {method} is not available")
        result = function(*arguments, **named)
        if calls == call:
            raise StoreError(f"503 {method} is not available")
        return result

    monkeypatch.setattr(owner, method, counted)


def test_writes_that_fail_leave_no_partial_file(
    without_dataset: Objects,
    flags: tuple[str, ...],
    small_build: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # So that a shard is many pieces: what was written of it before a failure appears, for closing comes after that.
    monkeypatch.setattr(filesystems, "_COPY_CHUNK", 1000)
    finished = 0
    for owner, method, afterwards in (
        (ObjectStore, "create", False),
        (object_store.Upload, "write", False),
        (object_store.Upload, "write", True),
        (Objects, "put", False),
        (ObjectStore, "copy", False),
        (ObjectStore, "copy", True),
        (ObjectStore, "delete", False),
    ):
        with monkeypatch.context() as patched:
            fail_once(patched, owner, method, 4, afterwards=afterwards)
            capfd.readouterr()
            # Here and now: threads of a failed build would go on for a while.
            assert run("build", *flags, *ONE_WORKER) == 1, method
        (line,) = our_lines(capfd.readouterr().err)
        assert line.startswith(f"fgbg: Cannot write {DATA}/{NAME}")
        assert f"503 {method} is not available" in line
        assert_no_partial_files(small_build)
        assert not any("/tmp/" in name for name in here().sizes(DATA))
        assert len(shards()) >= finished
        finished = len(shards())
    assert 0 < finished < 10
    assert run("build", *flags) == 0
    assert dataset_files() == small_build


@pytest.mark.slow
def test_worker_processes_killed_and_started_again(
    without_dataset: Objects, flags: Sequence[str], small_build: dict[str, bytes], tmp_path: Path
) -> None:
    def start_again(number: int) -> subprocess.Popen[str]:
        folder = tmp_path / str(number)
        for name in ("tmp", "home", "cwd"):
            (folder / name).mkdir(parents=True)
        environment = {
            "PYTHONPATH": f"{Path(__file__).parent / 'watched_processes'}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "FGBG_TEST_MADE_FILES": str(folder / "made"),
            "TMPDIR": str(folder / "tmp"),
            "HOME": str(folder / "home"),
        }
        return start("build", *flags, *TWO_PROCESSES, environment=environment, cwd=folder / "cwd")

    process = start_again(0)
    stop_when(process, signal.SIGKILL, lambda: len(shards()) >= 2)
    assert process.returncode == -signal.SIGKILL
    assert_no_partial_files(small_build)
    made_before = {name: here().changed(name) for name in shards()}

    process = start_again(1)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert dataset_files() == small_build
    assert "Resuming: " in stderr
    assert {name: here().changed(name) for name in made_before} == made_before

    store = os.environ[object_store.FOLDER_VARIABLE]
    for number in range(2):
        folder = tmp_path / str(number)
        made = [line.split(" ", 1) for line in (folder / "made").read_text().splitlines()]
        # Matplotlib's list of fonts, settings of Keras.
        settings = tuple(f"{folder}/home/{name}" for name in (".cache", ".config", ".keras"))
        allowed = (f"{store}/", f"{folder}/tmp/", *settings, "/dev/")
        assert [path for _, path in made if not path.startswith(allowed)] == []
        assert any(path.startswith(store) for _, path in made)
        assert list((folder / "cwd").iterdir()) == []
    # The command and its two workers were all watched, and have tidied up.
    assert len({process for process, _ in made}) >= 3
    assert list((tmp_path / "1" / "tmp").iterdir()) == []
