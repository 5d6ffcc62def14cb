"""The TFDS datasets: after `import tfds_builder`, `tfds.load` and `tfds build` know how to prepare `fg_bg_depth`.

Reading a dataset needs nothing of this; preparing one does. `FgBgDepthConfig` chooses other pictures and build options.

The pipeline, too, imports this package, for `tfds_builder.features`, and has no use for TFDS until its shards are
written. So nothing is imported here: the builders are registered once both this package and TFDS have been imported, in
whichever order.
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
