"""From a photograph to its cut-out: one photograph in, one PNG and its record out."""

import hashlib
import io
import threading
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
from apache_beam.utils.shared import Shared
from PIL import Image

from transforms import filesystems
from transforms.cutting.doubts import NOTHING, doubts
from transforms.cutting.files import CutoutFiles, Photo, Record
from transforms.cutting.matting import assemble, clean_alpha, estimate_colours, refine_alpha
from transforms.cutting.models import Model, load_model
from transforms.encoding import encode_rgba
from transforms.pictures import MASK_THRESHOLD, PictureError, Pixels, decode_picture
from transforms.stages import Stage
from transforms.stored_pictures import PictureForm

_STAGE = Stage("CutOutPhotos")

# Longest side at which alpha is found: more than what networks see, and bounded for a photograph of any size.
WORKING_SIDE = 1024

# Longest side on contact sheets.
_THUMBNAIL_SIDE = 128
THUMBNAIL = PictureForm("PNG", np.uint8, (0, 0, 4), longest_side=_THUMBNAIL_SIDE)

# A process works on one photograph of more pixels than this at a time, whatever its number of threads: each needs up to
# 20 bytes a pixel.
_LARGE = 1 << 24
_ONE_LARGE = threading.Lock()


@dataclass(frozen=True, slots=True)
class CutoutSettings:
    """What decides how a photograph is cut out.

    Attributes:
        model: name of what finds the object.
        only_largest: whether only the largest piece is kept.
    """

    model: str
    only_largest: bool


@dataclass(frozen=True, slots=True)
class Cutout:
    """A cut-out and what is thought of it.

    Attributes:
        rgba: uint8 [h, w, 4], trimmed; None if nothing was found.
        box: left, top, width and height in the photograph, pixels.
        doubts: why a person should look at it.
    """

    rgba: Pixels | None
    box: tuple[int, int, int, int]
    doubts: tuple[str, ...]


def load_photo(data: bytes) -> Image.Image:
    """A photograph, upright, RGB.

    Raises:
        PictureError: the bytes cannot be decoded, or show a cut-out already or nothing at all.
    """
    image = decode_picture(data)
    if image.mode == "RGBA":
        if image.getchannel("A").getextrema() != (255, 255):
            raise PictureError("is transparent already; put it among the foregrounds as it is")
        image = image.convert("RGB")
    if image.size == (1, 1):
        raise PictureError("is a single pixel")
    return image


def cut_out(photo: Image.Image, model: Model, *, only_largest: bool = False) -> Cutout:
    """Cut the object out of an RGB photograph: alpha from a reduced copy, colours of full resolution."""
    small = _reduced(photo, WORKING_SIDE)
    picture = np.asarray(small)
    guess = model.guess(picture)
    alpha = clean_alpha(refine_alpha(picture, guess.alpha), only_largest=only_largest)
    reasons = doubts(alpha, guess.agreement)
    if NOTHING in reasons:
        return Cutout(None, (0, 0, 0, 0), reasons)
    opacity = np.rint(alpha * 255).astype(np.uint8)
    rgba, box = assemble(photo, opacity, *estimate_colours(picture, opacity))
    return Cutout(rgba, box, reasons)


def _reduced(photo: Image.Image, longest_side: int) -> Image.Image:
    factor = longest_side / max(photo.size)
    if factor >= 1:
        return photo
    width, height = (max(1, round(side * factor)) for side in photo.size)
    return photo.resize((width, height), Image.Resampling.BOX)


def write_cutout(photo: Photo, files: CutoutFiles, model: Model, settings: CutoutSettings) -> Record:
    """Cut a photograph out; write the cut-out, or say in the record why there is none. The record is written last.

    Raises:
        RunError: the disk is full or the place cannot be written.
    """
    record = _cut_and_write(photo, files, model, settings)
    files.write(files.record(photo.label), record.to_json())
    return record


def _cut_and_write(photo: Photo, files: CutoutFiles, model: Model, settings: CutoutSettings) -> Record:
    try:
        data = filesystems.read_bytes(photo.path)
    except OSError as error:
        return Record(photo.label, "", bad=f"cannot be read ({error.strerror or error})")
    sha256 = hashlib.sha256(data).hexdigest()
    with _ONE_LARGE if _is_large(data) else nullcontext():
        try:
            picture = load_photo(data)
        except PictureError as error:
            return Record(photo.label, sha256, bad=str(error))
        size = picture.size
        cutout = cut_out(picture, model, only_largest=settings.only_largest)
        del picture, data  # before the cut-out is encoded, which takes as much again
        if cutout.rgba is None:
            return Record(photo.label, sha256, doubts=cutout.doubts, size=size)
        files.write(files.cutout(photo.label, doubtful=bool(cutout.doubts)), encode_rgba(cutout.rgba))
        opaque = np.count_nonzero(cutout.rgba[..., 3] >= MASK_THRESHOLD)
        return Record(
            photo.label,
            sha256,
            doubts=cutout.doubts,
            size=size,
            box=cutout.box,
            coverage=round(opaque / (size[0] * size[1]), 4),
            thumbnail=encode_rgba(np.asarray(_reduced(Image.fromarray(cutout.rgba), _THUMBNAIL_SIDE))),
        )


def _is_large(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.width * image.height > _LARGE
    except Exception:  # Pillow has many for what is no picture; whoever decodes it will tell
        return False


class CutOutPhotos(beam.PTransform):
    """Photographs to cut-outs.

    Photo -> Record.

    One element in, one PNG and one record out, under names that depend on the element alone: trying again writes the
    same bytes to the same place. Pictures are read, cut out and written by one worker; only paths travel. One model
    per process, shared by its threads.
    """

    def __init__(self, files: CutoutFiles, settings: CutoutSettings) -> None:
        super().__init__()
        self._files = files
        self._settings = settings

    def expand(self, photos: beam.PCollection[Photo]) -> beam.PCollection[Record]:
        """Wire `write_cutout`."""
        return photos | "CutAndWrite" >> beam.ParDo(_CutOutPhotos(self._files, self._settings))


class _CutOutPhotos(beam.DoFn):
    def __init__(self, files: CutoutFiles, settings: CutoutSettings) -> None:
        self._files = files
        self._settings = settings
        self._shared = Shared()
        self._model: Model | None = None

    def setup(self) -> None:
        self._model = self._shared.acquire(lambda: load_model(self._settings.model))

    def process(self, photo: Photo) -> Iterable[Record]:
        assert self._model is not None
        with _STAGE.timed():
            record = write_cutout(photo, self._files, self._model, self._settings)
        _STAGE.count("bad" if record.bad else "doubtful" if record.doubts else "good")
        # Only sheets have use for it, and they read it from the record.
        yield record
