"""Texts of flags that are wrong in unusual ways: refused as such, not with a traceback."""

import argparse

import pytest

from pipeline.common import flag_types


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (flag_types.local_output, "~nobody-of-this-name/out"),
        (flag_types.local_output, "~\0"),
        (flag_types.quality, "1" * 5000),
        (flag_types.quality, "٩٠"),
        (flag_types.width_height, "1" * 5000 + "x480"),
        (flag_types.width_height, "٦٤x٤٨"),
        (flag_types.byte_count, "9" * 400 + "GB"),
        (flag_types.byte_count, "1" * 400 + ".5TiB"),
        (flag_types.memory_size, "9" * 400 + "TiB"),
        (flag_types.version, "١.٠.٠"),
        (flag_types.version, "1" * 5000 + ".0.0"),
        (flag_types.dataset_name, "a" * 5000),
        (flag_types.dataset_name, "a/../../b"),
        (flag_types.integer(1), "1" * 5000),
        (flag_types.fraction, "nan"),
        (flag_types.scale, "nan,nan"),
    ],
)
def test_refused(parse: object, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)  # type: ignore[operator]
