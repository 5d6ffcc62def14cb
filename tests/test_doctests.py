"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import pipeline
import tfds_builder
import transforms


def modules_of(package: ModuleType) -> list[str]:
    names = [module.name for module in pkgutil.iter_modules(package.__path__, package.__name__ + ".")]
    return [name for name in names if not name.endswith("__main__")]


@pytest.mark.parametrize(
    "name", [name for package in (pipeline, tfds_builder, transforms) for name in modules_of(package)]
)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
