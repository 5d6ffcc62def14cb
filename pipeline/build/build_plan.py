"""What a build will make, worked out before anything is written: inputs checked, shards counted, stages configured."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from fgbg.card.card import CARD_FILES
from fgbg.claims import Claim, Wording
from fgbg.cross_product import CrossProduct, ShardLayout, held_out_pictures
from fgbg.depth_models.catalogue import MODEL_NAMES
from fgbg.documents import METADATA_FILES, DatasetMetadata, fingerprint, rehearse_metadata
from fgbg.errors import InputError
from fgbg.features import Labels, Schema
from fgbg.naming import printable
from fgbg.package_versions import package_versions
from fgbg.settings import FORMAT, LOSSLESS, NO_DEPTH
from fgbg.shard_files import DatasetFiles
from pipeline.build.options import BuildOptions
from transforms import inputs
from transforms.assets import AssetPaths
from transforms.depth import DepthSettings
from transforms.encoding import ExampleEncoding
from transforms.inputs import BadInput, Picture
from transforms.placements import PlacementRules, side_range
from transforms.recipe import Recipe, make_recipe

# Decoded images of one shard that may be in memory at once.
_SHARD_BYTES = 256 << 20
_MOST_EXAMPLES_PER_SHARD = 1000
# So many shards at least, unless they would be tiny: for progress, resuming and parallel reading of small datasets.
_FEWEST_SHARDS = 16
_TINY_SHARD = 32


# Of these another version may give other bytes of a shard: OpenCV resizes and encodes JPEG and PNG, Pillow decodes the
# inputs, NumPy sums and rounds, TensorFlow shuffles the order of examples. Beam only hands shards around, and TFDS only
# writes what stands beside them. Engines of depth and the container of records join them when they are used.
_DECIDING_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "tensorflow")
_ENGINE_PACKAGES = {"keras": ("keras",), "openvino": ("openvino",)}
_FORMAT_PACKAGES = {"array_record": ("array-record",)}

WORDING = Wording(
    command="build",
    flag="--data_dir",
    content="another dataset",
    remedy="name another --data_dir, --name or --version, or add --overwrite to delete what is there",
)


@dataclass(frozen=True)
class BuildPlan:
    """Everything the stages need, and what identifies the dataset.

    Attributes:
        options: the flags.
        backgrounds: the usable backgrounds, in the order of their index.
        foregrounds: the usable foregrounds, in the order of their index.
        skipped: inputs left out.
        recorded: the part of the configuration that the flags decide, as it stands in the manifest.
        recipe: how examples follow from it and the pictures.
        depth_settings: how depth is predicted, or None.
        depth_fingerprint: what identifies the depth model, or None.
    """

    options: BuildOptions
    backgrounds: tuple[Picture, ...]
    foregrounds: tuple[Picture, ...]
    skipped: tuple[BadInput, ...]
    recorded: dict[str, Any]
    recipe: Recipe
    depth_settings: DepthSettings | None
    depth_fingerprint: dict[str, Any] | None

    @property
    def files(self) -> DatasetFiles:
        """Where the dataset lies."""
        return self._files(self.options.name)

    @property
    def companions(self) -> dict[str, DatasetFiles]:
        """Where the companion datasets lie."""
        return {kind: self._files(f"{self.options.name}_{kind}") for kind in ("background", "foreground")}

    @property
    def all_files(self) -> list[DatasetFiles]:
        """Where the dataset and its companions lie."""
        return [self.files, *self.companions.values()]

    @property
    def companion_sizes(self) -> dict[str, int]:
        """Pictures of each companion dataset."""
        return {"background": len(self.backgrounds), "foreground": len(self.foregrounds)}

    @property
    def asset_paths(self) -> AssetPaths:
        """What workers load."""
        return AssetPaths(
            backgrounds=tuple(picture.path for picture in self.backgrounds),
            foregrounds=tuple(picture.path for picture in self.foregrounds),
            image_size=self.options.image_size,
            longest_side=self.rules.longest,
            background_sha256=tuple(bytes.fromhex(picture.sha256) for picture in self.backgrounds),
            foreground_sha256=tuple(bytes.fromhex(picture.sha256) for picture in self.foregrounds),
        )

    @property
    def layout(self) -> ShardLayout:
        """How examples are spread over shards."""
        return self.recipe.layout

    @property
    def rules(self) -> PlacementRules:
        """What placements are drawn from."""
        return self.recipe.rules

    @property
    def encoding(self) -> ExampleEncoding:
        """How examples are encoded."""
        return self.recipe.encoding

    @property
    def schema(self) -> Schema:
        """What the fields depend on."""
        return self.recipe.schema

    @property
    def metadata(self) -> DatasetMetadata:
        """What the metadata are made from."""
        return DatasetMetadata(
            files=self.files,
            companions=self.companions,
            schema=self.schema,
            configuration=self.configuration,
            skipped=tuple(
                (printable(bad.path, one_line=True), printable(bad.reason, one_line=True)) for bad in self.skipped
            ),
        )

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """All that decides the bytes of the dataset, its fingerprint, and what is recorded beside it."""
        content = {
            "configuration": self.recorded,
            "depth_model": self.depth_fingerprint,
            "inputs": {"backgrounds": _identities(self.backgrounds), "foregrounds": _identities(self.foregrounds)},
        }
        held_out = [picture.label for picture in self.held_out]
        recorded = package_versions(*self._used_packages)
        return {"fingerprint": fingerprint(content), **content, "held_out": held_out, "made_with": recorded}

    @property
    def deciding_packages(self) -> tuple[str, ...]:
        """The packages of which another version may give other bytes of a shard."""
        return (*_DECIDING_PACKAGES, *self._used_packages)

    @property
    def claim(self) -> Claim:
        """The claim to the folders of the dataset and its companions."""
        names = (self.options.name, *(f"{self.options.name}_{kind}" for kind in ("background", "foreground")))
        folders = [_files(self.options, name) for name in names]
        return Claim(tuple(files.directory for files in folders), folders[0].work_folder, self.configuration, WORDING)

    @property
    def held_out(self) -> list[Picture]:
        """The backgrounds or foregrounds that occur in the split `test` alone; none if it is split by example."""
        pictures = self.backgrounds if self.options.split_by == "background" else self.foregrounds
        return [pictures[index] for index in held_out_pictures(self.layout.splits, self.options.split_by)]

    @property
    def _used_packages(self) -> tuple[str, ...]:
        engine = self.depth_settings.engine if self.depth_settings else ""
        return _ENGINE_PACKAGES.get(engine, ()) + _FORMAT_PACKAGES.get(self.options.file_format, ())

    def _files(self, name: str) -> DatasetFiles:
        return replace(_files(self.options, name), claim=self.claim.ticket)


def make_plan(options: BuildOptions, on_checked: Callable[[], None] = lambda: None) -> BuildPlan:
    """Check all inputs, work out the build and rehearse its documents; nothing is written.

    Args:
        options: the flags.
        on_checked: called after every input picture.

    Raises:
        InputError: an input or a flag cannot be used; all bad inputs are named at once.
    """
    _refuse_overlaps(options)
    depth = _depth_settings(options)
    depth_fingerprint = depth.fingerprint() if depth else None
    if depth and depth_fingerprint:
        depth = replace(depth, sha256=depth_fingerprint["sha256"])
    shortest, longest = side_range(options.image_size, options.fg_scale)
    checked = (
        inputs.check_backgrounds(
            options.backgrounds, image_size=options.image_size, most=options.most_pictures, on_checked=on_checked
        ),
        inputs.check_foregrounds(
            options.foregrounds,
            sides=range(shortest, longest + 1),
            most=options.most_pictures,
            on_checked=on_checked,
        ),
    )
    skipped = tuple(bad for kind in checked for bad in kind.bad)
    _refuse_bad_inputs(skipped, checked, options)
    backgrounds, foregrounds = checked[0].usable, checked[1].usable
    recorded = _recorded(
        options, (shortest, longest), CrossProduct(len(backgrounds), len(foregrounds), options.placements)
    )
    recipe = make_recipe(
        recorded,
        _labels(backgrounds),
        _labels(foregrounds),
        cutout_sizes=tuple((picture.width, picture.height) for picture in foregrounds),
        depth_kind=None if depth_fingerprint is None else depth_fingerprint["kind"],
    )
    plan = BuildPlan(options, backgrounds, foregrounds, skipped, recorded, recipe, depth, depth_fingerprint)
    _refuse_leaks(plan)
    rehearse_metadata(plan.metadata, {split.name: split.size for split in plan.layout.splits})
    return plan


def default_examples_per_shard(examples: int, image_size: int, depth_bits: int) -> int:
    """As many as keep a shard's decoded images under 256 MiB, at most 1000, and fewer for small datasets.

    >>> default_examples_per_shard(400_000, 200, depth_bits=0)
    1000
    >>> default_examples_per_shard(400_000, 224, depth_bits=16)
    800
    >>> default_examples_per_shard(1_440, 224, depth_bits=16)
    90
    """
    bytes_per_example = image_size * image_size * (4 + depth_bits // 8)
    most = max(1, min(_MOST_EXAMPLES_PER_SHARD, _SHARD_BYTES // bytes_per_example))
    if most > 100:
        most -= most % 100
    return min(most, max(_TINY_SHARD, -(-examples // _FEWEST_SHARDS)))


def _recorded(options: BuildOptions, placed_sides: tuple[int, int], product: CrossProduct) -> dict[str, Any]:
    depth_bits = options.depth_bits if options.with_depth else None
    return {
        "format": FORMAT,
        "name": options.name,
        "version": options.version,
        "image_size": options.image_size,
        "placements": options.placements,
        "fg_scale": list(options.fg_scale),
        "placed_sides": list(placed_sides),
        "seed": options.seed,
        "test_fraction": options.test_fraction,
        "split_by": options.split_by,
        "jpeg_quality": options.jpeg_quality or LOSSLESS,
        "depth_bits": depth_bits,
        "examples_per_shard": options.examples_per_shard
        or default_examples_per_shard(product.size, options.image_size, depth_bits=depth_bits or 0),
        "file_format": options.file_format,
    }


def _depth_settings(options: BuildOptions) -> DepthSettings | None:
    if not options.with_depth:
        return None
    return DepthSettings(
        model=options.depth_model,
        engine=options.depth_engine,
        precision=options.depth_precision,
        input_size=options.depth_input_size,
        batch_size=options.depth_batch_size,
        bits=options.depth_bits,
    )


def _files(options: BuildOptions, name: str) -> DatasetFiles:
    return DatasetFiles(options.data_dir, name, options.version, options.file_format, options.config)


def _refuse_overlaps(options: BuildOptions) -> None:
    """A dataset among its own inputs would be listed by the next run, and --overwrite would delete inputs in it."""
    given = {"--backgrounds": options.backgrounds, "--foregrounds": options.foregrounds}
    if options.depth_model not in (NO_DEPTH, *MODEL_NAMES):
        given["--depth_model"] = options.depth_model
    for (flag, path), kind in itertools.product(given.items(), ("", "_background", "_foreground")):
        files = _files(options, f"{options.name}{kind}")
        written = [*METADATA_FILES, *CARD_FILES, files.shard_name("train", 0, 1)]
        if place := inputs.find_overlap(path, files.directory, written):
            raise InputError(
                f"--data_dir: the dataset's folder {files.directory} and {flag} {path} lie in each other (at {place});"
                " name another --data_dir, or keep the inputs in a folder beside it."
            )


def _refuse_bad_inputs(
    skipped: Sequence[BadInput], checked: Sequence[inputs.CheckedInputs], options: BuildOptions
) -> None:
    listing = "".join(f"\n  {bad}" for bad in skipped)
    total = sum(len(kind.usable) + len(kind.bad) for kind in checked)
    if skipped and not options.skip_bad_inputs:
        raise InputError(
            f"{len(skipped)} of {total} input pictures cannot be used; fix or remove them, or add --skip_bad_inputs"
            f" to go"
            f" on without them:{listing}"
        )
    for flag, folder, kind in zip(
        ("--backgrounds", "--foregrounds"), (options.backgrounds, options.foregrounds), checked, strict=True
    ):
        if not kind.usable:
            raise InputError(f"{flag}: not one picture of {folder} can be used:{listing}")


def _refuse_leaks(plan: BuildPlan) -> None:
    """The same picture under two names would be trained on and tested with."""
    held_out = {picture.label for picture in plan.held_out}
    twins = {picture.sha256: picture for picture in plan.held_out}
    pictures = plan.backgrounds if plan.options.split_by == "background" else plan.foregrounds
    for picture in pictures:
        if picture.sha256 in twins and picture.label not in held_out:
            raise InputError(
                f"{picture.path} and {twins[picture.sha256].path} are the same picture, and only the latter would be"
                " held out; remove one of them, or leave --test_fraction out."
            )


def _labels(pictures: Sequence[Picture]) -> Labels:
    return Labels(
        names=tuple(picture.label for picture in pictures), class_of=tuple(picture.class_name for picture in pictures)
    )


def _identities(pictures: Sequence[Picture]) -> list[dict[str, str]]:
    return [{"label": picture.label, "class": picture.class_name, "sha256": picture.sha256} for picture in pictures]
