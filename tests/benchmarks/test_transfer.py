"""benchmarks/transfer.py on tiny scenes in both layouts, with networks of two steps."""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import transfer
import transfer_training
from PIL import Image
from transfer_baselines import OPENCV, best_threshold, difference_above, score
from transfer_report import Result, Run, tables
from transfer_scenes import load_scenes, masked_median, spread
from transfer_scores import Counts, Histogram, difference
from transfer_training import Network, Settings, Training, digest_of_pictures, pad
from transfer_variants import VARIANTS

from examples.train_unet import unet
from tests.end_to_end.helpers import ROOT, draw_inputs

HEIGHT, WIDTH = 20, 38
FILTERS = 2


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path, quality=100)


def empty_scene() -> np.ndarray:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([60 + 2 * x, 80 + 3 * y, np.full_like(x, 100)], axis=-1).astype(np.uint8)


def object_at(left: int) -> np.ndarray:
    inside = np.zeros((HEIGHT, WIDTH), np.bool_)
    inside[5:15, left : left + 8] = True
    return inside


def with_object(left: int) -> np.ndarray:
    frame = empty_scene()
    frame[object_at(left)] = 230
    return frame


def plain_scene(folder: Path) -> Path:
    """Three frames: of each the object, a column of unknown pixels, and in the first a row of shadow."""
    save(folder / "background.png", empty_scene())
    save(folder / "background_median.png", with_object(2))
    for number, left in enumerate((2, 12, 22)):
        truth = np.where(object_at(left), 255, 0)
        truth[:, -1] = 128
        shadow = np.zeros_like(truth)
        shadow[18, :] = 255 * (number == 0)
        save(folder / f"frames/{number:03d}.png", with_object(left))
        save(folder / f"truth/{number:03d}.png", truth)
        save(folder / f"shadow/{number:03d}.png", shadow)
    return folder


def cdnet_scene(folder: Path) -> Path:
    """Frames 3 to 6 have a truth; the last two rows are outside of the region of interest."""
    folder.mkdir(parents=True)
    (folder / "temporalROI.txt").write_text("3 6\n")
    save(folder / "ROI.bmp", np.where(np.arange(HEIGHT)[:, np.newaxis] < HEIGHT - 2, 255, 0) + np.zeros(WIDTH))
    for number in range(1, 8):
        left = 4 * number
        truth = np.where(object_at(left), 255, 0)
        truth[0] = 50
        truth[:, 0] = 170
        truth[-2:] = 85
        frame = with_object(left)
        frame[0] //= 2
        save(folder / f"input/in{number:06d}.jpg", frame)
        save(folder / f"groundtruth/gt{number:06d}.png", truth)
    return folder


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    plain_scene(tmp_path / "scenes/square")
    cdnet_scene(tmp_path / "scenes/baseline/block")
    return tmp_path / "scenes"


def test_f_is_that_of_a_case_by_hand() -> None:
    foreground = np.array([[1, 1, 1, 0, 0, 0, 0, 0]], np.bool_)
    background = np.array([[0, 0, 0, 1, 1, 1, 0, 0]], np.bool_)  # the last two are unknown
    shadow = np.array([[0, 0, 0, 1, 1, 0, 0, 0]], np.bool_)
    predicted = np.array([[1, 1, 0, 1, 0, 0, 1, 1]], np.bool_)
    counts = Counts.of(predicted, foreground, background, shadow)
    assert counts == Counts(hits=2, false_alarms=1, misses=1, shadow=2, shadow_alarms=1)
    assert counts.f == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    # Over the frames of a scene pixels are summed, not scores.
    assert (counts + Counts(hits=4)).f == pytest.approx(12 / 14)
    assert Counts().f == 1


def test_the_best_threshold_is_that_of_a_search() -> None:
    random = np.random.default_rng(0)
    values = random.integers(0, 256, (30, 30), np.uint8)
    foreground = values + random.normal(0, 40, values.shape) > 120
    background = ~foreground & (random.random(values.shape) < 0.9)
    histogram = Histogram()
    histogram.add(values, foreground, background)
    scores = [Counts.of(values > t, foreground, background, ~foreground).f for t in range(256)]
    assert histogram.best_threshold() == int(np.argmax(scores))


def test_difference_is_the_largest_of_a_channel() -> None:
    a, b = np.array([[[10, 250, 30]]], np.uint8), np.array([[[20, 5, 30]]], np.uint8)
    assert difference(a, b).tolist() == difference(b, a).tolist() == [[245]]


