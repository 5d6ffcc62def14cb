"""Writes metadata.json, the description of the parameters of the Flex Template, from the flags of `build`.

    python -m deploy.make_metadata

Names, help texts and defaults come from the parser of the command line. The parser validates values with functions,
from which no pattern can be derived, so the patterns are listed here. Tests compare them with the parser.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from pipeline.options import add_build_flags

METADATA = Path(__file__).with_name("metadata.json")

# Launcher and workers are different machines, so paths must be on Google Cloud Storage, which both can reach.
_STORED = r"gs://[^\s]+"
_POSITIVE = "[1-9][0-9]*"
_PART = r"(0?\.[0-9]*[1-9][0-9]*|1(\.0*)?)"
_SIZE = r"[1-9][0-9]*(\.[0-9]+)?([KMGT]i?)?B"

PATTERNS = {
    "backgrounds": _STORED,
    "foregrounds": _STORED,
    "data_dir": _STORED,
    "name": "[a-z][a-z0-9_]*",
    "version": r"[0-9]+\.[0-9]+\.[0-9]+",
    "examples_per_shard": _POSITIVE,
    "jpeg_quality": "[1-9][0-9]?|100|png",
    "image_size": "1[6-9]|[2-9][0-9]|[1-9][0-9]{2,}",
    "placements": _POSITIVE,
    "fg_scale": f"{_PART}(,{_PART})?",
    "seed": "[0-9]{1,19}",
    "test_fraction": r"0|0?\.[0-9]+",
    "depth_model": rf"mini|nyu|kitti|none|{_STORED}",
    "depth_input_size": "[0-9]+x[0-9]+",
    "depth_batch_size": _POSITIVE,
    "accelerator": "type:[a-z0-9-]+;count:[1-9][0-9]*(;install-nvidia-driver(:[A-Za-z0-9_.-]+)?)?",
    "min_ram": _SIZE,
    "picture_memory": _SIZE,
}
_PICKERS = {"backgrounds": "GCS_READ_FOLDER", "foregrounds": "GCS_READ_FOLDER", "data_dir": "GCS_WRITE_FOLDER"}
# The default is a local folder, which is deleted with the machine when the job ends.
_REQUIRED = {"data_dir"}

_WORKER_IMAGE = {
    "name": "sdk_container_image",
    "label": "Sdk container image",
    "helpText": "the image of the workers: target worker or worker-gpu of deploy/Dockerfile",
    "groupName": "Workers",
    "isOptional": False,
    "paramType": "TEXT",
    "regexes": [r"^[^\s]+$"],
}


def make_metadata() -> dict[str, Any]:
    """Return the description of the template."""
    parser = argparse.ArgumentParser(add_help=False)
    add_build_flags(parser)
    parameters = [_parameter(group, action) for group in parser._action_groups for action in group._group_actions]
    return {
        "name": "fgbg",
        "description": "A TFDS dataset of foregrounds composited over backgrounds, with exact masks and depth maps.",
        "streaming": False,
        "parameters": [*parameters, _WORKER_IMAGE],
    }


def _parameter(group: argparse._ArgumentGroup, action: argparse.Action) -> dict[str, Any]:
    text = (action.help or "") % {"default": action.default}
    described: dict[str, Any] = {
        "name": action.dest,
        "label": action.dest.replace("_", " ").capitalize(),
        "helpText": text.partition(" (default")[0] if action.dest in _REQUIRED else text,
        "groupName": (group.title or "").partition(" (")[0].capitalize(),
        "isOptional": action.dest not in _REQUIRED,
    }
    if action.nargs == 0:
        described |= {"paramType": "BOOLEAN", "regexes": ["^(true|false)$"]}
    elif action.choices:
        choices = [str(choice) for choice in action.choices]
        described |= {
            "paramType": "ENUM",
            "enumOptions": [{"value": choice, "label": choice} for choice in choices],
            "regexes": [f"^({'|'.join(choices)})$"],
        }
    else:
        described |= {
            "paramType": _PICKERS.get(action.dest, "TEXT"),
            "regexes": [f"^({PATTERNS[action.dest]})$"],
        }
    if action.default is not None:
        described["defaultValue"] = _text(action.default)
    return described


def _text(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


if __name__ == "__main__":
    METADATA.write_text(json.dumps(make_metadata(), indent=2) + "\n", encoding="utf-8")
