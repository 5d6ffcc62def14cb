"""The common base of the TFDS builders of the three datasets, all of which one run of the pipeline prepares.

By default, TFDS takes examples from a generator, shuffles and writes them, and deletes the folder after any error. The
pipeline publishes each shard when it is complete. So these builders pass their folder to the pipeline, and preparing a
dataset again resumes from the existing shards.
"""

import abc
import os
from dataclasses import dataclass, field, make_dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder
from tensorflow_datasets.core.dataset_info import DatasetIdentity, dataset_info_path
from tensorflow_datasets.core.utils import file_utils

from fgbg.errors import InputError
from fgbg.features import Labels, Schema
from pipeline.build.options import BuildOptions
from pipeline.common.flags import flags_of
from pipeline.parser import parse

# The main dataset; the others are its companions.
_DATASET = "fg_bg_depth"
_KINDS = ("backgrounds", "foregrounds")

_DEFAULT_CONFIG = "full"

# Labels before the input pictures have been listed.
_UNKNOWN = Labels((), ())

# Options of the writer of TFDS that the pipeline does not support, and their alternatives. Any other value than the
# default is an error, because silently ignoring it would be surprising.
_SHARD_SIZE_ALTERNATIVE = "set examples_per_shard in a FgBgDepthConfig"
_UNSUPPORTED = {
    "max_examples_per_split": "choose fewer pictures or placements in a FgBgDepthConfig",
    "num_shards": _SHARD_SIZE_ALTERNATIVE,
    "min_shard_size": _SHARD_SIZE_ALTERNATIVE,
    "max_shard_size": _SHARD_SIZE_ALTERNATIVE,
}


# Flags of `build` that are no part of a config: TFDS itself says where the dataset lies and whether to replace it.
_NOT_CONFIGURED = {
    *("data_dir", "name", "version", "file_format", "overwrite"),
    *("picture_memory", "accelerator", "min_ram"),
}
_CONFIGURED = tuple(name for name in flags_of(BuildOptions) if name not in _NOT_CONFIGURED)

# One field for each flag, with None for the flag's default.
_FlagConfig: Any = make_dataclass(
    "_FlagConfig",
    [(name, Any, field(default=None, kw_only=True)) for name in _CONFIGURED],
    bases=(tfds.core.BuilderConfig,),
    eq=False,
)


@dataclass(eq=False, kw_only=True)
class FgBgDepthConfig(_FlagConfig):
    """Which pictures, and what is made of them.

    Every flag of `fgbg build` that decides what is made is a keyword argument with the flag's name, meaning and
    default, such as `placements=5`, `image_size=128` or `depth_model="none"`. Flags that take two numbers take the text
    of the command line here, too: `fg_scale="0.3,0.5"`. `backgrounds` and `foregrounds` are used instead of the folders
    of these names in `manual_dir`.

    Attributes:
        most_pictures: use only the first so many backgrounds and foregrounds.
        samples: use the bundled sample pictures when no `manual_dir` is named and TFDS's own is not there.
    """

    most_pictures: int | None = None
    samples: bool = False

    def flags(self) -> list[str]:
        """The flags of `build` that differ from their defaults.

        >>> FgBgDepthConfig(name="small", placements=2, seed=0, skip_bad_inputs=True).flags()
        ['--skip_bad_inputs', '--placements=2', '--seed=0']
        """
        values = {name: getattr(self, name) for name in _CONFIGURED}
        return [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in values.items()
            if value is not None and value is not False
        ]


