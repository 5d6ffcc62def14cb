"""A verification: what must be there by the manifest, what of it is compared with what, and what is reported."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TextIO

import apache_beam as beam
from tqdm import tqdm

from fgbg import filesystems
from fgbg.checked_json import MOST_BYTES
from fgbg.companions import SPLIT, companion_shards, shard_indices
from fgbg.cross_product import held_out_pictures
from fgbg.documents import DatasetMetadata, make_statistics, make_tfds_files
from fgbg.errors import InputError, RunError
from fgbg.finished import FinishedDataset, StoredShard, open_finished, refuse_claimed
from fgbg.package_versions import package_versions
from fgbg.settings import VERIFIABLE_FORMATS
from fgbg.shard_files import ShardSummary, shard_sizes
from fgbg.summary import BuildSummary
from pipeline.common.progress import progress_bar
from pipeline.common.runner import is_local, report_failures, submit
from pipeline.verify.companions import CompanionCheck, CompanionReport, UnpackedPictures, check_inputs
from pipeline.verify.depth import DepthSample, depth_sample
from pipeline.verify.documents import ExpectedShard, check_manifest, check_presence, check_statistics, check_tfds_file
from pipeline.verify.examples import ExampleRules
from pipeline.verify.faults import Fault
from pipeline.verify.options import VerifyOptions
from pipeline.verify.shards import ShardCheck, ShardReport, VerifyShards, report_path
from pipeline.verify.verdict import Verdict, common_picture
from transforms.recipe import Recipe, make_recipe
from transforms.summaries import SummarizeShardsFn

# What decides the bytes of a JPEG of the same pixels.
_ENCODER = ("opencv-python-headless", "machine")
_TFDS = "tensorflow-datasets"
# If more shards than these are not listed beside as many that are, the manifest is not one of a damaged dataset.
_MOST_LOST = 1000


def open_verification(directory: str, scratch: str, depth_model: str | None) -> "Verification":
    """Read the manifest and work out what must be there.

    Args:
        directory: the dataset's folder.
        scratch: a folder for pictures and findings that every worker can reach.
        depth_model: what predicts depth again, or None.

    Raises:
        InputError: this is no finished dataset of ours, or one that another version of this program has to verify, or
            it was made with another depth model.
    """
    refuse_claimed(directory)
    dataset = open_finished(directory)
    recipe = _recipe(dataset, ())
    _refuse_endless(dataset, recipe)
    depth = _depth_sample(dataset, recipe, depth_model) if depth_model else None
    return Verification(dataset, recipe, dataset.manifest["made_with"], scratch, depth)


@dataclass(frozen=True)
class Verification:
    """A dataset that is to be verified.

    Attributes:
        dataset: what its manifest says.
        recipe: how its examples follow from that, but for the sizes of the cut-outs.
        made_with: versions of the packages it was made with.
        scratch: a folder for pictures and findings that every worker can reach.
        depth: for which examples depth is predicted again, if for any.
    """

    dataset: FinishedDataset
    recipe: Recipe
    made_with: dict[str, str]
    scratch: str
    depth: DepthSample | None

    def run(self, options: VerifyOptions, pipeline: beam.Pipeline, terminal: TextIO) -> Verdict:
        """Check everything, first what the rest is computed from; progress goes to `terminal`."""
        verdict = Verdict(self.dataset.files.directory)
        summary = self.read_again(verdict, options, pipeline, terminal)
        if summary is None:
            verdict.unchecked.append("statistics.json and what TFDS reads: they follow from what is wrong above")
        else:
            self._check_documents(verdict, summary)
        verdict.unchecked.append("README.md and images/, which are for people")
        return verdict

    def read_again(
        self, verdict: Verdict, options: VerifyOptions, pipeline: beam.Pipeline, terminal: TextIO
    ) -> BuildSummary | None:
        """Check all shards and tell it to `verdict`; the summary that their build made, if nothing is wrong."""
        stored = self._check_files(verdict)
        summaries = self._check_companions(verdict, stored)
        if summaries is None:
            verdict.unchecked.append("examples and inputs: they are compared with the companions, which are damaged")
            return None
        sizes, of_shards = summaries
        self._check_inputs(verdict, options, terminal)
        reports = self._check_examples(verdict, stored, sizes, pipeline, terminal)
        of_shards += [report.summary for report in reports if report.summary]
        if verdict.faults:
            return None
        combine = SummarizeShardsFn()
        summary: BuildSummary = combine.create_accumulator()
        for shard in of_shards:
            combine.add_input(summary, shard)
        return summary

    @property
    def metadata(self) -> DatasetMetadata:
        """What the documents of the dataset are made from."""
        return DatasetMetadata(
            files=self.dataset.files,
            companions={kind: companion.files for kind, companion in self.dataset.companions.items()},
            schema=self.recipe.schema,
            configuration=self.dataset.manifest,
            skipped=(),
        )

    @property
    def unpacked(self) -> UnpackedPictures:
        """The pictures of the companion datasets."""
        return UnpackedPictures(self.scratch)

    def _check_files(self, verdict: Verdict) -> dict[str, StoredShard]:
        """The shards that are there, as the manifest tells of them, by their file names."""
        stored, faults = check_manifest(self.dataset.manifest, self._expected())
        verdict.faults.extend(faults)
        if self.dataset.manifest["held_out"] != self._held_out():
            verdict.faults.add(Fault("manifest.json", "is not what the splits hold out", field="held_out"))
        present: dict[str, int] = {}
        for files in (self.dataset.files, *self.metadata.companions.values()):
            present |= shard_sizes(files)
        verdict.faults.extend(check_presence(self._expected(), present))
        verdict.checked.append("manifest.json: its fingerprint, and that it lists exactly the shards that are here")
        return {file: shard for file, shard in stored.items() if file in present}

    def _held_out(self) -> list[str]:
        split_by = self.dataset.manifest["configuration"]["split_by"]
        labels = self.dataset.backgrounds if split_by == "background" else self.dataset.foregrounds
        return [labels.names[index] for index in held_out_pictures(self.recipe.layout.splits, split_by)]

    def _expected(self) -> Iterator[ExpectedShard]:
        files, layout = self.dataset.files, self.recipe.layout
        for shard in range(layout.num_shards):
            place = layout.locate(shard)
            name = files.shard_name(place.split.name, place.index, place.count)
            yield ExpectedShard(files, place.split.name, name, place.stop - place.start)
        for kind, companion in self.dataset.companions.items():
            pictures = len(companion.labels.names)
            for part in companion_shards(kind, pictures):
                name = companion.files.shard_name(SPLIT, part.index, part.count)
                yield ExpectedShard(companion.files, SPLIT, name, len(shard_indices(part, pictures)))

    def _check_companions(
        self, verdict: Verdict, stored: dict[str, StoredShard]
    ) -> tuple[tuple[tuple[int, int], ...], list[ShardSummary]] | None:
        """Sizes of the cut-outs and summaries of all shards; None if pictures are missing."""
        reports: dict[str, CompanionReport] = {}
        for kind, companion in self.dataset.companions.items():
            check = CompanionCheck(
                kind,
                companion.files,
                companion.labels,
                self.recipe.rules.image_size,
                self.recipe.rules.longest,
                self.dataset.manifest["configuration"]["format"] > 1,
                self.unpacked,
            )
            reports[kind] = check.run(stored)
            verdict.faults.extend(reports[kind].faults)
        backgrounds, foregrounds = reports["background"].sizes, reports["foreground"].sizes
        verdict.checked.append(
            f"companions: {len(backgrounds):,} backgrounds and {len(foregrounds):,} foregrounds; CRC, fields, pixels"
        )
        product = self.recipe.layout.product
        if len(backgrounds) < product.backgrounds or len(foregrounds) < product.foregrounds:
            return None
        sizes = tuple(foregrounds[index] for index in range(product.foregrounds))
        return sizes, reports["background"].summaries + reports["foreground"].summaries

    def _check_inputs(self, verdict: Verdict, options: VerifyOptions, terminal: TextIO) -> None:
        folders = {"background": options.backgrounds, "foreground": options.foregrounds}
        if unknown := [f"--{kind}s" for kind, folder in folders.items() if folder is None]:
            verdict.unchecked.append(f"input pictures: say where they are now with {' and '.join(unknown)}")
        for kind, folder in folders.items():
            if folder is None:
                continue
            recorded = self.dataset.manifest["inputs"][f"{kind}s"]
            with tqdm(
                desc=f"Checking {kind}s",
                total=len(recorded),
                unit=" pictures",
                leave=False,
                file=terminal,
                disable=not terminal.isatty(),
            ) as bar:
                faults = check_inputs(
                    kind,
                    folder,
                    recorded,
                    self.unpacked,
                    image_size=self.recipe.rules.image_size,
                    longest_side=self.recipe.rules.longest,
                    on_checked=bar.update,
                )
            verdict.faults.extend(faults)
            verdict.checked.append(
                f"input pictures: {len(recorded):,} {kind}s in {folder}; sha256, and they give the {kind} dataset"
            )

    def _check_examples(
        self,
        verdict: Verdict,
        stored: dict[str, StoredShard],
        sizes: tuple[tuple[int, int], ...],
        pipeline: beam.Pipeline,
        terminal: TextIO,
    ) -> list[ShardReport]:
        recipe = replace(self.recipe, rules=replace(self.recipe.rules, cutout_sizes=sizes))
        here = package_versions()
        same_encoder = all(self.made_with.get(name) == here[name] for name in _ENCODER)
        check = ShardCheck(
            self.dataset.files,
            recipe,
            self.unpacked,
            ExampleRules(recipe.schema.lossless, recipe.schema.depth_bits, same_encoder),
            self.depth,
        )
        files = [shard.file for shard in self._expected() if shard.files == self.dataset.files]
        work = [(number, stored[file]) for number, file in enumerate(files) if file in stored]
        reports = self._run(pipeline, check, work, terminal)
        for report in reports:
            verdict.faults.extend(report.faults)
        self._tell_examples(verdict, reports, same_encoder=same_encoder)
        return reports

    def _run(
        self, pipeline: beam.Pipeline, check: ShardCheck, work: list[tuple[int, StoredShard]], terminal: TextIO
    ) -> list[ShardReport]:
        """The reports of these shards, made by Beam."""
        examples = {report_path(self.scratch, stored.file): stored.examples for _, stored in work}

        def count() -> int:
            done = filesystems.list_files(filesystems.join(self.scratch, "reports"))
            return sum(examples.get(path, 0) for path in done)

        _ = (
            pipeline
            | "ListShards" >> beam.Create(work)
            # (shard, StoredShard)
            | "SpreadShards" >> beam.Reshuffle()
            | "VerifyShards" >> VerifyShards(check, self.scratch)
            # path of a report
        )
        total, remote = sum(examples.values()), not is_local(pipeline.options)
        with (
            report_failures("verification", then=""),
            progress_bar(total=total, finished=0, count=count, remote=remote, file=terminal),
        ):
            state = submit(pipeline).wait_until_finish()
        try:
            return [ShardReport.from_json(filesystems.read_bytes(path)) for path in examples]
        except OSError as error:
            raise RunError(f"The runner ended with state {state} before all shards were read; try another.") from error

    def _tell_examples(self, verdict: Verdict, reports: list[ShardReport], *, same_encoder: bool) -> None:
        records = sum(report.records for report in reports)
        same_bytes = sum(report.same_bytes for report in reports)
        verdict.checked += [
            f"shards: {len(reports):,} of {self.recipe.layout.num_shards:,}; size and sha256",
            f"records: {records:,} of {self.recipe.layout.product.size:,}; CRC, every field, and whether they are the"
            " examples of this seed in its order",
            f"masks: {records:,} compared bit for bit with masks computed again, which are binary; bbox with their box",
        ]
        composites = f"composites: {records:,} compared with composites computed again"
        if self.recipe.schema.lossless:
            composites += ", bit for bit"
        else:
            composites += f" and encoded; {same_bytes:,} have the same JPEG bytes"
        if not (self.recipe.schema.lossless or same_encoder):
            then = ", ".join(f"{name} {self.made_with.get(name)}" for name in _ENCODER)
            composites += f", the others may differ by JPEG's error, for {then} made them, which is not what is here"
        verdict.checked.append(composites)
        if self.recipe.schema.depth_bits is not None:
            verdict.checked.append(f"depth: {records:,} decoded; type, size and range")
            predicted = sum(report.predicted for report in reports)
            same_depth = sum(report.same_depth for report in reports)
            if predicted:
                verdict.checked.append(
                    f"depth: {predicted:,} spread over the shards predicted again: {same_depth:,} are equal bit for"
                    " bit, the others nearly"
                )
            else:
                verdict.unchecked.append("whether depth is what the network predicts: name it with --depth_model")
        wrong: dict[str, Counter[int]] = {"background": Counter(), "foreground": Counter()}
        for report in reports:
            wrong["background"] += report.backgrounds
            wrong["foreground"] += report.foregrounds
        names = {kind: companion.labels.names for kind, companion in self.dataset.companions.items()}
        verdict.hint = common_picture(wrong, names)

    def _check_documents(self, verdict: Verdict, summary: BuildSummary) -> None:
        dataset, metadata = self.dataset, self.metadata
        try:
            computed = make_statistics(summary, metadata)
            statistics = filesystems.read_bytes(dataset.files.path("statistics.json"), most=MOST_BYTES)
            verdict.faults.extend(check_statistics(statistics, computed))
        except OSError as error:
            verdict.faults.add(Fault("statistics.json", f"cannot be read ({error})"))
        verdict.checked.append("statistics.json: every number, computed again from all pixels")
        same_tfds = self.made_with.get(_TFDS) == package_versions()[_TFDS]
        names: set[str] = set()
        for files, contents in make_tfds_files(summary, metadata):
            for name, data in contents.items():
                if same_tfds or name != "features.json":
                    names.add(name)
                    verdict.faults.extend(check_tfds_file(files, name, data))
        verdict.checked.append(f"what TFDS reads of all three datasets: {', '.join(sorted(names))}")
        if not same_tfds:
            verdict.unchecked.append(
                f"features.json: made by {_TFDS} {self.made_with.get(_TFDS)}, which is not what is here"
            )


def _recipe(dataset: FinishedDataset, cutout_sizes: tuple[tuple[int, int], ...]) -> Recipe:
    manifest = dataset.manifest
    configuration = manifest["configuration"]
    if configuration["format"] not in VERIFIABLE_FORMATS:
        raise InputError(
            f"{dataset.files.directory} has format {configuration['format']}, and this program verifies"
            f" {' and '.join(map(str, VERIFIABLE_FORMATS))};"
            " use the version that made it."
        )
    depth = manifest["depth_model"]
    return make_recipe(
        configuration, dataset.backgrounds, dataset.foregrounds, cutout_sizes, depth["kind"] if depth else None
    )


def _refuse_endless(dataset: FinishedDataset, recipe: Recipe) -> None:
    """Lost shards are reported one by one; numbers that somebody made up could be counted for ever."""
    listed, expected = sum(map(len, dataset.splits.values())), recipe.layout.num_shards
    if expected > 2 * listed + _MOST_LOST:
        raise InputError(
            f"{dataset.files.path('manifest.json')} lists {listed:,} of the {expected:,} shards that its configuration"
            " makes; restore it or build the dataset again."
        )


def _depth_sample(dataset: FinishedDataset, recipe: Recipe, model: str) -> DepthSample:
    bits = recipe.schema.depth_bits
    if bits is None:
        raise InputError(f"--depth_model: {dataset.files.directory} was made without depth; leave the flag out.")
    return depth_sample(model, dataset.manifest["depth_model"], bits, recipe.layout.num_shards)
