"""The dataset card: a README.md with pictures that shows what was made and says how.

It is made from the dataset's own files alone (statistics.json, manifest.json, shards, companions), so that it can be
made again at any time.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfds_builder.features import Labels
from transforms.card_pictures import (
    depth_in_metres,
    examples_sheet,
    histograms_plot,
    pictures_sheet,
    placements_plot,
)
from transforms.companions import read_companion
from transforms.pictures import OVERSAMPLING
from transforms.recipe import LOSSLESS
from transforms.records import example_form
from transforms.shards import DatasetFiles
from transforms.stored_pictures import PictureForm
from transforms.stored_shards import read_fields

_SHOWN = 6
# So many records of the first shard are looked through for a varied choice.
_SEARCHED = 60
# So many pictures and classes at most are shown of each kind.
_MOST_PICTURES = 100
_MOST_CLASSES = 40

_EXAMPLES = "images/examples.png"
_HISTOGRAMS = "images/histograms.png"
_PLACEMENTS = "images/placements.png"
_BACKGROUNDS = "images/backgrounds.png"
_FOREGROUNDS = "images/foregrounds.png"
_FOREGROUND_MASKS = "images/foreground_masks.png"
CARD_FILES = ("README.md", _EXAMPLES, _HISTOGRAMS, _PLACEMENTS, _BACKGROUNDS, _FOREGROUNDS, _FOREGROUND_MASKS)

# Of the Hugging Face hub, by the number of examples below which they hold.
_SIZE_CATEGORIES = {
    1_000: "n<1K",
    10_000: "1K<n<10K",
    100_000: "10K<n<100K",
    1_000_000: "100K<n<1M",
    10_000_000: "1M<n<10M",
    100_000_000: "10M<n<100M",
    1_000_000_000: "100M<n<1B",
}


def write_card(
    files: DatasetFiles, companions: Mapping[str, DatasetFiles], statistics: dict[str, Any], manifest: dict[str, Any]
) -> None:
    """Write README.md and the pictures it shows into the dataset's folder.

    Args:
        files: the dataset, whose shards are finished.
        companions: its "background" and "foreground" datasets.
        statistics: the content of `statistics.json`.
        manifest: the content of `manifest.json`.

    Raises:
        InputError: a stored picture is not what it should be.
        RunError: a shard cannot be read, or a file cannot be written.
    """
    labels = {kind: _labels(manifest, kind) for kind in ("background", "foreground")}
    backgrounds, foregrounds = (_shown(len(labels[kind].names)) for kind in ("background", "foreground"))
    side, largest = manifest["configuration"]["image_size"], OVERSAMPLING * manifest["configuration"]["placed_sides"][1]
    files.write(_EXAMPLES, _examples(files, companions["background"], labels, statistics, manifest))
    files.write(_HISTOGRAMS, histograms_plot(statistics["kinds"]))
    files.write(_PLACEMENTS, placements_plot(statistics["placements"], statistics["examples"]))
    bg = read_companion(companions["background"], "background", labels["background"], backgrounds)
    files.write(
        _BACKGROUNDS,
        pictures_sheet(
            [PictureForm("PNG", np.uint8, (side, side, 3)).decode(bg[i]["image"]) for i in backgrounds],
            [labels["background"].names[i] for i in backgrounds],
        ),
    )
    fg = read_companion(companions["foreground"], "foreground", labels["foreground"], foregrounds)
    names = [labels["foreground"].names[i] for i in foregrounds]
    cutouts = [
        PictureForm("PNG", np.uint8, (0, 0, 4), longest_side=largest).decode(fg[i]["image"]) for i in foregrounds
    ]
    files.write(_FOREGROUNDS, pictures_sheet(cutouts, names))
    masks = [
        PictureForm("PNG", np.uint8, cutout.shape[:2]).decode(fg[i]["mask"])
        for i, cutout in zip(foregrounds, cutouts, strict=True)
    ]
    files.write(_FOREGROUND_MASKS, pictures_sheet(masks, names))
    files.write("README.md", render_card(statistics, manifest, files).encode())


def rehearse_card(statistics: dict[str, Any], manifest: dict[str, Any], files: DatasetFiles) -> None:
    """Make what stands on the card of names and text, in memory: what cannot be written fails here.

    Args:
        statistics: as for `write_card`, of any values.
        manifest: as for `write_card`.
        files: the dataset, which need not exist.
    """
    render_card(statistics, manifest, files).encode()
    for kind in ("backgrounds", "foregrounds"):
        labels = [one["label"] for one in manifest["inputs"][kind]]
        names = [labels[i] for i in _shown(len(labels))]
        pictures_sheet([np.zeros((1, 1, 3), np.uint8)] * len(names), names)


def render_card(statistics: dict[str, Any], manifest: dict[str, Any], files: DatasetFiles) -> str:
    """The text of the card, Markdown with the YAML header of the Hugging Face hub."""
    with_depth = manifest["depth_model"] is not None
    loaded = json.dumps(files.full_name)
    sections = [
        _header(statistics, files, with_depth=with_depth),
        f"# {files.name} {files.version}",
        "The same objects, in many places, before many scenes: foreground cut-outs composited over backgrounds, with"
        " exact binary masks" + (" and depth maps." if with_depth else ". This dataset was made without depth."),
        _image("Examples: background, composite, mask" + (", depth" if with_depth else ""), _EXAMPLES),
        "## What is in it",
        _kinds_table(statistics, manifest),
        _splits_table(statistics),
        "## Load it",
        "```python\nimport tensorflow_datasets as tfds\n\n"
        f'examples = tfds.load({loaded}, split="train", data_dir=...)  # the folder above {files.name}/\n```',
        "## Mean and standard deviation",
        "Over all pixels of all images before JPEG encoding, population standard deviation; 1.0 stands for 255"
        + (", and for 10 m of depth" if with_depth else "")
        + ". The deviation of a mask is sqrt(m (1 - m)) of its mean m.",
        _moments_table(statistics["kinds"]),
    ]
    if len(statistics["splits"]) > 1:
        sections += [
            text
            for name, split in statistics["splits"].items()
            for text in (f"Split `{name}`:", _moments_table(split["kinds"]))
        ]
    sections += [
        _image("Histograms of colours" + (" and depth" if with_depth else ""), _HISTOGRAMS),
        "## Classes",
        _classes_table("background", "bg_class", statistics, manifest),
        _classes_table("foreground", "fg_class", statistics, manifest),
        f"{statistics['placements']['flipped']:,} of {statistics['examples']:,} foregrounds are mirrored.",
        "## Where foregrounds lie, and how large they are",
        f"On average {statistics['kinds']['mask']['mean'][0]:.1%} of an image is foreground.",
        _image("Where cut-outs lie, and how large they are", _PLACEMENTS),
        *_pictures("Backgrounds", "bg", _BACKGROUNDS, statistics, "as they were composited"),
        *_pictures("Foregrounds", "fg", _FOREGROUNDS, statistics, "before placement"),
        *_pictures("Foreground masks", "fg_mask", _FOREGROUND_MASKS, statistics, "before placement"),
        "## How it was made",
        _how(manifest),
        "## Licence",
        "A dataset is made of its pictures: it may be used and passed on as far as the licences of every background and"
        " foreground allow, which this program cannot know. "
        + ("Depth maps may also be bound by the licence of the depth model's weights." if with_depth else ""),
        "## Inputs left out",
        _skipped(manifest),
        "## Configuration",
        f"Fingerprint `{manifest['fingerprint'][:16]}`; `manifest.json` has the sha256 of every input and every shard.",
        "```json\n" + json.dumps(manifest["configuration"], indent=2, ensure_ascii=False) + "\n```",
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


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


def _examples(
    files: DatasetFiles,
    backgrounds: DatasetFiles,
    labels: Mapping[str, Labels],
    statistics: dict[str, Any],
    manifest: dict[str, Any],
) -> bytes:
    """The sheet of examples, from the first shard."""
    configuration = manifest["configuration"]
    bits = configuration["depth_bits"]
    form = example_form(
        labels["background"], labels["foreground"], configuration["placements"], with_depth=bits is not None
    )
    split = next(iter(statistics["splits"]))
    shard = manifest["shards"][files.name][split][0]
    rows = _varied(read_fields(files, shard["file"], form, min(shard["examples"], _SEARCHED)))
    below = read_companion(backgrounds, "background", labels["background"], {row["bg"] for row in rows})
    side = configuration["image_size"]
    composite = "PNG" if configuration["jpeg_quality"] == LOSSLESS else "JPEG"
    images = [
        {
            "bg": PictureForm("PNG", np.uint8, (side, side, 3)).decode(below[row["bg"]]["image"]),
            "fg_bg": PictureForm(composite, np.uint8, (side, side, 3)).decode(row["fg_bg"]),
            "mask": PictureForm("PNG", np.uint8, (side, side)).decode(row["mask"]),
        }
        for row in rows
    ]
    stored = np.uint8 if bits == 8 else np.uint16
    metres = [
        depth_in_metres(PictureForm("PNG", stored, (side, side)).decode(row["depth"])) for row in rows if "depth" in row
    ]
    return examples_sheet(images, metres)


def _varied(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first examples that show foregrounds and backgrounds not shown yet, as far as there are."""
    candidates = list(rows)
    chosen: list[dict[str, Any]] = []
    while candidates and len(chosen) < _SHOWN:
        foregrounds, backgrounds = ({row[name] for row in chosen} for name in ("fg", "bg"))
        ranks = [(row["fg"] in foregrounds) + (row["bg"] in backgrounds) for row in candidates]
        chosen.append(candidates.pop(ranks.index(min(ranks))))
    return chosen


