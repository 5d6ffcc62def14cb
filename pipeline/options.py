"""The command line's flags: what they are called, what they mean, and whether their values make sense."""

import argparse
import difflib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    _BeamArgumentParser,
)

from transforms.assets import PICTURE_MEMORY
from transforms.cross_product import SPLIT_BY
from transforms.cutting.models import GRABCUT, MODELS, NETWORKS
from transforms.depth_models.locate import MODEL_NAMES
from transforms.errors import InputError
from transforms.exporting import FORMATS
from transforms.recipe import LOSSLESS
from transforms.records import FILE_FORMATS

NO_DEPTH = "none"

_LOCAL_RUNNER = "FnApiRunner"
# All others are passed through: those that lack something say so themselves.
_REFUSED_RUNNERS = {
    "Dask": "loses parts of this pipeline without a word",
    "Interactive": "runs only what the cells of a notebook define",
    **dict.fromkeys(("KafkaStreams", "Trivial"), "has no side inputs, without which statistics cannot be added up"),
}
# What Beam's options say of workers when nobody has.
_BEAMS_WORKERS = ("in_memory", 1)
# More threads than this wait for each other in one Python process; more processes can be asked for by Beam's flags.
_MOST_THREADS = 4


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


class _OneSentence(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise InputError(f"{message}; see `{self.prog} --help`.")


class _BeamParser(_OneSentence, _BeamArgumentParser):
    """Beam's own parser, for flags that are values known at run time only, with our errors."""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _OneSentence(
        prog="python -m pipeline",
        description="Make a dataset of foregrounds composited over backgrounds, with exact masks and depth maps.",
        epilog="With no command, or an option first, the command is `build`. `python -m pipeline build --help`"
        " lists its"
        " flags. Flags that are not listed there go to Apache Beam (--runner, --direct_num_workers, --project, ...).",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_OneSentence)
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
    group.add_argument("--backgrounds", type=_path, metavar="PATH", help="photographs (default: the bundled samples)")
    group.add_argument(
        "--foregrounds", type=_path, metavar="PATH", help="cut-outs with alpha channel (default: bundled samples)"
    )
    group.add_argument(
        "--skip_bad_inputs", action="store_true", help="go on without pictures that cannot be used, and list them"
    )

    group = parser.add_argument_group("output")
    group.add_argument("--data_dir", type=_path, metavar="DIR", help="TFDS data directory (default: TFDS's own)")
    group.add_argument("--name", type=_name, default="fg_bg_depth", help="name of the dataset (default: %(default)s)")
    group.add_argument("--version", type=_version, default="1.0.0", help="its version (default: %(default)s)")
    group.add_argument(
        "--file_format", choices=FILE_FORMATS, default=FILE_FORMATS[0], help="of the shards (default: %(default)s)"
    )
    group.add_argument(
        "--examples_per_shard",
        type=_whole(1),
        metavar="N",
        help="default: as many as keep a shard's decoded images under 256 MiB, at most 1000",
    )
    group.add_argument(
        "--jpeg_quality",
        type=_quality,
        default=90,
        metavar="Q",
        help="1 .. 100, or `png` for lossless composites (default: 90)",
    )
    group.add_argument("--overwrite", action="store_true", help="delete the dataset that is there and start anew")

    group = parser.add_argument_group("examples")
    group.add_argument(
        "--image_size",
        type=_whole(16),
        default=224,
        metavar="PX",
        help="side of the square images (default: %(default)s)",
    )
    group.add_argument(
        "--placements",
        type=_whole(1),
        default=20,
        metavar="P",
        help="random placements of each pair, plain and again flipped (default: %(default)s)",
    )
    group.add_argument(
        "--fg_scale",
        type=_scale,
        default=(0.4, 0.55),
        metavar="LO,HI",
        help="longest side of the placed cut-out as a fraction of the image side, drawn per placement (default:"
        " 0.4,0.55)",
    )
    group.add_argument(
        "--seed",
        type=_whole(0, 2**64 - 1),
        default=0,
        metavar="N",
        help="of placements, order and held-out pictures (default: %(default)s)",
    )

    group = parser.add_argument_group("splits")
    group.add_argument(
        "--test_fraction",
        type=_fraction,
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
        type=_size,
        metavar="WxH",
        help="size the network sees, multiples of 32 (default: the model's own: 640x480, for mini 224x224)",
    )
    group.add_argument(
        "--depth_batch_size",
        type=_whole(1),
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
        type=_bytes,
        default=f"{PICTURE_MEMORY >> 20}MiB",
        metavar="SIZE",
        help="decoded pictures that each process keeps in memory; `plan` tells when not all fit (default: %(default)s)",
    )
    group.add_argument(
        "--accelerator",
        type=_accelerator,
        metavar="TYPE",
        help="a GPU, for runners that have a choice, such as `type:nvidia-tesla-t4;count:1;install-nvidia-driver`"
        " (default: none)",
    )
    group.add_argument(
        "--min_ram",
        type=_memory,
        metavar="SIZE",
        help="memory of a worker, likewise, such as 16GB (default: the runner's)",
    )


def add_verify_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `verify`."""
    _add_directory(parser)
    group = parser.add_argument_group("inputs (where they are now: a folder, a glob or any Beam filesystem URI)")
    for kind in ("backgrounds", "foregrounds"):
        group.add_argument(
            f"--{kind}", type=_path, metavar="PATH", help=f"compare the {kind} too (default: they are not checked)"
        )
    group = parser.add_argument_group("depth")
    group.add_argument(
        "--depth_model",
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
        type=_path,
        metavar="DIR",
        required=True,
        help="photographs: a folder, a glob or any Beam filesystem URI; sub-folders are classes",
    )
    parser.add_argument(
        "--output",
        type=_path,
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
        "directory", type=_path, metavar="DIR", help="the dataset's folder, such as DATA_DIR/fg_bg_depth/1.0.0"
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
        "--output", type=_local_output, required=True, metavar="OUT", help="a new or empty folder on the local disk"
    )
    parser.add_argument("--split", metavar="SPLIT", help="only this split (default: all)")
    parser.add_argument(
        "--limit", type=_whole(1), metavar="N", help="only the first N examples of each split: a fair sample"
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
    for kind, options in (("export", ExportOptions), ("report", ReportOptions)):
        if command == kind:
            return command, options(**fields | {"directory": _local_path(fields["directory"])}), beam_flags
    if command == "cutout":
        paths = {name: _local_path(fields[name]) for name in ("photos", "output")}
        return command, CutoutOptions(**fields | paths), beam_flags
    return command, (_verify_options if command == "verify" else _build_options)(fields), beam_flags


def _verify_options(fields: dict[str, Any]) -> VerifyOptions:
    model = fields.pop("depth_model")
    paths = {name: value and _local_path(value) for name, value in fields.items()}
    return VerifyOptions(**paths, depth_model=model and _model(model))


def _build_options(fields: dict[str, Any]) -> BuildOptions:
    for kind in ("backgrounds", "foregrounds"):
        fields[kind] = _local_path(fields[kind] or str(samples_folder() / kind))
    fields["data_dir"] = _local_path(fields["data_dir"] or _default_data_dir())
    return BuildOptions(**fields | {"depth_model": _model(fields["depth_model"])})


def _model(model: str) -> str:
    """Paths of weights as paths that mean the same in every process; names as they are."""
    named = model in (NO_DEPTH, *MODEL_NAMES) or not ("/" in model or Path(model).exists())
    return model if named else _local_path(model)


def beam_options(flags: Sequence[str], command: str = "build") -> PipelineOptions:
    """Beam's own options from the flags that are not ours; the local runner with a worker per core by default.

    Args:
        flags: what `parse` left.
        command: whose flags they were.

    Raises:
        InputError: Beam does not know a flag either, or the runner is refused.
    """
    parser = _BeamParser(
        prog=f"python -m pipeline {command}", add_help=False, allow_abbrev=False, conflict_handler="resolve"
    )
    for kind in PipelineOptions.__subclasses__():
        kind._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(flags))
    if unknown:
        ours = [option for action in _actions(command) for option in action.option_strings]
        theirs = [option for action in parser._actions for option in action.option_strings]
        name = unknown[0].split("=")[0]
        close = difflib.get_close_matches(name, [*ours, *theirs], 1)
        hint = f"did you mean {close[0]}?" if close else f"see `python -m pipeline {command} --help`."
        raise InputError(f"Neither this program nor Apache Beam knows {unknown[0]}; {hint}")
    return complete_beam_options(PipelineOptions(list(flags)), all_cores=command in ("verify", "report"))


def complete_beam_options(options: PipelineOptions, *, all_cores: bool = False) -> PipelineOptions:
    """The same options with what they leave open filled in: the local runner, with one thread per core.

    With `all_cores`, on machines that have more of them than threads can use: one process per core.

    Raises:
        InputError: the runner is known to lose data or not to run this pipeline.
    """
    runner = options.view_as(StandardOptions)
    # A name, None or, in a program, a runner, whose text has its class.
    named = str(runner.runner).lower()
    if named in ("none", "direct", "directrunner", "switchingdirectrunner"):
        # DirectRunner would first try to download another runner; this is the engine it falls back to.
        runner.runner = _LOCAL_RUNNER
    for refused, reason in _REFUSED_RUNNERS.items():
        if refused.lower() in named:
            raise InputError(f"--runner: the {refused} runner {reason}; name another runner.")
    direct = options.view_as(DirectOptions)
    told = (
        any(flag.startswith("--direct_") for flag in options._flags or ())
        or (direct.direct_running_mode, direct.direct_num_workers) != _BEAMS_WORKERS
    )
    if runner.runner == _LOCAL_RUNNER and not told:
        cores = os.cpu_count() or 1
        in_threads = cores <= _MOST_THREADS or not all_cores
        direct.direct_running_mode = "multi_threading" if in_threads else "multi_processing"
        direct.direct_num_workers = min(cores, _MOST_THREADS) if in_threads else cores
    return options


def is_local(options: PipelineOptions) -> bool:
    """Whether the pipeline runs in this process or its children."""
    embedded = options.view_as(PortableOptions).job_endpoint == "embed"
    return embedded or options.view_as(StandardOptions).runner == _LOCAL_RUNNER


def samples_folder() -> Path:
    """The sample pictures: inside the installed package, or beside it in a source checkout."""
    installed = Path(__file__).parent / "samples"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "samples"


def _actions(command: str) -> list[argparse.Action]:
    parser = argparse.ArgumentParser()
    add_flags = {"verify": add_verify_flags, "report": add_report_flags, "cutout": add_cutout_flags}.get(
        command, add_build_flags
    )
    add_flags(parser)
    return parser._actions


def _default_data_dir() -> str:
    from tensorflow_datasets.core import constants  # takes a second, and is needed without --data_dir alone

    return str(Path(constants.DATA_DIR).expanduser())


def _local_path(path: str) -> str:
    """A path that means the same in every process; URIs stay as they are."""
    return path if "://" in path else str(Path(path).expanduser().absolute())


def _local_output(text: str) -> str:
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is not on the local disk; export to a folder there, then upload that")
    return _local_path(_path(text))


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return text


def _whole(smallest: int, largest: int | None = None) -> Callable[[str], int]:
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


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not in 0 .. 1 (1 excluded)")
    return value


def _scale(text: str) -> tuple[float, float]:
    values = [_number(part) for part in text.split(",")]
    smallest, largest = values[0], values[-1]
    if len(values) > 2 or not 0 < smallest <= largest <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no LO,HI with 0 < LO <= HI <= 1, such as 0.4,0.55")
    return smallest, largest


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number") from None


def _quality(text: str) -> int | None:
    if text == LOSSLESS:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text} is neither 1 .. 100 nor `{LOSSLESS}`")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is no WIDTHxHEIGHT such as 640x480")
    return int(match[1]), int(match[2])


def _accelerator(text: str) -> str:
    if not re.fullmatch(r"type:[a-z0-9-]+;count:[1-9]\d*(;install-nvidia-driver(:[\w.-]+)?)?", text):
        raise argparse.ArgumentTypeError(
            f"{text} is no type:NAME;count:N, such as type:nvidia-tesla-t4;count:1;install-nvidia-driver"
        )
    return text


def _memory(text: str) -> str:
    _bytes(text)
    return text


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([1-9]\d*(?:\.\d+)?)(?:([KMGT])(i?))?B", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is no size such as 16GB or 13GiB")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** (" KMGT".index(unit) if unit else 0))


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        raise argparse.ArgumentTypeError(f"{text} is no name for TFDS: use a-z, 0-9 and _, a letter first")
    return text


def _version(text: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+", text):
        raise argparse.ArgumentTypeError(f"{text} is no version such as 1.0.0")
    return text
