"""What the texts of flags mean: functions for argparse, whose errors name the text and what is expected."""

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fgbg.depth_models.catalogue import MODEL_NAMES
from fgbg.naming import DATASET_NAME, VERSION, printable
from fgbg.settings import LOSSLESS, NO_DEPTH
from pipeline.common.flags import flag

SIZE_PATTERN = r"[1-9][0-9]*(\.[0-9]+)?([KMGT]i?)?B"
ACCELERATOR_PATTERN = "type:[a-z0-9-]+;count:[1-9][0-9]*(;install-nvidia-driver(:[A-Za-z0-9_.-]+)?)?"


def dataset_directory() -> Any:
    """The positional argument of commands that read a finished dataset."""
    return flag(
        "the dataset's folder, such as DATA_DIR/fg_bg_depth/1.0.0", parse=input_path, positional=True, metavar="DIR"
    )


def input_path(text: str) -> str:
    """A path or URI that means the same in every process: local paths are made absolute."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    if text.startswith("file:/"):
        plain = unquote(urlsplit(text).path)
        raise argparse.ArgumentTypeError(f"{text} is a URL of a local file; give the plain path {plain}")
    if "://" in text:
        return text
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"the path {printable(text)} contains a NUL character; give another path")
    try:
        absolute = str(Path(text).expanduser().absolute())
    except RuntimeError:
        raise argparse.ArgumentTypeError(
            f"the home folder in {text} is not known; set HOME, or give a path that does not begin with ~"
        ) from None
    except FileNotFoundError:
        raise argparse.ArgumentTypeError(
            f"{text} begins in the working directory, which was deleted; change to another folder, or give a path that"
            " begins with /"
        ) from None
    try:
        absolute.encode()
    except UnicodeEncodeError:
        # Neither JSON nor TFDS nor Beam's runners can hold it.
        raise argparse.ArgumentTypeError(
            f"the path {printable(absolute)} is not UTF-8; rename the folder that is escaped here, or give a link to it"
        ) from None
    return absolute


def local_output(text: str) -> str:
    """A folder on the local disk."""
    path = input_path(text)
    if "://" in path:
        raise argparse.ArgumentTypeError(
            f"{text} is not on the local disk; export to a local folder, then upload that folder"
        )
    return path


def depth_model(text: str) -> str:
    """A model's name as it is, or the path of a weights file made absolute."""
    is_name = text in (NO_DEPTH, *MODEL_NAMES) or not ("/" in text or os.path.exists(text))  # noqa: PTH110  # never raises
    return text if is_name and text else input_path(text)


def integer(smallest: int, largest: int | None = None) -> Callable[[str], int]:
    """Integers of a range."""

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = smallest - 1
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{text} must be an integer >= {smallest}")
        if largest is not None and value > largest:
            raise argparse.ArgumentTypeError(f"{text} must be at most {largest}")
        return value

    return integer


def fraction(text: str) -> float:
    """A number from 0 to 1, without 1."""
    value = number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0 and less than 1")
    return value


def scale(text: str) -> tuple[float, float]:
    """LO,HI as fractions; a single number is both."""
    values = [number(part) for part in text.split(",")]
    smallest, largest = values[0], values[-1]
    if len(values) > 2 or not 0 < smallest <= largest <= 1:
        raise argparse.ArgumentTypeError(f"{text} must be LO,HI with 0 < LO <= HI <= 1, such as 0.4,0.55")
    return smallest, largest


def number(text: str) -> float:
    """Any number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a number") from None


def quality(text: str) -> int | None:
    """A JPEG quality, or None for lossless PNG."""
    if text == LOSSLESS:
        return None
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text} must be 1 .. 100 or `{LOSSLESS}`")
    return int(text)


def width_height(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT."""
    match = re.fullmatch("([0-9]{1,6})x([0-9]{1,6})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} must be WIDTHxHEIGHT, such as 640x480")
    return int(match[1]), int(match[2])


def accelerator(text: str) -> str:
    """An accelerator in the form of Beam's resource hints."""
    if not re.fullmatch(ACCELERATOR_PATTERN, text):
        raise argparse.ArgumentTypeError(
            f"{text} must be type:NAME;count:N, such as type:nvidia-tesla-t4;count:1;install-nvidia-driver"
        )
    return text


def memory_size(text: str) -> str:
    """Bytes with a unit, kept as text for Beam."""
    byte_count(text)
    return text


def byte_count(text: str) -> int:
    """Bytes with a unit: powers of 1000, or of 1024 with an i."""
    match = re.fullmatch(r"([1-9][0-9]{0,17}(?:\.[0-9]{1,17})?)(?:([KMGT])(i?))?B", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} must be a size such as 16GB or 13GiB")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** (" KMGT".index(unit) if unit else 0))


def dataset_name(text: str) -> str:
    """A name that TFDS accepts."""
    if not DATASET_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text} must consist of a-z, 0-9 and _, begin with a letter and have at most 128 characters"
        )
    return text


def version(text: str) -> str:
    """MAJOR.MINOR.PATCH."""
    if not VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text} must be MAJOR.MINOR.PATCH, such as 1.0.0")
    return text
