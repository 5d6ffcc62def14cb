"""Flags declared once, as the fields of a frozen dataclass per command.

A field made with `flag` carries everything that is known about the flag: its help, how its text is parsed, its
pattern, whether the manifest records it. The argparse parser, the recorded configuration, the TFDS config, the
parameters of the Dataflow template and docs/flags.md are loops over these fields. Importing this module loads neither
Beam nor OpenCV nor TensorFlow.
"""

import argparse
import dataclasses
import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgbg.errors import InputError

_METADATA_KEY = "flag"


@dataclass(frozen=True, slots=True)
class Flag:
    """What is known about a flag beside its name.

    Attributes:
        help: one phrase; the default is appended.
        parse: the text on the command line to the value; raises `argparse.ArgumentTypeError`.
        default: the default as text, or None where there is none or `default_factory` computes it.
        default_factory: computes the default when it is needed, for example because it depends on the environment.
        default_help: how `--help` describes a computed default.
        metavar: placeholder of the value in `--help`.
        choices: the only texts that are accepted.
        pattern: regular expression of the texts that `parse` accepts, without `^` and `$`; None for paths.
        is_path: whether the text may be a path or a URI.
        is_switch: whether the flag takes no value.
        positional: whether the value is given without the flag's name.
        required: whether it must be given.
        recorded: whether the manifest records the value, because it decides what is in the dataset.
        group: heading under which `--help` lists it.
    """

    help: str
    parse: Callable[[str], Any] = str
    default: str | None = None
    default_factory: Callable[[], Any] | None = None
    default_help: str | None = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    pattern: str | None = None
    is_path: bool = False
    is_switch: bool = False
    positional: bool = False
    required: bool = False
    recorded: bool = False
    group: str | None = None

    @property
    def help_with_default(self) -> str:
        """The help and the default, as `--help` shows them."""
        if self.is_switch or self.required or self.positional:
            return self.help
        default = self.default_help or self.default
        return f"{self.help} (default: {default})" if default else self.help

    @property
    def value_if_not_given(self) -> Any:
        """The parsed default; False for a switch; None where it is computed later or there is none."""
        if self.is_switch:
            return False
        return None if self.default is None else self.parse(self.default)


def flag(help: str, **details: Any) -> Any:  # noqa: A002  # argparse's own name for it
    """A dataclass field that is a flag; see `Flag` for the details."""
    described = Flag(help, **details)
    metadata = {_METADATA_KEY: described}
    if described.required or described.positional:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=described.value_if_not_given, metadata=metadata)


def flags_of(options: type) -> dict[str, Flag]:
    """The flags of a command in the order of declaration, by the name of their field."""
    return {
        field.name: field.metadata[_METADATA_KEY]
        for field in dataclasses.fields(options)
        if _METADATA_KEY in field.metadata
    }


def recorded_values(options: Any) -> dict[str, Any]:
    """The values of the flags that the manifest records, ready for JSON."""
    return {
        name: list(value) if isinstance(value := getattr(options, name), tuple) else value
        for name, described in flags_of(type(options)).items()
        if described.recorded
    }


class OneSentenceParser(argparse.ArgumentParser):
    """An argument parser whose errors are `InputError`."""

    def error(self, message: str) -> Any:
        """Raise the error of a wrong command line."""
        raise InputError(f"{message}; see `{self.prog} --help`.")


class HelpFormatter(argparse.HelpFormatter):
    """Help that uses the width of the terminal, up to 120 columns."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(120, int(os.environ.get("COLUMNS", "110"))))


def add_flags(parser: argparse.ArgumentParser, options: type) -> None:
    """Declare the flags of a command to argparse, group by group."""
    groups: dict[str | None, Any] = {None: parser}
    for name, described in flags_of(options).items():
        if described.group not in groups:
            groups[described.group] = parser.add_argument_group(described.group)
        _add_flag(groups[described.group], name, described)


def parsed_options(options: type, values: Mapping[str, Any]) -> Any:
    """The options of a command from what argparse parsed, with computed defaults filled in.

    Raises:
        InputError: a default cannot be computed.
    """
    filled = dict(values)
    for name, described in flags_of(options).items():
        if described.default_factory is not None and values[name] is None:
            try:
                filled[name] = described.default_factory()
            except argparse.ArgumentTypeError as error:
                raise InputError(f"--{name}: {error}.") from error
    return options(**filled)


def describe_unknown(unknown: Sequence[str], command: str, known: Sequence[str]) -> str:
    """What a user can do about arguments that no flag takes.

    >>> describe_unknown(["--sed=3"], "build", ["--seed"])
    'did you mean --seed?'
    """
    if os.path.lexists(unknown[0]):
        pattern = Path(unknown[0]).parent / f"*{Path(unknown[0]).suffix}"
        return f"if the shell expanded a pattern into several paths, quote the pattern, such as '{pattern}'."
    close = difflib.get_close_matches(unknown[0].split("=")[0], known, 1)
    return f"did you mean {close[0]}?" if close else f"see `fgbg {command} --help`."


def _add_flag(group: Any, name: str, described: Flag) -> None:
    text = described.help_with_default.replace("%", "%%")
    if described.positional:
        group.add_argument(name, type=described.parse, metavar=described.metavar, help=text)
    elif described.is_switch:
        group.add_argument(f"--{name}", action="store_true", help=text)
    else:
        group.add_argument(
            f"--{name}",
            type=described.parse,
            default=described.value_if_not_given,
            required=described.required,
            choices=None if described.choices is None else tuple(map(described.parse, described.choices)),
            metavar=described.metavar,
            help=text,
        )
