"""The declared fields of the datasets: types, labels and documentation."""

import numpy as np
import pytest

from fgbg.features import (
    Labels,
    background_features,
    depth_meaning,
    example_features,
    foreground_features,
    supervised_keys,
)
from tests.pictures_helpers import make_schema


def test_class_ids_index_the_sorted_classes() -> None:
    labels = Labels(names=("a", "b", "c"), class_of=("river", "alley", "river"))
    assert labels.classes == ("alley", "river")
    assert labels.class_ids == (1, 0, 1)


def test_fields_have_the_documented_types() -> None:
    features = example_features(make_schema(16, depth_bits=16))
    assert {name: (feature.shape, feature.np_dtype) for name, feature in features.items()} == {
        "fg_bg": ((16, 16, 3), np.uint8),
        "mask": ((16, 16, 1), np.uint8),
        "depth": ((16, 16, 1), np.uint16),
        "bg": ((), np.int64),
        "fg": ((), np.int64),
        "bg_class": ((), np.int64),
        "fg_class": ((), np.int64),
        "flipped": ((), np.bool_),
        "placement": ((), np.int32),
        "bbox": ((4,), np.float32),
        "example_id": ((), np.int64),
    }


@pytest.mark.parametrize(("bits", "dtype"), [(16, np.uint16), (8, np.uint8)])
def test_depth_type_follows_from_its_bits(bits: int, dtype: type) -> None:
    assert example_features(make_schema(depth_bits=bits))["depth"].np_dtype == dtype


def test_dataset_without_depth_has_no_depth_field() -> None:
    assert "depth" not in example_features(make_schema(depth_bits=None))


@pytest.mark.parametrize(("lossless", "encoding"), [(True, "png"), (False, "jpeg")])
def test_encoding_of_composites(lossless: bool, encoding: str) -> None:
    features = example_features(make_schema(lossless=lossless, depth_bits=16))
    assert features["fg_bg"].get_tensor_spec().shape == (16, 16, 3)
    assert features["fg_bg"]._encoding_format == encoding
    assert features["mask"]._encoding_format == features["depth"]._encoding_format == "png"


def test_every_field_is_documented() -> None:
    schema = make_schema(depth_bits=16)
    for features in (example_features(schema), background_features(schema), foreground_features(schema)):
        assert [name for name, feature in features.items() if not feature._doc.desc] == []


def test_labels_keep_their_names() -> None:
    schema = make_schema()
    features = example_features(schema)
    assert tuple(features["bg"].names) == schema.backgrounds.names
    assert features["bg_class"].names == ["river", "street"]
    assert features["fg_class"].names == ["cat", "dog"]


def test_features_survive_writing_and_reading(tmp_path: object) -> None:
    from tensorflow_datasets import features as tf

    features = example_features(make_schema(depth_bits=16))
    features.save_config(str(tmp_path))
    assert repr(tf.FeaturesDict.from_config(str(tmp_path))) == repr(features)


@pytest.mark.parametrize(
    ("bits", "kind", "meaning"),
    [
        (16, "metric", "Depth along the optical axis, larger = farther, linear: metres = depth / 1000."),
        (8, "metric", "Depth along the optical axis, larger = farther, linear: metres = depth / 255 * 10."),
        (
            16,
            "relative",
            "Relative depth on one fixed scale of nominal, not measured, metres, larger = farther, linear:"
            " metres = depth / 1000.",
        ),
    ],
)
def test_depth_meaning_contains_unit_and_formula(bits: int, kind: str, meaning: str) -> None:
    assert depth_meaning(bits, kind) == meaning


@pytest.mark.parametrize(("bits", "keys"), [(None, ("fg_bg", "mask")), (8, ("fg_bg", ("mask", "depth")))])
def test_supervised_keys(bits: int | None, keys: tuple[object, ...]) -> None:
    assert supervised_keys(make_schema(depth_bits=bits)) == keys
