"""The Dockerfile: the files that it copies, and consistent versions in it and constraints.txt."""

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
    """Return the version of each package by name."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.partition(";")[0].strip().split("==") for line in lines)


def stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Return (base image, instructions) of each stage by name."""
    result: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    name = ""
    for instruction, rest in INSTRUCTIONS:
        if instruction == "FROM":
            image, name = rest.split(" AS ")
            result[name] = (image, [])
        else:
            result[name][1].append((instruction, rest))
    return result


def test_beam_image_has_the_version_of_the_package() -> None:
    image, _ = stages()["beam"]
    assert image == f"apache/beam_python3.11_sdk:{pins(ROOT / 'constraints.txt')['apache-beam']}"


def test_images_have_fixed_tags_and_the_same_python() -> None:
    images = [image for image, _ in stages().values() if image not in stages()]
    assert images
    for image in images:
        assert re.search(r":[\w.-]*\d", image), f"{image} has no version"
        assert "latest" not in image
        assert re.search(r"python:?3\.?11", image), f"{image} has another Python"


def test_entry_points() -> None:
    # The last entry point of an image applies; worker-gpu inherits that of worker.
    entries = {
        name: [json.loads(rest) for word, rest in lines if word == "ENTRYPOINT"]
        for name, (_, lines) in stages().items()
    }
    assert entries["worker"] == [["/opt/apache/beam/boot"]]
    assert entries["worker-gpu"] == []
    assert stages()["worker-gpu"][0] == "worker"
    assert entries["template"] == [["/opt/google/dataflow/python_template_launcher"]]
    assert ("COPY", "--from=beam /opt/apache/beam /opt/apache/beam") in stages()["worker"][1]


def test_copied_files_exist_and_include_all_packages(monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: packed.update(keywords))
    runpy.run_path(str(ROOT / "setup.py"))
    folders = {package.split(".")[0] for package in packed["packages"]} | {"samples"}
    assert folders <= copied
    assert {"setup.py", "pyproject.toml", "MANIFEST.in", "README.md"} <= copied
    extras_installed = set(re.findall(r"'\.\[(.*?)\]'", DOCKERFILE))
    assert {extra for extras in extras_installed for extra in extras.split(",")} <= packed["extras_require"].keys()


def test_every_installation_is_pinned() -> None:
    installations = [rest for instruction, rest in INSTRUCTIONS if instruction == "RUN" and "pip install" in rest]
    assert len(installations) == 2
    for line in installations:
        assert "--constraint constraints.txt --constraint deploy/constraints.txt" in line
    deploy_pins = pins(ROOT / "deploy/constraints.txt")
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "wheel"} <= deploy_pins.keys()
    assert "setuptools" in pins(ROOT / "constraints.txt")
    assert not deploy_pins.keys() & pins(ROOT / "constraints.txt").keys()


def test_cloud_build_steps_match_the_targets() -> None:
    build = yaml.safe_load((ROOT / "deploy/cloudbuild.yaml").read_text())
    built = {step["id"]: step["args"] for step in build["steps"]}
    assert built.keys() == {"worker", "worker-gpu", "template"} <= stages().keys()
    for target, arguments in built.items():
        assert f"--target={target}" in arguments
        assert f"--tag=${{_IMAGES}}/{target}:${{_TAG}}" in arguments
    assert build["images"] == [f"${{_IMAGES}}/{target}:${{_TAG}}" for target in built]


def test_launcher_is_at_the_path_of_the_template() -> None:
    _, lines = stages()["template"]
    assert ("COPY", "deploy/launch.py /fgbg/deploy/") in lines
    assert ("ENV", "FLEX_TEMPLATE_PYTHON_PY_FILE=/fgbg/deploy/launch.py") in lines
    assert METADATA.with_name("launch.py").is_file()
