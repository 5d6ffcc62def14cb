"""The flags of `build` and `plan`."""

from dataclasses import dataclass
from pathlib import Path

from fgbg.depth_models.catalogue import MODEL_NAMES
from fgbg.settings import (
    FILE_FORMATS,
    LARGEST_IMAGE,
    MOST_EXAMPLES_PER_SHARD,
    MOST_PLACEMENTS,
    NO_DEPTH,
    PICTURE_MEMORY,
    SPLIT_BY,
)
from pipeline.common import flag_types
from pipeline.common.flags import flag

_INPUTS = "inputs (a folder, a glob or any Beam filesystem URI; sub-folders are classes)"
_OUTPUT = "output"
_EXAMPLES = "examples"
_SPLITS = "splits"
_DEPTH = "depth"
_WORKERS = "workers that make examples"


def samples_folder() -> Path:
    """The sample pictures: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).parent.parent
    installed = package / "samples"
    return installed if installed.is_dir() else package.parent / "samples"


def _default_data_dir() -> str:
    from tensorflow_datasets.core import constants  # takes a second, and is needed only without --data_dir

    return flag_types.input_path(constants.DATA_DIR)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The values of the flags of `build` and `plan`, with `--help`'s descriptions.

    Two fields have no flag; the TFDS builder sets them.

    Attributes:
        config: name of TFDS's builder config, which has a folder of its own, or "".
        most_pictures: use only the first so many backgrounds and foregrounds, or None for all.
    """

    backgrounds: str = flag(
        "photographs",
        parse=flag_types.input_path,
        default_factory=lambda: str(samples_folder() / "backgrounds"),
        default_help="the bundled samples",
        metavar="PATH",
        is_path=True,
        group=_INPUTS,
    )
    foregrounds: str = flag(
        "cut-outs with an alpha channel",
        parse=flag_types.input_path,
        default_factory=lambda: str(samples_folder() / "foregrounds"),
        default_help="the bundled samples",
        metavar="PATH",
        is_path=True,
        group=_INPUTS,
    )
    skip_bad_inputs: bool = flag("leave out pictures that cannot be used, and list them", is_switch=True, group=_INPUTS)
    data_dir: str = flag(
        "TFDS data directory",
        parse=flag_types.input_path,
        default_factory=_default_data_dir,
        default_help="TFDS's own",
        metavar="DIR",
        is_path=True,
        group=_OUTPUT,
    )
    name: str = flag(
        "name of the dataset",
        parse=flag_types.dataset_name,
        default="fg_bg_depth",
        pattern="[a-z][a-z0-9_]*",
        recorded=True,
        group=_OUTPUT,
    )
    version: str = flag(
        "version of the dataset",
        parse=flag_types.version,
        default="1.0.0",
        pattern=r"[0-9]+\.[0-9]+\.[0-9]+",
        recorded=True,
        group=_OUTPUT,
    )
    file_format: str = flag(
        "format of the shards", choices=FILE_FORMATS, default=FILE_FORMATS[0], recorded=True, group=_OUTPUT
    )
    examples_per_shard: int | None = flag(
        "examples in each shard",
        parse=flag_types.integer(1, MOST_EXAMPLES_PER_SHARD),
        default_help="as many as keep the decoded images of a shard under 256 MiB, at most 1000",
        metavar="N",
        pattern="[1-9][0-9]*",
        recorded=True,
        group=_OUTPUT,
    )
    jpeg_quality: int | None = flag(
        "1 .. 100, or `png` for lossless composites",
        parse=flag_types.quality,
        default="90",
        metavar="Q",
        pattern="[1-9][0-9]?|100|png",
        recorded=True,
        group=_OUTPUT,
    )
    overwrite: bool = flag("delete the existing dataset and start again", is_switch=True, group=_OUTPUT)
    image_size: int = flag(
        "side of the square images, pixels",
        parse=flag_types.integer(16, LARGEST_IMAGE),
        default="224",
        metavar="PX",
        pattern="1[6-9]|[2-9][0-9]|[1-9][0-9]{2,}",
        recorded=True,
        group=_EXAMPLES,
    )
    placements: int = flag(
        "random placements of each pair, plain and again flipped",
        parse=flag_types.integer(1, MOST_PLACEMENTS),
        default="20",
        metavar="P",
        pattern="[1-9][0-9]*",
        recorded=True,
        group=_EXAMPLES,
    )
    fg_scale: tuple[float, float] = flag(
        "longest side of the placed cut-out as a fraction of the image side, drawn for each placement",
        parse=flag_types.scale,
        default="0.4,0.55",
        metavar="LO,HI",
        pattern=r"(0?\.[0-9]*[1-9][0-9]*|1(\.0*)?)(,(0?\.[0-9]*[1-9][0-9]*|1(\.0*)?))?",
        recorded=True,
        group=_EXAMPLES,
    )
    seed: int = flag(
        "seed of placements, order and held-out pictures",
        parse=flag_types.integer(0, 2**64 - 1),
        default="0",
        metavar="N",
        pattern="[0-9]{1,19}",
        recorded=True,
        group=_EXAMPLES,
    )
    test_fraction: float = flag(
        "part of the data to hold out as split `test`",
        parse=flag_types.fraction,
        default="0",
        metavar="F",
        pattern=r"0|0?\.[0-9]+",
        recorded=True,
        group=_SPLITS,
    )
    split_by: str = flag(
        "what the splits do not share", choices=SPLIT_BY, default=SPLIT_BY[0], recorded=True, group=_SPLITS
    )
    depth_model: str = flag(
        "`mini` (small, bundled, relative depth), `nyu` or `kitti` (DenseDepth, metres), the path of a weights file, or"
        " `none`",
        parse=flag_types.depth_model,
        default="mini",
        metavar="MODEL",
        pattern="|".join((*MODEL_NAMES, NO_DEPTH)),
        is_path=True,
        group=_DEPTH,
    )
    depth_engine: str = flag("what runs the network", choices=("keras", "openvino"), default="keras", group=_DEPTH)
    depth_precision: str = flag(
        "precision of the network", choices=("float32", "bfloat16"), default="float32", group=_DEPTH
    )
    depth_input_size: tuple[int, int] | None = flag(
        "size of the images the network sees, multiples of 32",
        parse=flag_types.width_height,
        default_help="the model's own: 640x480, for mini 224x224",
        metavar="WxH",
        pattern="[0-9]+x[0-9]+",
        group=_DEPTH,
    )
    depth_batch_size: int = flag(
        "images per call of the network",
        parse=flag_types.integer(1),
        default="8",
        metavar="N",
        pattern="[1-9][0-9]*",
        group=_DEPTH,
    )
    depth_bits: int = flag(
        "`16`: millimetres as uint16; `8`: 10 m / 255 as uint8",
        parse=int,
        choices=("16", "8"),
        default="16",
        recorded=True,
        group=_DEPTH,
    )
    picture_memory: int = flag(
        "decoded pictures that each process keeps in memory; `plan` reports when not all fit",
        parse=flag_types.byte_count,
        default=f"{PICTURE_MEMORY >> 20}MiB",
        metavar="SIZE",
        pattern=flag_types.SIZE_PATTERN,
        group=_WORKERS,
    )
    accelerator: str | None = flag(
        "a GPU, for runners that offer a choice, such as `type:nvidia-tesla-t4;count:1;install-nvidia-driver`",
        parse=flag_types.accelerator,
        default_help="none",
        metavar="TYPE",
        pattern=flag_types.ACCELERATOR_PATTERN,
        group=_WORKERS,
    )
    min_ram: str | None = flag(
        "memory of a worker, for runners that offer a choice, such as 16GB",
        parse=flag_types.memory_size,
        default_help="the runner's",
        metavar="SIZE",
        pattern=flag_types.SIZE_PATTERN,
        group=_WORKERS,
    )
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
