"""What the TFDS builders of the three datasets share: one run of the pipeline prepares all of them.

TFDS would take examples from a generator, shuffle them and write them itself, into a folder that it deletes when
anything goes wrong. The pipeline writes shards that are final one by one. So these builders hand their folder to the
pipeline, and preparing a dataset again goes on from the shards that are there.
"""

import abc
import os
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder
from tensorflow_datasets.core.dataset_info import DatasetIdentity, dataset_info_path
from tensorflow_datasets.core.utils import file_utils

from tfds_builder.features import Labels, Schema
from tfds_builder.registration import register_with_tfds

if TYPE_CHECKING:
    from pipeline.options import BuildOptions

# The dataset that the others are companions of.
_DATASET = "fg_bg_depth"
_KINDS = ("backgrounds", "foregrounds")

_DEFAULT_CONFIG = "full"

# The names of pictures that nobody has looked for yet.
_UNKNOWN = Labels((), ())

# What TFDS's writer can be told and ours cannot: passing over it in silence would surprise.
_NO_SHARD_SIZES = "set examples_per_shard of a FgBgDepthConfig"
_NOT_OURS = {
    "max_examples_per_split": "choose fewer pictures or placements by a FgBgDepthConfig",
    "num_shards": _NO_SHARD_SIZES,
    "min_shard_size": _NO_SHARD_SIZES,
    "max_shard_size": _NO_SHARD_SIZES,
}


@dataclass(eq=False, kw_only=True)
class FgBgDepthConfig(tfds.core.BuilderConfig):
    """Which pictures, and what is made of them.

    All but the first two are flags of `fgbg build`, with their names, meanings and defaults. What holds
    two numbers there is text here, too: `fg_scale="0.3,0.5"`.

    Attributes:
        most_pictures: use only the first so many backgrounds and foregrounds.
        samples: use the bundled sample pictures when no `manual_dir` is named and TFDS's own is not there.
        backgrounds: instead of the folder `backgrounds` in `manual_dir`.
        foregrounds: instead of the folder `foregrounds` in `manual_dir`.
    """

    most_pictures: int | None = None
    samples: bool = False
    backgrounds: str | None = None
    foregrounds: str | None = None
    skip_bad_inputs: bool = False
    placements: int | None = None
    image_size: int | None = None
    fg_scale: str | None = None
    seed: int | None = None
    test_fraction: float | None = None
    split_by: str | None = None
    jpeg_quality: int | str | None = None
    examples_per_shard: int | None = None
    depth_model: str | None = None
    depth_engine: str | None = None
    depth_precision: str | None = None
    depth_input_size: str | None = None
    depth_batch_size: int | None = None
    depth_bits: int | None = None

    def flags(self) -> list[str]:
        """The flags of `build` that differ from their defaults.

        >>> FgBgDepthConfig(name="small", placements=2, seed=0, skip_bad_inputs=True).flags()
        ['--skip_bad_inputs', '--placements=2', '--seed=0']
        """
        others = {field.name for field in fields(tfds.core.BuilderConfig)} | {"most_pictures", "samples"}
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in others}
        return [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in values.items()
            if value is not None and value is not False
        ]


