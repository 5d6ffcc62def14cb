"""Writes metadata.json, which describes the Flex Template's parameters, from the flags of `build`.

python -m deploy.make_metadata
"""

import json
from pathlib import Path
from typing import Any

from pipeline.build.options import BuildOptions
from pipeline.common.flags import Flag, flags_of

METADATA = Path(__file__).with_name("metadata.json")

# Launcher and workers are different machines, so only paths that both can reach are useful.
_STORED = r"gs://[^\s]+"
_PICKERS = {"backgrounds": "GCS_READ_FOLDER", "foregrounds": "GCS_READ_FOLDER", "data_dir": "GCS_WRITE_FOLDER"}
# TFDS's own default is a folder of the worker machine, which is deleted when the job ends.
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
    """The description of the template, ready for JSON."""
    parameters = [_parameter(name, flag) for name, flag in flags_of(BuildOptions).items()]
    return {
        "name": "fgbg",
        "description": "A TFDS dataset of foregrounds composited over backgrounds, with exact masks and depth maps.",
        "streaming": False,
        "parameters": [*parameters, _WORKER_IMAGE],
    }


def _parameter(name: str, flag: Flag) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "helpText": flag.help if name in _REQUIRED else flag.help_with_default,
        "groupName": (flag.group or "").partition(" (")[0].capitalize(),
        "isOptional": name not in _REQUIRED,
    }
    if flag.is_switch:
        return described | {"paramType": "BOOLEAN", "regexes": ["^(true|false)$"], "defaultValue": "false"}
    if flag.choices:
        described |= {
            "paramType": "ENUM",
            "enumOptions": [{"value": choice, "label": choice} for choice in flag.choices],
            "regexes": [f"^({'|'.join(flag.choices)})$"],
        }
    else:
        patterns = [*([flag.pattern] if flag.pattern else []), *([_STORED] if flag.is_path else [])]
        described |= {"paramType": _PICKERS.get(name, "TEXT"), "regexes": [f"^({'|'.join(patterns)})$"]}
    return described if flag.default is None else described | {"defaultValue": flag.default}


if __name__ == "__main__":
    METADATA.write_text(json.dumps(make_metadata(), indent=2) + "\n", encoding="utf-8")
