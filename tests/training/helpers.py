"""Synthetic pictures, a teacher without a network, and the smallest student."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fgbg.depth_models.densedepth import DenseDepthArchitecture
from training.teacher import Teacher

SMALLEST = DenseDepthArchitecture(blocks=(1, 1, 1, 1), growth_rate=4, stem_filters=8, decoder_filters=32)
SIZE = 64


class BrightnessTeacher(Teacher):
    """A teacher whose inverse depth is the mean of the channels divided by 255, so bright pixels are near."""

    def __init__(self) -> None:
        """Need no file."""

    def inverse_depth(self, image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.float32]:
        grey = image.mean(axis=-1, dtype=np.float32) / 255
        return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def write_pictures(folder: Path, backgrounds: int = 12, foregrounds: int = 8) -> Path:
    """Write dark noisy backgrounds and bright discs with alpha, all different, and return the folder."""
    random = np.random.default_rng(0)
    for kind, count in (("backgrounds", backgrounds), ("foregrounds", foregrounds)):
        (folder / kind / "some").mkdir(parents=True)
        for index in range(count):
            coarse = random.integers(0, 100, (8, 9, 3), dtype=np.uint8)
            picture = cv2.resize(coarse, (120, 100), interpolation=cv2.INTER_CUBIC)
            if kind == "foregrounds":
                rows, columns = np.mgrid[:100, :120]
                alpha = np.where((rows - 50) ** 2 + (columns - 60) ** 2 < 40**2, 255, 0).astype(np.uint8)
                picture = np.dstack([255 - picture, alpha])
            Image.fromarray(picture).save(folder / kind / "some" / f"{index}.png")
    return folder