class PipelineBuilder(FileReaderBuilder):
    """A dataset that the pipeline builds.

    The folder of the default config, `full`, is DATA_DIR/NAME/VERSION, as for `fgbg build`. TFDS finds it
    there without this package. Each other config has a folder of its own, as is usual in TFDS.
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
            description="The first 4 backgrounds and 4 foregrounds, by default of the sample pictures: 640 examples.",
            most_pictures=4,
            samples=True,
        ),
        FgBgDepthConfig(name="no_depth", description="All pictures; composites and masks only.", depth_model="none"),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = _DEFAULT_CONFIG
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put photographs into its folder `backgrounds` and cut-outs with an alpha channel into its folder"
        " `foregrounds`. The names of sub-folders are classes. Alternatively, set another manual_dir, or build the"
        " config `tiny`, which uses sample pictures if there is no manual_dir."
    )

    @abc.abstractmethod
    def _features(self, schema: Schema) -> Any:
        """Return the features of this dataset."""

    def _supervised_keys(self, schema: Schema) -> Any:
        """Return the keys for `as_supervised=True`, or None."""

    @property
    def builder_config_name(self) -> str | None:
        """Name of the folder of the config, or None for the default config."""
        name = super().builder_config_name
        return None if name == _DEFAULT_CONFIG else name

    @cached_property
    def info(self) -> Any:
        """Information about the dataset: from its folder if it is prepared, else from the config."""
        # A cached property, so that it can be reset after preparing; TFDS would keep the first value.
        return self._info()

    def download_and_prepare(
        self,
        *,
        download_dir: Any = None,
        download_config: Any = None,
        file_format: Any = None,
        **permissions: Any,
    ) -> None:
        """Build the dataset and its companions, or resume an interrupted build.

        Args:
            download_dir: contains the default `manual_dir`, the folder `manual`.
            download_config: only `manual_dir`, `download_mode` and the options of Beam have an effect.
            file_format: `tfrecord` or `array_record`.
            **permissions: accepted for compatibility with TFDS, without effect.

        Raises:
            AssertionError: `manual_dir` does not exist.
            InputError: bad pictures, an invalid config, or a folder that contains another dataset.
            RunError: the build stopped. Finished shards are kept.
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
        from pipeline.build.run_build import build_dataset
        from pipeline.common.runner import complete_beam_options

        _reject_unsupported(download_config)
        options = self._build_options(
            f"--file_format={self.info.file_format.value}",
            *(f"--{kind}={folder}" for kind, folder in self._folders(dl_manager, download_config).items()),
        )
        build_dataset(
            replace(options, overwrite=download_config.download_mode.overwrite_dataset),
            complete_beam_options(_beam_options(download_config)),
        )

    def _folders(self, dl_manager: Any, download_config: Any) -> dict[str, str]:
        """Return the folders in `manual_dir` that the config does not set itself; empty to use the sample pictures."""
        config = self.builder_config
        unset = [kind for kind in _KINDS if getattr(config, kind) is None]
        if not unset:
            return {}
        try:
            manual_dir = dl_manager.manual_dir
        except AssertionError:
            if config.samples and download_config.manual_dir is None:
                return {}
            raise
        missing = [kind for kind in unset if not (manual_dir / kind).is_dir()]
        if missing:
            raise InputError(
                f"manual_dir: {manual_dir} has no folder {' and no folder '.join(missing)}; create it and put your"
                " pictures there, or set another manual_dir."
            )
        return {kind: os.fspath(manual_dir / kind) for kind in unset}

    def _build_options(self, *flags: str) -> BuildOptions:
        config = self.builder_config
        _, parsed, _ = parse(
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
        """Return whether the dataset is prepared, without the warnings of `is_prepared`."""
        return dataset_info_path(self.data_path).exists()

    def _info(self) -> Any:
        identity = replace(DatasetIdentity.from_builder(self), config_name=self.builder_config_name)
        metadata = self.get_metadata()
        info = {"builder": identity, "description": metadata.description, "citation": metadata.citation}
        if self._is_stored():
            # The stored information is more complete than the config: it includes names of pictures and all flags.
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
        """Return the newest stored version, as TFDS does without a builder, else the version that can be built."""
        if requested_version is None:
            stored = [
                version
                for data_dir in file_utils.list_data_dirs(self._original_state["data_dir"])
                for version in file_utils.list_dataset_versions(
                    file_utils.get_dataset_dir(data_dir, self.name, self.builder_config_name)
                )
            ]
            if stored:
                return max(stored)
        return super()._pick_version(requested_version)


def _reject_unsupported(download_config: Any) -> None:
    defaults = tfds.download.DownloadConfig()
    for name, alternative in _UNSUPPORTED.items():
        if getattr(download_config, name) != getattr(defaults, name):
            raise InputError(f"{name} is not supported; {alternative} instead.")


def _beam_options(download_config: Any) -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    options = download_config.beam_options or PipelineOptions([])
    if download_config.beam_runner is not None:
        options.view_as(StandardOptions).runner = download_config.beam_runner
    return options
