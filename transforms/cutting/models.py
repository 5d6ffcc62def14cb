"""What finds the object in a photograph: networks by rembg, or OpenCV's GrabCut, which needs no network."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image

from transforms.cutting.matting import SOLID, Alpha
from transforms.errors import InputError, RunError
from transforms.pictures import Pixels

GRABCUT = "grabcut"

# Of rembg's models those that need a name alone, run on this machine, and may be used for any purpose.
NETWORKS = (
    "u2netp",
    "u2net",
    "u2net_human_seg",
    "silueta",
    "isnet-general-use",
    "isnet-anime",
    "birefnet-general",
    "birefnet-general-lite",
    "birefnet-portrait",
)
MODELS = (*NETWORKS, GRABCUT)

# GrabCut takes seconds for more, and is no better.
_GRABCUT_SIDE = 400
_GRABCUT_ITERATIONS = 5
# What lies nearer to a border than this share of a side is background.
_GRABCUT_MARGIN = 0.03


@dataclass(frozen=True, slots=True)
class Guess:
    """Where the object is.

    Attributes:
        alpha: how much of each pixel belongs to the object, float32 [h, w] in 0 .. 1.
        agreement: of several looks at the picture, 0 .. 1; 1 if there was but one.
    """

    alpha: Alpha
    agreement: float = 1.0


class Model(Protocol):
    """Finds the object; may be called from several threads."""

    def guess(self, picture: Pixels) -> Guess:
        """Where the object is in uint8 [h, w, 3]."""


def load_model(name: str, sha256: str | None = None) -> Model:
    """The model of this name, whose network has this sha256, if one is given.

    Raises:
        InputError: its network is not there and cannot be fetched.
        RunError: its network is another.
    """
    if sha256 is not None and network_sha256(name) != sha256:
        raise RunError(
            f"--model {name}: its network has changed since the run began, or a worker has another; put the same file"
            " everywhere and run the same command again."
        )
    return GrabCut() if name == GRABCUT else Network(name)


def network_sha256(name: str) -> str | None:
    """Identifies the network of a model, which is fetched if need be; None for GrabCut.

    Raises:
        InputError: it is not there and cannot be fetched.
    """
    if name == GRABCUT:
        return None
    with _locate_network(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Network:
    """A network by rembg."""

    def __init__(self, name: str) -> None:
        import onnxruntime

        _locate_network(name)
        options = onnxruntime.SessionOptions()
        # A processor for each photograph, not all for one: several are worked on at a time.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = _session_class(name)(name, options)

    def guess(self, picture: Pixels) -> Guess:
        """As `combine_looks` says."""
        return combine_looks(picture, self._look)

    def _look(self, picture: Pixels) -> Alpha:
        """float32 [h, w], stretched by rembg so that the largest value is 1 and the smallest 0."""
        (mask,) = self._session.predict(Image.fromarray(picture))
        return np.asarray(mask, np.float32) / np.float32(255)


class GrabCut:
    """Rother, Kolmogorov, Blake: "GrabCut" (2004), from the guess that the object keeps clear of the borders."""

    def guess(self, picture: Pixels) -> Guess:
        """One look; the edge is as soft as the reduced copy is coarse."""
        height, width = picture.shape[:2]
        factor = min(1.0, _GRABCUT_SIDE / max(width, height))
        small = cv2.resize(
            picture, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_AREA
        )
        margin = [max(1, round(side * _GRABCUT_MARGIN)) for side in small.shape[:2]]
        marks = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
        marks[margin[0] : -margin[0], margin[1] : -margin[1]] = cv2.GC_PR_FGD
        if not (marks == cv2.GC_PR_FGD).any():
            return Guess(np.zeros((height, width), np.float32))
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
        return Guess(cv2.resize(cv2.GaussianBlur(found, (3, 3), 0), (width, height), interpolation=cv2.INTER_LINEAR))


def combine_looks(picture: Pixels, look: Callable[[Pixels], Alpha]) -> Guess:
    """What looks at the whole picture and at the mirrored one find; a third, at the square in its middle, votes.

    What is the object is found from any side; what else is taken for it, such as a building behind it, changes with
    the side. The mean of two looks decides what is solid, and the surer of them on that side is taken: the mean itself
    would be half transparent wherever they differ. The third tells nothing of alpha, since an object may be larger than
    what it sees. The agreement is the share of what any look takes for the object that all do which see it.

    Args:
        picture: uint8 [h, w, 3].
        look: finds alpha [h, w] in such a picture.
    """
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = np.s_[top : top + side, left : left + side]
    whole, mirrored, inner = look(picture), look(picture[:, ::-1])[:, ::-1], look(picture[middle]) >= SOLID
    some = (whole >= SOLID) | (mirrored >= SOLID)
    every = (whole >= SOLID) & (mirrored >= SOLID)
    some[middle] |= inner
    every[middle] &= inner
    solid = whole + mirrored >= 2 * SOLID
    alpha = np.where(solid, np.maximum(whole, mirrored), np.minimum(whole, mirrored))
    return Guess(alpha, float(every.sum() / max(some.sum(), 1)))


def _session_class(name: str) -> Any:
    from rembg.sessions import sessions_class

    return next(one for one in sessions_class if one.name() == name)


def _locate_network(name: str) -> Path:
    """The network's file, which rembg looks for in its folders and otherwise fetches."""
    if not os.environ.get("U2NET_HOME") and not _has_home():
        # rembg would make a folder named ~ in the working directory.
        raise InputError(
            f"--model {name}: networks are kept in the home folder, which is not known; set HOME, or set U2NET_HOME to"
            " the folder that holds them."
        )
    try:
        return Path(_session_class(name).download_models())
    except Exception as error:  # of requests, urllib3, the disk or pooch, and no others are to be expected
        home = os.environ.get("U2NET_HOME")
        where = f"U2NET_HOME ({home})" if home else "~/.rembg or ~/.u2net (U2NET_HOME is not set)"
        raise InputError(
            f"--model {name}: {name}.onnx is not in {where} and could not be fetched ({_reason(error)}); put it there"
            f" from a machine with a network, or use --model {GRABCUT}, which needs no network file but is less exact."
        ) from error


def _has_home() -> bool:
    try:
        return bool(Path.home())
    except RuntimeError:
        return False


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words: what fetches wraps it several times, with addresses of objects."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return f"{getattr(error, 'strerror', None) or error}".strip() or type(error).__name__
