"""Any text as the value of a flag."""

import argparse
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from pipeline.common import flag_types
from tests.fuzz.mutations import fuzz

PARSERS: dict[str, Callable[[str], Any]] = {
    "integer": flag_types.integer(1),
    "bounded": flag_types.integer(0, 2**64 - 1),
    **{
        parser.__name__: parser
        for parser in (
            flag_types.local_output,
            flag_types.input_path,
            flag_types.depth_model,
            flag_types.fraction,
            flag_types.scale,
            flag_types.number,
            flag_types.quality,
            flag_types.width_height,
            flag_types.accelerator,
            flag_types.memory_size,
            flag_types.byte_count,
            flag_types.dataset_name,
            flag_types.version,
        )
    },
}
PARTS = ["1", "0.5", ",", "x", "640x480", "type:nvidia-tesla-t4;count:1", "16GB", "GiB", "e", "-", ".", "~", "/", "∞"]
TEXTS = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from([*PARTS, "nan", "inf", "1" * 5000, "9" * 400, "²", "١", " ", "_", "\0"]), max_size=5).map(
        "".join
    ),
)


@pytest.mark.parametrize("name", PARSERS)
def test_flags(name: str) -> None:
    def check(text: str) -> None:
        with contextlib.suppress(argparse.ArgumentTypeError):
            PARSERS[name](text)

    fuzz(TEXTS, check, examples=300)
