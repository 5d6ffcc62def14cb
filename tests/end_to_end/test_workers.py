"""Worker processes: where they start, what they import, what is said when they do not, and what they inherit."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import apache_beam as beam
import pytest

from fgbg.errors import RunError
from pipeline.build.options import BuildOptions
from pipeline.common import local_runner
from pipeline.common.runner import beam_options, new_pipeline, report_failures, submit
from tests.end_to_end.helpers import (
    LOOPBACK,
    NAME,
    ROOT,
    TWO_PROCESSES,
    Inputs,
    build,
    content,
    living_members,
    our_lines,
    shard_files,
    start,
)

FLAGS = ("--image_size=48", "--placements=1", "--examples_per_shard=8")
# The console script, without its file.
FGBG = ("-P", "-c", "import sys; from pipeline.cli import main; sys.exit(main())")
IN_WORKERS = 'import os\nif "CONTROL_API_SERVICE_DESCRIPTOR" in os.environ:\n    '


@pytest.fixture
def folder_of_a_user(tmp_path: Path) -> Path:
    """A working directory with modules that have the names of ours."""
    folder = tmp_path / "my project"
    folder.mkdir()
    for name in ("transforms", "tfds_builder", "apache_beam"):
        (folder / f"{name}.py").write_text("raise RuntimeError('a module of the user')\n")
    return folder


@pytest.fixture
def in_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Have worker processes, and no others, execute a statement when they start."""

    def set_up(statement: str) -> dict[str, str]:
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(IN_WORKERS + statement)
        monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{folder}")
        return {"PYTHONPATH": os.environ["PYTHONPATH"]}

    return set_up


@pytest.mark.slow
def test_python_in_any_folder_and_a_users_modules_in_the_working_directory(
    folder_of_a_user: Path, inputs: Inputs, tmp_path: Path
) -> None:
    environment = tmp_path / "a 'quoted\" $HOME; ü"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    packages = sysconfig.get_path("purelib")
    done = subprocess.run(
        [environment / "bin/python", *FGBG, *inputs.flags, *FLAGS, *TWO_PROCESSES, f"--data_dir={tmp_path / 'data'}"],
        cwd=folder_of_a_user,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{packages}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert build(tmp_path / "expected", inputs, *FLAGS) == 0
    made, expected = (shard_files(tmp_path / side) for side in ("data", "expected"))
    assert [path.read_bytes() for path in made] == [path.read_bytes() for path in expected]
    assert len(made) == 5


@pytest.mark.slow
def test_a_checkout_that_is_not_installed_builds_in_processes(
    folder_of_a_user: Path, inputs: Inputs, tmp_path: Path
) -> None:
    """Nothing but the working directory of the launcher says where the packages are."""
    packages = [path for path in sys.path if "site-packages" in path]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(packages)}
    script = "import runpy, sys; sys.path[0] = sys.argv.pop(1); runpy.run_module('pipeline', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", script, ROOT, *inputs.flags, *FLAGS, *TWO_PROCESSES, f"--data_dir={tmp_path / 'data'}"],
        cwd=folder_of_a_user,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert len(shard_files(tmp_path / "data")) == 5


def test_the_module_as_a_command_passes_over_a_users_modules(folder_of_a_user: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "build", "--help"],
        cwd=folder_of_a_user,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--backgrounds" in done.stdout


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_reported(in_workers, inputs: Inputs, tmp_path: Path) -> None:
    variables = in_workers("raise SystemExit('no module named x')")
    begin = time.monotonic()
    process = start(
        "build", *inputs.flags, *FLAGS, *TWO_PROCESSES, f"--data_dir={tmp_path / 'data'}", environment=variables
    )
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - begin < 60
    assert process.returncode == 1
    (line,) = our_lines(err)
    assert line.startswith(f"fgbg: A worker process ({sys.executable}) ended with status 1 before it could start: ")
    assert "no module named x" in line
    assert "Traceback" not in err
    assert living_members(process) == []


def test_a_python_that_is_gone_is_reported(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/gone/bin/python")
    assert build(tmp_path, inputs, *FLAGS, *TWO_PROCESSES) == 1
    err = capfd.readouterr().err
    assert our_lines(err) == ["fgbg: Cannot start a worker process with /gone/bin/python: No such file or directory."]


def test_a_worker_that_is_late_is_reported_and_waited_for(
    in_workers, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    in_workers("import time; time.sleep(4)")
    monkeypatch.setattr(local_runner, "_START_SECONDS", 1.0)
    assert build(tmp_path, inputs, *FLAGS, *TWO_PROCESSES) == 0
    lines = our_lines(capfd.readouterr().err)
    assert len(lines) == 2
    assert all("has not started after 1 s; waiting for it." in line for line in lines)


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL while it was working: memory may have"),
        (lambda _: os._exit(3), "ended with status 3 while it was working"),
        (lambda _: os._exit(0), "ended with status 0 while it was working"),
    ],
)
def test_a_worker_that_ends_while_it_works_is_reported(ending, told: str) -> None:
    begin = time.monotonic()
    with new_pipeline(beam_options(TWO_PROCESSES, "build", BuildOptions)) as pipeline:
        _ = pipeline | beam.Create([1, 2, 3, 4]) | beam.Reshuffle() | beam.Map(ending)
        with pytest.raises(RunError, match=f"A worker process {told}"), report_failures():
            submit(pipeline)
    assert time.monotonic() - begin < 60


@pytest.mark.slow
@pytest.mark.parametrize("runner", [TWO_PROCESSES, LOOPBACK], ids=["processes", "loopback"])
def test_the_environment_does_not_change_a_byte(
    runner: tuple[str, ...],
    inputs: Inputs,
    small_flags: tuple[str, ...],
    small_build: dict[str, bytes],
    tmp_path: Path,
) -> None:
    home = tmp_path / "keras"
    home.mkdir()
    (home / "keras.json").write_text(json.dumps({"floatx": "no type", "backend": "torch"}))
    variables = {
        "KERAS_HOME": str(home),
        "KERAS_BACKEND": "jax",
        "KERAS_NNX_ENABLED": "1",
        "TF_USE_LEGACY_KERAS": "1",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
    }
    data_dir = tmp_path / "data"
    process = start("build", *inputs.flags, *small_flags, *runner, f"--data_dir={data_dir}", environment=variables)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    made = content(data_dir)
    shards = [name for name in small_build if Path(name).name.startswith(NAME)]
    assert len(shards) > 10
    assert [name for name in shards if made[name] != small_build[name]] == []
