"""The flags of `verify` and `report`."""

from dataclasses import dataclass

from pipeline.common import flag_types
from pipeline.common.flags import flag

_INPUTS = "inputs (where they are now: a folder, a glob or any Beam filesystem URI)"
_DEPTH = "depth"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """The values of the flags of `verify`."""

    directory: str = flag_types.dataset_directory()
    backgrounds: str | None = flag(
        "compare the backgrounds, too",
        parse=flag_types.input_path,
        default_help="they are not checked",
        metavar="PATH",
        is_path=True,
        group=_INPUTS,
    )
    foregrounds: str | None = flag(
        "compare the foregrounds, too",
        parse=flag_types.input_path,
        default_help="they are not checked",
        metavar="PATH",
        is_path=True,
        group=_INPUTS,
    )
    depth_model: str | None = flag(
        "the model the dataset was made with (`mini`, `nyu`, `kitti` or the path of its weights file), to predict depth"
        " again for a sample",
        parse=flag_types.depth_model,
        default_help="depth is not predicted again",
        metavar="MODEL",
        is_path=True,
        group=_DEPTH,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """The values of the flags of `report`."""

    directory: str = flag_types.dataset_directory()
    recompute: bool = flag(
        "also recompute statistics.json from all shards; without it, only if the file is missing", is_switch=True
    )
