"""Pictures on the workers: decoded once, read-only, bounded."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fgbg.errors import RunError
from fgbg.images import Pixels
from tests.pictures_helpers import cutout, write_pictures
from transforms.assets import Assets, _BoundedCache
from transforms.pictures import load_background, resize_cutout


def test_pictures_come_by_index(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, image_size=16)
    assets = Assets(paths)
    for i, path in enumerate(paths.backgrounds):
        assert np.array_equal(assets.background(i), load_background(Path(path).read_bytes(), 16))
    assert np.array_equal(assets.cutout(0), cutout(12, 8, seed=9)[1:-1, 1:-1])


def test_pictures_are_decoded_once(tmp_path: Path) -> None:
    assets = Assets(write_pictures(tmp_path))
    assert assets.background(1) is assets.background(1)
    assert assets.cutout(1) is assets.cutout(1)
    assert assets.placed(1, 4, 3, flipped=False) is assets.placed(1, 4, 3, flipped=False)


def test_threads_do_not_make_the_same_picture_at_the_same_time() -> None:
    made: list[None] = []

    def make() -> Pixels:
        made.append(None)
        time.sleep(0.05)
        return np.zeros(3, np.uint8)

    cache = _BoundedCache(100)
    with ThreadPoolExecutor(8) as threads:
        arrays = list(threads.map(lambda _: cache.get("key", make), range(8)))
    assert len(made) == 1
    assert all(array is arrays[0] for array in arrays)


def test_placed_cutouts_are_resized_and_mirrored(tmp_path: Path) -> None:
    assets = Assets(write_pictures(tmp_path))
    plain = resize_cutout(assets.cutout(0), (5, 3))
    assert np.array_equal(assets.placed(0, 5, 3, flipped=False), plain)
    assert np.array_equal(assets.placed(0, 5, 3, flipped=True), plain[:, ::-1])


def test_shared_pictures_cannot_be_changed(tmp_path: Path) -> None:
    assets = Assets(write_pictures(tmp_path))
    shared = [assets.background(0), assets.cutout(0), assets.placed(0, 5, 3, flipped=False)]
    assert not any(image.flags.writeable for image in shared)


def test_a_picture_that_vanished_is_named(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path)
    Path(paths.backgrounds[2]).unlink()
    with pytest.raises(RunError, match=f"Cannot read {paths.backgrounds[2]} .*restore it"):
        Assets(paths).background(2)


def test_the_cache_drops_what_was_used_longest_ago() -> None:
    cache = _BoundedCache(max_bytes=30)
    made: list[int] = []

    def get(key: int) -> None:
        def make() -> npt.NDArray[np.uint8]:
            made.append(key)
            return np.zeros(10, np.uint8)

        cache.get(key, make)

    for key in (1, 2, 3, 1, 4, 1, 2):  # 4 drives out 2, since 1 was used again; 2 drives out 3
        get(key)
    assert made == [1, 2, 3, 4, 2]


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = _BoundedCache(max_bytes=5)
    first, second = (cache.get(1, lambda: np.zeros(10, np.uint8)) for _ in range(2))
    assert first is not second


def test_threads_may_share_the_assets(tmp_path: Path) -> None:
    assets = Assets(write_pictures(tmp_path))
    expected = [Assets(write_pictures(tmp_path)).background(i) for i in range(3)]
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(assets.background, [0, 1, 2] * 50))
    assert all(np.array_equal(image, expected[i % 3]) for i, image in enumerate(images))
