"""The pictures of the dataset card: sheets of examples and inputs, histograms, and a plot of the placements."""

import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from fgbg.features import EIGHT_BIT_RANGE_METRES, MILLIMETRES_PER_METRE
from fgbg.images import Pixels, encode_png

_GAP = 6
_HEADER = 26
_BAR = 74

# Layout of the sheet of examples, pixels.
_EXAMPLE_TILE = 192
_EXAMPLES_PER_ROW = 2

# Minimum of the colour scale, metres. No network predicts less.
_NEAREST = 0.1

# Layout of the sheets of pictures, pixels.
_PICTURE_TILE = 128
_LABEL = 18
_MAX_COLUMNS = 10
_CHECKER = 8
_CHECKER_GREYS = (255, 204)


def examples_sheet(rows: Sequence[dict[str, Pixels]], metres: Sequence[npt.NDArray[np.float32]]) -> bytes:
    """Return a PNG of examples, two per row, with the names of the kinds as column headers.

    Args:
        rows: the images of each example by kind, uint8 [h, w, 3] RGB or [h, w]. All examples have the same kinds.
        metres: depth of each example, drawn in colour with a scale; empty for a dataset without depth.
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
    return _encode_png(sheet)


def pictures_sheet(images: Sequence[Pixels], names: Sequence[str]) -> bytes:
    """Return a PNG of pictures and their names: uint8 [h, w, 3], [h, w], or [h, w, 4], drawn on a checkerboard."""
    columns = min(_MAX_COLUMNS, len(images))
    width, height = _PICTURE_TILE + _GAP, _PICTURE_TILE + _LABEL + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, -(-len(images) // columns) * height + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        left, top = _GAP + i % columns * width, _GAP + i // columns * height
        sheet.paste(_tile(image), (left, top))
        draw.text((left, top + _PICTURE_TILE + 1), _shorten(name, font), fill="black", font=font)
    return _encode_png(sheet)


def histograms_plot(kinds: dict[str, Any]) -> bytes:
    """Return a PNG of the histograms of colours and of depth in metres, from `kinds` in `statistics.json`."""
    figure = _figure(columns=3 if "depth" in kinds else 2)
    axes = iter(figure.axes)
    for kind, title in (("bg", "backgrounds"), ("fg_bg", "composites")):
        ax = next(axes)
        stored = kinds[kind]["stored"]
        for channel, colour in enumerate(("red", "green", "blue")):
            share = np.array(stored["histogram"][channel]) / stored["count"]
            ax.plot(share * 100, color=f"tab:{colour}", linewidth=1, label=colour)
        ax.set(title=f"{kind}: {title}", xlabel="value (0 to 255)", ylabel="% of pixels", ylim=(0, None))
        ax.legend()
    if "depth" in kinds:
        ax = next(axes)
        stored = kinds["depth"]["stored"]
        share = np.array(stored["histogram"][0]) / stored["count"]
        metres_per_bin = (1 << stored["shift"]) * _metres_per_unit(stored)
        used = np.flatnonzero(share)[-1] + 1
        # A density per metre, so that the plots of 8-bit and 16-bit depth are comparable.
        ax.stairs(
            share[:used] * 100 / metres_per_bin, np.arange(used + 1) * metres_per_bin, fill=True, color="tab:purple"
        )
        ax.set(title="depth", xlabel="depth (m)", ylabel="% of pixels per metre", xlim=(0, None))
    return _encode_figure(figure)


def placements_plot(placements: dict[str, Any], examples: int) -> bytes:
    """Return a PNG of the positions and sizes of foregrounds, from `placements` in `statistics.json`."""
    figure = _figure(columns=2)
    position, size = figure.axes
    coverage = np.array(placements["coverage"]) / examples * 100
    image = position.imshow(coverage, extent=(0, 1, 1, 0), cmap="viridis", vmin=0)
    position.set(title="position of foregrounds", xlabel="x (fraction of width)", ylabel="y (fraction of height)")
    figure.colorbar(image, ax=position, label="% of examples with foreground")
    area = np.array(placements["area"])
    used = np.flatnonzero(area)[-1] + 1
    size.stairs(area[:used] / examples * 100, np.arange(used + 1), fill=True, color="tab:blue")
    size.set(title="size of foregrounds", xlabel="% of the image that is foreground", ylabel="% of examples")
    size.set_xlim(0)
    return _encode_figure(figure)


def colour_depth(metres: npt.NDArray[np.float32], nearest: float, farthest: float) -> Pixels:
    """Return depth [H, W] as colours of a perceptually uniform map, uint8 [H, W, 3] RGB: near is bright.

    Colours are linear in 1 / metres, so 1 m to 2 m spans as many colours as 2 m to infinity.
    """
    span = max(1 / nearest - 1 / farthest, 1e-6)
    levels = np.clip((1 / np.maximum(metres, nearest) - 1 / farthest) / span * 255, 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def depth_in_metres(depth: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Convert stored depth, uint16 or uint8 [H, W], to metres, float32 [H, W]."""
    if depth.dtype == np.uint16:
        return depth.astype(np.float32) / np.float32(MILLIMETRES_PER_METRE)
    return depth.astype(np.float32) * np.float32(EIGHT_BIT_RANGE_METRES / 255)


