"""The README of an export."""

from collections.abc import Mapping, Sequence

from fgbg.finished import FinishedDataset
from pipeline.export.formats import ExportFormat

README = "README.md"

_KINDS = {
    "fg_bg": "composite: a foreground laid over a background",
    "mask": "PNG, 255 where the foreground is, else 0",
    "depth": "PNG, one channel",
    "bg": "background as it was composited, PNG",
    "fg": "foreground before it was resized and placed, PNG with alpha",
    "fg_mask": "PNG, 255 where its alpha is at least 128, else 0",
}


def describe(
    dataset: FinishedDataset, export_format: ExportFormat, kinds: Sequence[str], examples: Mapping[str, int]
) -> str:
    """A README in Markdown.

    Args:
        dataset: the source.
        export_format: the format of the export.
        kinds: kinds of pictures in the export.
        examples: number of examples of each split.
    """
    splits = ", ".join(f"{split} {number:,}" for split, number in examples.items())
    side = dataset.image_size
    parts = [
        f"# {dataset.files.full_name}\n",
        f"{sum(examples.values()):,} examples ({splits}) of {side}x{side} pixels.\n",
        "| kind | pictures |\n| --- | --- |\n" + "".join(f"| `{kind}` | {_KINDS[kind]} |\n" for kind in kinds),
    ]
    if dataset.depth_meaning is not None:
        parts.append(f"`depth`: {dataset.depth_meaning}\n")
    parts += export_format.description(dataset)
    parts.append("`statistics.json`: mean and standard deviation of every kind over all of the dataset.\n")
    return "\n".join(parts)
