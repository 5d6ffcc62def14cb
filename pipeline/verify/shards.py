"""Shards read again, each a unit of work for one worker: record by record against what is computed again."""

import functools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.utils.shared import Shared

from fgbg import filesystems
from fgbg.cross_product import Ids
from fgbg.depth_models.model import DepthModel
from fgbg.errors import portable_errors
from fgbg.finished import StoredShard
from fgbg.images import Pixels
from fgbg.records import Fields, WrongRecordError
from fgbg.shard_files import DatasetFiles, FieldSummary, ShardSummary
from fgbg.summary import SplitSummary
from pipeline.verify.depth import DepthSample, check_predicted
from pipeline.verify.examples import CheckedExample, Example, ExampleRules, check_example
from pipeline.verify.faults import Faults
from pipeline.verify.files import Compare, check_shard_file
from transforms.assets import Assets, PictureSource
from transforms.buffers import BufferPool
from transforms.compositing import ExampleBatch, composite_batch
from transforms.depth import predict_depth
from transforms.encoding import encode_batch
from transforms.placements import draw_placements
from transforms.recipe import Recipe
from transforms.shards import count_placements, summarize_batch

# Decoded images that are in memory at once: enough for arithmetic in large pieces, and little at any image size.
_CHUNK_BYTES = 16 << 20