def _shown(pictures: int) -> list[int]:
    """Which pictures of so many are on a sheet: all, or as many as fit, evenly spread."""
    return np.unique(np.linspace(0, pictures - 1, min(pictures, _MOST_PICTURES)).astype(int)).tolist()


def _header(statistics: dict[str, Any], files: DatasetFiles, *, with_depth: bool) -> str:
    examples = statistics["examples"]
    size = next((name for limit, name in _SIZE_CATEGORIES.items() if examples < limit), "n>1B")
    tasks = ["image-segmentation", *(["depth-estimation"] if with_depth else [])]
    lines = [
        "---",
        f"pretty_name: {json.dumps(files.full_name)}",
        "license: other",
        "task_categories:",
        *(f"- {task}" for task in tasks),
        "tags:",
        *(f"- {tag}" for tag in ("background-subtraction", "foreground-segmentation", "synthetic", "tfds")),
        "size_categories:",
        f"- {size}",
        "---",
    ]
    return "\n".join(lines)


def _image(text: str, path: str) -> str:
    return f"![{text}]({path})"


def _pictures(title: str, kind: str, path: str, statistics: dict[str, Any], state: str) -> list[str]:
    number = statistics["kinds"][kind]["images"]
    shown = f"{_MOST_PICTURES} of {number:,}" if number > _MOST_PICTURES else f"All {number}"
    return [f"## {title}", f"{shown}, {state}.", _image(title, path)]


