"""The companion dataset of backgrounds."""

from typing import Any

from fgbg.features import Schema, background_features
from tfds_builder.builder import PipelineBuilder


class Builder(PipelineBuilder):
    """The backgrounds as they were composited; preparing them prepares `fg_bg_depth`, beside which they are written."""

    def _features(self, schema: Schema) -> Any:
        return background_features(schema)
