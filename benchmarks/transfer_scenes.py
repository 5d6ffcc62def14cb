"""Real scenes with ground truth, in two layouts; docs/transfer.md describes both. All files are untrusted.

A folder per scene:        SCENE/background.png, frames/NAME.png, truth/NAME.png
                           optional: background_median.png, shadow/NAME.png
As CDnet 2014 is shipped:  CATEGORY/SCENE/input/in000001.jpg, groundtruth/gt000001.png, ROI.bmp, temporalROI.txt
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from transfer_scores import Image, Mask

# Of a pixel that the truth does not tell apart, in the layout with a folder per scene.
_UNKNOWN = 128
_CDNET_STATIC, _CDNET_SHADOW, _CDNET_OUTSIDE, _CDNET_UNKNOWN, _CDNET_MOVING = 0, 50, 85, 170, 255
# A frame of video has at most 8K; more is a mistake or an attack on memory.
_MOST_PIXELS = 7680 * 4320
# Rows of the frames whose medians are computed together: this bounds memory.
_ROWS = 16


@dataclass(frozen=True)
class Frame:
    """A frame, and what its truth says. Pixels that are neither foreground nor background are unknown.

    Attributes:
        image: uint8 [H, W, 3].
        foreground, background: bool [H, W].
        shadow: bool [H, W], the part of the background that is labelled as shadow.
    """

    image: Image
    foreground: Mask
    background: Mask
    shadow: Mask


@dataclass(frozen=True)
class Scene:
    """One scene. Its frames are read when they are needed, one at a time.

    Attributes:
        name: path below the folder of scenes.
        plate: the empty scene, uint8 [H, W, 3].
        ghosted: what the median of a whole video gives, with ghosts of slow objects, uint8 [H, W, 3]; None if unknown.
        names: of the frames.
        read: the frame of a name.
    """

    name: str
    plate: Image
    ghosted: Image | None
    names: Sequence[str]
    read: Callable[[str], Frame]

    def __iter__(self) -> Iterator[Frame]:
        return map(self.read, self.names)

    def digest(self) -> str:
        """The sha256 of all that the scores of the scene follow from. Reads all frames, and thereby checks them."""
        digest = hashlib.sha256(self.name.encode())
        for plate in (self.plate, self.ghosted):
            digest.update(b"none" if plate is None else plate.tobytes())
        for frame in self:
            for pixels in (frame.image, frame.foreground, frame.background, frame.shadow):
                digest.update(pixels.tobytes())
        return digest.hexdigest()


def load_scenes(folder: Path, most_frames: int) -> list[Scene]:
    """All scenes below a folder, sorted by name.

    Args:
        folder: in one of the two layouts, or with scenes of both.
        most_frames: of a scene; if it has more, as many are used, evenly spread.

    Raises:
        ValueError: there are none, or something is missing, unreadable or not as the layout says.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: give --scenes a folder of scenes.")
    scenes = []
    for place in _folders(folder):
        if (place / "frames").is_dir() or (place / "background.png").exists():
            scenes.append(_plain_scene(place, place.name, most_frames))
            continue
        inner = [scene for scene in _folders(place) if (scene / "input").is_dir() or (scene / "groundtruth").is_dir()]
        if not inner:
            raise ValueError(f"{place} is neither a scene with frames/ nor a category of scenes with input/.")
        scenes += [_cdnet_scene(scene, f"{place.name}/{scene.name}", most_frames) for scene in inner]
    if not scenes:
        raise ValueError(f"{folder} contains no scenes.")
    return scenes


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the items, evenly spread, the first and the last among them."""
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, min(most, len(items)))]


def _plain_scene(folder: Path, name: str, most_frames: int) -> Scene:
    plate = _read_colours(folder / "background.png")
    size = plate.shape[:2]
    names = sorted(path.name for path in (folder / "frames").glob("*.png"))
    if not names:
        raise ValueError(f"{folder / 'frames'} contains no frames NAME.png.")
    for path in sorted((folder / "truth").glob("*.png")):
        if path.name not in names:
            raise ValueError(f"{path} has no frame {folder / 'frames' / path.name}.")
    median = folder / "background_median.png"
    ghosted = _read_colours(median, size) if median.exists() else None
    return Scene(name, plate, ghosted, spread(names, most_frames), partial(_read_plain_frame, folder, size))


def _read_plain_frame(folder: Path, size: tuple[int, int], name: str) -> Frame:
    image = _read_colours(folder / "frames" / name, size)
    truth = _read_labels(folder / "truth" / name, size, (0, _UNKNOWN, 255))
    if (folder / "shadow").is_dir():
        shadow = _read_labels(folder / "shadow" / name, size, (0, 255)) == 255
    else:
        shadow = np.zeros(size, np.bool_)
    background = truth == 0
    return Frame(image, truth == 255, background, shadow & background)


def _cdnet_scene(folder: Path, name: str, most_frames: int) -> Scene:
    """The clean plate is the median, per pixel, of the frames whose truth says "static" there."""
    first, last = _temporal_roi(folder / "temporalROI.txt")
    names = [f"{number:06d}" for number in spread(range(first, last + 1), most_frames)]
    roi_path = folder / "ROI.bmp"
    inside = _read(roi_path, "L") > 127
    read = partial(_read_cdnet_frame, folder, inside)
    images = np.empty((len(names), *inside.shape, 3), np.uint8)
    static = np.empty(images.shape[:3], np.bool_)
    for i, frame in enumerate(map(read, names)):
        images[i], static[i] = frame.image, frame.background & ~frame.shadow
    plate = masked_median(images, static)
    return Scene(name, plate, masked_median(images, np.ones_like(static)), names, read)


def _read_cdnet_frame(folder: Path, inside: Mask, name: str) -> Frame:
    image = _read_colours(folder / "input" / f"in{name}.jpg", inside.shape)
    labels = (_CDNET_STATIC, _CDNET_SHADOW, _CDNET_OUTSIDE, _CDNET_UNKNOWN, _CDNET_MOVING)
    truth = _read_labels(folder / "groundtruth" / f"gt{name}.png", inside.shape, labels)
    shadow = (truth == _CDNET_SHADOW) & inside
    return Frame(image, (truth == _CDNET_MOVING) & inside, (truth == _CDNET_STATIC) & inside | shadow, shadow)


def _temporal_roi(path: Path) -> tuple[int, int]:
    """The numbers of the first and the last frame that have a truth."""
    try:
        first, last = (int(word) for word in path.read_text(encoding="ascii").split())
    except FileNotFoundError:
        raise ValueError(f"There is no {path}, which says which frames have a truth.") from None
    except ValueError:
        raise ValueError(f"{path} must contain two numbers: the first and the last frame that have a truth.") from None
    if not 0 <= first <= last <= 999_999:
        raise ValueError(f"{path} says that frames {first} to {last} have a truth, which is not a range of frames.")
    return first, last


def masked_median(images: Image, mask: Mask) -> Image:
    """The median of each pixel over the images in which it is in the mask; over all images where it is in none.

    Of an even number of values it is the lower of the two in the middle.

    Args:
        images: uint8 [n, H, W, 3].
        mask: bool [n, H, W].
    """
    result = np.empty(images.shape[1:], np.uint8)
    for top in range(0, images.shape[1], _ROWS):
        rows = slice(top, top + _ROWS)
        used = mask[:, rows] | ~mask[:, rows].any(axis=0)
        # What is not used is sorted to the end.
        values = np.sort(np.where(used[..., np.newaxis], images[:, rows].astype(np.int16), 256), axis=0)
        middle = (used.sum(axis=0) - 1) // 2
        result[rows] = np.take_along_axis(values, middle[np.newaxis, ..., np.newaxis], axis=0)[0]
    return result


def _read_colours(path: Path, size: tuple[int, ...] | None = None) -> Image:
    """An image, uint8 [H, W, 3], of this (H, W)."""
    return _of_size(_read(path, "RGB"), path, size)


def _read_labels(path: Path, size: tuple[int, ...], labels: Collection[int]) -> npt.NDArray[np.uint8]:
    """A map, uint8 [H, W], of these (H, W), in which only these values occur."""
    values = _of_size(_read(path, "L"), path, size)
    unknown = sorted(set(np.unique(values).tolist()) - set(labels))
    if unknown:
        *others, last = map(str, sorted(labels))
        raise ValueError(f"{path} contains the value {unknown[0]}; a pixel must be {', '.join(others)} or {last}.")
    return values


def _of_size(image: Image, path: Path, size: tuple[int, ...] | None) -> Image:
    if size is not None and image.shape[:2] != size:
        height, width = image.shape[:2]
        raise ValueError(f"{path} has {width}x{height} pixels; its scene has {size[1]}x{size[0]}.")
    return image


def _read(path: Path, mode: str) -> Image:
    try:
        with PIL.Image.open(path, formats=("PNG", "JPEG", "BMP")) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise ValueError(f"{path} has {opened.width}x{opened.height} pixels, which is too large for a frame.")
            return np.array(opened.convert(mode))
    except FileNotFoundError:
        raise ValueError(f"There is no {path}.") from None
    except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a picture that can be read: {error}.") from error
