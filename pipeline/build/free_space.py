"""Whether what a build is going to make fits on the disk: one sentence before it starts, never a refusal."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fgbg.formatting import format_bytes
from fgbg.records import serialize_record
from pipeline.build.build_plan import BuildPlan
from transforms.assets import Assets
from transforms.compositing import composite_batch
from transforms.encoding import encode_batch
from transforms.placements import Placement, draw_placements

_SAMPLE = 8
# Bytes per pixel of depth maps as PNG, by bits, as measured with `mini`: predicting some would take seconds.
_DEPTH_BYTES = {None: 0.0, 8: 0.2, 16: 0.9}
# What a TFRecord adds to every record.
RECORD_FRAME = 16


def sample_placements(plan: BuildPlan, most: int) -> list[Placement]:
    """A few placements, spread over the whole dataset."""
    size = plan.layout.product.size
    ids = np.unique(np.linspace(0, size - 1, min(most, size)).astype(np.int64))
    return draw_placements(plan.layout, plan.rules, ids)


def describe_lack_of_space(plan: BuildPlan, expected: Callable[[], float], *, finished_examples: int = 0) -> str | None:
    """A sentence if the data directory is on a local disk with less free space than the rest of a build may take.

    Args:
        plan: the build.
        expected: bytes of the whole dataset; called only if its images could fill the disk without any compression.
        finished_examples: what is there already.
    """
    data_dir = plan.options.data_dir
    if "://" in data_dir:
        return None
    size = plan.layout.product.size
    left = (size - finished_examples) / size
    pixels = size * plan.options.image_size**2
    free = shutil.disk_usage(
        next(folder for folder in (Path(data_dir), *Path(data_dir).parents) if folder.exists())
    ).free
    # Three bytes of colour, one of the mask, which takes far less, and depth.
    if pixels * (4 + (plan.schema.depth_bits or 0) / 8) * left < free:
        return None
    needed = expected() * left
    if needed < free:
        return None
    return (
        f"Warning: about {format_bytes(needed)} are going to be written and {format_bytes(free)} are free in"
        f" {data_dir}; free space there or name another --data_dir (a build that fills the disk stops, and the"
        " same command resumes it)."
    )


def expected_bytes(plan: BuildPlan) -> float:
    """About how many bytes a dataset takes, from a few examples without depth that are made in memory."""
    placements = sample_placements(plan, _SAMPLE)
    batch = composite_batch(placements, Assets(plan.asset_paths, plan.options.picture_memory), plan.options.image_size)
    records = [serialize_record(fields) for fields in encode_batch(plan.encoding, batch)]
    depth = _DEPTH_BYTES[plan.schema.depth_bits] * plan.options.image_size**2
    return (float(np.mean([len(record) for record in records])) + RECORD_FRAME + depth) * plan.layout.product.size
