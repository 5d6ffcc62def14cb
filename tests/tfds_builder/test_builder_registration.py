"""Registration of the builders with TFDS, and the cost of imports."""

from pathlib import Path

import pytest

from tests.tfds_builder.builder_helpers import run_python

NAMES = ["fg_bg_depth", "fg_bg_depth_background", "fg_bg_depth_foreground"]

# Packages that are slow to import.
HEAVY = "('tensorflow', 'apache_beam', 'transforms')"


@pytest.mark.parametrize(
    "imports",
    [
        "import tensorflow_datasets as tfds, tfds_builder",
        "import tfds_builder, tensorflow_datasets as tfds",
        "import tfds_builder.builder, tensorflow_datasets as tfds",
        "from tfds_builder import FgBgDepthConfig; import tensorflow_datasets as tfds",
    ],
)
def test_builders_are_registered_for_any_order_of_imports(imports: str, tmp_path: Path) -> None:
    code = f"""
import json, sys
{imports}
heavy = [name for name in {HEAVY} if name in sys.modules]
names = [name for name in tfds.list_builders(with_community_datasets=False) if name.startswith("fg_bg")]
print(json.dumps([heavy, names, tfds.builder_cls("fg_bg_depth").__module__]))
"""
    assert run_python(code, cwd=tmp_path) == [[], NAMES, "tfds_builder.fg_bg_depth.fg_bg_depth_dataset_builder"]


def test_importing_the_commands_does_not_import_tfds(tmp_path: Path) -> None:
    code = """
import json, sys
import pipeline.commands, pipeline.build.run_build
print(json.dumps([name for name in ("tensorflow", "tensorflow_datasets", "tfds_builder") if name in sys.modules]))
"""
    assert run_python(code, cwd=tmp_path) == []
