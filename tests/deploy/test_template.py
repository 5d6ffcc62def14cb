"""The Flex Template's description against the command line that it describes."""

import argparse
import doctest
import json
import re
from typing import Any

import jsonschema
import pytest

from deploy import launch
from deploy.make_metadata import METADATA, make_metadata
from pipeline.options import BuildOptions, add_build_flags, parse
from transforms.errors import InputError

# TemplateMetadata and ParameterMetadata as Dataflow's REST reference has them, v1b3; nothing else may occur.
PARAMETER_TYPES = ("TEXT", "GCS_READ_FOLDER", "GCS_WRITE_FOLDER", "BOOLEAN", "ENUM", "NUMBER")
TEXT = {"type": "string", "minLength": 1}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "description", "parameters"],
    "properties": {
        "name": TEXT,
        "description": TEXT,
        "streaming": {"type": "boolean"},
        "parameters": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "label", "helpText", "isOptional", "regexes"],
                "properties": {
                    "name": {"type": "string", "pattern": "^[a-zA-Z][a-zA-Z0-9_]*$"},
                    "label": TEXT,
                    "helpText": TEXT,
                    "groupName": TEXT,
                    "isOptional": {"type": "boolean"},
                    "paramType": {"enum": list(PARAMETER_TYPES)},
                    "regexes": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "regex"}},
                    "defaultValue": {"type": "string"},
                    "enumOptions": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["value", "label"],
                            "properties": {"value": TEXT, "label": TEXT},
                        },
                    },
                },
            },
        },
    },
}

SIZES = (("16GB", "13GiB", "1.5TB", "1000000000B"), ("", "16", "GB", "0GB", "16 GB", "16gb"))
# For every flag: texts that mean something, texts that mean nothing.
TEXTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "backgrounds": (("gs://bucket/photos", "gs://bucket/photos/*.jpg"), ("",)),
    "foregrounds": (("gs://bucket/cutouts",), ("",)),
    "data_dir": (("gs://bucket/data",), ("",)),
    "skip_bad_inputs": (("true", "false"), ("", "yes", "1", "True")),
    "overwrite": (("true", "false"), ("", "no", "0")),
    "name": (("fg_bg_depth", "a", "a9"), ("", "9a", "A", "a-b", "a/b")),
    "version": (("1.0.0", "10.20.30"), ("", "1.0", "1.0.0.0", "v1.0.0", "1.x.0")),
    "file_format": (("tfrecord", "array_record"), ("", "parquet", "tfrecords")),
    "examples_per_shard": (("1", "1000"), ("", "0", "-1", "1.5", "many")),
    "jpeg_quality": (("1", "9", "90", "100", "png"), ("", "0", "101", "1000", "PNG", "9.5")),
    "image_size": (("16", "19", "20", "99", "100", "224", "1024"), ("", "0", "9", "15", "-224", "224.0", "big")),
    "placements": (("1", "20"), ("", "0", "-1", "all")),
    "fg_scale": (
        ("0.4,0.55", "0.5", "1", "0.01,1", ".5,1.0"),
        ("", "0", "0.0", "0,0.5", "1.5", "0.4,0.5,0.6", "0.4;0.5", "2,3", "0.5,", "a"),
    ),
    "seed": (("0", "7", "9223372036854775807"), ("", "-1", "0.5", "18446744073709551616", "x")),
    "test_fraction": (("0", "0.0", "0.25", ".5", "0.999"), ("", "1", "1.0", "-0.1", "1.5", "half")),
    "split_by": (("background", "foreground", "example"), ("", "class")),
    "depth_model": (("mini", "nyu", "kitti", "none", "gs://bucket/nyu.h5"), ()),
    "depth_engine": (("keras", "openvino"), ("", "torch")),
    "depth_precision": (("float32", "bfloat16"), ("", "float16")),
    "depth_input_size": (("640x480",), ("", "640", "640x", "640x480x3", "640X480", "-640x480")),
    "depth_batch_size": (("1", "8", "64"), ("", "0", "-8", "8.0")),
    "depth_bits": (("16", "8"), ("", "32")),
    "accelerator": (
        (
            "type:nvidia-l4;count:1",
            "type:nvidia-tesla-t4;count:2;install-nvidia-driver",
            "type:t;count:1;install-nvidia-driver:5xx",
        ),
        ("", "nvidia-l4", "type:nvidia-l4", "type:nvidia-l4;count:0", "type:nvidia l4;count:1"),
    ),
    "min_ram": SIZES,
    "picture_memory": SIZES,
}


def flags() -> dict[str, argparse.Action]:
    parser = argparse.ArgumentParser(add_help=False)
    add_build_flags(parser)
    return {action.dest: action for action in parser._actions}


def described() -> dict[str, dict[str, Any]]:
    return {parameter["name"]: parameter for parameter in json.loads(METADATA.read_text())["parameters"]}


def launched_with(*parameters: str) -> BuildOptions:
    return parse(["build", *launch.as_command_line(parameters)])[1]


def test_file_is_what_the_command_line_gives() -> None:
    assert json.loads(METADATA.read_text()) == make_metadata(), "run `python -m deploy.make_metadata`"


def test_schema() -> None:
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(make_metadata())


def test_every_flag_is_described_and_tested() -> None:
    assert described().keys() - flags().keys() == {"sdk_container_image"}
    assert flags().keys() - described().keys() == set()
    assert TEXTS.keys() == flags().keys()


def test_defaults_are_those_of_the_command_line() -> None:
    given = [f"--{name}={one['defaultValue']}" for name, one in described().items() if "defaultValue" in one]
    assert len(given) > 10
    assert launched_with(*given) == launched_with()
    without = {name for name, one in described().items() if "defaultValue" not in one}
    assert without - {"sdk_container_image"} == {name for name, action in flags().items() if action.default is None}


def test_what_is_required() -> None:
    required = {name for name, one in described().items() if not one["isOptional"]}
    assert required == {"data_dir", "sdk_container_image"}


@pytest.mark.parametrize("name", TEXTS)
def test_patterns_and_parser_agree(name: str) -> None:
    (pattern,) = described()[name]["regexes"]
    good, bad = TEXTS[name]
    for text in good:
        assert re.search(pattern, text), text
        launched_with(f"--{name}={text}")
    for text in bad:
        assert not re.search(pattern, text), text
        with pytest.raises(InputError, match=f"--{name}"):
            launched_with(f"--{name}={text}")


@pytest.mark.parametrize("name", ["backgrounds", "foregrounds", "data_dir", "depth_model"])
def test_only_stored_files_can_be_named(name: str) -> None:
    (pattern,) = described()[name]["regexes"]
    assert not re.search(pattern, "/home/me/here")
    assert not re.search(pattern, "gs://")


@pytest.mark.parametrize("name", [name for name, action in flags().items() if action.nargs == 0])
def test_switches(name: str) -> None:
    assert getattr(launched_with(f"--{name}=true"), name) is True
    assert getattr(launched_with(f"--{name}=false"), name) is False
    assert getattr(launched_with(f"--{name}"), name) is True
    assert getattr(launched_with(), name) is False


def test_choices_are_shown() -> None:
    for name, action in flags().items():
        shown = [option["value"] for option in described()[name].get("enumOptions", [])]
        assert shown == [str(choice) for choice in action.choices or ()]


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(launch).failed == 0
