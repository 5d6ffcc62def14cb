"""Tables and the picture of benchmarks/transfer.py."""

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from transfer_baselines import Method
from transfer_scenes import Frame, Scene
from transfer_scores import Counts, Image

_COLUMN_INCHES = 2.6


@dataclass(frozen=True)
class Run:
    """What one method scored, by scene: with the clean plate, and with the ghosted one where a scene has it."""

    clean: dict[str, Counts]
    ghosted: dict[str, Counts]


@dataclass(frozen=True)
class Result:
    """A method, and a run for each seed that it depends on."""

    name: str
    runs: list[Run]


def tables(results: Sequence[Result], scenes: Sequence[str]) -> str:
    """Two Markdown tables: one with a row for each method, one with a row for each scene."""
    seeds = max(len(result.runs) for result in results)
    ghosted = len(results[0].runs[0].ghosted)
    shadowed = sum(counts.shadow > 0 for counts in results[0].runs[0].clean.values())
    lines = [
        f"{len(scenes)} scenes, each with the same weight; mean and standard deviation over {seeds} seeds. F with the"
        f" ghosted plate is over the {ghosted} scenes that have one, the share of shadow pixels that are called"
        f" foreground over the {shadowed} scenes that label shadow.",
        "",
        "| method | F | F, ghosted plate | shadow called foreground |",
        "| --- | --- | --- | --- |",
    ]
    for result in results:
        cells = [
            _mean_and_spread([_mean_f(run.clean) for run in result.runs]),
            _mean_and_spread([_mean_f(run.ghosted) for run in result.runs]),
            _mean_and_spread([_shadow_share(run.clean) for run in result.runs]),
        ]
        lines.append(f"| {_cell(result.name)} | {' | '.join(cells)} |")
    names = [_cell(result.name) for result in results]
    lines += ["", "F of each scene, mean over seeds:", "", f"| scene | {' | '.join(names)} |"]
    lines.append("| --- |" + " --- |" * len(results))
    for scene in scenes:
        values = [statistics.mean(run.clean[scene].f for run in result.runs) for result in results]
        lines.append(f"| {_cell(scene)} | {' | '.join(f'{value:.3f}' for value in values)} |")
    return "\n".join(lines) + "\n"


def _mean_f(counts: dict[str, Counts]) -> float | None:
    return statistics.mean(one.f for one in counts.values()) if counts else None


def _shadow_share(counts: dict[str, Counts]) -> float | None:
    shares = [one.shadow_alarms / one.shadow for one in counts.values() if one.shadow]
    return statistics.mean(shares) if shares else None


def _mean_and_spread(values: Sequence[float | None]) -> str:
    present = [value for value in values if value is not None]
    if not present:
        return "-"
    spread = f" ± {statistics.stdev(present):.3f}" if len(present) > 1 else ""
    return f"{statistics.mean(present):.3f}{spread}"


def _cell(text: str) -> str:
    """Text that cannot end a cell or a line of a table: names of scenes are untrusted."""
    return re.sub(r"[^\w .,:;/()<>=+`-]", "?", text)


def draw_sheet(scenes: Sequence[Scene], methods: Mapping[str, Method], path: Path) -> None:
    """Frame, truth and predictions: of each scene the frame with the most foreground.

    In the truth white is foreground, grey unknown, dark grey labelled shadow.
    """
    columns = 2 + len(methods)
    aspects = [scene.plate.shape[0] / scene.plate.shape[1] for scene in scenes]
    size = (_COLUMN_INCHES * columns, _COLUMN_INCHES * sum(aspects) + 0.3 * len(scenes))
    figure, axes = plt.subplots(
        len(scenes), columns, figsize=size, height_ratios=aspects, squeeze=False, layout="constrained"
    )
    for row, scene in zip(axes, scenes, strict=True):
        name = max(scene.names, key=lambda name: np.count_nonzero(scene.read(name).foreground))
        frame = scene.read(name)
        pictures = {f"{scene.name} {name}": frame.image, "truth": _truth(frame)}
        for title, method in methods.items():
            pictures[title] = np.where(method(scene.plate)(frame.image), 255, 0).astype(np.uint8)
        for axis, (title, picture) in zip(row, pictures.items(), strict=True):
            axis.imshow(picture, cmap="grey", vmin=0, vmax=255)
            axis.set_axis_off()
            axis.set_title(title, fontsize="small", parse_math=False)
    partial = path.with_name(f".{path.name}.partial")
    figure.savefig(partial, dpi=80, format="png")
    plt.close(figure)
    partial.replace(path)


def _truth(frame: Frame) -> Image:
    """Uint8 [H, W]."""
    values = np.where(frame.foreground, 255, np.where(frame.background, 0, 128))
    return np.where(frame.shadow, 64, values).astype(np.uint8)