def test_masked_median() -> None:
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (7, 40, 9, 3), np.uint8)
    mask = random.random((7, 40, 9)) < 0.5
    mask[:, 0, 0] = False
    result = masked_median(images, mask)
    for y, x in np.ndindex(40, 9):
        values = images[mask[:, y, x], y, x] if mask[:, y, x].any() else images[:, y, x]
        assert result[y, x].tolist() == np.sort(values, axis=0)[(len(values) - 1) // 2].tolist()


def test_frames_are_spread_evenly() -> None:
    assert spread(range(10), 4) == [0, 3, 6, 9]
    assert spread(range(3), 4) == [0, 1, 2]
    assert spread(range(5), 1) == [0]


def test_both_layouts_are_read(scenes: Path) -> None:
    block, square = load_scenes(scenes, most_frames=50)
    assert (block.name, square.name) == ("baseline/block", "square")

    assert square.names == ["000.png", "001.png", "002.png"]
    np.testing.assert_array_equal(square.plate, empty_scene())
    np.testing.assert_array_equal(square.ghosted, with_object(2))
    first, second, _ = square
    np.testing.assert_array_equal(first.foreground, object_at(2))
    assert not (first.foreground | first.background)[:, -1].any()
    # A shadow counts where the truth says background.
    assert first.shadow[18, :-1].all()
    assert first.shadow.sum() == WIDTH - 1
    assert not second.shadow.any()

    assert block.names == ["000003", "000004", "000005", "000006"]
    frame = block.read("000004")
    np.testing.assert_array_equal(frame.foreground, object_at(16))
    assert frame.shadow[0, 1:].all()
    assert frame.background[0, 1:].all()
    known = frame.foreground | frame.background
    assert known[: HEIGHT - 2, 1:].all()
    assert not known[HEIGHT - 2 :].any()
    assert not known[:, 0].any()
    # The object covers each place in at most two of the four frames, so that the plate has none of it.
    assert np.abs(block.plate[1:].astype(int) - empty_scene()[1:])[1:-2].max() < 25


def test_a_scene_of_many_frames_is_sampled(scenes: Path) -> None:
    block, square = load_scenes(scenes, most_frames=2)
    assert block.names == ["000003", "000006"]
    assert square.names == ["000.png", "002.png"]


def test_the_region_of_interest_limits_what_counts(scenes: Path) -> None:
    save(scenes / "baseline/block/ROI.bmp", np.zeros((HEIGHT, WIDTH)))
    block, _ = load_scenes(scenes, most_frames=50)
    assert not any((frame.foreground | frame.background | frame.shadow).any() for frame in block)


def test_the_digest_is_that_of_all_pixels(scenes: Path) -> None:
    before = [scene.digest() for scene in load_scenes(scenes, 50)]
    truth = np.where(object_at(3), 255, 0)
    save(scenes / "square/truth/002.png", truth)
    after = [scene.digest() for scene in load_scenes(scenes, 50)]
    assert before[0] == after[0]
    assert before[1] != after[1]


def small(path: Path) -> None:
    save(path, np.zeros((HEIGHT, WIDTH - 1)))


def grey(path: Path) -> None:
    save(path, np.full((HEIGHT, WIDTH), 77))


def text(path: Path) -> None:
    path.write_text("no picture")


@pytest.mark.parametrize(
    ("path", "spoil", "message"),
    [
        ("square/background.png", Path.unlink, r"There is no .*background\.png"),
        ("square/truth/001.png", Path.unlink, r"There is no .*truth/001\.png"),
        ("square/shadow/001.png", Path.unlink, r"There is no .*shadow/001\.png"),
        ("square/frames/001.png", Path.unlink, r"truth/001\.png has no frame .*frames/001\.png"),
        ("square/frames", shutil.rmtree, r"square/frames contains no frames NAME\.png"),
        ("square/frames/001.png", small, r"frames/001\.png has 37x20 pixels; its scene has 38x20"),
        ("square/truth/001.png", small, r"truth/001\.png has 37x20 pixels; its scene has 38x20"),
        ("square/background_median.png", small, r"background_median\.png has 37x20 pixels; its scene has 38x20"),
        ("square/truth/001.png", grey, r"truth/001\.png contains the value 77; a pixel must be 0, 128 or 255"),
        ("square/frames/001.png", text, r"frames/001\.png is not a picture that can be read"),
        ("baseline/block/ROI.bmp", Path.unlink, r"There is no .*ROI\.bmp"),
        ("baseline/block/ROI.bmp", small, r"in000003\.jpg has 38x20 pixels; its scene has 37x20"),
        ("baseline/block/temporalROI.txt", Path.unlink, r"There is no .*temporalROI\.txt"),
        ("baseline/block/temporalROI.txt", text, r"temporalROI\.txt must contain two numbers"),
        ("baseline/block/temporalROI.txt", lambda p: p.write_text("6 3"), r"frames 6 to 3 .* not a range"),
        ("baseline/block/temporalROI.txt", lambda p: p.write_text("3 9"), r"There is no .*in000008\.jpg"),
        ("baseline/block/groundtruth/gt000004.png", Path.unlink, r"There is no .*gt000004\.png"),
        ("baseline/block/groundtruth/gt000004.png", grey, r"value 77; a pixel must be 0, 50, 85, 170 or 255"),
        ("baseline/block/input", lambda p: shutil.rmtree(p.parent), r"baseline is neither a scene with frames/ nor"),
    ],
)
def test_what_is_wrong_with_a_scene_is_said(
    scenes: Path, path: str, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(scenes / path)

    def read_all() -> None:
        for scene in load_scenes(scenes, most_frames=50):
            scene.digest()

    with pytest.raises(ValueError, match=message):
        read_all()


def test_no_scenes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no folder"):
        load_scenes(tmp_path / "nowhere", 50)
    with pytest.raises(ValueError, match="contains no scenes"):
        load_scenes(tmp_path, 50)


@pytest.mark.parametrize("name", OPENCV)
def test_opencv_finds_the_object_after_seeing_the_plate(scenes: Path, name: str) -> None:
    _, square = load_scenes(scenes, 50)
    assert score(square, square.plate, OPENCV[name]).f > 0.9
    # The ghost of the first frame is foreground in the other two, and hides the object in the first.
    assert square.ghosted is not None
    assert score(square, square.ghosted, OPENCV[name]).f < 0.8


def test_difference(scenes: Path) -> None:
    _, square = load_scenes(scenes, 50)
    assert score(square, square.plate, difference_above(best_threshold(square, square.plate))).f == 1
    assert score(square, square.plate, difference_above(255)).f == 0


@pytest.mark.parametrize(("height", "width"), [(16, 32), (17, 33), (3, 50), (1, 1)])
def test_padding_reflects_to_multiples_of_16(height: int, width: int) -> None:
    image = np.arange(height * width * 3, dtype=np.uint32).reshape(height, width, 3).astype(np.uint8)
    padded = pad(image)
    assert [padded.shape[0] % 16, padded.shape[1] % 16] == [0, 0]
    assert padded.shape[0] < height + 16
    np.testing.assert_array_equal(padded[:height, :width], image)
    if height > 1 and padded.shape[0] > height:
        np.testing.assert_array_equal(padded[height, :width], image[-2])


def test_frames_of_any_size_keep_their_size(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = unet(None, FILTERS, None)
    model.save_weights(tmp_path / "network.weights.h5")
    record: dict[str, Any] = {"threshold": 3, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    (tmp_path / "training.json").write_text(json.dumps(record))
    network = Network(tmp_path, FILTERS)
    # One network meets scenes of several sizes, one after the other.
    for height, width in ((HEIGHT, WIDTH), (16, 32), (HEIGHT, 17)):
        plate, frame = (image[:height, :width] for image in (empty_scene(), with_object(7)))
        probability = network.probability(plate, frame)
        assert probability.shape == (height, width)
        pair = [(pad(image)[np.newaxis] / 255 - record["mean"]) / record["std"] for image in (plate, frame)]
        expected = np.asarray(model(pair, training=False))[0, :height, :width, 0]
        np.testing.assert_allclose(probability, expected, atol=1e-5)
        np.testing.assert_array_equal(network(plate)(frame), probability > 0.5)


def test_tables_have_means_spreads_and_no_foreign_markup() -> None:
    def run(hits: int) -> Run:
        return Run({"a|\n*b*": Counts(hits, 10, 0, 4, 1), "c": Counts(10, 0, 0)}, {"c": Counts(hits, 0, hits)})

    text = tables([Result("U-Net", [run(10), run(20)]), Result("MOG2", [run(10)])], ["a|\n*b*", "c"])
    # F of the first scene: 20/30 and 40/50.
    assert "| U-Net | 0.867 ± 0.047 | 0.667 ± 0.000 | 0.250 ± 0.000 |" in text
    assert "| MOG2 | 0.833 | 0.667 | 0.250 |" in text
    assert "| a???b? | 0.733 | 0.667 |" in text
    assert "| c | 1.000 | 1.000 |" in text


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    inputs = draw_inputs(tmp_path_factory.mktemp("inputs"), 32)
    return Settings(inputs.backgrounds, inputs.foregrounds, 2, 4, FILTERS, 32)


@pytest.fixture(scope="module")
def data_dir(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of both variants with seed 0."""
    folder = tmp_path_factory.mktemp("data")
    transfer_training.build(Training("plain", VARIANTS["plain"], 0, settings, "sha"), folder)
    return folder


def test_a_failed_build_says_why(settings: Settings, tmp_path: Path) -> None:
    wrong = Settings(tmp_path / "nowhere", settings.foregrounds, 2, 4, FILTERS, 32)
    with pytest.raises(RuntimeError, match=r"`build` failed for the variant plain:[\s\S]*nowhere"):
        transfer_training.build(Training("plain", VARIANTS["plain"], 0, wrong, "sha"), tmp_path / "data")


def test_what_decides_a_network_is_its_identity(settings: Settings, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    shutil.copytree(settings.backgrounds, pictures)
    before = digest_of_pictures(pictures)
    next(pictures.rglob("*.png")).rename(pictures / "other.png")
    assert digest_of_pictures(pictures) != before
    with pytest.raises(ValueError, match="nowhere contains no pictures"):
        digest_of_pictures(tmp_path / "nowhere")

    def folder(name: str = "plain", seed: int = 0, inputs: str = "sha") -> Path:
        return Training(name, VARIANTS[name], seed, settings, inputs).folder(tmp_path)

    assert len({folder(), folder("light"), folder(seed=1), folder(inputs="other")}) == 4
    assert folder() == folder()


@pytest.mark.slow
def test_it_resumes_and_leaves_table_figures_and_picture(
    settings: Settings,
    data_dir: Path,
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = argparse.Namespace(
        scenes=scenes, output=tmp_path / "out", variants=["plain", "light"], seeds=1, frames=50, **vars_of(settings)
    )
    trained: list[Any] = []

    def build(training: Training, folder: Path) -> None:
        shutil.copytree(data_dir, folder, dirs_exist_ok=True)

    def train(training: Training, folder: Path, output: Path) -> None:
        if interrupted and training.name == "light":
            raise KeyboardInterrupt
        trained.append(training.name)
        transfer_training.train(training, folder, output)

    monkeypatch.setattr(transfer, "build", build)
    monkeypatch.setattr(transfer, "train", train)
    interrupted = True
    with pytest.raises(KeyboardInterrupt):
        transfer.run(arguments)
    interrupted = False
    transfer.run(arguments)
    assert trained == ["plain", "light"]
    output = capsys.readouterr().out
    assert "Resuming: 1 of 2 trainings are finished." in output

    table = (arguments.output / "table.md").read_text()
    assert table in output
    rows = re.findall(r"^\| (.*?) \|", table, flags=re.MULTILINE)
    assert {"U-Net, `plain`", "U-Net, `light`", "MOG2 (OpenCV)", "KNN (OpenCV)", "baseline/block", "square"} <= set(
        rows
    )
    assert sum("chosen on" in row for row in rows) == 2
    results = json.loads((arguments.output / "results.json").read_text())
    assert results["results"]["difference, best threshold of each scene"][0]["clean"]["square"]["misses"] == 0
    with Image.open(arguments.output / "sheet.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 22) or ()) > 100
    assert not (arguments.output / "datasets").exists()

    # The same seed gives the same network, on the same dataset other augmentation another.
    inputs = digest_of_pictures(settings.backgrounds, settings.foregrounds)
    plain, light = (Training(name, VARIANTS[name], 0, settings, inputs) for name in ("plain", "light"))
    transfer_training.train(plain, data_dir, tmp_path / "again")
    kept = weights(plain.folder(arguments.output))
    np.testing.assert_array_equal(weights(tmp_path / "again"), kept)
    assert not np.array_equal(weights(light.folder(arguments.output)), kept)

    # A third run trains nothing and takes the kept scores.
    monkeypatch.setattr(Network, "probability", None)
    monkeypatch.setattr(transfer, "draw_sheet", lambda *rest: None)
    transfer.run(arguments)
    assert trained == ["plain", "light"]
    assert (arguments.output / "table.md").read_text() == table


def weights(folder: Path) -> np.ndarray:
    model = unet(None, FILTERS, None)
    model.load_weights(folder / "network.weights.h5")
    return np.concatenate([value.ravel() for value in model.get_weights()])


def vars_of(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in Settings.__dataclass_fields__}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--image_size=40"], "--image_size 40 is not a multiple of 16"),
        (["--seeds=0"], "0 must be an integer >= 1"),
        (["--variants", "plain", "plain"], "--variants names a variant twice"),
        ([], "transfer: There is no folder"),
    ],
)
def test_wrong_use_is_said_in_a_sentence(
    tmp_path: Path,
    flags: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = [f"--{name}={tmp_path / 'nowhere'}" for name in ("scenes", "backgrounds", "foregrounds", "output")]
    monkeypatch.setattr(sys, "argv", ["transfer.py", *folders, *flags])
    with pytest.raises(SystemExit) as exited:
        transfer.main()
    assert exited.value.code == 2
    assert message in capsys.readouterr().err


def test_it_starts_as_a_script() -> None:
    command = [sys.executable, "benchmarks/transfer.py", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--scenes" in done.stdout
