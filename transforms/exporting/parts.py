"""The parts that an export is made of: each is made as a whole or made again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from transforms.exporting.names import PictureNames
from transforms.exporting.stores import OutputFolder, Store
from transforms.exporting.tables import Table
from transforms.finished import FinishedDataset, StoredShard, read_examples


@dataclass(frozen=True, slots=True)
class Part:
    """Some consecutive shards of a split, or their beginnings.

    Attributes:
        label: its name among all parts.
        split: name of the split.
        shards: each with the number of its first examples that belong to the part.
    """

    label: str
    split: str
    shards: tuple[tuple[StoredShard, int], ...]

    @property
    def examples(self) -> int:
        """How many it has."""
        return sum(examples for _, examples in self.shards)


def make_parts(splits: Mapping[str, Sequence[StoredShard]], *, limit: int | None, most: int) -> list[Part]:
    """Cut splits into parts.

    >>> shards = [StoredShard(f"shard{i}", examples=10, size=500) for i in range(5)]
    >>> [(part.label, part.examples) for part in make_parts({"train": shards, "test": shards[:1]}, limit=35, most=20)]
    [('train-1-of-2', 20), ('train-2-of-2', 15), ('test', 10)]

    Args:
        splits: shards of each split, in order.
        limit: only so many examples from the front of each split, or None for all.
        most: examples in a part; more only if one shard has more.
    """
    parts = []
    for split, shards in splits.items():
        groups: list[list[tuple[StoredShard, int]]] = []
        left = limit
        room = 0
        for shard in shards:
            examples = shard.examples if left is None else min(shard.examples, left)
            if not examples:
                break
            if left is not None:
                left -= examples
            if examples > room:
                groups.append([])
                room = most
            groups[-1].append((shard, examples))
            room -= examples
        count = len(groups)
        digits = len(str(count))
        for number, group in enumerate(groups, 1):
            label = split if count == 1 else f"{split}-{number:0{digits}}-of-{count}"
            parts.append(Part(label, split, tuple(group)))
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
        output: where the lines for the table go.
    """

    dataset: FinishedDataset
    names: PictureNames
    kinds: Sequence[str]
    store: Store
    table: Table
    output: OutputFolder

    def write_companions(self) -> None:
        """Write backgrounds and foregrounds.

        Raises:
            RunError: a companion dataset cannot be read.
            OSError: the output cannot be written.
        """
        dataset, names = self.dataset, self.names
        with self.store.part("") as add:
            for files, shards, paths_of in (
                (dataset.backgrounds_files, dataset.backgrounds_shards, names.background_paths),
                (dataset.foregrounds_files, dataset.foregrounds_shards, names.foreground_paths),
            ):
                for shard in shards:
                    for fields in read_examples(files, shard):
                        for kind, path in paths_of(fields["id"]).items():
                            if kind in self.kinds:
                                add(kind, path, fields["mask" if kind == "fg_mask" else "image"])

    def write_part(self, part: Part, lines_name: str, on_example: Callable[[], None]) -> None:
        """Write a part, and last of all its lines for the table: with them it counts as finished.

        Args:
            part: which.
            lines_name: name of the file of lines.
            on_example: called after every example.

        Raises:
            RunError: a shard cannot be read.
            OSError: the output cannot be written.
        """
        names = self.names
        with (
            self.output.new_file(lines_name) as lines_path,
            lines_path.open("w", encoding="utf-8", newline="") as lines,
            self.store.part(part.label) as add,
        ):
            for shard, examples in part.shards:
                for fields in read_examples(self.dataset.files, shard, examples):
                    own = names.example_paths(part.split, fields)
                    for kind, path in own.items():
                        if kind in self.kinds:
                            add(kind, path, fields[kind])
                    paths = own | names.background_paths(fields["bg"]) | names.foreground_paths(fields["fg"])
                    lines.write(self.table.line(part.split, part.label, fields, paths))
                    on_example()
