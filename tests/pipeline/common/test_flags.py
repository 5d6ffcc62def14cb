"""Flags as fields of a dataclass: what argparse, the manifest and others make of them."""

import argparse
from dataclasses import FrozenInstanceError, dataclass

import pytest

from docs.make_flags import PAGE, flags_page
from fgbg.errors import InputError
from pipeline.build.options import BuildOptions
from pipeline.common import flag_types
from pipeline.common.flags import OneSentenceParser, add_flags, flag, flags_of, parsed_options, recorded_values
from pipeline.parser import COMMANDS, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    folder: str = flag("where", positional=True, metavar="DIR")
    size: tuple[float, float] = flag("how large", parse=flag_types.scale, default="0.25,0.5", recorded=True)
    kind: str = flag("which", choices=("a", "b"), default="a", recorded=True, group="kinds (of things)")
    place: str = flag("place", default_factory=lambda: "computed", default_help="computed later")
    again: bool = flag("once more", is_switch=True)
    count: int | None = flag("how many, 50% or more", parse=flag_types.integer(1), metavar="N")
    hidden: int = 3


def parsed(*arguments: str) -> Options:
    parser = OneSentenceParser(prog="test")
    add_flags(parser, Options)
    options = parsed_options(Options, vars(parser.parse_args(arguments)))
    assert isinstance(options, Options)
    return options


def test_defaults() -> None:
    assert parsed("here") == Options(folder="here", place="computed")
    assert parsed("here").size == (0.25, 0.5)
    assert parsed("here").again is False


def test_values() -> None:
    options = parsed("here", "--size=0.5", "--kind=b", "--place=there", "--again", "--count=7")
    assert options == Options(folder="here", size=(0.5, 0.5), kind="b", place="there", again=True, count=7)
    with pytest.raises(FrozenInstanceError):
        options.kind = "a"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["here", "--count=0"], "argument --count: 0 must be an integer >= 1; see `test --help`."),
        (["here", "--kind=c"], "argument --kind: invalid choice"),
        ([], "the following arguments are required: DIR"),
    ],
)
def test_errors(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parsed(*arguments)


def test_recorded_values_are_ready_for_json() -> None:
    assert recorded_values(parsed("here", "--kind=b")) == {"size": [0.25, 0.5], "kind": "b"}


def test_help_tells_defaults_and_groups() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, Options)
    text = " ".join(parser.format_help().split())
    for part in (
        "how large (default: 0.25,0.5)",
        "place (default: computed later)",
        "kinds (of things):",
        "50% or more",
    ):
        assert part in text
    assert "once more (default" not in text


def test_fields_without_a_flag_are_no_flags() -> None:
    assert "hidden" not in flags_of(Options)
    assert {"config", "most_pictures"}.isdisjoint(flags_of(BuildOptions))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_default_is_what_its_text_means(name: str) -> None:
    for flag_name, described in flags_of(COMMANDS[name].options).items():
        if described.default is not None:
            required = [f"--{other}=x" for other, one in flags_of(COMMANDS[name].options).items() if one.required]
            required = [text.replace("=x", "=zip") if text.startswith("--format") else text for text in required]
            positional = ["x" for one in flags_of(COMMANDS[name].options).values() if one.positional]
            given = (
                [name, *positional, *required, "--data_dir=."]
                if name in ("build", "plan")
                else [name, *positional, *required]
            )
            assert parse(given) == parse([*given, f"--{flag_name}={described.default}"])


def test_the_page_of_flags_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == flags_page(), "run `python -m docs.make_flags`"
