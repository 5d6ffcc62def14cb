"""The formats of an export: for each, which pictures it has, where they are kept, and what describes them."""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from fgbg.documents import DESCRIPTION
from fgbg.errors import InputError
from fgbg.finished import FinishedDataset
from pipeline.export.archives import ArchiveStore
from pipeline.export.journal import Journal
from pipeline.export.stores import FileStore, OutputFolder, Store
from pipeline.export.tables import CocoTable, LabelsTable, Table

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


class ExportFormat(ABC):
    """A format of an export.

    Attributes:
        package: what has to be installed for it, by an extra of the name of the format; None for nothing.
    """

    package: ClassVar[str | None] = None

    def check_package(self, name: str) -> None:
        """Make sure that the format can be written here; `name` is that of the format.

        Raises:
            InputError: a package is missing.
        """
        if self.package is not None and importlib.util.find_spec(self.package) is None:
            raise InputError(f"--format {name} needs {self.package}; install it with: pip install 'fgbg-depth[{name}]'")

    @abstractmethod
    def kinds(self, dataset: FinishedDataset) -> tuple[str, ...]:
        """The kinds of pictures that are exported."""

    @abstractmethod
    def store(self, output: OutputFolder, journal: Journal, pictures: Mapping[str, int]) -> Store:
        """What keeps the pictures; `pictures` is the number of each kind."""

    @abstractmethod
    def table(self, dataset: FinishedDataset) -> Table:
        """What describes the examples."""

    @abstractmethod
    def description(self, dataset: FinishedDataset) -> list[str]:
        """Paragraphs of the export's README about its files."""


class FolderFormat(ExportFormat):
    """Plain files, and labels.csv."""

    def kinds(self, dataset: FinishedDataset) -> tuple[str, ...]:
        """All kinds."""
        depth = () if dataset.depth_meaning is None else ("depth",)
        return ("fg_bg", "mask", *depth, "bg", "fg", "fg_mask")

    def store(self, output: OutputFolder, journal: Journal, pictures: Mapping[str, int]) -> Store:
        """Files."""
        return FileStore(output)

    def table(self, dataset: FinishedDataset) -> Table:
        """labels.csv."""
        return LabelsTable(dataset.backgrounds, dataset.foregrounds, dataset.image_size, self.kinds(dataset))

    def description(self, dataset: FinishedDataset) -> list[str]:
        """The columns of labels.csv."""
        return [_LABELS]


class ZipFormat(FolderFormat):
    """The same as plain files, in one archive for every kind of picture."""

    def store(self, output: OutputFolder, journal: Journal, pictures: Mapping[str, int]) -> Store:
        """Archives."""
        return ArchiveStore(output, journal, pictures)

    def description(self, dataset: FinishedDataset) -> list[str]:
        """The columns of labels.csv, and how to unpack."""
        return [*super().description(dataset), _ARCHIVES]


class CocoFormat(ExportFormat):
    """Plain files of composites and backgrounds, and instances_SPLIT.json with boxes, areas and masks."""

    package = "pycocotools"

    def kinds(self, dataset: FinishedDataset) -> tuple[str, ...]:
        """Masks are in the table."""
        return ("fg_bg", "bg") if dataset.depth_meaning is None else ("fg_bg", "depth", "bg")

    def store(self, output: OutputFolder, journal: Journal, pictures: Mapping[str, int]) -> Store:
        """Files."""
        return FileStore(output)

    def table(self, dataset: FinishedDataset) -> Table:
        """instances_SPLIT.json."""
        info = {"description": DESCRIPTION, "version": dataset.files.version, "depth": dataset.depth_meaning}
        return CocoTable(dataset.backgrounds, dataset.foregrounds, dataset.image_size, info)

    def description(self, dataset: FinishedDataset) -> list[str]:
        """What instances_SPLIT.json holds."""
        return [_COCO.format(depth="" if dataset.depth_meaning is None else " and `depth_file_name`")]


# By the values of --format.
EXPORT_FORMATS: dict[str, ExportFormat] = {"zip": ZipFormat(), "folder": FolderFormat(), "coco": CocoFormat()}
