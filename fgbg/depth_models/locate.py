"""Finds a weights file: a path or Beam filesystem URI, or a name that stands for a bundled or a published file.

A bundled file lies in this package. A published one is looked for in $FGBG_MODEL_DIR, then in the cache folder, then
fetched into the cache folder.
"""

import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fgbg.depth_models.catalogue import BUNDLED_MODELS, MODEL_NAMES, PUBLISHED_MODELS
from fgbg.depth_models.weights import check_is_hdf5
from fgbg.errors import InputError

MODEL_DIR_VARIABLE = "FGBG_MODEL_DIR"
_TIMEOUT_SECONDS = 30
_CHUNK = 1 << 20


def locate_weights(name_or_path: str) -> str:
    """The path or URI of the weights; fetches a published file that is nowhere yet.

    Raises InputError when a published file can neither be found nor fetched, saying where to get it and where to put
    it, and when a name is not known. That a path exists is seen when it is opened.
    """
    if name_or_path in BUNDLED_MODELS:
        return str(BUNDLED_MODELS[name_or_path])
    published = PUBLISHED_MODELS.get(name_or_path)
    if published is None:
        if "/" not in name_or_path and not Path(name_or_path).exists():
            raise InputError(
                f"depth model {name_or_path!r}: there is no such weights file, and the names known are "
                f"{', '.join(MODEL_NAMES)}"
            )
        return name_or_path
    folders = []
    if model_dir := os.environ.get(MODEL_DIR_VARIABLE):
        folders.append(Path(model_dir))
        if (folders[0] / published.file_name).is_file():
            return str(folders[0] / published.file_name)
    # Only now: a system user may have no home folder.
    folders.append(cache_folder())
    target = folders[-1] / published.file_name
    if target.is_file():
        return str(target)
    try:
        _fetch(published.address, target)
    except (OSError, InputError) as error:
        searched = " nor in ".join(map(str, folders))
        raise InputError(
            f"depth model {name_or_path!r}: {published.file_name} is not in {searched} and could not be fetched "
            f"({error}); get it from {published.page} in a browser and put it at {target}, or set "
            f"${MODEL_DIR_VARIABLE} to the folder that holds it"
        ) from error
    return str(target)


def cache_folder() -> Path:
    """Where fetched weights are kept: $XDG_CACHE_HOME/fgbg-depth, by default ~/.cache/fgbg-depth.

    Raises InputError when there is no home folder.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fgbg-depth"
    except RuntimeError:
        raise InputError(
            f"fetched weights are kept in the home folder, which is not known; set HOME, XDG_CACHE_HOME or"
            f" {MODEL_DIR_VARIABLE}"
        ) from None


@contextmanager
def open_weights(path: str) -> Iterator[Path]:
    """A local file with the bytes of `path`: itself when it is local, else a copy that lives as long as the context.

    Raises InputError when a remote file cannot be read.
    """
    if "://" not in path:
        yield Path(path)
        return
    # Beam takes seconds to import and is of no use for a local file.
    from apache_beam.io.filesystems import FileSystems

    from fgbg import filesystems

    filesystems.require_known_scheme(path)

    with tempfile.TemporaryDirectory(prefix="fgbg-weights-") as folder:
        local = Path(folder) / "weights.h5"
        try:
            with FileSystems.open(path) as source, local.open("wb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
        except Exception as error:  # libraries of clouds have exceptions of their own
            raise InputError(f"{path}: the weights file cannot be read ({error})") from error
        yield local


def _fetch(address: str, target: Path) -> None:
    """Downloads to a temporary name beside `target` and renames it when complete.

    Raises OSError when the transfer fails or ends early, InputError when something else than HDF5 arrives.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as sink:
            _download(address, sink, target.name)
        check_is_hdf5(part, address)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _download(address: str, sink: BinaryIO, label: str) -> None:
    from tqdm import tqdm

    with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        received = 0
        with tqdm(desc=f"Fetching {label}", total=total, unit="B", unit_scale=True) as bar:
            while chunk := response.read(_CHUNK):
                sink.write(chunk)
                received += len(chunk)
                bar.update(len(chunk))
    if total is not None and received != total:
        raise OSError(f"the transfer ended after {received:,} of {total:,} bytes")
