"""What an export tells people of itself."""

from collections.abc import Mapping

from fgbg.finished import FinishedDataset

README = "README.md"

_KINDS = {
    "fg_bg": "composite: a foreground laid over a background",
    "mask": "PNG, 255 where the foreground is, else 0",
    "depth": "PNG, one channel",
    "bg": "background as it was composited, PNG",
    "fg": "foreground before it was resized and placed, PNG with alpha",
    "fg_mask": "PNG, 255 where its alpha is at least 128, else 0",
}

_LABELS = """\
`labels.csv` has a row for each example:

| column | meaning |
| --- | --- |
| `example_id` | index in the cross product: ((bg * F + fg) * 2 + flipped) * P + placement |
| `split` | part of the dataset |
| `..._path` | the pictures, one column for each kind |
| `bg_id`, `bg_name`, `bg_class` | which background, its name, its class |
| `fg_id`, `fg_name`, `fg_class` | which foreground, its name, its class |
| `flipped` | 1 if the foreground is mirrored left-right |
| `placement` | which of the random placements of this pair |
| `xmin`, `ymin`, `xmax`, `ymax` | box of the mask in pixels; xmax and ymax are the first pixels outside of it |
"""

_ARCHIVES = """\
Unpack all archives in one folder, for example with `unzip '*.zip'`; the paths in `labels.csv` start there. No picture
is compressed a second time, so reading from the archives directly is as fast. Archives of more than 65,534 pictures or
4 GB are in the format ZIP64, which programs of today read.
"""

_COCO = """\
`instances_SPLIT.json` is read by `pycocotools.coco.COCO` and what builds on it; paths start in this folder. Categories
are the classes of the foregrounds, segmentations are exact masks (run lengths). Images also have
`background_file_name`{depth}. The id of an image is the example's index in the cross product,
((bg * F + fg) * 2 + flipped) * P + placement.
"""


def describe(dataset: FinishedDataset, export_format: str, kinds: tuple[str, ...], examples: Mapping[str, int]) -> str:
    """A README in Markdown.

    Args:
        dataset: the source.
        export_format: "zip", "folder" or "coco".
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
    if export_format == "coco":
        parts.append(_COCO.format(depth="" if dataset.depth_meaning is None else " and `depth_file_name`"))
    else:
        parts.append(_LABELS)
    if export_format == "zip":
        parts.append(_ARCHIVES)
    parts.append("`statistics.json`: mean and standard deviation of every kind over all of the dataset.\n")
    return "\n".join(parts)
