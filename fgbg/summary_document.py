"""What the summary of a shard may hold, which a build adds up without reading the shard again."""

from typing import Any

from fgbg.checked_json import Check, either, entries, integer, listing, mapping, one_of, text
from fgbg.placement_counts import AREA_BINS, COVERAGE_CELLS
from fgbg.statistics_document import MOST_COUNT, moments_form

# Image fields of records: channels.
_CHANNELS = {"fg_bg": 3, "image": 3, "mask": 1, "depth": 1}

_count = integer(0, MOST_COUNT)
_name = text(lambda value: 0 < len(value) < 256, "a name")

_PLACEMENTS = entries(
    {
        "bg_class": listing(_count),
        "fg_class": listing(_count),
        "flipped": _count,
        "area": listing(_count, AREA_BINS),
        "coverage": listing(listing(_count, COVERAGE_CELLS), COVERAGE_CELLS),
    }
)


def _fields(value: Any, entry: str) -> None:
    mapping(lambda *_: None, keys=_CHANNELS.__contains__)(value, entry)
    for name, field in value.items():
        form = entries({"encoded_bytes": _count, "moments": either(one_of(None), moments_form(_CHANNELS[name]))})
        form(field, f"{entry}.{name}")


check_summary_document: Check = entries(
    {
        "dataset": _name,
        "split": _name,
        "index": _count,
        "count": _count,
        "file": _name,
        "examples": _count,
        "size": _count,
        "sha256": _name,
        "fields": _fields,
        "placements": either(one_of(None), _PLACEMENTS),
    }
)
