"""Versions of this program and of the packages that the bytes of a dataset depend on."""

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from fgbg import __version__

_RECORDED_PACKAGES = ("apache-beam", "numpy", "opencv-python-headless", "pillow", "tensorflow", "tensorflow-datasets")


def package_versions(*used: str) -> dict[str, str]:
    """Versions of this program and of the packages that bytes can depend on, and the kind of machine.

    The manifest records them. The program's own version decides no bytes: the format does.

    Args:
        *used: packages that only some datasets need.
    """
    versions = {package: version(package) for package in _RECORDED_PACKAGES}
    for package in used:
        with suppress(PackageNotFoundError):  # what an engine needs is another's error to report
            versions[package] = version(package)
    return {"fgbg-depth": __version__, **versions, "machine": platform.machine()}
