"""The TFDS datasets: after `import tfds_builder`, `tfds.load` and `tfds build` can prepare `fg_bg_depth`.

Reading a dataset does not need this package; only preparing one does. `FgBgDepthConfig` selects the input pictures and
the build options.

The pipeline imports this package for `fgbg.features`, but needs TFDS only when it writes shards. So this module
imports nothing: the builders are registered when both this package and TFDS have been imported, in any order.
"""

from typing import Any

from tfds_builder.registration import register_with_tfds

__all__ = ["FgBgDepthConfig"]

register_with_tfds()


def __getattr__(name: str) -> Any:
    if name in __all__:
        from tfds_builder import builder

        return getattr(builder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
