"""The dataset card: a README.md and a contact sheet that show what was made and say how."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from tfds_builder.features import EIGHT_BIT_RANGE_METRES, MILLIMETRES_PER_METRE, Schema, depth_meaning
from transforms.companions import read_companion
from transforms.encoding import encode_png
from transforms.pictures import Pixels
from transforms.records import parse_record
from transforms.shards import DatasetFiles, read_shard

_SHOWN = 6
# So many records of the first shard are looked through for a varied choice.
_SEARCHED = 60
_TILE = 192
_GAP = 6
_HEADER = 26
_BAR = 74


def contact_sheet(files: DatasetFiles, shard_name: str, companion: DatasetFiles, backgrounds: int) -> bytes:
    """A PNG with examples of a shard: background, composite, mask and, if there is one, depth in colour with a scale.

    Args:
        files: the dataset.
        shard_name: one of its shards.
        companion: its backgrounds.
        backgrounds: how many these are.
    """
    rows = _varied(map(parse_record, read_shard(files, shard_name, limit=_SEARCHED)))
    below = read_companion(companion, "background", backgrounds, {row["bg"] for row in rows})
    kinds: dict[str, list[Pixels]] = {
        "bg": [_decode(below[row["bg"]]["image"], cv2.IMREAD_COLOR_RGB) for row in rows],
        "fg_bg": [_decode(row["fg_bg"], cv2.IMREAD_COLOR_RGB) for row in rows],
        "mask": [_decode(row["mask"], cv2.IMREAD_COLOR_RGB) for row in rows],
    }
    scale = None
    if "depth" in rows[0]:
        metres = [depth_in_metres(_decode(row["depth"], cv2.IMREAD_UNCHANGED)) for row in rows]
        nearest, farthest = min(float(m.min()) for m in metres), max(float(m.max()) for m in metres)
        kinds["depth"] = [colour_depth(m, nearest, farthest) for m in metres]
        scale = (nearest, farthest)
    sheet = _grid(kinds, scale)
    return encode_png(cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _varied(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first examples that show foregrounds and backgrounds not shown yet, as far as there are."""
    candidates = list(rows)
    chosen: list[dict[str, Any]] = []
    while candidates and len(chosen) < _SHOWN:
        foregrounds, backgrounds = ({row[name] for row in chosen} for name in ("fg", "bg"))
        ranks = [(row["fg"] in foregrounds) + (row["bg"] in backgrounds) for row in candidates]
        chosen.append(candidates.pop(ranks.index(min(ranks))))
    return chosen


