"""The command line's flags: what they are called, what they mean, and whether their values make sense."""

import argparse
import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgbg import filesystems
from fgbg.depth_models.locate import MODEL_NAMES
from fgbg.errors import InputError
from fgbg.settings import (
    FILE_FORMATS,
    LARGEST_IMAGE,
    MOST_EXAMPLES_PER_SHARD,
    MOST_PLACEMENTS,
    PICTURE_MEMORY,
    SPLIT_BY,
)
from pipeline.common import flag_types
from pipeline.cutout.models import GRABCUT, MODELS, NETWORKS
from pipeline.export import FORMATS

NO_DEPTH = "none"

_PATHS = frozenset(("directory", "backgrounds", "foregrounds", "photos", "output"))


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The values of the flags of `build` and `plan`. See `add_build_flags` for their meaning.

    Two have no flag; the TFDS builder sets them.

    Attributes:
        config: name of TFDS's builder config, which has a folder of its own, or "".
        most_pictures: use only the first so many backgrounds and foregrounds, or None for all.
    """

    backgrounds: str
    foregrounds: str
    data_dir: str
    name: str
    version: str
    placements: int
    image_size: int
    fg_scale: tuple[float, float]
    seed: int
    depth_model: str
    depth_engine: str
    depth_precision: str
    depth_input_size: tuple[int, int] | None
    depth_batch_size: int
    depth_bits: int
    jpeg_quality: int | None
    examples_per_shard: int | None
    file_format: str
    test_fraction: float
    split_by: str
    skip_bad_inputs: bool
    overwrite: bool
    accelerator: str | None = None
    min_ram: str | None = None
    picture_memory: int = PICTURE_MEMORY
    config: str = ""
    most_pictures: int | None = None

    @property
    def with_depth(self) -> bool:
        """Whether examples have a depth map."""
        return self.depth_model != NO_DEPTH

    @property
    def resource_hints(self) -> dict[str, str]:
        """What Beam asks of the workers that make examples, by the names of its resource hints."""
        hints = {"accelerator": self.accelerator, "min_ram": self.min_ram}
        return {name: value for name, value in hints.items() if value is not None}


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """The values of the flags of `verify`. See `add_verify_flags` for their meaning."""

    directory: str
    backgrounds: str | None
    foregrounds: str | None
    depth_model: str | None


@dataclass(frozen=True, slots=True)
class CutoutOptions:
    """The values of the flags of `cutout`. See `add_cutout_flags` for their meaning."""

    photos: str
    output: str
    model: str
    objects: str
    skip_bad_inputs: bool


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """The values of the flags of `report`. See `add_report_flags` for their meaning."""

    directory: str
    recompute: bool


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The values of the flags of `export`. See `add_export_flags` for their meaning."""

    directory: str
    format: str
    output: str
    split: str | None
    limit: int | None


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(120, int(os.environ.get("COLUMNS", "110"))))


