"""Whatever `build` makes, `verify` accepts: random pictures of any size, shape and alpha, with random flags.

FGBG_RANDOM_DATASETS sets how many datasets are made (15 unless set).
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import commands
from tests.end_to_end.helpers import ONE_WORKER, dataset_folder
from tests.pictures_helpers import Pixels

LONGEST, MOST_PIXELS = 6_000, 3_000_000

ALPHAS = ("hard", "soft", "hair", "holes", "haze", "fringe", "specks")
SUFFIXES = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF"}
TRANSPARENT = ("png", "webp", "tif")
MODES = {"jpg": ("RGB", "L", "CMYK"), "tif": ("RGB", "L", "RGBA", "CMYK"), "bmp": ("RGB", "L", "P")}
OTHER_MODES = {"png": ("RGB", "L", "P", "RGBA", "LA", "1"), "webp": ("RGB", "RGBA")}


@dataclass(frozen=True)
class Drawn:
    """A random picture; `kind` is how its alpha looks, or the mode of a background."""

    width: int
    height: int
    kind: str
    suffix: str
    seed: int

    def save(self, path: Path) -> None:
        image = Image.fromarray(self._foreground()) if self.kind in ALPHAS else self._background()
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"lossless": True, "method": 0} if self.suffix == "webp" else {}
        image.save(path.with_suffix(f".{self.suffix}"), SUFFIXES[self.suffix], **options)

    def _background(self) -> Image.Image:
        rgba = np.dstack([self._colours(), self._soft()])
        return Image.fromarray(rgba if "A" in self.kind else rgba[..., :3]).convert(self.kind)

    def _foreground(self) -> Pixels:
        return np.dstack([self._colours(), self._alpha()])

    def _colours(self) -> Pixels:
        random = np.random.default_rng(self.seed)
        coarse = random.integers(0, 256, (8, 8, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((self.width, self.height))
        noise = random.integers(0, 16, (self.height, self.width, 1), np.uint8)
        return np.asarray(smooth) // 17 * 16 + noise

    def _alpha(self) -> Pixels:
        random = np.random.default_rng(self.seed + 1)
        shape = self.height, self.width
        soft = self._soft()
        hard = np.where(soft > 127, 255, 0)
        if self.kind == "soft":
            alpha: npt.NDArray[np.integer] = soft
        elif self.kind == "hair":
            alpha = np.zeros(shape, np.int64)
            for _ in range(1 + int(random.integers(6))):
                x = (np.arange(self.height) * random.uniform(-1, 1) + random.integers(self.width)) % self.width
                alpha[np.arange(self.height), x.astype(int)] = 255
        elif self.kind == "holes":
            alpha = np.where(random.random(shape) < 0.5, hard, 0)
        elif self.kind == "haze":  # nearly transparent all around, as networks leave it
            alpha = np.maximum(hard, random.integers(0, 3, shape))
        elif self.kind == "fringe":  # single faint pixels far from the object
            alpha = np.where(random.random(shape) < 1e-3, random.integers(1, 60), hard)
        elif self.kind == "specks":
            alpha = np.where(random.random(shape) < random.choice([1e-4, 1e-2]), 255, 0)
        else:
            alpha = hard
        if alpha.min() == 255:
            alpha = alpha.copy()
            alpha[0, 0] = 254
        return alpha.astype(np.uint8)

    def _soft(self) -> Pixels:
        y, x = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        u, v = (x + 0.5) / self.width - 0.5, (y + 0.5) / self.height - 0.5
        return (255 * np.clip(1.7 - 8 * (u * u + v * v), 0, 1) ** 3).astype(np.uint8)


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    """Width and height, of any order of magnitude, and a bounded number of pixels."""
    first = round(LONGEST ** draw(st.floats(0, 1)))
    second = round(min(LONGEST, MOST_PIXELS / first) ** draw(st.floats(0, 1)))
    return (first, second) if draw(st.booleans()) else (second, first)


@st.composite
def backgrounds(draw: st.DrawFn) -> Drawn:
    suffix = draw(st.sampled_from(tuple(SUFFIXES)))
    kind = draw(st.sampled_from((MODES | OTHER_MODES)[suffix]))
    return Drawn(*draw(sizes()), kind, suffix, draw(st.integers(0, 99)))


@st.composite
def foregrounds(draw: st.DrawFn) -> Drawn:
    kind, suffix = draw(st.sampled_from(ALPHAS)), draw(st.sampled_from(TRANSPARENT))
    return Drawn(*draw(sizes()), kind, suffix, draw(st.integers(0, 99)))


@st.composite
def flags(draw: st.DrawFn) -> tuple[str, ...]:
    """Splits by pictures need at least two usable ones, so they are rarer."""
    split_by = draw(st.sampled_from(("background", "foreground", "example")))
    fractions = (0, 0.2, 0.5) if split_by == "example" else (0, 0, 0, 0.5)
    smallest, largest = sorted(draw(st.tuples(st.floats(0.05, 1), st.floats(0.05, 1))))
    return (
        f"--image_size={draw(st.sampled_from((16, 17, 31, 48, 96, 224)))}",
        f"--fg_scale={smallest:.3f},{largest:.3f}",
        f"--placements={draw(st.integers(1, 3))}",
        f"--seed={draw(st.integers(0, 9))}",
        f"--test_fraction={draw(st.sampled_from(fractions))}",
        f"--split_by={split_by}",
        f"--jpeg_quality={draw(st.sampled_from(('png', 1, 50, 90, 100)))}",
        f"--file_format={draw(st.sampled_from(('tfrecord', 'array_record')))}",
        f"--examples_per_shard={draw(st.integers(1, 30))}",
    )


@pytest.mark.slow
@settings(max_examples=int(os.environ.get("FGBG_RANDOM_DATASETS", "15")))
@given(
    st.lists(backgrounds(), min_size=2, max_size=3),
    st.lists(foregrounds(), min_size=2, max_size=4),
    flags(),
)
# Its outermost rows are rounded to nothing when it is reduced.
@example(
    [Drawn(50, 40, "RGB", "jpg", 0)],
    [Drawn(900, 600, "fringe", "png", 0)],
    ("--image_size=96", "--placements=1", "--fg_scale=0.4,0.55"),
)
def test_verify_accepts_what_build_makes(behind: list[Drawn], before: list[Drawn], chosen: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, drawn in (("backgrounds", behind), ("foregrounds", before)):
            for number, one in enumerate(drawn):
                one.save(folder / kind / f"{number}")
        inputs = (f"--backgrounds={folder / 'backgrounds'}", f"--foregrounds={folder / 'foregrounds'}")
        data_dir = folder / "data"
        build = ("build", *inputs, "--depth_model=none", "--skip_bad_inputs", f"--data_dir={data_dir}")
        status = commands.run([*build, *chosen, *ONE_WORKER])
        event(f"build ends with {status}")
        assert status in (0, 2)  # what cannot be used is refused before anything is made
        if status == 0:
            assert commands.run(["verify", str(dataset_folder(data_dir)), *inputs, *ONE_WORKER]) == 0
        else:
            assert not data_dir.exists()
