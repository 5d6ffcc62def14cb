"""The files beside the shards: manifest, statistics, and what TFDS reads."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fgbg import filesystems
from fgbg.checked_json import parse_json
from fgbg.documents import fingerprint
from fgbg.finished import StoredShard
from fgbg.naming import printable
from fgbg.shard_files import DatasetFiles
from pipeline.verify.faults import Fault, Faults

# What is stored may be longer than what is computed again by so much prose, in bytes.
_MOST_PROSE = 1 << 24

# In TFDS's JSON files: prose, which may read differently in another version of this program.
_PROSE = ("description", "citation", "location", "moduleName")


@dataclass(frozen=True, slots=True)
class ExpectedShard:
    """A shard that a dataset must have."""

    files: DatasetFiles
    split: str
    file: str
    examples: int


def check_manifest(
    manifest: Mapping[str, Any], expected: Iterable[ExpectedShard]
) -> tuple[dict[str, StoredShard], Faults]:
    """Compare the shards that the manifest lists with those that must be there.

    Returns:
        What the manifest says of each shard, by its file name; and what is wrong.
    """
    faults = Faults()
    if manifest["fingerprint"] != fingerprint(manifest):
        faults.add(
            Fault(
                "manifest.json",
                "is not that of its configuration, depth_model and inputs: one of them has been changed",
                field="fingerprint",
            )
        )
    listed = {
        shard["file"]: StoredShard.of(shard)
        for splits in manifest["shards"].values()
        for shards in splits.values()
        for shard in shards
    }
    known = set()
    for shard in expected:
        known.add(shard.file)
        if shard.file not in listed:
            faults.add(Fault("manifest.json", f"does not list {shard.file}", field="shards"))
        elif listed[shard.file].examples != shard.examples:
            faults.add(
                Fault(
                    "manifest.json",
                    f"says that {shard.file} has {listed[shard.file].examples:,} examples instead of"
                    f" {shard.examples:,}",
                    field="shards",
                )
            )
    for file in sorted(listed.keys() - known):
        faults.add(Fault("manifest.json", f"lists {file}, which is no shard of this dataset", field="shards"))
    return listed, faults


def check_presence(expected: Iterable[ExpectedShard], present: Mapping[str, int]) -> Faults:
    """Compare the shard files that are there with those that must be."""
    faults = Faults()
    known = set()
    for shard in expected:
        known.add(shard.file)
        if shard.file not in present:
            faults.add(Fault(shard.file, "is missing"))
    for file in sorted(present.keys() - known):
        faults.add(Fault(file, "is no shard of this dataset; remove it"))
    return faults


def check_statistics(stored: bytes, computed: Mapping[str, Any]) -> Faults:
    """Compare statistics.json with what is computed again, number by number and exactly."""
    return _check_json("statistics.json", stored, json.loads(json.dumps(computed)))


def check_tfds_file(files: DatasetFiles, name: str, computed: bytes) -> Faults:
    """Compare a file that TFDS reads with what is computed again: all of it, but for prose in JSON files."""
    path = files.path(name)
    if not filesystems.exists(path):
        return Faults([Fault(f"{files.name}/{name}", "is missing")], 1)
    try:
        stored = filesystems.read_bytes(path, most=len(computed) + _MOST_PROSE)
    except OSError as error:
        return Faults([Fault(f"{files.name}/{name}", f"cannot be read ({error.strerror or error})")], 1)
    if name.endswith(".json"):
        return _check_json(f"{files.name}/{name}", stored, json.loads(computed))
    faults = Faults()
    if stored != computed:
        faults.add(Fault(f"{files.name}/{name}", "does not have the names that the manifest has"))
    return faults


def _check_json(file: str, stored: bytes, computed: Any) -> Faults:
    faults = Faults()
    try:
        content = parse_json(stored)
    except ValueError as error:
        faults.add(Fault(file, f"is no JSON ({error})"))
        return faults
    for entry, there, here in _differences(content, computed):
        faults.add(Fault(file, f"is {_short(there)} instead of {_short(here)}", field=entry))
    return faults


_NOTHING = object()


def _differences(there: Any, here: Any, entry: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*here, *(key for key in there if key not in here)]:
            if key not in _PROSE:
                below = f"{entry}.{key}" if entry else key
                yield from _differences(there.get(key, _NOTHING), here.get(key, _NOTHING), below)
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for i, (left, right) in enumerate(zip(there, here, strict=True)):
            yield from _differences(left, right, f"{entry}[{i}]")
    elif there != here:
        yield entry, there, here


def _short(value: Any) -> str:
    if value is _NOTHING:
        return "missing"
    return printable(json.dumps(value, ensure_ascii=False), 60)
