"""The floors of the code base: who may import whom, and what starting the program loads."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("fgbg", "transforms", "pipeline", "tfds_builder")
HEAVY = ("apache_beam", "cv2", "h5py", "keras", "tensorflow", "tensorflow_datasets")


def check_contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the packages, to be changed."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.h5"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_are_kept(checkout: Path) -> None:
    result = check_contracts(checkout)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "wrong_import", "contract"),
    [
        ("fgbg/records.py", "import transforms.placements", "Floors"),
        ("transforms/placements.py", "import pipeline.cli", "Floors"),
        ("pipeline/export/run_export.py", "import pipeline.build.graph", "Commands do not import each other"),
        ("pipeline/common/progress.py", "import pipeline.parser", "What commands share knows no command"),
        ("fgbg/records.py", "import apache_beam", "The ground floor uses Beam only for files and weights"),
        ("pipeline/common/flag_types.py", "import cv2", "Flags and the parser import nothing heavy"),
    ],
)
def test_a_wrong_import_is_found(checkout: Path, module: str, wrong_import: str, contract: str) -> None:
    path = checkout / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{wrong_import}\n", encoding="utf-8")
    result = check_contracts(checkout)
    assert result.returncode == 1
    assert f"{contract} BROKEN" in result.stdout


def loaded_by(code: str) -> list[str]:
    """Which of the heavy packages a fresh process has imported after running some code."""
    report = f"import json, sys; {code}; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    output = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return json.loads(output.splitlines()[-1])


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["--version"], ["build", "--seed=-1"]])
def test_help_and_errors_in_our_own_flags_load_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import contextlib
from pipeline.cli import main
with contextlib.suppress(SystemExit):
    main({arguments!r})
"""
    assert loaded_by(f"exec({code!r})") == []


@pytest.mark.parametrize("module", ["errors", "features", "cross_product", "random_bits", "settings"])
def test_the_contract_of_a_dataset_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(f"import fgbg.{module}") == []
