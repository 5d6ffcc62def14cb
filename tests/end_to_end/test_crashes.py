"""Killed before a change to the disk, and run again: always the same bytes in the end.

FGBG_CRASH_STEP=1 tries every single change, which takes up to an hour; by default it is every ninth, and the last ones.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fgbg import documents as metadata
from fgbg.shard_files import DatasetFiles
from pipeline import commands
from pipeline.verify import run_report
from tests.end_to_end.crashes import KilledError, killed_after
from tests.end_to_end.helpers import (
    ONE_WORKER,
    Inputs,
    build,
    content,
    dataset_folder,
    draw_background,
    draw_foreground,
)

FLAGS = ("--image_size=32", "--placements=1", "--examples_per_shard=4", *ONE_WORKER)

STEP = int(os.environ.get("FGBG_CRASH_STEP", "9"))


@pytest.fixture(scope="module", autouse=True)
def _plain_card() -> Iterator[None]:
    """Drawing takes longer than everything else: a card of two files instead."""

    def write(files: DatasetFiles, *_: Any) -> None:
        files.write("images/examples.png", b"a picture")
        files.write("README.md", b"a card")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(metadata, "write_card", write)
        patched.setattr(run_report, "write_card", write)
        yield


@pytest.fixture(scope="module")
def two_pairs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Two backgrounds and two foregrounds: 8 examples in 2 shards."""
    folder = tmp_path_factory.mktemp("inputs")
    for i in range(2):
        draw_background(folder / f"backgrounds/b{i}.png", 32, 32, i)
        draw_foreground(folder / f"foregrounds/f{i}.png", 30, 24, i)
    return Inputs(folder / "backgrounds", folder / "foregrounds")


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory, two_pairs: Inputs) -> Path:
    data_dir = tmp_path_factory.mktemp("complete")
    assert build(data_dir, two_pairs, *FLAGS) == 0
    return data_dir


def crash_everywhere(
    folder: Path, reset: Callable[[], None], command: Callable[[], int], check: Callable[[], None]
) -> list[str]:
    """Prevent the first change of a command below a folder and all later ones, and run it again; then the second..."""
    reset()
    with killed_after(None, folder) as all_changes:
        assert command() == 0
    check()
    for number in sorted({*range(0, len(all_changes), STEP), *range(max(0, len(all_changes) - 3), len(all_changes))}):
        reset()
        with killed_after(number, folder) as tried:
            try:
                status = command()
            except KilledError:
                status = 1
        # What only tidies up may fail unseen.
        assert len(tried) > number or status == 0
        last = tried[number] if len(tried) > number else "nothing"
        assert command() == 0, f"after a crash before change {number}: {last}"
        check()
    return all_changes


def emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_build(two_pairs: Inputs, complete: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    expected = content(complete)

    def check() -> None:
        assert content(data_dir) == expected

    changes = crash_everywhere(data_dir, lambda: emptied(data_dir), lambda: build(data_dir, two_pairs, *FLAGS), check)
    for step in ("configuration.json", "-00001-of-00002", "dataset_info.json", "summaries"):
        assert any(step in change for change in changes)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_build_that_overwrites(two_pairs: Inputs, complete: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    expected = content(complete)
    other = tmp_path / "other"
    assert build(other, two_pairs, *FLAGS, "--seed=1", "--examples_per_shard=2") == 0
    started = 0

    def reset() -> None:
        nonlocal started
        started = 0
        emptied(data_dir)
        shutil.copytree(other, data_dir)

    def command() -> int:
        nonlocal started
        started += 1
        return build(data_dir, two_pairs, *FLAGS, "--overwrite")

    def check() -> None:
        assert content(data_dir) == expected

    crash_everywhere(data_dir, reset, command, check)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_was_overwritten_is_never_resumed(two_pairs: Inputs, complete: Path, tmp_path: Path) -> None:
    """A crash while `--overwrite` deletes, and the command run again without that flag."""
    data_dir = tmp_path / "data"
    other = tmp_path / "other"
    assert build(other, two_pairs, *FLAGS, "--seed=1", "--examples_per_shard=2") == 0
    expected = content(complete)
    number = 0
    while True:
        emptied(data_dir)
        shutil.copytree(other, data_dir)
        with killed_after(number, data_dir) as tried:
            with suppress(KilledError):
                build(data_dir, two_pairs, *FLAGS, "--overwrite")
        if any("tfrecord-00000-of-00002" in change and "rename" in change for change in tried[:number]):
            break
        # Before the new claim is there the old dataset is; after that it is deleted to the end.
        if not (dataset_folder(data_dir) / ".build/configuration.json").exists():
            assert {name: data for name, data in content(data_dir).items() if ".build" not in name} == content(other)
        else:
            assert build(data_dir, two_pairs, *FLAGS) == 0
            assert content(data_dir) == expected
        number += min(STEP, 3)
    assert number > 20  # of all changes that delete


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_export(kind: str, complete: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ["export", str(dataset_folder(complete)), f"--format={kind}", f"--output={output}"]
    assert commands.run(arguments) == 0
    expected = content(output)

    def check() -> None:
        assert content(output) == expected

    crash_everywhere(output, lambda: emptied(output), lambda: commands.run(arguments), check)


@pytest.mark.slow
def test_report(two_pairs: Inputs, complete: Path, tmp_path: Path) -> None:
    data_dir = Path(shutil.copytree(complete, tmp_path / "data"))
    expected = content(data_dir)

    def reset() -> None:
        (dataset_folder(data_dir) / "README.md").unlink(missing_ok=True)

    def check() -> None:
        assert content(data_dir) == expected
        assert build(data_dir, two_pairs, *FLAGS) == 0
        assert content(data_dir) == expected

    crash_everywhere(data_dir, reset, lambda: commands.run(["report", str(dataset_folder(data_dir))]), check)
