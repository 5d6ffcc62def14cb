"""The Dockerfile against what it copies, and its versions against each other and constraints.txt."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import setuptools
import yaml

from deploy.make_metadata import METADATA
from tests.end_to_end.helpers import ROOT

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [
    line.split(maxsplit=1) for line in DOCKERFILE.replace("\\\n", "").splitlines() if line and not line.startswith("#")
]


def pins(path: Path) -> dict[str, str]:
    """Name -> version of every package."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.partition(";")[0].strip().split("==") for line in lines)


def stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Name -> (image it starts from, its instructions)."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    name = ""
    for instruction, rest in INSTRUCTIONS:
        if instruction == "FROM":
            image, name = rest.split(" AS ")
            found[name] = (image, [])
        else:
            found[name][1].append((instruction, rest))
    return found


def test_beam_is_the_one_that_is_installed() -> None:
    image, _ = stages()["beam"]
    assert image == f"apache/beam_python3.11_sdk:{pins(ROOT / 'constraints.txt')['apache-beam']}"


def test_one_python_and_no_moving_tags() -> None:
    images = [image for image, _ in stages().values() if image not in stages()]
    assert images
    for image in images:
        assert re.search(r":[\w.-]*\d", image), f"{image} has no version"
        assert "latest" not in image
        assert re.search(r"python:?3\.?11", image), f"{image} has another Python"


def test_entry_points() -> None:
    # The last one counts; worker-gpu has that of worker.
    entries = {
        name: [json.loads(rest) for word, rest in lines if word == "ENTRYPOINT"]
        for name, (_, lines) in stages().items()
    }
    assert entries["worker"] == [["/opt/apache/beam/boot"]]
    assert entries["worker-gpu"] == []
    assert stages()["worker-gpu"][0] == "worker"
    assert entries["template"] == [["/opt/google/dataflow/python_template_launcher"]]
    assert ("COPY", "--from=beam /opt/apache/beam /opt/apache/beam") in stages()["worker"][1]


def test_what_is_copied_is_there_and_is_all_that_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = {
        source
        for instruction, rest in INSTRUCTIONS
        if instruction == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    for source in copied:
        assert (ROOT / source).exists(), source
    packed: dict[str, Any] = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", lambda **given: packed.update(given))
    runpy.run_path(str(ROOT / "setup.py"))
    folders = {package.split(".")[0] for package in packed["packages"]} | {"samples"}
    assert folders <= copied
    assert {"setup.py", "pyproject.toml", "MANIFEST.in", "README.md"} <= copied
    asked = set(re.findall(r"'\.\[(.*?)\]'", DOCKERFILE))
    assert {extra for extras in asked for extra in extras.split(",")} <= packed["extras_require"].keys()


def test_every_installation_is_pinned() -> None:
    installations = [rest for instruction, rest in INSTRUCTIONS if instruction == "RUN" and "pip install" in rest]
    assert len(installations) == 2
    for line in installations:
        assert "--constraint constraints.txt --constraint deploy/constraints.txt" in line
    here = pins(ROOT / "deploy/constraints.txt")
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "setuptools"} <= here.keys()
    assert not here.keys() & pins(ROOT / "constraints.txt").keys()


def test_builds_name_the_targets() -> None:
    build = yaml.safe_load((ROOT / "deploy/cloudbuild.yaml").read_text())
    built = {step["id"]: step["args"] for step in build["steps"]}
    assert built.keys() == {"worker", "worker-gpu", "template"} <= stages().keys()
    for target, arguments in built.items():
        assert f"--target={target}" in arguments
        assert f"--tag=${{_IMAGES}}/{target}:${{_TAG}}" in arguments
    assert build["images"] == [f"${{_IMAGES}}/{target}:${{_TAG}}" for target in built]


def test_the_launcher_is_where_the_template_looks_for_it() -> None:
    _, lines = stages()["template"]
    assert ("COPY", "deploy/launch.py /fgbg/deploy/") in lines
    assert ("ENV", "FLEX_TEMPLATE_PYTHON_PY_FILE=/fgbg/deploy/launch.py") in lines
    assert METADATA.with_name("launch.py").is_file()
