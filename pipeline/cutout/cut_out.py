"""Cutting one photograph out: from its bytes to a PNG and a record."""

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

from fgbg import filesystems
from fgbg.errors import portable_errors
from fgbg.images import MASK_THRESHOLD, Pixels, encode_rgba
from fgbg.stored_pictures import PictureForm
from pipeline.cutout.files import CutoutFiles, Photo, Record
from pipeline.cutout.matting import assemble, clean_alpha, estimate_colours, refine_alpha
from pipeline.cutout.models import Model, load_model
from pipeline.cutout.review import NOTHING_FOUND, review_flags
from transforms.pictures import PictureError, decode_picture
from transforms.stages import Stage

_STAGE = Stage("CutOutPhotos")

# Longest side at which alpha is estimated: larger than the input of any network, and the same for photographs of any
# size.
WORKING_SIDE = 1024

# Longest side of the thumbnails on contact sheets.
_THUMBNAIL_SIDE = 128
THUMBNAIL = PictureForm("PNG", np.uint8, (0, 0, 4), longest_side=_THUMBNAIL_SIDE)

# A process cuts out only one photograph with more pixels than this at a time, because each needs up to 20 bytes per
# pixel.
_LARGE = 1 << 24
_LARGE_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class CutoutSettings:
    """Settings of cutting out.

    Attributes:
        model: name of the segmentation model.
        only_largest: whether to keep only the largest component.
        sha256: of the model's network, in hexadecimal; None for a model without one.
    """

    model: str
    only_largest: bool
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Cutout:
    """A cut-out and its review flags.

    Attributes:
        rgba: uint8 [h, w, 4], cropped to alpha > 0; None if no object was found.
        box: left, top, width and height in the photograph, pixels.
        review_flags: reasons why a person should review it; empty if it passed all checks.
    """

    rgba: Pixels | None
    box: tuple[int, int, int, int]
    review_flags: tuple[str, ...]


def load_photo(data: bytes) -> Image.Image:
    """Decode a photograph to an upright RGB image.

    Raises:
        PictureError: the bytes cannot be decoded, the picture is already a cut-out, or it is a single pixel.
    """
    image = decode_picture(data)
    if image.mode == "RGBA":
        if image.getchannel("A").getextrema() != (255, 255):
            raise PictureError("already has transparent pixels; use it as a foreground without cutting it out")
        image = image.convert("RGB")
    if image.size == (1, 1):
        raise PictureError("is a single pixel")
    return image


def cut_out(photo: Image.Image, model: Model, *, only_largest: bool = False) -> Cutout:
    """Cut the object out of an RGB photograph: alpha from a reduced copy, colours at full resolution."""
    small = _reduce(photo, WORKING_SIDE)
    picture = np.asarray(small)
    estimate = model.estimate(picture)
    alpha = clean_alpha(refine_alpha(picture, estimate.alpha), only_largest=only_largest)
    flags = review_flags(alpha, estimate.agreement)
    if NOTHING_FOUND in flags:
        return Cutout(None, (0, 0, 0, 0), flags)
    opacity = np.rint(alpha * 255).astype(np.uint8)
    rgba, box = assemble(photo, opacity, *estimate_colours(picture, opacity))
    return Cutout(rgba, box, flags)


def _reduce(photo: Image.Image, longest_side: int) -> Image.Image:
    factor = longest_side / max(photo.size)
    if factor >= 1:
        return photo
    width, height = (max(1, round(side * factor)) for side in photo.size)
    return photo.resize((width, height), Image.Resampling.BOX)


def write_cutout(photo: Photo, files: CutoutFiles, model: Model, settings: CutoutSettings) -> Record:
    """Cut a photograph out, write the PNG if there is one, then write and return the record.

    The record contains the reason if there is no PNG.

    Raises:
        RunError: a file cannot be written, for example because the disk is full.
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
    with _LARGE_LOCK if _is_large(data) else nullcontext():
        try:
            picture = load_photo(data)
        except PictureError as error:
            return Record(photo.label, sha256, bad=str(error))
        size = picture.size
        cutout = cut_out(picture, model, only_largest=settings.only_largest)
        del picture, data  # frees memory before encoding, which needs as much again
        if cutout.rgba is None:
            return Record(photo.label, sha256, doubts=cutout.review_flags, size=size)
        files.write(files.cutout(photo.label, doubtful=bool(cutout.review_flags)), encode_rgba(cutout.rgba))
        opaque = np.count_nonzero(cutout.rgba[..., 3] >= MASK_THRESHOLD)
        return Record(
            photo.label,
            sha256,
            doubts=cutout.review_flags,
            size=size,
            box=cutout.box,
            coverage=round(opaque / (size[0] * size[1]), 4),
            thumbnail=encode_rgba(np.asarray(_reduce(Image.fromarray(cutout.rgba), _THUMBNAIL_SIDE))),
        )


def _is_large(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.width * image.height > _LARGE
    except Exception:  # Pillow raises many types for damaged data; decoding reports the reason
        return False


@dataclass(eq=False)
class CutOutPhotos(beam.PTransform):
    """Cuts photographs out and writes their PNGs and records.

    Photo -> Record.

    File names depend only on the element, so a retry writes the same bytes to the same files. One worker reads, cuts
    out and writes a photograph; only paths move between workers. All threads of a process share one model.

    Attributes:
        files: where cut-outs and records are written.
        settings: settings of cutting out.
    """

    files: CutoutFiles
    settings: CutoutSettings

    def expand(self, photos: beam.PCollection[Photo]) -> beam.PCollection[Record]:
        """Apply `write_cutout` to each photograph."""
        return photos | "CutAndWrite" >> beam.ParDo(_CutOutPhotos(self.files, self.settings))


class _CutOutPhotos(beam.DoFn):
    def __init__(self, files: CutoutFiles, settings: CutoutSettings) -> None:
        self._files = files
        self._settings = settings
        self._shared = Shared()
        self._model: Model | None = None

    def setup(self) -> None:
        with portable_errors():
            self._model = self._shared.acquire(lambda: load_model(self._settings.model, self._settings.sha256))

    def process(self, photo: Photo) -> Iterable[Record]:
        assert self._model is not None
        with _STAGE.timed():
            record = write_cutout(photo, self._files, self._model, self._settings)
        _STAGE.count("bad" if record.bad else "doubtful" if record.doubts else "good")
        yield record
