"""What `manifest.json` may hold: every entry that this program reads, checked once, when the file is read.

A manifest can come from anybody. Names in it become file names, and numbers in it become arrays; so each has a rule
here, and code that gets a manifest from `read_manifest` may rely on them. Entries that other versions of this program
add are left alone.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from fgbg.checked_json import (
    Check,
    either,
    entries,
    integer,
    listing,
    mapping,
    number,
    one_of,
    parse_json,
    read_json,
    text,
)
from fgbg.companions import PICTURES_PER_SHARD
from fgbg.naming import DATASET_NAME, SPLITS, VERSION, is_label
from fgbg.records import LEAST_RECORD_BYTES
from fgbg.settings import (
    FILE_FORMATS,
    LARGEST_IMAGE,
    LOSSLESS,
    MOST_EXAMPLES,
    MOST_EXAMPLES_PER_SHARD,
    MOST_PLACEMENTS,
    SPLIT_BY,
)
from fgbg.shard_files import DatasetFiles

COMPANIONS = ("background", "foreground")

_MOST_PICTURES = 10_000_000
_MOST_BYTES = 2**62
_LONGEST_TEXT = 65_536

_any_text = text(lambda value: len(value) <= _LONGEST_TEXT, f"text of at most {_LONGEST_TEXT:,} characters")
_label = text(is_label, "a name in one line, without a part that leads out of a folder")
_sha256 = text(re.compile("[0-9a-f]{64}").fullmatch, "a sha256 of 64 hexadecimal digits")
_word = text(re.compile("[A-Za-z0-9_.-]{1,64}").fullmatch, "a word")

_CONFIGURATION = entries(
    {
        "format": integer(1, 1_000_000),
        "name": text(DATASET_NAME.fullmatch, "a name of a-z, 0-9 and _, a letter first"),
        "version": text(VERSION.fullmatch, "a version such as 1.0.0"),
        "image_size": integer(1, LARGEST_IMAGE),
        "placements": integer(1, MOST_PLACEMENTS),
        "fg_scale": listing(number(0, 1), length=2),
        "placed_sides": listing(integer(1, LARGEST_IMAGE), length=2),
        "seed": integer(0, 2**64 - 1),
        "test_fraction": number(0, 1),
        "split_by": one_of(*SPLIT_BY),
        "jpeg_quality": either(one_of(LOSSLESS), integer(1, 100)),
        "depth_bits": one_of(8, 16, None),
        "examples_per_shard": integer(1, MOST_EXAMPLES_PER_SHARD),
        "file_format": one_of(*FILE_FORMATS),
    }
)

_DEPTH_MODEL = entries(
    {
        "weights": _any_text,
        "sha256": _sha256,
        "engine": _word,
        "precision": _word,
        "input_size": listing(integer(1, LARGEST_IMAGE), length=2),
        "batch_size": integer(1, 100_000),
        "kind": one_of("metric", "relative"),
    }
)

_PICTURES = listing(entries({"label": _label, "class": _label, "sha256": _sha256}))

_SHARD = entries(
    {
        "file": _any_text,
        "examples": integer(1, MOST_EXAMPLES_PER_SHARD),
        "bytes": integer(1, _MOST_BYTES),
        "sha256": _sha256,
    }
)

_MANIFEST = entries(
    {
        "fingerprint": _sha256,
        "configuration": _CONFIGURATION,
        "depth_model": either(one_of(None), _DEPTH_MODEL),
        "inputs": entries({"backgrounds": _PICTURES, "foregrounds": _PICTURES}),
        "held_out": listing(_label),
        "made_with": mapping(_any_text, keys=lambda name: len(name) <= 200),
        "depth_meaning": either(one_of(None), _any_text),
        "skipped": listing(entries({"path": _any_text, "reason": _any_text})),
    }
)


def read_manifest(path: str) -> dict[str, Any]:
    """The manifest in this file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none; the entry that is wrong is named.
    """
    return _checked(read_json(path))


def parse_manifest(data: bytes) -> dict[str, Any]:
    """The manifest in this text.

    Raises:
        ValueError: it is none; the entry that is wrong is named.
    """
    return _checked(parse_json(data))


def shard_differences(manifest: dict[str, Any]) -> Iterator[str]:
    """What the listed shards lack to be all shards of the dataset, each in a few words.

    A manifest without any is still a manifest: whoever reads shards asks for this, whoever verifies tells more.
    """
    configuration, pictures = manifest["configuration"], _counts(manifest)
    name = configuration["name"]
    wanted = {f"{name}_{kind}": pictures[kind] for kind in COMPANIONS}
    wanted[name] = pictures["background"] * pictures["foreground"] * 2 * configuration["placements"]
    splits = SPLITS if configuration["test_fraction"] else SPLITS[:1]
    if missing := set(splits) - manifest["shards"][name].keys():
        yield f"shards.{name} has no split {min(missing)}"
    for dataset, shards_of in manifest["shards"].items():
        for split, shards in shards_of.items():
            for i, shard in enumerate(shards):
                expected = shard_file(configuration, dataset, split, i, len(shards))
                if shard["file"] != expected:
                    yield f"shards.{dataset}.{split}[{i}].file is {shard['file']} instead of {expected}"
            counted = sum(shard["examples"] for shard in shards)
            per_shard = configuration["examples_per_shard"] if dataset == name else PICTURES_PER_SHARD
            if len(shards) != -(-counted // per_shard):
                yield f"shards.{dataset}.{split} is a list of {len(shards):,} for {counted:,} examples"
        examples = sum(shard["examples"] for shards in shards_of.values() for shard in shards)
        if examples != wanted[dataset]:
            yield f"the shards of {dataset} have {examples:,} examples instead of {wanted[dataset]:,}"


def shard_file(configuration: dict[str, Any], dataset: str, split: str, index: int, count: int) -> str:
    """The file name of a shard."""
    files = DatasetFiles("", dataset, configuration["version"], configuration["file_format"])
    return files.shard_name(split, index, count)


def _checked(content: Any) -> dict[str, Any]:
    _MANIFEST(content, "")
    configuration, pictures = content["configuration"], _counts(content)
    _check_configuration(configuration)
    if (content["depth_model"] is None) != (configuration["depth_bits"] is None):
        raise ValueError("depth_model and configuration.depth_bits contradict each other")
    if (content["depth_model"] is None) != (content["depth_meaning"] is None):
        raise ValueError("depth_model and depth_meaning contradict each other")
    for kind, number_of in pictures.items():
        if not 1 <= number_of <= _MOST_PICTURES:
            raise ValueError(f"inputs.{kind}s is a list of {number_of:,} instead of one of 1 to {_MOST_PICTURES:,}")
        _refuse_twins([one["label"] for one in content["inputs"][f"{kind}s"]], f"inputs.{kind}s")
    if pictures["background"] * pictures["foreground"] * 2 * configuration["placements"] > MOST_EXAMPLES:
        raise ValueError("configuration and inputs make more examples than can be numbered")
    _check_shards(content.get("shards"), configuration)
    return content


def _check_configuration(configuration: dict[str, Any]) -> None:
    for key, largest in (("fg_scale", 1), ("placed_sides", configuration["image_size"])):
        low, high = configuration[key]
        if not 0 < low <= high <= largest:
            raise ValueError(f"configuration.{key} is {[low, high]} instead of two rising numbers up to {largest}")
    if configuration["test_fraction"] == 1:
        raise ValueError("configuration.test_fraction is 1 instead of less")


def _check_shards(shards: Any, configuration: dict[str, Any]) -> None:
    name, file_format = configuration["name"], configuration["file_format"]
    datasets: dict[str, Sequence[str]] = {name: SPLITS, **{f"{name}_{kind}": SPLITS[:1] for kind in COMPANIONS}}
    mapping(lambda *_: None, keys=datasets)(shards, "shards")
    for dataset, splits in datasets.items():
        of_dataset: Check = mapping(listing(_SHARD), keys=splits.__contains__)
        of_dataset(shards[dataset], f"shards.{dataset}")
        if SPLITS[0] not in shards[dataset]:
            raise ValueError(f"shards.{dataset}.{SPLITS[0]} is missing")
        for split, listed in shards[dataset].items():
            own = re.compile(re.escape(f"{dataset}-{split}.{file_format}-") + "[0-9]{5,12}-of-[0-9]{5,12}")
            for i, shard in enumerate(listed):
                entry = f"shards.{dataset}.{split}[{i}]"
                text(own.fullmatch, f"the name of a shard of {dataset}, {split}")(shard["file"], f"{entry}.file")
                if shard["examples"] > shard["bytes"] // LEAST_RECORD_BYTES:
                    raise ValueError(
                        f"{entry} has {shard['examples']:,} examples in {shard['bytes']:,} bytes, which hold fewer"
                    )


def _counts(manifest: dict[str, Any]) -> dict[str, int]:
    return {kind: len(manifest["inputs"][f"{kind}s"]) for kind in COMPANIONS}


def _refuse_twins(labels: Sequence[str], entry: str) -> None:
    seen: set[str] = set()
    for i, label in enumerate(labels):
        if label in seen:
            text(lambda _: False, "a name that no other has")(label, f"{entry}[{i}].label")
        seen.add(label)
