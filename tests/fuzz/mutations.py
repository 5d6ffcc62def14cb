"""Valid bytes and valid JSON, changed at random: what Hypothesis draws for the tests of this folder."""

import contextlib
import json
import os
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

# Seconds for which each test runs; a short run with the same examples every time if it is not set.
SECONDS_VARIABLE = "FGBG_FUZZ_SECONDS"
# No input of some kilobytes may keep a program busy for longer, on a busy machine.
_MOST_SECONDS = 20

# What damages parsers: ends of ranges, signs, lengths.
_BYTES = st.sampled_from([b"\0", b"\xff", b"\x80", b"\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
_STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**40, -(10**18), 0.5, -0.0, 1e308, 1e-300),
    *("", "../x", "/x", "a\0b", "\x1b[2J", "x" * 5000, "\u202e", "train", "é", "e\u0301"),
    *([], {}, [[]], {"": {}}, [0] * 100, ["a", 1, None]),
)


class _TimeIsUp(BaseException):
    """Hypothesis counts examples; this ends a long run, which has found nothing."""


def fuzz(inputs: st.SearchStrategy[Any], check: Callable[[Any], None], *, examples: int = 150) -> None:
    """Call `check` with so many inputs, always the same; or with new ones for as long as the environment says."""
    seconds = float(os.environ.get(SECONDS_VARIABLE, 0))
    end = time.monotonic() + seconds

    @settings(
        max_examples=1_000_000_000 if seconds else examples,
        derandomize=not seconds,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def run(one: Any) -> None:
        start = time.monotonic()
        if seconds and start > end:
            raise _TimeIsUp
        check(one)
        assert time.monotonic() - start < _MOST_SECONDS

    with contextlib.suppress(_TimeIsUp):
        run()


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """One of these byte strings with one to eight changes: bits, insertions, deletions, ends cut off, splices."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 8))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.sampled_from([1, 1, 1, 2, 4, 8, 64, 1024])))
        kind = draw(st.integers(0, 6))
        if kind == 0 and start < len(data):
            data = data[:start] + bytes([data[start] ^ (1 << draw(st.integers(0, 7)))]) + data[start + 1 :]
        elif kind == 1:
            data = data[:start] + draw(_BYTES) + data[start:]
        elif kind == 2:
            data = data[:start] + data[stop:]
        elif kind == 3:
            data = data[:start]
        elif kind == 4:
            data = data[:stop] + data[start:]
        elif kind == 5:
            new = draw(_BYTES)
            data = data[:start] + new + data[start + len(new) :]
        else:
            other = draw(st.sampled_from(originals))
            data = data[:start] + other[draw(st.integers(0, len(other))) :]
    return data


@st.composite
def changed_json(draw: st.DrawFn, original: Any) -> Any:
    """A JSON value with one to four entries replaced, removed, added, doubled or exchanged."""
    content = json.loads(json.dumps(original))
    for _ in range(draw(st.integers(1, 4))):
        places = _places(content)
        if not places:
            break
        parent, key = draw(st.sampled_from(places))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            parent[key] = deepcopy(draw(st.sampled_from(_STRANGE)))
        elif kind == 1:
            del parent[key]
        elif kind == 2 and isinstance(parent, dict):
            parent[draw(st.sampled_from(["more", "", "../x", "train", "a\0"]))] = deepcopy(
                draw(st.sampled_from(_STRANGE))
            )
        elif kind == 3 and isinstance(parent, list):
            parent.append(parent[key])
        else:
            other, there = draw(st.sampled_from(places))
            parent[key] = json.loads(json.dumps(other[there]))
    return content


def _places(content: Any) -> list[tuple[Any, Any]]:
    """Every entry as the object or list that it is in and its key there; the first few of long lists."""
    places: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(min(len(one), 4)) if isinstance(one, list) else []
        places += [(one, key) for key in keys]
        waiting += [one[key] for key in keys]
    return places