def _kinds_table(statistics: dict[str, Any], manifest: dict[str, Any]) -> str:
    meaning = {
        "bg": "backgrounds",
        "fg": "foreground cut-outs",
        "fg_mask": "masks of the cut-outs before placement",
        "fg_bg": "composites, " + ("PNG" if manifest["configuration"]["jpeg_quality"] == "png" else "JPEG"),
        "mask": "masks of the composites: 255 inside, 0 outside",
        "depth": manifest["depth_meaning"],
    }
    kinds = statistics["kinds"]
    rows = [
        (name, f"{kind['images']:,}", format_bytes(kind["encoded_bytes"]), str(meaning[name]))
        for name, kind in kinds.items()
    ]
    images, size = (sum(kind[key] for kind in kinds.values()) for key in ("images", "encoded_bytes"))
    rows.append(("**total**", f"**{images:,}**", f"**{format_bytes(size)}**", ""))
    return _table(("kind", "images", "size", "meaning"), rows)


def _splits_table(statistics: dict[str, Any]) -> str:
    return _table(
        ("split", "examples", "size of its shards"),
        [(name, f"{s['examples']:,}", format_bytes(s["bytes"])) for name, s in statistics["splits"].items()],
    )


def _moments_table(kinds: dict[str, Any]) -> str:
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
        for name, kind in kinds.items()
        if "mean" in kind
    ]
    table = _table(("kind", "mean, 0..1", "std, 0..1", "mean, 0..255", "std, 0..255"), rows)
    depth = kinds.get("depth")
    if depth is None:
        return table
    return (
        f"{table}\n\nDepth: {depth['mean_metres']:.3f} ± {depth['std_metres']:.3f} m,"
        f" from {depth['minimum_metres']:.3f} to {depth['maximum_metres']:.3f} m."
    )


