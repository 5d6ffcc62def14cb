"""`report` writes the card of a finished dataset again."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline import commands
from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import Inputs, build, content, dataset_folder, our_lines, shard_files

# As every documentation of the dataset has it.
FLAGS = (f"--image_size={IMAGE_SIZE}", "--placements=1", "--test_fraction=0.4")


@pytest.fixture(scope="module")
def built(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    data_dir = tmp_path_factory.mktemp("built")
    assert build(data_dir, inputs, *FLAGS) == 0
    return data_dir


@pytest.fixture
def data_dir(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "data"))


def error_of(capfd: pytest.CaptureFixture[str], arguments: list[str], status: int) -> str:
    capfd.readouterr()
    assert commands.run(arguments) == status
    (line,) = our_lines(capfd.readouterr().err)
    return line


def test_card_is_the_one_that_the_build_wrote(data_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before, folder = content(data_dir), dataset_folder(data_dir)
    (folder / "README.md").write_text("lost")
    for picture in (folder / "images").iterdir():
        picture.unlink()
    capfd.readouterr()
    assert commands.run(["report", str(folder)]) == 0
    out, err = capfd.readouterr()
    assert out.strip() == str(folder / "README.md")
    assert err == ""
    assert content(data_dir) == before


@pytest.mark.parametrize("state", ["lost", "edited"])
def test_statistics_are_computed_again(data_dir: Path, state: str) -> None:
    before, folder = content(data_dir), dataset_folder(data_dir)
    path = folder / "statistics.json"
    if state == "lost":
        path.unlink()
        assert commands.run(["report", str(folder)]) == 0
    else:
        statistics = json.loads(path.read_text())
        statistics["kinds"]["mask"]["mean"] = [0.5]
        path.write_text(json.dumps(statistics))
        assert commands.run(["report", str(folder)]) == 0
        assert "| mask | 0.5000 |" in (folder / "README.md").read_text()
        assert commands.run(["report", str(folder), "--recompute"]) == 0
    assert content(data_dir) == before


def test_what_cannot_be_told_is_said_in_a_sentence(data_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = dataset_folder(data_dir)
    (folder / "statistics.json").write_text("{")
    assert "--recompute" in error_of(capfd, ["report", str(folder)], 2)
    (folder / "statistics.json").write_text("{}")
    assert "--recompute" in error_of(capfd, ["report", str(folder)], 2)
    assert not (folder / ".build").exists()
    shard = shard_files(data_dir)[0]
    shard.write_bytes(shard.read_bytes()[:-5])
    assert shard.name in error_of(capfd, ["report", str(folder), "--recompute"], 1)
    assert "is no finished dataset" in error_of(capfd, ["report", str(data_dir)], 2)
