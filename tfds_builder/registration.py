"""Registration of the builders with TFDS, which registers a builder when its class is defined."""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

_TFDS = "tensorflow_datasets"
_BASE = "tfds_builder.builder"
_DATASETS = ("fg_bg_depth", "fg_bg_depth_background", "fg_bg_depth_foreground")


def register_with_tfds() -> None:
    """Register the builders now if TFDS has been imported, else when it is imported."""
    if _TFDS in sys.modules:
        _import_builders()
    else:
        sys.meta_path.insert(0, _AfterTfds())


def _import_builders() -> None:
    for name in _DATASETS:
        importlib.import_module(f"tfds_builder.{name}.{name}_dataset_builder")


class _AfterTfds:
    """A meta path finder that imports the builders after TFDS. It finds no modules itself."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _TFDS:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            # If the base module of the builders imports TFDS, it registers the builders at its end.
            if _BASE not in sys.modules:
                _import_builders()

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
