"""The figures on cases whose values are known."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.helpers import write_pictures
from training.evaluate import Maps, as_markdown, contact_sheet, draw_scenes, fixed, score
from training.metrics import pearson, ranks, sight, spearman, vertical_ramp
from training.sources import split_pictures

RANDOM = np.random.default_rng(0)


def regions(count: int) -> np.ndarray:
    region = np.zeros((count, 32, 32), np.uint8)
    region[:, 8:24, 8:24] = 1
    region[:, 12:20, 12:20] = 2
    return region


def test_sight() -> None:
    region = regions(1)[0]
    bare = np.full(region.shape, 0.2, np.float32)
    composite = bare + np.float32(0.3) * (region == 2) + np.float32(0.1) * (region == 1)
    seen = sight(composite, bare, region)
    assert seen.margin == pytest.approx(0.2)
    assert seen.lift == pytest.approx(0.3)
    assert np.isnan(sight(composite, None, region).lift)


def test_rank_correlation() -> None:
    values = RANDOM.normal(size=(9, 9))
    assert spearman(values, np.exp(values)) == pytest.approx(1)
    assert spearman(values, -(values**3)) == pytest.approx(-1)
    assert spearman(values, np.ones_like(values)) == 0
    np.testing.assert_array_equal(ranks(np.array([3, 1, 1, 2])), [3, 0.5, 0.5, 2])


def test_pearson_against_numpy() -> None:
    a, b = RANDOM.normal(size=(2, 50))
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_teacher_scores_one_and_others_what_they_should() -> None:
    count, region = 6, regions(6)
    bare = RANDOM.uniform(0, 0.5, (count, 32, 32)).astype(np.float32)
    taught = Maps(bare + 0.4 * (region == 2), bare)
    own = score(taught, taught, region)
    assert own["spearman"] == pytest.approx(1)
    assert own["residual"] == pytest.approx(1)
    assert own["ring %"] == own["bare %"] == 100
    assert own["margin"] == pytest.approx(0.4, abs=0.03)
    # A map that never sees the object is nearer there by chance alone, and never nearer than itself.
    blind = score(Maps(bare, bare), taught, region)
    assert blind["bare %"] == 0
    assert blind["margin"] == pytest.approx(0, abs=0.03)
    mean = score(fixed(taught.composites.mean(axis=0), count), taught, region)
    assert mean["residual"] == 0
    assert np.isnan(mean["bare %"])
    opposite = score(Maps(-taught.composites, -bare), taught, region)
    assert opposite["spearman"] == pytest.approx(-1)
    assert opposite["ring %"] == 0


def test_ramp_falls_upwards() -> None:
    ramp = vertical_ramp(3, 2)
    assert ramp.tolist() == [[0, 0], [0.5, 0.5], [1, 1]]


def test_scenes_are_composites_of_held_out_pictures(tmp_path: Path) -> None:
    pool = split_pictures([write_pictures(tmp_path)], 0.4, 0).held_out
    scenes = draw_scenes(pool, 5, 64, 0)
    again = draw_scenes(pool, 5, 64, 0)
    np.testing.assert_array_equal(scenes.fg_bg, again.fg_bg)
    for fg_bg, bare, region in zip(scenes.fg_bg, scenes.bare, scenes.region, strict=True):
        np.testing.assert_array_equal(fg_bg[region == 0], bare[region == 0])
        assert fg_bg[region == 2].mean() > bare[region == 2].mean() + 50
    maps = Maps(scenes.fg_bg.mean(axis=-1, dtype=np.float32), scenes.bare.mean(axis=-1, dtype=np.float32))
    assert contact_sheet(scenes, maps, maps, 1.2, count=4).shape == (128, 512, 3)


def test_table() -> None:
    values = {"spearman": 0.5, "residual": 0.25, "ring %": 77.0, "bare %": float("nan"), "margin": 0.1}
    table = as_markdown({"ramp": values | {"motorcycle": 0.666}})
    assert table.splitlines()[-1] == "| ramp | 0.500 | 0.250 | 77.0 | - | 0.100 | 0.666 |"
