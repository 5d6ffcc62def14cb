"""What can be had without a network, for benchmarks/transfer.py.

A method takes the plate of a scene, uint8 [H, W, 3], and returns what calls the pixels of a frame foreground.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from transfer_scenes import Scene
from transfer_scores import Counts, Histogram, Image, Mask, difference

Method = Callable[[Image], Callable[[Image], Mask]]

# What OpenCV's subtractors call shadow is background here, as it is in the truth.
_FOREGROUND = 255


def difference_above(threshold: int) -> Method:
    """Pixels of which a channel differs by more than the threshold."""
    return lambda plate: lambda frame: difference(plate, frame) > threshold


def best_threshold(scene: Scene, plate: Image) -> int:
    """The threshold that has the best F on this very scene, which nobody knows who has no truth."""
    histogram = Histogram()
    for frame in scene:
        histogram.add(difference(plate, frame.image), frame.foreground, frame.background)
    return histogram.best_threshold()


def taught(create: Callable[[], Any], times: int) -> Method:
    """A background subtractor of OpenCV that has seen the plate so many times, and learns nothing from the frames."""

    def teach(plate: Image) -> Callable[[Image], Mask]:
        subtractor = create()
        for _ in range(times):
            subtractor.apply(_bgr(plate))
        return lambda frame: subtractor.apply(_bgr(frame), learningRate=0.0) == _FOREGROUND

    return teach


def _bgr(image: Image) -> Image:
    return np.ascontiguousarray(image[..., ::-1])


# With OpenCV's own parameters, and as often as suits each best. MOG2's variances shrink with every further look at the
# same plate, until noise is foreground; KNN calls everything foreground until enough of its samples are of the plate.
OPENCV = {
    "MOG2 (OpenCV)": taught(cv2.createBackgroundSubtractorMOG2, 1),
    "KNN (OpenCV)": taught(cv2.createBackgroundSubtractorKNN, 20),
}


def score(scene: Scene, plate: Image, method: Method) -> Counts:
    """The counts of a method over all frames of a scene."""
    predict = method(plate)
    counts = (Counts.of(predict(frame.image), frame.foreground, frame.background, frame.shadow) for frame in scene)
    return sum(counts, Counts())
