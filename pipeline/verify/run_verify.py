"""The `verify` command: read a finished dataset again, recompute it, and print what was compared with what."""

import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from fgbg import filesystems
from fgbg.errors import InputError, RunError
from fgbg.naming import printable
from pipeline.common.console import quiet_libraries
from pipeline.common.runner import beam_options, is_local, new_pipeline
from pipeline.verify.options import VerifyOptions
from pipeline.verify.verification import open_verification


def run_verify(options: VerifyOptions, beam_flags: Sequence[str]) -> None:
    """Verify a dataset and print what was checked.

    Raises:
        InputError: wrong use; there is no finished dataset.
        RunError: something is wrong with the dataset, or the verification stopped.
    """
    pipeline_options = beam_options(beam_flags, "verify", VerifyOptions)
    with new_pipeline(pipeline_options) as pipeline, scratch_folder(pipeline_options) as scratch:
        verification = open_verification(options.directory, scratch, options.depth_model)
        with quiet_libraries() if is_local(pipeline_options) else nullcontext(sys.stderr) as terminal:
            verdict = verification.run(options, pipeline, terminal)
    print(printable(verdict.describe()))
    if verdict.faults:
        raise RunError(verdict.complaint())


@contextmanager
def scratch_folder(options: PipelineOptions) -> Iterator[str]:
    """A folder that every worker can reach, deleted afterwards.

    Raises:
        InputError: the workers are elsewhere, and no place was named that they can reach.
    """
    if is_local(options):
        with tempfile.TemporaryDirectory(prefix="fgbg-verify-") as folder:
            yield folder
        return
    place = options.view_as(GoogleCloudOptions).temp_location
    if not place:
        raise InputError("verify: workers elsewhere need a place for what they find; name one with --temp_location.")
    folder = filesystems.join(place, f"fgbg-verify-{uuid.uuid4().hex}")
    try:
        yield folder
    finally:
        filesystems.delete_tree(folder)
