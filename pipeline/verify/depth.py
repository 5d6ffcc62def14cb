"""Depth predicted again, for a sample: predicting takes far longer than everything else."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fgbg.errors import InputError
from fgbg.records import WrongRecordError
from transforms.depth import DepthSettings

# About so many images are predicted again, in batches that hold what they held in the build.
_SAMPLE = 64

# Other processors round otherwise, and bfloat16 coarsely: the mean difference may be this part of the mean depth.
_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class DepthSample:
    """Which examples' depth is predicted again, and by what.

    Attributes:
        settings: those of the build.
        every: the first batch of every so many shards.
    """

    settings: DepthSettings
    every: int


def depth_sample(model: str, recorded: dict[str, Any], bits: int, shards: int) -> DepthSample:
    """A sample spread over all shards, predicted by the weights `model` with the settings that the manifest records.

    Raises:
        InputError: these are not the weights of the manifest, or they cannot be used.
    """
    settings = DepthSettings(
        model=model,
        engine=recorded["engine"],
        precision=recorded["precision"],
        input_size=(recorded["input_size"][0], recorded["input_size"][1]),
        batch_size=recorded["batch_size"],
        bits=bits,
    )
    given = settings.fingerprint()
    if given["sha256"] != recorded["sha256"]:
        raise InputError(
            f"--depth_model: {model} is not what the dataset was made with, {recorded['weights']} of sha256"
            f" {recorded['sha256']}; name that, or leave the flag out."
        )
    return DepthSample(
        replace(settings, sha256=given["sha256"]), every=max(1, shards * recorded["batch_size"] // _SAMPLE)
    )


def check_predicted(stored: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer]) -> bool:
    """Compare stored depth with depth predicted again, both as they are stored; whether they are equal bit for bit.

    Raises:
        WrongRecordError: they differ by more than other processors do.
    """
    difference = np.abs(stored.astype(np.int64) - predicted).mean()
    if difference > _TOLERANCE * predicted.mean() + 1:
        share = difference / predicted.mean()
        raise WrongRecordError("depth", f"differs from what is predicted again by {share:.0%} of the depth on average")
    return bool(difference == 0)