def depth_in_metres(depth: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Stored depth, uint16 or uint8 [H, W], to float32 metres."""
    if depth.dtype == np.uint16:
        return depth.astype(np.float32) / np.float32(MILLIMETRES_PER_METRE)
    return depth.astype(np.float32) * np.float32(EIGHT_BIT_RANGE_METRES / 255)


def colour_depth(metres: npt.NDArray[np.float32], nearest: float, farthest: float) -> Pixels:
    """Depth [H, W] in a perceptually even colour map, uint8 [H, W, 3] RGB: near is bright. For people only."""
    span = max(farthest - nearest, 1e-6)
    near = np.clip((farthest - metres) / span * 255, 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(near, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def render_card(
    statistics: dict[str, Any], manifest: dict[str, Any], schema: Schema, files: DatasetFiles, picture: str
) -> str:
    """The text of the card, Markdown."""
    sections = [
        f"# {files.name} {files.version}",
        "Foreground cut-outs composited over backgrounds at random places and sizes, with exact binary masks"
        + (" and depth maps." if schema.depth_bits else ". This dataset was made without depth."),
        f"![Examples: background, composite, mask{', depth' if schema.depth_bits else ''}]({picture})",
        "## Load it",
        "```python\nimport tensorflow_datasets as tfds\n\n"
        f'dataset = tfds.load("{files.full_name}", split="train", data_dir=...)  # the folder above'
        f" {files.name}/\n```",
        "## What is in it",
        _kinds_table(statistics, schema),
        _splits_table(statistics),
        "## Mean and standard deviation",
        "Over all pixels of all images before JPEG encoding, population standard deviation; 1.0 stands for 255"
        + (", and for 10 m of depth." if schema.depth_bits else "."),
        _moments_table(statistics),
        "## How it was made",
        _how(manifest, schema),
        "## Inputs left out",
        _skipped(manifest),
        "## Configuration",
        "```json\n" + _indented(manifest["configuration"]) + "\n```",
    ]
    return "\n\n".join(sections) + "\n"


def format_bytes(size: float) -> str:
    """For people.

    >>> format_bytes(1_234_567)
    '1.2 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _kinds_table(statistics: dict[str, Any], schema: Schema) -> str:
    meaning = {
        "bg": f"backgrounds ({', '.join(schema.backgrounds.classes)})",
        "fg": f"foreground cut-outs ({', '.join(schema.foregrounds.classes)})",
        "fg_mask": "masks of the cut-outs before placement",
        "fg_bg": "composites, " + ("PNG" if schema.lossless else "JPEG"),
        "mask": "masks of the composites: 255 inside, 0 outside",
        "depth": schema.depth_bits and depth_meaning(schema.depth_bits, schema.depth_kind),
    }
    return _table(
        ("kind", "images", "size", "meaning"),
        [
            (name, f"{kind['images']:,}", format_bytes(kind["encoded_bytes"]), str(meaning[name]))
            for name, kind in statistics["kinds"].items()
        ],
    )


def _splits_table(statistics: dict[str, Any]) -> str:
    return _table(
        ("split", "examples", "size"),
        [(name, f"{s['examples']:,}", format_bytes(s["bytes"])) for name, s in statistics["splits"].items()],
    )


def _moments_table(statistics: dict[str, Any]) -> str:
    def numbers(values: Sequence[float], digits: int) -> str:
        return " / ".join(f"{value:.{digits}f}" for value in values)

    rows = [
        (
            name,
            numbers(kind["mean"], 4),
            numbers(kind["std"], 4),
            numbers(kind["mean_255"], 2),
            numbers(kind["std_255"], 2),
        )
        for name, kind in statistics["kinds"].items()
        if "mean" in kind
    ]
    table = _table(("kind", "mean, 0..1", "std, 0..1", "mean, 0..255", "std, 0..255"), rows)
    depth = statistics["kinds"].get("depth")
    if depth is None:
        return table
    return (
        f"{table}\n\nDepth: {depth['mean_metres']:.3f} ± {depth['std_metres']:.3f} m,"
        f" from {depth['minimum_metres']:.3f} to {depth['maximum_metres']:.3f} m."
    )


def _how(manifest: dict[str, Any], schema: Schema) -> str:
    configuration = manifest["configuration"]
    shortest, longest = configuration["placed_sides"]
    lines = [
        f"- **bg**: centre square of each background, area-resized to {schema.image_size}x{schema.image_size}.",
        "- **fg**: cropped to the box where alpha > 0, resized with colours weighted by alpha, so that edges have"
        " no fringe.",
        "- **fg_bg**: every background x every foreground x {plain, flipped}"
        f" x {configuration['placements']} random placements. The longest side is uniform over {shortest} .. {longest}"
        " pixels, the position uniform over all at which the cut-out lies fully inside. Blended by"
        " (b (255 - a) + f a) / 255, correctly rounded.",
        "- **mask**: 255 where the placed alpha is at least 128, else 0; stored as PNG, so exactly binary.",
    ]
    if schema.depth_bits:
        depth = manifest["depth_model"]
        lines.append(
            f"- **depth**: predicted for each composite by `{depth['weights']}` (sha256 {depth['sha256'][:12]}…,"
            f" {depth['engine']},"
            f" {depth['precision']}, input {depth['input_size'][0]}x{depth['input_size'][1]}),"
            f" {schema.depth_kind}. {depth_meaning(schema.depth_bits, schema.depth_kind)}"
        )
    return "\n".join(lines)


def _skipped(manifest: dict[str, Any]) -> str:
    if not manifest["skipped"]:
        return "None."
    return "\n".join(f"- `{one['path']}` {one['reason']}" for one in manifest["skipped"])


def _indented(configuration: dict[str, Any]) -> str:
    return json.dumps(configuration, indent=2, ensure_ascii=False)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _decode(data: bytes, flags: int) -> npt.NDArray[Any]:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def _grid(kinds: dict[str, list[Pixels]], scale: tuple[float, float] | None) -> Pixels:
    """Lay out one row per kind with its name above it; the last row gets a colour bar in metres if there is a scale."""
    columns = len(next(iter(kinds.values())))
    width = columns * (_TILE + _GAP) + _GAP + (_BAR if scale else 0)
    row_height = _HEADER + _TILE
    sheet = Image.new("RGB", (width, len(kinds) * row_height + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for r, (name, images) in enumerate(kinds.items()):
        top = r * row_height
        draw.text((_GAP, top + 4), name, fill="black", font=font)
        for c, image in enumerate(images):
            tile = cv2.resize(image, (_TILE, _TILE), interpolation=cv2.INTER_AREA)
            sheet.paste(Image.fromarray(tile), (_GAP + c * (_TILE + _GAP), top + _HEADER))
    if scale:
        nearest, farthest = scale
        ramp = np.linspace(nearest, farthest, _TILE, dtype=np.float32)[:, np.newaxis].repeat(16, axis=1)
        left, top = width - _BAR, (len(kinds) - 1) * row_height + _HEADER
        sheet.paste(Image.fromarray(colour_depth(ramp, nearest, farthest)), (left, top))
        for fraction in (0, 0.5, 1):
            metres = nearest + fraction * (farthest - nearest)
            draw.text((left + 20, top + fraction * (_TILE - 18)), f"{metres:.1f} m", fill="black", font=font)
    return np.asarray(sheet)
