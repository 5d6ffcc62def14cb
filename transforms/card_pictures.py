"""The pictures on the dataset card: examples, the pictures that went in, histograms, and where cut-outs were placed.

Everything is shown for people; nothing here changes what is stored.
"""

import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from tfds_builder.features import EIGHT_BIT_RANGE_METRES, MILLIMETRES_PER_METRE
from transforms.encoding import encode_png
from transforms.pictures import Pixels

_GAP = 6
_HEADER = 26
_BAR = 74

# Of the sheet of examples.
_EXAMPLE_TILE = 192
_EXAMPLES_PER_ROW = 2

# Metres that colours begin with at the least; no network predicts less.
_NEAREST = 0.1

# Of the sheets of pictures.
_PICTURE_TILE = 128
_LABEL = 18
_MOST_COLUMNS = 10
_CHECKER = 8
_CHECKER_GREYS = (255, 204)


def examples_sheet(rows: Sequence[dict[str, Pixels]], metres: Sequence[npt.NDArray[np.float32]]) -> bytes:
    """A PNG of examples, two to a row, with the names of the kinds above.

    Args:
        rows: for every example its images by kind, all with the same kinds: uint8 [h, w, 3] RGB or [h, w].
        metres: depth of every example, shown as a further kind in colour with a scale; or nothing.
    """
    scale = None
    if metres:
        nearest, farthest = min(float(one.min()) for one in metres), max(float(one.max()) for one in metres)
        scale = max(nearest, _NEAREST), max(farthest, _NEAREST)
        rows = [row | {"depth": colour_depth(one, *scale)} for row, one in zip(rows, metres, strict=True)]
    kinds = list(rows[0])
    step = _EXAMPLE_TILE + _GAP
    block = len(kinds) * step + _GAP
    columns = min(_EXAMPLES_PER_ROW, len(rows))
    height = _HEADER + -(-len(rows) // columns) * step
    sheet = Image.new("RGB", (columns * block + (_BAR if scale else 0), height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for column in range(columns):
        for k, kind in enumerate(kinds):
            draw.text((column * block + _GAP + k * step, 4), kind, fill="black", font=font)
    for i, row in enumerate(rows):
        for k, image in enumerate(row.values()):
            tile = cv2.resize(image, (_EXAMPLE_TILE, _EXAMPLE_TILE), interpolation=cv2.INTER_AREA)
            left, top = i % columns * block + _GAP + k * step, _HEADER + i // columns * step
            sheet.paste(Image.fromarray(tile), (left, top))
    if scale:
        _draw_scale(sheet, *scale)
    return _png(sheet)


def pictures_sheet(images: Sequence[Pixels], names: Sequence[str]) -> bytes:
    """A PNG of pictures with their names below: uint8 [h, w, 3], [h, w], or [h, w, 4] shown on a checkerboard."""
    columns = min(_MOST_COLUMNS, len(images))
    width, height = _PICTURE_TILE + _GAP, _PICTURE_TILE + _LABEL + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, -(-len(images) // columns) * height + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        left, top = _GAP + i % columns * width, _GAP + i // columns * height
        sheet.paste(_tile(image), (left, top))
        draw.text((left, top + _PICTURE_TILE + 1), _shortened(name, font), fill="black", font=font)
    return _png(sheet)


def histograms_plot(kinds: dict[str, Any]) -> bytes:
    """A PNG of how often each value occurs, from the `kinds` of `statistics.json`: colours, and depth in metres."""
    figure = _figure(columns=3 if "depth" in kinds else 2)
    axes = iter(figure.axes)
    for kind, title in (("bg", "backgrounds"), ("fg_bg", "composites")):
        ax = next(axes)
        stored = kinds[kind]["stored"]
        for channel, colour in enumerate(("red", "green", "blue")):
            share = np.array(stored["histogram"][channel]) / stored["count"]
            ax.plot(share * 100, color=f"tab:{colour}", linewidth=1, label=colour)
        ax.set(title=f"{kind}: {title}", xlabel="value, 0 .. 255", ylabel="% of pixels", ylim=(0, None))
        ax.legend()
    if "depth" in kinds:
        ax = next(axes)
        stored = kinds["depth"]["stored"]
        share = np.array(stored["histogram"][0]) / stored["count"]
        metres_per_bin = (1 << stored["shift"]) * _metres_per_unit(stored)
        used = np.flatnonzero(share)[-1] + 1
        # Of its own scale, so that depth of 8 and of 16 bits looks alike.
        ax.stairs(
            share[:used] * 100 / metres_per_bin, np.arange(used + 1) * metres_per_bin, fill=True, color="tab:purple"
        )
        ax.set(title="depth", xlabel="m", ylabel="% of pixels per m", xlim=(0, None))
    return _saved(figure)


def placements_plot(placements: dict[str, Any], examples: int) -> bytes:
    """A PNG of where cut-outs lie and how large they are, from the `placements` of `statistics.json`."""
    figure = _figure(columns=2)
    where, size = figure.axes
    coverage = np.array(placements["coverage"]) / examples * 100
    image = where.imshow(coverage, extent=(0, 1, 1, 0), cmap="viridis", vmin=0)
    where.set(title="where: examples with foreground there", xlabel="x", ylabel="y")
    figure.colorbar(image, ax=where, label="% of examples")
    area = np.array(placements["area"])
    used = np.flatnonzero(area)[-1] + 1
    size.stairs(area[:used] / examples * 100, np.arange(used + 1), fill=True, color="tab:blue")
    size.set(title="how large: share of the image that is foreground", xlabel="%", ylabel="% of examples")
    size.set_xlim(0)
    return _saved(figure)


def colour_depth(metres: npt.NDArray[np.float32], nearest: float, farthest: float) -> Pixels:
    """Depth [H, W] in a perceptually even colour map, uint8 [H, W, 3] RGB: near is bright. For people only.

    Colours are even in 1 / metres: as much happens between 1 and 2 m as between 2 m and the horizon.
    """
    span = max(1 / nearest - 1 / farthest, 1e-6)
    near = np.clip((1 / np.maximum(metres, nearest) - 1 / farthest) / span * 255, 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(near, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def depth_in_metres(depth: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Stored depth, uint16 or uint8 [H, W], to float32 metres."""
    if depth.dtype == np.uint16:
        return depth.astype(np.float32) / np.float32(MILLIMETRES_PER_METRE)
    return depth.astype(np.float32) * np.float32(EIGHT_BIT_RANGE_METRES / 255)


def on_checkerboard(rgba: Pixels) -> Pixels:
    """What a cut-out uint8 [h, w, 4] looks like on a grey checkerboard: uint8 [h, w, 3]."""
    height, width = rgba.shape[:2]
    y, x = np.mgrid[0:height, 0:width] // _CHECKER
    board = np.where((x + y) % 2, *_CHECKER_GREYS).astype(np.float32)[..., np.newaxis]
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(board * (1 - alpha) + rgba[..., :3] * alpha).astype(np.uint8)


def _draw_scale(sheet: Image.Image, nearest: float, farthest: float) -> None:
    """A colour bar in metres at the right of the first row."""
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    inverse = np.linspace(1 / nearest, 1 / farthest, _EXAMPLE_TILE, dtype=np.float32)
    ramp = np.reciprocal(inverse)[:, np.newaxis].repeat(16, axis=1)
    left = sheet.width - _BAR
    sheet.paste(Image.fromarray(colour_depth(ramp, nearest, farthest)), (left, _HEADER))
    for fraction in (0, 0.25, 0.5, 0.75, 1):
        metres = 1 / (1 / nearest + fraction * (1 / farthest - 1 / nearest))
        draw.text((left + 20, _HEADER + fraction * (_EXAMPLE_TILE - 18)), f"{metres:.1f} m", fill="black", font=font)


def _tile(image: Pixels) -> Image.Image:
    """A picture shrunk to fit a square tile, in its middle; cut-outs on a checkerboard all over the tile."""
    factor = min(1.0, _PICTURE_TILE / max(image.shape[:2]))
    size = tuple(max(1, round(side * factor)) for side in image.shape[1::-1])
    top, left = (_PICTURE_TILE - size[1]) // 2, (_PICTURE_TILE - size[0]) // 2
    if image.ndim == 3 and image.shape[2] == 4:
        # Weighted by alpha: colours of invisible pixels must not bleed into the edge.
        premultiplied = image.astype(np.float32)
        premultiplied[..., :3] *= premultiplied[..., 3:] / 255
        small = cv2.resize(premultiplied, size, interpolation=cv2.INTER_AREA)
        small[..., :3] *= 255 / np.maximum(small[..., 3:], 1e-3)
        tile = np.zeros((_PICTURE_TILE, _PICTURE_TILE, 4), np.uint8)
        tile[top : top + size[1], left : left + size[0]] = np.rint(np.clip(small, 0, 255))
        return Image.fromarray(on_checkerboard(tile))
    tile = np.full((_PICTURE_TILE, _PICTURE_TILE, 3), 240, np.uint8)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    tile[top : top + size[1], left : left + size[0]] = small if small.ndim == 3 else small[..., np.newaxis]
    return Image.fromarray(tile)


def _shortened(name: str, font: Any) -> str:
    """The name, or as much of its end as fits below a tile."""
    if font.getlength(name) <= _PICTURE_TILE:
        return name
    while name and font.getlength("…" + name) > _PICTURE_TILE:
        name = name[1:]
    return "…" + name


def _figure(columns: int) -> Any:
    # Without pyplot: no global state, so that any thread may draw.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * columns, 3.6), dpi=100, layout="constrained")
    figure.subplots(1, columns)
    return figure


def _saved(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _metres_per_unit(stored: dict[str, Any]) -> float:
    """What one step of the stored integers is; only 16 bits need bins wider than one value."""
    return 1 / MILLIMETRES_PER_METRE if stored["shift"] else EIGHT_BIT_RANGE_METRES / 255


def _png(sheet: Image.Image) -> bytes:
    return encode_png(cv2.cvtColor(np.asarray(sheet), cv2.COLOR_RGB2BGR))