def _classes_table(side: str, field: str, statistics: dict[str, Any], manifest: dict[str, Any]) -> str:
    """How many pictures and examples a class has, the most frequent first."""
    counts = statistics["placements"][field]
    classes = [one["class"] for one in manifest["inputs"][f"{side}s"]]
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    rows = [(_text(name), f"{classes.count(name):,}", f"{counts[name]:,}") for name in ordered[:_MOST_CLASSES]]
    if left := len(ordered) - len(rows):
        rows.append((f"{left} more", "", ""))
    return _table((f"{side} class", "pictures", "examples"), rows)


def _how(manifest: dict[str, Any]) -> str:
    configuration = manifest["configuration"]
    shortest, longest = configuration["placed_sides"]
    size = configuration["image_size"]
    lossless = configuration["jpeg_quality"] == "png"
    lines = [
        f"- **bg**: centre square of each background, area-resized to {size}x{size}.",
        "- **fg**: cropped to the box where alpha > 0, resized with colours weighted by alpha, so that edges have"
        " no fringe.",
        "- **fg_mask**: 255 where the cut-out's own alpha is at least 128, else 0.",
        "- **fg_bg**: every background x every foreground x {plain, flipped}"
        f" x {configuration['placements']} random placements. The longest side is uniform over {shortest} .. {longest}"
        " pixels, the position uniform over all at which the cut-out lies fully inside, both drawn from the seed"
        f" {configuration['seed']} and the example's number. Blended by (b (255 - a) + f a) / 255, correctly rounded; "
        + ("stored as PNG." if lossless else f"stored as JPEG of quality {configuration['jpeg_quality']}."),
        "- **mask**: 255 where the placed alpha is at least 128, else 0; stored as PNG, so exactly binary.",
    ]
    if depth := manifest["depth_model"]:
        lines.append(
            f"- **depth**: predicted for each composite by {_code(depth['weights'])} (sha256 {depth['sha256'][:12]}…,"
            f" {depth['engine']},"
            f" {depth['precision']}, input {depth['input_size'][0]}x{depth['input_size'][1]}),"
            f" {depth['kind']}. {manifest['depth_meaning']} metres = clip(10 / y, 0.1, 10) of the network's output y,"
            f" the same for every image; stored as PNG of {configuration['depth_bits']} bits."
        )
    if configuration["test_fraction"]:
        lines.append(
            f"- **splits**: {configuration['test_fraction']:.0%} held out by {configuration['split_by']}: the splits"
            f" share no {configuration['split_by']}." + _held_out(manifest)
        )
    return "\n".join(lines)


def _held_out(manifest: dict[str, Any]) -> str:
    names = manifest["held_out"]
    if not names:
        return ""
    more = f" and {len(names) - _MOST_CLASSES} more (see `manifest.json`)" if len(names) > _MOST_CLASSES else ""
    return " In `test` alone: " + ", ".join(map(_code, names[:_MOST_CLASSES])) + more + "."


def _skipped(manifest: dict[str, Any]) -> str:
    if not manifest["skipped"]:
        return "None."
    return "\n".join(f"- {_code(one['path'])} {_text(one['reason'])}" for one in manifest["skipped"])


def _text(text: str) -> str:
    """Text that is neither Markdown nor HTML, whatever it says.

    >>> _text("<b>*")
    '\\\\<b\\\\>\\\\*'
    """
    return re.sub(r"[\\`*_\[\]<>#!~&$]", r"\\\g<0>", text)


def _code(text: str) -> str:
    """Text as code, whatever backticks are in it.

    >>> _code("a"), _code("`a")
    ('`a`', '`` `a ``')
    """
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{fence}{text}{fence}" if fence == "`" else f"{fence} {text} {fence}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _labels(manifest: dict[str, Any], kind: str) -> Labels:
    pictures = manifest["inputs"][f"{kind}s"]
    return Labels(tuple(one["label"] for one in pictures), tuple(one["class"] for one in pictures))
