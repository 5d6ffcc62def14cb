"""The depth models that have names: what is bundled, what is published, and where it is."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A published weights file: the name it is kept under, where a person finds it and where a program does."""

    file_name: str
    page: str
    address: str


def _on_google_drive(file_name: str, identifier: str) -> PublishedModel:
    # "confirm" skips the page that warns of a file too large for a virus scan.
    return PublishedModel(
        file_name,
        f"https://drive.google.com/file/d/{identifier}/view",
        f"https://drive.usercontent.google.com/download?id={identifier}&export=download&confirm=t",
    )


# Installed with the package, so that a worker finds them as the launcher does.
BUNDLED_MODELS = {"mini": Path(__file__).with_name("bundled") / "mini.h5"}

PUBLISHED_MODELS = {
    "nyu": _on_google_drive("nyu.h5", "19dfvGvDfCRYaqxVKypp1fRHwK7XtSjVu"),
    "kitti": _on_google_drive("kitti.h5", "19flUnbJ_6q2xtjuUQvjt1Y1cJRwOr-XY"),
}

MODEL_NAMES = (*BUNDLED_MODELS, *PUBLISHED_MODELS)
