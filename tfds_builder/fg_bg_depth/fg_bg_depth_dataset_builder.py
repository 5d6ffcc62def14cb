"""The dataset of composites, masks and depth maps."""

from typing import Any

from fgbg.features import Schema, example_features, supervised_keys
from tfds_builder.builder import PipelineBuilder


class Builder(PipelineBuilder):
    """Composites with their masks and depth maps."""

    def _features(self, schema: Schema) -> Any:
        return example_features(schema)

    def _supervised_keys(self, schema: Schema) -> Any:
        return supervised_keys(schema)
