"""What tells of exported pictures: labels.csv, or COCO's instances_SPLIT.json.

A table is made in two steps, so that a stopped export resumes and memory is constant: a line for each example, kept in
one file for each split, and at the end the table from these files.
"""

import csv
import io
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from fgbg.features import Labels
from fgbg.stored_pictures import PictureForm
from pipeline.export.stores import OutputFolder

# All paths of the pictures of an example by kind, and all fields of its record by name.
Paths = Mapping[str, str]
Fields = Mapping[str, Any]

LABELS = "labels.csv"

_COLUMNS = ("bg_id", "bg_name", "bg_class", "fg_id", "fg_name", "fg_class", "flipped", "placement")
_BOX = ("xmin", "ymin", "xmax", "ymax")


def lines_of(split: str) -> str:
    """Name of the file of the lines of a split."""
    return f"{split}.lines"


class Table(Protocol):
    """Tells of examples."""

    def line(self, split: str, fields: Fields, paths: Paths) -> str:
        """What is kept of an example until the end, with a line feed."""
        ...

    def write(self, output: OutputFolder, lines: Mapping[str, Path]) -> list[str]:
        """Make the table from the file of lines of each split; the names of its files."""
        ...


class LabelsTable:
    """labels.csv: one row for each example.

    Args:
        backgrounds: names and classes of the backgrounds.
        foregrounds: names and classes of the foregrounds.
        image_size: side of the images, pixels.
        kinds: kinds of pictures that an example has.
    """

    def __init__(self, backgrounds: Labels, foregrounds: Labels, image_size: int, kinds: Sequence[str]) -> None:
        self._backgrounds = backgrounds
        self._foregrounds = foregrounds
        self._image_size = image_size
        self._kinds = kinds

    def line(self, split: str, fields: Fields, paths: Paths) -> str:
        """A row; see the README that `describe` makes for the meaning of its columns."""
        bg, fg = fields["bg"], fields["fg"]
        return _row(
            [
                fields["example_id"],
                split,
                *(paths[kind] for kind in self._kinds),
                *(bg, self._backgrounds.names[bg], self._backgrounds.class_of[bg]),
                *(fg, self._foregrounds.names[fg], self._foregrounds.class_of[fg]),
                fields["flipped"],
                fields["placement"],
                *pixel_box(fields["bbox"], self._image_size),
            ]
        )

    def write(self, output: OutputFolder, lines: Mapping[str, Path]) -> list[str]:
        """The rows of all splits under one heading."""
        heading = [
            "example_id",
            "split",
            *(f"{kind}_path" for kind in self._kinds),
            *_COLUMNS,
            *_BOX,
        ]
        with output.new_file(LABELS) as path, path.open("wb") as file:
            file.write(_row(heading).encode())
            for of_split in lines.values():
                with of_split.open("rb") as source:
                    shutil.copyfileobj(source, file)
        return [LABELS]


class CocoTable:
    """instances_SPLIT.json: images, categories and annotations as pycocotools reads them.

    Categories are the classes of foregrounds. Masks are compressed run lengths, exactly those of the dataset.

    Args:
        backgrounds: names and classes of the backgrounds.
        foregrounds: names and classes of the foregrounds.
        image_size: side of the images, pixels.
        info: what the files tell of themselves.
    """

    def __init__(self, backgrounds: Labels, foregrounds: Labels, image_size: int, info: Mapping[str, Any]) -> None:
        self._backgrounds = backgrounds
        self._foregrounds = foregrounds
        self._image_size = image_size
        self._info = info

    def line(self, split: str, fields: Fields, paths: Paths) -> str:
        """The image and, unless nothing of the foreground is to be seen, its annotation, with a tab between them."""
        number, background, foreground = fields["example_id"], fields["bg"], fields["fg"]
        image = {
            "id": number,
            "file_name": paths["fg_bg"],
            "width": self._image_size,
            "height": self._image_size,
            "background_file_name": paths["bg"],
            "background": self._backgrounds.names[background],
            "background_class": self._backgrounds.class_of[background],
        }
        if "depth" in paths:
            image["depth_file_name"] = paths["depth"]
        area, run_lengths = encode_mask(fields["mask"], self._image_size)
        if not area:
            return f"{json.dumps(image)}\t\n"
        xmin, ymin, xmax, ymax = pixel_box(fields["bbox"], self._image_size)
        annotation = {
            "id": number + 1,  # COCOeval takes 0 for "no match"
            "image_id": number,
            "category_id": self._foregrounds.class_ids[foreground] + 1,
            "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
            "area": area,
            "iscrowd": 0,
            "segmentation": run_lengths,
            "foreground": self._foregrounds.names[foreground],
            "flipped": fields["flipped"],
            "placement": fields["placement"],
        }
        # Tabs in names are written as \t, so the one between the two is the only one.
        return f"{json.dumps(image)}\t{json.dumps(annotation)}\n"

    def write(self, output: OutputFolder, lines: Mapping[str, Path]) -> list[str]:
        """One file for each split, line by line: all of it at once would not fit into memory."""
        categories = [
            {"id": number + 1, "name": name, "supercategory": ""}
            for number, name in enumerate(self._foregrounds.classes)
        ]
        names = []
        for split, of_split in lines.items():
            name = f"instances_{split}.json"
            with output.new_file(name) as path, path.open("wb") as file, of_split.open("rb") as source:
                head = {"info": {**self._info, "split": split}, "licenses": [], "categories": categories}
                file.write(json.dumps(head).encode().removesuffix(b"}"))
                for column, key in enumerate((b"images", b"annotations")):
                    file.write(b',\n"' + key + b'": [')
                    before = b"\n"
                    source.seek(0)
                    for line in source:
                        if value := line.rstrip(b"\n").split(b"\t")[column]:
                            file.write(before + value)
                            before = b",\n"
                    file.write(b"\n]")
                file.write(b"}\n")
            names.append(name)
        return names


def encode_mask(png: bytes, image_size: int) -> tuple[int, dict[str, Any]]:
    """Area in pixels and COCO's compressed run lengths of a binary mask of this side.

    Raises:
        DecodeError: the picture is no such mask.
    """
    from pycocotools import mask as coco  # an optional dependency

    mask = PictureForm("PNG", np.uint8, (image_size, image_size)).decode(png)
    run_lengths = coco.encode(np.asfortranarray((mask > 0).astype(np.uint8)))
    return cv2.countNonZero(mask), {"size": run_lengths["size"], "counts": run_lengths["counts"].decode("ascii")}


def pixel_box(bbox: Sequence[float], image_size: int) -> tuple[int, int, int, int]:
    """xmin, ymin, xmax, ymax in whole pixels of a stored box ymin, xmin, ymax, xmax in fractions.

    >>> pixel_box([0.25, 0.5, 0.75, 1.0], 224)
    (112, 56, 224, 168)
    """
    ymin, xmin, ymax, xmax = (round(edge * image_size) for edge in bbox)
    return xmin, ymin, xmax, ymax


def _row(values: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
