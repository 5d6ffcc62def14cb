"""The parts that an export is made of: each is made as a whole or made again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fgbg.companions import check_place
from fgbg.errors import RunError
from fgbg.finished import FinishedDataset, StoredShard, read_examples
from fgbg.shard_files import DatasetFiles
from fgbg.stored_pictures import DecodeError
from fgbg.stored_shards import where
from pipeline.export.journal import Journal
from pipeline.export.names import PictureNames
from pipeline.export.stores import Store
from pipeline.export.tables import Table, lines_of


@dataclass(frozen=True, slots=True)
class Part:
    """A shard or its beginning.

    Attributes:
        split: name of the split.
        shard: which.
        examples: number of its first examples that belong to the part.
    """

    split: str
    shard: StoredShard
    examples: int


def make_parts(splits: Mapping[str, Sequence[StoredShard]], limit: int | None) -> list[Part]:
    """The shards of all splits.

    >>> shards = [StoredShard(f"shard{i}", examples=10, size=500, sha256="") for i in range(3)]
    >>> [(part.split, part.examples) for part in make_parts({"train": shards, "test": shards[:1]}, limit=12)]
    [('train', 10), ('train', 2), ('test', 10)]

    Args:
        splits: shards of each split, in order.
        limit: only so many examples from the front of each split, or None for all.
    """
    parts = []
    for split, shards in splits.items():
        left = limit
        for shard in shards:
            examples = shard.examples if left is None else min(shard.examples, left)
            if not examples:
                break
            if left is not None:
                left -= examples
            parts.append(Part(split, shard, examples))
    return parts


@dataclass(frozen=True, slots=True)
class PartWriter:
    """Writes the parts of a dataset.

    Attributes:
        dataset: where pictures come from.
        names: what they are called.
        kinds: which of them.
        store: where they go.
        table: what tells of them.
        journal: where the lines for the table go.
    """

    dataset: FinishedDataset
    names: PictureNames
    kinds: Sequence[str]
    store: Store
    table: Table
    journal: Journal

    def write_companions(self) -> None:
        """Write backgrounds and foregrounds.

        Raises:
            RunError: a companion dataset cannot be read.
            OSError: the output cannot be written.
        """
        dataset, names = self.dataset, self.names
        with self.store.part() as add:
            for companion, paths_of in (
                (dataset.companions["background"], names.background_paths),
                (dataset.companions["foreground"], names.foreground_paths),
            ):
                start = 0
                for shard in companion.shards:
                    indices = range(start, start := start + shard.examples)
                    records = read_examples(companion.files, shard, companion.form)
                    for index, fields in zip(indices, records, strict=True):
                        check_place(companion.files, shard.file, fields, index, indices)
                        for kind, path in paths_of(index).items():
                            if kind in self.kinds:
                                data = fields["mask" if kind == "fg_mask" else "image"]
                                self._check(kind, data, companion.files, shard, index - indices.start)
                                add(kind, path, data)

    def write_part(self, part: Part, on_example: Callable[[], None]) -> None:
        """Write a part, and a line for the table for each of its examples.

        Args:
            part: which.
            on_example: called after every example.

        Raises:
            RunError: the shard cannot be read.
            OSError: the output cannot be written.
        """
        names = self.names
        lines = self.journal.open(lines_of(part.split))
        with self.store.part() as add:
            records = read_examples(self.dataset.files, part.shard, self.dataset.form, part.examples)
            for number, fields in enumerate(records):
                own = names.example_paths(part.split, fields)
                for kind, path in own.items():
                    self._check(kind, fields[kind], self.dataset.files, part.shard, number)
                    if kind in self.kinds:
                        add(kind, path, fields[kind])
                paths = own | names.background_paths(fields["bg"]) | names.foreground_paths(fields["fg"])
                lines.write(self.table.line(part.split, fields, paths).encode())
                on_example()

    def _check(self, kind: str, data: bytes, files: DatasetFiles, shard: StoredShard, record: int) -> None:
        """People open what was exported: it has to be a picture of the type and size that it should have."""
        try:
            self.dataset.picture_forms[kind].check(data)
        except DecodeError as error:
            place = where(files.path(shard.file), record, kind)
            raise RunError(f"{place}: {error}; build the dataset again.") from error