@dataclass(slots=True)
class ShardReport:
    """What was found in a shard.

    Attributes:
        summary: of the shard, as a build makes it, if nothing is wrong.
        faults: what is wrong.
        records: how many were compared.
        same_bytes: how many of them have a composite of the very bytes that encoding gives here.
        predicted: for how many of them depth was predicted again.
        same_depth: how many of those have depth that is equal bit for bit.
        backgrounds: of how many wrong records each background is part.
        foregrounds: likewise.
    """

    summary: ShardSummary | None = None
    faults: Faults = field(default_factory=Faults)
    records: int = 0
    same_bytes: int = 0
    predicted: int = 0
    same_depth: int = 0
    backgrounds: Counter[int] = field(default_factory=Counter)
    foregrounds: Counter[int] = field(default_factory=Counter)

    def to_json(self) -> bytes:
        """As a small file; `from_json` reads it back."""
        return json.dumps(
            {
                "summary": self.summary and self.summary.to_json().decode(),
                "faults": self.faults.to_json(),
                "records": self.records,
                "same_bytes": self.same_bytes,
                "predicted": self.predicted,
                "same_depth": self.same_depth,
                "backgrounds": list(self.backgrounds.items()),
                "foregrounds": list(self.foregrounds.items()),
            }
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "ShardReport":
        """The inverse of `to_json`."""
        content: dict[str, Any] = json.loads(data)
        return cls(
            summary=content["summary"] and ShardSummary.from_json(content["summary"].encode()),
            faults=Faults.from_json(content["faults"]),
            records=content["records"],
            same_bytes=content["same_bytes"],
            predicted=content["predicted"],
            same_depth=content["same_depth"],
            backgrounds=Counter(dict(content["backgrounds"])),
            foregrounds=Counter(dict(content["foregrounds"])),
        )


@dataclass(frozen=True)
class ShardCheck:
    """How to check the shards of a dataset.

    Attributes:
        files: the dataset.
        recipe: how its examples are computed again.
        source: the pictures to compute them from.
        rules: how strictly to compare.
        depth: for which examples depth is predicted again, or None for none.
    """

    files: DatasetFiles
    recipe: Recipe
    source: PictureSource
    rules: ExampleRules
    depth: DepthSample | None = None

    def run(
        self, shard: int, stored: StoredShard, assets: Assets, buffers: BufferPool, model: DepthModel | None = None
    ) -> ShardReport:
        """Check one shard file, which is there; `model` is what predicts depth again, if that is wanted.

        Memory does not depend on the number of records: a few are computed again at a time.
        """
        place = self.recipe.layout.locate(shard)
        report, sums = ShardReport(), SplitSummary(place.count)
        wanted = model if self.depth is not None and shard % self.depth.every == 0 else None
        comparisons = self._comparisons(self.recipe.layout.example_ids(shard), assets, buffers, wanted, report, sums)
        report.faults, size, sha256 = check_shard_file(self.files, stored, place.stop - place.start, comparisons)
        if not report.faults:
            report.summary = ShardSummary(
                dataset=self.files.name,
                split=place.split.name,
                index=place.index,
                count=place.count,
                file=stored.file,
                examples=report.records,
                size=size,
                sha256=sha256,
                fields=sums.fields,
                placements=sums.placements,
            )
        return report

    def _comparisons(
        self,
        ids: Ids,
        assets: Assets,
        buffers: BufferPool,
        model: DepthModel | None,
        report: ShardReport,
        sums: SplitSummary,
    ) -> Iterator[Compare]:
        """A comparison for each example, computed a few at a time; what is right is added to the sums."""
        rules = self.recipe.rules
        chunk = max(1, _CHUNK_BYTES // (4 * rules.image_size**2))
        for start in range(0, len(ids), chunk):
            placements = draw_placements(self.recipe.layout, rules, ids[start : start + chunk])
            batch = composite_batch(placements, assets, rules.image_size, buffers)
            right: list[CheckedExample] = []
            predicted = self._predict(model, batch.fg_bg) if model and start == 0 else ()
            for i, fields in enumerate(encode_batch(self.recipe.encoding, batch)):
                depth = predicted[i] if i < len(predicted) else None
                yield functools.partial(self._compare, batch, i, fields, depth, report, right)
            if len(right) == len(batch):
                self._add(sums, batch, right)

    def _predict(self, model: DepthModel, fg_bg: Pixels) -> Sequence[npt.NDArray[np.integer]]:
        """The depth of the first batch, as it is stored."""
        assert self.depth is not None
        settings = self.depth.settings
        first = fg_bg[: settings.batch_size]
        return list(predict_depth(model, first, bits=settings.bits, batch_size=settings.batch_size))

    def _compare(
        self,
        batch: ExampleBatch,
        i: int,
        fields: Fields,
        depth: npt.NDArray[np.integer] | None,
        report: ShardReport,
        right: list[CheckedExample],
        record: bytes,
    ) -> None:
        placement, example = batch.placements[i], Example(fields, batch.fg_bg[i], batch.mask[i])
        report.records += 1
        try:
            # The first of each few is decoded in any case: which would show an encoder that is broken.
            checked = check_example(record, example, self.rules, decode=i == 0)
            if depth is not None and checked.depth is not None:
                report.predicted += 1
                report.same_depth += check_predicted(checked.depth, depth)
        except WrongRecordError:
            report.backgrounds[placement.background] += 1
            report.foregrounds[placement.foreground] += 1
            raise
        report.same_bytes += checked.same_bytes
        right.append(checked)

    def _add(self, sums: SplitSummary, batch: ExampleBatch, right: list[CheckedExample]) -> None:
        depths: list[Any] = [one.depth for one in right]
        moments = summarize_batch(replace(batch, depth=None if self.rules.depth_bits is None else np.stack(depths)))
        fields = {
            name: FieldSummary(sum(len(one.fields[name]) for one in right), of_field)
            for name, of_field in moments.items()
        }
        sums.add({}, fields, count_placements(batch, self.recipe.encoding))


@dataclass(eq=False)
class VerifyShards(beam.PTransform):
    """Shards to reports of what was found in them.

    (shard, StoredShard) -> name of the report's file in `folder`.

    One element in, one small file out, under a name that depends on the element alone; how many reports are there is
    how far the verification is.
    """

    check: ShardCheck
    folder: str

    def expand(self, shards: beam.PCollection[tuple[int, StoredShard]]) -> beam.PCollection[str]:
        """Wire `ShardCheck.run`."""
        return shards | "ReadAndCompare" >> beam.ParDo(_VerifyShards(self.check, self.folder))


def report_path(folder: str, file: str) -> str:
    """Where the report of a shard file is."""
    return filesystems.join(folder, "reports", f"{file}.json")


class _VerifyShards(beam.DoFn):
    def __init__(self, check: ShardCheck, folder: str) -> None:
        self._check = check
        self._folder = folder
        self._shared = Shared()
        self._shared_model = Shared()
        self._assets: Assets | None = None
        self._model: DepthModel | None = None
        self._buffers: BufferPool | None = None

    def setup(self) -> None:
        self._assets = self._shared.acquire(lambda: Assets(self._check.source))
        if self._check.depth is not None:
            with portable_errors():
                self._model = self._shared_model.acquire(self._check.depth.settings.load)
        self._buffers = BufferPool()

    def process(self, element: tuple[int, StoredShard]) -> Iterator[str]:
        shard, stored = element
        assert self._assets is not None
        assert self._buffers is not None
        path = report_path(self._folder, stored.file)
        with portable_errors():
            report = self._check.run(shard, stored, self._assets, self._buffers, self._model)
            filesystems.write_bytes(path, report.to_json(), temporary_folder=filesystems.join(self._folder, "tmp"))
        yield path
