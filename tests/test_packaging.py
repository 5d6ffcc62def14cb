"""What is packed for users and for Beam's workers: all that runs, nothing else, and installable on its own."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest
from apache_beam.runners.portability.stager import Stager
from packaging.requirements import Requirement

from tests.end_to_end.helpers import TWO_PROCESSES, content, read_examples, shard_files

ROOT = Path(__file__).parents[1]
FOLDERS = ("fgbg", "pipeline", "transforms", "tfds_builder", "samples")
# Extras that bring CUDA on Linux, which no contributor needs.
CUDA = {"gpu", "pytorch"}
BESIDE = ("CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this one without what is made in it, but with what an earlier version may have left."""
    made = ignore_patterns(".*", "*.egg-info", "__pycache__")
    made_at_top = {"build", "dist", "demo_data"}
    copy = copytree(
        ROOT,
        tmp_path_factory.mktemp("packaging") / "checkout",
        ignore=lambda folder, names: {*made(folder, names), *(made_at_top if folder == str(ROOT) else ())},
    )
    left = copy / "fgbg_depth.egg-info" / "SOURCES.txt"
    left.parent.mkdir()
    left.write_text("tests/test_packaging.py\ntests/__init__.py\n")
    return copy


@pytest.fixture(scope="module")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As Beam makes it of `--setup_file`."""
    return make_sdist(checkout, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the sdist alone."""
    return make_wheel(unpack(sdist, tmp_path_factory.mktemp("unpacked")), tmp_path_factory.mktemp("wheel"))


def make_sdist(source: Path, folder: Path) -> Path:
    return Path(Stager._build_setup_package(str(source / "setup.py"), str(folder)))


def unpack(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


def make_wheel(source: Path, folder: Path) -> Path:
    command: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, source]
    run(*command, cwd=folder, env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"})
    (wheel,) = folder.iterdir()
    return wheel


def files_below(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of every file."""
    return {path: data for path, data in content(folder).items() if "__pycache__" not in path}


def runs(checkout: Path) -> dict[str, bytes]:
    """All that must be packed."""
    return {path: data for path, data in files_below(checkout).items() if path.split("/")[0] in FOLDERS}


def test_the_sdist_holds_all_that_runs_and_nothing_else(checkout: Path, sdist: Path, tmp_path: Path) -> None:
    packed = files_below(unpack(sdist, tmp_path))
    for path in [path for path in packed if path.startswith("fgbg_depth.egg-info/")] + ["PKG-INFO", "setup.cfg"]:
        del packed[path]
    assert packed == runs(checkout) | {name: (checkout / name).read_bytes() for name in BESIDE}


def test_the_wheel_holds_all_that_runs_and_nothing_else(checkout: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {re.sub("^samples/", "pipeline/samples/", path): data for path, data in runs(checkout).items()}


def test_every_package_says_that_it_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed >= {f"{path.split('/')[0]}/py.typed" for path in packed}


def test_packing_twice_gives_the_same(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """Of the sdist: the same files. Of the wheel: the same bytes."""
    first = unpack(sdist, tmp_path / "first")
    again = unpack(make_sdist(first, tmp_path), tmp_path / "again")
    assert files_below(again) == files_below(first)
    (tmp_path / "wheel").mkdir()
    assert make_wheel(again, tmp_path / "wheel").read_bytes() == wheel.read_bytes()


def test_extras(wheel: Path) -> None:
    extras = requirements_by_extra(wheel)
    assert {"gcp", "gpu", "openvino", "cutout", "pytorch", "dev"} <= extras.keys()
    for extra in extras.keys() - CUDA:
        assert extras[extra] <= extras["dev"], f"a contributor lacks what {extra} needs"


def test_no_extra_for_contributors_brings_cuda(wheel: Path) -> None:
    extras = requirements_by_extra(wheel)
    assert "torch" in extras["pytorch"]
    assert "torch" not in extras["test"] | extras["dev"]
    assert [name for name in pinned() if re.match("torch|triton|nvidia-|cuda-", name)] == []


def test_extras_that_are_written_of(checkout: Path, wheel: Path) -> None:
    texts = [path for path in checkout.rglob("*") if path.suffix in (".md", ".py", ".ipynb") or path.name == "Makefile"]
    written = {name for path in texts for name in re.findall(r"install[^\n]*['\"`]?\.\[(\w+)\]", path.read_text())}
    assert "test" in written
    assert written <= requirements_by_extra(wheel).keys()


def test_all_that_is_required_is_pinned(wheel: Path) -> None:
    pins = pinned()
    asked = [Requirement(line) for line in wheel_metadata(wheel).requires or ()]
    asked = [one for one in asked if one.name != "torch"]  # which build fits depends on the machine
    assert [f"{one}" for one in asked if not one.specifier.contains(pins.get(normalized(one.name), "none"))] == []


@pytest.mark.slow
def test_the_sdist_alone_builds_a_dataset(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """In an environment that has what the sdist requires and nothing else, in another folder, in worker processes."""
    python = make_environment(tmp_path / "environment", required(wheel_metadata(wheel)))
    install = ["--no-index", "--no-build-isolation", "--constraint", str(ROOT / "constraints.txt"), str(sdist)]
    pip(python, "install", *install)
    pip(python, "check")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    flags = ["--depth_model=mini", "--placements=1", "--image_size=48", "--data_dir=data", *TWO_PROCESSES]
    bare = {"PATH": os.defpath, "HOME": str(tmp_path)}
    done = run(python.with_name("fgbg"), "build", *flags, cwd=elsewhere, env=bare)
    assert "84 examples (train 84)" in done
    examples = read_examples(shard_files(elsewhere / "data"))
    assert len(examples) == 7 * 6 * 2
    assert all(example["depth"].std() > 0 for example in examples)


def required(packed: Distribution) -> dict[str, Distribution]:
    """What a distribution requires, and what that requires, without the extras that nobody asked for."""
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()

    def follow(one: Distribution, extra: str) -> None:
        for requirement in map(Requirement, one.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                name = normalized(requirement.name)
                found[name] = distribution(name)
                for wanted in {(name, ""), *((name, more) for more in requirement.extras)} - asked:
                    asked.add(wanted)
                    follow(found[name], wanted[1])

    follow(packed, "")
    return found


def make_environment(folder: Path, distributions: dict[str, Distribution]) -> Path:
    """A virtual environment with these distributions, linked file by file to those that run this test."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for one in distributions.values():
        for file in one.files or ():
            if ".." not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                (site / file).symlink_to(file.locate())
    return python


def pip(python: Path, *arguments: str) -> None:
    run(sys.executable, "-m", "pip", "--python", python, *arguments)


def run(*command: str | Path, **options: Any) -> str:
    """What a command that ends well prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel_metadata(wheel: Path) -> Distribution:
    (metadata,) = distributions(path=[str(wheel)])
    return metadata


def requirements_by_extra(wheel: Path) -> dict[str, set[str]]:
    """Extra -> names of what it adds."""
    metadata = wheel_metadata(wheel)
    asked = [Requirement(line) for line in metadata.requires or ()]
    return {
        extra: {one.name for one in asked if one.marker and one.marker.evaluate({"extra": extra})}
        for extra in metadata.metadata.get_all("Provides-Extra") or ()
    }


def pinned() -> dict[str, str]:
    """Name -> version of all that constraints.txt pins."""
    pins = re.findall(r"^([\w.-]+)==([^;\s]+)", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    return {normalized(name): version for name, version in pins}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
