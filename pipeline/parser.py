"""The command line: which commands there are, their flags, and the module that runs each."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.build.options import BuildOptions
from pipeline.common.flags import HelpFormatter, OneSentenceParser, add_flags, parsed_options
from pipeline.cutout.options import CutoutOptions
from pipeline.export.options import ExportOptions
from pipeline.verify.options import ReportOptions, VerifyOptions

_BEAM_FLAGS = (
    "All other flags go to Apache Beam, for example --runner=DataflowRunner --project=... or"
    " --direct_running_mode=multi_processing --direct_num_workers=8."
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the program.

    Attributes:
        summary: what it does, as `--help` says it.
        options: the dataclass of its flags.
        module: module with a function `run_NAME(options, other_flags)`; imported only when the command runs.
        uses_beam: whether flags that are not its own go to Beam.
    """

    summary: str
    options: type
    module: str
    uses_beam: bool = True


COMMANDS = {
    "build": Command("make the dataset, or resume an interrupted build", BuildOptions, "pipeline.build.run_build"),
    "plan": Command(
        "print what `build` would make: counts, shards, bytes, time; write nothing",
        BuildOptions,
        "pipeline.build.run_plan",
    ),
    "verify": Command(
        "recompute a finished dataset and compare; write nothing there", VerifyOptions, "pipeline.verify.run_verify"
    ),
    "report": Command(
        "write the card of a finished dataset again: README.md and its pictures",
        ReportOptions,
        "pipeline.verify.run_report",
    ),
    "export": Command(
        "copy a finished dataset into a format that needs no TensorFlow, or resume an interrupted export; stored"
        " pictures are copied as they are",
        ExportOptions,
        "pipeline.export.run_export",
        uses_beam=False,
    ),
    "cutout": Command(
        "cut the objects out of photographs, ready for --foregrounds, or resume",
        CutoutOptions,
        "pipeline.cutout.run_cutout",
    ),
}


def new_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = OneSentenceParser(
        prog="fgbg",
        description="Make a dataset of foregrounds composited over backgrounds, with exact masks and depth maps.",
        epilog="Without a command, or with a flag first, the command is `build`. `fgbg build --help` lists its flags."
        " Flags that are not listed there go to Apache Beam (--runner, --direct_num_workers, --project, ...)."
        " `fgbg --version` alone prints the version of this program.",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=OneSentenceParser)
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=_BEAM_FLAGS if command.uses_beam else None,
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        add_flags(subparser, command.options)
    return parser


def parse(arguments: Sequence[str]) -> tuple[str, Any, list[str]]:
    """Read a command line: the command, the values of its flags as its options, and the flags that are left for Beam.

    Raises:
        InputError: a flag is unknown or its value makes no sense.
    """
    arguments = list(arguments)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "build")
    values, other_flags = new_parser().parse_known_args(arguments)
    fields = vars(values)
    command = fields.pop("command")
    return command, parsed_options(COMMANDS[command].options, fields), other_flags
