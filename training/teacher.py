"""A teacher: any ONNX network that turns a picture into relative inverse depth."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.targets import TEACHER_NEAR


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """How pictures reach the network and what its output means. The defaults suit TCMonoDepth's small network.

    path: the ONNX file. Its first input is float32 [1, 3, h, w], its first output inverse depth, [1, 1, h, w] or
    [1, h, w], larger = nearer. scale: pixels 0..255 are multiplied by it, then `mean` is subtracted and the result
    divided by `std`, per channel RGB. size: (width, height) of the input where the file leaves it open. near: the
    inverse depth that becomes one nominal metre (see `targets`). threads: of the processor.
    """

    path: Path
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    size: tuple[int, int] | None = None
    near: float = TEACHER_NEAR
    threads: int = 1


class Teacher:
    """The network of `settings`, loaded."""

    def __init__(self, settings: TeacherSettings) -> None:
        import onnxruntime  # only training needs it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(settings.path), options, providers=["CPUExecutionProvider"])
        node = self._session.get_inputs()[0]
        self._name = node.name
        height, width = node.shape[2:]
        size = (width, height) if isinstance(width, int) and isinstance(height, int) else settings.size
        if size is None:
            raise ValueError(f"{settings.path} accepts any input size; say which")
        self._size: tuple[int, int] = size
        self._mean = np.asarray(settings.mean, np.float32)
        self._factor = np.float32(settings.scale)
        self._std = np.asarray(settings.std, np.float32)

    def inverse_depth(self, image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Inverse depth of one picture: uint8 [H, W, 3] RGB -> float32 [h, w], resized to `size` (width, height)."""
        resized = cv2.resize(image, self._size, interpolation=_filter(image.shape[1::-1], self._size))
        inputs = (resized.astype(np.float32) * self._factor - self._mean) / self._std
        output = self._session.run(None, {self._name: inputs.transpose(2, 0, 1)[np.newaxis]})[0]
        inverse = output.reshape(output.shape[-2:]).astype(np.float32)
        return cv2.resize(inverse, size, interpolation=_filter(inverse.shape[::-1], size))


def _filter(old: tuple[int, ...], new: tuple[int, int]) -> int:
    """OpenCV's area filter where a side shrinks, else bilinear."""
    return cv2.INTER_AREA if new[0] < old[0] or new[1] < old[1] else cv2.INTER_LINEAR
