"""Augmented composites for training, with the cropping, resizing and blending of `build`."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fgbg.images import MASK_THRESHOLD
from training.sources import Pool
from transforms.compositing import blend
from transforms.pictures import decode_picture, load_foreground, resize_area, resize_cutout
from transforms.placements import placed_size

Pixels = npt.NDArray[np.uint8]

# Width of the ring around a cut-out with which it is compared, pixels of the composite.
RING = 12

# Backgrounds are reduced to this shorter side. A crop of half of it is still larger than the input of the network.
_BACKGROUND_SIDE = 512

# Values of `region_map`.
OUTSIDE, IN_RING, IN_CUTOUT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges of the random changes, which are uniform.

    The last five are half-widths of ranges around no change, or a probability. Background and cut-out have independent
    colour changes.

    Attributes:
        crop: side of the square crop as a fraction of the shorter side of the background.
        scale: longest side of the cut-out as a fraction of the side of the image.
        contrast: change of the contrast, a factor.
        brightness: change of the brightness, for values in 0..1.
        saturation: change of the saturation, a factor.
        gain: change of each channel, a factor.
        flip: probability of mirroring.
    """

    crop: tuple[float, float] = (0.5, 1.0)
    scale: tuple[float, float] = (0.3, 0.65)
    contrast: float = 0.2
    brightness: float = 0.1
    saturation: float = 0.3
    gain: float = 0.08
    flip: float = 0.5


class Painter:
    """Draws bare backgrounds and composites of `size` x `size` pixels from a pool, with a cache of decoded pictures."""

    def __init__(self, pool: Pool, size: int, augmentation: Augmentation) -> None:
        self._pool = pool
        self._size = size
        self._augmentation = augmentation
        longest = max(1, round(augmentation.scale[1] * size))
        # A few hundred backgrounds fit in memory. A cut-out takes up to a few megabytes.
        self._background = lru_cache(maxsize=600)(_read_background)
        self._cutout = lru_cache(maxsize=200)(lambda path: load_foreground(path.read_bytes(), longest))

    def bare(self, random: np.random.Generator) -> Pixels:
        """Return a random crop of a random background: uint8 [size, size, 3]."""
        path = self._pool.backgrounds[random.integers(len(self._pool.backgrounds))]
        crop = random_crop(self._background(path), self._augmentation.crop, random)
        resized = np.rint(np.clip(resize_area(crop, (self._size, self._size)), 0, 255)).astype(np.uint8)
        return self._augment(resized, random)

    def composite(self, bare: Pixels, random: np.random.Generator) -> tuple[Pixels, Pixels]:
        """Composite a random cut-out at a random position over `bare` and return the result and its mask."""
        path = self._pool.foregrounds[random.integers(len(self._pool.foregrounds))]
        cutout = self._cutout(path)
        side = max(1, round(random.uniform(*self._augmentation.scale) * self._size))
        width, height = placed_size((cutout.shape[1], cutout.shape[0]), side)
        placed = resize_cutout(cutout, (width, height))
        colour = self._augment(np.ascontiguousarray(placed[..., :3]), random, flip=False)
        placed = np.concatenate([colour, placed[..., 3:]], axis=-1)
        if random.random() < self._augmentation.flip:
            placed = cv2.flip(placed, 1)
        x = random.integers(self._size - width + 1)
        y = random.integers(self._size - height + 1)
        fg_bg, mask = bare.copy(), np.zeros(bare.shape[:2], np.uint8)
        blend(fg_bg[y : y + height, x : x + width], placed)
        mask[y : y + height, x : x + width] = np.where(placed[..., 3] >= MASK_THRESHOLD, 255, 0)
        return fg_bg, mask

    def _augment(self, image: Pixels, random: np.random.Generator, *, flip: bool = True) -> Pixels:
        augmented = change_colours(image, self._augmentation, random)
        return cv2.flip(augmented, 1) if flip and random.random() < self._augmentation.flip else augmented


def random_crop(picture: Pixels, range_: tuple[float, float], random: np.random.Generator) -> Pixels:
    """Return a random square of a picture; `range_` bounds its side as a fraction of the shorter side."""
    height, width = picture.shape[:2]
    side = max(1, round(random.uniform(*range_) * min(height, width)))
    y, x = random.integers(height - side + 1), random.integers(width - side + 1)
    return picture[y : y + side, x : x + side]


def change_colours(image: Pixels, augmentation: Augmentation, random: np.random.Generator) -> Pixels:
    """Change contrast, brightness, saturation and channel gains at random: uint8 [h, w, 3]."""
    return cv2.transform(image, colour_matrix(augmentation, random))


def colour_matrix(augmentation: Augmentation, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a random colour change, float64 [3, 4]: new = matrix[:, :3] @ old + matrix[:, 3] for values in 0..255."""
    contrast, saturation = 1 + random.uniform(-1, 1, 2) * (augmentation.contrast, augmentation.saturation)
    brightness = random.uniform(-1, 1) * augmentation.brightness
    gains = contrast * (1 + random.uniform(-1, 1, 3) * augmentation.gain)
    # Saturation mixes each colour with its grey value. Then gains scale the channels around mid-grey.
    matrix = gains[:, np.newaxis] * (np.full((3, 3), 1 / 3) * (1 - saturation) + saturation * np.eye(3))
    offset = 127.5 * (1 - contrast) + 255 * brightness
    return np.concatenate([matrix, np.full((3, 1), offset)], axis=1)


def region_map(mask: Pixels, size: tuple[int, int], ring: int = RING) -> Pixels:
    """Return the regions of an example, uint8 [h, w]: 2 in the cut-out, 1 in the ring around it, else 0.

    Args:
        mask: uint8 [H, W], 255 in the cut-out.
        size: (width, height) of the result.
        ring: width of the ring in pixels of the mask.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * ring + 1, 2 * ring + 1))
    dilated = cv2.dilate(mask, kernel)
    small, wide = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) >= 128 for part in (mask, dilated))
    return np.where(small, IN_CUTOUT, np.where(wide, IN_RING, OUTSIDE)).astype(np.uint8)


def _read_background(path: Path) -> Pixels:
    image = decode_picture(path.read_bytes()).convert("RGB")
    factor = min(1.0, _BACKGROUND_SIDE / min(image.size))
    size = round(image.width * factor), round(image.height * factor)
    return cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA)
