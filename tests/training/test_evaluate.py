"""The metrics, on cases with known values."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.helpers import write_pictures
from training.evaluate import Maps, as_markdown, contact_sheet, draw_scenes, repeat, score
from training.metrics import contrast, pearson, ranks, spearman, vertical_ramp
from training.sources import split_pictures

RANDOM = np.random.default_rng(0)


def regions(count: int) -> np.ndarray:
    region = np.zeros((count, 32, 32), np.uint8)
    region[:, 8:24, 8:24] = 1
    region[:, 12:20, 12:20] = 2
    return region


def test_contrast() -> None:
    region = regions(1)[0]
    bare = np.full(region.shape, 0.2, np.float32)
    composite = bare + np.float32(0.3) * (region == 2) + np.float32(0.1) * (region == 1)
    result = contrast(composite, bare, region)
    assert result.margin == pytest.approx(0.2)
    assert result.lift == pytest.approx(0.3)
    assert np.isnan(contrast(composite, None, region).lift)


def test_rank_correlation() -> None:
    values = RANDOM.normal(size=(9, 9))
    assert spearman(values, np.exp(values)) == pytest.approx(1)
    assert spearman(values, -(values**3)) == pytest.approx(-1)
    assert spearman(values, np.ones_like(values)) == 0
    np.testing.assert_array_equal(ranks(np.array([3, 1, 1, 2])), [3, 0.5, 0.5, 2])


def test_pearson_equals_numpy() -> None:
    a, b = RANDOM.normal(size=(2, 50))
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_scores_of_teacher_baselines_and_opposite() -> None:
    count, region = 6, regions(6)
    bare = RANDOM.uniform(0, 0.5, (count, 32, 32)).astype(np.float32)
    teacher_maps = Maps(bare + 0.4 * (region == 2), bare)
    own = score(teacher_maps, teacher_maps, region)
    assert own["spearman"] == pytest.approx(1)
    assert own["residual"] == pytest.approx(1)
    assert own["ring %"] == own["bare %"] == 100
    assert own["margin"] == pytest.approx(0.4, abs=0.03)
    # A map of the bare background ignores the object: its margin is 0 on average, and its lift exactly 0.
    blind = score(Maps(bare, bare), teacher_maps, region)
    assert blind["bare %"] == 0
    assert blind["margin"] == pytest.approx(0, abs=0.03)
    mean = score(repeat(teacher_maps.composites.mean(axis=0), count), teacher_maps, region)
    assert mean["residual"] == 0
    assert np.isnan(mean["bare %"])
    opposite = score(Maps(-teacher_maps.composites, -bare), teacher_maps, region)
    assert opposite["spearman"] == pytest.approx(-1)
    assert opposite["ring %"] == 0


def test_vertical_ramp_is_near_at_the_bottom() -> None:
    ramp = vertical_ramp(3, 2)
    assert ramp.tolist() == [[0, 0], [0.5, 0.5], [1, 1]]


def test_scenes_are_composites_of_held_out_pictures(tmp_path: Path) -> None:
    pool = split_pictures([write_pictures(tmp_path)], 0.4, 0).held_out
    scenes = draw_scenes(pool, 5, 64, 0)
    same = draw_scenes(pool, 5, 64, 0)
    np.testing.assert_array_equal(scenes.fg_bg, same.fg_bg)
    for fg_bg, bare, region in zip(scenes.fg_bg, scenes.bare, scenes.region, strict=True):
        np.testing.assert_array_equal(fg_bg[region == 0], bare[region == 0])
        assert fg_bg[region == 2].mean() > bare[region == 2].mean() + 50
    maps = Maps(scenes.fg_bg.mean(axis=-1, dtype=np.float32), scenes.bare.mean(axis=-1, dtype=np.float32))
    assert contact_sheet(scenes, maps, maps, 1.2, count=4).shape == (128, 512, 3)


def test_markdown_table() -> None:
    values = {"spearman": 0.5, "residual": 0.25, "ring %": 77.0, "bare %": float("nan"), "margin": 0.1}
    table = as_markdown({"ramp": values | {"motorcycle": 0.666}})
    assert table.splitlines()[-1] == "| ramp | 0.500 | 0.250 | 77.0 | - | 0.100 | 0.666 |"
