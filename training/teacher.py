"""A teacher: any ONNX network that predicts relative inverse depth."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.targets import TEACHER_NEAR


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """Preprocessing and output scale of a teacher. The defaults suit the small network of TCMonoDepth.

    Attributes:
        path: the ONNX file. Its first input is float32 [1, 3, h, w]; its first output is inverse depth (larger =
            nearer), [1, 1, h, w] or [1, h, w].
        scale: factor for pixel values 0..255.
        mean: subtracted from each RGB channel after scaling.
        std: divisor of each RGB channel after subtraction.
        size: (width, height) of the input, if the file does not fix it.
        near: inverse depth that becomes one nominal metre (see `targets`).
        threads: number of CPU threads.
    """

    path: Path
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    size: tuple[int, int] | None = None
    near: float = TEACHER_NEAR
    threads: int = 1


class Teacher:
    """Loads the network of `settings` and predicts inverse depth.

    Raises:
        ValueError: the file does not fix the input size and `settings` has none.
    """

    def __init__(self, settings: TeacherSettings) -> None:
        import onnxruntime  # needed only for training

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(settings.path), options, providers=["CPUExecutionProvider"])
        node = self._session.get_inputs()[0]
        self._name = node.name
        height, width = node.shape[2:]
        size = (width, height) if isinstance(width, int) and isinstance(height, int) else settings.size
        if size is None:
            raise ValueError(f"{settings.path} does not fix its input size; pass --input_size WIDTH HEIGHT")
        self._size: tuple[int, int] = size
        self._mean = np.asarray(settings.mean, np.float32)
        self._factor = np.float32(settings.scale)
        self._std = np.asarray(settings.std, np.float32)

    def inverse_depth(self, image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Return the inverse depth of a picture, uint8 [H, W, 3] RGB, at `size` (width, height): float32 [h, w]."""
        resized = cv2.resize(image, self._size, interpolation=_filter(image.shape[1::-1], self._size))
        inputs = (resized.astype(np.float32) * self._factor - self._mean) / self._std
        output = self._session.run(None, {self._name: inputs.transpose(2, 0, 1)[np.newaxis]})[0]
        inverse = output.reshape(output.shape[-2:]).astype(np.float32)
        return cv2.resize(inverse, size, interpolation=_filter(inverse.shape[::-1], size))


def _filter(old: tuple[int, ...], new: tuple[int, int]) -> int:
    """Return OpenCV's area filter if a side shrinks, else the bilinear filter."""
    return cv2.INTER_AREA if new[0] < old[0] or new[1] < old[1] else cv2.INTER_LINEAR