class OneSentenceParser(argparse.ArgumentParser):
    """Whose errors are `InputError`."""

    def error(self, message: str) -> Any:
        """Wrong use."""
        raise InputError(f"{message}; see `{self.prog} --help`.")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = OneSentenceParser(
        prog="fgbg",
        description="Make a dataset of foregrounds composited over backgrounds, with exact masks and depth maps.",
        epilog="With no command, or an option first, the command is `build`. `fgbg build --help` lists its flags. Flags"
        " that are not listed there go to Apache Beam (--runner, --direct_num_workers, --project, ...)."
        " `fgbg --version` alone prints the version of this program.",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=OneSentenceParser)
    for name, text, add_flags in (
        ("build", "make the dataset, or go on where an earlier run stopped", add_build_flags),
        ("plan", "print what `build` would make: counts, shards, bytes, time; write nothing", add_build_flags),
        ("verify", "read a finished dataset again and prove it; write nothing there", add_verify_flags),
        ("report", "write the card of a finished dataset again: README.md and its pictures", add_report_flags),
        (
            "cutout",
            "cut out what photographs show, ready for --foregrounds, or go on where it stopped",
            add_cutout_flags,
        ),
    ):
        command = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog="All other flags go to Apache Beam, for example --runner=DataflowRunner --project=... or"
            " --direct_running_mode=multi_processing --direct_num_workers=8.",
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        add_flags(command)
    text = "hand a finished dataset to people without TensorFlow, or go on where an earlier export stopped"
    export = commands.add_parser(
        "export",
        help=text,
        description=text[0].upper() + text[1:] + ". Stored pictures are copied as they are.",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    add_export_flags(export)
    return parser


def add_build_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `build` and `plan`."""
    group = parser.add_argument_group("inputs (a folder, a glob or any Beam filesystem URI; sub-folders are classes)")
    group.add_argument(
        "--backgrounds", type=flag_types.path, metavar="PATH", help="photographs (default: the bundled samples)"
    )
    group.add_argument(
        "--foregrounds",
        type=flag_types.path,
        metavar="PATH",
        help="cut-outs with alpha channel (default: bundled samples)",
    )
    group.add_argument(
        "--skip_bad_inputs", action="store_true", help="go on without pictures that cannot be used, and list them"
    )

    group = parser.add_argument_group("output")
    group.add_argument(
        "--data_dir", type=flag_types.path, metavar="DIR", help="TFDS data directory (default: TFDS's own)"
    )
    group.add_argument(
        "--name", type=flag_types.dataset_name, default="fg_bg_depth", help="name of the dataset (default: %(default)s)"
    )
    group.add_argument("--version", type=flag_types.version, default="1.0.0", help="its version (default: %(default)s)")
    group.add_argument(
        "--file_format", choices=FILE_FORMATS, default=FILE_FORMATS[0], help="of the shards (default: %(default)s)"
    )
    group.add_argument(
        "--examples_per_shard",
        type=flag_types.whole(1, MOST_EXAMPLES_PER_SHARD),
        metavar="N",
        help="default: as many as keep a shard's decoded images under 256 MiB, at most 1000",
    )
    group.add_argument(
        "--jpeg_quality",
        type=flag_types.quality,
        default=90,
        metavar="Q",
        help="1 .. 100, or `png` for lossless composites (default: 90)",
    )
    group.add_argument("--overwrite", action="store_true", help="delete the dataset that is there and start anew")

    group = parser.add_argument_group("examples")
    group.add_argument(
        "--image_size",
        type=flag_types.whole(16, LARGEST_IMAGE),
        default=224,
        metavar="PX",
        help="side of the square images (default: %(default)s)",
    )
    group.add_argument(
        "--placements",
        type=flag_types.whole(1, MOST_PLACEMENTS),
        default=20,
        metavar="P",
        help="random placements of each pair, plain and again flipped (default: %(default)s)",
    )
    group.add_argument(
        "--fg_scale",
        type=flag_types.scale,
        default=(0.4, 0.55),
        metavar="LO,HI",
        help="longest side of the placed cut-out as a fraction of the image side, drawn per placement (default:"
        " 0.4,0.55)",
    )
    group.add_argument(
        "--seed",
        type=flag_types.whole(0, 2**64 - 1),
        default=0,
        metavar="N",
        help="of placements, order and held-out pictures (default: %(default)s)",
    )

    group = parser.add_argument_group("splits")
    group.add_argument(
        "--test_fraction",
        type=flag_types.fraction,
        default=0.0,
        metavar="F",
        help="part of the data to hold out as split `test` (default: 0)",
    )
    group.add_argument(
        "--split_by", choices=SPLIT_BY, default=SPLIT_BY[0], help="what the splits do not share (default: %(default)s)"
    )

    group = parser.add_argument_group("depth")
    group.add_argument(
        "--depth_model",
        type=flag_types.path,
        default="mini",
        metavar="MODEL",
        help="`mini` (small, bundled, relative depth), `nyu` or `kitti` (DenseDepth, metres), the path of a weights"
        " file, or `none` (default: %(default)s)",
    )
    group.add_argument(
        "--depth_engine",
        choices=("keras", "openvino"),
        default="keras",
        help="what runs the network (default: %(default)s)",
    )
    group.add_argument(
        "--depth_precision", choices=("float32", "bfloat16"), default="float32", help="default: %(default)s"
    )
    group.add_argument(
        "--depth_input_size",
        type=flag_types.width_height,
        metavar="WxH",
        help="size the network sees, multiples of 32 (default: the model's own: 640x480, for mini 224x224)",
    )
    group.add_argument(
        "--depth_batch_size",
        type=flag_types.whole(1),
        default=8,
        metavar="N",
        help="images per call of the network (default: %(default)s)",
    )
    group.add_argument(
        "--depth_bits",
        type=int,
        choices=(16, 8),
        default=16,
        help="16: millimetres; 8: 10 m / 255 (default: %(default)s)",
    )

    group = parser.add_argument_group("workers that make examples")
    group.add_argument(
        "--picture_memory",
        type=flag_types.byte_count,
        default=f"{PICTURE_MEMORY >> 20}MiB",
        metavar="SIZE",
        help="decoded pictures that each process keeps in memory; `plan` tells when not all fit (default: %(default)s)",
    )
    group.add_argument(
        "--accelerator",
        type=flag_types.accelerator,
        metavar="TYPE",
        help="a GPU, for runners that have a choice, such as `type:nvidia-tesla-t4;count:1;install-nvidia-driver`"
        " (default: none)",
    )
    group.add_argument(
        "--min_ram",
        type=flag_types.memory_size,
        metavar="SIZE",
        help="memory of a worker, likewise, such as 16GB (default: the runner's)",
    )


def add_verify_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `verify`."""
    _add_directory(parser)
    group = parser.add_argument_group("inputs (where they are now: a folder, a glob or any Beam filesystem URI)")
    for kind in ("backgrounds", "foregrounds"):
        group.add_argument(
            f"--{kind}",
            type=flag_types.path,
            metavar="PATH",
            help=f"compare the {kind} too (default: they are not checked)",
        )
    group = parser.add_argument_group("depth")
    group.add_argument(
        "--depth_model",
        type=flag_types.path,
        metavar="MODEL",
        help="what it was made with: `mini`, `nyu`, `kitti` or the path of its weights file, to predict depth again for"
        " a sample (default: depth is not predicted again)",
    )


def add_report_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `report`."""
    _add_directory(parser)
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="compute statistics.json again, too, from all shards (default: only if it is not there)",
    )


def add_cutout_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `cutout`."""
    parser.add_argument(
        "--photos",
        type=flag_types.path,
        metavar="DIR",
        required=True,
        help="photographs: a folder, a glob or any Beam filesystem URI; sub-folders are classes",
    )
    parser.add_argument(
        "--output",
        type=flag_types.path,
        metavar="DIR",
        required=True,
        help="where the cut-outs go: what to name as --foregrounds",
    )
    parser.add_argument(
        "--model",
        choices=MODELS,
        default=MODELS[0],
        metavar="MODEL",
        help="what finds the object: a network that rembg looks for in U2NET_HOME and fetches if need be"
        f" ({', '.join(NETWORKS)}), or `{GRABCUT}`, which needs no file but is less exact (default: %(default)s)",
    )
    parser.add_argument(
        "--objects",
        choices=("all", "largest"),
        default="all",
        help="keep all pieces but specks, or the largest alone (default: %(default)s)",
    )
    parser.add_argument(
        "--skip_bad_inputs", action="store_true", help="end well without photographs that cannot be used, and list them"
    )


def _add_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory",
        type=flag_types.path,
        metavar="DIR",
        help="the dataset's folder, such as DATA_DIR/fg_bg_depth/1.0.0",
    )


