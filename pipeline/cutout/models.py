"""Segmentation models that locate the object in a photograph: networks by rembg, and OpenCV's GrabCut."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image

from fgbg.errors import InputError, RunError
from fgbg.images import Pixels
from pipeline.cutout.matting import SOLID, Alpha
from pipeline.cutout.options import GRABCUT

# For larger pictures, GrabCut takes seconds and is not more accurate.
_GRABCUT_SIDE = 400
_GRABCUT_ITERATIONS = 5
# Pixels closer to a border than this fraction of the side are assumed to be background.
_GRABCUT_MARGIN = 0.03


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate of where the object is.

    Attributes:
        alpha: opacity of the object in each pixel, float32 [h, w] in 0 .. 1.
        agreement: agreement of the test-time views, 0 .. 1; 1 if there was only one view.
    """

    alpha: Alpha
    agreement: float = 1.0


class Model(Protocol):
    """A segmentation model. Safe to call from several threads."""

    def estimate(self, picture: Pixels) -> Estimate:
        """Locate the object in a picture, uint8 [h, w, 3]."""


def load_model(name: str, sha256: str | None = None) -> Model:
    """Return the model of this name, whose network has this sha256, if one is given.

    Raises:
        InputError: its network file does not exist and cannot be downloaded.
        RunError: its network is another.
    """
    if sha256 is not None and network_sha256(name) != sha256:
        raise RunError(
            f"--model {name}: its network has changed since the run began, or a worker has another; put the same file"
            " everywhere and run the same command again."
        )
    return GrabCut() if name == GRABCUT else Network(name)


def network_sha256(name: str) -> str | None:
    """Return the SHA-256 of the network file of a model, downloading it if necessary; None for GrabCut.

    Raises:
        InputError: the file does not exist and cannot be downloaded.
    """
    if name == GRABCUT:
        return None
    with _locate_network(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Network:
    """A segmentation network run by rembg."""

    def __init__(self, name: str) -> None:
        import onnxruntime

        _locate_network(name)
        options = onnxruntime.SessionOptions()
        # One processor per photograph, because several photographs are processed at the same time.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = _session_class(name)(name, options)

    def estimate(self, picture: Pixels) -> Estimate:
        """Combine the predictions for three views; see `combine_views`."""
        return combine_views(picture, self._predict)

    def _predict(self, picture: Pixels) -> Alpha:
        """Return alpha, float32 [h, w]. rembg scales it so that the minimum is 0 and the maximum 1."""
        (mask,) = self._session.predict(Image.fromarray(picture))
        return np.asarray(mask, np.float32) / np.float32(255)


class GrabCut:
    """Rother, Kolmogorov, Blake: "GrabCut" (2004). It assumes that the object does not touch the borders."""

    def estimate(self, picture: Pixels) -> Estimate:
        """Segment a reduced copy of the picture; enlarging the result makes its edge soft."""
        height, width = picture.shape[:2]
        factor = min(1.0, _GRABCUT_SIDE / max(width, height))
        small = cv2.resize(
            picture, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_AREA
        )
        margin = [max(1, round(side * _GRABCUT_MARGIN)) for side in small.shape[:2]]
        marks = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
        marks[margin[0] : -margin[0], margin[1] : -margin[1]] = cv2.GC_PR_FGD
        if not (marks == cv2.GC_PR_FGD).any():
            return Estimate(np.zeros((height, width), np.float32))
        cv2.setRNGSeed(0)
        cv2.grabCut(
            cv2.cvtColor(small, cv2.COLOR_RGB2BGR),
            marks,
            None,
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            _GRABCUT_ITERATIONS,
            cv2.GC_INIT_WITH_MASK,
        )
        found = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
        return Estimate(cv2.resize(cv2.GaussianBlur(found, (3, 3), 0), (width, height), interpolation=cv2.INTER_LINEAR))


def combine_views(picture: Pixels, predict: Callable[[Pixels], Alpha]) -> Estimate:
    """Predict alpha for three views of a picture (test-time augmentation) and combine the predictions.

    The views are the whole picture, its mirror image and the central square. A network finds the object itself in every
    view, but other things that it mistakes for the object, such as a building behind it, change with the view.

    The mean of the first two views decides whether a pixel is solid. Its alpha is then the maximum of both if it is
    solid, else the minimum: the mean would be half transparent wherever they differ. The central square does not
    contribute to alpha because the object can extend beyond it. The agreement is the area that all views classify as
    the object divided by the area that any view does; each pixel counts only the views that contain it.

    Args:
        picture: uint8 [h, w, 3].
        predict: returns alpha, float32 [h, w] in 0 .. 1, for such a picture.
    """
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    centre = np.s_[top : top + side, left : left + side]
    whole, mirrored = predict(picture), predict(picture[:, ::-1])[:, ::-1]
    centre_solid = predict(picture[centre]) >= SOLID
    any_view = (whole >= SOLID) | (mirrored >= SOLID)
    all_views = (whole >= SOLID) & (mirrored >= SOLID)
    any_view[centre] |= centre_solid
    all_views[centre] &= centre_solid
    solid = whole + mirrored >= 2 * SOLID
    alpha = np.where(solid, np.maximum(whole, mirrored), np.minimum(whole, mirrored))
    return Estimate(alpha, float(all_views.sum() / max(any_view.sum(), 1)))


def _session_class(name: str) -> Any:
    from rembg.sessions import sessions_class

    return next(one for one in sessions_class if one.name() == name)


def _locate_network(name: str) -> Path:
    """Return the network file. rembg searches its folders and downloads the file if it is missing."""
    if not os.environ.get("U2NET_HOME") and not _has_home():
        # rembg would make a folder named ~ in the working directory.
        raise InputError(
            f"--model {name}: networks are kept in the home folder, which is not known; set HOME, or set U2NET_HOME to"
            " the folder that holds them."
        )
    try:
        return Path(_session_class(name).download_models())
    except Exception as error:  # requests, urllib3, pooch and the disk raise many types
        home = os.environ.get("U2NET_HOME")
        where = f"U2NET_HOME ({home})" if home else "~/.rembg or ~/.u2net (U2NET_HOME is not set)"
        raise InputError(
            f"--model {name}: {name}.onnx is not in {where} and could not be downloaded ({_reason(error)}). Copy it"
            " there from a machine with internet access, or use"
            f" --model {GRABCUT}, which needs no file but is less accurate."
        ) from error


def _has_home() -> bool:
    try:
        return bool(Path.home())
    except RuntimeError:
        return False


def _reason(error: BaseException) -> str:
    """Return the message of the innermost cause. The outer exceptions only wrap it and add object addresses."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return f"{getattr(error, 'strerror', None) or error}".strip() or type(error).__name__
