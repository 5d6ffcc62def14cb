"""The notebooks run from top to bottom, and are stored with what they show."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
# The first makes the dataset that the second reads.
NAMES = ("create_dataset.ipynb", "dataset_statistics.ipynb")


@pytest.mark.slow
def test_they_run_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]))
    for name in NAMES:
        notebook = nbformat.read(FOLDER / name, as_version=4)
        NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    assert (tmp_path / "fgbg_notebooks/fg_bg_depth/1.0.0/dataset_info.json").exists()


@pytest.mark.parametrize("name", NAMES)
def test_they_are_stored_with_outputs(name: str) -> None:
    notebook = nbformat.read(FOLDER / name, as_version=4)
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    assert not [output for output in outputs if output.output_type == "error"]
    assert str(FOLDER.parent) not in (FOLDER / name).read_text()


def test_all_of_them_are_tried() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)
