"""Which shards are finished already and which are not: found by workers, since there may be millions.

A shard is finished when its file is there, with a summary that fits. Files are looked for span by span: shards whose
names share all but their last digits, so that in an object store one listing by prefix finds them and nothing else.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import apache_beam as beam

from fgbg import filesystems
from fgbg.cross_product import ShardLayout
from fgbg.shard_files import DatasetFiles, read_summary
from transforms.stages import Stage

_STAGE = Stage("FindShards")

# A power of ten, so that the shards of a span share the first digits of their numbers.
_MOST_PER_SPAN = 1000


@dataclass(frozen=True, slots=True)
class ShardSpan:
    """Consecutive shards of a split.

    Attributes:
        split: name of the split.
        count: shards of the split.
        indices: their numbers in the split.
        first: number of the first of them in the layout.
        examples: in all of them.
    """

    split: str
    count: int
    indices: range
    first: int
    examples: int

    def number(self, index: int) -> int:
        """Number in the layout of a shard of this split."""
        return self.first + index - self.indices.start


def shard_spans(layout: ShardLayout) -> list[ShardSpan]:
    """All shards of a layout, in at most 1000 at a time.

    >>> from fgbg.cross_product import CrossProduct, make_splits
    >>> product = CrossProduct(10, 10, 6)
    >>> splits = make_splits(product, test_fraction=0, split_by="example", seed=0)
    >>> [(span.indices, span.examples) for span in shard_spans(ShardLayout(product, splits, 1, 0))]
    [(range(0, 1000), 1000), (range(1000, 1200), 200)]
    """
    spans = []
    first = 0
    for split in layout.splits:
        count = layout.shards_of(split)
        for start in range(0, count, _MOST_PER_SPAN):
            indices = range(start, min(start + _MOST_PER_SPAN, count))
            begin, end = layout.locate(first), layout.locate(first + len(indices) - 1)
            spans.append(ShardSpan(split.name, count, indices, first, end.stop - begin.start))
            first += len(indices)
    return spans


def find_finished(files: DatasetFiles, span: ShardSpan) -> dict[int, int]:
    """Number in the split -> bytes of every shard of a span that is there."""
    names = _shard_names(files, span)
    there = filesystems.find_named(files.directory, names)
    return {index: there[name] for index, name in zip(span.indices, names, strict=True) if name in there}


def _shard_names(files: DatasetFiles, span: ShardSpan) -> list[str]:
    return [files.shard_name(span.split, index, span.count) for index in span.indices]


class FinishedExamples:
    """Counts the examples in finished shards, again and again while they become more.

    Spans that were complete once are not looked at again. On the local disk one listing serves all others.
    """

    def __init__(self, files: DatasetFiles, layout: ShardLayout) -> None:
        self._files = files
        self._layout = layout
        self._open = shard_spans(layout)
        self._in_complete = 0

    def count(self) -> int:
        """How many there are now."""
        in_open = 0
        still_open = []
        names = filesystems.list_local_names(self._files.directory) if self._open else None
        for span in self._open:
            finished = self._finished_in(span, names)
            if len(finished) == len(span.indices):
                self._in_complete += span.examples
                continue
            still_open.append(span)
            for index in finished:
                place = self._layout.locate(span.number(index))
                in_open += place.stop - place.start
        self._open = still_open
        return self._in_complete + in_open

    def _finished_in(self, span: ShardSpan, names: set[str] | None) -> Collection[int]:
        if names is None:
            return find_finished(self._files, span)
        named = zip(span.indices, _shard_names(self._files, span), strict=True)
        return [index for index, name in named if name in names]


@dataclass(eq=False)
class FindShards(beam.PTransform):
    """Spans of shards to the shards in them that are to be made.

    ShardSpan -> number of the shard in the layout.
    """

    files: DatasetFiles

    def expand(self, spans: beam.PCollection[ShardSpan]) -> beam.PCollection[int]:
        """Wire `find_unfinished`."""
        return spans | "FindFiles" >> beam.FlatMap(_find_unfinished, files=self.files)


def find_unfinished(files: DatasetFiles, span: ShardSpan) -> list[int]:
    """Numbers in the layout of the shards of a span that are not there, or without a summary that fits."""
    present = find_finished(files, span)
    unfinished = []
    for index in span.indices:
        name = files.shard_name(span.split, index, span.count)
        if index not in present or read_summary(files, name, present[index]) is None:
            unfinished.append(span.number(index))
    return unfinished


def _find_unfinished(span: ShardSpan, files: DatasetFiles) -> Iterable[int]:
    with _STAGE.timed():
        return find_unfinished(files, span)
