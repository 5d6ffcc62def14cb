"""The fields of the three datasets: shapes, types, units and documentation.

The pipeline writes with these declarations and stores them next to the shards, where TFDS reads them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

MILLIMETRES_PER_METRE = 1000
# 8-bit depth maps 0 .. 10 m to 0 .. 255.
EIGHT_BIT_RANGE_METRES = 10

DEPTH_FORMULAS = {16: "metres = depth / 1000", 8: "metres = depth / 255 * 10"}


@dataclass(frozen=True)
class Labels:
    """Names and classes of the pictures of one kind, by index; empty if they are not known yet.

    Attributes:
        names: path of each picture below the input folder, without suffix.
        class_of: class name of each picture.
    """

    names: tuple[str, ...]
    class_of: tuple[str, ...]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The class names, sorted."""
        return tuple(sorted(set(self.class_of)))

    @cached_property
    def class_ids(self) -> tuple[int, ...]:
        """Index into `classes` of each picture."""
        index = {name: i for i, name in enumerate(self.classes)}
        return tuple(index[name] for name in self.class_of)


@dataclass(frozen=True)
class Schema:
    """The settings that determine the fields of a dataset.

    Attributes:
        image_size: side of the square images, pixels.
        backgrounds: names and classes of the backgrounds.
        foregrounds: names and classes of the foregrounds.
        lossless: whether `fg_bg` is stored as PNG instead of JPEG.
        depth_bits: 16 or 8, or None without depth.
        depth_kind: "metric" (metres) or "relative" (nominal metres), or None without depth.
    """

    image_size: int
    backgrounds: Labels
    foregrounds: Labels
    lossless: bool
    depth_bits: int | None
    depth_kind: str | None


def example_features(schema: Schema) -> Any:
    """Return the fields of an example as `tfds.features.FeaturesDict`."""
    import numpy as np
    from tensorflow_datasets import features as tf

    side = schema.image_size
    fields = {
        "fg_bg": tf.Image(
            shape=(side, side, 3),
            encoding_format="png" if schema.lossless else "jpeg",
            doc="Composite: the foreground laid over the background. RGB uint8.",
        ),
        "mask": tf.Image(
            shape=(side, side, 1),
            encoding_format="png",
            doc="255 where the placed cut-out's alpha is at least 128, else 0: exactly binary. inside = mask > 0.",
        ),
        "bg": _label(schema.backgrounds.names, "Which background; the id in the background dataset."),
        "fg": _label(schema.foregrounds.names, "Which foreground; the id in the foreground dataset."),
        "bg_class": _label(schema.backgrounds.classes, "Sub-folder of the background."),
        "fg_class": _label(schema.foregrounds.classes, "Sub-folder of the foreground."),
        "flipped": tf.Scalar(dtype=np.bool_, doc="Whether the foreground is mirrored left-right."),
        "placement": tf.Scalar(dtype=np.int32, doc="Which of the random placements of this pair, from 0."),
        "bbox": tf.BBoxFeature(doc="Box of the mask: ymin, xmin, ymax, xmax as fractions of the image side."),
        "example_id": tf.Scalar(
            dtype=np.int64,
            doc="Index in the cross product: ((bg * F + fg) * 2 + flipped) * P + placement.",
        ),
    }
    if schema.depth_bits is not None:
        fields["depth"] = tf.Image(
            shape=(side, side, 1),
            dtype=np.uint16 if schema.depth_bits == 16 else np.uint8,
            encoding_format="png",
            doc=depth_meaning(schema.depth_bits, schema.depth_kind),
        )
    return tf.FeaturesDict(fields)


def background_features(schema: Schema) -> Any:
    """Return the fields of a background as `tfds.features.FeaturesDict`."""
    from tensorflow_datasets import features as tf

    side = schema.image_size
    return tf.FeaturesDict(
        {
            "image": tf.Image(
                shape=(side, side, 3),
                encoding_format="png",
                doc="The background as it was composited: centre square, area-resized. RGB uint8, lossless.",
            ),
            "id": _label(schema.backgrounds.names, "The `bg` of the examples."),
            "class": _label(schema.backgrounds.classes, "Sub-folder."),
        }
    )


def foreground_features(schema: Schema) -> Any:
    """Return the fields of a foreground as `tfds.features.FeaturesDict`."""
    from tensorflow_datasets import features as tf

    return tf.FeaturesDict(
        {
            "image": tf.Image(
                shape=(None, None, 4),
                encoding_format="png",
                doc="The cut-out before placement, cropped to its alpha box. RGBA uint8, straight alpha, lossless.",
            ),
            "mask": tf.Image(
                shape=(None, None, 1), encoding_format="png", doc="255 where alpha is at least 128, else 0."
            ),
            "id": _label(schema.foregrounds.names, "The `fg` of the examples."),
            "class": _label(schema.foregrounds.classes, "Sub-folder."),
        }
    )


def depth_meaning(bits: int, kind: str | None) -> str:
    """Return a sentence with the unit and the decode formula of depth, and whether it is metric.

    >>> depth_meaning(16, "metric")
    'Depth along the optical axis, larger = farther, linear: metres = depth / 1000.'
    """
    unit = "Depth along the optical axis"
    if kind == "relative":
        unit = "Relative depth on one fixed scale of nominal, not measured, metres"
    return f"{unit}, larger = farther, linear: {DEPTH_FORMULAS[bits]}."


def supervised_keys(schema: Schema) -> tuple[str, Any]:
    """Return the keys for `as_supervised=True`: (fg_bg, mask), or (fg_bg, (mask, depth))."""
    return ("fg_bg", "mask") if schema.depth_bits is None else ("fg_bg", ("mask", "depth"))


def _label(names: tuple[str, ...], meaning: str) -> Any:
    from tensorflow_datasets import features as tf

    # With empty names, TFDS would assume that there are no classes and reject the stored ones later.
    return tf.ClassLabel(names=names or None, doc=meaning)
