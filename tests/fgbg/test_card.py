"""The dataset card: its text and its pictures."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgbg.card.card import _choose_varied, _pictures_shown, render_card, write_card
from fgbg.documents import make_manifest, make_statistics
from fgbg.formatting import format_bytes
from tests.dataset_helpers import SmallDataset
from tests.pictures_helpers import photo
from transforms.assets import Assets


def render(dataset: SmallDataset, **changes: Any) -> str:
    """Return the text of the card, with changes to the manifest."""
    summary = dataset.write_all()
    manifest = make_manifest(summary, dataset.metadata) | changes
    return render_card(make_statistics(summary, dataset.metadata), manifest, dataset.files)


def write(dataset: SmallDataset) -> Path:
    """Write the card and return its folder."""
    summary = dataset.write_all()
    statistics, manifest = make_statistics(summary, dataset.metadata), make_manifest(summary, dataset.metadata)
    write_card(dataset.files, dataset.companions, statistics, manifest)
    return Path(dataset.files.directory)


def row(text: str, name: str) -> list[str]:
    """Return the cells of the first table row that starts with this name."""
    (line, *_) = re.findall(rf"^\| {name} \|.*$", text, re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_234_567, "1.2 MB"), (9.96e9, "10.0 GB"), (2e15, "2000.0 TB")],
)
def test_format_bytes(size: float, text: str) -> None:
    assert format_bytes(size) == text


def test_card_shows_the_number_of_images_of_each_kind(tmp_path: Path) -> None:
    text = render(SmallDataset(tmp_path, depth_bits=16))
    counts = {kind: row(text, kind)[1] for kind in ("bg", "fg", "fg_mask", "fg_bg", "mask", "depth")}
    assert counts == {"bg": "3", "fg": "2", "fg_mask": "2", "fg_bg": "36", "mask": "36", "depth": "36"}
    assert (row(text, "train")[1], row(text, "test")[1]) == ("24", "12")


def test_card_shows_mean_and_std(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    mask = np.concatenate([dataset.batch(shard).mask for shard in range(dataset.layout.num_shards)]) / 255
    text = render(dataset).split("## Mean and standard deviation")[1]
    assert row(text, "mask")[1:3] == [f"{mask.mean():.4f}", f"{mask.std():.4f}"]


def test_card_shows_how_to_load_the_dataset(tmp_path: Path) -> None:
    assert 'tfds.load("small:1.0.0", split="train"' in render(SmallDataset(tmp_path))


def test_card_describes_the_depth_model(tmp_path: Path) -> None:
    text = render(SmallDataset(tmp_path, depth_bits=16))
    assert "predicted for each composite by `w.h5` (sha256 0123456789ab…, keras, float32, input 640x480)" in text
    assert "linear: metres = depth / 1000." in text


def test_card_states_that_there_is_no_depth(tmp_path: Path) -> None:
    text = render(SmallDataset(tmp_path))
    assert "This dataset has no depth maps." in text
    assert "metres =" not in text


def test_card_lists_skipped_inputs(tmp_path: Path) -> None:
    assert "- `bg/cut.jpg` is truncated" in render(SmallDataset(tmp_path))


def test_card_states_that_no_input_was_skipped(tmp_path: Path) -> None:
    assert "## Skipped inputs\n\nNone.\n" in render(SmallDataset(tmp_path), skipped=[])


def test_examples_on_the_card_are_varied() -> None:
    pairs = [(0, 0), (0, 0), (0, 1), (1, 1), (2, 0), (2, 2)]
    chosen = _choose_varied({"fg": fg, "bg": bg} for fg, bg in pairs)
    assert [(one["fg"], one["bg"]) for one in chosen[:3]] == [(0, 0), (1, 1), (2, 2)]
    assert len(chosen) == 6


@pytest.mark.parametrize("depth_bits", [None, 8, 16])
def test_card_links_every_picture_in_the_folder(tmp_path: Path, depth_bits: int | None) -> None:
    folder = write(SmallDataset(tmp_path, depth_bits=depth_bits))
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (folder / "README.md").read_text())
    assert len(shown) == 6
    assert sorted(shown) == sorted(str(path.relative_to(folder)) for path in (folder / "images").iterdir())
    for name in shown:
        with Image.open(folder / name) as image:
            image.load()
            assert image.format == "PNG"
            assert min(image.size) > 100


def test_pictures_have_rgb_channel_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    red = photo(16, 16) * 0 + np.array([255, 0, 0], np.uint8)
    monkeypatch.setattr(Assets, "background", lambda *_: red)
    folder = write(SmallDataset(tmp_path))
    for name, least in (("examples", 10_000), ("backgrounds", 3 * 16 * 16)):
        pixels = np.asarray(Image.open(folder / f"images/{name}.png").convert("RGB"))
        pure_red, pure_blue = ((pixels == colour).all(axis=-1).sum() for colour in ((255, 0, 0), (0, 0, 255)))
        assert pure_red >= least
        assert pure_blue == 0


def test_header_has_the_fields_of_the_hugging_face_hub(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    _, header, _ = render(SmallDataset(tmp_path, depth_bits=8)).split("---\n", 2)
    fields = yaml.safe_load(header)
    assert fields["task_categories"] == ["image-segmentation", "depth-estimation"]
    assert fields["size_categories"] == ["n<1K"]
    assert fields["pretty_name"] == "small:1.0.0"


def test_card_shows_the_number_of_pictures_and_examples_of_each_class(tmp_path: Path) -> None:
    text = render(SmallDataset(tmp_path))
    # There are two backgrounds of class river and one of class street, each with 2 x 2 x 3 examples.
    assert row(text, "river")[1:] == ["2", "24"]
    assert row(text, "street")[1:] == ["1", "12"]
    assert row(text, "dog")[1:] == row(text, "cat")[1:] == ["1", "18"]
    assert "18 of 36 examples have a mirrored foreground" in text


def test_card_shows_the_statistics_of_each_split(tmp_path: Path) -> None:
    text = render(SmallDataset(tmp_path)).split("## Mean and standard deviation")[1]
    assert len(re.findall(r"^\| mask \|", text, re.MULTILINE)) == 3
    assert "Split `train`:" in text
    assert "Split `test`:" in text


def test_card_names_the_held_out_pictures(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    (held_out,) = dataset.layout.splits[1].backgrounds
    assert f"share no background. Only in `test`: `{held_out}`.\n" in render(dataset)


def test_pictures_shown_are_at_even_intervals() -> None:
    assert _pictures_shown(3) == [0, 1, 2]
    chosen = _pictures_shown(1_000)
    assert (len(chosen), chosen[0], chosen[-1]) == (100, 0, 999)
    assert max(np.diff(chosen)) <= 11
