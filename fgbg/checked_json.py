"""JSON that others wrote: read with bounds, and compared with what it should be, entry by entry.

A check is a function of a value and of the entry's name; it raises ValueError, one sentence that names both.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from fgbg import filesystems
from fgbg.naming import printable

Check = Callable[[Any, str], None]

# The largest document of all is the manifest: some 250 bytes for a shard, so this is two million shards.
MOST_BYTES = 512 << 20
# None of our documents nests deeper than ten.
_DEEPEST = 32
# A list or an object takes twenty times the memory of its brackets; ours have fewer than one in so many bytes.
_FEWEST_BYTES_EACH = 16
_FREE_BRACKETS = 100_000

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LONGEST_SHOWN = 60


def read_json(path: str) -> Any:
    """The content of a JSON file.

    Raises:
        OSError: it is not there, or is no plain file.
        ValueError: it is no JSON, or beyond all bounds.
    """
    return parse_json(filesystems.read_bytes(path, most=MOST_BYTES))


def parse_json(data: bytes) -> Any:
    """The content of a JSON text: no key twice, only finite numbers, only text that can be written again.

    Raises:
        ValueError: it is something else, or larger or more deeply nested than any document of ours.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"has {len(data):,} bytes")
    _refuse_brackets(data)
    try:
        content = json.loads(data, object_pairs_hook=_without_twins, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    _refuse_depth(content)
    if b"\\u" in data:
        try:
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("holds half of a surrogate pair") from None
    return content


def integer(smallest: int, largest: int) -> Check:
    """A whole number of a range."""

    def check(value: Any, entry: str) -> None:
        if type(value) is not int or not smallest <= value <= largest:
            raise _wrong(entry, value, f"an integer from {smallest:,} to {largest:,}")

    return check


def number(smallest: float, largest: float) -> Check:
    """A number of a range."""

    def check(value: Any, entry: str) -> None:
        if type(value) not in (int, float) or not smallest <= value <= largest:
            raise _wrong(entry, value, f"a number from {smallest:g} to {largest:g}")

    return check


def text(allowed: Callable[[str], Any], what: str) -> Check:
    """Text for which `allowed` is true."""

    def check(value: Any, entry: str) -> None:
        if not isinstance(value, str) or not allowed(value):
            raise _wrong(entry, value, what)

    return check


def one_of(*values: Any) -> Check:
    """One of a few values."""

    def check(value: Any, entry: str) -> None:
        if not any(type(value) is type(one) and value == one for one in values):
            raise _wrong(entry, value, " or ".join(map(json.dumps, values)))

    return check


def either(*checks: Check) -> Check:
    """What any of these accepts; the last one tells what is wrong."""
    *others, last = checks

    def check(value: Any, entry: str) -> None:
        for other in others:
            try:
                return other(value, entry)
            except ValueError:
                continue
        return last(value, entry)

    return check


def listing(each: Check, length: int | None = None) -> Check:
    """A list, of this length if one is given."""

    def check(value: Any, entry: str) -> None:
        if not isinstance(value, list) or (length is not None and len(value) != length):
            raise _wrong(entry, value, "a list" if length is None else f"a list of {length}")
        for i, one in enumerate(value):
            each(one, f"{entry}[{i}]")

    return check


def entries(checks: Mapping[str, Check]) -> Check:
    """An object with at least these entries."""

    def check(value: Any, entry: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(entry, value, "an object")
        for key, of_key in checks.items():
            below = f"{entry}.{key}" if entry else key
            if key not in value:
                raise ValueError(f"{below} is missing")
            of_key(value[key], below)

    return check


def mapping(each: Check, keys: Collection[str] | Callable[[str], Any]) -> Check:
    """An object with exactly these keys, or with any number of keys for which `keys` is true."""

    def check(value: Any, entry: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(entry, value, "an object")
        if callable(keys):
            if strange := [key for key in value if not keys(key)]:
                raise ValueError(f"{entry} has the entry {_shown(strange[0])}")
        elif value.keys() != set(keys):
            wanted, there = (", ".join(map(_shown, sorted(some))) for some in (keys, value))
            raise ValueError(f"{entry} has the entries {printable(there, 200)} instead of {printable(wanted, 200)}")
        for key, one in value.items():
            each(one, f"{entry}.{printable(key, _LONGEST_SHOWN)}")

    return check


def _refuse_brackets(data: bytes) -> None:
    """Before parsing: a file of nothing but brackets would take twenty times its size in memory."""
    most = _FREE_BRACKETS + len(data) // _FEWEST_BYTES_EACH
    if data.count(b"{") + data.count(b"[") > most:
        outside = _STRING.sub(b"", data)
        if outside.count(b"{") + outside.count(b"[") > most:
            raise ValueError("has far more lists and objects than any document of this program")


def _refuse_depth(content: Any) -> None:
    level = [content]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for one in level:
            values: Iterable[Any] = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
            below += [value for value in values if isinstance(value, dict | list)]
        if not below:
            return
        level = below
    raise ValueError("is nested too deeply")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"has the entry {_shown(twice)} twice")
    return content


def _refuse(constant: str) -> Any:
    raise ValueError(f"holds {constant}")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"holds the number {printable(digits, _LONGEST_SHOWN)}")
    return value


def _wrong(entry: str, value: Any, wanted: str) -> ValueError:
    return ValueError(f"{entry or 'it'} is {_shown(value)} instead of {wanted}")


def _shown(value: Any) -> str:
    """As JSON, short, of whatever size the value is."""
    if isinstance(value, dict | list) and value:
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    if isinstance(value, str):
        value = value[: _LONGEST_SHOWN + 1]
    if type(value) is int and abs(value) >= 10**_LONGEST_SHOWN:
        return "a number of more than 60 digits"
    return printable(json.dumps(value, ensure_ascii=False), _LONGEST_SHOWN)
