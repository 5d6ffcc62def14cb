"""The commands for contributors: `make help` lists them all, and every test is run by one of them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> str:
    """What `make` prints."""
    return subprocess.run(["make", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True).stdout


def test_help_lists_every_target() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert sorted(re.findall(r"^make ([\w-]+) +\w", make("help"), flags=re.MULTILINE)) == sorted(targets.split())


def test_what_make_test_leaves_out_is_run_by_ci() -> None:
    assert '-m "not slow"' in make("--dry-run", "test")
    assert "-m slow" in make("--dry-run", "test-slow")
    assert {"make test", "make test-slow"} <= set((ROOT / ".ci/run").read_text().splitlines())
