"""The flags of `export`."""

from dataclasses import dataclass

from pipeline.common import flag_types
from pipeline.common.flags import flag

FORMATS = ("zip", "folder", "coco")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The values of the flags of `export`."""

    directory: str = flag_types.dataset_directory()
    format: str = flag(
        "`zip`: one archive for every kind of picture, and labels.csv; `folder`: the same as plain files; `coco`: plain"
        " files and instances_SPLIT.json with boxes, areas and masks",
        choices=FORMATS,
        required=True,
    )
    output: str = flag(
        "a new or empty folder on the local disk",
        parse=flag_types.local_output,
        required=True,
        metavar="OUT",
        is_path=True,
    )
    split: str | None = flag("export only this split", default_help="all", metavar="SPLIT")
    limit: int | None = flag(
        "export only the first N examples of each split, which are a fair sample",
        parse=flag_types.integer(1),
        default_help="all",
        metavar="N",
    )