def on_checkerboard(rgba: Pixels) -> Pixels:
    """Composite a cut-out, uint8 [h, w, 4], over a grey checkerboard: uint8 [h, w, 3]."""
    height, width = rgba.shape[:2]
    y, x = np.mgrid[0:height, 0:width] // _CHECKER
    board = np.where((x + y) % 2, *_CHECKER_GREYS).astype(np.float32)[..., np.newaxis]
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(board * (1 - alpha) + rgba[..., :3] * alpha).astype(np.uint8)


def _draw_scale(sheet: Image.Image, nearest: float, farthest: float) -> None:
    """Draw a colour bar in metres to the right of the first row."""
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    inverse = np.linspace(1 / nearest, 1 / farthest, _EXAMPLE_TILE, dtype=np.float32)
    ramp = np.reciprocal(inverse)[:, np.newaxis].repeat(16, axis=1)
    left = sheet.width - _BAR
    sheet.paste(Image.fromarray(colour_depth(ramp, nearest, farthest)), (left, _HEADER))
    for fraction in (0, 0.25, 0.5, 0.75, 1):
        metres = 1 / (1 / nearest + fraction * (1 / farthest - 1 / nearest))
        draw.text((left + 20, _HEADER + fraction * (_EXAMPLE_TILE - 18)), f"{metres:.1f} m", fill="black", font=font)


def _tile(image: Pixels) -> Image.Image:
    """Return a square tile with the picture reduced to fit and centred; cut-outs are drawn on a checkerboard."""
    factor = min(1.0, _PICTURE_TILE / max(image.shape[:2]))
    size = tuple(max(1, round(side * factor)) for side in image.shape[1::-1])
    top, left = (_PICTURE_TILE - size[1]) // 2, (_PICTURE_TILE - size[0]) // 2
    if image.ndim == 3 and image.shape[2] == 4:
        # Resizing weights colours by alpha, so that colours of invisible pixels do not bleed into the edge.
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


def _shorten(name: str, font: Any) -> str:
    """Return the name, or the end of it that fits the width of a tile."""
    if font.getlength(name) <= _PICTURE_TILE:
        return name
    while name and font.getlength("…" + name) > _PICTURE_TILE:
        name = name[1:]
    return "…" + name


def _figure(columns: int) -> Any:
    # Without pyplot, which has global state and is not thread-safe.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * columns, 3.6), dpi=100, layout="constrained")
    figure.subplots(1, columns)
    return figure


def _encode_figure(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _metres_per_unit(stored: dict[str, Any]) -> float:
    """Return the depth of one stored unit in metres. Only histograms of 16-bit depth have a shift above 0."""
    return 1 / MILLIMETRES_PER_METRE if stored["shift"] else EIGHT_BIT_RANGE_METRES / 255


def _encode_png(sheet: Image.Image) -> bytes:
    return encode_png(cv2.cvtColor(np.asarray(sheet), cv2.COLOR_RGB2BGR))
