"""What the texts of flags mean: functions for argparse, whose errors name the text and what it should be."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fgbg.errors import InputError
from fgbg.naming import DATASET_NAME, VERSION, printable
from fgbg.settings import LOSSLESS


def local_path(path: str, flag: str) -> str:
    """A path that means the same in every process; URIs stay as they are.

    Raises:
        InputError: there is no such home folder or working directory, or other programs could not use the path.
    """
    try:
        absolute = path if "://" in path else str(Path(path).expanduser().absolute())
    except RuntimeError:
        raise InputError(
            f"{flag}: {path} begins in a home folder that is not known; set HOME, or give a path that does not begin"
            " with ~."
        ) from None
    except ValueError as error:  # a NUL character
        raise InputError(f"{flag}: {printable(path)}: {error}; give another path.") from None
    except FileNotFoundError:
        raise InputError(
            f"{flag}: {path} begins in the working directory, which was deleted; change to another, or give a path that"
            " begins with /."
        ) from None
    try:
        absolute.encode()
    except UnicodeEncodeError:
        # Neither JSON nor TFDS nor Beam's runners could hold it.
        raise InputError(
            f"{flag}: the path {printable(absolute)} is not UTF-8; rename the folder that is escaped here, or make a"
            " link to it and give that."
        ) from None
    return absolute


def local_output(text: str) -> str:
    """A folder on the local disk."""
    text = path(text)
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is not on the local disk; export to a folder there, then upload that")
    return text


def path(text: str) -> str:
    """A path or URI."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    if text.startswith("file:/"):
        plain = unquote(urlsplit(text).path)
        raise argparse.ArgumentTypeError(f"{text} is a URL of a local file; give the plain path {plain}")
    return text


def whole(smallest: int, largest: int | None = None) -> Callable[[str], int]:
    """Whole numbers of a range."""

    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = smallest - 1
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{text} is no whole number of {smallest} or more")
        if largest is not None and value > largest:
            raise argparse.ArgumentTypeError(f"{text} is more than {largest}")
        return value

    return whole


def fraction(text: str) -> float:
    """A part, less than all."""
    value = number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not in 0 .. 1 (1 excluded)")
    return value


def scale(text: str) -> tuple[float, float]:
    """LO,HI as fractions; a single number is both."""
    values = [number(part) for part in text.split(",")]
    smallest, largest = values[0], values[-1]
    if len(values) > 2 or not 0 < smallest <= largest <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no LO,HI with 0 < LO <= HI <= 1, such as 0.4,0.55")
    return smallest, largest


def number(text: str) -> float:
    """Any number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number") from None


def quality(text: str) -> int | None:
    """Of JPEG, or None for lossless PNG."""
    if text == LOSSLESS:
        return None
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text} is neither 1 .. 100 nor `{LOSSLESS}`")
    return int(text)


def width_height(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT."""
    match = re.fullmatch("([0-9]{1,6})x([0-9]{1,6})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is no WIDTHxHEIGHT such as 640x480")
    return int(match[1]), int(match[2])


def accelerator(text: str) -> str:
    """An accelerator as Beam's resource hints name it."""
    if not re.fullmatch(r"type:[a-z0-9-]+;count:[1-9][0-9]{0,8}(;install-nvidia-driver(:[\w.-]+)?)?", text):
        raise argparse.ArgumentTypeError(
            f"{text} is no type:NAME;count:N, such as type:nvidia-tesla-t4;count:1;install-nvidia-driver"
        )
    return text


def memory_size(text: str) -> str:
    """Bytes with a unit, left as it is for Beam."""
    byte_count(text)
    return text


def byte_count(text: str) -> int:
    """Bytes with a unit: powers of 1000, or of 1024 with an i."""
    match = re.fullmatch(r"([1-9][0-9]{0,17}(?:\.[0-9]{1,17})?)(?:([KMGT])(i?))?B", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is no size such as 16GB or 13GiB")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** (" KMGT".index(unit) if unit else 0))


def dataset_name(text: str) -> str:
    """A name that TFDS takes."""
    if not DATASET_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text} is no name for TFDS: use a-z, 0-9 and _, a letter first, 128 characters at most"
        )
    return text


def version(text: str) -> str:
    """MAJOR.MINOR.PATCH."""
    if not VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text} is no version such as 1.0.0")
    return text
