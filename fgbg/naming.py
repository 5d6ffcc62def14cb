"""What names may be: of datasets, versions and splits, and of the pictures that a dataset was made from.

The same rules hold for what a user names on the command line and for what is read from a dataset.
"""

import re
import unicodedata

# TFDS takes these; with `_background` and the rest of a shard's file name they stay below the 255 bytes of a file name.
DATASET_NAME = re.compile(r"[a-z][a-z0-9_]{0,127}")
VERSION = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}")

SPLITS = ("train", "test")

# Unicode categories of control characters, line ends and broken encodings: TFDS keeps one name a line.
UNWRITABLE = frozenset(("Cc", "Cs", "Zl", "Zp"))

# What a path may have on Linux.
_LONGEST_LABEL = 4096

_PLAIN_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")


def is_label(text: str) -> bool:
    """Whether a picture or class may have this name: a relative path below a folder, in one line.

    >>> [is_label(text) for text in ("cat/tabby 1", "/etc", "a/../b", "a//b", "", " a", "a\\nb")]
    [True, False, False, False, False, False, False]
    """
    return (
        0 < len(text) <= _LONGEST_LABEL
        and text == text.strip()
        and not {"", ".", ".."}.intersection(text.split("/"))
        and UNWRITABLE.isdisjoint(map(unicodedata.category, text))
    )


def is_plain_path(path: str) -> bool:
    """Whether a path is relative, leads nowhere above, and means the same on every system.

    >>> [is_plain_path(path) for path in ("train/mask/fg_1.png", "../a", "/a", "a/./b", "a\\\\b", "C:a", ".export")]
    [True, False, False, False, False, False, False]
    """
    return all(map(_PLAIN_PART.fullmatch, path.split("/")))


def printable(text: str, longest: int | None = None, *, one_line: bool = False) -> str:
    r"""Text as a terminal or document may show it: characters that could steer a terminal, and bytes of file names that
    are not UTF-8, are escaped.

    Args:
        text: where it comes from does not matter.
        longest: characters; what is longer is cut.
        one_line: whether line feeds are escaped, too.

    >>> printable("a\x1b[2Jb"), printable("12345678", longest=5), printable("Mu\udcf1oz.png")
    ('a\\x1b[2Jb', '1234…', 'Mu\\xf1oz.png')
    """
    if longest is not None and len(text) > longest:
        text = text[: longest - 1] + "…"
    return "".join(c if c == "\n" and not one_line else _printable(c) for c in text)


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return f"\\x{ord(character) & 0xFF:02x}"  # Python keeps a byte that is not UTF-8 as U+DC00 + the byte
    return character.encode("unicode_escape").decode() if category in UNWRITABLE else character
