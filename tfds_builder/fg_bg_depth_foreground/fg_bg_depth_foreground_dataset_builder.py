"""The companion dataset of foregrounds."""

from typing import Any

from fgbg.features import Schema, foreground_features
from tfds_builder.builder import PipelineBuilder


class Builder(PipelineBuilder):
    """The cut-outs before placement; preparing them prepares `fg_bg_depth`, beside which they are written."""

    def _features(self, schema: Schema) -> Any:
        return foreground_features(schema)
