"""What `statistics.json` may hold: every entry that the card shows and that an export passes on."""

from collections.abc import Mapping
from typing import Any

from fgbg.checked_json import Check, entries, integer, listing, mapping, number
from fgbg.placement_counts import AREA_BINS, COVERAGE_CELLS

# Sums of squares of all pixels of the largest dataset; they are exact, so they are integers of any length.
_MOST = 2**128
MOST_COUNT = 2**63 - 1
# Means in stored units, in metres or in 0 .. 255.
_LARGEST_MEAN = 1e6

# Channels, and whether there are moments: colours of cut-outs have none.
_CHANNELS = {"bg": 3, "fg": 0, "fg_mask": 1, "fg_bg": 3, "mask": 1, "depth": 1}
_BINS = {0: 256, 6: 1024}


def check_statistics_document(statistics: Any, manifest: Mapping[str, Any]) -> None:
    """Compare the form of statistics with that of a dataset; whether the numbers are right only `verify` can say.

    Args:
        statistics: content of `statistics.json`.
        manifest: content of the `manifest.json` beside it, which was checked.

    Raises:
        ValueError: an entry is missing or cannot be; it is named.
    """
    name = manifest["configuration"]["name"]
    examples = {split: sum(shard["examples"] for shard in shards) for split, shards in manifest["shards"][name].items()}
    images = {
        "bg": len(manifest["inputs"]["backgrounds"]),
        "fg": len(manifest["inputs"]["foregrounds"]),
        "fg_mask": len(manifest["inputs"]["foregrounds"]),
    }
    of_examples = ["fg_bg", "mask", *(["depth"] if manifest["depth_model"] else [])]
    classes = {
        f"{short}_class": {one["class"] for one in manifest["inputs"][kind]}
        for short, kind in (("bg", "backgrounds"), ("fg", "foregrounds"))
    }

    def part(total: int, kinds: Mapping[str, int]) -> dict[str, Check]:
        return {
            "examples": integer(total, total),
            "bytes": integer(0, MOST_COUNT),
            "kinds": _kinds(kinds),
            "placements": _placements(classes),
        }

    total = sum(examples.values())
    entries(part(total, images | dict.fromkeys(of_examples, total)))(statistics, "")
    mapping(lambda *_: None, keys=examples)(statistics.get("splits"), "splits")
    for split, number_of in examples.items():
        entries(part(number_of, dict.fromkeys(of_examples, number_of)))(statistics["splits"][split], f"splits.{split}")


def _kinds(images: Mapping[str, int]) -> Check:
    def check(value: Any, entry: str) -> None:
        mapping(lambda *_: None, keys=images)(value, entry)
        for kind, number_of in images.items():
            _kind(kind, number_of)(value[kind], f"{entry}.{kind}")

    return check


def _kind(kind: str, images: int) -> Check:
    channels = _CHANNELS[kind]
    checks: dict[str, Check] = {"images": integer(images, images), "encoded_bytes": integer(0, MOST_COUNT)}
    if channels:
        per_channel = listing(number(0, _LARGEST_MEAN), channels)
        checks |= {
            "pixels": integer(1, MOST_COUNT),
            **dict.fromkeys(("mean", "std", "mean_255", "std_255"), per_channel),
            "stored": moments_form(channels),
        }
    if kind == "depth":
        metres = ("mean_metres", "std_metres", "minimum_metres", "maximum_metres")
        checks |= dict.fromkeys(metres, number(0, _LARGEST_MEAN))
    return entries(checks)


def moments_form(channels: int) -> Check:
    """The exact sums over the pixels of one kind of image with so many channels."""
    form = entries(
        {
            "count": integer(1, MOST_COUNT),
            **dict.fromkeys(("total", "total_squares"), listing(integer(0, _MOST), channels)),
            **dict.fromkeys(("minimum", "maximum"), listing(integer(0, 65_535), channels)),
            "shift": integer(0, 6),
        }
    )

    def check(value: Any, entry: str) -> None:
        form(value, entry)
        if value["shift"] not in _BINS:
            raise ValueError(f"{entry}.shift is {value['shift']} instead of 0 or 6")
        counted = _counted(listing(integer(0, MOST_COUNT), _BINS[value["shift"]]))
        listing(counted, channels)(value.get("histogram"), f"{entry}.histogram")

    return check


def _placements(classes: Mapping[str, Any]) -> Check:
    count = integer(0, MOST_COUNT)
    return entries(
        {
            **{name: mapping(count, keys=named) for name, named in classes.items()},
            "flipped": count,
            "area": _counted(listing(count, AREA_BINS)),
            "coverage": listing(listing(count, COVERAGE_CELLS), COVERAGE_CELLS),
        }
    )


def _counted(bins: Check) -> Check:
    """Counts of something: not of nothing, which could not be drawn."""

    def check(value: Any, entry: str) -> None:
        bins(value, entry)
        if not any(value):
            raise ValueError(f"{entry} has only zeros")

    return check
