"""The card: what was made, in numbers and pictures."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.dataset_helpers import SmallDataset
from tests.pictures_helpers import photo
from transforms.card import _varied, colour_depth, contact_sheet, depth_in_metres, format_bytes, render_card
from transforms.metadata import make_manifest, make_statistics


def card(dataset: SmallDataset, **manifest: Any) -> str:
    summary = dataset.write_all()
    told = make_manifest(summary, dataset.metadata) | manifest
    return render_card(make_statistics(summary, dataset.metadata), told, dataset.schema, dataset.files, "images/x.png")


def sheet(dataset: SmallDataset) -> Image.Image:
    dataset.write_all()
    shard = dataset.files.shard_name("train", 0, dataset.layout.shards_of(dataset.layout.splits[0]))
    return Image.open(io.BytesIO(contact_sheet(dataset.files, shard, dataset.companions["background"], 3)))


def row(text: str, name: str) -> list[str]:
    """The cells of the first table row that starts with this name."""
    (line, *_) = re.findall(rf"^\| {name} \|.*$", text, re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_234_567, "1.2 MB"), (9.96e9, "10.0 GB"), (2e15, "2000.0 TB")],
)
def test_format_bytes(size: float, text: str) -> None:
    assert format_bytes(size) == text


def test_card_counts_the_kinds(tmp_path: Path) -> None:
    text = card(SmallDataset(tmp_path, depth_bits=16))
    counts = {kind: row(text, kind)[1] for kind in ("bg", "fg", "fg_mask", "fg_bg", "mask", "depth")}
    assert counts == {"bg": "3", "fg": "2", "fg_mask": "2", "fg_bg": "36", "mask": "36", "depth": "36"}
    assert (row(text, "train")[1], row(text, "test")[1]) == ("24", "12")


def test_card_tells_mean_and_std(tmp_path: Path) -> None:
    dataset = SmallDataset(tmp_path)
    mask = np.concatenate([dataset.batch(shard).mask for shard in range(dataset.layout.num_shards)]) / 255
    text = card(dataset).split("## Mean and standard deviation")[1]
    assert row(text, "mask")[1:3] == [f"{mask.mean():.4f}", f"{mask.std():.4f}"]


def test_card_tells_how_to_load_it(tmp_path: Path) -> None:
    assert 'tfds.load("small:1.0.0", split="train"' in card(SmallDataset(tmp_path))


def test_card_tells_what_made_the_depth(tmp_path: Path) -> None:
    text = card(SmallDataset(tmp_path, depth_bits=16))
    assert "predicted for each composite by `w.h5` (sha256 0123456789ab…, keras, float32, input 640x480)" in text
    assert "linear: metres = depth / 1000." in text


def test_card_without_depth_says_so(tmp_path: Path) -> None:
    text = card(SmallDataset(tmp_path))
    assert "This dataset was made without depth." in text
    assert "metres =" not in text


def test_card_lists_inputs_left_out(tmp_path: Path) -> None:
    assert "- `bg/cut.jpg` is truncated" in card(SmallDataset(tmp_path))


def test_card_without_inputs_left_out_says_so(tmp_path: Path) -> None:
    assert "## Inputs left out\n\nNone.\n" in card(SmallDataset(tmp_path), skipped=[])


@pytest.mark.parametrize(
    ("stored", "metres"), [(np.uint16(2_500), 2.5), (np.uint8(51), 2.0), (np.uint16(65_535), 65.535)]
)
def test_depth_in_metres(stored: np.integer, metres: float) -> None:
    assert depth_in_metres(np.array([[stored]])) == pytest.approx(metres)


def test_near_is_bright() -> None:
    colours = colour_depth(np.array([[1, 5, 9]], np.float32), 1, 9).astype(int).sum(axis=-1)[0]
    assert colours[0] > colours[1] > colours[2]


def test_flat_depth_can_be_coloured() -> None:
    assert colour_depth(np.full((2, 2), 3, np.float32), 3, 3).shape == (2, 2, 3)


def test_examples_shown_are_varied() -> None:
    pairs = [(0, 0), (0, 0), (0, 1), (1, 1), (2, 0), (2, 2)]
    chosen = _varied({"fg": fg, "bg": bg} for fg, bg in pairs)
    assert [(one["fg"], one["bg"]) for one in chosen[:3]] == [(0, 0), (1, 1), (2, 2)]
    assert len(chosen) == 6


@pytest.mark.parametrize("depth_bits", [None, 8, 16])
def test_contact_sheet_is_a_picture(tmp_path: Path, depth_bits: int | None) -> None:
    dataset = SmallDataset(tmp_path, depth_bits=depth_bits)
    image = sheet(dataset)
    assert image.format == "PNG"
    assert min(image.size) > 300


def test_contact_sheet_keeps_the_order_of_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = SmallDataset(tmp_path)
    red = photo(16, 16) * 0 + np.array([255, 0, 0], np.uint8)
    monkeypatch.setattr(dataset.assets, "background", lambda _: red)
    pixels = np.asarray(sheet(dataset).convert("RGB"))
    pure_red, pure_blue = ((pixels == colour).all(axis=-1).sum() for colour in ((255, 0, 0), (0, 0, 255)))
    assert pure_red > 10_000
    assert pure_blue == 0
