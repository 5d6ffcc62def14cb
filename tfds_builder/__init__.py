"""The TFDS datasets: after `import tfds_builder`, `tfds.load` and `tfds build` can prepare `fg_bg_depth`.

Reading a finished dataset needs no import of this package; preparing one does. `FgBgDepthConfig` chooses other pictures
and build options.
"""

# TFDS registers a builder when its class is defined.
from tfds_builder.builder import FgBgDepthConfig
from tfds_builder.fg_bg_depth.fg_bg_depth_dataset_builder import Builder as FgBgDepth
from tfds_builder.fg_bg_depth_background.fg_bg_depth_background_dataset_builder import Builder as FgBgDepthBackground
from tfds_builder.fg_bg_depth_foreground.fg_bg_depth_foreground_dataset_builder import Builder as FgBgDepthForeground

__all__ = ["FgBgDepth", "FgBgDepthBackground", "FgBgDepthConfig", "FgBgDepthForeground"]