class PipelineBuilder(FileReaderBuilder):
    """A dataset that the pipeline makes.

    Without a config, which is `full`, it is DATA_DIR/NAME/VERSION, where `fgbg build` makes it as well
    and where TFDS finds it without any code of ours. Every other config has a folder of its own, as is usual.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar[list[FgBgDepthConfig]] = [
        FgBgDepthConfig(
            name=_DEFAULT_CONFIG,
            description="All pictures: 400,000 examples of 100 backgrounds and 100 foregrounds.",
        ),
        FgBgDepthConfig(
            name="tiny",
            description="The first 4 backgrounds and 4 foregrounds, if none are named of the samples: 640 examples.",
            most_pictures=4,
            samples=True,
        ),
        FgBgDepthConfig(name="no_depth", description="All pictures; composites and masks only.", depth_model="none"),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = _DEFAULT_CONFIG
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put photographs into its folder `backgrounds` and cut-outs with an alpha channel into its folder"
        " `foregrounds`; sub-folders are classes. Or name another manual_dir, or build the config `tiny`, which without"
        " any uses sample pictures."
    )

    @abc.abstractmethod
    def _features(self, schema: Schema) -> Any:
        """The fields of this dataset."""

    def _supervised_keys(self, schema: Schema) -> Any:
        """What `as_supervised=True` yields, if anything."""

    @property
    def builder_config_name(self) -> str | None:
        """Name of the folder of the config, if it has one."""
        name = super().builder_config_name
        return None if name == _DEFAULT_CONFIG else name

    @cached_property
    def info(self) -> Any:
        """What is known of the dataset: what the config says, and when it is prepared, what is stored beside it."""
        # TFDS would keep the first for ever.
        return self._info()

    def download_and_prepare(
        self,
        *,
        download_dir: Any = None,
        download_config: Any = None,
        file_format: Any = None,
        **permissions: Any,
    ) -> None:
        """Make the dataset and its companions, or go on where an earlier run stopped.

        Args:
            download_dir: its folder `manual` is `manual_dir`, unless `download_config` names one.
            download_config: `manual_dir`, `download_mode` and Beam's options count.
            file_format: `tfrecord` or `array_record`.
            **permissions: TFDS takes some and does nothing with them.

        Raises:
            AssertionError: there is no `manual_dir`.
            InputError: bad pictures, a config that makes no sense, or a folder that holds another dataset.
            RunError: the build stopped; finished shards are kept.
        """
        config = download_config or tfds.download.DownloadConfig()
        overwrite = config.download_mode.overwrite_dataset
        if config.download_mode == tfds.download.GenerateMode.UPDATE_DATASET_INFO or (
            self._is_stored() and not overwrite
        ):
            super().download_and_prepare(download_config=config)
            return
        if file_format:
            self.info.set_file_format(file_format, override=True, override_if_initialized=True)
        self._download_and_prepare(
            self._make_download_manager(download_dir=download_dir, download_config=config), config
        )
        for stale in ("info", "_example_specs"):
            self.__dict__.pop(stale, None)
        self.info.read_from_directory(self.data_dir)
        self._log_download_done()

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        from pipeline.run_build import build_dataset
        from pipeline.runner import complete_beam_options

        _refuse_what_is_not_ours(download_config)
        options = self._build_options(
            f"--file_format={self.info.file_format.value}",
            *(f"--{kind}={folder}" for kind, folder in self._folders(dl_manager, download_config).items()),
        )
        build_dataset(
            replace(options, overwrite=download_config.download_mode.overwrite_dataset),
            complete_beam_options(_beam_options(download_config)),
        )

    def _folders(self, dl_manager: Any, download_config: Any) -> dict[str, str]:
        """The folders of pictures that the config does not name itself; none if they are to be the samples."""
        config = self.builder_config
        wanted = [kind for kind in _KINDS if getattr(config, kind) is None]
        if not wanted:
            return {}
        try:
            manual_dir = dl_manager.manual_dir
        except AssertionError:
            if config.samples and download_config.manual_dir is None:
                return {}
            raise
        missing = [kind for kind in wanted if not (manual_dir / kind).is_dir()]
        if missing:
            from transforms.errors import InputError

            raise InputError(
                f"manual_dir: {manual_dir} has no folder {' and no folder '.join(missing)}; put your pictures there, or"
                " name another manual_dir."
            )
        return {kind: os.fspath(manual_dir / kind) for kind in wanted}

    def _build_options(self, *flags: str) -> "BuildOptions":
        from pipeline import options

        config = self.builder_config
        _, parsed, _ = options.parse(
            [
                "build",
                f"--data_dir={self.data_dir_root}",
                f"--name={_DATASET}",
                f"--version={self.version}",
                *config.flags(),
                *flags,
            ]
        )
        return replace(parsed, config=self.builder_config_name or "", most_pictures=config.most_pictures)

    def _is_stored(self) -> bool:
        """`is_prepared` without its warnings."""
        return dataset_info_path(self.data_path).exists()

    def _info(self) -> Any:
        identity = replace(DatasetIdentity.from_builder(self), config_name=self.builder_config_name)
        about = self.get_metadata()
        info = {"builder": identity, "description": about.description, "citation": about.citation}
        if self._is_stored():
            # What is stored says more than the config: the names of the pictures, and what other flags made of them.
            return tfds.core.DatasetInfo(**info)
        options = self._build_options()
        schema = Schema(
            image_size=options.image_size,
            backgrounds=_UNKNOWN,
            foregrounds=_UNKNOWN,
            lossless=options.jpeg_quality is None,
            depth_bits=options.depth_bits if options.with_depth else None,
            depth_kind=None,
        )
        return tfds.core.DatasetInfo(
            **info, features=self._features(schema), supervised_keys=self._supervised_keys(schema)
        )

    def _pick_version(self, requested_version: Any) -> Any:
        """The newest version that is there, as TFDS does without a builder; else what can be made."""
        if requested_version is None:
            there = [
                version
                for data_dir in file_utils.list_data_dirs(self._original_state["data_dir"])
                for version in file_utils.list_dataset_versions(
                    file_utils.get_dataset_dir(data_dir, self.name, self.builder_config_name)
                )
            ]
            if there:
                return max(there)
        return super()._pick_version(requested_version)


def _refuse_what_is_not_ours(download_config: Any) -> None:
    defaults = tfds.download.DownloadConfig()
    for name, mend in _NOT_OURS.items():
        if getattr(download_config, name) != getattr(defaults, name):
            from transforms.errors import InputError

            raise InputError(f"{name}: the pipeline decides what is in a shard; {mend}.")


def _beam_options(download_config: Any) -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    options = download_config.beam_options or PipelineOptions([])
    if download_config.beam_runner is not None:
        options.view_as(StandardOptions).runner = download_config.beam_runner
    return options


# Whoever imports this before TFDS has it imported here, too early for the builders, which are made of what is above.
register_with_tfds()
