"""The flags of `cutout`."""

from dataclasses import dataclass

from pipeline.common import flag_types
from pipeline.common.flags import flag

GRABCUT = "grabcut"

# The models of rembg that need only a name, run locally, and have a licence that permits any use.
NETWORKS = (
    "u2netp",
    "u2net",
    "u2net_human_seg",
    "silueta",
    "isnet-general-use",
    "isnet-anime",
    "birefnet-general",
    "birefnet-general-lite",
    "birefnet-portrait",
)
MODELS = (*NETWORKS, GRABCUT)
OBJECTS = ("all", "largest")


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoutOptions:
    """The values of the flags of `cutout`."""

    photos: str = flag(
        "photographs: a folder, a glob or any Beam filesystem URI; sub-folders are classes",
        parse=flag_types.input_path,
        required=True,
        metavar="DIR",
        is_path=True,
    )
    output: str = flag(
        "folder for the cut-outs: the one to pass as --foregrounds",
        parse=flag_types.input_path,
        required=True,
        metavar="DIR",
        is_path=True,
    )
    model: str = flag(
        f"what finds the object: a network that rembg looks for in U2NET_HOME and downloads if necessary"
        f" ({', '.join(NETWORKS)}), or `{GRABCUT}`, which needs no file but is less accurate",
        choices=MODELS,
        default=MODELS[0],
        metavar="MODEL",
    )
    objects: str = flag(
        "keep all pieces but small components, or only the largest", choices=OBJECTS, default=OBJECTS[0]
    )
    skip_bad_inputs: bool = flag(
        "exit with status 0 when some photographs cannot be used, and list them", is_switch=True
    )
