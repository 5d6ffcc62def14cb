"""The description of the Flex Template, compared with the command line."""

import argparse
import doctest
import json
import re
from typing import Any

import jsonschema
import pytest

from deploy import launch
from deploy.make_metadata import METADATA, make_metadata
from fgbg.errors import InputError
from pipeline.build.options import BuildOptions
from pipeline.common.flags import add_flags
from pipeline.parser import parse

# TemplateMetadata and ParameterMetadata as in the REST reference of Dataflow, v1b3. Other fields are errors.
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
# Valid and invalid values of each flag.
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
    add_flags(parser, BuildOptions)
    return {action.dest: action for action in parser._actions}


def described() -> dict[str, dict[str, Any]]:
    return {parameter["name"]: parameter for parameter in json.loads(METADATA.read_text())["parameters"]}


def parse_parameters(*parameters: str) -> BuildOptions:
    return parse(["build", *launch.as_command_line(parameters)])[1]


def test_file_is_up_to_date() -> None:
    assert json.loads(METADATA.read_text()) == make_metadata(), "run `python -m deploy.make_metadata`"


def test_schema() -> None:
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(make_metadata())


def test_every_flag_is_described_and_tested() -> None:
    assert described().keys() - flags().keys() == {"sdk_container_image"}
    assert flags().keys() - described().keys() == set()
    assert TEXTS.keys() == flags().keys()


def test_defaults_are_those_of_the_command_line() -> None:
    flags_with_defaults = [
        f"--{name}={one['defaultValue']}" for name, one in described().items() if "defaultValue" in one
    ]
    assert len(flags_with_defaults) > 10
    assert parse_parameters(*flags_with_defaults) == parse_parameters()
    without = {name for name, one in described().items() if "defaultValue" not in one}
    assert without - {"sdk_container_image"} == {name for name, action in flags().items() if action.default is None}


def test_required_parameters() -> None:
    required = {name for name, one in described().items() if not one["isOptional"]}
    assert required == {"data_dir", "sdk_container_image"}


@pytest.mark.parametrize("name", TEXTS)
def test_patterns_and_parser_agree(name: str) -> None:
    (pattern,) = described()[name]["regexes"]
    good, bad = TEXTS[name]
    for text in good:
        assert re.search(pattern, text), text
        parse_parameters(f"--{name}={text}")
    for text in bad:
        assert not re.search(pattern, text), text
        with pytest.raises(InputError, match=f"--{name}"):
            parse_parameters(f"--{name}={text}")


@pytest.mark.parametrize("name", ["backgrounds", "foregrounds", "data_dir", "depth_model"])
def test_paths_must_be_on_google_cloud_storage(name: str) -> None:
    (pattern,) = described()[name]["regexes"]
    assert not re.search(pattern, "/home/me/here")
    assert not re.search(pattern, "gs://")


@pytest.mark.parametrize("name", [name for name, action in flags().items() if action.nargs == 0])
def test_switches(name: str) -> None:
    assert getattr(parse_parameters(f"--{name}=true"), name) is True
    assert getattr(parse_parameters(f"--{name}=false"), name) is False
    assert getattr(parse_parameters(f"--{name}"), name) is True
    assert getattr(parse_parameters(), name) is False


def test_choices_are_enum_options() -> None:
    for name, action in flags().items():
        values = [option["value"] for option in described()[name].get("enumOptions", [])]
        assert values == [str(choice) for choice in action.choices or ()]


def test_doctests_of_the_launcher() -> None:
    assert doctest.testmod(launch).failed == 0
