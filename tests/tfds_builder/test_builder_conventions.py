"""The builder tests of TFDS for each of the three builders."""

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tensorflow_datasets as tfds

from tests.tfds_builder.builder_helpers import draw_manual_dir, small_config
from tfds_builder.fg_bg_depth import fg_bg_depth_dataset_builder
from tfds_builder.fg_bg_depth_background import fg_bg_depth_background_dataset_builder
from tfds_builder.fg_bg_depth_foreground import fg_bg_depth_foreground_dataset_builder

MODULES = (
    fg_bg_depth_dataset_builder,
    fg_bg_depth_background_dataset_builder,
    fg_bg_depth_foreground_dataset_builder,
)


class _BuilderTestCase(tfds.testing.DatasetBuilderTestCase):
    """Prepares small configs from synthetic pictures and reads them."""

    __test__ = False
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar[list[Any]] = [
        small_config("held_out", test_fraction=0.4),
        small_config("lossless", jpeg_quality="png", test_fraction=0.4),
    ]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.EXAMPLE_DIR = tempfile.mkdtemp()
        draw_manual_dir(Path(cls.EXAMPLE_DIR))

    @classmethod
    def tearDownClass(cls) -> None:
        shutil.rmtree(cls.EXAMPLE_DIR)
        super().tearDownClass()


class TestExamples(_BuilderTestCase):
    """Two of five backgrounds are held out, each with 4 foregrounds x 2 x 3 placements."""

    __test__ = True
    DATASET_CLASS = fg_bg_depth_dataset_builder.Builder
    SPLITS: ClassVar[dict[str, int]] = {"train": 72, "test": 48}


class TestBackgrounds(_BuilderTestCase):
    """All pictures are in one split."""

    __test__ = True
    DATASET_CLASS = fg_bg_depth_background_dataset_builder.Builder
    SPLITS: ClassVar[dict[str, int]] = {"train": 5}


class TestForegrounds(_BuilderTestCase):
    """All pictures are in one split."""

    __test__ = True
    DATASET_CLASS = fg_bg_depth_foreground_dataset_builder.Builder
    SPLITS: ClassVar[dict[str, int]] = {"train": 4}


@pytest.mark.parametrize("module", MODULES)
def test_builders_have_metadata(module: Any) -> None:
    metadata = module.Builder.get_metadata()
    assert metadata.description
    assert metadata.citation.startswith("@")
    assert "content.data-type.image" in metadata.tags
    assert set(metadata.tags) <= set(tfds.core.dataset_metadata.valid_tags())


def test_configs() -> None:
    configs = fg_bg_depth_dataset_builder.Builder.builder_configs
    assert {name: (config.flags(), config.most_pictures) for name, config in configs.items()} == {
        "full": ([], None),
        "tiny": ([], 4),
        "no_depth": (["--depth_model=none"], None),
    }
    assert [module.Builder.builder_configs for module in MODULES] == [configs] * 3
