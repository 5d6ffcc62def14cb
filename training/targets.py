"""Training targets of a student network, which the formula of all depth models converts to metres.

Every DenseDepth network predicts y = 1000 / centimetres, and `build` computes metres = clip(10 / y, 0.1, 10) for any
weights. A teacher predicts relative inverse depth d (larger = nearer), which constants map to

    y = 1 + 9 clip(d, 0, d_near) / d_near,     metres = 10 / y

so that d = 0 becomes 10 nominal metres and d = d_near becomes 1. The mapping is linear in inverse depth and the same
for every image, so student weights need no special case. Outputs below y = 1 are clipped to 10 metres.
"""

import numpy as np
import numpy.typing as npt

OUTPUT_FAR = 1.0
OUTPUT_NEAR = 10.0

# The default teacher predicts inverse depth in 0 .. 1.2.
TEACHER_NEAR = 1.2


def output_from_inverse(inverse: npt.NDArray[np.float32], near: float = TEACHER_NEAR) -> npt.NDArray[np.float32]:
    """Return the target y of the student in 1 .. 10 for the inverse depth of the teacher, of any shape.

    >>> output_from_inverse(np.float32([-1, 0, 0.6, 1.2, 5])).tolist()
    [1.0, 1.0, 5.5, 10.0, 10.0]
    """
    fraction = np.clip(inverse, 0, near) / np.float32(near)
    return (OUTPUT_FAR + (OUTPUT_NEAR - OUTPUT_FAR) * fraction).astype(np.float32)


def inverse_from_metres(metres: npt.NDArray[np.float32], near: float = TEACHER_NEAR) -> npt.NDArray[np.float32]:
    """Return inverse depth on the scale of the teacher for nominal metres of a student.

    >>> inverse_from_metres(np.float32([10, 1])).tolist()
    [0.0, 1.2000000476837158]
    """
    return ((10 / metres - OUTPUT_FAR) / (OUTPUT_NEAR - OUTPUT_FAR) * near).astype(np.float32)
