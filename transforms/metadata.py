"""Writing everything that needs all shards: statistics, manifest, card, and TFDS's metadata."""

from dataclasses import dataclass

import apache_beam as beam

from fgbg.documents import DatasetMetadata, write_metadata
from fgbg.summary import BuildSummary
from transforms.stages import Stage

_STAGE = Stage("WriteMetadata")


@dataclass(eq=False)
class WriteMetadata(beam.PTransform):
    """The summary of all shards to the files that make a dataset of them.

    BuildSummary (one element) -> the dataset's folder.
    """

    metadata: DatasetMetadata

    def expand(self, summary: beam.PCollection[BuildSummary]) -> beam.PCollection[str]:
        """Wire `write_metadata`."""
        return summary | "WriteFiles" >> beam.Map(_write_metadata, metadata=self.metadata)


def _write_metadata(summary: BuildSummary, metadata: DatasetMetadata) -> str:
    with _STAGE.timed():
        folder = write_metadata(summary, metadata)
    _STAGE.count("skipped_inputs", len(metadata.skipped))
    return folder
