"""What a student network learns to output, so that the depth models' one formula turns it into metres.

Every network of the family predicts y = 1000 / centimetres, and the program computes metres = clip(10 / y, 0.1, 10)
from it, whatever the weights. A teacher of relative inverse depth d (larger = nearer) is therefore mapped by constants

    y = 1 + 9 clip(d, 0, d_near) / d_near,     metres = 10 / y

so that d = 0 becomes 10 nominal metres and d = d_near becomes 1: linear in inverse depth, the same for every image,
and nothing at run time is special. The farthest value lies exactly on the clip; a student below y = 1 is clipped.
"""

import numpy as np
import numpy.typing as npt

OUTPUT_FAR = 1.0
OUTPUT_NEAR = 10.0

# The inverse depth of the default teacher lies in 0 .. 1.2.
TEACHER_NEAR = 1.2


def output_from_inverse(inverse: npt.NDArray[np.float32], near: float = TEACHER_NEAR) -> npt.NDArray[np.float32]:
    """The student's target y in 1 .. 10 from the teacher's inverse depth, any shape.

    >>> output_from_inverse(np.float32([-1, 0, 0.6, 1.2, 5])).tolist()
    [1.0, 1.0, 5.5, 10.0, 10.0]
    """
    share = np.clip(inverse, 0, near) / np.float32(near)
    return (OUTPUT_FAR + (OUTPUT_NEAR - OUTPUT_FAR) * share).astype(np.float32)


def inverse_from_metres(metres: npt.NDArray[np.float32], near: float = TEACHER_NEAR) -> npt.NDArray[np.float32]:
    """The inverse depth, on the teacher's scale, that a student's nominal metres stand for.

    >>> inverse_from_metres(np.float32([10, 1])).tolist()
    [0.0, 1.2000000476837158]
    """
    return ((10 / metres - OUTPUT_FAR) / (OUTPUT_NEAR - OUTPUT_FAR) * near).astype(np.float32)
