"""The dataset of composites, masks and depth maps."""

from typing import Any

from tfds_builder.builder import PipelineBuilder
from tfds_builder.features import Schema, example_features, supervised_keys


class Builder(PipelineBuilder):
    """Composites with their masks and depth maps."""

    def _features(self, schema: Schema) -> Any:
        return example_features(schema)

    def _supervised_keys(self, schema: Schema) -> Any:
        return supervised_keys(schema)