def add_export_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `export`."""
    _add_directory(parser)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help="zip: one archive for every kind of picture, and labels.csv; folder: the same as"
        " plain files; coco: plain files and instances_SPLIT.json with boxes, areas and masks",
    )
    parser.add_argument(
        "--output",
        type=flag_types.local_output,
        required=True,
        metavar="OUT",
        help="a new or empty folder on the local disk",
    )
    parser.add_argument("--split", metavar="SPLIT", help="only this split (default: all)")
    parser.add_argument(
        "--limit", type=flag_types.whole(1), metavar="N", help="only the first N examples of each split: a fair sample"
    )


def parse(arguments: Sequence[str]) -> tuple[str, Any, list[str]]:
    """Read a command line: the command, the values of its flags as its options, and what is left for Beam.

    Raises:
        InputError: a flag is unknown or its value makes no sense.
    """
    arguments = list(arguments)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "build")
    parser = make_parser()
    values, beam_flags = parser.parse_known_args(arguments)
    fields = vars(values)
    command = fields.pop("command")
    if command in ("build", "plan"):
        return command, _build_options(fields), beam_flags
    for name in _PATHS.intersection(fields):
        flag = "DIR" if name == "directory" else f"--{name}"
        fields[name] = fields[name] and flag_types.local_path(fields[name], flag)
    if command == "verify":
        fields["depth_model"] = fields["depth_model"] and _model(fields["depth_model"])
    options = {"verify": VerifyOptions, "report": ReportOptions, "export": ExportOptions, "cutout": CutoutOptions}
    return command, options[command](**fields), beam_flags


def _build_options(fields: dict[str, Any]) -> BuildOptions:
    for kind in ("backgrounds", "foregrounds"):
        fields[kind] = flag_types.local_path(fields[kind] or str(samples_folder() / kind), f"--{kind}")
    fields["data_dir"] = flag_types.local_path(fields["data_dir"] or _default_data_dir(), "--data_dir")
    return BuildOptions(**fields | {"depth_model": _model(fields["depth_model"])})


def _model(model: str) -> str:
    """Paths of weights as paths that mean the same in every process; names as they are."""
    if "://" in model:
        filesystems.require_known_scheme(model)
    named = model in (NO_DEPTH, *MODEL_NAMES) or not ("/" in model or Path(model).exists())
    return model if named else flag_types.local_path(model, "--depth_model")


def describe_unknown(unknown: Sequence[str], command: str, known: Sequence[str]) -> str:
    """What a person can do about arguments that no flag takes.

    >>> describe_unknown(["--sed=3"], "build", ["--seed"])
    'did you mean --seed?'
    """
    if os.path.lexists(unknown[0]):
        pattern = Path(unknown[0]).parent / f"*{Path(unknown[0]).suffix}"
        return f"if the shell made several paths of a pattern, put the pattern into quotes, such as '{pattern}'."
    close = difflib.get_close_matches(unknown[0].split("=")[0], known, 1)
    return f"did you mean {close[0]}?" if close else f"see `fgbg {command} --help`."


def samples_folder() -> Path:
    """The sample pictures: inside the installed package, or beside it in a source checkout."""
    installed = Path(__file__).parent / "samples"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "samples"


def flags_of(command: str) -> list[argparse.Action]:
    """The flags of a command."""
    parser = argparse.ArgumentParser()
    add_flags = {
        "verify": add_verify_flags,
        "report": add_report_flags,
        "cutout": add_cutout_flags,
        "export": add_export_flags,
    }
    add_flags.get(command, add_build_flags)(parser)
    return parser._actions


def _default_data_dir() -> str:
    from tensorflow_datasets.core import constants  # takes a second, and is needed without --data_dir alone

    return constants.DATA_DIR
